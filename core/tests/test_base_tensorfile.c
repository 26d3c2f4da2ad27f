// SPDX-License-Identifier: MIT
// Tensor files: what is written comes back, in memory and on disk; conversions and checks; failing systems leave nothing behind.
#include "flt/memory.h"
#include "flt/tensorfile.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/flt_tensorfile_XXXXXX";

static const char *in_folder(const char *name) {
    static char path[4][400];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static void make_folder(void) {
    cr_assert_neq(mkdtemp(folder), NULL);
}

// Number of entries; removes them when asked.
static int entries(bool remove_them) {
    int n = 0;
    DIR *d = opendir(folder);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        n++;
        if (remove_them) remove(in_folder(e->d_name));
    }
    closedir(d);
    return n;
}

static void remove_folder(void) {
    entries(true);
    rmdir(folder);
    cr_expect_eq(flt_live_blocks(), 0u, "blocks are left");
}

TestSuite(base_tensorfile, .init = make_folder, .fini = remove_folder);

// ---- round trips

static const float f32[] = {1.5f, -2.25f, 3e-39f, INFINITY, 7.0f, -0.0f};
static const double f64[] = {0.1, -1e300, 5e-324, 4.0};
static const char odd_name[] = "q\"\\/\b\n\t \xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80{}[],:";

static flt_err add_everything(flt_tensor_writer *w) {
    FLTX_TRY(flt_tensor_writer_meta(w, "optimizer", "flt"));
    FLTX_TRY(flt_tensor_writer_add(w, "odd", FLTX_F32, 2, (size_t[]){1, 3}, f32)); // the next one begins at no multiple of 8
    FLTX_TRY(flt_tensor_writer_add(w, "second", FLTX_F64, 1, (size_t[]){4}, f64));
    FLTX_TRY(flt_tensor_writer_add(w, "scalar", FLTX_F64, 0, NULL, f64 + 3));
    FLTX_TRY(flt_tensor_writer_add(w, "empty", FLTX_F32, 3, (size_t[]){2, 0, 5}, NULL));
    FLTX_TRY(flt_tensor_writer_add(w, odd_name, FLTX_F32, 1, (size_t[]){6}, f32));
    FLTX_TRY(flt_tensor_writer_add(w, "", FLTX_F32, 8, (size_t[]){1, 1, 1, 2, 1, 1, 1, 3}, f32));
    return flt_tensor_writer_meta(w, odd_name, "line\n\"two\" \xc3\xa9");
}

static flt_err save_everything(const char *path) {
    flt_tensor_writer *w = NULL;
    flt_err err = flt_tensor_writer_create(&w);
    if (err == FLTE_OK) err = add_everything(w);
    if (err == FLTE_OK) err = flt_tensor_writer_save(w, path);
    flt_tensor_writer_destroy(w);
    return err;
}

static void check(const flt_tensors *t, const char *name, flt_dtype dtype, size_t count, const void *data) {
    const flt_tensor *x = flt_tensors_find(t, name);
    cr_assert_neq(x, NULL, "'%s' is missing", name);
    cr_assert_eq(x->dtype, dtype, "%s", name);
    cr_assert_eq(x->count, count, "%s: %zu values", name, x->count);
    cr_assert_eq((uintptr_t)x->data % 64, 0u, "%s is not aligned", name);
    if (count > 0) cr_assert_eq(memcmp(x->data, data, count * (dtype == FLTX_F32 ? 4 : 8)), 0, "%s", name);
}

