package web

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fasthttp/router"
	"github.com/valyala/fasthttp"

	"spore/host/function"
)

// healthPath is the one path that belongs to the host.
const healthPath = "/healthz"

// Binding is a route and the function behind it.
type Binding struct {
	function.Route
	Function string
}

// table is an immutable set of routes.
type table struct{ router *router.Router }

// route is a Binding with what is known about it beforehand.
type route struct {
	Binding
	params []string // names, in the order of the path
}

// SetRoutes replaces all routes at once; requests being served keep theirs. A
// GET route answers HEAD as well, unless there is a route for it. On error (a
// malformed path, two routes that clash, the path /healthz) nothing changes.
func (s *Server) SetRoutes(bindings []Binding) error {
	bindings = slices.Clone(bindings)
	slices.SortStableFunc(bindings, literalFirst)
	t := newTable()
	t.router.NotFound = func(ctx *fasthttp.RequestCtx) { refuse(ctx, notFound) }
	t.router.MethodNotAllowed = t.refuseMethod
	for _, b := range bindings {
		if err := t.add(b.Method, b, s.answer); err != nil {
			return err
		}
	}
	for _, b := range bindings {
		if b.Method != fasthttp.MethodGet || slices.ContainsFunc(bindings, isHead(b.Path)) {
			continue
		}
		if err := t.add(fasthttp.MethodHead, b, s.answer); err != nil {
			return err
		}
	}
	s.table.Store(t)
	return nil
}

// literalFirst orders bindings for the router, which takes "/a" before
// "/a/{rest:*}" but not after it.
func literalFirst(a, b Binding) int {
	return strings.Count(a.Path, "{") - strings.Count(b.Path, "{")
}

func isHead(path string) func(Binding) bool {
	return func(b Binding) bool { return b.Method == fasthttp.MethodHead && b.Path == path }
}

func newTable() *table {
	r := router.New()
	// A redirect would answer for a function that was not asked.
	r.RedirectTrailingSlash = false
	r.RedirectFixedPath = false
	r.HandleOPTIONS = false
	healthy := func(ctx *fasthttp.RequestCtx) {
		ctx.SetContentType("text/plain; charset=utf-8")
		ctx.SetBodyString("ok")
	}
	r.GET(healthPath, healthy)
	r.HEAD(healthPath, healthy)
	return &table{r}
}

// add enters one route. The router reports a path it cannot take by a panic,
// and the path comes from a configuration file.
func (t *table) add(method string, b Binding, serve func(*fasthttp.RequestCtx, *route)) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("add route %s %s of function %s: %v", method, b.Path, b.Function, p)
		}
	}()
	params, ok := paramNames(b.Path)
	if !ok {
		panic("a brace has no partner")
	}
	r := &route{b, params}
	t.router.Handle(method, b.Path, func(ctx *fasthttp.RequestCtx) { serve(ctx, r) })
	return nil
}

// refuseMethod answers 405. The router names OPTIONS among the methods allowed
// whether there is such a route or not.
func (t *table) refuseMethod(ctx *fasthttp.RequestCtx) {
	path := string(ctx.Request.URI().PathOriginal())
	if h, _ := t.router.Lookup(fasthttp.MethodOptions, path, nil); h == nil {
		allowed := strings.Split(string(ctx.Response.Header.Peek(fasthttp.HeaderAllow)), ", ")
		allowed = slices.DeleteFunc(allowed, func(m string) bool { return m == fasthttp.MethodOptions })
		ctx.Response.Header.Set(fasthttp.HeaderAllow, strings.Join(allowed, ", "))
	}
	refuse(ctx, methodNotAllowed)
}

// paramNames returns the names in a path such as "/a/{name}/{rest:*}". What
// follows the name is the router's: ":*", ":" and an expression, or "?". Braces
// that don't match are not ok; the router takes them for text.
func paramNames(path string) (names []string, ok bool) {
	depth := 0
	for i, c := range path {
		switch {
		case c == '{':
			if depth == 0 {
				name, _, _ := strings.Cut(path[i+1:], "}")
				name, _, _ = strings.Cut(name, ":")
				names = append(names, strings.TrimSuffix(name, "?"))
			}
			depth++
		case c == '}' && depth == 0:
			return nil, false
		case c == '}':
			depth--
		}
	}
	return names, depth == 0
}
