package sys

import "unsafe"

// Refused says why everything that a function may be granted is denied now. It is
// empty while an event is served.
var Refused = beforeStart

//go:wasmimport spore1 get_next_request
func getNextRequest(ptr unsafe.Pointer, size uint32) int32

//go:wasmimport spore1 body_read
func bodyRead(ptr unsafe.Pointer, size, offset uint32) int32

//go:wasmimport spore1 send_response
func sendResponse(ptr unsafe.Pointer, size uint32) int32

//go:wasmimport spore1 send_error
func sendError(ptr unsafe.Pointer, size uint32) int32

//go:wasmimport spore1 http_start
func httpStart(ptr unsafe.Pointer, size uint32) int32

//go:wasmimport spore1 secret_get
func secretGet(name unsafe.Pointer, nameSize uint32, ptr unsafe.Pointer, size uint32) int32

//go:wasmimport spore1 kv_start
func kvStart(ptr unsafe.Pointer, size uint32) int32

//go:wasmimport spore1 log
func log(ptr unsafe.Pointer, size uint32) int32

func addr(b []byte) (unsafe.Pointer, uint32) {
	return unsafe.Pointer(unsafe.SliceData(b)), uint32(len(b))
}

// GetNextRequest writes the event's frame to buf when it fits and returns its size.
func GetNextRequest(buf []byte) int32 { return getNextRequest(addr(buf)) }

// BodyRead copies the event's body from offset into buf and returns how much it copied.
func BodyRead(buf []byte, offset uint32) int32 {
	ptr, size := addr(buf)
	return bodyRead(ptr, size, offset)
}

// SendResponse answers the event with a Result frame.
func SendResponse(frame []byte) int32 { return sendResponse(addr(frame)) }

// SendError answers the event with an Error frame.
func SendError(frame []byte) int32 { return sendError(addr(frame)) }

// HTTPStart starts the call in an HTTPRequest frame and returns its descriptor.
func HTTPStart(frame []byte) int32 { return httpStart(addr(frame)) }

// SecretGet writes the value of a secret to buf when it fits and returns its size.
func SecretGet(name string, buf []byte) int32 {
	ptr, size := addr(buf)
	return secretGet(unsafe.Pointer(unsafe.StringData(name)), uint32(len(name)), ptr, size)
}

// KVStart starts the operation in a KVRequest frame and returns its descriptor.
func KVStart(frame []byte) int32 { return kvStart(addr(frame)) }

// Log hands a LogRecord frame to the host.
func Log(frame []byte) int32 { return log(addr(frame)) }
