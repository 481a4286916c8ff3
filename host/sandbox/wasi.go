package sandbox

import (
	"encoding/binary"
	"runtime"
)

// The guest's WASI surface (wasi_snapshot_preview1): clocks, randomness,
// arguments and environment, standard streams, polling, and descriptors of
// outbound calls. Everything else exists, so that modules link, and answers
// ENOSYS. There is no file system.

const wasiModule = "wasi_snapshot_preview1"

// errno is a WASI error number.
type errno uint32

const (
	success      errno = 0
	errAgain     errno = 6
	errBadf      errno = 8
	errFault     errno = 21
	errFBig      errno = 22
	errInval     errno = 28
	errIO        errno = 29
	errNoSys     errno = 52
	errNotSup    errno = 58
	errTimedOut  errno = 73
	maxIOVecs          = 1024
	maxRandom          = 1 << 20  // bytes of one random_get
	randomPiece        = 64 << 10 // of which so many at once: the kernel takes 0.15 ms for them
	maxWrite           = 64 << 10 // bytes of one fd_write; the guest comes back with the rest
	maxPolled          = 1024     // subscriptions of one poll_oneoff
	filetypeTTY        = 2        // character device
	filetypeTCP        = 6        // socket stream
	flagNonblock       = 4
)

type wasiFunc func(r *run, mem guestMemory, a []uint64) errno

// wasiFuncs is preview1's whole function list with its signatures.
func wasiFuncs() map[string]hostFunc {
	funcs := map[string]hostFunc{}
	for name, params := range map[string]string{
		"fd_advise": "iIIi", "fd_allocate": "iII", "fd_datasync": "i", "fd_fdstat_set_rights": "iII",
		"fd_filestat_get": "ii", "fd_filestat_set_size": "iI", "fd_filestat_set_times": "iIIi", "fd_pread": "iiiIi",
		"fd_pwrite": "iiiIi", "fd_readdir": "iiiIi", "fd_renumber": "ii", "fd_seek": "iIii", "fd_sync": "i",
		"fd_tell": "ii", "path_create_directory": "iii", "path_filestat_get": "iiiii",
		"path_filestat_set_times": "iiiiIIi", "path_link": "iiiiiii", "path_open": "iiiiiIIii",
		"path_readlink": "iiiiii", "path_remove_directory": "iii", "path_rename": "iiiiii", "path_symlink": "iiiii",
		"path_unlink_file": "iii", "proc_raise": "i", "sock_accept": "iii", "sock_recv": "iiiiii",
		"sock_send": "iiiii", "sock_shutdown": "ii",
	} {
		funcs[name] = wasi(params, func(*run, guestMemory, []uint64) errno { return errNoSys })
	}
	for name, fn := range map[string]hostFunc{
		"args_get":            wasi("ii", argsGet),
		"args_sizes_get":      wasi("ii", argsSizesGet),
		"environ_get":         wasi("ii", environGet),
		"environ_sizes_get":   wasi("ii", environSizesGet),
		"clock_res_get":       wasi("ii", clockResGet),
		"clock_time_get":      wasi("iIi", clockTimeGet),
		"random_get":          wasi("ii", randomGet),
		"sched_yield":         wasi("", schedYield),
		"fd_write":            wasi("iiii", fdWrite),
		"fd_read":             wasi("iiii", fdRead),
		"fd_close":            wasi("i", fdClose),
		"fd_fdstat_get":       wasi("ii", fdFdstatGet),
		"fd_fdstat_set_flags": wasi("ii", fdFdstatSetFlags),
		"fd_prestat_get":      wasi("ii", noPreopens),
		"fd_prestat_dir_name": wasi("iii", noPreopens),
		"poll_oneoff":         wasi("iiii", pollOneoff),
	} {
		funcs[name] = fn
	}
	funcs["proc_exit"] = hostFunc{"i", "", func(_ *run, _ guestMemory, a []uint64) uint64 {
		panic(&exitError{uint32(a[0])})
	}}
	return funcs
}

func wasi(params string, fn wasiFunc) hostFunc {
	return hostFunc{params, "i", func(r *run, mem guestMemory, a []uint64) uint64 { return uint64(fn(r, mem, a)) }}
}

func argsGet(r *run, mem guestMemory, a []uint64) errno {
	return putStrings(mem, []string{r.img.settings.Name}, a)
}

func argsSizesGet(r *run, mem guestMemory, a []uint64) errno {
	return putSizes(mem, []string{r.img.settings.Name}, a)
}

func environGet(r *run, mem guestMemory, a []uint64) errno { return putStrings(mem, r.environ(), a) }

func environSizesGet(r *run, mem guestMemory, a []uint64) errno {
	return putSizes(mem, r.environ(), a)
}

