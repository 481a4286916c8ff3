package sandbox_test

import (
	"bytes"
	"encoding/binary"
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"spore/abi"
	"spore/host/function"
)

const (
	wasiModule = "wasi_snapshot_preview1"
	procExit   = "proc_exit" // the only one without a result
	enosys     = 52
)

// wasi is all of wasi_snapshot_preview1, with the parameters of its witx files.
var wasi = map[string]string{
	"args_get": "ii", "args_sizes_get": "ii", "clock_res_get": "ii", "clock_time_get": "iIi", "environ_get": "ii",
	"environ_sizes_get": "ii", "fd_advise": "iIIi", "fd_allocate": "iII", "fd_close": "i", "fd_datasync": "i",
	"fd_fdstat_get": "ii", "fd_fdstat_set_flags": "ii", "fd_fdstat_set_rights": "iII", "fd_filestat_get": "ii",
	"fd_filestat_set_size": "iI", "fd_filestat_set_times": "iIIi", "fd_pread": "iiiIi", "fd_prestat_dir_name": "iii",
	"fd_prestat_get": "ii", "fd_pwrite": "iiiIi", "fd_read": "iiii", "fd_readdir": "iiiIi", "fd_renumber": "ii",
	"fd_seek": "iIii", "fd_sync": "i", "fd_tell": "ii", "fd_write": "iiii", "path_create_directory": "iii",
	"path_filestat_get": "iiiii", "path_filestat_set_times": "iiiiIIi", "path_link": "iiiiiii", "path_open": "iiiiiIIii",
	"path_readlink": "iiiiii", "path_remove_directory": "iii", "path_rename": "iiiiii", "path_symlink": "iiiii",
	"path_unlink_file": "iii", "poll_oneoff": "iiii", procExit: "i", "proc_raise": "i", "random_get": "ii",
	"sched_yield": "", "sock_accept": "iii", "sock_recv": "iiiiii", "sock_send": "iiiii", "sock_shutdown": "ii",
}

// offered are the functions of abi/README.md 9.1.
var offered = []string{"args_get", "args_sizes_get", "environ_get", "environ_sizes_get", "clock_res_get", "clock_time_get",
	"random_get", "sched_yield", "poll_oneoff", "fd_write", "fd_read", "fd_close", "fd_fdstat_get", "fd_fdstat_set_flags",
	"fd_prestat_get", "fd_prestat_dir_name", procExit}

// TestWASIFunctionsNotOffered imports all of preview1 with its types. What is not
// offered answers ENOSYS, whatever it is given.
func TestWASIFunctionsNotOffered(t *testing.T) {
	require.Len(t, wasi, 46)
	steps := []step{take(anyResult), respond()}
	for _, name := range slices.Sorted(maps.Keys(wasi)) {
		params := len(wasi[name])
		if !slices.Contains(offered, name) {
			steps = append(steps, call(name, enosys, make([]int32, params)...))
			steps = append(steps, call(name, enosys, slices.Repeat([]int32{-1}, params)...))
		}
	}
	steps = append(steps, call(procExit, noResult, 0))
	for _, name := range offered[:len(offered)-1] { // never reached, but imported
		steps = append(steps, call(name, anyResult, make([]int32, len(wasi[name]))...))
	}
	_, err := handmade{serve: steps}.serveOnce(t, abi.Event{})
	require.Equal(t, abi.Exited, function.KindOf(err), "%v", err)
}

