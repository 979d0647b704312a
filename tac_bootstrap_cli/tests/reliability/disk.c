/* A disk that can be watched and that can fail: loaded before the C library (LD_PRELOAD), it sees every write to the files whose
   path holds DISK_PATH.

   DISK_TRACE names a file that takes a record of each: operation (W S T U), length of the path, length of the data, offset, as
   64-bit numbers; then path and data. A sync is recorded once it has succeeded, all else before it happens.

   DISK_FAIL_AT is the number of the operation, from 0, that fails with DISK_ERRNO, and DISK_FAILURES how many do; none say all
   that follow. DISK_COUNT names a file that is as long as the number of operations so far. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) ((typeof(&name))dlsym(RTLD_NEXT, #name))

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
static long operations = 0;

static long number(const char *name, long otherwise) {
    const char *text = getenv(name);
    return text ? atol(text) : otherwise;
}

static int is_watched(const char *path) {
    const char *part = getenv("DISK_PATH");
    return part && strstr(path, part) && !strstr(path, "-shm") && !strstr(path, "-lock");
}

static int path_of(int fd, char *path, size_t size) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, size - 1);
    path[length > 0 ? length : 0] = 0;
    return length > 0 && is_watched(path);
}

static void append(const char *file, struct iovec *parts, int count) {
    int out = (int)syscall(SYS_openat, AT_FDCWD, file, O_CREAT | O_WRONLY | O_APPEND, 0600);
    syscall(SYS_writev, out, parts, count);
    syscall(SYS_close, out);
}

static void record(char operation, const char *path, const void *data, uint64_t length, uint64_t offset) {
    const char *trace = getenv("DISK_TRACE");
    if (!trace) return;
    uint64_t head[4] = {(uint64_t)operation, strlen(path), length, offset};
    struct iovec parts[3] = {{head, sizeof head}, {(void *)path, strlen(path)}, {(void *)data, length}};
    append(trace, parts, 3);
}

static int fails(void) {
    long now = operations++, at = number("DISK_FAIL_AT", -1), failures = number("DISK_FAILURES", -1);
    const char *count = getenv("DISK_COUNT");
    struct iovec one = {".", 1};
    if (count) append(count, &one, 1);
    if (at < 0 || now < at || (failures >= 0 && now >= at + failures)) return 0;
    errno = (int)number("DISK_ERRNO", EIO);
    return 1;
}

/* Whether the operation on this file is to go on. */
static int begin(int fd, char operation, const void *data, uint64_t length, uint64_t offset) {
    char path[1024];
    if (!path_of(fd, path, sizeof path)) return 1;
    pthread_mutex_lock(&one_at_a_time);
    int goes_on = !fails();
    if (goes_on && operation != 'S') record(operation, path, data, length, offset);
    pthread_mutex_unlock(&one_at_a_time);
    return goes_on;
}

static int end_of_sync(int fd, int result) {
    int error = errno;
    char path[1024];
    if (result == 0 && path_of(fd, path, sizeof path)) {
        pthread_mutex_lock(&one_at_a_time);
        record('S', path, "", 0, 0);
        pthread_mutex_unlock(&one_at_a_time);
    }
    errno = error;
    return result;
}

ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset) {
    return begin(fd, 'W', data, length, (uint64_t)offset) ? REAL(pwrite64)(fd, data, length, offset) : -1;
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) { return pwrite64(fd, data, length, offset); }

ssize_t write(int fd, const void *data, size_t length) {
    off64_t offset = lseek64(fd, 0, SEEK_CUR);
    return offset < 0 || begin(fd, 'W', data, length, (uint64_t)offset) ? REAL(write)(fd, data, length) : -1;
}

int ftruncate64(int fd, off64_t length) { return begin(fd, 'T', "", 0, (uint64_t)length) ? REAL(ftruncate64)(fd, length) : -1; }

int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

int fsync(int fd) { return begin(fd, 'S', "", 0, 0) ? end_of_sync(fd, REAL(fsync)(fd)) : -1; }

int fdatasync(int fd) { return begin(fd, 'S', "", 0, 0) ? end_of_sync(fd, REAL(fdatasync)(fd)) : -1; }

int unlink(const char *path) {
    if (is_watched(path)) {
        pthread_mutex_lock(&one_at_a_time);
        record('U', path, "", 0, 0);
        pthread_mutex_unlock(&one_at_a_time);
    }
    return REAL(unlink)(path);
}
