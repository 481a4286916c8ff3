package capability

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Limits of what a source may hold, in bytes.
const (
	maxSecret      = 64 << 10 // one value; a certificate chain fits
	maxSecretsFile = 1 << 20
)

// read returns one secret of the source.
func (s *Secrets) read(name string) (value string, found bool, err error) {
	switch {
	case s.source.File != "":
		values, err := s.file()
		value, found = values[name]
		return value, found, err
	case s.source.EnvPrefix != "":
		value, found = os.LookupEnv(s.source.EnvPrefix + name)
		return value, found, nil
	case s.source.Directory != "":
		return readCredential(filepath.Join(s.source.Directory, name))
	}
	return "", false, nil
}

// all returns every secret of the source.
func (s *Secrets) all() (map[string]string, error) {
	switch {
	case s.source.File != "":
		return s.file()
	case s.source.EnvPrefix != "":
		return s.environment(), nil
	case s.source.Directory != "":
		return s.directory()
	}
	return nil, nil
}

func (s *Secrets) environment() map[string]string {
	values := map[string]string{}
	for _, variable := range os.Environ() {
		name, value, _ := strings.Cut(variable, "=")
		if name, ok := strings.CutPrefix(name, s.source.EnvPrefix); ok {
			values[name] = value
		}
	}
	return values
}

func (s *Secrets) directory() (map[string]string, error) {
	entries, err := os.ReadDir(s.source.Directory)
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	for _, entry := range entries {
		if !isSecretName(entry.Name()) {
			continue
		}
		value, found, err := readCredential(filepath.Join(s.source.Directory, entry.Name()))
		if err != nil {
			return nil, err
		}
		if found {
			values[entry.Name()] = value
		}
	}
	return values, nil
}

// file returns the values of the secrets file, reading it again when it is
// another file than last time, or was written since. One that cannot be parsed any
// more changes nothing: whoever serves goes on, and the next OpenSecrets says why.
func (s *Secrets) file() (map[string]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	info, err := os.Stat(s.source.File)
	if err != nil {
		return nil, err
	}
	if s.info != nil && os.SameFile(info, s.info) && info.ModTime().Equal(s.info.ModTime()) && info.Size() == s.info.Size() {
		return s.values, nil
	}
	data, err := readBounded(s.source.File, info, maxSecretsFile)
	if err != nil {
		return nil, err
	}
	values, err := s.source.Parse(data)
	if err != nil && s.info == nil {
		return nil, fmt.Errorf("%s: %w", s.source.File, err)
	}
	if err == nil {
		s.values = values
	}
	s.info = info
	return s.values, nil
}

// readCredential reads one file of a directory source. Tools that write such
// files tend to end them with a newline that is not part of the secret.
func readCredential(path string) (value string, found bool, err error) {
	info, err := os.Stat(path)
	if os.IsNotExist(err) || err == nil && info.IsDir() {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	data, err := readBounded(path, info, maxSecret)
	if err != nil {
		return "", false, err
	}
	text := strings.TrimSuffix(string(data), "\n")
	return strings.TrimSuffix(text, "\r"), true, nil
}

// readBounded reads a regular file of at most limit bytes. Anything else, a
// pipe say, could keep the caller waiting.
func readBounded(path string, info os.FileInfo, limit int64) ([]byte, error) {
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", path)
	}
	if info.Size() > limit {
		return nil, fmt.Errorf("%s: over the limit of %d bytes", path, limit)
	}
	return os.ReadFile(path)
}
