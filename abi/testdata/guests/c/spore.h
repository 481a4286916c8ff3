// spore.h: a spore1 guest in C, in one header. ../../../README.md is the
// specification; the numbers in comments are its sections.
//
//     int main(void) {                // initialise; runs once, at deploy
//         spore_freeze();             // does not return: the host takes its snapshot here
//     }
//
//     SPORE_EXPORT(spore_serve) void serve(void) {   // runs once for each event
//         static uint8_t frame[SPORE_MAX_EVENT];
//         spore_event ev;
//         spore_next(frame, sizeof frame, &ev);
//         spore_respond(&(spore_result){.content_type = SPORE_STR("text/plain"), .body = ev.path});
//     }
//
// Every sandbox serves one event and starts from the snapshot, so nothing here
// is ever given back: memory, descriptors and globals are gone with the event.
#ifndef SPORE_H
#define SPORE_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <wasi/api.h>

#define SPORE_IMPORT(name) __attribute__((import_module("spore1"), import_name(#name)))
#define SPORE_EXPORT(name) __attribute__((export_name(#name)))

// The host functions (2.2). A negative result -k is kind k of section 5.
SPORE_IMPORT(get_next_request) int32_t spore_get_next_request(void *buf, uint32_t cap);
SPORE_IMPORT(body_read) int32_t spore_body_read(void *buf, uint32_t len, uint32_t offset);
SPORE_IMPORT(send_response) int32_t spore_send_response(const void *frame, uint32_t len);
SPORE_IMPORT(send_error) int32_t spore_send_error(const void *frame, uint32_t len);
SPORE_IMPORT(http_start) int32_t spore_http_start(const void *frame, uint32_t len);
SPORE_IMPORT(secret_get) int32_t spore_secret_get(const void *name, uint32_t name_len, void *buf, uint32_t cap);
SPORE_IMPORT(log) int32_t spore_log_record(const void *frame, uint32_t len);

// Kinds of error a host function returns, negated (5).
enum { SPORE_INTERNAL = 1, SPORE_INVALID, SPORE_NOT_FOUND, SPORE_DENIED, SPORE_OVERLOADED, SPORE_DEADLINE,
       SPORE_OUT_OF_MEMORY = 9, SPORE_TOO_LARGE, SPORE_OUT_OF_ORDER, SPORE_UNAVAILABLE = 14 };

// Limits (6), in bytes unless the name says otherwise.
enum { SPORE_MAX_BODY = 6 << 20, SPORE_MAX_INLINE_BODY = 64 << 10, SPORE_MAX_HEAD = 128 << 10,
       SPORE_MAX_LOG_RECORD = 64 << 10, SPORE_MAX_PAIRS = 1000,
       SPORE_MAX_EVENT = SPORE_MAX_HEAD + SPORE_MAX_INLINE_BODY };

// A string or bytes. It is not ended by a zero, and may hold any byte.
typedef struct {
    const char *ptr;
    uint32_t len;
} spore_str;

#define SPORE_STR(literal) ((spore_str){literal, sizeof(literal) - 1})

static inline int spore_is(spore_str s, const char *literal) {
    return s.len == strlen(literal) && memcmp(s.ptr, literal, s.len) == 0;
}

// Pairs stay as a frame has them (3.2): spore_pair takes one after the other,
// spore_add_pair appends one, and what was received can be sent as it is.
typedef spore_str spore_pairs;

// The frames (4). What a frame leaves out is zero.
typedef struct {
    spore_str request_id;
    int64_t deadline_ms, response_deadline_ms;
    spore_str function, version, trigger, trace_id, content_type;
    uint8_t entropy[32];
    spore_pairs headers;
    spore_str method, path, raw_query;
    spore_pairs params;
    spore_str client_addr;
    uint32_t body_size;
    spore_str body; // empty when body_size is above SPORE_MAX_INLINE_BODY: see spore_body_read
} spore_event;

typedef struct {
    uint32_t status;
    spore_str content_type;
    spore_pairs headers;
    spore_str body;
} spore_result;

