package sandbox

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// snapshot is a module's state after initialisation and warm-up: memory and
// mutable globals. Tables need no saving, because the rewriter refuses modules
// that change them.
type snapshot struct {
	memory    *backing
	size      uint64 // bytes of linear memory
	globals   []uint64
	monotonic int64 // the guest's clock when it was frozen
}

// snapshot copies the state of an instance that stands still.
func (inst *instance) snapshot(img *Image) (*snapshot, error) {
	memory, err := newBacking(inst.bytes())
	if err != nil {
		return nil, err
	}
	s := &snapshot{memory: memory, size: uint64(len(inst.bytes())), monotonic: img.monotonic()}
	for _, g := range inst.globals {
		s.globals = append(s.globals, g.Get())
	}
	return s, nil
}

// start puts a new instance, whose memory was mapped from s, at the snapshot.
func (s *snapshot) start(inst *instance) error {
	mem := inst.mod.Memory()
	if grow := s.size - uint64(mem.Size()); grow > 0 {
		if _, ok := mem.Grow(uint32(grow / wasmPage)); !ok {
			return errors.New("the snapshot is larger than the memory limit")
		}
	}
	for i, g := range inst.globals {
		g.Set(s.globals[i])
	}
	return nil
}

func (s *snapshot) close() { s.memory.close() }

// The number in the magic goes up whenever a guest could see another host during
// its initialisation: old snapshots are then made anew. A snapshot file is magic, then the digest of all that follows, then monotonic
// clock, number of globals, globals, and the memory: little-endian 64-bit words
// and bytes.
const (
	snapshotMagic  = "spore image 1\n\x00\x00"
	snapshotHeader = len(snapshotMagic) + sha256.Size
)

// snapshotPath names the file by everything the snapshot depends on.
func (img *Image) snapshotPath() string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n%d\n%s\n", snapshotMagic, img.digest, img.settings.MemoryMax, img.settings.Name)
	for _, e := range img.environ {
		fmt.Fprintf(h, "%q\n", e)
	}
	_ = json.NewEncoder(h).Encode(img.settings.Warmup) // a hash and plain data: neither fails
	_, _ = h.Write(img.rewrite.Wasm)
	return filepath.Join(img.engine.images, hex.EncodeToString(h.Sum(nil)))
}

func (img *Image) storeSnapshot(s *snapshot, memory []byte) error {
	content := binary.LittleEndian.AppendUint64(nil, uint64(s.monotonic))
	content = binary.LittleEndian.AppendUint64(content, uint64(len(s.globals)))
	for _, g := range s.globals {
		content = binary.LittleEndian.AppendUint64(content, g)
	}
	content = append(content, memory...)
	digest := sha256.Sum256(content)
	return writeFile(img.snapshotPath(), []byte(snapshotMagic), digest[:], content)
}

// writeFile replaces the file at path as a whole or not at all.
func writeFile(path string, parts ...[]byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // after a rename there is nothing to remove
	defer f.Close()
	for _, p := range parts {
		if _, err := f.Write(p); err != nil {
			return err
		}
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// loadSnapshot reads the image's file. Whatever is wrong with it, the answer is
// an error and the module is initialised again.
func (img *Image) loadSnapshot() (*snapshot, error) {
	file, err := os.ReadFile(img.snapshotPath())
	if err != nil {
		return nil, err
	}
	if len(file) < snapshotHeader || string(file[:len(snapshotMagic)]) != snapshotMagic {
		return nil, errors.New("not a snapshot file")
	}
	now := time.Now()
	_ = os.Chtimes(img.snapshotPath(), now, now) // used today: what has not been for long may be collected
	content := file[snapshotHeader:]
	if digest := sha256.Sum256(content); !bytes.Equal(digest[:], file[len(snapshotMagic):snapshotHeader]) {
		return nil, errors.New("the snapshot file is damaged")
	}
	return img.decodeSnapshot(content)
}

func (img *Image) decodeSnapshot(content []byte) (*snapshot, error) {
	words := len(img.rewrite.Globals)
	header := (2 + words) * 8
	if len(content) < header || (len(content)-header)%wasmPage != 0 ||
		binary.LittleEndian.Uint64(content[8:]) != uint64(words) {
		return nil, errors.New("a snapshot of another module")
	}
	memory := content[header:]
	if uint64(len(memory)) > uint64(img.settings.MemoryMax) || uint64(len(memory)) < uint64(img.module.MemoryMin)*wasmPage {
		return nil, errors.New("a snapshot of another size")
	}
	s := &snapshot{size: uint64(len(memory)), monotonic: int64(binary.LittleEndian.Uint64(content))}
	for i := range words {
		s.globals = append(s.globals, binary.LittleEndian.Uint64(content[16+8*i:]))
	}
	var err error
	s.memory, err = newBacking(memory)
	return s, err
}