// putStrings writes the pointers of list to a[0] and its bytes, each string
// ended by a zero, to a[1].
func putStrings(mem guestMemory, list []string, a []uint64) errno {
	pointers, data := []byte(nil), []byte(nil)
	for _, s := range list {
		pointers = binary.LittleEndian.AppendUint32(pointers, uint32(a[1])+uint32(len(data)))
		data = append(append(data, s...), 0)
	}
	if err := mem.put(a[0], pointers); err != success {
		return err
	}
	return mem.put(a[1], data)
}

func putSizes(mem guestMemory, list []string, a []uint64) errno {
	size := 0
	for _, s := range list {
		size += len(s) + 1
	}
	if err := mem.putU32(a[0], uint32(len(list))); err != success {
		return err
	}
	return mem.putU32(a[1], uint32(size))
}

func clockResGet(_ *run, mem guestMemory, a []uint64) errno {
	if uint32(a[0]) > 1 {
		return errInval
	}
	return mem.put(a[1], binary.LittleEndian.AppendUint64(nil, 1))
}

func clockTimeGet(r *run, mem guestMemory, a []uint64) errno {
	var t int64
	switch uint32(a[0]) {
	case 0:
		t = r.img.engine.opt.Now().UnixNano()
	case 1:
		t = r.inst.res.monotonic()
	default:
		return errInval
	}
	return mem.put(a[2], binary.LittleEndian.AppendUint64(nil, uint64(t)))
}

func randomGet(r *run, mem guestMemory, a []uint64) errno {
	ptr, left := uint32(a[0]), uint32(a[1])
	if left > maxRandom {
		return errInval
	}
	if _, ok := mem.read(ptr, left); !ok {
		return errFault
	}
	piece := make([]byte, min(left, randomPiece)) // the kernel writes here, and never to guest memory (thread.go)
	for {
		piece = piece[:min(left, randomPiece)]
		fillEntropy(piece)
		mem.write(ptr, piece)
		ptr, left = ptr+uint32(len(piece)), left-uint32(len(piece))
		if left == 0 {
			return success
		}
		r.relent(r.img.engine.elapsed())
	}
}

func schedYield(_ *run, _ guestMemory, _ []uint64) errno {
	runtime.Gosched()
	return success
}

func noPreopens(*run, guestMemory, []uint64) errno { return errBadf }

func fdClose(r *run, _ guestMemory, a []uint64) errno {
	if uint32(a[0]) <= 2 {
		return success
	}
	if !r.calls.close(uint32(a[0])) {
		return errBadf
	}
	return success
}

// fdFdstatGet describes the standard streams as terminals, but not a command's
// body and answer, and a call as a non-blocking socket, which makes Go's poller
// wait for it.
func fdFdstatGet(r *run, mem guestMemory, a []uint64) errno {
	var stat [24]byte
	switch fd := uint32(a[0]); {
	case fd <= 1 && r.command != nil: // of no known type, as WASI has a pipe
	case fd <= 2:
		stat[0] = filetypeTTY
	case r.calls.get(fd) != nil:
		stat[0], stat[2] = filetypeTCP, flagNonblock
	default:
		return errBadf
	}
	const rights = 1<<1 | 1<<6 | 1<<27 // fd_read, fd_write, poll_fd_readwrite
	binary.LittleEndian.PutUint64(stat[8:], rights)
	return mem.put(a[1], stat[:])
}

// fdFdstatSetFlags accepts what is already so.
func fdFdstatSetFlags(r *run, _ guestMemory, a []uint64) errno {
	switch fd, flags := uint32(a[0]), uint32(a[1]); {
	case fd <= 2:
		return success
	case r.calls.get(fd) == nil:
		return errBadf
	case flags != flagNonblock:
		return errNotSup
	}
	return success
}

func fdWrite(r *run, mem guestMemory, a []uint64) errno {
	fd := uint32(a[0])
	if fd != 1 && fd != 2 {
		return errBadf
	}
	written := 0
	err := mem.eachBuffer(a[1], a[2], func(buf []byte) bool {
		buf = buf[:min(len(buf), maxWrite-written)]
		if fd == 1 && r.command != nil {
			r.command.write(buf)
		} else {
			r.output.write(r, int(fd)-1, buf)
		}
		written += len(buf)
		return written < maxWrite
	})
	if err != success {
		return err
	}
	return mem.putU32(a[3], uint32(written))
}

// fdRead reads from a call, or a command's body; a guest's standard input is empty.
func fdRead(r *run, mem guestMemory, a []uint64) errno {
	if uint32(a[0]) == 0 {
		return r.readInput(mem, a)
	}
	c := r.calls.get(uint32(a[0]))
	if c == nil {
		return errBadf
	}
	total, state := 0, success
	err := mem.eachBuffer(a[1], a[2], func(buf []byte) bool {
		var n int
		n, state = c.read(buf)
		total += n
		return n == len(buf)
	})
	switch {
	case err != success:
		return err
	case total == 0 && state != success:
		return state
	}
	return mem.putU32(a[3], uint32(total))
}
