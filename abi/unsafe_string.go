package abi

import "unsafe"

// borrowString returns b's bytes as a string without copying them. It is sound
// as long as nobody changes b while the string is in use, which is the promise
// every Decode asks of its caller: the guest's event buffer is written once per
// sandbox, and the host decodes private copies of guest memory.
func borrowString(b []byte) string {
	return unsafe.String(unsafe.SliceData(b), len(b))
}