static void check_everything(const flt_tensors *t) {
    static const char *const order[] = {"odd", "second", "scalar", "empty", odd_name, ""};
    cr_assert_eq(flt_tensors_count(t), 6u);
    for (size_t i = 0; i < 6; i++) cr_assert_str_eq(flt_tensors_at(t, i)->name, order[i], "place %zu", i);
    cr_assert_eq(flt_tensors_at(t, 6), NULL);
    check(t, "odd", FLTX_F32, 3, f32);
    check(t, "second", FLTX_F64, 4, f64);
    check(t, "scalar", FLTX_F64, 1, f64 + 3);
    check(t, "empty", FLTX_F32, 0, NULL);
    check(t, odd_name, FLTX_F32, 6, f32);
    check(t, "", FLTX_F32, 6, f32);
    cr_assert_eq(flt_tensors_find(t, "")->rank, 8u);
    cr_assert_eq(flt_tensors_find(t, "")->dim[7], 3u);
    cr_assert_eq(flt_tensors_find(t, "empty")->dim[2], 5u);
    cr_assert_eq(flt_tensors_find(t, "scalar")->rank, 0u);
    cr_assert_eq(flt_tensors_find(t, "Odd"), NULL);
    cr_assert_eq(flt_tensors_find(t, "__metadata__"), NULL);
    cr_assert_str_eq(flt_tensors_meta(t, "optimizer"), "flt");
    cr_assert_str_eq(flt_tensors_meta(t, odd_name), "line\n\"two\" \xc3\xa9");
    cr_assert_eq(flt_tensors_meta(t, "Optimizer"), NULL);
}

Test(base_tensorfile, round_trip) {
    flt_tensors *t = NULL;
    cr_assert_eq(save_everything(in_folder("a.st")), FLTE_OK, "%s", flt_error());
    cr_assert_eq(flt_tensors_read(in_folder("a.st"), &t), FLTE_OK, "%s", flt_error());
    check_everything(t);
    flt_tensors_destroy(t);
    flt_tensors_destroy(NULL);
    flt_tensor_writer_destroy(NULL);
    cr_assert_eq(entries(false), 1);
}

Test(base_tensorfile, same_calls_give_same_bytes) {
    unsigned char *a = NULL, *b = NULL;
    size_t na = 0, nb = 0;
    cr_assert_eq(save_everything(in_folder("a.st")), FLTE_OK);
    cr_assert_eq(save_everything(in_folder("b.st")), FLTE_OK);
    cr_assert_eq(flt_read_all(in_folder("a.st"), &a, &na), FLTE_OK);
    cr_assert_eq(flt_read_all(in_folder("b.st"), &b, &nb), FLTE_OK);
    cr_assert_eq(na, nb);
    cr_assert_eq(memcmp(a, b, na), 0);
    cr_assert_eq(a[0] % 8, 0, "data does not begin at a multiple of 8");
    flt_free(a);
    flt_free(b);
}

// The bytes themselves, as another program would read them.
Test(base_tensorfile, bytes_on_disk) {
    static const char header[] = "{\"ab\":{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[0,8]}}"; // 57 characters
    const float x[] = {1.0f, 2.0f};
    flt_tensor_writer *w = NULL;
    unsigned char *file = NULL;
    size_t size = 0;
    cr_assert_eq(flt_tensor_writer_create(&w), FLTE_OK);
    cr_assert_eq(flt_tensor_writer_add(w, "ab", FLTX_F32, 2, (size_t[]){1, 2}, x), FLTE_OK);
    cr_assert_eq(flt_tensor_writer_save(w, in_folder("a.st")), FLTE_OK, "%s", flt_error());
    flt_tensor_writer_destroy(w);
    cr_assert_eq(flt_read_all(in_folder("a.st"), &file, &size), FLTE_OK);
    cr_assert_eq(size, 8u + 64u + 8u);
    cr_assert_eq(memcmp(file, "\x40\0\0\0\0\0\0\0", 8), 0);
    cr_assert_eq(memcmp(file + 8, header, 57), 0, "%.57s", (char *)file + 8);
    cr_assert_eq(memcmp(file + 8 + 57, "       ", 7), 0);
    cr_assert_eq(memcmp(file + 72, "\0\0\x80\x3f\0\0\0\x40", 8), 0);
    flt_free(file);
}

Test(base_tensorfile, a_file_without_tensors) {
    flt_tensor_writer *w = NULL;
    flt_tensors *t = NULL;
    cr_assert_eq(flt_tensor_writer_create(&w), FLTE_OK);
    cr_assert_eq(flt_tensor_writer_save(w, in_folder("a.st")), FLTE_OK);
    flt_tensor_writer_destroy(w);
    cr_assert_eq(flt_tensors_read(in_folder("a.st"), &t), FLTE_OK, "%s", flt_error());
    cr_assert_eq(flt_tensors_count(t), 0u);
    cr_assert_eq(flt_tensors_find(t, "a"), NULL);
    cr_assert_eq(flt_tensors_meta(t, "a"), NULL);
    flt_tensors_destroy(t);
}