typedef struct {
    spore_str type, message, stack;
} spore_error;

typedef struct {
    spore_str method, url;
    spore_pairs headers;
    uint32_t timeout_ms;
    spore_str body;
} spore_http_request;

typedef struct {
    uint32_t status;
    spore_pairs headers;
    uint32_t kind;
    spore_str message;
} spore_http_head;

typedef struct {
    int32_t level;
    spore_str message;
    spore_pairs attrs;
} spore_log;

// The codec goes by tables: which field of a frame has which type, what data it
// holds, and where in the struct it is. Strings and bytes are the same thing.
enum { SPORE_STRING, SPORE_U32, SPORE_I64, SPORE_ENTROPY, SPORE_PAIRS };
enum { SPORE_FIELD_BODY = 0x100 };

typedef struct {
    uint16_t type;
    uint8_t data;
    uint16_t at;
} spore_field;

#define SPORE_F(type, data, of, name) {type, SPORE_##data, offsetof(of, name)}

static const spore_field spore_event_fields[] = {
    SPORE_F(1, STRING, spore_event, request_id), SPORE_F(2, I64, spore_event, deadline_ms),
    SPORE_F(3, I64, spore_event, response_deadline_ms), SPORE_F(4, STRING, spore_event, function),
    SPORE_F(5, STRING, spore_event, version), SPORE_F(6, STRING, spore_event, trigger),
    SPORE_F(7, STRING, spore_event, trace_id), SPORE_F(8, STRING, spore_event, content_type),
    SPORE_F(9, ENTROPY, spore_event, entropy), SPORE_F(10, PAIRS, spore_event, headers),
    SPORE_F(11, STRING, spore_event, method), SPORE_F(12, STRING, spore_event, path),
    SPORE_F(13, STRING, spore_event, raw_query), SPORE_F(14, PAIRS, spore_event, params),
    SPORE_F(15, STRING, spore_event, client_addr), SPORE_F(16, U32, spore_event, body_size),
    SPORE_F(SPORE_FIELD_BODY, STRING, spore_event, body)};
static const spore_field spore_result_fields[] = {
    SPORE_F(1, U32, spore_result, status), SPORE_F(2, STRING, spore_result, content_type),
    SPORE_F(3, PAIRS, spore_result, headers), SPORE_F(SPORE_FIELD_BODY, STRING, spore_result, body)};
static const spore_field spore_error_fields[] = {
    SPORE_F(1, STRING, spore_error, type), SPORE_F(2, STRING, spore_error, message), SPORE_F(3, STRING, spore_error, stack)};
static const spore_field spore_http_request_fields[] = {
    SPORE_F(1, STRING, spore_http_request, method), SPORE_F(2, STRING, spore_http_request, url),
    SPORE_F(3, PAIRS, spore_http_request, headers), SPORE_F(4, U32, spore_http_request, timeout_ms),
    SPORE_F(SPORE_FIELD_BODY, STRING, spore_http_request, body)};
static const spore_field spore_http_head_fields[] = {
    SPORE_F(1, U32, spore_http_head, status), SPORE_F(2, PAIRS, spore_http_head, headers),
    SPORE_F(3, U32, spore_http_head, kind), SPORE_F(4, STRING, spore_http_head, message)};
static const spore_field spore_log_fields[] = {
    SPORE_F(1, U32, spore_log, level), SPORE_F(2, STRING, spore_log, message), SPORE_F(3, PAIRS, spore_log, attrs)};

typedef struct {
    const spore_field *fields;
    uint16_t count, size; // size of the struct
} spore_frame;

#define SPORE_FRAME(name) {spore_##name##_fields, sizeof spore_##name##_fields / sizeof(spore_field), sizeof(spore_##name)}

enum { SPORE_EVENT = 1, SPORE_RESULT, SPORE_ERROR, SPORE_HTTP_REQUEST, SPORE_HTTP_HEAD, SPORE_LOG };
static const spore_frame spore_frames[] = {{0}, SPORE_FRAME(event), SPORE_FRAME(result), SPORE_FRAME(error),
    SPORE_FRAME(http_request), SPORE_FRAME(http_head), SPORE_FRAME(log)};

