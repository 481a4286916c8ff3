package sandbox_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"spore/abi"
	"spore/host/function"
	"spore/host/sandbox"
)

// The states of abi/README.md 7.8, and what a call that is not allowed answers
// there: 0 where it is.
const (
	initialising = iota
	entered
	handedOut
	answered
)

var refusals = map[string][4]int32{
	abi.ImportGetNextRequest: {entered: 0, handedOut: -11, answered: -11},
	abi.ImportBodyRead:       {initialising: -11, entered: -11, handedOut: 0, answered: -11},
	abi.ImportSendResponse:   {initialising: -11, entered: -11, handedOut: 0, answered: -11},
	abi.ImportSendError:      {initialising: -11, entered: -11, handedOut: 0, answered: -11},
	abi.ImportHTTPStart:      {initialising: -4, entered: -11, handedOut: 0, answered: 0},
	abi.ImportKVStart:        {initialising: -4, entered: -11, handedOut: 0, answered: 0},
	abi.ImportSecretGet:      {initialising: -4, entered: -11, handedOut: 0, answered: 0},
	abi.ImportLog:            {initialising: 0, entered: -11, handedOut: 0, answered: 0},
}

// TestStateBeforeArguments makes every call that its state does not allow with
// arguments that are wrong too, on hosts with and without capabilities.
func TestStateBeforeArguments(t *testing.T) {
	ways := [4][]step{entered: {}, handedOut: {take(anyResult)}, answered: {take(anyResult), respond()}}
	bare := capable()
	bare.Capabilities = sandbox.Capabilities{}
	for _, fn := range imports {
		for state, want := range refusals[fn.name] {
			if want == 0 {
				continue
			}
			misuse := call(fn.name, want, []int32{-1, -1, -1, -1}[:len(fn.params)]...)
			guest := handmade{serve: append(ways[state], misuse)}
			kind := abi.OutOfOrder
			if state == initialising {
				guest, kind = handmade{init: []step{misuse}, serve: ways[answered]}, abi.None
			}
			for _, s := range []sandbox.Settings{capable(), bare} {
				_, _, err := ask(t, guest.prepare(t, s), abi.Event{}, time.Second)
				require.Equal(t, kind, function.KindOf(err), "%s in state %d: %v", fn.name, state, err)
			}
		}
	}
}

// model is a guest's life as abi/README.md tells it, sections 6 to 8: what each
// call answers, and what becomes of the event.
type model struct {
	state             int
	frame, body       int32 // sizes of the event's
	calls             int32
	reported, misused bool
}

// call returns the answer to a call, in the order the document judges it: state,
// limits, ranges, content.
func (m *model) call(fn string, a []int32) int32 {
	if refusal := refusals[fn][m.state]; refusal != 0 {
		m.misused = m.misused || refusal == -11 && m.state != initialising && !m.reported // which ended it
		return refusal
	}
	switch fn {
	case abi.ImportGetNextRequest:
		switch {
		case uint32(a[1]) < uint32(m.frame):
		case !inside(a[0], m.frame):
			return -2
		default:
			m.state = handedOut
		}
		return m.frame
	case abi.ImportBodyRead:
		if uint32(a[2]) > uint32(m.body) {
			return -2
		}
		n := int32(min(uint32(a[1]), uint32(m.body-a[2])))
		if !inside(a[0], n) {
			return -2
		}
		return n
	case abi.ImportSecretGet:
		return m.secret(a)
	}
	if refusal := judge(frames[fn], a[0], a[1]); refusal != 0 {
		return refusal
	}
	switch fn {
	case abi.ImportSendResponse:
		m.state = answered
	case abi.ImportSendError:
		m.state, m.reported = answered, true
	case abi.ImportHTTPStart, abi.ImportKVStart:
		m.calls++
		return firstCall + m.calls - 1
	}
	return 0
}

func (m *model) secret(a []int32) int32 {
	const value = int32(len("s3cret"))
	switch {
	case uint32(a[1]) > abi.MaxSecretName:
		return -10
	case !inside(a[0], a[1]):
		return -2
	case a[0] != nameAt || a[1] != 5:
		return -4
	case uint32(a[3]) >= uint32(value) && !inside(a[2], value):
		return -2
	}
	return value
}

// outcome is the event's error when spore_serve returns.
func (m *model) outcome() abi.Kind {
	switch {
	case m.reported:
		return abi.GuestError
	case m.misused:
		return abi.OutOfOrder
	case m.state != answered:
		return abi.NoAnswer
	}
	return abi.None
}

// firstCall is the descriptor this host gives first; the document says "above 2".
const firstCall = 8

func inside(ptr, size int32) bool { return uint64(uint32(ptr))+uint64(uint32(size)) <= memorySize }

// frames holds the one frame a handmade guest has for each function that takes
// one. Any other range in its memory is none.
var frames = map[string]frame{
	abi.ImportSendResponse: {resultAt, int32(len(resultFrame)), abi.MaxHead + abi.MaxBody},
	abi.ImportSendError:    {errorAt, int32(len(errorFrame)), abi.MaxHead},
	abi.ImportHTTPStart:    {httpAt, int32(len(httpFrame)), abi.MaxHead + abi.MaxBody},
	abi.ImportKVStart:      {kvAt, int32(len(kvFrame)), abi.MaxHead + abi.MaxKVValue},
	abi.ImportLog:          {logAt, int32(len(logFrame)), abi.MaxLogRecord},
}

