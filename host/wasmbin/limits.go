package wasmbin

// Limits on a module, enforced before the engine sees a byte of it. Most follow
// the limits the common engines share; Go's own output stays far below all of
// them but two: its data segments (37,000) and its nesting (see maxNesting).
const (
	maxModuleBytes   = 64 << 20
	maxTypes         = 100_000
	maxFunctions     = 200_000
	maxImports       = 1_000
	maxExports       = 1_000
	maxGlobals       = 10_000
	maxTableEntries  = 2_000_000
	minTableMax      = 10_000 // a table without a maximum gets this one, or its minimum
	maxSegments      = 100_000
	maxParams        = 1_000
	maxLocals        = 50_000
	maxAllLocals     = 5_000_000 // the compiler's time and memory go with their sum
	maxFunctionBytes = 7_654_321
	maxBrTable       = 65_520
	maxNameBytes     = 100_000
	maxNesting       = 20_000
	maxElements      = maxTableEntries
)