// TestG14HostilePointersToWASI gives every function that is offered every corner of
// the address space, as descriptors, counts and sizes too. The guest, which has
// answered before, goes on to its end.
func TestG14HostilePointersToWASI(t *testing.T) {
	corners := []int32{0, 1, 8, memorySize - 1, memorySize, memorySize + 1, math.MaxInt32, math.MinInt32, -1, eventAt}
	for _, name := range offered {
		if name == procExit {
			continue // it does not come back
		}
		t.Run(name, func(t *testing.T) {
			steps := []step{take(anyResult), call(abi.ImportHTTPStart, 8, httpAt, int32(len(httpFrame))), respond()}
			for _, a := range corners {
				for _, b := range corners {
					for _, c := range corners {
						steps = append(steps, call(name, anyResult, []int32{a, b, c, b}[:len(wasi[name])]...))
					}
				}
			}
			res, err := handmade{serve: steps}.serveOnce(t, abi.Event{})
			require.NoError(t, err)
			require.Equal(t, "made by hand", string(res.Body))
		})
	}
}

// subscription returns one of poll_oneoff's with at as its absolute or relative
// time, if it is one to a clock.
func subscription(userdata uint64, tag byte, id uint32, at uint64, absolute bool) []byte {
	b := binary.LittleEndian.AppendUint64(nil, userdata)
	b = append(b, tag, 0, 0, 0, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint64(b, uint64(id))
	b = binary.LittleEndian.AppendUint64(b, at)
	b = append(b, make([]byte, 16)...)
	if absolute {
		b[40] = 1
	}
	return b
}

func TestPollOneoff(t *testing.T) {
	const (
		in, out, count         = 0x1000, 0x6000, 0x5ff0
		clock, read, write     = 0, 1, 2
		realtime, monotonic    = 0, 1
		einval, ebadf, efault  = 28, 8, 21
		future, soon           = math.MaxUint64, 0
		absolute, relative     = true, false
		stdout, noDescriptor   = 1, 4000
		unknownTag, otherClock = 9, 7
	)
	justNow := uint64(time.Now().UnixNano()) - 1e9
	poll := func(n, want int32) step { return call("poll_oneoff", want, in, out, n, count) }
	one := func(errno, tag int32) []step { // one event, and what is in it
		return []step{load(count, 1), load(out, 0x55), load(out+8, errno|tag<<16)}
	}
	for name, tc := range map[string]struct {
		subs [][]byte
		poll step
		then []step
	}{
		"no subscription":                       {nil, poll(0, einval), nil},
		"one more than there may be":            {nil, poll(1025, einval), nil},
		"2^31 of them":                          {nil, poll(math.MinInt32, einval), nil},
		"as many as there may be":               {nil, poll(1024, 0), []step{load(count, 1024)}},
		"subscriptions that leave the memory":   {nil, call("poll_oneoff", efault, memorySize-47, out, 1, count), nil},
		"events that leave the memory":          {nil, call("poll_oneoff", efault, in, memorySize-31, 1, count), nil},
		"a count outside the memory":            {nil, call("poll_oneoff", efault, in, out, 1, memorySize-3), nil},
		"a clock that fires now":                {[][]byte{subscription(0x55, clock, monotonic, soon, relative)}, poll(1, 0), one(0, clock)},
		"a time just over":                      {[][]byte{subscription(0x55, clock, realtime, justNow, absolute)}, poll(1, 0), one(0, clock)},
		"a monotonic time just over":            {[][]byte{subscription(0x55, clock, monotonic, 1, absolute)}, poll(1, 0), one(0, clock)},
		"a time of the distant past":            {[][]byte{subscription(0x55, clock, realtime, 0, absolute)}, poll(1, 0), one(0, clock)},
		"an absolute time of an unknown clock":  {[][]byte{subscription(0x55, clock, otherClock, 1, absolute)}, poll(1, einval), nil},
		"a far time beside a stream":            {[][]byte{subscription(1, clock, realtime, future, absolute), subscription(0x55, write, stdout, 0, false)}, poll(2, 0), one(0, write)},
		"a far monotonic time beside a stream":  {[][]byte{subscription(1, clock, monotonic, future, absolute), subscription(0x55, read, stdout, 0, false)}, poll(2, 0), one(0, read)},
		"an endless wait beside a stream":       {[][]byte{subscription(1, clock, realtime, future, relative), subscription(0x55, write, stdout, 0, false)}, poll(2, 0), one(0, write)},
		"an unknown tag":                        {[][]byte{subscription(0x55, unknownTag, 0, 0, false)}, poll(1, 0), one(einval, unknownTag)},
		"a descriptor that is not open":         {[][]byte{subscription(0x55, read, noDescriptor, 0, false)}, poll(1, 0), one(ebadf, read)},
		"events written over the subscriptions": {[][]byte{subscription(0x33, clock, 0, 0, false), subscription(0x44, clock, 0, 0, false)}, call("poll_oneoff", 0, in, in, 2, in+64), []step{load(in, 0x33), load(in+32, 0x44), load(in+64, 2)}},
		"the count written over the events":     {[][]byte{subscription(0x33, clock, 0, 0, false)}, call("poll_oneoff", 0, in, out, 1, out), []step{load(out, 1)}},
	} {
		t.Run(name, func(t *testing.T) {
			guest := handmade{data: map[uint32][]byte{in: slices.Concat(tc.subs...)}}
			guest.serve = slices.Concat([]step{tc.poll}, tc.then, []step{take(anyResult), respond()})
			_, err := guest.serveOnce(t, abi.Event{})
			require.NoError(t, err)
		})
	}
	t.Run("a far time alone", func(t *testing.T) {
		guest := handmade{data: map[uint32][]byte{in: subscription(1, clock, realtime, future, absolute)}, serve: []step{poll(1, 0)}}
		_, err := guest.serveOnce(t, abi.Event{})
		require.Equal(t, abi.Deadline, function.KindOf(err), "%v", err)
	})
}

func TestOneWriteTakes64KiB(t *testing.T) {
	const vector, count = 0x1000, 0x1010
	guest := handmade{
		data: map[uint32][]byte{vector: {0, 0, 0, 0, 0, 0x80, 0x01, 0}}, // from 0, 96 KiB
		init: []step{grow(1, 1)},
		serve: []step{
			call("fd_write", 0, 1, vector, 1, count), load(count, 64<<10),
			take(anyResult), respond(),
		},
	}
	_, err := guest.serveOnce(t, abi.Event{})
	require.NoError(t, err)
}

// TestVectorsAreBounded in number, also where their size in bytes would wrap around.
func TestVectorsAreBounded(t *testing.T) {
	const invalid, count = 28, 0xff00
	for _, fn := range []step{call("fd_write", invalid, 1, 0, 1025, count), call("fd_write", invalid, 1, 0, 1<<29, count), call("fd_read", invalid, 8, 0, 1<<29+1, count)} {
		guest := handmade{serve: []step{take(anyResult), call(abi.ImportHTTPStart, 8, httpAt, int32(len(httpFrame))), fn, respond()}}
		_, err := guest.serveOnce(t, abi.Event{})
		require.NoError(t, err)
	}
}

// TestALoopOfHostCallsEndsAtTheDeadline spends all its time in host functions,
// where no check of the guest's looks at the clock: each call writes 32 MiB of
// short lines.
func TestALoopOfHostCallsEndsAtTheDeadline(t *testing.T) {
	const lines, vectors, count = 0x1000, 0xa000, 1024
	vector := binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, lines), 0x8000)
	guest := handmade{
		data: map[uint32][]byte{lines: bytes.Repeat([]byte("x\n"), 0x4000), vectors: bytes.Repeat(vector, count)},
		serve: []step{
			raw(0x03, 0x40), // loop
			call("fd_write", anyResult, 1, vectors, count, 0),
			raw(0x0c, 0, 0x0b), // br 0; end
		},
	}
	img := prepareModule(t, guest.bytes(), capable())
	start := time.Now()
	_, _, err := ask(t, img, abi.Event{}, 100*time.Millisecond)
	require.Equal(t, abi.Deadline, function.KindOf(err), "%v", err)
	require.Less(t, time.Since(start), time.Second)
}
