package config

import (
	"fmt"

	"github.com/BurntSushi/toml"

	"spore/host/function"
)

// ParseSecrets reads the content of a secrets file: one NAME = "value" a line.
// Its errors name lines and never show what is on them, because any part of a
// malformed line may be the secret.
func ParseSecrets(data []byte) (map[string]string, error) {
	if len(data) > maxFile {
		return nil, fmt.Errorf("parse secrets: over the limit of %d bytes", maxFile)
	}
	lines, deep := locate(string(data))
	if deep > 0 {
		return nil, malformed(deep)
	}
	var tree map[string]any
	if wrong := decodeSecrets(data, &tree); wrong != nil {
		return nil, wrong
	}
	secrets := make(map[string]string, len(tree))
	for name, raw := range tree {
		value, ok := raw.(string)
		if !ok || !function.IsIdentifier(name) {
			return nil, malformed(lines[join("", name)])
		}
		secrets[name] = value
	}
	return secrets, nil
}

func decodeSecrets(data []byte, tree *map[string]any) error {
	err := toml.Unmarshal(data, tree)
	if syntax, ok := err.(toml.ParseError); ok {
		return malformed(syntaxLine(data, syntax))
	}
	if err != nil {
		return malformed(0)
	}
	return nil
}

func malformed(line int) error {
	return fmt.Errorf(`parse secrets: line %d: want NAME = "value", the name of A-Z, a-z, 0-9 and _`, line)
}
