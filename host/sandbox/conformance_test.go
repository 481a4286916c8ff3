package sandbox_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"spore/abi"
	"spore/host/function"
	"spore/host/sandbox"
)

// capable is a set of capabilities that grants the secret TOKEN and refuses all
// outbound calls.
func capable() sandbox.Settings {
	return sandbox.Settings{Name: "handmade", MemoryMax: 1 << 20, InitTimeout: 5 * time.Second, Capabilities: sandbox.Capabilities{
		Secret: func(name string) ([]byte, error) {
			if name == "TOKEN" {
				return []byte("s3cret"), nil
			}
			return nil, &function.Error{Kind: abi.Denied, Op: "secret_get " + name}
		},
		HTTP: func(context.Context, *abi.HTTPRequest) (abi.HTTPHead, io.ReadCloser) {
			return abi.HTTPHead{Kind: abi.Denied, Message: "not granted"}, nil
		},
		KV: func(context.Context, *abi.KVRequest) (abi.KVAnswer, func()) {
			return abi.KVAnswer{Kind: abi.NotFound}, func() {}
		},
		Log: func(string, abi.LogRecord) {},
	}}
}

func (m handmade) serveOnce(t *testing.T, ev abi.Event) (abi.Result, error) {
	t.Helper()
	img, err := openEngine(t, sandbox.Options{}).Prepare(t.Context(), m.bytes(), capable())
	require.NoError(t, err)
	defer img.Close()
	res, _, err := ask(t, img, ev, time.Second)
	return res, err
}

