// Command alerts measures what the alert function costs: the sun's events of a day
// alone, the guest's own time for a request in a sandbox, and the time to the answer
// over HTTP on loopback, through the listener, the dispatcher and the log that `spore
// serve` has.
//
//	go run ./bench/alerts
//	go run ./bench/alerts -requests 5000
//
// No request needs an upstream. Three stay the same, and the day's place and date
// change with each, so that nothing learnt from one answer helps the next.
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"

	"spore/abi"
	"spore/host/function"
	"spore/host/gobuild"
	"spore/host/invoke"
	"spore/host/sandbox"
	"spore/host/telemetry"
	"spore/host/trigger/web"
)

// request is one of the requests measured.
type request struct {
	name string
	body func() string
	must string // be in every answer
}

var requests = []request{
	{"a day's events", randomDay, `"events"`},
	{"an alert that matches", always(`{"alert":{"id":"a","place":{"lat":52.38,"lon":4.64,"tz":"Europe/Amsterdam"},"conditions":[
		{"type":"sun","value":"morning_golden_hour"},{"type":"day_of_week","values":["sun"]}]},"now":"2026-01-17T12:00:00Z"}`), `"decision":"send"`},
	{"400 days in vain: a sunrise at the pole on a Saturday", always(`{"alert":{"id":"a","place":{"lat":90,"lon":0,"tz":"UTC"},"conditions":[
		{"type":"sun","value":"sunrise"},{"type":"day_of_week","values":["sat"]}]},"now":"2022-01-01T00:00:00Z"}`), `"next":null`},
	{"400 days in vain: blue hour within night at 78 degrees", always(`{"alert":{"id":"a","place":{"lat":78.2,"lon":15.6,"tz":"UTC"},"conditions":[
		{"type":"sun","value":"evening_blue_hour"},{"type":"night","value":"night"}]},"now":"2026-01-17T12:00:00Z"}`), `"next":null`},
}

func always(body string) func() string { return func() string { return body } }

func randomDay() string {
	day := time.Date(2026, 1, 1+mathrand.N(365), 0, 0, 0, 0, time.UTC)
	return fmt.Sprintf(`{"sun":{"lat":%.2f,"lon":%.2f,"tz":"Europe/Oslo","date":"%s"}}`, 120*mathrand.Float64()-60, 360*mathrand.Float64()-180, day.Format(time.DateOnly))
}

func main() {
	n := flag.Int("requests", 1000, "how many requests of each kind")
	flag.Parse()
	if err := run(context.Background(), os.Stdout, *n); err != nil {
		fmt.Fprintln(os.Stderr, "alerts:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, n int) error {
	if n < 1 {
		return errors.New("-requests takes a number from 1")
	}
	dir, err := os.MkdirTemp("", "spore-bench-alerts-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fmt.Fprintln(os.Stderr, "building and preparing modules/alerts")
	wasm, err := gobuild.Build(ctx, "modules/alerts", dir)
	if err != nil {
		return fmt.Errorf("run this at the root of the source tree: %w", err)
	}
	cores := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(cores + 2) // as host.go does
	engine, err := sandbox.Open(sandbox.Options{Directory: dir, Cores: cores})
	if err != nil {
		return err
	}
	image, err := engine.Prepare(ctx, wasm, sandbox.Settings{Name: "alerts", MemoryMax: function.DefaultLimits.Memory, InitTimeout: time.Minute})
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s, %s/%s, %d cores, %d requests each\n\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, cores, n)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "request\tguest us, min\tmedian\tp99\tHTTP us, min\tmedian\tp99")
	err = serve(ctx, image, func(url string) error { return measureAll(ctx, table, image, url, n) })
	if err := errors.Join(err, table.Flush()); err != nil {
		return err
	}
	fmt.Fprintln(out, "\nthe sun's part of a day's events, in WebAssembly:")
	return sunAlone(ctx, out, dir)
}

// sunAlone runs the benchmark of package sun in WebAssembly: as a test binary, which
// is a plain command, in wazero without spore.
func sunAlone(ctx context.Context, out io.Writer, dir string) error {
	path := filepath.Join(dir, "sun.test.wasm")
	build := exec.CommandContext(ctx, "go", "test", "-c", "-o", path, "./modules/alerts/sun")
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("build the tests of modules/alerts/sun: %w", err)
	}
	wasm, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	engine := wazero.NewRuntime(ctx)
	defer engine.Close(ctx)
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, engine); err != nil {
		return err
	}
	config := wazero.NewModuleConfig().WithArgs("sun.test", "-test.run", "^$", "-test.bench", "EventsOfADay", "-test.count", "5").
		WithStdout(out).WithStderr(os.Stderr).WithSysNanotime().WithSysWalltime().WithSysNanosleep().WithRandSource(rand.Reader)
	_, err = engine.InstantiateWithConfig(ctx, wasm, config)
	if exit := new(sys.ExitError); errors.As(err, &exit) && exit.ExitCode() == 0 {
		err = nil
	}
	return err
}

