package wasmbin_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

// specFile is a file of the specification's tests, as wast2json writes it.
type specFile struct {
	Commands []specCommand `json:"commands"`
}

type specCommand struct {
	Type       string     `json:"type"`
	Line       int        `json:"line"`
	Name       string     `json:"name"`     // of a module, for later commands
	Filename   string     `json:"filename"` // of a module
	As         string     `json:"as"`       // register: the name to import it by
	ModuleType string     `json:"module_type"`
	Action     specAction `json:"action"`
}

type specAction struct {
	Type   string      `json:"type"`
	Module string      `json:"module"` // empty: the last one
	Field  string      `json:"field"`
	Args   []specValue `json:"args"`
}

type specValue struct {
	Type     string `json:"type"`
	LaneType string `json:"lane_type"`
	Value    any    `json:"value"`
}

// TestSpecModulesBehaveTheSame runs the tests of the specification and of
// proposals to it. What they expect is the engine's business, and not looked at.
func TestSpecModulesBehaveTheSame(t *testing.T) {
	const (
		v2     = api.CoreFeaturesV2 // what the sandbox's engine accepts
		tails  = v2 | experimental.CoreFeaturesTailCall
		typed  = tails | experimental.CoreFeaturesExtendedConst | experimental.CoreFeaturesTypedFunctionReferences
		throws = typed | experimental.CoreFeaturesExceptionHandling
	)
	for _, tc := range []struct {
		folder   string
		features api.CoreFeatures
		want     tally // at least
	}{
		{"v1", v2, tally{modules: 700, calls: 16000, traps: 400, yields: 1000, invalid: 500}},
		{"v2", v2, tally{modules: 1300, calls: 45000, traps: 500, yields: 1000, invalid: 700}},
		{"typed-function-references", typed, tally{modules: 60, calls: 100, traps: 1, yields: 1, invalid: 100}},
		{"extended-const", v2 | experimental.CoreFeaturesExtendedConst, tally{modules: 3, invalid: 25}},
		{"tail-call", tails, tally{invalid: 24}},
		{"threads", v2 | experimental.CoreFeaturesThreads, tally{}},
		{"exception-handling", throws, tally{invalid: 10}},
	} {
		t.Run(tc.folder, func(t *testing.T) {
			t.Parallel()
			folder := filepath.Join(wazeroTests(t), "spectest", tc.folder, "testdata")
			files, err := filepath.Glob(filepath.Join(folder, "*.json"))
			require.NoError(t, err)
			require.NotEmpty(t, files)
			got := newTally()
			for _, file := range files {
				t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
					o := newOracle(t, tc.features)
					o.runSpec(file)
					got.add(o.tally)
				})
			}
			got.log(t)
			require.GreaterOrEqual(t, got.modules, tc.want.modules)
			require.GreaterOrEqual(t, got.instances, tc.want.modules*9/10)
			require.GreaterOrEqual(t, got.calls, tc.want.calls)
			require.GreaterOrEqual(t, got.traps, tc.want.traps)
			require.GreaterOrEqual(t, got.yields, tc.want.yields)
			require.GreaterOrEqual(t, got.invalid, tc.want.invalid)
			require.NotEmpty(t, got.refused)
		})
	}
}

func (o *oracle) runSpec(file string) {
	read := func(name ...string) []byte {
		b, err := os.ReadFile(filepath.Join(append([]string{filepath.Dir(file)}, name...)...))
		require.NoError(o.tb, err)
		return b
	}
	for _, rt := range []wazero.Runtime{o.plain, o.rewritten} {
		_, err := rt.InstantiateWithConfig(o.ctx, read("..", "..", "testdata", "spectest.wasm"), wazero.NewModuleConfig().WithName("spectest"))
		require.NoError(o.tb, err)
	}
	var spec specFile
	require.NoError(o.tb, json.Unmarshal(read(filepath.Base(file)), &spec))
	named := map[string]*subject{} // the last one is also called ""
	for i, c := range spec.Commands {
		on := named[c.Action.Module]
		switch c.Type {
		case "module":
			name := ""
			if i+1 < len(spec.Commands) && spec.Commands[i+1].Type == "register" {
				name = spec.Commands[i+1].As
			}
			s := o.instantiate(read(c.Filename), name)
			require.NotNil(o.tb, s, "line %d", c.Line)
			named[""], named[c.Name] = s, s
		case "register":
		case "assert_uninstantiable", "assert_unlinkable": // some can be, in wazero
			o.instantiate(read(c.Filename), "")
		case "assert_invalid", "assert_malformed":
			if c.ModuleType == "binary" {
				o.validate(read(c.Filename))
			}
		case "assert_exhaustion":
			o.exhaust(on, c.Action.Field, words(o.tb, c.Action.Args))
		case "assert_return", "action", "assert_trap", "assert_exception":
			if c.Action.Type == "invoke" { // the others look at a global, as compareState does
				o.call(on, c.Action.Field, words(o.tb, c.Action.Args))
			}
		default:
			o.tb.Fatalf("line %d: command %s", c.Line, c.Type)
		}
	}
	o.compareState()
}

// words returns values as the engine takes them.
func words(tb testing.TB, values []specValue) (list []uint64) {
	for _, v := range values {
		if lanes, ok := v.Value.([]any); ok {
			width := 128 / len(lanes)
			var v128 [2]uint64
			for i, lane := range lanes {
				v128[i*width/64] |= word(tb, lane, width) << (i * width % 64)
			}
			list = append(list, v128[:]...)
			continue
		}
		width := 64
		if strings.HasSuffix(v.Type, "32") {
			width = 32
		}
		list = append(list, word(tb, v.Value, width))
	}
	return list
}

func word(tb testing.TB, value any, width int) uint64 {
	text, _ := value.(string)
	if text == "" || text == "null" {
		return 0
	}
	if n, err := strconv.ParseInt(text, 10, width); err == nil {
		return uint64(n) << (64 - width) >> (64 - width)
	}
	n, err := strconv.ParseUint(text, 10, width)
	require.NoError(tb, err)
	return n
}
