package capability

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"

	"spore/abi"
	"spore/host/function"
)

// demoPrefix marks the values of the secrets that come with the examples.
const demoPrefix = "demo-"

// SecretsSource says where secrets come from. At most one of File, EnvPrefix
// and Directory is set; with none there are no secrets.
type SecretsSource struct {
	File      string // read whole, with Parse
	EnvPrefix string // the secret NAME is the variable EnvPrefix + NAME
	Directory string // one file per secret, as systemd's credentials are

	// Parse reads the content of File. Its errors must show no values.
	Parse func([]byte) (map[string]string, error)
}

// Secrets looks secrets up at the moment they are asked for, so that a changed
// value needs no restart. It keeps the values of a file in memory and nothing
// else. Methods may be called at the same time. No error shows a value.
type Secrets struct {
	source SecretsSource

	mu     sync.Mutex
	info   os.FileInfo       // of the file when it was read last
	values map[string]string // of the file; replaced whole, never changed
}

// OpenSecrets checks that the source can be read now.
func OpenSecrets(source SecretsSource) (*Secrets, error) {
	s := &Secrets{source: source}
	if _, err := s.all(); err != nil {
		if path := (*fs.PathError)(nil); errors.As(err, &path) {
			err = fmt.Errorf("%w; let [secrets] in functions.toml name what is there and spore may read", err)
		}
		return nil, &function.Error{Kind: abi.Unavailable, Op: "open secrets", Err: err}
	}
	return s, nil
}

// Lookup returns the secret called name; the bytes are the caller's. A secret
// that does not exist is NotFound, a source that cannot be read Unavailable.
func (s *Secrets) Lookup(name string) ([]byte, error) {
	op := "look up secret " + function.Quoted(name)
	if !isSecretName(name) {
		return nil, &function.Error{Kind: abi.Invalid, Op: op, Err: errors.New("a name is made of A-Z, a-z, 0-9 and _, not a digit first")}
	}
	value, found, err := s.read(name)
	switch {
	case err != nil:
		return nil, &function.Error{Kind: abi.Unavailable, Op: op, Err: err}
	case !found:
		return nil, &function.Error{Kind: abi.NotFound, Op: op, Err: fmt.Errorf("no such secret; add it to %s", s.place(name))}
	case len(value) > maxSecret:
		return nil, &function.Error{Kind: abi.TooLarge, Op: op, Err: fmt.Errorf("over the limit of %d bytes", maxSecret)}
	}
	return []byte(value), nil
}

// For returns Lookup narrowed to what spec grants; anything else is Denied.
func (s *Secrets) For(spec function.Spec) func(name string) ([]byte, error) {
	granted := slices.Clone(spec.Secrets)
	return func(name string) ([]byte, error) {
		if !slices.Contains(granted, name) {
			err := fmt.Errorf("not granted; add it to secrets of function %s in functions.toml", spec.Name)
			return nil, &function.Error{Kind: abi.Denied, Op: "look up secret " + function.Quoted(name), Err: err}
		}
		return s.Lookup(name)
	}
}

// Missing returns those of names that cannot be looked up now.
func (s *Secrets) Missing(names []string) []string {
	var missing []string
	for _, name := range names {
		if _, err := s.Lookup(name); err != nil {
			missing = append(missing, name)
		}
	}
	return missing
}

// Demo reports whether any value is one of the examples', known to everybody.
// A source that cannot be read now has none: nothing in it can be used either.
func (s *Secrets) Demo() bool {
	values, _ := s.all()
	for _, value := range values {
		if strings.HasPrefix(value, demoPrefix) {
			return true
		}
	}
	return false
}

// place is where the secret called name would have to be.
func (s *Secrets) place(name string) string {
	switch {
	case s.source.File != "":
		return s.source.File
	case s.source.EnvPrefix != "":
		return "the environment as " + s.source.EnvPrefix + name
	case s.source.Directory != "":
		return "the directory " + s.source.Directory
	}
	return "a source named under [secrets] in functions.toml"
}

// isSecretName reports whether name can be a secret's.
func isSecretName(name string) bool {
	return len(name) <= abi.MaxSecretName && function.IsIdentifier(name)
}