// serve has image answer at a URL while do runs.
func serve(ctx context.Context, image *sandbox.Image, do func(url string) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	dispatcher := invoke.New(invoke.Options{Concurrency: 256})
	defer dispatcher.Close()
	limits := function.DefaultLimits
	limits.ResponseTimeout = limits.Timeout
	dispatcher.Replace([]invoke.Live{{Ref: function.Ref{Name: "alerts", Version: 1}, Image: image, Limits: limits}})
	log, writer := telemetry.NewLogger(io.Discard, func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, nil) })
	server := web.New(web.Options{Invoker: &telemetry.Invoker{Next: dispatcher, Log: log}, Log: log})
	if err := server.SetRoutes([]web.Binding{{Route: function.Route{Method: "POST", Path: "/"}, Function: "alerts"}}); err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ended := make(chan error, 2)
	go func() { ended <- server.Serve(ctx, ln) }()
	go func() { ended <- writer.Run(ctx) }()
	err = do("http://" + ln.Addr().String() + "/")
	stop()
	return errors.Join(err, <-ended, <-ended)
}

func measureAll(ctx context.Context, out io.Writer, image *sandbox.Image, url string, n int) error {
	for _, r := range requests {
		guest, over := make([]time.Duration, n), make([]time.Duration, n)
		for i := range n { // alternating, so that the machine's drift is in both
			var err error
			if guest[i], err = r.inSandbox(ctx, image); err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
			if over[i], err = r.overHTTP(ctx, url); err != nil {
				return fmt.Errorf("%s over HTTP: %w", r.name, err)
			}
		}
		fmt.Fprintf(out, "%s\t%s\t%s\n", r.name, summary(guest), summary(over))
	}
	return nil
}

func summary(took []time.Duration) string {
	slices.Sort(took)
	us := func(q float64) float64 { return float64(took[int(q*float64(len(took)-1))]) / 1e3 }
	return fmt.Sprintf("%.0f\t%.0f\t%.0f", us(0), us(0.5), us(0.99))
}

// inSandbox returns how long the guest's own code ran.
func (r *request) inSandbox(ctx context.Context, image *sandbox.Image) (time.Duration, error) {
	sb, err := image.Open(ctx)
	if err != nil {
		return 0, err
	}
	defer sb.Close()
	body := []byte(r.body())
	end := time.Now().Add(time.Minute)
	ev := abi.Event{
		RequestID: "00112233-4455-4677-8899-aabbccddeeff", Trigger: abi.TriggerHTTP, Function: "alerts", Version: "1", Method: "POST", Path: "/",
		DeadlineMS: end.UnixMilli(), ResponseDeadlineMS: end.UnixMilli(), ContentType: "application/json", Body: body, BodySize: uint32(len(body)),
	}
	var wrong error
	stats, err := sb.Serve(ctx, &ev, sandbox.Deadlines{Response: end, End: end}, func(res *abi.Result, _ bool) { wrong = r.check(int(res.Status), res.Body) })
	return stats.Duration - stats.Host, errors.Join(err, wrong)
}

// overHTTP returns how long a request took from its first byte to the answer's last.
func (r *request) overHTTP(ctx context.Context, url string) (time.Duration, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader([]byte(r.body())))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	start := time.Now()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	took := time.Since(start)
	return took, errors.Join(err, r.check(res.StatusCode, body))
}

func (r *request) check(status int, body []byte) error {
	if status != 0 && status != http.StatusOK || !json.Valid(body) || !bytes.Contains(body, []byte(r.must)) {
		return fmt.Errorf("unexpected answer %d %.300s", status, body)
	}
	return nil
}
