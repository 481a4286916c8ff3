package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"spore/host/function"
)

// methods a route may have.
const methods = "GET HEAD POST PUT PATCH DELETE"

// route reads one [[function.NAME.route]]. granted are the secrets the function
// itself may read.
func (t functionTable) route(r *table, granted []string, routes *routeSet) function.Route {
	route := function.Route{
		Method:      r.str("method", "GET"),
		Path:        r.str("path", ""),
		SlackSecret: t.slackSecret(r, granted),
		Example:     r.str("example", ""),
	}
	r.done()
	if strings.ContainsFunc(route.Example, func(c rune) bool { return !unicode.IsPrint(c) }) {
		r.problem("example", "has a character that cannot be printed", "serve prints it on one line, to be pasted")
	}
	if !slices.Contains(strings.Fields(methods), route.Method) {
		r.problem("method", fmt.Sprintf("%q is not a method of a route", clip(route.Method)), "use one of "+methods)
	}
	if _, there := r.values["path"]; !there {
		r.add(r.path, "has no path", `add path = "/..."`)
	}
	if route.Path == "" {
		return route
	}
	path, err := function.ParsePath(route.Path)
	if err != nil {
		r.problem("path", clip(err.Error()), `write it like "/users/{id}" or "/files/{rest:*}"`)
		return route
	}
	shape := path.Shape()
	if shape == function.HealthPath && (route.Method == "GET" || route.Method == "HEAD") {
		r.problem("path", "is the host's own, which answers whoever watches it", "choose another path")
	}
	routes.add(r.path, route.Method+" "+shape)
	return route
}

// slackSecret reads verify. The signing secret stays with the host: a function
// that could read it could forge its own callers.
func (t functionTable) slackSecret(r *table, granted []string) string {
	verify := r.table("verify")
	name := verify.str("slack", "")
	verify.done()
	switch {
	case verify.values != nil && len(verify.values) == 0:
		r.problem("verify", "names no secret", `write verify = { slack = "SECRET_NAME" }`)
	case name == "":
	case !function.IsIdentifier(name):
		verify.problem("slack", "is not the name of a secret", "use A-Z, a-z, 0-9 and _, not a digit first")
	case slices.Contains(granted, name):
		verify.problem("slack", name+" is granted to the function as well", "remove it from secrets; the host checks signatures")
	case !t.secretSource:
		verify.problem("slack", name+" has no source", "add a [secrets] table with file, env or directory")
	}
	return name
}

// routeSet finds routes of the whole file that answer the same requests.
type routeSet struct {
	*problems
	all []routeAt
}

type routeAt struct {
	line       int
	key, shape string
}

func (s *routeSet) add(key, shape string) {
	s.all = append(s.all, routeAt{s.line(key), key, shape})
}

func (s *routeSet) refuseDuplicates() {
	slices.SortStableFunc(s.all, func(a, b routeAt) int { return cmp.Compare(a.line, b.line) })
	first := map[string]routeAt{}
	for _, r := range s.all {
		f, taken := first[r.shape]
		if !taken {
			first[r.shape] = r
			continue
		}
		s.problems.add(r.key, r.shape+" is a route already", fmt.Sprintf("change this one or %s on line %d", f.key, f.line))
	}
}
