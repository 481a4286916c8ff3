// spore.ts: a spore1 guest in AssemblyScript. ../../../README.md is the
// specification; the numbers in comments are its sections.
//
//     import { next, respond, BODY, Frame, RESULT } from "./spore";
//
//     // What stands here runs once, at deploy: the initialisation.
//
//     export function spore_serve(): void { // runs once for each event
//       const ev = next();
//       respond(new Frame(RESULT).text(2, "text/plain").set(BODY, ev.get(12)));
//     }
//
// Build with --runtime stub, whose objects are never moved and never freed: every
// sandbox serves one event, so nothing has to be given back, and pointers stay
// what they are. build.sh has the other options.

// The host functions (2.2). A negative result -k is kind k of section 5.
@external("spore1", "get_next_request") export declare function get_next_request(buf: usize, cap: u32): i32;
@external("spore1", "body_read") export declare function body_read(buf: usize, len: u32, offset: u32): i32;
@external("spore1", "send_response") export declare function send_response(frame: usize, len: u32): i32;
@external("spore1", "send_error") export declare function send_error(frame: usize, len: u32): i32;
@external("spore1", "http_start") export declare function http_start(frame: usize, len: u32): i32;
@external("spore1", "secret_get") export declare function secret_get(name: usize, nameLen: u32, buf: usize, cap: u32): i32;
@external("spore1", "log") export declare function log(frame: usize, len: u32): i32;

// What is needed of WASI (9).
@external("wasi_snapshot_preview1", "fd_read") export declare function fd_read(fd: u32, vecs: usize, n: u32, read: usize): u32;
@external("wasi_snapshot_preview1", "fd_write") export declare function fd_write(fd: u32, vecs: usize, n: u32, written: usize): u32;
@external("wasi_snapshot_preview1", "fd_close") export declare function fd_close(fd: u32): u32;
@external("wasi_snapshot_preview1", "poll_oneoff") export declare function poll_oneoff(subscriptions: usize, events: usize, n: u32, count: usize): u32;

// Kinds of error (5).
export const INTERNAL = 1, DEADLINE = 6, TOO_LARGE = 10, UNAVAILABLE = 14;

const MAX_BODY: u32 = 6 << 20, MAX_INLINE_BODY: u32 = 64 << 10, MAX_HEAD: u32 = 128 << 10, MAX_LOG_RECORD: u32 = 64 << 10, MAX_PAIRS = 1000; // (6)

// For WASI calls: a buffer's address and size, a count, a subscription, an event.
const scratch: usize = memory.data(96, 8);

// Bytes somewhere in memory.
@final export class Slice {
  constructor(public ptr: usize, public len: u32) {}

  static make(len: u32): Slice { return new Slice(heap.alloc(len), len); }

  static of(text: string): Slice {
    const utf8 = String.UTF8.encode(text);
    return new Slice(changetype<usize>(utf8), utf8.byteLength);
  }

  toString(): string { return String.UTF8.decodeUnsafe(this.ptr, this.len); }
}

// Pairs are read from a field's data, one after the other: while (p.next()).
@final export class Pairs {
  name: Slice = new Slice(0, 0);
  value: Slice = new Slice(0, 0);

  constructor(public rest: Slice) {}

  // next takes the next pair; false when there is none, or none that is whole.
  next(): bool {
    const after = take(this.name, this.rest), end = after ? take(this.value, after) : null;
    if (!end) return false;
    this.rest = end;
    return true;
  }
}

// take sets part to the string that from begins with, and returns what is behind it.
function take(part: Slice, from: Slice): Slice | null {
  if (from.len < 4 || load<u32>(from.ptr) > from.len - 4) return null;
  part.ptr = from.ptr + 4;
  part.len = load<u32>(from.ptr);
  return new Slice(part.ptr + part.len, from.len - 4 - part.len);
}

// pair returns the data of one pair.
export function pair(name: string, value: string): Slice {
  const n = Slice.of(name), v = Slice.of(value), data = Slice.make(8 + n.len + v.len);
  store<u32>(data.ptr, n.len);
  memory.copy(data.ptr + 4, n.ptr, n.len);
  store<u32>(data.ptr + 4 + n.len, v.len);
  memory.copy(data.ptr + 8 + n.len, v.ptr, v.len);
  return data;
}

// Kinds of frame (4), and the type of their body. Other types are written as the
// numbers they are.
export const EVENT: u16 = 1, RESULT: u16 = 2, ERROR: u16 = 3, HTTP_REQUEST: u16 = 4, HTTP_HEAD: u16 = 5, LOG_RECORD: u16 = 6;
export const BODY: u16 = 0x100;

