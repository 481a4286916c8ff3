package web

import (
	"context"
	"iter"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"spore/abi"
	"spore/host/function"
)

func TestRoutes(t *testing.T) {
	h := start(t, Options{Invoker: invoker(echo)},
		bind("GET", "/a/{name}", "named"),
		bind("POST", "/a/{name}", "posted"),
		bind("GET", "/a/{name}/files/{rest:*}", "files"),
		bind("POST", "/hook", "hook"),
		bind("HEAD", "/own", "own head"),
		bind("GET", "/own", "own get"),
		bind("GET", "/", "root"),
	)
	tests := map[string]struct {
		method, target string
		status         int
		body, allow    string
	}{
		"the root":                   {"GET", "/", 200, "root GET /?", ""},
		"a parameter":                {"GET", "/a/x?q=1", 200, "named GET /a/x?q=1 name=x", ""},
		"the other method of a path": {"POST", "/a/x", 200, "posted POST /a/x? name=x", ""},
		"a parameter is decoded, the path is not":        {"GET", "/a/caf%C3%A9%20%3f", 200, "named GET /a/caf%C3%A9%20%3f? name=café ?", ""},
		"a literal is its letters however they are sent": {"POST", "/h%6fok", 200, "hook POST /h%6fok?", ""},
		"a percent sign is decoded once":                 {"GET", "/a/1%2541", 200, "named GET /a/1%2541? name=1%41", ""},
		"a plus is a plus in a path":                     {"GET", "/a/1+1", 200, "named GET /a/1+1? name=1+1", ""},
		"parameters come in the path's order":            {"GET", "/a/x/files/y/z", 200, "files GET /a/x/files/y/z? name=x rest=y/z", ""},
		"a rest may be empty":                            {"GET", "/a/x/files/", 200, "files GET /a/x/files/? name=x rest=", ""},
		"a rest begins behind a slash":                   {"GET", "/a/x/files", 404, "", ""},
		"a parameter is not empty":                       {"GET", "/a/", 404, "", ""},
		"HEAD of a GET route":                            {"HEAD", "/a/x", 200, "", ""},
		"HEAD of a route of its own":                     {"HEAD", "/own", 200, "", ""},
		"no such path":                                   {"GET", "/nowhere", 404, "", ""},
		"a trailing slash is another path":               {"GET", "/hook/", 404, "", ""},
		"case matters":                                   {"GET", "/A/x", 404, "", ""},
		"another method":                                 {"GET", "/hook", 405, "", "POST"},
		"another method of a GET route":                  {"DELETE", "/a/x", 405, "", "GET, HEAD, POST"},
		"OPTIONS is a method like others":                {"OPTIONS", "/hook", 405, "", "POST"},
		"a method nobody knows":                          {"BREW", "/hook", 405, "", "POST"},
		"health":                                         {"GET", "/healthz", 200, "ok", ""},
		"HEAD of health":                                 {"HEAD", "/healthz", 200, "", ""},
		"health takes no more":                           {"POST", "/healthz", 405, "", "GET, HEAD"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := h.ask(t, request(test.method, test.target, ""))
			require.Equal(t, test.status, got.status)
			require.Equal(t, test.allow, got.header.Get("Allow"))
			require.NotEmpty(t, got.header.Get(requestIDHeader))
			require.Empty(t, got.header.Get("Server"))
			switch test.status {
			case 404:
				require.Equal(t, "not_found", got.code(t))
			case 405:
				require.Equal(t, "method_not_allowed", got.code(t))
			default:
				require.Equal(t, test.body, got.body)
			}
		})
	}
}

func TestHeadHasTheLengthOfItsGet(t *testing.T) {
	h := start(t, Options{Invoker: answering(abi.Result{Body: []byte("12345")})}, bind("GET", "/x", "f"))
	c := h.dial(t)
	got := c.send(request("HEAD", "/x", "")).read("HEAD")
	require.Equal(t, "5", got.header.Get("Content-Length"))
	require.Equal(t, "12345", c.send(request("GET", "/x", "")).read("GET").body, "the connection is in step")
}

