package capability

import "sync"

// places bounds what one function, and all together, have open at once: one element for
// each.
type places struct {
	own, all chan struct{}
	function string // whose own are
	what     string // is open, for errors
}

// take takes a place of both kinds or says at once that there is none: a guest that
// waits holds a sandbox. release may be called more than once.
func (p places) take() (release func(), err error) {
	select {
	case p.own <- struct{}{}:
	default:
		return nil, overloaded("function " + p.function + " has too many " + p.what + " open; read their answers or close them")
	}
	select {
	case p.all <- struct{}{}:
	default:
		<-p.own
		return nil, overloaded("the host has too many " + p.what + " open; try again later")
	}
	return sync.OnceFunc(func() { <-p.all; <-p.own }), nil
}
