package lambda

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
)

// invoker is lambda.Handler of aws-lambda-go. Its package is not imported, because
// it brings net/http along: 10 MB.
type invoker interface {
	Invoke(ctx context.Context, payload []byte) ([]byte, error)
}

var (
	contextType = reflect.TypeFor[context.Context]()
	errorType   = reflect.TypeFor[error]()
)

// function calls a handler by its signature, which reflection alone can tell: the
// compiler has no type for "any of these twelve".
type function struct {
	call         reflect.Value
	takesContext bool
	in           reflect.Type // of the event; nil when the handler takes none
}

// newInvoker returns handler as an invoker, or says what is wrong with its signature.
func newInvoker(handler any) (invoker, error) {
	if h, ok := handler.(invoker); ok {
		return h, nil
	}
	t := reflect.TypeOf(handler)
	if t == nil || t.Kind() != reflect.Func {
		return nil, fmt.Errorf("the handler is a %T, want a function", handler)
	}
	f := &function{call: reflect.ValueOf(handler)}
	if f.call.IsNil() {
		return nil, fmt.Errorf("the handler is a nil %s, want a function", t)
	}
	if err := f.takes(t); err != nil {
		return nil, err
	}
	if err := returns(t); err != nil {
		return nil, err
	}
	return f, nil
}

func (f *function) takes(t reflect.Type) error {
	n := t.NumIn()
	if n > 2 || t.IsVariadic() {
		return fmt.Errorf("the handler is a %s, want at most a context and an event", t)
	}
	f.takesContext = n > 0 && isContext(t.In(0))
	if n == 2 && !f.takesContext {
		return fmt.Errorf("the handler is a %s, want a context.Context first", t)
	}
	if n == 2 || n == 1 && !f.takesContext {
		f.in = t.In(n - 1)
	}
	if f.in != nil && f.in.Kind() == reflect.Interface && f.in.NumMethod() > 0 {
		return fmt.Errorf("the handler is a %s, want an event that JSON can be decoded into", t)
	}
	return nil
}

func isContext(t reflect.Type) bool {
	return t.Kind() == reflect.Interface && t.Implements(contextType) && contextType.Implements(t)
}

func returns(t reflect.Type) error {
	if n := t.NumOut(); n > 2 || n > 0 && !t.Out(n-1).Implements(errorType) {
		return fmt.Errorf("the handler is a %s, want it to return an error, a value and an error, or nothing", t)
	}
	return nil
}

// takesNoRequest is the error of giving a request over HTTP to a handler of other
// events, whose fields it has not. What aws-lambda-go has no type for may be one.
func takesNoRequest(h invoker) error {
	f, ok := h.(*function)
	if !ok || f.in == nil {
		return nil
	}
	t := f.in
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t.PkgPath() != "github.com/aws/aws-lambda-go/events":
	case t.Name() == "APIGatewayV2HTTPRequest" || t.Name() == "LambdaFunctionURLRequest":
	default:
		return fmt.Errorf("lambda: the handler takes events.%s; a request over HTTP is an events.APIGatewayV2HTTPRequest, payload format 2.0", t.Name())
	}
	return nil
}

// Invoke decodes the event, calls the handler, and encodes what it returns.
func (f *function) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	var args []reflect.Value
	if f.takesContext {
		args = append(args, reflect.ValueOf(ctx))
	}
	if f.in != nil {
		event := reflect.New(f.in)
		// A Decoder, because aws-lambda-go has one: what follows the event is ignored.
		if err := json.NewDecoder(bytes.NewReader(payload)).Decode(event.Interface()); err != nil {
			return nil, err
		}
		args = append(args, event.Elem())
	}
	return answer(f.call.Call(args))
}

// answer is what the handler returned, in JSON.
func answer(returned []reflect.Value) ([]byte, error) {
	if len(returned) == 0 {
		return encode(nil)
	}
	if err, ok := returned[len(returned)-1].Interface().(error); ok && err != nil {
		return nil, err
	}
	if len(returned) == 1 {
		return encode(nil)
	}
	return encode(returned[0].Interface())
}

// encode returns v as JSON, or what v has to be read when it is a reader that is
// nothing in JSON.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	if r, ok := v.(io.Reader); ok && (err != nil || bytes.HasPrefix(b.Bytes(), []byte("{}"))) {
		return readAll(r)
	}
	if err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

func readAll(r io.Reader) ([]byte, error) {
	if c, ok := r.(io.Closer); ok {
		defer c.Close()
	}
	return io.ReadAll(r)
}