// TestConformance drives the state machine of abi/README.md with guests that
// call in every order. A guest checks its own results: a wrong one is a trap.
func TestConformance(t *testing.T) {
	size := int32(len(abi.AppendEvent(nil, &abi.Event{RequestID: "r", DeadlineMS: 1, Entropy: [32]byte{1}})))
	denied, outOfOrder, invalid, tooLarge := abi.Denied.Errno(), abi.OutOfOrder.Errno(), abi.Invalid.Errno(), abi.TooLarge.Errno()
	secret := func(want, ptr, size int32) step { return call(abi.ImportSecretGet, want, nameAt, 5, ptr, size) }
	logs := call(abi.ImportLog, 0, logAt, int32(len(logFrame)))
	body := call(abi.ImportBodyRead, 0, 0, 0, 0)
	kvStart := call(abi.ImportKVStart, 8, kvAt, int32(len(kvFrame)))
	httpStart := call(abi.ImportHTTPStart, 8, httpAt, int32(len(httpFrame)))
	for name, tc := range map[string]struct {
		guest handmade
		want  abi.Kind // None: the handmade answer arrives
	}{
		"an answer":                                     {handmade{serve: []step{take(size), respond()}}, abi.None},
		"an error":                                      {handmade{serve: []step{take(size), failWith()}}, abi.GuestError},
		"an error ends the event":                       {handmade{serve: []step{take(size), failWith(), take(77)}}, abi.GuestError},
		"a buffer too small leaves the event":           {handmade{serve: []step{call(abi.ImportGetNextRequest, size, eventAt, size-1), take(size), respond()}}, abi.None},
		"a second request":                              {handmade{serve: []step{take(size), take(outOfOrder), respond()}}, abi.OutOfOrder},
		"a request after the answer":                    {handmade{serve: []step{take(size), respond(), take(outOfOrder)}}, abi.OutOfOrder},
		"a response before the request":                 {handmade{serve: []step{respond().as(outOfOrder), take(size), respond()}}, abi.OutOfOrder},
		"an error before the request":                   {handmade{serve: []step{failWith().as(outOfOrder), take(size), respond()}}, abi.OutOfOrder},
		"a body before the request":                     {handmade{serve: []step{body.as(outOfOrder), take(size), respond()}}, abi.OutOfOrder},
		"a secret before the request":                   {handmade{serve: []step{secret(outOfOrder, 0, 99), take(size), respond()}}, abi.OutOfOrder},
		"a call before the request":                     {handmade{serve: []step{httpStart.as(outOfOrder), take(size), respond()}}, abi.OutOfOrder},
		"an operation before the request":               {handmade{serve: []step{kvStart.as(outOfOrder), take(size), respond()}}, abi.OutOfOrder},
		"an operation after the answer":                 {handmade{serve: []step{take(size), respond(), kvStart}}, abi.None},
		"an operation during initialisation":            {handmade{init: []step{kvStart.as(denied)}, serve: []step{take(size), respond()}}, abi.None},
		"a malformed operation":                         {handmade{serve: []step{take(size), call(abi.ImportKVStart, invalid, errorAt, 16), respond()}}, abi.None},
		"an operation over the limit":                   {handmade{serve: []step{take(size), call(abi.ImportKVStart, tooLarge, 0, abi.MaxHead+abi.MaxKVValue+1), respond()}}, abi.None},
		"two answers":                                   {handmade{serve: []step{take(size), respond(), respond().as(outOfOrder)}}, abi.OutOfOrder},
		"an error after the answer":                     {handmade{serve: []step{take(size), respond(), failWith().as(outOfOrder)}}, abi.OutOfOrder},
		"a body after the answer":                       {handmade{serve: []step{take(size), respond(), body.as(outOfOrder)}}, abi.OutOfOrder},
		"work after the answer":                         {handmade{serve: []step{take(size), respond(), logs, secret(6, 0x6000, 99), httpStart}}, abi.None},
		"no answer":                                     {handmade{serve: []step{take(size)}}, abi.NoAnswer},
		"nothing at all":                                {handmade{}, abi.NoAnswer},
		"a trap":                                        {handmade{serve: []step{take(size), raw(0x00)}}, abi.Trapped},
		"a division by zero":                            {handmade{serve: []step{take(size), raw(0x41, 1, 0x41, 0, 0x6d, 0x1a)}}, abi.Trapped},
		"a load outside the memory":                     {handmade{serve: []step{take(size), raw(0x41, 0x7f, 0x28, 2, 0, 0x1a)}}, abi.Trapped},
		"an endless loop":                               {handmade{serve: []step{take(size), raw(0x03, 0x40, 0x0c, 0, 0x0b)}}, abi.Deadline},
		"an endless loop after the answer":              {handmade{serve: []step{take(size), respond(), raw(0x03, 0x40, 0x0c, 0, 0x0b)}}, abi.Deadline},
		"a trap after the answer":                       {handmade{serve: []step{take(size), respond(), raw(0x00)}}, abi.Trapped},
		"a malformed answer, then a good one":           {handmade{serve: []step{take(size), call(abi.ImportSendResponse, invalid, errorAt, 20), respond()}}, abi.None},
		"an answer over the limit, then a good one":     {handmade{serve: []step{take(size), call(abi.ImportSendResponse, tooLarge, 0, 64<<20), respond()}}, abi.None},
		"a log record over the limit":                   {handmade{serve: []step{take(size), call(abi.ImportLog, tooLarge, 0, abi.MaxLogRecord+1), respond()}}, abi.None},
		"a malformed log record":                        {handmade{serve: []step{take(size), call(abi.ImportLog, invalid, errorAt, 9), respond()}}, abi.None},
		"a granted secret":                              {handmade{serve: []step{take(size), secret(6, 0x6000, 6), respond()}}, abi.None},
		"a secret into a buffer too small":              {handmade{serve: []step{take(size), secret(6, -1, 5), respond()}}, abi.None},
		"a secret that is not granted":                  {handmade{serve: []step{take(size), call(abi.ImportSecretGet, denied, nameAt, 4, 0, 99), respond()}}, abi.None},
		"a secret's name over the limit":                {handmade{serve: []step{take(size), call(abi.ImportSecretGet, tooLarge, 0, abi.MaxSecretName+1, 0, 99), respond()}}, abi.None},
		"a secret during initialisation":                {handmade{init: []step{secret(denied, 0, 99)}, serve: []step{take(size), respond()}}, abi.None},
		"a call during initialisation":                  {handmade{init: []step{httpStart.as(denied)}, serve: []step{take(size), respond()}}, abi.None},
		"an answer during initialisation":               {handmade{init: []step{respond().as(outOfOrder)}, serve: []step{take(size), respond()}}, abi.None},
		"a body during initialisation":                  {handmade{init: []step{body.as(outOfOrder)}, serve: []step{take(size), respond()}}, abi.None},
		"a log line during initialisation":              {handmade{init: []step{logs}, serve: []step{take(size), respond()}}, abi.None},
		"an exit":                                       {handmade{serve: []step{take(size), call(procExit, noResult, 0)}}, abi.Exited},
		"an exit after the answer":                      {handmade{serve: []step{take(size), respond(), call(procExit, noResult, 3)}}, abi.Exited},
		"a malformed call":                              {handmade{serve: []step{take(size), call(abi.ImportHTTPStart, invalid, errorAt, 16), respond()}}, abi.None},
		"a body offset past the end":                    {handmade{serve: []step{take(size), call(abi.ImportBodyRead, invalid, 0, 1, 1), respond()}}, abi.None},
		"an event buffer outside the memory, then good": {handmade{serve: []step{call(abi.ImportGetNextRequest, invalid, -16, eventSize), take(size), respond()}}, abi.None},
	} {
		t.Run(name, func(t *testing.T) {
			res, err := tc.guest.serveOnce(t, abi.Event{RequestID: "r", DeadlineMS: 1})
			require.Equal(t, tc.want, function.KindOf(err), "%v", err)
			if tc.want == abi.None {
				require.Equal(t, uint32(201), res.Status)
				require.Equal(t, "made by hand", string(res.Body))
			}
		})
	}
}

