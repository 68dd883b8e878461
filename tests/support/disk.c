/* Loaded into a server by a test: what makes its write-ahead log durable waits for as long as the file $TELLAL_HOLD is
   there, and says so by making the file $TELLAL_HELD. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void wait_for_the_test(int file) {
    const char *wanted = "/server.db-wal", *hold = getenv("TELLAL_HOLD"), *held = getenv("TELLAL_HELD");
    char name[64], path[4096];
    snprintf(name, sizeof name, "/proc/self/fd/%d", file);
    ssize_t length = readlink(name, path, sizeof path), end = strlen(wanted);
    if (!hold || !held || length < end || memcmp(path + length - end, wanted, end) != 0)
        return;
    while (access(hold, F_OK) == 0) {
        close(open(held, O_WRONLY | O_CREAT, 0600));
        usleep(1000);
    }
}

int fsync(int file) {
    int (*next)(int) = dlsym(RTLD_NEXT, "fsync");
    wait_for_the_test(file);
    return next(file);
}

int fdatasync(int file) {
    int (*next)(int) = dlsym(RTLD_NEXT, "fdatasync");
    wait_for_the_test(file);
    return next(file);
}
