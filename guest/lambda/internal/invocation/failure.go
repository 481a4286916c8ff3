package invocation

import (
	"fmt"
	"strings"

	"github.com/aws/aws-lambda-go/lambda/messages"
)

// Failure is an error that says itself how it is reported: by errorType,
// errorMessage and stackTrace of Lambda's error JSON.
type Failure struct{ Report messages.InvokeResponse_Error }

func (f *Failure) Error() string     { return f.Report.Message }
func (f *Failure) ErrorType() string { return f.Report.Type }

// ErrorStack has a line for each frame.
func (f *Failure) ErrorStack() string {
	var b strings.Builder
	for _, frame := range f.Report.StackTrace {
		fmt.Fprintf(&b, "%s\n\t%s:%d\n", frame.Label, frame.Path, frame.Line)
	}
	return b.String()
}
