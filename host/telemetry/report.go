// Package telemetry observes invocations and carries log lines out. Invoker
// wraps the next function.Invoker and writes one REPORT line an invocation, in
// Lambda's own form; Writer is the bounded, asynchronous end of all logging.
package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"spore/abi"
	"spore/host/function"
)

// Invoker reports on every invocation of Next.
type Invoker struct {
	Next function.Invoker
	Log  *slog.Logger
}

// Invoke implements function.Invoker.
func (in *Invoker) Invoke(ctx context.Context, ref function.Ref, ev *abi.Event, reply function.Reply) (function.Stats, error) {
	id := string([]byte(ev.RequestID)) // the event's strings are borrowed until the reply only
	start := time.Now()
	stats, err := in.Next.Invoke(ctx, ref, ev, reply)
	if stats.MemoryMax == 0 && err != nil { // refused before a sandbox was taken
		in.Log.LogAttrs(ctx, slog.LevelWarn, "invocation refused", slog.String("function", ref.Name),
			slog.String("request_id", id), slog.String("kind", function.KindOf(err).String()), slog.String("error", err.Error()))
		return stats, err
	}
	attrs := []slog.Attr{slog.String("function", stats.Ref.Name), slog.Int("version", stats.Ref.Version), slog.String("request_id", id)}
	if err != nil {
		in.logError(ctx, err, time.Since(start), append(attrs[:len(attrs):len(attrs)], slog.Bool("answered", stats.Answered)))
	}
	in.report(ctx, Report(id, stats, err), attrs)
	return stats, err
}

// report logs a REPORT line. It is every request's, so it goes to the handler by
// itself: slog.Logger would walk the stack for a line of source that nobody wants.
func (in *Invoker) report(ctx context.Context, line string, attrs []slog.Attr) {
	if !in.Log.Enabled(ctx, slog.LevelInfo) {
		return
	}
	rec := slog.NewRecord(time.Now(), slog.LevelInfo, line, 0)
	rec.AddAttrs(attrs...)
	_ = in.Log.Handler().Handle(ctx, rec) // as slog.Logger does; telemetry.Writer never fails
}

func (in *Invoker) logError(ctx context.Context, err error, took time.Duration, attrs []slog.Attr) {
	kind := function.KindOf(err)
	message := "invocation failed"
	if kind == abi.Deadline {
		message = fmt.Sprintf("Task timed out after %.2f seconds", took.Seconds()) // log parsers look for these words
	}
	attrs = append(attrs, slog.String("kind", kind.String()), slog.String("error", err.Error()))
	in.Log.LogAttrs(ctx, slog.LevelError, message, attrs...)
}

// Report returns the REPORT line: Lambda's fields, tab-separated and in Lambda's
// order and units, then what spore adds.
func Report(requestID string, s function.Stats, err error) string {
	b := make([]byte, 0, 256)
	b = append(append(b, "REPORT RequestId: "...), requestID...)
	b = appendMillis(append(b, "\tDuration: "...), s.Duration)
	b = append(b, "\tBilled Duration: "...)
	b = strconv.AppendInt(b, int64((s.Duration+time.Millisecond-1)/time.Millisecond), 10)
	b = append(b, " ms\tMemory Size: "...)
	b = strconv.AppendInt(b, s.MemoryMax>>20, 10)
	b = append(b, " MB\tMax Memory Used: "...)
	b = strconv.AppendInt(b, (s.MemoryUsed+1<<20-1)>>20, 10)
	b = appendMillis(append(b, " MB\tRestore Duration: "...), s.Restore)
	b = appendMillis(append(b, "\tCPU Time: "...), s.CPU)
	if s.DirtyPages >= 0 {
		b = strconv.AppendInt(append(b, "\tDirty Pages: "...), int64(s.DirtyPages), 10)
	}
	if function.KindOf(err) == abi.Deadline {
		b = append(b, "\tStatus: timeout"...)
	} else if err != nil {
		b = append(b, "\tStatus: error"...)
	}
	return string(append(b, '\t'))
}

// appendMillis appends d in milliseconds with two decimals.
func appendMillis(b []byte, d time.Duration) []byte {
	hundredths := int64(d.Round(10*time.Microsecond) / (10 * time.Microsecond))
	b = strconv.AppendInt(b, hundredths/100, 10)
	return append(b, '.', byte('0'+hundredths%100/10), byte('0'+hundredths%10), ' ', 'm', 's')
}
