package sandbox_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"spore/abi"
	"spore/host/function"
	"spore/host/sandbox"
)

// nestedLoops reads every local inside of loops inside of loops: each is a
// parameter of each loop to the compiler.
func nestedLoops(depth, locals int) handmade {
	code := bytes.Repeat([]byte{0x03, 0x40}, depth)
	for i := range locals {
		code = append(append(append(code, 0x20), leb(i)...), 0x1a) // local.get; drop
	}
	code = append(code, bytes.Repeat([]byte{0x0b}, depth)...)
	return handmade{locals: locals, serve: []step{take(anyResult), raw(code...), respond()}}
}

// TestM4TheCompilerEndsAlone: what becomes of the process that compiles a module
// is an error of that module's deployment, and of nothing else.
func TestM4TheCompilerEndsAlone(t *testing.T) {
	type deployment struct {
		way   string
		guest handmade
		want  string
	}
	good := handmade{serve: []step{take(anyResult), respond()}}
	deployments := map[string]deployment{
		"a panic in a worker":        {"panic in a worker", good, "panic: the compiler lost its way"},
		"no code and no error":       {"nothing", good, "0 cache entries where there should be one"},
		"an end without a word":      {"silent failure", good, "compile: exit status 1"},
		"a module that takes memory": {"well", nestedLoops(4000, 50_000), "takes over 1536 MiB of memory"},
	}
	if raced() {
		delete(deployments, "a module that takes memory")
	}
	if *long {
		slow := nestedLoops(100, 20_000)
		slow.copies = 100
		deployments["a module that takes time"] = deployment{"well", slow, "takes over 30 s of processor time"}
	}
	for name, tc := range deployments {
		t.Run(name, func(t *testing.T) {
			e := openEngine(t, sandbox.Options{Directory: t.TempDir(), Compiler: compiler(tc.way)})
			most, _ := rise(t, func() {
				start := time.Now()
				_, err := e.Prepare(t.Context(), tc.guest.bytes(), capable())
				t.Logf("after %v: %v", time.Since(start), err)
				require.Contains(t, []abi.Kind{abi.Invalid, abi.Internal}, function.KindOf(err), "%v", err)
				require.ErrorContains(t, err, tc.want)
			})
			require.Less(t, most, int64(64<<20))
		})
	}
	t.Run("a compiler that hangs ends with its deployment", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err := openEngine(t, sandbox.Options{Directory: t.TempDir(), Compiler: compiler("hang")}).Prepare(ctx, good.bytes(), capable())
		require.Error(t, err)
	})
	t.Run("a good module", func(t *testing.T) {
		img, err := openEngine(t, sandbox.Options{Directory: t.TempDir(), Compiler: compiler("well")}).Prepare(t.Context(), good.bytes(), capable())
		require.NoError(t, err)
		defer img.Close()
		_, _, err = ask(t, img, abi.Event{}, 5*time.Second)
		require.NoError(t, err)
	})
}
