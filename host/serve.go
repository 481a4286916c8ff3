package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"spore/abi"
	"spore/host/config"
	"spore/host/function"
	"spore/host/trigger/web"
)

func newServe() *cobra.Command {
	var attached bool
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "serve the functions of functions.toml",
		Long: "Serve builds and prepares the functions of functions.toml, serves their routes, and goes\n" +
			"on while you edit: a changed source, module or functions.toml becomes a new version without\n" +
			"a request lost, and a broken one leaves the old version serving. SIGHUP looks for changes\n" +
			"at once; SIGTERM and Ctrl-C finish what is under way and stop, a second one stops at once.\n" +
			"With --attached, which is for programs that start spore, it stops when standard input ends,\n" +
			"however that program ended, and takes no notice of changes.",
		Example:           "  spore serve\n  spore serve --config /etc/spore/functions.toml",
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			path, err := cmd.Flags().GetString("config")
			if err != nil {
				return err
			}
			if err := dumpNothing(); err != nil {
				return fmt.Errorf("switch core dumps off: %w", err)
			}
			signal.Ignore(syscall.SIGPIPE) // whoever reads the log may end first; requests need nobody to read it
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			context.AfterFunc(ctx, stop) // a second signal finds the default: to end the process
			if attached {
				ctx, stop = untilEOF(ctx, cmd.InOrStdin())
				defer stop()
			}
			return serve(ctx, serveOptions{config: path, attached: attached, out: cmd.OutOrStdout(), logs: cmd.ErrOrStderr(), now: time.Now})
		},
	}
	cmd.Flags().BoolVar(&attached, "attached", false, "stop when standard input ends, and do not reload on changes")
	return cmd
}

// untilEOF returns a ctx that ends when in does. Nobody waits for the goroutine
// that reads: a read cannot be interrupted, and the process is about to end.
func untilEOF(ctx context.Context, in io.Reader) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		_, _ = io.Copy(io.Discard, in)
		cancel()
	}()
	return ctx, cancel
}

// drainTime is how long serve waits for requests under way when it is told to stop.
const drainTime = 30 * time.Second

// serveOptions are what serve takes from its surroundings.
type serveOptions struct {
	config    string    // path of functions.toml
	attached  bool      // another program's child, which takes no notice of changes
	out, logs io.Writer // for people, and for the log
	now       func() time.Time
}

// dumpNothing switches core dumps off: secrets are in memory. A limit of one byte has no
// room for any dump, and tells Linux not to send one through a pipe either, for which
// zero is no limit (limit == 1 in fs/coredump.c). Who was given zero may not have one.
func dumpNothing() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: 1, Max: 1}); err == nil {
		return nil
	}
	return unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
}

// serve runs until ctx ends.
func serve(ctx context.Context, opt serveOptions) error {
	var w watcher
	var unwatched error
	if !opt.attached {
		unwatched = w.open(opt.config)
		defer w.close()
	}
	cfg, err := config.Load(opt.config)
	if err != nil {
		return explainMissing(err)
	}
	data, err := openDataDir(cfg.Host.Data)
	if err != nil {
		return err
	}
	defer data.Close()
	listener, err := listen(cfg.Host.Listen)
	if err != nil {
		return fmt.Errorf("%w; set listen in %s to a free address", err, opt.config)
	}
	defer listener.Close()
	log, writer, redact := newLogger(cfg.Host.Log, opt.logs)
	defer background(writer.Run)()
	if unwatched != nil {
		log.Error("changes of files are not noticed; send SIGHUP after them", "error", unwatched.Error())
	}
	w.log = log
	h, err := newHost(cfg, log, redact, opt.now)
	if err != nil {
		return err
	}
	defer h.close()
	s := &server{host: h, cfg: cfg, opt: opt, watcher: &w, address: listener.Addr().String()}
	return s.run(ctx, listener)
}

// listen opens the listener. For 0.0.0.0 Go would take all addresses of IPv6 as well, which
// somebody who wrote it may have no firewall for.
func listen(address string) (net.Listener, error) {
	network := "tcp"
	if ip, err := netip.ParseAddrPort(address); err == nil && ip.Addr().Is4() {
		network = "tcp4"
	}
	return net.Listen(network, address)
}

func explainMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w; run spore where your functions.toml is, or name it with --config", err)
	}
	return err
}

// background starts run and returns what ends it and waits for it.
func background(run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = run(ctx) })
	return func() {
		cancel()
		wg.Wait()
	}
}

// server is a host with a listener in front of it and an eye on its files.
type server struct {
	*host
	cfg     *config.Config // as it is served
	web     *web.Server
	opt     serveOptions
	watcher *watcher // of its files
	address string
}

func (s *server) run(ctx context.Context, listener net.Listener) error {
	s.route = s.prepareRoutes
	s.web = web.New(web.Options{Invoker: s.invoker, Now: s.now, Secret: s.signingSecret, Log: s.log, Drain: drainTime, Chore: s.engine.Chore})
	s.watcher.begin(s.cfg)
	stop := progress(s.opt.logs, "building and preparing functions")
	err := s.deploy(ctx, s.cfg)
	stop()
	if ctx.Err() != nil {
		return nil // told to stop before there was anything to serve
	}
	if err != nil {
		return err
	}
	s.collect()
	s.printRoutes()
	watching, end := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { s.reloadOnChange(watching) })
	err = s.web.Serve(ctx, listener)
	end()
	wg.Wait()
	s.log.Info("stopped")
	return err
}

