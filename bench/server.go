package main

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"spore/host/function"
	"spore/host/invoke"
	"spore/host/sandbox"
	"spore/host/telemetry"
	"spore/host/trigger/web"
)

// What a server child says: where it listens, and in the end what it logged.
type (
	listening struct{ Address string }
	ended     struct{ LogLines int64 }
)

// path is where every server answers.
const path = "/bench"

// runServer serves one variant of a workload until standard input ends. busy is how
// long a handler of the variant of that name takes.
func runServer(ctx context.Context, variant, workload, module, dir, profile string, busy time.Duration) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // ends with standard input, at the latest with the process
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer ln.Close()
	out := json.NewEncoder(os.Stdout)
	ready := func() error { // all that comes before is not the server's work
		if err := startProfile(profile); err != nil {
			return err
		}
		return out.Encode(listening{ln.Addr().String()})
	}
	defer pprof.StopCPUProfile()
	if variant == "native" || variant == "busy" {
		if err := ready(); err != nil {
			return err
		}
		if err := serveNative(ctx, ln, findWorkload(workload), busy); err != nil {
			return err
		}
		return out.Encode(ended{})
	}
	lines, err := serveSpore(ctx, ln, findWorkload(workload), module, sandbox.Options{Directory: dir, Unisolated: variant == "unisolated"}, ready)
	if err != nil {
		return err
	}
	return out.Encode(ended{lines})
}

// serveNative serves the workload with fasthttp alone, and logs nothing. Each request
// takes its handler's processor for at least busy.
func serveNative(ctx context.Context, ln net.Listener, w workload, busy time.Duration) error {
	server := &fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) {
		start := time.Now()
		answer, err := w.native(ctx.PostBody())
		for busy > 0 && time.Since(start) < busy {
		}
		if err != nil {
			ctx.Error(err.Error(), fasthttp.StatusBadGateway)
			return
		}
		ctx.SetBody(answer)
	}}
	context.AfterFunc(ctx, func() { _ = server.Shutdown() })
	return server.Serve(ln)
}

// serveSpore serves the module as `spore serve` does: the same listener,
// REPORT lines, dispatcher and engine. It returns how many lines were logged.
func serveSpore(ctx context.Context, ln net.Listener, w workload, module string, opt sandbox.Options, ready func() error) (lines int64, err error) {
	wasm, err := os.ReadFile(module)
	if err != nil {
		return 0, err
	}
	opt.Cores = runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(opt.Cores + 2) // as host.go does
	engine, err := sandbox.Open(opt)
	if err != nil {
		return 0, err
	}
	image, err := engine.Prepare(ctx, wasm, w.settings())
	if err != nil {
		return 0, err
	}
	dispatcher := invoke.New(invoke.Options{Concurrency: 256}) // functions.toml's default
	defer dispatcher.Close()
	limits := function.DefaultLimits
	limits.ResponseTimeout = limits.Timeout
	dispatcher.Replace([]invoke.Live{{Ref: function.Ref{Name: "bench", Version: 1}, Image: image, Limits: limits}})

	sink, err := newLogFile(opt.Directory)
	if err != nil {
		return 0, err
	}
	defer sink.Close()
	log, writer := telemetry.NewLogger(sink, func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, nil) })
	writing, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = writer.Run(writing) })

	server := web.New(web.Options{Invoker: &telemetry.Invoker{Next: dispatcher, Log: log}, Log: log})
	err = server.SetRoutes([]web.Binding{
		{Route: function.Route{Method: "GET", Path: path}, Function: "bench"},
		{Route: function.Route{Method: "POST", Path: path}, Function: "bench"},
	})
	if err == nil {
		err = ready()
	}
	if err == nil {
		err = server.Serve(ctx, ln)
	}
	stop()
	wg.Wait()
	return sink.reports, err
}

// startProfile writes a CPU profile to a file until pprof.StopCPUProfile, unless
// path is empty.
func startProfile(path string) error {
	if path == "" {
		return nil
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return pprof.StartCPUProfile(f)
}

// profilePath names a server's CPU profile, or is empty when none is wanted.
func profilePath(folder, workload, variant string) string {
	if folder == "" {
		return ""
	}
	return filepath.Join(folder, workload+"-"+variant+".pprof")
}
