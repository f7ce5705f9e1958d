/* A failing disk and clock, preloaded by LD_PRELOAD.

   After fault_arm(root, n, action) the n-th change below `root` (open for writing, write, rename,
   mkdir, unlink, fsync, truncate) is not made:

     action > 0    it fails with that errno, and so do all later ones (a full disk stays full)
     action < 0    it fails with -action, and later ones succeed
     action = 0    SIGKILL kills the process instead of this change

   n = 0 only counts. After fault_clock(seed) every reading of the wall clock is off by up to ten
   years in either direction; the monotonic clock is unchanged. fault_count() returns the number of
   changes so far. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static char root[PATH_MAX];
static size_t length;
static long wanted;
static int act;
static atomic_long count;

void fault_arm(const char *path, long n, int action) {
    length = strlen(path);
    memcpy(root, path, length + 1);
    wanted = n;
    act = action;
    atomic_store(&count, 0);
}

static atomic_ulong jumps;

void fault_clock(unsigned long seed) { atomic_store(&jumps, seed); }

/* Error of this reading of the wall clock in seconds; 0 before fault_clock. */
static long jump(void) {
    unsigned long x = atomic_load(&jumps);
    if (!x) return 0;
    x ^= x << 13, x ^= x >> 7, x ^= x << 17;
    atomic_store(&jumps, x);
    return (long)(x % 630720000UL) - 315360000L;
}

long fault_count(void) { return atomic_load(&count); }

/* Whether `path` (relative to directory `at`) is below the root. */
static int below(int at, const char *path) {
    char full[PATH_MAX * 2];
    if (!length || !path) return 0;
    if (path[0] == '/') return !strncmp(path, root, length);
    if (at == AT_FDCWD) {
        if (!getcwd(full, PATH_MAX)) return 0;
    } else {
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", at);
        ssize_t n = readlink(link, full, PATH_MAX - 1);
        if (n < 0) return 0;
        full[n] = 0;
    }
    return !strncmp(full, root, length);
}

static int open_below(int fd) {
    char link[64], full[PATH_MAX];
    if (!length) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, full, sizeof full - 1);
    if (n < 0) return 0;
    full[n] = 0;
    return !strncmp(full, root, length);
}

/* Counts a change; returns true, with errno set, if it must fail. */
static int fails(void) {
    long now = atomic_fetch_add(&count, 1) + 1;
    if (!wanted || now < wanted) return 0;
    if (act == 0) kill(getpid(), SIGKILL);
    if (act < 0 && now > wanted) return 0;
    errno = act < 0 ? -act : act;
    return 1;
}

#define NEXT(name) \
    static __typeof__(&name) next; \
    if (!next) next = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

#define OPEN(name, PARAMETERS, ARGUMENTS, AT) \
    int name PARAMETERS { \
        NEXT(name); \
        mode_t mode = 0; \
        if (flags & (O_CREAT | O_TMPFILE)) { \
            va_list rest; \
            va_start(rest, flags); \
            mode = va_arg(rest, mode_t); \
            va_end(rest); \
        } \
        if ((flags & (O_WRONLY | O_RDWR | O_CREAT)) && below(AT, path) && fails()) return -1; \
        return next ARGUMENTS; \
    }
OPEN(open, (const char *path, int flags, ...), (path, flags, mode), AT_FDCWD)
OPEN(open64, (const char *path, int flags, ...), (path, flags, mode), AT_FDCWD)
OPEN(openat, (int at, const char *path, int flags, ...), (at, path, flags, mode), at)
OPEN(openat64, (int at, const char *path, int flags, ...), (at, path, flags, mode), at)

#define CHANGE(type, name, PARAMETERS, ARGUMENTS, MINE) \
    type name PARAMETERS { \
        NEXT(name); \
        if (MINE && fails()) return -1; \
        return next ARGUMENTS; \
    }
CHANGE(ssize_t, write, (int fd, const void *b, size_t n), (fd, b, n), open_below(fd))
CHANGE(ssize_t, pwrite, (int fd, const void *b, size_t n, off_t o), (fd, b, n, o), open_below(fd))
CHANGE(ssize_t, pwrite64, (int fd, const void *b, size_t n, off64_t o), (fd, b, n, o),
       open_below(fd))
CHANGE(int, fsync, (int fd), (fd), open_below(fd))
CHANGE(int, ftruncate, (int fd, off_t n), (fd, n), open_below(fd))
CHANGE(int, mkdir, (const char *p, mode_t m), (p, m), below(AT_FDCWD, p))
CHANGE(int, rename, (const char *p, const char *q), (p, q), below(AT_FDCWD, q))
CHANGE(int, unlink, (const char *p), (p), below(AT_FDCWD, p))
CHANGE(int, unlinkat, (int at, const char *p, int f), (at, p, f), below(at, p))
CHANGE(int, rmdir, (const char *p), (p), below(AT_FDCWD, p))

int clock_gettime(clockid_t clock, struct timespec *now) {
    NEXT(clock_gettime);
    int result = next(clock, now);
    if (!result && clock == CLOCK_REALTIME) now->tv_sec += jump();
    return result;
}

time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}