// signingSecret gives the listener the secrets that routes verify signatures with.
func (s *server) signingSecret(name string) ([]byte, error) {
	return s.handedOut(name, s.secrets.Load().Lookup)
}

// prepareRoutes returns what puts the functions' routes in front of the listener.
func (s *server) prepareRoutes(functions map[string]*deployed) (set func(), err error) {
	var bindings []web.Binding
	for _, name := range slices.Sorted(maps.Keys(functions)) {
		d := functions[name]
		for _, r := range d.spec.Routes {
			bindings = append(bindings, web.Binding{Route: r, Function: d.spec.Name})
		}
	}
	return s.web.PrepareRoutes(bindings)
}

// reloadOnChange deploys again whenever files change or SIGHUP comes.
func (s *server) reloadOnChange(ctx context.Context) {
	for {
		fresh := s.watcher.follow(ctx, s.cfg) // what changed before it was watched is found by looking
		if !fresh && !s.watcher.wait(ctx) || ctx.Err() != nil {
			return
		}
		err := s.reload(ctx)
		s.watcher.wrong, s.watcher.again = err != nil, 0
		if lacksRoom(err) {
			s.watcher.again = tryAgain
		}
	}
}

// tryAgain is how long after a deploy for which there was no room it is tried again.
const tryAgain = 30 * time.Second

// lacksRoom reports whether err is, or joins, one that may pass without any change of files:
// others were using all memory, or all processors for minutes.
func lacksRoom(err error) bool {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return slices.ContainsFunc(joined.Unwrap(), lacksRoom)
	}
	return function.KindOf(err) == abi.Overloaded
}

// reload deploys the configuration as the files are now. What is wrong leaves
// what serves as it is, and is logged.
func (s *server) reload(ctx context.Context) error {
	start := time.Now()
	cfg, err := config.Load(s.cfg.Path)
	if err == nil && len(cfg.Functions) == 0 && len(s.deployed) > 0 { // as while an editor writes it, or on a full disk
		err = fmt.Errorf("%s names no functions; to serve none, stop the host", s.cfg.Path)
	}
	if err != nil {
		s.log.Error("functions.toml not reloaded; what served goes on", "error", err.Error())
		return err
	}
	if cfg.Host != s.cfg.Host {
		s.log.Warn("changes under [host] take effect after a restart")
		cfg.Host = s.cfg.Host
	}
	s.cfg = cfg
	if err = s.deploy(ctx, cfg); err == nil {
		s.log.Info("reloaded", "functions", len(cfg.Functions), "took", time.Since(start).Round(time.Millisecond).String())
		s.collect()
	} else if ctx.Err() == nil {
		s.log.Error("not deployed; the old version goes on", "error", err.Error())
	}
	return err
}

// collect removes derived files that nothing uses any more. Only a deploy that went well
// has marked those of all that serves as used.
func (s *server) collect() {
	age := derivedAge
	if s.opt.attached {
		age = attachedAge
	}
	if n := collect(s.derived, s.now(), age); n > 0 {
		s.log.Info("old derived files removed", "count", n)
	}
}

// printRoutes tells the person at the terminal what is served, each route with
// a line to paste. It writes once: whoever waits for the first line may send a request
// at once, and a table of ten thousand routes is written in sixty thousand pieces.
func (s *server) printRoutes() {
	var text bytes.Buffer
	fmt.Fprintf(&text, "\nspore serves http://%s\n\n", s.address)
	table, routes := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0), 0
	for _, name := range slices.Sorted(maps.Keys(s.deployed)) {
		for _, r := range s.deployed[name].spec.Routes {
			routes++
			fmt.Fprintf(table, "  %s\t%s\t%s\n", name, r.Method+" "+r.Path, s.tryLine(name, r))
		}
	}
	_ = table.Flush()
	if routes == 0 {
		fmt.Fprintf(&text, "  no routes yet; add a [[function.NAME.route]] to %s\n", s.opt.config)
	}
	fmt.Fprintln(&text)
	_, _ = s.opt.out.Write(text.Bytes())
}

// tryLine is a command that makes a request to the route when pasted.
func (s *server) tryLine(name string, r function.Route) string {
	if r.SlackSecret != "" {
		text := r.Example
		if text == "" {
			text = "/" + name + " help"
		}
		config := ""
		if s.opt.config != "" && s.opt.config != defaultConfig {
			config = " --config " + shellWord(s.opt.config)
		}
		return fmt.Sprintf("%s invoke %s%s --slack %s", commandName(), name, config, shellWord(text))
	}
	words := []string{"curl"}
	switch {
	case r.Method == "HEAD":
		words = append(words, "--head")
	case r.Method != "GET" && r.Method != "POST" || r.Method == "POST" && !strings.Contains(r.Example, "-d"):
		words = append(words, "-X", r.Method)
	}
	if r.Example != "" {
		words = append(words, r.Example)
	}
	return strings.Join(append(words, shellWord("http://"+s.address+samplePath(r.Path))), " ")
}

// shellWord returns s as a shell takes it for one word and nothing else.
func shellWord(s string) string {
	if !strings.ContainsAny(s, " \t$&'\"()*;!~`|<>?[]#\\") {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