func TestHealthNeedsNoRoutes(t *testing.T) {
	h := start(t, Options{})
	require.Equal(t, "ok", h.ask(t, request("GET", "/healthz", "")).body)
	require.Equal(t, 404, h.ask(t, request("GET", "/", "")).status)
}

// TestTheMostSpecificRouteAnswers whatever the order in which routes are given: of two that
// match, the one that says more about the first segment in which they differ.
func TestTheMostSpecificRouteAnswers(t *testing.T) {
	tests := map[string]struct {
		routes []string
		want   map[string]string // path, and the route that answers it
	}{
		"a literal path, and what begins like it": {
			[]string{"/a", "/a/b", "/{rest:*}"},
			map[string]string{"/a": "/a", "/a/": "/{rest:*}", "/a/b": "/a/b", "/a/b/": "/{rest:*}", "/ab": "/{rest:*}", "/": "/{rest:*}"},
		},
		"a parameter above other routes": {
			[]string{"/{page}", "/a/{id}", "/a/{rest:*}"},
			map[string]string{"/a": "/{page}", "/b": "/{page}", "/a/1": "/a/{id}", "/a/1/2": "/a/{rest:*}", "/a/": "/a/{rest:*}"},
		},
		"parameters of several names": {
			[]string{"/{x}", "/{x}/{y}", "/{z}/c", "/{x}/{rest:*}"},
			map[string]string{"/a": "/{x}", "/a/c": "/{z}/c", "/a/b": "/{x}/{y}", "/a/b/c": "/{x}/{rest:*}"},
		},
		"a way that leads nowhere": {
			[]string{"/a/b/c", "/a/{x}/d", "/{x}/b/e"},
			map[string]string{"/a/b/c": "/a/b/c", "/a/b/d": "/a/{x}/d", "/a/b/e": "/{x}/b/e", "/a/b/f": ""},
		},
		"a rest on the way that leads nowhere": {
			[]string{"/a/b/{rest:*}", "/a/{rest:*}", "/{x}/{y}"},
			map[string]string{"/a/b": "/a/{rest:*}", "/a/b/c": "/a/b/{rest:*}", "/a/c": "/a/{rest:*}", "/b/c": "/{x}/{y}"},
		},
		"a slash at the end": {
			[]string{"/c/", "/{x}"},
			map[string]string{"/c/": "/c/", "/c": "/{x}", "/d": "/{x}"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := New(Options{Invoker: invoker(echo)})
			for order := range permutations(test.routes) {
				var bindings []Binding
				for _, path := range order {
					bindings = append(bindings, bind("GET", path, path))
				}
				require.NoError(t, s.SetRoutes(bindings))
				for path, want := range test.want {
					got := ""
					if r := s.table.Load().find("GET", path); r != nil {
						got = r.Function
					}
					require.Equal(t, want, got, "%s of %v", path, order)
				}
			}
		})
	}
}

// permutations yields every order of list.
func permutations(list []string) iter.Seq[[]string] {
	return func(yield func([]string) bool) {
		if len(list) == 0 {
			yield(nil)
			return
		}
		for i := range list {
			for others := range permutations(slices.Concat(list[:i], list[i+1:])) {
				if !yield(append([]string{list[i]}, others...)) {
					return
				}
			}
		}
	}
}

// TestAHeadRouteMayNameItsParametersOtherwise than the GET route of the same paths.
func TestAHeadRouteMayNameItsParametersOtherwise(t *testing.T) {
	h := start(t, Options{Invoker: invoker(echo)}, bind("GET", "/a/{x}", "get"), bind("HEAD", "/a/{y}", "head"))
	require.Equal(t, strconv.Itoa(len("head HEAD /a/1? y=1")), h.ask(t, request("HEAD", "/a/1", "")).header.Get("Content-Length"))
}