// What data the fields of each kind of frame hold, type 1 first: s for strings and
// bytes, u for u32, i for i64, e for entropy, p for pairs. Only the first three
// named in bodies have a body.
const schema: StaticArray<string> = ["", "siisssssepssspsu", "usp", "sss", "sspu", "upus", "usp"];

function dataOf(kind: u16, type: u16): i32 {
  if (type == BODY) return kind == EVENT || kind == RESULT || kind == HTTP_REQUEST ? 115 /* s */ : 0;
  const types = schema[kind];
  return 1 <= type && <i32>type <= types.length ? types.charCodeAt(type - 1) : 0;
}

// Frame is a frame in pieces: the data of its fields by type. A field that is
// left out has none.
@final export class Frame {
  private fields: StaticArray<Slice | null> = new StaticArray<Slice | null>(18);

  constructor(public kind: u16) {}

  private static slot(type: u16): i32 { return type == BODY ? 17 : <i32>type; }

  has(type: u16): bool { return this.fields[Frame.slot(type)] != null; }

  get(type: u16): Slice {
    const data = this.fields[Frame.slot(type)];
    return data ? data : new Slice(0, 0);
  }

  u32(type: u16): u32 { return this.has(type) ? load<u32>(this.get(type).ptr) : 0; }

  i64(type: u16): i64 { return this.has(type) ? load<i64>(this.get(type).ptr) : 0; }

  set(type: u16, data: Slice): Frame {
    this.fields[Frame.slot(type)] = data.len > 0 ? data : null;
    return this;
  }

  text(type: u16, value: string): Frame { return this.set(type, Slice.of(value)); }

  number(type: u16, value: u32): Frame {
    const data = Slice.make(value == 0 ? 0 : 4);
    if (value != 0) store<u32>(data.ptr, value);
    return this.set(type, data);
  }

  encode(): Slice {
    let n: u32 = 8;
    for (let i = 0; i < 18; i++) {
      const data = this.fields[i];
      if (data) n += 6 + data.len;
    }
    const frame = Slice.make(n);
    store<u32>(frame.ptr, this.kind);
    store<u32>(frame.ptr + 4, n);
    let at = frame.ptr + 8;
    for (let i = 0; i < 18; i++) {
      const data = this.fields[i];
      if (!data) continue;
      store<u16>(at, i == 17 ? BODY : <u16>i);
      store<u32>(at + 2, data.len);
      memory.copy(at + 6, data.ptr, data.len);
      at += 6 + data.len;
    }
    return frame;
  }

  // decode takes a frame of this kind apart. It returns "", or the name of the
  // rule that was broken (3.3).
  decode(b: Slice): string {
    if (b.len < 8) return "truncated";
    if (load<u16>(b.ptr) != this.kind) return "frame_kind";
    if (load<u16>(b.ptr + 2) != 0) return "reserved";
    const length = load<u32>(b.ptr + 4);
    if (length < 8 || length > b.len) return "truncated";
    if (length < b.len) return "trailing";
    let last = -1, head: u32 = 8;
    for (let at: u32 = 8; at < length;) {
      if (length - at < 6 || load<u32>(b.ptr + at + 2) > length - at - 6) return "truncated";
      const type = load<u16>(b.ptr + at), size = load<u32>(b.ptr + at + 2);
      if (<i32>type <= last) return "order";
      last = type;
      at += 6;
      head += 6 + (type == BODY ? 0 : size);
      if (head > MAX_HEAD || (type == BODY && size > MAX_BODY)) return "too_large";
      const data = new Slice(b.ptr + at, size), broken = check(dataOf(this.kind, type), data);
      if (broken != "") return broken;
      if (dataOf(this.kind, type) != 0) this.set(type, data); // other fields are ignored (3.4)
      at += size;
    }
    return this.checkWhole(length);
  }

  // checkWhole holds what can only be said of a whole frame.
  private checkWhole(length: u32): string {
    if (this.kind == EVENT) { // (4.1)
      const size = this.u32(16);
      if (!this.has(9) || this.get(BODY).len != (size > MAX_INLINE_BODY ? 0 : size)) return "field_size";
      if (size > MAX_BODY) return "too_large";
    }
    if (this.kind == HTTP_HEAD && this.u32(3) > 255) return "field_size";
    if (this.kind == LOG_RECORD && length > MAX_LOG_RECORD) return "too_large";
    return "";
  }
}