type frame struct {
	at, size int32
	limit    uint32
}

func judge(f frame, ptr, size int32) int32 {
	switch {
	case uint32(size) > f.limit:
		return -10
	case !inside(ptr, size) || ptr != f.at || size != f.size:
		return -2
	}
	return 0
}

// randomCall returns a call that is right in half of the cases. What it writes
// goes behind the frames or outside the memory.
func randomCall(r *rand.Rand, m *model) (string, []int32) {
	pick := func(right int32, others ...int32) int32 {
		if r.IntN(3) > 0 {
			return right
		}
		return others[r.IntN(len(others))]
	}
	buffer := pick(eventAt, memorySize-1, memorySize, memorySize+1, -1)
	switch fn := imports[r.IntN(len(imports))].name; fn {
	case abi.ImportGetNextRequest:
		return fn, []int32{buffer, pick(m.frame, 0, m.frame-1, m.frame+1, -1)}
	case abi.ImportBodyRead:
		return fn, []int32{buffer, pick(m.body, 0, 1, m.body+1, -1), pick(0, 1, m.body, m.body+1, -1)}
	case abi.ImportSecretGet:
		return fn, []int32{pick(nameAt, nameAt+1, memorySize-4, -1), pick(5, 0, 4, 256, 257, -1), buffer, pick(6, 0, 5, 7, -1)}
	default:
		f := frames[fn]
		return fn, []int32{pick(f.at, resultAt, errorAt, memorySize-8, memorySize, -1), pick(f.size, 0, f.size-1, f.size+1, int32(f.limit), int32(f.limit)+1, -1)}
	}
}

// randomSteps lets m make up to n calls, few of them out of order: after one of
// those the event has failed whatever follows.
func randomSteps(r *rand.Rand, m *model, n int) (steps []step) {
	for range r.IntN(n + 1) {
		fn, args := randomCall(r, m)
		freezes := m.state == initialising && fn == abi.ImportGetNextRequest
		if freezes || refusals[fn][m.state] != 0 && r.IntN(8) > 0 {
			continue
		}
		steps = append(steps, call(fn, m.call(fn, args), args...))
	}
	return steps
}

// when returns steps that are done, and spore_serve left, if the word at the
// address has the value.
func when(at, value int32, steps []step) []step {
	condition := cat([]byte{0x41}, sleb(at), []byte{0x28, 2, 0, 0x41}, sleb(value), []byte{0x46, 0x04, 0x40}) // ==; if
	return slices.Concat([]step{raw(condition...)}, steps, []step{raw(0x0f, 0x0b)})                           // return; end
}

// TestG16RandomSequencesOfCalls has guests make random calls and compares every
// answer, and every event's end, with the model. A module holds many sequences,
// because modules cost more than events; the realtime clock says which is meant.
func TestG16RandomSequencesOfCalls(t *testing.T) {
	const sequences, which = 15, 0x600
	modules := times(200, 17_000) // 10^6 calls
	var clock int64
	e := openEngine(t, sandbox.Options{Directory: t.TempDir(), Now: func() time.Time { return time.Unix(0, clock) }})
	ev := abi.Event{RequestID: "r", DeadlineMS: 1, Entropy: [32]byte{1}, Body: []byte("0123456789")}
	size := int32(len(abi.AppendEvent(nil, &ev)))
	outcomes, calls := map[abi.Kind]int{}, 0
	for seed := range uint64(modules) {
		r := rand.New(rand.NewPCG(seed, 0))
		guest := handmade{init: randomSteps(r, &model{}, 4), serve: []step{call("clock_time_get", 0, 0, 0, which)}}
		var want []abi.Kind
		var again []bool // its sandbox may serve another event
		var steps [][]step
		for i := range int32(sequences) {
			m := &model{state: entered, frame: size, body: int32(len(ev.Body))}
			steps = append(steps, randomSteps(r, m, 20))
			guest.serve = append(guest.serve, when(which, i, steps[i])...)
			want = append(want, m.outcome())
			again = append(again, !m.misused && (m.outcome() == abi.None || m.outcome() == abi.GuestError))
			outcomes[m.outcome()]++
			calls += len(steps[i])
		}
		img, err := e.Prepare(t.Context(), guest.bytes(), capable())
		require.NoError(t, err, "module %d, init %v", seed, guest.init)
		for i := range want {
			clock = int64(i)
			_, stats, err := ask(t, img, ev, time.Second)
			require.Equal(t, want[i], function.KindOf(err), "%v: module %d, sequence %d: %v", err, seed, i, steps[i])
			require.Equal(t, again[i], stats.DirtyPages >= 0, "module %d, sequence %d: %v", seed, i, steps[i])
		}
		img.Close()
	}
	t.Logf("%d calls; %v", calls, outcomes)
	for _, kind := range []abi.Kind{abi.None, abi.GuestError, abi.OutOfOrder, abi.NoAnswer} {
		require.Greater(t, outcomes[kind], modules*sequences/30, "%v", kind)
	}
}
