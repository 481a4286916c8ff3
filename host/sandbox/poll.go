package sandbox

import (
	"encoding/binary"
	"time"
)

// A subscription and an event of poll_oneoff, as preview1 lays them out.
const (
	subscriptionSize = 48
	eventSize        = 32
	pollClock        = 0
	pollRead         = 1
	pollWrite        = 2
)

// pollOneoff waits until one of the guest's subscriptions is ready, and no
// longer than the run's deadline.
func pollOneoff(r *run, mem guestMemory, a []uint64) errno {
	n := uint32(a[2])
	if n == 0 || n > maxPolled {
		return errInval
	}
	view, ok := mem.read(uint32(a[0]), n*subscriptionSize)
	if !ok {
		return errFault
	}
	subs := append([]byte(nil), view...)
	alarm, errno := earliest(r, subs)
	if errno != success {
		return errno
	}
	for {
		events := ready(r, subs, alarm)
		if len(events) > 0 {
			if err := mem.put(a[1], events); err != success {
				return err
			}
			return mem.putU32(a[3], uint32(len(events)/eventSize))
		}
		r.waitUntil(alarm)
	}
}

// earliest returns when the first clock subscription fires; zero means never.
func earliest(r *run, subs []byte) (time.Time, errno) {
	now := time.Now()
	var first time.Time
	for ; len(subs) > 0; subs = subs[subscriptionSize:] {
		if subs[8] != pollClock {
			continue
		}
		d := int64(min(binary.LittleEndian.Uint64(subs[24:]), 1<<62))
		if subs[40]&1 != 0 { // an absolute time of the clock named
			switch binary.LittleEndian.Uint32(subs[16:]) {
			case 0:
				d -= r.img.engine.opt.Now().UnixNano()
			case 1:
				d -= r.inst.res.monotonic()
			default:
				return first, errInval
			}
		}
		if at := now.Add(time.Duration(d)); first.IsZero() || at.Before(first) {
			first = at
		}
	}
	return first, success
}

// ready returns the events of the subscriptions that are ready now. All clocks
// count as fired when the earliest has: a guest looks at its own clock anyway.
func ready(r *run, subs []byte, alarm time.Time) []byte {
	var events []byte
	fired := !alarm.IsZero() && !time.Now().Before(alarm)
	for ; len(subs) > 0; subs = subs[subscriptionSize:] {
		fd := binary.LittleEndian.Uint32(subs[16:])
		is, err := false, success
		switch subs[8] {
		case pollClock:
			is = fired
		case pollRead, pollWrite:
			is, err = r.pollDescriptor(fd, subs[8])
		default:
			is, err = true, errInval
		}
		if is {
			events = append(events, subs[:8]...)
			events = append(events, byte(err), byte(err>>8), subs[8])
			events = append(events, make([]byte, eventSize-11)...)
		}
	}
	return events
}

func (r *run) pollDescriptor(fd uint32, mode byte) (bool, errno) {
	if fd <= 2 {
		return true, success
	}
	c := r.calls.get(fd)
	if c == nil {
		return true, errBadf
	}
	return mode == pollWrite || c.readable(), success
}

// waitUntil sleeps until the alarm, the run's deadline, or a call has something
// to read. A run that is over its deadline ends here.
func (r *run) waitUntil(alarm time.Time) {
	wait := time.Duration(r.deadline() - r.img.engine.elapsed())
	if !alarm.IsZero() {
		wait = min(wait, time.Until(alarm))
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	r.pause()
	select {
	case <-timer.C:
	case <-r.calls.wake:
	case <-r.Done():
	}
	r.resume()
	r.checkTime(r.img.engine.elapsed())
}
