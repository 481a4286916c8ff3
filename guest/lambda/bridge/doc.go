// Package bridge runs a program written for AWS Lambda that stays as it is: it
// calls lambda.Start of github.com/aws/aws-lambda-go, and one file beside its own
// has the blank import
//
//	import _ "spore/guest/lambda/bridge"
//
// In a sandbox the package answers what lambda.Start asks of Lambda's Runtime API,
// over a connection within the process. Everywhere else it does nothing, so the
// same program goes on running on AWS.
//
// What handlers are given, and what becomes of answers and errors, is as
// spore/guest/lambda says; but what a handler takes is not known here, and one of
// format 1.0 finds neither method nor path in a request. Clients of net/http that
// use http.DefaultTransport have their calls made by the host, as with
// spore/guest/roundtrip. A clone of http.DefaultTransport reaches nothing; use a
// roundtrip.Transport in its place. Options of lambda.Start work, except that no
// SIGTERM ever comes. Work that goes on after the answer is not waited for.
//
// The first event pays for what HTTP and encoding/json build at first use, 1.4 ms
// where later ones take 0.5. Name a sample event as warmup in functions.toml, and
// the snapshot has it.
package bridge
