package web

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"

	"spore/host/function"
)

// Binding is a route and the function behind it.
type Binding struct {
	function.Route
	Function string
}

// route is a Binding with its path taken apart.
type route struct {
	Binding
	path function.Path
}

// health is the host's own route.
var health = &route{Binding{Function: "(the host)"}, function.Path{{Kind: function.Literal, Text: function.HealthPath[1:]}}}

// table is an immutable set of routes, a tree for each method.
type table map[string]*node

// node is where the paths of some routes have come to, segment by segment. What comes
// next is looked for among the literals, then as a parameter, then as a rest; a way that
// leads to no route is given up for the next. So the most specific route answers, in
// whatever order they were added. A lookup comes to each node at most once.
type node struct {
	literals  map[string]*node
	parameter *node
	rest      *route
	end       *route // of paths that end here
}

// SetRoutes replaces all routes at once; requests being served keep theirs. A
// GET route answers HEAD as well, unless there is a route for it. On error (a
// malformed path, two routes that clash, a GET of function.HealthPath) nothing changes.
func (s *Server) SetRoutes(bindings []Binding) error {
	set, err := s.PrepareRoutes(bindings)
	if err == nil {
		set()
	}
	return err
}

// PrepareRoutes is SetRoutes for a caller that has something to do between finding out
// whether the routes are good and calling set, which replaces them.
func (s *Server) PrepareRoutes(bindings []Binding) (set func(), err error) {
	t := table{}
	*t.slot(fasthttp.MethodGet, health.path) = health
	*t.slot(fasthttp.MethodHead, health.path) = health
	for _, b := range bindings {
		if err := t.add(b); err != nil {
			return nil, fmt.Errorf("add route %s %s of function %s: %w", b.Method, b.Path, b.Function, err)
		}
	}
	for _, r := range t[fasthttp.MethodGet].all() {
		if slot := t.slot(fasthttp.MethodHead, r.path); *slot == nil {
			*slot = r
		}
	}
	return func() { s.table.Store(&t) }, nil
}

func (t table) add(b Binding) error {
	path, err := function.ParsePath(b.Path)
	if err != nil {
		return fmt.Errorf("the path %w", err)
	}
	if b.Method == "" {
		return errors.New("it has no method")
	}
	slot := t.slot(b.Method, path)
	if *slot != nil {
		return fmt.Errorf("%s has it already", (*slot).Function)
	}
	*slot = &route{b, path}
	return nil
}

// slot returns where the route of that method and path belongs.
func (t table) slot(method string, path function.Path) **route {
	if t[method] == nil {
		t[method] = &node{}
	}
	n := t[method]
	for _, s := range path {
		switch s.Kind {
		case function.Literal:
			n = n.literal(s.Text)
		case function.Parameter:
			if n.parameter == nil {
				n.parameter = &node{}
			}
			n = n.parameter
		case function.Rest:
			return &n.rest
		}
	}
	return &n.end
}

func (n *node) literal(text string) *node {
	if n.literals == nil {
		n.literals = map[string]*node{}
	}
	if n.literals[text] == nil {
		n.literals[text] = &node{}
	}
	return n.literals[text]
}

// all returns the routes from n on.
func (n *node) all() []*route {
	if n == nil {
		return nil
	}
	list := slices.DeleteFunc([]*route{n.rest, n.end}, func(r *route) bool { return r == nil })
	for _, next := range n.literals {
		list = append(list, next.all()...)
	}
	return append(list, n.parameter.all()...)
}

// find returns the route of a request, or nil.
func (t table) find(method, path string) *route {
	return t[method].find(strings.TrimPrefix(path, "/"))
}

// find looks from n on for what is left of a path, without the slash before it.
func (n *node) find(path string) *route {
	if n == nil {
		return nil
	}
	text, left, more := strings.Cut(path, "/")
	if r := n.literals[text].after(left, more); r != nil {
		return r
	}
	if text != "" {
		if r := n.parameter.after(left, more); r != nil {
			return r
		}
	}
	return n.rest
}

// after is find behind a segment that was the last one, unless there is more.
func (n *node) after(left string, more bool) *route {
	if n == nil || more {
		return n.find(left)
	}
	return n.end
}

// Match returns which of routes a listener answers a request with. path is decoded. ok is
// false when there is none.
func Match(routes []function.Route, method, path string) (match function.Route, ok bool) {
	t := table{}
	for _, r := range routes {
		_ = t.add(Binding{Route: r}) // what cannot be added cannot be asked
	}
	r := t.find(method, path)
	if r == nil {
		return function.Route{}, false
	}
	return r.Route, true
}

// allowed returns the methods that path has a route for.
func (t table) allowed(path string) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(t)), func(method string) bool { return t.find(method, path) == nil })
}
