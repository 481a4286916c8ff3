package wasmbin

// WithPiece returns opt with so many bytes, instead of bulkPiece, that a bulk
// instruction works on between two yields.
func WithPiece(opt Options, bytes uint32) Options {
	opt.piece = bytes
	return opt
}
