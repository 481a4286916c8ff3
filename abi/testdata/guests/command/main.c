// A plain WASI command, without anything of spore's: the body comes on standard
// input, the answer goes to standard output. host/sandbox TestCommands has a Go
// program of the same cases.
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern char **environ;

static int counter;

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
