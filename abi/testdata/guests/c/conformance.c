// The conformance guest in C: the event's path says what it does. The suite,
// host/sandbox TestGuestsOfOtherLanguages, and the guests beside this one
// have the same cases.
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "spore.h"

extern char **environ;

static uint8_t frame[SPORE_MAX_EVENT];
static spore_event ev;
static spore_str body; // whole, also when it was too long for the frame

static int counter;
static char **arguments;
static int32_t secret_in_init, http_in_init;

int main(int argc, char **argv) {
    (void)argc;
    static const spore_http_request request = {.url = {"https://example.test/", 21}};
    arguments = argv;
    secret_in_init = spore_secret_get("TOKEN", 5, NULL, 0);
    http_in_init = spore_http(&request);
    puts("initialised");
    spore_freeze();
}

static void answer(spore_str text) {
    spore_respond(&(spore_result){.content_type = SPORE_STR("text/plain; charset=utf-8"), .body = text});
}

// What an answer is put together in.
static char text[16 << 10];
static uint32_t text_len;

#define ARG(s) (int)(s).len, (s).ptr // for %.*s

__attribute__((format(printf, 1, 2))) static void print(const char *format, ...) {
    va_list args;
    va_start(args, format);
    uint32_t room = sizeof text - text_len;
    uint32_t n = vsnprintf(text + text_len, room, format, args);
    text_len += n < room ? n : room - 1;
    va_end(args);
}

static void answer_printed(void) { answer((spore_str){text, text_len}); }

static const char *kind_name(int32_t result) {
    static const char *const names[] = {"none", "internal", "invalid", "not_found", "denied", "overloaded", "deadline", "trapped",
        "exited", "out_of_memory", "too_large", "out_of_order", "no_answer", "guest_error", "unavailable", "not_ready"};
    return result < 0 && -result < 16 ? names[-result] : "unknown";
}

static void refuse(int32_t result) {
    print("%s", kind_name(result));
    answer_printed();
}

static void do_count(void) {
    counter++;
    print("%d", counter);
    answer_printed();
}

static void do_echo(void) {
    spore_respond(&(spore_result){.status = 201, .content_type = ev.content_type, .headers = ev.headers, .body = body});
}

static void print_pairs(const char *what, spore_pairs rest) {
    spore_str name, value;
    while (spore_pair(&rest, &name, &value)) print("%s %.*s=%.*s\n", what, ARG(name), ARG(value));
}

static void do_event(void) {
    print("%.*s %lld %lld\n", ARG(ev.request_id), ev.deadline_ms, ev.response_deadline_ms);
    print("%.*s %.*s %.*s %.*s\n", ARG(ev.function), ARG(ev.version), ARG(ev.trigger), ARG(ev.trace_id));
    print("%.*s %.*s %.*s %.*s\n", ARG(ev.method), ARG(ev.path), ARG(ev.raw_query), ARG(ev.client_addr));
    print("%.*s %u %u\n", ARG(ev.content_type), ev.body_size, ev.body.len);
    print_pairs("header", ev.headers);
    print_pairs("param", ev.params);
    answer_printed();
}

static void do_reverse(void) {
    char *reversed = malloc(body.len + 1);
    for (uint32_t i = 0; i < body.len; i++) reversed[i] = body.ptr[body.len - 1 - i];
    answer((spore_str){reversed, body.len});
}

static void do_early(void) {
    answer(SPORE_STR("first"));
    spore_log_line(&(spore_log){.message = SPORE_STR("still here")});
}

static void do_error(void) {
    spore_fail(&(spore_error){.type = SPORE_STR("NoSuchAlert"), .message = SPORE_STR("no such alert")});
}

static void do_large(void) { // over the limit, which the host says before it looks at the frame
    int32_t result = spore_send_response(text, SPORE_MAX_HEAD + SPORE_MAX_BODY + 1);
    spore_fail(&(spore_error){.type = SPORE_STR("refused"), .message = {kind_name(result), strlen(kind_name(result))}});
}

static void do_secret(void) { // the first buffer is too small for most
    char first[16];
    int32_t n = spore_secret_get(body.ptr, body.len, first, sizeof first);
    if (n < 0) return refuse(n);
    if (n <= (int32_t)sizeof first) return answer((spore_str){first, n});
    char *whole = malloc(n);
    n = spore_secret_get(body.ptr, body.len, whole, n);
    answer((spore_str){whole, n});
}

static void do_init(void) {
    print("%s %s", kind_name(secret_in_init), kind_name(http_in_init));
    answer_printed();
}

