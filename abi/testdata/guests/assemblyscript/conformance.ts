// The conformance guest in AssemblyScript: the event's path says what it does.
// The suite, host/sandbox TestGuestsOfOtherLanguages, and the guests beside this
// one have the same cases.
import {
  BODY, ERROR, EVENT, HTTP_HEAD, HTTP_REQUEST, LOG_RECORD, RESULT, Frame, Pairs, Slice, fail, fd_close, get_next_request, log, next, pair,
  poll_oneoff, print, read, readHead, respond, secret_get, send_response, start,
} from "./spore";

@external("wasi_snapshot_preview1", "environ_sizes_get") declare function environ_sizes_get(count: usize, size: usize): u32;
@external("wasi_snapshot_preview1", "environ_get") declare function environ_get(pointers: usize, data: usize): u32;
@external("wasi_snapshot_preview1", "args_sizes_get") declare function args_sizes_get(count: usize, size: usize): u32;
@external("wasi_snapshot_preview1", "args_get") declare function args_get(pointers: usize, data: usize): u32;
@external("wasi_snapshot_preview1", "clock_time_get") declare function clock_time_get(clock: u32, precision: u64, time: usize): u32;
@external("wasi_snapshot_preview1", "random_get") declare function random_get(buf: usize, len: u32): u32;
@external("wasi_snapshot_preview1", "proc_exit") declare function proc_exit(code: u32): void;

// The initialisation: the host runs it as _initialize and freezes what it leaves.
let counter = 0;
const token = Slice.of("TOKEN");
const secretInInit = secret_get(token.ptr, token.len, 0, 0);
const httpInInit = start(new Frame(HTTP_REQUEST).text(2, "https://example.test/"));
print(1, "initialised");

function answer(body: Slice): void {
  respond(new Frame(RESULT).text(2, "text/plain; charset=utf-8").set(BODY, body));
}

function answerText(text: string): void { answer(Slice.of(text)); }

const names: StaticArray<string> = ["none", "internal", "invalid", "not_found", "denied", "overloaded", "deadline", "trapped",
  "exited", "out_of_memory", "too_large", "out_of_order", "no_answer", "guest_error", "unavailable", "not_ready"];

function kindName(result: i32): string { return result < 0 && -result < 16 ? names[-result] : "unknown"; }

function listed(what: string, data: Slice): string {
  let text = "";
  const pairs = new Pairs(new Slice(data.ptr, data.len));
  while (pairs.next()) text += what + " " + pairs.name.toString() + "=" + pairs.value.toString() + "\n";
  return text;
}

function event(ev: Frame, inline: u32): string {
  const s = (type: u16, ev: Frame): string => ev.get(type).toString();
  return s(1, ev) + " " + ev.i64(2).toString() + " " + ev.i64(3).toString() + "\n" +
    s(4, ev) + " " + s(5, ev) + " " + s(6, ev) + " " + s(7, ev) + "\n" +
    s(11, ev) + " " + s(12, ev) + " " + s(13, ev) + " " + s(15, ev) + "\n" +
    s(8, ev) + " " + ev.u32(16).toString() + " " + inline.toString() + "\n" +
    listed("header", ev.get(10)) + listed("param", ev.get(14));
}

function reverse(body: Slice): Slice {
  const reversed = Slice.make(body.len);
  for (let i: u32 = 0; i < body.len; i++) store<u8>(reversed.ptr + i, load<u8>(body.ptr + body.len - 1 - i));
  return reversed;
}

function logLine(level: i32, message: string, attrs: Slice): void {
  const frame = new Frame(LOG_RECORD).number(1, level).text(2, message).set(3, attrs).encode();
  log(frame.ptr, frame.len);
}

// secret reads a secret; the first buffer is too small for most.
function secret(name: Slice): void {
  let buf = Slice.make(16), n = secret_get(name.ptr, name.len, buf.ptr, buf.len);
  if (n < 0) return answerText(kindName(n));
  if (<u32>n > buf.len) {
    buf = Slice.make(n);
    n = secret_get(name.ptr, name.len, buf.ptr, buf.len);
  }
  answer(new Slice(buf.ptr, n));
}

function fetch(url: Slice): string {
  const fd = start(new Frame(HTTP_REQUEST).text(1, "POST").set(2, url).set(3, pair("x-from", "guest")).text(BODY, "sent"));
  if (fd < 0) return kindName(fd);
  const head = new Frame(HTTP_HEAD), buf = Slice.make(1000);
  let n = readHead(fd, head);
  if (n < 0) return kindName(n);
  const pairs = new Pairs(head.get(2));
  pairs.next();
  let sum: u32 = 0, size: u32 = 0;
  while ((n = read(fd, buf)) > 0) {
    size += n;
    for (let i = 0; i < n; i++) sum += load<u8>(buf.ptr + i);
  }
  fd_close(fd);
  if (n < 0) return kindName(n);
  return head.u32(1).toString() + " " + pairs.value.toString() + " " + size.toString() + " " + sum.toString();
}

