package main

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"spore/host/function"
	"spore/host/trigger/web"
)

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
