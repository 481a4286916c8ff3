package sandbox

import (
	"bytes"
	"context"
	"crypto/rand"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"spore/abi"
)

// pinnedRun is a run on a core of its own, of an image that has nothing else.
func pinnedRun(t *testing.T) *run {
	e := &Engine{start: time.Now()}
	e.cores = newCores(1, e.elapsed)
	r := &run{Context: t.Context(), inst: new(instance), img: &Image{engine: e}, end: math.MaxInt64, respond: math.MaxInt64}
	r.pin()
	t.Cleanup(r.unpin)
	return r
}

// TestARunThatTheKernelHeldUpIsStillShort has a run look, by the wall's clock, as if it
// had had its core for an hour. Only what its thread's own clock tells makes it long.
func TestARunThatTheKernelHeldUpIsStillShort(t *testing.T) {
	r := pinnedRun(t)
	r.thread.since -= int64(time.Hour)
	require.True(t, r.relent(r.img.engine.elapsed()))
	require.Greater(t, r.thread.cpu, int64(time.Hour), "what is reported is what is known")
	require.Equal(t, short, r.line())

	for start := threadClock(); threadClock()-start < 2*quantum; {
	}
	require.True(t, r.relent(r.img.engine.elapsed()))
	require.Equal(t, long, r.line())
	r.over()
	require.Negative(t, r.img.engine.cores.lately.Load())

	next := &run{img: r.img, ended: 1}
	require.Equal(t, long, next.line(), "the function's last run was")
	next.over()
	require.Equal(t, short, next.line(), "and now it was not")
	require.EqualValues(t, 1, r.img.engine.cores.lately.Load())
}

// eighteenPages is the memory of a module that has nothing else.
func eighteenPages(t *testing.T) api.Memory {
	engine := wazero.NewRuntimeWithConfig(t.Context(), wazero.NewRuntimeConfigInterpreter())
	t.Cleanup(func() { _ = engine.Close(context.Background()) })
	mod, err := engine.Instantiate(t.Context(), []byte("\x00asm\x01\x00\x00\x00\x05\x03\x01\x00\x12"))
	require.NoError(t, err)
	return mod.Memory()
}

// TestRandomBytesComeInPieces: a mebibyte takes the kernel milliseconds, and others
// get their turn meanwhile.
func TestRandomBytesComeInPieces(t *testing.T) {
	mem := eighteenPages(t)
	const at = 1000
	for _, n := range []int{0, 1, randomPiece - 1, randomPiece, randomPiece + 1, maxRandom - 1, maxRandom} {
		r := pinnedRun(t)
		before := r.img.engine.cores.turn
		memory, ok := mem.Read(0, mem.Size())
		require.True(t, ok)
		clear(memory)
		r.thread.since = math.MinInt64 / 2 // its turn is over
		require.Equal(t, success, randomGet(r, guestMemory{mem}, []uint64{at, uint64(n)}), "%d bytes", n)
		require.Equal(t, n > randomPiece, r.img.engine.cores.turn > before, "%d bytes: gave its core away", n)

		inside := memory[at : at+n]
		for len(inside) >= 64 {
			require.NotEqual(t, make([]byte, 64), inside[:64], "%d bytes", n)
			inside = inside[64:]
		}
		require.Empty(t, bytes.Trim(memory[:at], "\x00"), "%d bytes", n)
		require.Empty(t, bytes.Trim(memory[at+n:], "\x00"), "%d bytes", n)
	}
	r := pinnedRun(t)
	require.Equal(t, errInval, randomGet(r, guestMemory{mem}, []uint64{0, maxRandom + 1}))
	require.Equal(t, errFault, randomGet(r, guestMemory{mem}, []uint64{uint64(mem.Size()) - 1, 2}))
}

// TestLongBodiesAreReadInPieces: others get their turn while a guest fetches one.
func TestLongBodiesAreReadInPieces(t *testing.T) {
	mem := eighteenPages(t)
	const at = 1000
	for _, n := range []int{0, 1, copyPiece - 1, copyPiece, copyPiece + 1, 5*copyPiece + 7} {
		r := pinnedRun(t)
		before := r.img.engine.cores.turn
		memory, ok := mem.Read(0, mem.Size())
		require.True(t, ok)
		clear(memory)
		body := make([]byte, n)
		_, err := rand.Read(body)
		require.NoError(t, err)
		r.phase, r.ev = phaseServing, &abi.Event{Body: body}
		r.thread.since = math.MinInt64 / 2 // its turn is over
		require.EqualValues(t, n, bodyRead(r, guestMemory{mem}, []uint32{at, 1 << 20, 0}), "%d bytes", n)
		require.Equal(t, n > copyPiece, r.img.engine.cores.turn > before, "%d bytes: gave its core away", n)
		require.True(t, bytes.Equal(body, memory[at:at+n]), "%d bytes", n)
		require.Empty(t, bytes.Trim(memory[:at], "\x00"), "%d bytes", n)
		require.Empty(t, bytes.Trim(memory[at+n:], "\x00"), "%d bytes", n)
	}
}

// TestLongAnswersAreTakenInPieces: others get their turn while a guest gives one.
func TestLongAnswersAreTakenInPieces(t *testing.T) {
	mem := eighteenPages(t)
	const at = 1000
	for _, n := range []int{1, copyPiece / 2, copyPiece, 5*copyPiece + 7} {
		r := pinnedRun(t)
		before := r.img.engine.cores.turn
		body := make([]byte, n)
		_, err := rand.Read(body)
		require.NoError(t, err)
		frame := abi.AppendResult(nil, &abi.Result{Status: 200, Body: body})
		require.True(t, mem.Write(at, frame))
		r.phase = phaseServing
		r.thread.since = math.MinInt64 / 2 // its turn is over
		require.Zero(t, sendResponse(r, guestMemory{mem}, []uint32{at, uint32(len(frame))}), "%d bytes", n)
		require.Equal(t, len(frame) > copyPiece, r.img.engine.cores.turn > before, "%d bytes: gave its core away", n)
		require.True(t, bytes.Equal(body, r.result.Body), "%d bytes", n)
	}
}