// TestOpenCallsAreBounded opens calls of both kinds by turns: they share the bound.
func TestOpenCallsAreBounded(t *testing.T) {
	start := func(i, want int32) step {
		if i%2 == 0 {
			return call(abi.ImportHTTPStart, want, httpAt, int32(len(httpFrame)))
		}
		return call(abi.ImportKVStart, want, kvAt, int32(len(kvFrame)))
	}
	steps := []step{take(anyResult)}
	for i := range int32(abi.MaxOpenCalls) {
		steps = append(steps, start(i, 8+i))
	}
	for i := range int32(2) {
		steps = append(steps, start(i, abi.Overloaded.Errno()))
	}
	_, err := handmade{serve: append(steps, respond())}.serveOnce(t, abi.Event{})
	require.NoError(t, err)
}

// TestFramesOfOpenCallsAreBounded: the host holds what a call is asked until it has ended.
func TestFramesOfOpenCallsAreBounded(t *testing.T) {
	const at = 2 * memorySize
	large := abi.AppendHTTPRequest(nil, &abi.HTTPRequest{URL: "https://example.test/", Body: make([]byte, abi.MaxBody)})
	head := large[:len(large)-abi.MaxBody] // what follows is zero, as memory is
	start := func(want int32) step { return call(abi.ImportHTTPStart, want, at, int32(len(large))) }
	small := call(abi.ImportHTTPStart, 10, httpAt, int32(len(httpFrame)))
	guest := handmade{min: 120, data: map[uint32][]byte{at: head},
		serve: []step{take(anyResult), start(8), start(9), start(abi.Overloaded.Errno()), small, start(abi.Overloaded.Errno()), respond()}}
	s := capable()
	s.MemoryMax = 16 << 20
	s.HTTP = func(ctx context.Context, _ *abi.HTTPRequest) (abi.HTTPHead, io.ReadCloser) {
		<-ctx.Done()
		return abi.HTTPHead{Kind: abi.Deadline}, nil
	}
	_, _, err := ask(t, prepareModule(t, guest.bytes(), s), abi.Event{}, 10*time.Second)
	require.NoError(t, err)
}

// TestHostilePointers gives every host function every corner of the address
// space. Whatever comes back is an errno; the module goes on and answers.
func TestHostilePointers(t *testing.T) {
	corners := []int32{0, 1, memorySize - 1, memorySize, memorySize + 1, math.MaxInt32, math.MinInt32, -1, -memorySize, eventAt}
	for _, fn := range imports {
		if fn.name == abi.ImportSendResponse || fn.name == abi.ImportSendError {
			continue // below: a success would be an answer
		}
		t.Run(fn.name, func(t *testing.T) {
			steps := []step{take(anyResult)}
			for _, a := range corners {
				for _, b := range corners {
					args := []int32{a, b, b, a}[:len(fn.params)]
					steps = append(steps, call(fn.name, anyResult, args...))
				}
			}
			_, err := handmade{serve: append(steps, respond().as(anyResult))}.serveOnce(t, abi.Event{Body: []byte("body")})
			if fn.name == abi.ImportGetNextRequest {
				require.Equal(t, abi.OutOfOrder, function.KindOf(err))
				return
			}
			require.NoError(t, err)
		})
	}
	for _, fn := range []string{abi.ImportSendResponse, abi.ImportSendError} {
		for _, ptr := range []int32{memorySize - 1, memorySize, -1, math.MinInt32} {
			steps := []step{take(anyResult), call(fn, abi.Invalid.Errno(), ptr, 16), call(fn, abi.TooLarge.Errno(), ptr, -1), respond()}
			_, err := handmade{serve: steps}.serveOnce(t, abi.Event{})
			require.NoError(t, err, "%s at %d", fn, ptr)
		}
	}
}