// WebAssembly is little-endian, as frames are, and loads need no alignment.
static inline uint16_t spore_u16(const void *p) { uint16_t v; memcpy(&v, p, sizeof v); return v; }
static inline uint32_t spore_u32(const void *p) { uint32_t v; memcpy(&v, p, sizeof v); return v; }

// spore_pair takes the first pair off *rest; 0 when there is none, or none that
// is whole.
static inline int spore_pair(spore_pairs *rest, spore_str *name, spore_str *value) {
    spore_str left = *rest, *parts[] = {name, value};
    for (int i = 0; i < 2; i++) {
        if (left.len < 4 || spore_u32(left.ptr) > left.len - 4) return 0;
        *parts[i] = (spore_str){left.ptr + 4, spore_u32(left.ptr)};
        left.ptr += 4 + parts[i]->len;
        left.len -= 4 + parts[i]->len;
    }
    *rest = left;
    return 1;
}

// spore_add_pair appends a pair at buf + pairs->len, which must have room: the
// strings and 8 bytes.
static inline void spore_add_pair(spore_pairs *pairs, char *buf, spore_str name, spore_str value) {
    spore_str parts[] = {name, value};
    for (int i = 0; i < 2; i++) {
        memcpy(buf + pairs->len, &parts[i].len, 4);
        memcpy(buf + pairs->len + 4, parts[i].ptr, parts[i].len);
        pairs->len += 4 + parts[i].len;
    }
    pairs->ptr = buf;
}

static inline const char *spore_check_pairs(spore_pairs rest) {
    spore_str name, value;
    int n = 0;
    while (spore_pair(&rest, &name, &value)) n++;
    return rest.len > 0 || n > SPORE_MAX_PAIRS ? "pairs" : NULL;
}

// spore_read_field sets a field of a struct from its data.
static inline const char *spore_read_field(const spore_field *f, const uint8_t *data, uint32_t n, void *to) {
    static const uint8_t sizes[] = {[SPORE_U32] = 4, [SPORE_I64] = 8, [SPORE_ENTROPY] = 32};
    if (f->data == SPORE_STRING || f->data == SPORE_PAIRS) {
        spore_str s = {(const char *)data, n};
        memcpy(to, &s, sizeof s);
        if (n == 0) return "zero_field";
        return f->data == SPORE_PAIRS ? spore_check_pairs(s) : NULL;
    }
    if (n != sizes[f->data]) return "field_size";
    memcpy(to, data, n);
    for (uint32_t i = 0; i < n; i++)
        if (data[i] != 0) return NULL;
    return f->data == SPORE_ENTROPY ? NULL : "zero_field";
}

// spore_check_frame holds what can only be said of a whole frame.
static inline const char *spore_check_frame(uint16_t kind, const void *value, uint32_t n, int entropy) {
    const spore_event *ev = value;
    switch (kind) {
    case SPORE_EVENT: // 4.1
        if (!entropy || ev->body.len != (ev->body_size > SPORE_MAX_INLINE_BODY ? 0 : ev->body_size)) return "field_size";
        return ev->body_size > SPORE_MAX_BODY ? "too_large" : NULL;
    case SPORE_HTTP_HEAD:
        return ((const spore_http_head *)value)->kind > 255 ? "field_size" : NULL;
    case SPORE_LOG:
        return n > SPORE_MAX_LOG_RECORD ? "too_large" : NULL;
    }
    return NULL;
}

