// Package abi is the contract between the spore host and a guest module: names,
// limits, error kinds and the binary frames both sides exchange. README.md in
// this directory is the specification; this package is the codec that follows it.
//
// Decoding borrows: strings and byte slices of a decoded value point into the
// decoded bytes, which must stay unchanged for as long as the value is used.
// Encoding appends to the caller's slice and keeps nothing. All functions are
// safe for concurrent use on distinct values.
package abi

// Module is the name of the import module. The version is part of the name:
// a change that an existing guest could notice gets a new one.
const Module = "spore1"

// Names of the functions a guest may import from Module.
const (
	ImportGetNextRequest = "get_next_request"
	ImportBodyRead       = "body_read"
	ImportSendResponse   = "send_response"
	ImportSendError      = "send_error"
	ImportHTTPStart      = "http_start"
	ImportSecretGet      = "secret_get"
	ImportKVStart        = "kv_start"
	ImportLog            = "log"
)

// Names a guest module exports. ExportRandom and ExportWarm are optional.
const (
	ExportMemory     = "memory"
	ExportServe      = "spore_serve"
	ExportStart      = "_start"
	ExportInitialize = "_initialize"
	ExportRandom     = "spore_random"
	ExportWarm       = "spore_warm"
)

// Limits of version 1, in bytes unless the name says otherwise.
const (
	MaxBody       = 6 << 20   // request and response body each, as Lambda's synchronous limit
	MaxInlineBody = 64 << 10  // a longer body is not in the event frame: body_read fetches it
	MaxHead       = 128 << 10 // everything in a frame but its body
	MaxPairs      = 1000      // headers, parameters or attributes in one list
	MaxLogRecord  = 64 << 10  // one log frame
	MaxSecretName = 256       // a secret's name
	MaxRequestID  = 128       // a request id
	MaxOpenCalls  = 64        // calls open at once in one sandbox, outbound and key-value
	MaxKVKey      = 512       // a key of the key-value store
	MaxKVValue    = 1 << 20   // a value of the key-value store
	MaxKVKeys     = 1000      // keys in one answer to a list
	EntropySize   = 32        // fresh random bytes in every event
)

// Trigger values the host sends. A guest must accept others.
const (
	TriggerHTTP   = "http"
	TriggerInvoke = "invoke"
	TriggerRandom = "random" // the event behind an ExportRandom call
	TriggerWarmup = "warmup" // a sample event, served before the snapshot is taken
)
