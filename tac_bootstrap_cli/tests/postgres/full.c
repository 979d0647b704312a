/* A disk that is full while the file exists that FULL_WHILE names: loaded before the C library (LD_PRELOAD), it lets nothing grow
   under the folder FULL_FOLDER. What is there already can be written again. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) ((typeof(&name))dlsym(RTLD_NEXT, #name))

static int is_full_for(int fd, off_t end) {
    const char *sign = getenv("FULL_WHILE"), *folder = getenv("FULL_FOLDER");
    if (!sign || !folder || access(sign, F_OK) != 0) return 0;
    char link[64], path[1024];
    struct stat file;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0 || strncmp(path, folder, strlen(folder)) != 0) return 0;
    return fstat(fd, &file) == 0 && S_ISREG(file.st_mode) && end > file.st_size;
}

static ssize_t refuse(void) {
    errno = ENOSPC;
    return -1;
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) {
    return is_full_for(fd, offset + (off_t)length) ? refuse() : REAL(pwrite)(fd, data, length, offset);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
    off_t end = offset;
    for (int place = 0; place < count; place++) end += (off_t)parts[place].iov_len;
    return is_full_for(fd, end) ? refuse() : REAL(pwritev)(fd, parts, count, offset);
}

ssize_t write(int fd, const void *data, size_t length) {
    off_t offset = lseek(fd, 0, SEEK_CUR);
    return offset >= 0 && is_full_for(fd, offset + (off_t)length) ? refuse() : REAL(write)(fd, data, length);
}

int posix_fallocate(int fd, off_t offset, off_t length) {
    return is_full_for(fd, offset + length) ? ENOSPC : REAL(posix_fallocate)(fd, offset, length);
}