static inline const char *spore_decode_fields(uint16_t kind, const uint8_t *b, uint32_t n, void *value) {
    const spore_frame *frame = &spore_frames[kind];
    uint32_t head = 8;
    int last = -1, entropy = 0;
    for (uint32_t at = 8; at < n;) {
        if (n - at < 6 || spore_u32(b + at + 2) > n - at - 6) return "truncated";
        uint16_t type = spore_u16(b + at);
        uint32_t size = spore_u32(b + at + 2);
        if (type <= last) return "order";
        last = type;
        at += 6;
        head += 6 + (type == SPORE_FIELD_BODY ? 0 : size);
        if (head > SPORE_MAX_HEAD || (type == SPORE_FIELD_BODY && size > SPORE_MAX_BODY)) return "too_large";
        for (int i = 0; i < frame->count; i++) { // a type that is not in the table is ignored (3.4)
            const spore_field *f = &frame->fields[i];
            if (f->type != type) continue;
            const char *err = spore_read_field(f, b + at, size, (char *)value + f->at);
            if (err) return err;
            entropy |= f->data == SPORE_ENTROPY;
        }
        at += size;
    }
    return spore_check_frame(kind, value, n, entropy);
}

// spore_decode sets the struct of a frame of this kind from its n bytes, into
// which it will point. It returns NULL, or the name of the rule that was broken
// (3.3), and then the struct is zero.
static inline const char *spore_decode(uint16_t kind, const uint8_t *b, uint32_t n, void *value) {
    memset(value, 0, spore_frames[kind].size);
    if (n < 8) return "truncated";
    if (spore_u16(b) != kind) return "frame_kind";
    if (spore_u16(b + 2) != 0) return "reserved";
    if (spore_u32(b + 4) < 8 || spore_u32(b + 4) > n) return "truncated";
    if (spore_u32(b + 4) < n) return "trailing";
    const char *err = spore_decode_fields(kind, b, n, value);
    if (err) memset(value, 0, spore_frames[kind].size);
    return err;
}

// spore_data returns a field's data as it goes into a frame: empty when it is
// zero and therefore left out.
static inline spore_str spore_data(const spore_field *f, const void *value) {
    static const uint8_t sizes[] = {[SPORE_U32] = 4, [SPORE_I64] = 8, [SPORE_ENTROPY] = 32};
    const char *at = (const char *)value + f->at;
    spore_str s;
    if (f->data == SPORE_STRING || f->data == SPORE_PAIRS) {
        memcpy(&s, at, sizeof s);
        return s;
    }
    s = (spore_str){at, sizes[f->data]};
    for (uint32_t i = 0; i < s.len; i++)
        if (at[i] != 0) return s;
    return (spore_str){at, f->data == SPORE_ENTROPY ? s.len : 0};
}

// spore_encode writes a frame to b and returns its size; with b NULL it only
// measures.
static inline uint32_t spore_encode(uint16_t kind, const void *value, uint8_t *b) {
    const spore_frame *frame = &spore_frames[kind];
    uint32_t n = 8;
    for (int i = 0; i < frame->count; i++) {
        const spore_field *f = &frame->fields[i];
        spore_str data = spore_data(f, value);
        if (data.len == 0) continue;
        if (b) {
            memcpy(b + n, &f->type, 2);
            memcpy(b + n + 2, &data.len, 4);
            memcpy(b + n + 6, data.ptr, data.len);
        }
        n += 6 + data.len;
    }
    if (b) {
        memcpy(b, &(uint32_t){kind}, 4);
        memcpy(b + 4, &n, 4);
    }
    return n;
}

// spore_send encodes a frame into memory of its own and hands it to a host
// function.
static inline int32_t spore_send(uint16_t kind, const void *value, int32_t (*call)(const void *, uint32_t)) {
    uint32_t n = spore_encode(kind, value, NULL);
    uint8_t *frame = malloc(n);
    if (!frame) return -SPORE_OUT_OF_MEMORY;
    spore_encode(kind, value, frame);
    int32_t result = call(frame, n);
    free(frame);
    return result;
}

// spore_freeze ends the initialisation (7.3). It does not return.
_Noreturn static inline void spore_freeze(void) {
    spore_get_next_request(NULL, 0);
    __builtin_trap();
}

// spore_next takes the event; a buffer of SPORE_MAX_EVENT bytes always does. It
// returns 0 or a negative kind. ev points into buf.
static inline int32_t spore_next(uint8_t *buf, uint32_t cap, spore_event *ev) {
    int32_t n = spore_get_next_request(buf, cap);
    if (n < 0) return n;
    if ((uint32_t)n > cap) return -SPORE_TOO_LARGE;
    return spore_decode(SPORE_EVENT, buf, n, ev) ? -SPORE_INVALID : 0;
}

