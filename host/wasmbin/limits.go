package wasmbin

// Limits on a module, enforced before the engine sees a byte of it: Parse holds
// what can be told from the sections, Rewrite what takes a look at every
// instruction. Most are those that browsers and other engines share. Go's output
// stays far below all but two: its linker makes up to 100,000 data segments,
// because of this limit, and its functions nest deeply.
const (
	MaxModuleBytes   = 64 << 20
	maxTypes         = 20_000
	maxFunctions     = 200_000
	maxImports       = 1_000
	maxExports       = 1_000
	maxGlobals       = 10_000
	maxTableEntries  = maxFunctions // a sandbox has a table of its own: 8 bytes an entry, beside its memory, and 37 more when it is filled
	minTableMax      = 10_000       // a table without a maximum gets this one, or its minimum
	maxSegments      = 100_000
	maxParams        = 1_000
	maxAllParams     = 100_000 // and results, of all types together
	maxLocals        = 50_000
	maxAllLocals     = 5_000_000 // the compiler's time and memory go with their sum
	maxFunctionBytes = 7_654_321
	maxElements      = maxFunctions // of all segments together

	// maxNameBytes is a hundredth of what other engines take: names of imports and
	// exports find their way into messages, up to two thousand of them into one.
	maxNameBytes = 1_000

	maxBrTable = 65_520 // targets of one br_table

	// maxBranches holds for the targets of all branches of a function, ifs and returns
	// included, and maxLocalBranches for their product with its locals. The engine's time
	// goes with the square of the first, and its memory with the second: fifty tables of
	// 65,520 targets, a file of 3 MB, took 98 s and 7.5 GB, and 4,000 locals with 2,000
	// targets, 38 KB, took 15 s and 3 GB. A function of a Go module with net/http has
	// 1,381 targets and a product of 20,106; of Go's compiler 18,426 and 98,226.
	maxBranches      = 65_520
	maxLocalBranches = 4_000_000

	// maxWeight holds for a function without those it calls (weight.go). The engine
	// makes room for a call before the call is charged, so this is how far one call
	// gets beyond the limit on the stack: 2 MiB. 1,000 vectors set at 290 joins
	// took 38 MiB. A module with net/http has a function of 30,642, cmd/go and
	// cmd/vet one of 77,928, AWS's client for SSM one of 448,989.
	maxWeight = 1 << 19

	// maxGrowth is how many times as long as it was a module's code may be when it is
	// rewritten, growthSlack aside. A bulk instruction of 3 bytes takes 60 with what charges
	// and divides it: 4 MiB of them made 58, and 360 MiB of memory on the way. Go's code
	// grows by 8 %, a small module that does nothing but memory.copy four times.
	maxGrowth   = 4
	growthSlack = 1 << 20

	// maxNesting is more than 8,974, the deepest of AWS's client for SSM built for wasip1
	// by Go 1.26; cmd/go and cmd/vet have 1,153, a module with net/http 550. Go makes a block
	// of every place a function can be resumed at. The engine's time goes with the
	// square of the depth: 0.4 s for a function of 5,000 loops within each other,
	// 22 s at 32,000.
	maxNesting = 10_000
)

// The shortest encodings of items, in bytes.
const (
	sizeType    = 3 // form, no parameters, no results
	sizeImport  = 4 // two empty names, kind, index
	sizeTable   = 3 // type, flags, minimum
	sizeMemory  = 2 // flags, minimum
	sizeGlobal  = 5 // type, mutability, a constant of two bytes, end
	sizeExport  = 3 // empty name, kind, index
	sizeElement = 3 // flags, kind, no items
	sizeLocals  = 2 // number, type
	sizeBody    = 3 // size, no locals, end
	sizeData    = 2 // flags, no bytes
)
