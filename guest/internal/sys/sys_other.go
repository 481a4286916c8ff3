//go:build !wasip1

package sys

import "spore/abi"

// Refused says why everything is denied.
var Refused = "there is no host outside a sandbox; see spore/guest/guesttest for tests"

func GetNextRequest([]byte) int32    { return abi.Denied.Errno() }
func BodyRead([]byte, uint32) int32  { return abi.Denied.Errno() }
func SendResponse([]byte) int32      { return abi.Denied.Errno() }
func SendError([]byte) int32         { return abi.Denied.Errno() }
func HTTPStart([]byte) int32         { return abi.Denied.Errno() }
func SecretGet(string, []byte) int32 { return abi.Denied.Errno() }
func KVStart([]byte) int32           { return abi.Denied.Errno() }
func Log([]byte) int32               { return abi.Denied.Errno() }