// strings returns the strings that WASI lists, each ended by a newline.
function strings(count: usize, pointers: usize): string {
  let text = "";
  for (let i: usize = 0; i < count; i++) {
    const s = new Slice(load<u32>(pointers + 4 * i), 0);
    while (load<u8>(s.ptr + s.len) != 0) s.len++;
    text += s.toString() + "\n";
  }
  return text;
}

function env(): string {
  const sizes = heap.alloc(8);
  environ_sizes_get(sizes, sizes + 4);
  let pointers = heap.alloc(4 * load<u32>(sizes));
  environ_get(pointers, heap.alloc(load<u32>(sizes + 4)));
  const text = strings(load<u32>(sizes), pointers);
  args_sizes_get(sizes, sizes + 4);
  pointers = heap.alloc(4 * load<u32>(sizes));
  args_get(pointers, heap.alloc(load<u32>(sizes + 4)));
  return text + strings(1, pointers).trimEnd();
}

function nanoseconds(clock: u32): i64 {
  const time = heap.alloc(8);
  clock_time_get(clock, 0, time);
  return load<i64>(time);
}

function clock(): string {
  const before = nanoseconds(1), subscription = heap.alloc(48), event = heap.alloc(32);
  memory.fill(subscription, 0, 48); // of a clock
  store<u32>(subscription + 16, 1); // the monotonic one
  store<u64>(subscription + 24, 20_000_000);
  poll_oneoff(subscription, event, 1, heap.alloc(4));
  return nanoseconds(0).toString() + " " + (nanoseconds(1) - before).toString();
}

function random(): string {
  const host = heap.alloc(8);
  random_get(host, 8);
  return draw().toString() + " " + load<u64>(host).toString();
}

function draw(): i64 { return reinterpret<i64>(Math.random()); }

// frame decodes a golden vector, which is the body, and answers with the value's
// encoding or the name of the error.
function frame(kind: u16, body: Slice): void {
  const value = new Frame(kind), err = value.decode(body);
  if (err == "") return answer(value.encode());
  respond(new Frame(RESULT).number(1, 400).text(BODY, err));
}

export function spore_serve(): void {
  const ev = next(), body = ev.get(BODY), path = ev.get(12).toString();
  if (path == "/count") return answerText((++counter).toString());
  if (path == "/echo") {
    respond(new Frame(RESULT).number(1, 201).set(2, ev.get(8)).set(3, ev.get(10)).set(BODY, body));
    return;
  }
  if (path == "/event") return answerText(event(ev, body.len));
  if (path == "/reverse") return answer(reverse(body));
  if (path == "/early") {
    answerText("first");
    return logLine(0, "still here", new Slice(0, 0));
  }
  if (path == "/error") {
    fail("NoSuchAlert", "no such alert");
    return;
  }
  if (path == "/large") { // over the limit, which the host says before it looks at the frame
    fail("refused", kindName(send_response(0, (6 << 20) + (128 << 10) + 1)));
    return;
  }
  if (path == "/secret") return secret(body);
  if (path == "/init") return answerText(kindName(secretInInit) + " " + kindName(httpInInit));
  if (path == "/fetch") return answerText(fetch(body));
  if (path == "/env") return answerText(env());
  if (path == "/clock") return answerText(clock());
  if (path == "/random") return answerText(random());
  if (path == "/log") {
    logLine(-4, "structured", pair("key", "value"));
    print(1, "to stdout");
    print(2, "to stderr");
    return answerText("ok");
  }
  if (path == "/grow") {
    memory.fill(heap.alloc(4 << 20), 1, 4 << 20);
    counter++;
    return answerText("ok");
  }
  if (path == "/trap") unreachable();
  if (path == "/exit") proc_exit(3);
  if (path == "/nothing") return;
  if (path == "/twice") return answerText(kindName(get_next_request(0, 0)));
  if (path == "/spin") for (;;) counter++;
  if (path == "/frame/event") return frame(EVENT, body);
  if (path == "/frame/result") return frame(RESULT, body);
  if (path == "/frame/error") return frame(ERROR, body);
  if (path == "/frame/http_request") return frame(HTTP_REQUEST, body);
  if (path == "/frame/http_head") return frame(HTTP_HEAD, body);
  if (path == "/frame/log_record") return frame(LOG_RECORD, body);
}

// The host draws twice, in two sandboxes, and shares no snapshot when the numbers
// are equal.
export function spore_random(): i64 {
  next();
  return draw();
}