Test(base_tensorfile, writer_refuses) {
    flt_tensor_writer *w = NULL;
    cr_assert_eq(flt_tensor_writer_create(&w), FLTE_OK);
    cr_assert_eq(flt_tensor_writer_real(w, "a", 0, NULL, (flt_real[]){1}), FLTE_OK);
    cr_assert_eq(flt_tensor_writer_real(w, "a", 0, NULL, (flt_real[]){1}), FLTE_USAGE);
    cr_assert_eq(flt_tensor_writer_real(w, "__metadata__", 0, NULL, (flt_real[]){1}), FLTE_USAGE);
    cr_assert_eq(flt_tensor_writer_real(w, "\xff", 0, NULL, (flt_real[]){1}), FLTE_USAGE);
    cr_assert_eq(flt_tensor_writer_real(w, "b", 9, (size_t[9]){0}, NULL), FLTE_RANGE);
    cr_assert_eq(flt_tensor_writer_real(w, "b", 2, (size_t[]){(size_t)1 << 40, (size_t)1 << 40}, NULL), FLTE_RANGE);
    cr_assert_eq(flt_tensor_writer_real(w, "b", 2, (size_t[]){(size_t)1 << 53, 0}, NULL), FLTE_RANGE);
    cr_assert_eq(flt_tensor_writer_meta(w, "k", "v"), FLTE_OK);
    cr_assert_eq(flt_tensor_writer_meta(w, "k", "v"), FLTE_USAGE);
    cr_assert_eq(flt_tensor_writer_meta(w, "l", "\xc0\x80"), FLTE_USAGE);
    cr_assert_eq(flt_tensor_writer_meta(w, "\xed\xa0\x80", "v"), FLTE_USAGE);
    flt_tensor_writer_destroy(w);
}

// ---- failing systems

Test(base_tensorfile, allocation_failures) {
    const char *path = in_folder("a.st");
    long n = 0;
    for (flt_err err = FLTE_NOMEM; err != FLTE_OK; n++) {
        flt_tensors *t = NULL;
        flt_fail_alloc_after(n);
        err = save_everything(path);
        if (err == FLTE_OK) err = flt_tensors_read(path, &t);
        flt_fail_alloc_after(-1);
        cr_assert(err == FLTE_OK || err == FLTE_NOMEM, "request %ld: %s", n, flt_error());
        if (err == FLTE_OK)
            check_everything(t);
        else
            cr_assert_eq(t, NULL, "request %ld", n);
        flt_tensors_destroy(t);
        cr_assert_eq(flt_live_blocks(), 0u, "request %ld leaks", n);
    }
    cr_assert_gt(n, 20, "only %ld requests were tried", n);
    cr_assert_eq(entries(false), 1);
}

static void expect_read(const char *path, flt_err want, const char *says) {
    flt_tensors *t = NULL;
    cr_assert_eq(flt_tensors_read(path, &t), want, "%s: %s", path, flt_error());
    cr_assert_eq(t, NULL, "%s", path);
    cr_assert_neq(strstr(flt_error(), path), NULL, "%s", flt_error());
    cr_assert_neq(strstr(flt_error(), says), NULL, "%s", flt_error());
}

Test(base_tensorfile, unreadable_files) {
    cr_assert_eq(mkfifo(in_folder("pipe"), 0600), 0);
    expect_read(in_folder("missing"), FLTE_IO, "No such file");
    expect_read(folder, FLTE_IO, "not a regular file");
    expect_read(in_folder("pipe"), FLTE_IO, "not a regular file");
    cr_assert_eq(flt_write_atomic(in_folder("empty"), "", 0), FLTE_OK);
    expect_read(in_folder("empty"), FLTE_FORMAT, "truncated");
}

static void expect_unwritable(const char *path) {
    cr_assert_eq(flt_write_atomic(path, "new", 3), FLTE_IO, "%s", path);
    cr_assert_neq(strstr(flt_error(), "cannot be written"), NULL, "%s", flt_error());
}

