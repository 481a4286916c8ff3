// A plain WASI command, without anything of spore's: the body comes on standard
// input, the answer goes to standard output. host/sandbox TestCommands has a Go
// program of the same cases.
#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern char **environ;

static int counter;

#define WASI(name) __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name))) uint32_t raw_##name
WASI(fd_read)(uint32_t fd, uint32_t vecs, uint32_t n, uint32_t result);
WASI(fd_write)(uint32_t fd, uint32_t vecs, uint32_t n, uint32_t result);
WASI(environ_get)(uint32_t pointers, uint32_t data);
WASI(environ_sizes_get)(uint32_t count, uint32_t size);

// hostile passes what no library would. Memory below 1 KiB is nobody's.
static void hostile(void) {
    const uint32_t end = __builtin_wasm_memory_size(0) << 16;
    const uint32_t corners[] = {0, 16, end - 16, end - 1, end, end + 1, INT32_MAX, (uint32_t)INT32_MIN, UINT32_MAX};
    const int n = sizeof corners / sizeof corners[0];
    for (int i = 0; i < n * n * n; i++) {
        uint32_t a = corners[i % n], b = corners[i / n % n], c = corners[i / n / n];
        raw_fd_read(0, a, b, c);
        raw_fd_write(1, a, b, c);
        if (a >= end - 1) raw_environ_get(a, b);
        raw_environ_sizes_get(a, b);
    }
}

int main(int argc, char **argv) {
    const char *path = getenv("PATH_INFO");
    if (!path) path = "";
    if (strcmp(path, "/count") == 0) {
        FILE *f = fopen("/state", "a"); // there is no file system
        printf("%d %d", ++counter, f != NULL);
    } else if (strcmp(path, "/env") == 0) {
        for (char **e = environ; *e; e++) puts(*e);
        printf("%d %s", argc, argv[0]);
    } else if (strcmp(path, "/exit") == 0) {
        printf("half an answer");
        fputs("cannot go on\n", stderr);
        return 3;
    } else if (strcmp(path, "/exit0") == 0) {
        printf("whole");
        exit(0);
    } else if (strcmp(path, "/large") == 0) {
        static const char block[1024];
        for (int i = 0; i < 7 << 10; i++) fwrite(block, sizeof block, 1, stdout);
    } else if (strcmp(path, "/bytes") == 0) {
        fwrite("\xff\0\xfe", 3, 1, stdout);
    } else if (strcmp(path, "/hostile") == 0) {
        hostile();
        printf("alive");
    } else if (strcmp(path, "/silent") == 0) {
    } else if (strcmp(path, "/trap") == 0) {
        __builtin_trap();
    } else if (strcmp(path, "/spin") == 0) {
        for (;;) counter++;
    } else {
        for (int c; (c = getchar()) != EOF;) putchar(toupper(c));
    }
    return 0;
}
