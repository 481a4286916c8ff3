package web

import "unsafe"

// borrow returns b's bytes as a string without copying them. b lies in a buffer
// of fasthttp, which keeps it unchanged until the handler of its request
// returns. The handler returns at the answer, and function.Invoker lets nobody
// use an event's bytes after that; this package itself uses none of them then.
func borrow(b []byte) string {
	return unsafe.String(unsafe.SliceData(b), len(b))
}