// check judges a field by what data it should hold.
function check(data: i32, value: Slice): string {
  switch (data) {
    case 115: // s
      return value.len == 0 ? "zero_field" : "";
    case 117: // u
      if (value.len != 4) return "field_size";
      return load<u32>(value.ptr) == 0 ? "zero_field" : "";
    case 105: // i
      if (value.len != 8) return "field_size";
      return load<u64>(value.ptr) == 0 ? "zero_field" : "";
    case 101: // e
      return value.len != 32 ? "field_size" : "";
    case 112: { // p
      if (value.len == 0) return "zero_field";
      const pairs = new Pairs(new Slice(value.ptr, value.len));
      let n = 0;
      while (pairs.next()) n++;
      return pairs.rest.len > 0 || n > MAX_PAIRS ? "pairs" : "";
    }
  }
  return "";
}

// The event's frame, allocated before the freeze: a sandbox whose memory grows is not
// used again, and making a new one takes longer than restoring it.
const eventFrame = Slice.make(MAX_HEAD + MAX_INLINE_BODY);

// next takes the event and reseeds Math.random, which would repeat itself in
// every sandbox otherwise (8.4). A body too long for the frame is fetched.
export function next(): Frame {
  const ev = new Frame(EVENT), n = get_next_request(eventFrame.ptr, eventFrame.len);
  assert(n >= 0 && ev.decode(new Slice(eventFrame.ptr, n)) == "", "no event");
  Math.seedRandom(load<i64>(ev.get(9).ptr));
  const size = ev.u32(16);
  if (size > MAX_INLINE_BODY) {
    const body = Slice.make(size);
    assert(body_read(body.ptr, size, 0) == size, "no body");
    ev.set(BODY, body);
  }
  return ev;
}

// respond answers. The client has its answer now, and the guest may go on.
export function respond(result: Frame): i32 {
  const frame = result.encode();
  return send_response(frame.ptr, frame.len);
}

// fail reports an error instead of an answer. It returns only when the report was
// refused.
export function fail(type: string, message: string): i32 {
  const frame = new Frame(ERROR).text(1, type).text(2, message).encode();
  return send_error(frame.ptr, frame.len);
}

// start starts an outbound call and returns its descriptor, or a negative kind.
export function start(request: Frame): i32 {
  const frame = request.encode();
  return http_start(frame.ptr, frame.len);
}

// read waits for bytes of an answer and returns how many there are, 0 at the end,
// or a negative kind when the body broke off (8.3).
export function read(fd: u32, buf: Slice): i32 {
  const count = scratch + 8, subscription = scratch + 16, event = scratch + 64;
  for (;;) {
    store<u32>(scratch, buf.ptr);
    store<u32>(scratch + 4, buf.len);
    switch (fd_read(fd, scratch, 1, count)) {
      case 0:
        return load<i32>(count);
      case 6: // EAGAIN
        memory.fill(subscription, 0, 48);
        store<u8>(subscription + 8, 1); // until it can be read
        store<u32>(subscription + 16, fd);
        if (poll_oneoff(subscription, event, 1, count) != 0) return -INTERNAL;
        continue;
      case 22: // EFBIG
        return -TOO_LARGE;
      case 73: // ETIMEDOUT
        return -DEADLINE;
      default:
        return -UNAVAILABLE;
    }
  }
}

// readWhole fills buf, or returns a negative kind.
function readWhole(fd: u32, buf: Slice): i32 {
  for (let have: u32 = 0; have < buf.len;) {
    const n = read(fd, new Slice(buf.ptr + have, buf.len - have));
    if (n <= 0) return n < 0 ? n : -UNAVAILABLE;
    have += n;
  }
  return 0;
}

// readHead takes the head of an answer. It returns 0, or a negative kind when
// there is no answer.
export function readHead(fd: u32, head: Frame): i32 {
  const header = Slice.make(8);
  let err = readWhole(fd, header);
  if (err < 0) return err;
  const length = load<u32>(header.ptr + 4);
  if (length < 8 || length > MAX_HEAD) return -INTERNAL;
  const frame = Slice.make(length);
  memory.copy(frame.ptr, header.ptr, 8);
  err = readWhole(fd, new Slice(frame.ptr + 8, length - 8));
  if (err < 0) return err;
  return head.decode(frame) == "" ? -(<i32>head.u32(3)) : -INTERNAL;
}

// print writes a line to standard output (1) or standard error (2), for the log.
export function print(fd: u32, line: string): void {
  const bytes = Slice.of(line + "\n");
  store<u32>(scratch, bytes.ptr);
  store<u32>(scratch + 4, bytes.len);
  fd_write(fd, scratch, 1, scratch + 8);
}

// abort is what AssemblyScript calls before it traps; build.sh puts it in the
// place of the import env.abort, which no host of spore1 offers.
export function abort(message: string | null, file: string | null, line: u32, column: u32): void {
  print(2, (message ? message : "abort") + " at " + (file ? file : "") + ":" + line.toString() + ":" + column.toString());
  unreachable();
}

// seed stands in for the import env.seed. Math.random is seeded by next.
export function seed(): f64 { return 0; }
