package guest

// Code that runs beside the handler. It is registered by main and init functions,
// before Start freezes the module.
var (
	warmers  []func()
	restored []func()
)

// Warm registers code that runs once, when the function is deployed: after main
// has reached Start, and before the host takes the snapshot that every request
// starts from. It is the place for what a first request would otherwise build:
// caches, parsed templates, pools. Registered functions run in order, within
// init_timeout; outbound calls and secrets are refused, and a panic fails the
// deploy.
//
// What such code leaves in memory stays, in every request: a counter it has raised
// to N starts at N, a time it has read is the time of the deploy, and a goroutine it
// leaves behind goes on in each sandbox. The same holds for the sample events
// that functions.toml names in warmup.
//
// The same code in main would warm up as well, and would run where nothing is
// gained by it too: in every request of a host that keeps no snapshot.
func Warm(f func()) {
	if f == nil {
		panic("guest.Warm was given no function")
	}
	warmers = append(warmers, f)
}

// OnRestore registers code that runs in every request before the handler, in
// order of registration. It is for state that main made random or unique and that
// would repeat, because every request starts from the same snapshot: generators
// made with rand.New, pools of identifiers. The functions of math/rand and
// math/rand/v2, hash/maphash, map iteration and crypto/rand need no such care. A
// panic is answered like one of the handler's.
func OnRestore(f func()) {
	if f == nil {
		panic("guest.OnRestore was given no function")
	}
	restored = append(restored, f)
}