// spore_respond answers. The client has its answer now, and the guest may go on.
static inline int32_t spore_respond(const spore_result *res) { return spore_send(SPORE_RESULT, res, spore_send_response); }

// spore_fail reports an error instead of an answer. It returns only when the
// report was refused.
static inline int32_t spore_fail(const spore_error *e) { return spore_send(SPORE_ERROR, e, spore_send_error); }

static inline int32_t spore_log_line(const spore_log *rec) { return spore_send(SPORE_LOG, rec, spore_log_record); }

// spore_http starts an outbound call and returns its descriptor, or a negative
// kind. spore_read_head comes first, then spore_read until it returns 0.
static inline int32_t spore_http(const spore_http_request *req) { return spore_send(SPORE_HTTP_REQUEST, req, spore_http_start); }

// spore_read waits for bytes of an answer and returns how many there are, 0 at
// the end, or a negative kind when the body broke off (8.3).
static inline int32_t spore_read(uint32_t fd, void *buf, uint32_t cap) {
    __wasi_iovec_t into = {buf, cap};
    __wasi_subscription_t readable = {.u.tag = __WASI_EVENTTYPE_FD_READ, .u.u.fd_read.file_descriptor = fd};
    for (;;) {
        __wasi_event_t event;
        __wasi_size_t n;
        switch (__wasi_fd_read(fd, &into, 1, &n)) {
        case __WASI_ERRNO_SUCCESS:
            return n;
        case __WASI_ERRNO_AGAIN:
            if (__wasi_poll_oneoff(&readable, &event, 1, &n)) return -SPORE_INTERNAL;
            continue;
        case __WASI_ERRNO_FBIG:
            return -SPORE_TOO_LARGE;
        case __WASI_ERRNO_TIMEDOUT:
            return -SPORE_DEADLINE;
        default:
            return -SPORE_UNAVAILABLE;
        }
    }
}

// spore_read_whole fills buf, or returns a negative kind.
static inline int32_t spore_read_whole(uint32_t fd, uint8_t *buf, uint32_t n) {
    for (uint32_t have = 0; have < n;) {
        int32_t got = spore_read(fd, buf + have, n - have);
        if (got <= 0) return got < 0 ? got : -SPORE_UNAVAILABLE;
        have += got;
    }
    return 0;
}

// spore_read_head takes the head of an answer, into memory of its own. It
// returns 0, or a negative kind when there is no answer.
static inline int32_t spore_read_head(uint32_t fd, spore_http_head *head) {
    uint8_t header[8];
    int32_t err = spore_read_whole(fd, header, sizeof header);
    if (err < 0) return err;
    uint32_t n = spore_u32(header + 4);
    if (n < sizeof header || n > SPORE_MAX_HEAD) return -SPORE_INVALID;
    uint8_t *frame = malloc(n);
    if (!frame) return -SPORE_OUT_OF_MEMORY;
    memcpy(frame, header, sizeof header);
    err = spore_read_whole(fd, frame + sizeof header, n - sizeof header);
    if (err < 0) return err;
    if (spore_decode(SPORE_HTTP_HEAD, frame, n, head)) return -SPORE_INVALID;
    return -(int32_t)head->kind;
}

// A generator that keeps its state in memory has to be reseeded in every event,
// before anything draws (8.4). This is xoshiro256** by Blackman and Vigna.
static uint64_t spore_random_state[4];

static inline void spore_reseed(const spore_event *ev) { memcpy(spore_random_state, ev->entropy, sizeof ev->entropy); }

static inline uint64_t spore_rotl(uint64_t x, int k) { return x << k | x >> (64 - k); }

static inline uint64_t spore_draw(void) {
    uint64_t *s = spore_random_state, result = spore_rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = spore_rotl(s[3], 45);
    return result;
}

#endif
