// Package capability is what the host does for a guest: it looks up secrets, makes
// outbound HTTP calls, and keeps keys and values. Secrets, HTTP and KV are opened
// once; For narrows each to what one function's Spec grants, and the result is
// handed to the sandbox.
//
// What comes from a guest is taken for hostile. Nothing is permitted that the
// Spec does not grant: a secret by name, a call by exact scheme, host and port, the
// function's own keys up to a number of bytes.
// A call reaches public addresses only, unless the grant says that a private
// one is meant, and never a cloud's metadata service.
package capability
