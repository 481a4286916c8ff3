package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"spore/abi"
	"spore/host/config"
	"spore/host/function"
	"spore/host/trigger/web"
)

// newRequest makes the HTTP request that the event is.
func newRequest(cfg *config.Config, spec *function.Spec, opt invokeOptions) (*http.Request, error) {
	route, err := chooseRoute(spec, opt)
	if err != nil {
		return nil, err
	}
	base := strings.TrimSuffix(opt.hostURL, "/")
	if base == "" {
		base = "http://" + cfg.Host.Listen
	}
	path := route.Path
	if opt.path != "" {
		path = opt.path
	}
	if strings.Contains(path, "{") {
		return nil, &usageError{fmt.Errorf("the route %s has parameters; give the path to ask for with --path, as in --path %s", path, samplePath(path))}
	}
	var req *http.Request
	if opt.slack != "" {
		req, err = newSlackRequest(cfg, route, base+path, opt)
	} else {
		req, err = newEventRequest(route, base+path, opt)
	}
	if err != nil {
		return nil, err
	}
	req.Pattern = route.Path // for the event's parameters, should it be given to the function here
	return req, nil
}

// newEventRequest makes the request whose body is the event.
func newEventRequest(route function.Route, target string, opt invokeOptions) (*http.Request, error) {
	body, err := readEvent(opt.event)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequest(route.Method, target, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if len(body) > 0 {
		req.Header.Set("Content-Type", contentType(opt.event, body))
	}
	return req, nil
}

func readEvent(file string) ([]byte, error) {
	in, name := os.Stdin, "standard input"
	switch file {
	case "":
		return nil, nil
	case "-":
	default:
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in, name = f, file
	}
	body, err := io.ReadAll(io.LimitReader(in, abi.MaxBody+1))
	if err == nil && len(body) > abi.MaxBody {
		err = fmt.Errorf("%s is over the limit of %d bytes for an event's body", name, abi.MaxBody)
	}
	return body, err
}

func contentType(file string, body []byte) string {
	switch {
	case filepath.Ext(file) == ".form":
		return "application/x-www-form-urlencoded"
	case filepath.Ext(file) == ".json" || json.Valid(body):
		return "application/json"
	}
	return "application/octet-stream"
}

func sendToHost(cmd *cobra.Command, spec *function.Spec, req *http.Request) (*answer, error) {
	client := &http.Client{Timeout: spec.Limits.Timeout + 5*time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req.WithContext(cmd.Context()))
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return nil, &function.Error{Kind: abi.Unavailable, Op: "invoke " + spec.Name,
			Err: fmt.Errorf("no host answers at %s; start it with %s serve, or add --local", req.URL.Host, commandName())}
	}
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, abi.MaxBody))
	if err != nil {
		return nil, err
	}
	return newAnswer(res.Header.Get("X-Spore-Request-Id"), res.StatusCode, res.Header, body), nil
}

// chooseRoute returns the route that the event goes through: the first, or with
// --path the first that a listener would take for it, where an event with a body rather
// goes to a route whose method has one.
func chooseRoute(spec *function.Spec, opt invokeOptions) (function.Route, error) {
	routes := spec.Routes
	if opt.slack != "" {
		routes = slices.DeleteFunc(slices.Clone(routes), func(r function.Route) bool { return r.SlackSecret == "" })
	}
	switch {
	case len(routes) > 0:
	case opt.slack != "":
		return function.Route{}, &usageError{fmt.Errorf(`function %s has no route with verify = { slack = "…" }`, spec.Name)}
	case opt.local:
		return function.Route{Method: http.MethodPost, Path: "/"}, nil
	default:
		return function.Route{}, &usageError{fmt.Errorf("function %s has no route to send the event to; run it here with --local", spec.Name)}
	}
	if opt.path == "" {
		return routes[0], nil
	}
	target, err := url.Parse(opt.path)
	if err != nil {
		return function.Route{}, &usageError{fmt.Errorf("--path %q is no path; write it as in a URL, like /greet/Ada", opt.path)}
	}
	fitting := slices.DeleteFunc(slices.Clone(routes), func(r function.Route) bool {
		match, ok := web.Match(spec.Routes, r.Method, target.Path)
		return !ok || match != r
	})
	if len(fitting) == 0 {
		return function.Route{}, &usageError{fmt.Errorf("function %s has no route for %s; it has %s", spec.Name, opt.path, routeList(routes))}
	}
	if i := slices.IndexFunc(fitting, takesBody); i >= 0 && opt.event != "" {
		return fitting[i], nil
	}
	return fitting[0], nil
}

func takesBody(r function.Route) bool {
	return r.Method != http.MethodGet && r.Method != http.MethodHead
}

func routeList(routes []function.Route) string {
	var all []string
	for _, r := range routes {
		all = append(all, r.Method+" "+r.Path)
	}
	return strings.Join(all, ", ")
}

// samplePath is a route's path with the names of its parameters for their values.
func samplePath(path string) string {
	return strings.NewReplacer("{", "", ":*}", "", "}", "").Replace(path)
}
