package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

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
	if !slices.Contains(strings.Fields(methods), route.Method) {
		r.problem("method", fmt.Sprintf("%q is not a method of a route", clip(route.Method)), "use one of "+methods)
	}
	if _, there := r.values["path"]; !there {
		r.add(r.path, "has no path", `add path = "/..."`)
	}
	if route.Path == "" {
		return route
	}
	shape, wrong := pathShape(route.Path)
	if wrong != "" {
		r.problem("path", wrong, `write it like "/users/{id}" or "/files/{rest:*}"`)
		return route
	}
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
	case !isSecretName(name):
		verify.problem("slack", "is not the name of a secret", "use A-Z, a-z, 0-9 and _, not a digit first")
	case slices.Contains(granted, name):
		verify.problem("slack", name+" is granted to the function as well", "remove it from secrets; the host checks signatures")
	case !t.secretSource:
		verify.problem("slack", name+" has no source", "add a [secrets] table with file, env or directory")
	}
	return name
}

// pathShape checks a path and returns it without the names of its parameters, which do
// not tell two routes apart, and without a slash at the end, which tells them apart for
// programs and not for people.
func pathShape(path string) (shape, wrong string) {
	if !strings.HasPrefix(path, "/") {
		return "", `does not begin with "/"`
	}
	segments := strings.Split(strings.TrimSuffix(path[1:], "/"), "/")
	var names []string
	for i, segment := range segments {
		if path == "/" {
			break
		}
		name, rest, param := parameter(segment)
		switch {
		case !param && !isLiteral(segment):
			return "", fmt.Sprintf("has a segment %q that no request matches", clip(segment))
		case !param:
			continue
		case slices.Contains(names, name):
			return "", "has two parameters called " + clip(name)
		case rest && (i < len(segments)-1 || strings.HasSuffix(path, "/")):
			return "", "goes on after {" + clip(name) + ":*}"
		}
		names = append(names, name)
		segments[i] = "{}"
		if rest {
			segments[i] = "{:*}"
		}
	}
	return "/" + strings.Join(segments, "/"), ""
}

// parameter splits "{name}" and "{name:*}".
func parameter(segment string) (name string, rest, ok bool) {
	name, ok = strings.CutPrefix(segment, "{")
	if !ok {
		return "", false, false
	}
	name, ok = strings.CutSuffix(name, "}")
	name, rest = strings.CutSuffix(name, ":*")
	return name, rest, ok && isSecretName(name)
}

// isLiteral reports whether a segment stands for itself in a decoded path: the
// characters RFC 3986 section 3.3 allows there without percent-encoding.
func isLiteral(segment string) bool {
	other := func(r rune) bool { return !isAlphanumeric(r) && !strings.ContainsRune("-._~!$&'()*+,;=:@", r) }
	return segment != "" && segment != "." && segment != ".." && !strings.ContainsFunc(segment, other)
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