func TestRefusedModules(t *testing.T) {
	good := handmade{serve: []step{take(anyResult), respond()}}
	for name, tc := range map[string]struct {
		wasm []byte
		want string
	}{
		"no wasm":                             {[]byte("#!/bin/sh"), "not a WebAssembly binary"},
		"nothing":                             {nil, "not a WebAssembly binary"},
		"a component":                         {[]byte("\x00asm\x0d\x00\x01\x00"), "component"},
		"an unknown host function":            {handmade{names: map[string]string{abi.ImportLog: "lgo"}}.bytes(), "spore1.lgo does not exist"},
		"an import of another type":           {handmade{types: map[string]string{abi.ImportLog: "iii"}}.bytes(), "spore1.log has another signature"},
		"a missing memory":                    {handmade{exports: map[string]string{"memory": ""}}.bytes(), `does not export its memory as "memory"`},
		"a missing spore_serve":               {handmade{exports: map[string]string{"spore_serve": ""}}.bytes(), "function spore_serve()"},
		"a missing start export":              {handmade{exports: map[string]string{"_start": ""}}.bytes(), "one of _start and _initialize"},
		"both start exports":                  {handmade{exports: map[string]string{"_initialize": "start"}}.bytes(), "one of _start and _initialize"},
		"a function called memory":            {handmade{exports: map[string]string{"memory": "start"}}.bytes(), `does not export its memory as "memory"`},
		"a memory called spore_serve":         {handmade{exports: map[string]string{"spore_serve": "memory"}}.bytes(), "function spore_serve()"},
		"spore_serve with a result":           {handmade{exports: map[string]string{"spore_serve": "random"}}.bytes(), "function spore_serve()"},
		"_start with a result":                {handmade{exports: map[string]string{"_start": "random"}}.bytes(), "export _start"},
		"_initialize with a result":           {handmade{exports: map[string]string{"_start": "", "_initialize": "random"}}.bytes(), "export _initialize"},
		"a memory called spore_random":        {handmade{exports: map[string]string{"spore_random": "memory"}}.bytes(), "export spore_random"},
		"a memory as the second start export": {handmade{exports: map[string]string{"_initialize": "memory"}}.bytes(), "one of _start and _initialize"},
		"spore_random without a result":       {handmade{exports: map[string]string{"spore_random": "serve"}}.bytes(), "export spore_random"},
		"spore_warm with a result":            {handmade{exports: map[string]string{"spore_warm": "random"}}.bytes(), "export spore_warm"},
		"an imported memory":                  {handmade{imports: [][]byte{cat(str("env"), str("memory"), []byte{2, 0, 1})}}.bytes(), `import "env"."memory" is not a function`},
		"an imported table":                   {handmade{imports: [][]byte{cat(str("env"), str("table"), []byte{1, 0x70, 0, 1})}}.bytes(), `import "env"."table" is not a function`},
		"an imported global":                  {handmade{imports: [][]byte{cat(str("env"), str("g"), []byte{3, 0x7f, 0})}}.bytes(), `import "env"."g" is not a function`},
		"two memories":                        {bytes.Replace(good.bytes(), section(5, oneMemory), section(5, []byte{2, 0, 1, 0, 1}), 1), "2 memories"},
		"a memory of no pages": {bytes.Replace(bytes.Replace(good.bytes(), section(5, oneMemory), section(5, []byte{1, 0, 0}), 1),
			section(11, vec(good.dataSection()...)), nil, 1), "no memory to begin with"},
		"a function that changes a table": {handmade{serve: []step{raw(0x41, 0, 0xd0, 0x70, 0x26, 0)}}.bytes(), "changes tables"}, // table.set
		"truncated":                       {good.bytes()[:80], "module offset"},
		"a main that never asks":          {handmade{noInit: true}.bytes(), "returned without asking for a request"},
		"a trap during initialisation":    {handmade{init: []step{call(abi.ImportLog, 77, 0, 0)}}.bytes(), "unreachable"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := openEngine(t, sandbox.Options{}).Prepare(t.Context(), tc.wasm, capable())
			require.ErrorContains(t, err, tc.want)
		})
	}
}

// TestEveryByteFlipIsSurvived flips bits in every byte of a small module: it is
// refused or runs, and the host lives.
func TestEveryByteFlipIsSurvived(t *testing.T) {
	good := handmade{serve: []step{take(anyResult), respond()}}.bytes()
	e := openEngine(t, sandbox.Options{Directory: t.TempDir()})
	s := capable()
	s.InitTimeout = 200 * time.Millisecond
	refused := 0
	for i := range good {
		flipped := append([]byte(nil), good...)
		flipped[i] ^= 1 << (i % 8)
		img, err := e.Prepare(t.Context(), flipped, s)
		if err != nil {
			refused++
			continue
		}
		_, _, err = ask(t, img, abi.Event{}, 200*time.Millisecond)
		var fe *function.Error
		require.True(t, err == nil || errors.As(err, &fe), "byte %d: %v", i, err)
		img.Close()
	}
	require.NotZero(t, refused)
	t.Logf("%d of %d refused", refused, len(good))
}