Test(base_tensorfile, unwritable_places) {
    char name[300];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    cr_assert_eq(mkfifo(in_folder("pipe"), 0600), 0);
    expect_unwritable(in_folder("no/such/folder"));
    expect_unwritable(folder);
    expect_unwritable(in_folder("pipe")); // what is no regular file stays: never try this with a device of the machine
    expect_unwritable("");
    expect_unwritable(in_folder("new/"));
    expect_unwritable(in_folder(name));
    struct stat st;
    cr_assert_eq(stat(in_folder("pipe"), &st), 0);
    cr_assert(S_ISFIFO(st.st_mode), "the pipe was replaced");
    cr_assert_eq(entries(false), 1, "temporary files are left");
}

static void expect_content(const char *path, const char *want) {
    unsigned char *got = NULL;
    size_t size = 0;
    cr_assert_eq(flt_read_all(path, &got, &size), FLTE_OK, "%s", flt_error());
    cr_assert_eq(size, strlen(want), "%s has %zu bytes", path, size);
    cr_assert_eq(memcmp(got, want, size), 0, "%s", path);
    flt_free(got);
}

Test(base_tensorfile, replacing) {
    struct stat st;
    const char *file = in_folder("file"), *link = in_folder("link");
    cr_assert_eq(flt_write_atomic(file, "first", 5), FLTE_OK, "%s", flt_error());
    cr_assert_eq(chmod(file, 0640), 0);
    cr_assert_eq(symlink("file", link), 0);
    cr_assert_eq(flt_write_atomic(link, "second", 6), FLTE_OK, "%s", flt_error());
    expect_content(file, "second");
    cr_assert_eq(lstat(link, &st), 0);
    cr_assert(S_ISLNK(st.st_mode), "the link became a file");
    cr_assert_eq(stat(file, &st), 0);
    cr_assert_eq(st.st_mode & 0777, 0640u);
    cr_assert_eq(entries(false), 2);
}

Test(base_tensorfile, the_umask_applies) {
    struct stat st;
    umask(027);
    cr_assert_eq(flt_write_atomic(in_folder("file"), "x", 1), FLTE_OK);
    cr_assert_eq(stat(in_folder("file"), &st), 0);
    cr_assert_eq(st.st_mode & 0777, 0640u);
}

Test(base_tensorfile, relative_names) {
    cr_assert_eq(chdir(folder), 0);
    cr_assert_eq(flt_write_atomic("plain", "x", 1), FLTE_OK, "%s", flt_error());
    expect_content("plain", "x");
    cr_assert_eq(entries(false), 1);
}

// The disk is full: the old file stays, nothing is left.
Test(base_tensorfile, full_disk) {
    static char big[1 << 16];
    const struct rlimit limit = {.rlim_cur = 4096, .rlim_max = 4096};
    cr_assert_eq(flt_write_atomic(in_folder("file"), "old", 3), FLTE_OK);
    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    cr_assert_eq(flt_write_atomic(in_folder("file"), big, sizeof big), FLTE_IO);
    cr_assert_neq(strstr(flt_error(), "File too large"), NULL, "%s", flt_error());
    expect_content(in_folder("file"), "old");
    cr_assert_eq(entries(false), 1, "temporary files are left");
}

// ---- values

// Writes in a process that is killed on the way; the name of what it left, from its dot on.
static const char *killed_writer(void) {
    static char left[300];
    const pid_t child = fork();
    if (child == 0) {
        static const char bytes[100000];
        signal(SIGXFSZ, SIG_DFL);
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){1000, 1000});
        (void)flt_write_atomic(in_folder("cut"), bytes, sizeof bytes);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    DIR *d = opendir(folder);
    left[0] = '\0';
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        if (strncmp(e->d_name, ".flt-", 5) == 0) snprintf(left, sizeof left, "%s", e->d_name);
    closedir(d);
    return left;
}

// Left by a dead process of this machine: removed. By a living one, by another machine, or by something else: not ours to remove.
Test(base_tensorfile, what_killed_writers_left_is_removed) {
    unsigned long machine = 0;
    long process = 0;
    char alive[300], other[300];
    const char *left = killed_writer();
    cr_assert(sscanf(left, ".flt-%lx-%ld-", &machine, &process) == 2, "the killed process left '%s'", left);
    snprintf(alive, sizeof alive, ".flt-%lx-%ld-99.tmp", machine, (long)getppid());
    snprintf(other, sizeof other, ".flt-%lx-%ld-0.tmp", machine ^ 1, process);
    cr_assert_eq(symlink("nowhere", in_folder(alive)), 0);
    cr_assert_eq(symlink("nowhere", in_folder(other)), 0);
    cr_assert_eq(symlink("nowhere", in_folder(".flt-notes")), 0);
    cr_assert_eq(entries(false), 4);
    cr_assert_eq(flt_write_atomic(in_folder("whole"), "x", 1), FLTE_OK, "%s", flt_error());
    cr_expect_eq(entries(false), 4, "%d entries: three that are not ours, and the file", entries(false));
    cr_expect_eq(access(in_folder(left), F_OK), -1, "%s is still there", left);
}

