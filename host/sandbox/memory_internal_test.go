package sandbox

import (
	"bytes"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// eachMethod runs test with every way of restoring memory that works here.
func eachMethod(t *testing.T, test func(t *testing.T, m Method)) {
	tried := 0
	for m := Scan; m <= Copy; m++ {
		if !probe(m) {
			t.Logf("%v does not work on this machine", m)
			continue
		}
		tried++
		t.Run(m.String(), func(t *testing.T) { test(t, m) })
	}
	require.NotZero(t, tried)
}

// memoryOf returns an image of so many pages, every byte of which names its page but
// for a third of the grains, which are zero, and a memory mapped from it.
func memoryOf(t *testing.T, pages int) (*backing, *linearMemory) {
	t.Helper()
	image := make([]byte, pages*pageSize)
	for i := range image {
		if i/grain*7%3 != 0 {
			image[i] = byte(i/pageSize%250 + 1)
		}
	}
	b, err := newBacking(image)
	require.NoError(t, err)
	m := &linearMemory{limit: b.size}
	m.mapping, err = newMapping(m.limit, b)
	require.NoError(t, err)
	t.Cleanup(func() { m.Free(); b.close() })
	return b, m
}

func TestEveryMethodRestoresWhateverWasWritten(t *testing.T) {
	const pages = 400
	patterns := map[string]func(page int) bool{
		"nothing":           func(int) bool { return false },
		"the first page":    func(page int) bool { return page == 0 },
		"the last page":     func(page int) bool { return page == pages-1 },
		"every second page": func(page int) bool { return page%2 == 0 }, // three full vectors of PAGEMAP_SCAN
		"every page":        func(int) bool { return true },
		"at random":         func(int) bool { return rand.N(5) == 0 },
	}
	eachMethod(t, func(t *testing.T, method Method) {
		for name, written := range patterns {
			b, m := memoryOf(t, pages)
			for range 3 {
				for page := range pages {
					_ = m.bytes()[page*pageSize+1]
					if written(page) {
						m.bytes()[page*pageSize+rand.N(pageSize)] ^= 0xff
					}
				}
				_, ok := m.restore(b, method, true)
				require.True(t, ok, name)
				require.True(t, bytes.Equal(m.bytes(), b.bytes()), name)
			}
		}
	})
}

// TestZerosAreFoundAsTheyAre compares what is known of an image's zeros, and how spans are
// cut by it, with the image.
func TestZerosAreFoundAsTheyAre(t *testing.T) {
	const pages = 64
	image := make([]byte, pages*pageSize)
	for range pages * 4 {
		image[rand.N(len(image)/2)] = 1 // the second half is zero
	}
	for g := 0; g < len(image)/2; g += grain * (1 + rand.N(2*minZeros/grain)) {
		image[g+[]int{0, rand.N(grain), grain - 1}[rand.N(3)]] = 1 // also at a grain's very ends
	}
	z := findZeros(image)
	zeros := make([]byte, minZeros+2*grain) // has minZeros in whole grains wherever it lies
	for range 100 {
		start, end := rand.N(uint64(pages)), rand.N(uint64(pages))
		whole := span{min(start, end) * pageSize, (max(start, end) + 1) * pageSize}
		list := z.split(nil, whole)
		at := whole.start
		for i, s := range list {
			require.Equal(t, at, s.start, "the stretches lie side by side")
			require.Greater(t, s.end, s.start)
			require.True(t, i == 0 || s.zero != list[i-1].zero, "no stretch is cut without need")
			require.Equal(t, s.zero, bytes.Count(image[s.start:s.end], []byte{0}) == int(s.end-s.start), "zero throughout or not")
			require.True(t, !s.zero || s.end-s.start >= minZeros)
			require.False(t, !s.zero && bytes.Contains(image[s.start:s.end], zeros), "what is worth clearing is")
			at = s.end
		}
		require.Equal(t, whole.end, at)
	}
}

func TestAPageOnceFoundIsRestoredWithoutLooking(t *testing.T) {
	for _, method := range []Method{Scan, Pagemap} {
		if !probe(method) {
			t.Logf("%v does not work on this machine", method)
			continue
		}
		b, m := memoryOf(t, 10)
		m.bytes()[3*pageSize], m.bytes()[4*pageSize] = 1, 2
		pages, ok := m.restore(b, method, true)
		require.True(t, ok)
		require.Equal(t, 2, pages)
		m.bytes()[4*pageSize+9] = 3
		pages, ok = m.restore(b, method, false)
		require.True(t, ok)
		require.Equal(t, 2, pages)
		require.True(t, bytes.Equal(m.bytes(), b.bytes()))

		m.bytes()[7*pageSize] = 4 // why looking cannot be spared when a page changed for the first time
		_, ok = m.restore(b, method, false)
		require.True(t, ok)
		require.False(t, bytes.Equal(m.bytes(), b.bytes()))
		pages, ok = m.restore(b, method, true)
		require.True(t, ok)
		require.Equal(t, 3, pages)
		require.True(t, bytes.Equal(m.bytes(), b.bytes()))
	}
}

// TestTooManyChangedPagesAreNotRestored: nor is a list made of them, which would take as
// much of the host's memory as the guest cares to change of its own.
func TestTooManyChangedPagesAreNotRestored(t *testing.T) {
	for _, method := range []Method{Scan, Pagemap} {
		if !probe(method) {
			t.Logf("%v does not work on this machine", method)
			continue
		}
		for _, pages := range []int{maxChanged, maxChanged + 1, 20 * maxChanged} {
			b, m := memoryOf(t, 20*maxChanged)
			for page := range pages {
				m.bytes()[page*pageSize] ^= 1
			}
			_, ok := m.restore(b, method, true)
			require.Equal(t, pages <= maxChanged, ok, "%v %d", method, pages)
			require.LessOrEqual(t, len(m.changed), maxChanged*pageSize/grain, "%v %d", method, pages)
		}
	}
}

// TestAWriteToACleanPageIsCounted is the fact that sparing a look rests on: first
// writes are page faults of the thread that writes, whether the page was read
// before or not, and writes to a page that is the instance's own are none.
func TestAWriteToACleanPageIsCounted(t *testing.T) {
	if !probeCounts() {
		t.Skip("page faults are not counted by thread on this machine")
	}
	const pages = 64
	_, m := memoryOf(t, pages)
	view := m.bytes()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	sum := byte(0)
	for page := range pages {
		if page%2 == 0 {
			sum += view[page*pageSize]
		}
		before := threadFaults()
		view[page*pageSize] = 1
		first := threadFaults()
		require.Greater(t, first, before, "page %d", page)
	}
	runtime.KeepAlive(sum)
	before := threadFaults()
	for i := range 20 * pages {
		view[i%pages*pageSize+i%pageSize] = byte(i)
	}
	require.Less(t, threadFaults()-before, int64(10), "pages that are the instance's own fault no more")
}

// TestFaultsOfOtherThreadsAreNotThisThreads: why a guest that has left its thread
// is always looked at.
func TestFaultsOfOtherThreadsAreNotThisThreads(t *testing.T) {
	if !probeCounts() {
		t.Skip("page faults are not counted by thread on this machine")
	}
	_, m := memoryOf(t, 64)
	unseen := 0
	for page := range 64 {
		runtime.LockOSThread()
		before := threadFaults()
		done := make(chan struct{})
		go func() {
			runtime.LockOSThread() // so it is another thread
			defer runtime.UnlockOSThread()
			m.bytes()[page*pageSize] = 1
			close(done)
		}()
		<-done
		if threadFaults() == before {
			unseen++
		}
		runtime.UnlockOSThread()
	}
	require.NotZero(t, unseen)
}

func TestAMethodThatDoesNotWorkIsRefused(t *testing.T) {
	_, err := choose(Method(99))
	require.ErrorContains(t, err, "Method(99) does not work on this machine")
	best, err := choose(Auto)
	require.NoError(t, err)
	t.Logf("this machine restores by %v, sparing: %v", best.method, best.counts)
}

// TestPagesThatWereSwappedOutAreFound needs swap, which .ci/run makes where it may.
func TestPagesThatWereSwappedOutAreFound(t *testing.T) {
	swaps, err := os.ReadFile("/proc/swaps")
	if err != nil || strings.Count(string(swaps), "\n") < 2 {
		t.Skip("this machine has no swap; .ci/run makes some in memory (zram)")
	}
	for _, method := range []Method{Scan, Pagemap} {
		if !probe(method) {
			t.Logf("%v does not work on this machine", method)
			continue
		}
		b, m := memoryOf(t, 200)
		for page := range 100 {
			m.bytes()[page*2*pageSize] ^= 0xff
		}
		pageOut(t, m.bytes())
		require.Positive(t, swappedPages(m), "nothing was swapped out, so this would prove nothing")
		pages, ok := m.restore(b, method, true)
		require.True(t, ok)
		require.Equal(t, 100, pages)
		require.True(t, bytes.Equal(m.bytes(), b.bytes()))
	}
}