static void do_fetch(void) {
    static char buf[1000];
    char pairs[64];
    spore_http_request req = {.method = SPORE_STR("POST"), .url = body, .body = SPORE_STR("sent")};
    spore_add_pair(&req.headers, pairs, SPORE_STR("x-from"), SPORE_STR("guest"));
    int32_t fd = spore_http(&req);
    if (fd < 0) return refuse(fd);
    spore_http_head head;
    int32_t n = spore_read_head(fd, &head);
    if (n < 0) return refuse(n);
    spore_str name, value = {0};
    spore_pair(&head.headers, &name, &value);
    uint32_t sum = 0, size = 0;
    while ((n = spore_read(fd, buf, sizeof buf)) > 0) {
        size += n;
        for (int32_t i = 0; i < n; i++) sum += (uint8_t)buf[i];
    }
    close(fd);
    if (n < 0) return refuse(n);
    print("%u %.*s %u %u", head.status, ARG(value), size, sum);
    answer_printed();
}

static void do_env(void) {
    for (char **e = environ; *e; e++) print("%s\n", *e);
    print("%s", arguments[0]);
    answer_printed();
}

static int64_t nanoseconds(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static void do_clock(void) {
    int64_t start = nanoseconds(CLOCK_MONOTONIC);
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    print("%lld %lld", nanoseconds(CLOCK_REALTIME), nanoseconds(CLOCK_MONOTONIC) - start);
    answer_printed();
}

static void do_random(void) {
    uint64_t own = spore_draw(), host;
    getentropy(&host, sizeof host);
    print("%llu %llu", own, host);
    answer_printed();
}

static void do_log(void) {
    char buf[64];
    spore_pairs attrs = {0};
    spore_add_pair(&attrs, buf, SPORE_STR("key"), SPORE_STR("value"));
    spore_log_line(&(spore_log){.level = -4, .message = SPORE_STR("structured"), .attrs = attrs});
    puts("to stdout");
    fputs("to stderr\n", stderr);
    answer(SPORE_STR("ok"));
}

static void do_grow(void) {
    memset(malloc(4 << 20), 1, 4 << 20);
    counter++;
    answer(SPORE_STR("ok"));
}

static void do_trap(void) { __builtin_trap(); }

static void do_exit(void) { exit(3); }

static void do_nothing(void) {}

static void do_twice(void) {
    int32_t result = spore_get_next_request(frame, sizeof frame);
    refuse(result);
}

static void do_spin(void) {
    for (;;) counter++;
}

// do_frame decodes a golden vector, which is the body, and answers with the
// value's encoding or the name of the error.
static void do_frame(void) {
    static const struct {
        const char *path;
        uint16_t kind;
    } kinds[] = {{"/frame/event", SPORE_EVENT}, {"/frame/result", SPORE_RESULT}, {"/frame/error", SPORE_ERROR},
        {"/frame/http_request", SPORE_HTTP_REQUEST}, {"/frame/http_head", SPORE_HTTP_HEAD}, {"/frame/log_record", SPORE_LOG}};
    spore_event value; // the largest of the six
    for (int i = 0; i < 6; i++) {
        if (!spore_is(ev.path, kinds[i].path)) continue;
        const char *err = spore_decode(kinds[i].kind, (const uint8_t *)body.ptr, body.len, &value);
        if (err) {
            spore_respond(&(spore_result){.status = 400, .body = {err, strlen(err)}});
            return;
        }
        uint32_t n = spore_encode(kinds[i].kind, &value, NULL);
        char *again = malloc(n);
        spore_encode(kinds[i].kind, &value, (uint8_t *)again);
        answer((spore_str){again, n});
    }
}

static const struct {
    const char *path;
    void (*run)(void);
} cases[] = {{"/count", do_count}, {"/echo", do_echo}, {"/event", do_event}, {"/reverse", do_reverse}, {"/early", do_early},
    {"/error", do_error}, {"/large", do_large}, {"/secret", do_secret}, {"/init", do_init}, {"/fetch", do_fetch}, {"/env", do_env},
    {"/clock", do_clock}, {"/random", do_random}, {"/log", do_log}, {"/grow", do_grow}, {"/trap", do_trap}, {"/exit", do_exit},
    {"/nothing", do_nothing}, {"/twice", do_twice}, {"/spin", do_spin}};

static void take_event(void) {
    if (spore_next(frame, sizeof frame, &ev) < 0) __builtin_trap();
    spore_reseed(&ev);
    body = ev.body;
    if (ev.body_size > SPORE_MAX_INLINE_BODY) {
        char *whole = malloc(ev.body_size);
        body = (spore_str){whole, ev.body_size};
        if (spore_body_read(whole, ev.body_size, 0) != (int32_t)ev.body_size) __builtin_trap();
    }
}

SPORE_EXPORT(spore_serve) void serve(void) {
    take_event();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (spore_is(ev.path, cases[i].path)) return cases[i].run();
    do_frame();
}

// The host draws twice, in two sandboxes, and shares no snapshot when the
// numbers are equal.
SPORE_EXPORT(spore_random) int64_t draw(void) {
    take_event();
    return spore_draw();
}
