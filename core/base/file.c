// SPDX-License-Identifier: MIT
// Reading a file whole, and replacing one so that a crash at any moment leaves the old bytes or the new ones.
#include "flt/memory.h"
#include "flt/tensorfile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

static flt_err fail(const char *path, const char *what) {
    return flt_fail(FLTE_IO, path, "%s: %s", what, strerror(errno));
}

// ---- reading

static flt_err read_exactly(const char *path, int fd, unsigned char *out, size_t size) {
    for (size_t done = 0; done < size;) {
        const ssize_t n = read(fd, out + done, size - done);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail(path, "cannot be read");
        if (n == 0) return flt_fail(FLTE_IO, path, "shrank to %zu bytes while it was read", done);
        done += (size_t)n;
    }
    return FLTE_OK;
}

static flt_err read_open(const char *path, int fd, unsigned char **bytes, size_t *size) {
    struct stat st;
    if (fstat(fd, &st) != 0) return fail(path, "cannot be read");
    if (!S_ISREG(st.st_mode)) return flt_fail(FLTE_IO, path, "is not a regular file");
    FLTX_TRY(flt_alloc((size_t)st.st_size, 1, bytes));
    const flt_err err = read_exactly(path, fd, *bytes, (size_t)st.st_size);
    if (err == FLTE_OK) {
        *size = (size_t)st.st_size;
        return FLTE_OK;
    }
    flt_free(*bytes);
    *bytes = NULL;
    return err;
}

flt_err flt_read_all(const char *path, unsigned char **bytes, size_t *size) {
    FLTX_GIVEN(path, bytes, size);
    *bytes = NULL;
    *size = 0;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); // a pipe must not block before it is refused
    if (fd < 0) return fail(path, "cannot be opened");
    const flt_err err = read_open(path, fd, bytes, size);
    close(fd);
    return err;
}

// ---- replacing

typedef struct target {
    const char *path;      // as the caller wrote it, for sentences
    char real[PATH_MAX];   // without symbolic links, so that a link stays one
    char folder[PATH_MAX]; // ends with '/', or is empty
    char temporary[PATH_MAX];
    mode_t mode; // of the file that is there
    bool exists;
} target;

bool flt_database_head(size_t n, const char *bytes) {
    static const char magic[FLTX_DATABASE_HEAD] = "SQLite format 3";
    return n >= sizeof magic && memcmp(bytes, magic, sizeof magic) == 0;
}

// Whoever names the file of the results by mistake would lose them all.
static bool is_database(const char *path) {
    char head[FLTX_DATABASE_HEAD] = "";
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t n = fd >= 0 ? read(fd, head, sizeof head) : 0;
    if (fd >= 0) close(fd);
    return n > 0 && flt_database_head((size_t)n, head);
}

static flt_err resolve(const char *path, target *t) {
    struct stat st;
    t->path = path;
    if (realpath(path, t->real) == NULL) {
        if (errno != ENOENT) return fail(path, "cannot be written");
        if ((size_t)snprintf(t->real, sizeof t->real, "%s", path) >= sizeof t->real)
            return flt_fail(FLTE_IO, path, "cannot be written: the name is longer than %d bytes", PATH_MAX - 1);
    } else {
        if (stat(t->real, &st) != 0) return fail(path, "cannot be written");
        if (!S_ISREG(st.st_mode)) return flt_fail(FLTE_IO, path, "cannot be written: it is not a regular file");
        if (is_database(t->real))
            return flt_fail(FLTE_IO, path, "cannot be written: it is a database, and would be lost; name another file");
        t->exists = true;
        t->mode = st.st_mode & 07777;
    }
    const char *slash = strrchr(t->real, '/');
    const size_t n = slash == NULL ? 0 : (size_t)(slash - t->real) + 1;
    memcpy(t->folder, t->real, n);
    t->folder[n] = '\0';
    return FLTE_OK;
}

