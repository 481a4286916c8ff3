package wasmbin_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestGuestsDoNotReachWhatTheRewriterAdds uses the indices behind a module's last
// ones, where the fuel and Yield's type are after the rewrite. A guest that could
// set its fuel would run for ever.
func TestGuestsDoNotReachWhatTheRewriterAdds(t *testing.T) {
	globals := section(6, 1, 0x7e, 1, 0x42, 0, 0x0b)
	table := section(4, 1, 0x70, 0, 1)
	for name, instructions := range map[string][]byte{
		"global.set of fuel":              {0x42, 1, 0x24, 1},
		"global.get of fuel":              {0x23, 1, 0x1a},
		"global.set in code that is dead": {0x00, 0x24, 1},
		"global.set behind the fuel":      {0x42, 1, 0x24, 2},
		"a call of a function too many":   {0x10, 1},
		"a reference to a function":       {0xd2, 1, 0x1a},
		"a block of the rewriter's type":  {0x02, 1, 0x42, 0, 0x0b, 0x1a},
		"call_indirect with its type":     {0x41, 0, 0x11, 1, 0, 0x1a},
		"the largest index":               {0x23, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x1a},
		"a block of the largest type":     {0x02, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x0b},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := rewrite(module(voidType, oneFunc, table, oneMemory, globals, code(instructions...)))
			require.ErrorContains(t, err, "does not exist")
		})
	}
	for _, index := range [][]byte{{1}, {0xff, 0xff, 0xff, 0xff, 0x0f}} {
		elements := section(9, append([]byte{1, 0, 0x41, 0, 0x0b, 1}, index...)...)
		_, err := rewrite(module(voidType, oneFunc, table, oneMemory, elements, code()))
		require.ErrorContains(t, err, "does not exist", "an element")
		elements = section(9, append(append([]byte{1, 4, 0x41, 0, 0x0b, 1, 0xd2}, index...), 0x0b)...)
		_, err = rewrite(module(voidType, oneFunc, table, oneMemory, elements, code()))
		require.ErrorContains(t, err, "does not exist", "an element's expression")
		_, err = rewrite(module(voidType, oneFunc, oneMemory, section(6, append(append([]byte{1, 0x70, 0, 0xd2}, index...), 0x0b)...), code()))
		require.ErrorContains(t, err, "does not exist", "a global")
	}
	_, err := rewrite(module(voidType, oneFunc, table, oneMemory, globals,
		code(0x42, 1, 0x24, 0, 0x23, 0, 0x1a, 0x10, 0, 0x02, 0, 0x0b, 0x02, 0x40, 0x0b, 0x02, 0x7f, 0x41, 0, 0x0b, 0x1a, 0x41, 0, 0x11, 0, 0)))
	require.NoError(t, err, "its own indices")
}