Test(base_tensorfile, conversions) {
    const flt_tensor a = {.name = "a", .dtype = FLTX_F32, .rank = 1, .dim = {6}, .count = 6, .data = f32};
    const flt_tensor b = {.name = "b", .dtype = FLTX_F64, .rank = 1, .dim = {4}, .count = 4, .data = f64};
    flt_real r[6];
    double d[6];
    flt_tensor_to_real(&a, r);
    flt_tensor_to_double(&a, d);
    for (size_t i = 0; i < 6; i++) cr_assert(r[i] == (flt_real)f32[i] && d[i] == (double)f32[i], "F32 %zu", i);
    flt_tensor_to_real(&b, r);
    flt_tensor_to_double(&b, d);
    for (size_t i = 0; i < 4; i++) cr_assert(r[i] == (flt_real)f64[i] && d[i] == f64[i], "F64 %zu", i);
}

Test(base_tensorfile, finite) {
    float x[12] = {0};
    double y[2] = {1.0, 1e200};
    const flt_tensor a = {.name = "a", .dtype = FLTX_F32, .rank = 2, .dim = {3, 4}, .count = 12, .data = x};
    const flt_tensor b = {.name = "b", .dtype = FLTX_F64, .rank = 0, .count = 1, .data = y};
    const flt_tensor c = {.name = "c", .dtype = FLTX_F64, .rank = 1, .dim = {2}, .count = 2, .data = y};
    cr_assert_eq(flt_tensor_finite("me", &a), FLTE_OK);
    x[6] = NAN;
    x[7] = INFINITY;
    cr_assert_eq(flt_tensor_finite("me", &a), FLTE_NUMERIC);
    cr_assert_str_eq(flt_error(), "me: tensor 'a' holds NaN at [1, 2]; finite values are needed");
    x[6] = 0;
    cr_assert_eq(flt_tensor_finite("me", &a), FLTE_NUMERIC);
    cr_assert_str_eq(flt_error(), "me: tensor 'a' holds infinity at [1, 3]; finite values are needed");
    cr_assert_eq(flt_tensor_finite("me", &c), sizeof(flt_real) == 4 ? FLTE_NUMERIC : FLTE_OK);
    cr_assert_eq(flt_tensor_finite("me", &b), FLTE_OK);
    y[0] = -INFINITY;
    cr_assert_eq(flt_tensor_finite("me", &b), FLTE_NUMERIC);
    cr_assert_str_eq(flt_error(), "me: tensor 'b' holds -infinity at []; finite values are needed");
}

Test(base_tensorfile, expect_shape) {
    const flt_tensor t = {.name = "t", .rank = 3, .dim = {2, 3, 4}};
    cr_assert_eq(flt_tensor_expect("me", &t, 3, (size_t[]){2, 3, 4}), FLTE_OK);
    cr_assert_eq(flt_tensor_expect("me", &t, 3, (size_t[]){SIZE_MAX, 3, SIZE_MAX}), FLTE_OK);
    cr_assert_eq(flt_tensor_expect("me", &t, 3, (size_t[]){SIZE_MAX, 3, 5}), FLTE_SHAPE);
    cr_assert_str_eq(flt_error(), "me: tensor 't' has shape [2, 3, 4]; [*, 3, 5] is expected");
    cr_assert_eq(flt_tensor_expect("me", &t, 0, NULL), FLTE_SHAPE);
    cr_assert_str_eq(flt_error(), "me: tensor 't' has shape [2, 3, 4]; [] is expected");
    cr_assert_eq(flt_tensor_expect("me", &t, 2, (size_t[]){2, 3}), FLTE_SHAPE);
}
