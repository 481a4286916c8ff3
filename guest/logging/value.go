package logging

import (
	"encoding"
	"fmt"
	"log/slog"
	"strconv"
	"time"
)

// timeFormat is slog's: RFC 3339 with milliseconds.
const timeFormat = "2006-01-02T15:04:05.000Z07:00"

// text formats v as slog's text handler does, without its quotes.
func text(v slog.Value) string {
	switch v.Kind() {
	case slog.KindTime:
		return v.Time().Format(timeFormat)
	case slog.KindAny:
		return textOfAny(v.Any())
	default:
		return v.String()
	}
}

// textOfAny calls into the author's types, which must not be able to end the
// request from within a log line; fmt guards itself in the same way.
func textOfAny(v any) (s string) {
	defer func() {
		if p := recover(); p != nil {
			s = fmt.Sprintf("!PANIC: %v", p)
		}
	}()
	switch v := v.(type) {
	case *slog.Source:
		return v.File + ":" + strconv.Itoa(v.Line)
	case time.Time:
		return v.Format(timeFormat)
	case []byte:
		return string(v)
	case encoding.TextMarshaler:
		b, err := v.MarshalText()
		if err != nil {
			return "!ERROR: " + err.Error()
		}
		return string(b)
	}
	return fmt.Sprintf("%+v", v)
}
