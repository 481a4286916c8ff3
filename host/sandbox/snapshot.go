package sandbox

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// snapshot is a module's state as every sandbox finds it: memory and mutable
// globals. Tables need no saving, because the rewriter refuses modules that
// change them.
type snapshot struct {
	snapshotHeader
	memory *backing
}

// snapshotHeader is what is known of a snapshot beside its memory.
type snapshotHeader struct {
	Size      uint64   // bytes of linear memory
	Beside    uint64   // bytes that an instance takes in the engine, about
	Globals   []uint64 // in the order of the rewritten module's exports
	Frozen    bool     // false: initial memory alone, and every sandbox initialises it anew
	Command   bool     // the module is a plain WASI command, not a guest: command.go
	Monotonic int64    // the guest's clock when it was frozen
	Code      string   // key of the module's compiled code
	Note      string   // for the operator
}

// snapshot copies the state of an instance that stands still.
func (inst *instance) snapshot() (*snapshot, error) {
	memory, err := newBacking(inst.bytes())
	if err != nil {
		return nil, err
	}
	s := &snapshot{memory: memory}
	s.Size, s.Frozen, s.Monotonic = uint64(len(inst.bytes())), true, inst.res.monotonic()
	for _, g := range inst.globals {
		s.Globals = append(s.Globals, g.Get())
	}
	return s, nil
}

// cost is what a sandbox takes from its image's budget.
func (h *snapshotHeader) cost() uint64 { return h.Size + h.Beside }

func (s *snapshot) close() { s.memory.close() }

// snapshotVersion goes up whenever a guest could see another host during its
// initialisation, or the file changes: old snapshots are then made anew.
const snapshotVersion = "spore image 5"

// A snapshot file is the digest of its name and all that follows, then the header as JSON
// behind its length (little-endian, 32 bits), then the memory, compressed with
// zstd: 0.3 MB for the 2.9 MB of a small Go program.
//
// Compression was measured against leaving zero pages out (1.4 MB, 0.7 ms to read
// instead of 1.5) and S2 (0.38 MB, 0.9 ms): ten thousand functions on a small
// server's disk are worth a millisecond.
func (img *Image) storeSnapshot(s *snapshot) error {
	header, err := json.Marshal(s.snapshotHeader)
	if err != nil {
		return err
	}
	content := binary.LittleEndian.AppendUint32(nil, uint32(len(header)))
	content = append(content, header...)
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false))
	if err != nil {
		return err
	}
	content = encoder.EncodeAll(s.memory.bytes(), content)
	return writeFile(img.snapshotPath(), sealed(img.snapshotKey(), content), content)
}

func (img *Image) snapshotPath() string {
	return filepath.Join(img.engine.files.images, img.snapshotKey())
}

// readSnapshot returns the image's file as header and compressed memory.
func (img *Image) readSnapshot() (header snapshotHeader, memory []byte, err error) {
	file, err := os.ReadFile(img.snapshotPath())
	if err != nil {
		return header, nil, err
	}
	content, err := unseal(img.snapshotKey(), file)
	if err != nil {
		return header, nil, err
	}
	if len(content) < 4 || uint64(binary.LittleEndian.Uint32(content)) > uint64(len(content)-4) {
		return header, nil, errDamaged
	}
	n := 4 + binary.LittleEndian.Uint32(content)
	if err := json.Unmarshal(content[4:n], &header); err != nil {
		return header, nil, err
	}
	if header.Size > uint64(img.settings.MemoryMax) || header.Size%wasmPage != 0 {
		return header, nil, errors.New("a snapshot of another size")
	}
	return header, content[n:], nil
}

// decoder is shared: it has no state between calls.
var decoder = sync.OnceValues(func() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecodeAllCapLimit(true))
})

// loadSnapshot brings the image's file into memory.
func (img *Image) loadSnapshot() (*snapshot, error) {
	header, compressed, err := img.readSnapshot()
	if err != nil {
		return nil, err
	}
	dec, err := decoder()
	if err != nil {
		return nil, err
	}
	memory, err := dec.DecodeAll(compressed, make([]byte, 0, header.Size))
	if err != nil {
		return nil, err
	}
	if uint64(len(memory)) != header.Size {
		return nil, errDamaged
	}
	s := &snapshot{snapshotHeader: header}
	s.memory, err = newBacking(memory)
	return s, err
}
