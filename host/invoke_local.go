package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"spore/abi"
	"spore/host/config"
	"spore/host/function"
	"spore/host/trigger/web"
)

// runLocally deploys the one function in this process and gives it the event.
// A signature is not checked: nobody else can have sent it.
func runLocally(cmd *cobra.Command, cfg *config.Config, spec *function.Spec, req *http.Request, opt invokeOptions) (*answer, error) {
	errOut := cmd.ErrOrStderr()
	if spec.KV > 0 && cfg.Host.NATS == "" { // the store in the data directory is one process's
		data, err := openDataDir(cfg.Host.Data)
		if err != nil {
			return nil, fmt.Errorf("%w; or send the event to that host, without --local", err)
		}
		defer data.Close()
	}
	log, writer, redact := newLogger("text", errOut)
	defer background(writer.Run)()
	h, err := newHost(cfg, log, redact, time.Now)
	if err != nil {
		return nil, err
	}
	defer h.close()
	one := *cfg
	one.Functions = []function.Spec{*spec}
	if opt.record {
		h.recorder = &recorder{}
		one.Functions[0].Warmup = nil // it may not pass before there is a recording
	}
	stop := progress(errOut, "building and preparing "+spec.Name)
	err = h.deploy(cmd.Context(), &one)
	stop()
	if err != nil {
		return nil, err
	}
	a, err := h.invokeLocal(cmd.Context(), spec.Name, req)
	if err != nil || !opt.record {
		return a, redact.hide(err)
	}
	path := recordingOf(opt.event)
	if err := h.recorder.save(path); err != nil {
		return nil, err
	}
	fmt.Fprintln(errOut, "calls recorded in "+path+"; answers may hold secrets, so look before you keep it")
	for _, why := range h.recorder.unanswered {
		fmt.Fprintln(errOut, "not in it, because it has no answer: "+why)
	}
	return a, nil
}

func (h *host) invokeLocal(ctx context.Context, name string, req *http.Request) (*answer, error) {
	ev, err := eventOf(req)
	if err != nil {
		return nil, err
	}
	ev.RequestID, ev.Trigger = web.NewRequestID(), abi.TriggerInvoke
	var a *answer
	var bad error
	_, err = h.invoker.Invoke(ctx, function.Ref{Name: name}, &ev, func(res *abi.Result, _ bool) {
		status, header, body, err := web.Sent(res)
		if err != nil {
			bad = &function.Error{Kind: abi.GuestError, Op: "invoke " + name, Err: err}
			return
		}
		a = newAnswer(ev.RequestID, status, header, body)
	})
	if a == nil {
		return nil, cmp.Or(bad, err)
	}
	return a, nil
}

// eventOf returns the event that req would be behind a listener.
func eventOf(req *http.Request) (abi.Event, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return abi.Event{}, err
	}
	ev := abi.Event{ContentType: req.Header.Get("Content-Type"), Method: req.Method, Path: req.URL.EscapedPath(),
		RawQuery: req.URL.RawQuery, ClientAddr: "127.0.0.1:0", Body: body}
	if path, err := function.ParsePath(req.Pattern); err == nil {
		ev.Params = path.AppendParams(nil, req.URL.Path)
	}
	for _, key := range slices.Sorted(maps.Keys(req.Header)) {
		ev.Headers = append(ev.Headers, abi.Pair{Name: strings.ToLower(key), Value: req.Header.Get(key)})
	}
	return ev, nil
}
