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
// --path the one that is for it, where an event with a body rather goes to a route
// whose method has one.
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
	fitting := routesFor(routes, target.EscapedPath())
	if len(fitting) == 0 {
		return function.Route{}, &usageError{fmt.Errorf("function %s has no route for %s; it has %s", spec.Name, opt.path, routeList(routes))}
	}
	if i := slices.IndexFunc(fitting, takesBody); i >= 0 && opt.event != "" {
		return fitting[i], nil
	}
	return fitting[0], nil
}

// routesFor returns the routes that a request for path may take, those first that
// the listener would ask first: the ones with fewer parameters.
func routesFor(routes []function.Route, path string) []function.Route {
	var fitting []function.Route
	for _, r := range routes {
		if _, ok := web.Match(r.Path, path); ok {
			fitting = append(fitting, r)
		}
	}
	slices.SortStableFunc(fitting, func(a, b function.Route) int {
		return strings.Count(a.Path, "{") - strings.Count(b.Path, "{")
	})
	return fitting
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