// Names of temporary files: .flt-MACHINE-PROCESS-NUMBER.tmp. Where process numbers mean the same, MACHINE is the same.
static unsigned long machine(void) {
    struct utsname name;
    struct stat st;
    unsigned long h = stat("/proc/self/ns/pid", &st) == 0 ? (unsigned long)st.st_ino : 0;
    if (uname(&name) != 0) return h;
    for (const char *c = name.nodename; *c != '\0'; c++) h = (h * 31 + (unsigned char)*c) & 0xffffffff;
    return h;
}

// What processes left that were killed while they wrote.
static void remove_stale(const target *t) {
    const unsigned long here = machine();
    char path[PATH_MAX];
    DIR *folder = opendir(t->folder[0] == '\0' ? "." : t->folder);
    if (folder == NULL) return;
    for (const struct dirent *e = readdir(folder); e != NULL; e = readdir(folder)) {
        unsigned long where = 0;
        long process = 0;
        unsigned k = 0;
        int end = 0;
        if (sscanf(e->d_name, ".flt-%lx-%ld-%u.tmp%n", &where, &process, &k, &end) != 3 || e->d_name[end] != '\0') continue;
        if (where != here || process <= 0 || kill((pid_t)process, 0) == 0 || errno != ESRCH) continue;
        const int n = snprintf(path, sizeof path, "%s%s", t->folder, e->d_name);
        if (end > 0 && n > 0 && (size_t)n < sizeof path) unlink(path);
    }
    closedir(folder);
}

// A new file beside the target; the umask applies, as it would to the target.
static flt_err open_temporary(target *t, int *fd) {
    static atomic_uint serial;
    remove_stale(t);
    do {
        const unsigned k = atomic_fetch_add(&serial, 1);
        const int n =
            snprintf(t->temporary, sizeof t->temporary, "%s.flt-%lx-%ld-%u.tmp", t->folder, machine(), (long)getpid(), k);
        if (n < 0 || (size_t)n >= sizeof t->temporary)
            return flt_fail(FLTE_IO, t->path, "cannot be written: the name of its folder is too long");
        *fd = open(t->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    } while (*fd < 0 && errno == EEXIST);
    return *fd < 0 ? fail(t->path, "cannot be written") : FLTE_OK;
}

static bool write_exactly(int fd, const unsigned char *bytes, size_t size) {
    for (size_t done = 0; done < size;) {
        const ssize_t n = write(fd, bytes + done, size - done);
        if (n == 0) errno = ENOSPC;
        if (n == 0 || (n < 0 && errno != EINTR)) return false;
        if (n > 0) done += (size_t)n;
    }
    return true;
}

// The name reaches the disk with the folder. File systems that cannot do this say EINVAL.
static bool sync_folder(const target *t) {
    const int fd = open(t->folder[0] == '\0' ? "." : t->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return errno == EACCES; // a folder may be writable and not readable
    const bool fine = fsync(fd) == 0 || errno == EINVAL;
    close(fd);
    return fine;
}

flt_err flt_write_atomic(const char *path, const void *bytes, size_t size) {
    FLTX_GIVEN(path);
    if (size > 0) FLTX_GIVEN(bytes);
    target t = {0};
    int fd = -1;
    FLTX_TRY(resolve(path, &t));
    FLTX_TRY(open_temporary(&t, &fd));
    bool fine = !t.exists || fchmod(fd, t.mode) == 0;
    fine = fine && write_exactly(fd, bytes, size) && fsync(fd) == 0;
    const int kept = errno;
    if (close(fd) != 0)
        fine = false;
    else if (!fine)
        errno = kept;
    if (!fine || rename(t.temporary, t.real) != 0) {
        const flt_err err = fail(path, "cannot be written");
        unlink(t.temporary);
        return err;
    }
    return sync_folder(&t) ? FLTE_OK : fail(path, "was written, but its folder could not be brought to the disk");
}

flt_err flt_write_possible(const char *path) {
    FLTX_GIVEN(path);
    target t = {0};
    int fd = -1;
    FLTX_TRY(resolve(path, &t));
    FLTX_TRY(open_temporary(&t, &fd));
    close(fd);
    unlink(t.temporary);
    return FLTE_OK;
}
