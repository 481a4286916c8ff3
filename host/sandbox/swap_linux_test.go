package sandbox

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// pageOut asks the kernel to swap b out.
func pageOut(tb testing.TB, b []byte) {
	tb.Helper()
	const madvPageout = 21
	require.NoError(tb, unix.Madvise(b, madvPageout))
}

// swappedPages counts the pages of m that are in swap.
func swappedPages(m *linearMemory) (n int) {
	words := make([]byte, m.size/pageSize*8)
	if _, err := pagemap().ReadAt(words, int64(uintptr(m.addr))/pageSize*8); err != nil {
		return 0
	}
	for i := 0; i < len(words); i += 8 {
		n += int(binary.LittleEndian.Uint64(words[i:]) >> 62 & 1)
	}
	return n
}