func TestACatchAllMayComeBeforeALiteralPath(t *testing.T) {
	h := start(t, Options{Invoker: invoker(echo)}, bind("GET", "/a/{rest:*}", "rest"), bind("GET", "/a", "literal"))
	require.Equal(t, "literal GET /a?", h.ask(t, request("GET", "/a", "")).body)
	require.Equal(t, "rest GET /a/b? rest=b", h.ask(t, request("GET", "/a/b", "")).body)
}

func TestOwnOptionsRouteIsNamed(t *testing.T) {
	h := start(t, Options{Invoker: invoker(echo)}, bind("POST", "/x", "f"), bind("OPTIONS", "/x", "f"))
	require.Equal(t, "OPTIONS, POST", h.ask(t, request("GET", "/x", "")).header.Get("Allow"))
	require.Equal(t, "f OPTIONS /x?", h.ask(t, request("OPTIONS", "/x", "")).body)
}

func TestBadRoutesChangeNothing(t *testing.T) {
	h := start(t, Options{Invoker: invoker(echo)}, bind("GET", "/x", "before"))
	for name, b := range map[string][]Binding{
		"two functions on one route":   {bind("GET", "/y", "a"), bind("GET", "/y", "b")},
		"a path without a slash":       {bind("GET", "y", "a")},
		"a brace that is never shut":   {bind("GET", "/{y", "a")},
		"a brace that is never opened": {bind("GET", "/y}", "a")},
		"a parameter without a name":   {bind("GET", "/{}", "a")},
		"a parameter and something":    {bind("GET", "/{a}-{b}", "a")},
		"a rest before the end":        {bind("GET", "/{a:*}/b", "a")},
		"no method":                    {bind("", "/y", "a")},
		"the path of the host itself":  {bind("GET", "/healthz", "a")},
	} {
		t.Run(name, func(t *testing.T) {
			err := h.SetRoutes(b)
			require.ErrorContains(t, err, "add route "+b[0].Method+" "+b[0].Path)
			require.Equal(t, "before GET /x?", h.ask(t, request("GET", "/x", "")).body)
		})
	}
}

// TestRoutesChangeUnderLoad swaps tables while requests run: each gets the old
// function or the new one, and nobody gets anything else.
func TestRoutesChangeUnderLoad(t *testing.T) {
	h := start(t, Options{Invoker: invoker(echo)}, bind("GET", "/x", "even"))
	var swapping sync.WaitGroup
	var done atomic.Bool
	swapping.Go(func() {
		names := []string{"odd", "even"}
		for i := 0; !done.Load(); i++ {
			if err := h.SetRoutes([]Binding{bind("GET", "/x", names[i%2])}); err != nil {
				t.Error(err)
			}
		}
	})
	var load sync.WaitGroup
	var wrong atomic.Int32
	for range 8 {
		c := h.dial(t)
		load.Go(func() {
			for range 200 {
				body := c.send(request("GET", "/x", "")).read("GET").body
				if body != "even GET /x?" && body != "odd GET /x?" {
					wrong.Add(1)
				}
			}
		})
	}
	load.Wait()
	done.Store(true)
	swapping.Wait()
	require.Zero(t, wrong.Load())
}

// TestSwapKeepsWhatIsRunning: a request stays with the function it came to.
func TestSwapKeepsWhatIsRunning(t *testing.T) {
	entered, goOn := make(chan string, 1), make(chan struct{})
	inv := func(ctx context.Context, ref function.Ref, ev *abi.Event, reply function.Reply) error {
		entered <- ref.Name
		<-goOn
		return echo(ctx, ref, ev, reply)
	}
	h := start(t, Options{Invoker: invoker(inv)}, bind("GET", "/x", "old"))
	c := h.dial(t).send(request("GET", "/x", ""))
	require.Equal(t, "old", await(t, entered))
	require.NoError(t, h.SetRoutes(nil))
	close(goOn)
	require.Equal(t, "old GET /x?", c.read("GET").body)
	require.Equal(t, 404, c.send(request("GET", "/x", "")).read("GET").status)
}
