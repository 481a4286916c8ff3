// Package spore carries the source of the SDK, the packages abi and guest, inside
// the spore command, so that `spore new` makes functions that build without a
// network. It is data: a function imports spore/guest, and nothing imports this
// package but the command.
package spore

import (
	"embed"
	"io/fs"
	"strings"
)

//go:embed LICENSE abi/*.go guest/*.go guest/*/*.go guest/*/*/*.go guest/*/*/*/*.go
var source embed.FS

// goMod has no requirements: a function brings what guest/lambda needs itself, and
// all others need nothing.
const goMod = "module spore\n\ngo 1.26.0\n"

// SDK returns the files of a module that is the SDK, by slash-separated path: no
// tests, no testdata, and a go.mod of its own. The caller owns the map.
func SDK() map[string][]byte {
	files := map[string][]byte{"go.mod": []byte(goMod)}
	err := fs.WalkDir(source, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "/testdata/") {
			return err
		}
		files[path], err = source.ReadFile(path)
		return err
	})
	if err != nil {
		panic("spore: internal error: read what is embedded: " + err.Error())
	}
	return files
}
