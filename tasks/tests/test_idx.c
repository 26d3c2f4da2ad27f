// SPDX-License-Identifier: MIT
// IDX folders, made here: plain and gzip, whole and broken.
#include "engine/dataset.h"
#include "flt/memory.h"
#include "flt/random.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { TRAIN = 25, TEST = 7, HEIGHT = 3, WIDTH = 5, CLASSES = 4, MAX_FILE = 1024 };

typedef struct file {
    const char *name;
    unsigned char bytes[MAX_FILE];
    size_t size;
} file;

static void put32(unsigned char *to, uint32_t x) {
    for (int i = 0; i < 4; i++) to[i] = (unsigned char)(x >> (24 - 8 * i));
}

static file images(const char *name, uint32_t n, unsigned char salt) {
    file f = {.name = name, .size = 16 + (size_t)n * HEIGHT * WIDTH};
    put32(f.bytes, 0x803);
    put32(f.bytes + 4, n);
    put32(f.bytes + 8, HEIGHT);
    put32(f.bytes + 12, WIDTH);
    for (size_t i = 16; i < f.size; i++) f.bytes[i] = (unsigned char)(17 * i + salt);
    return f;
}

static file labels(const char *name, uint32_t n) {
    file f = {.name = name, .size = 8 + (size_t)n};
    put32(f.bytes, 0x801);
    put32(f.bytes + 4, n);
    for (size_t i = 0; i < n; i++) f.bytes[8 + i] = (unsigned char)(i % CLASSES);
    return f;
}

enum { TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS, FILES };

typedef struct folder {
    char path[64];
    file file[FILES];
} folder;

static void folder_make(folder *f) {
    strcpy(f->path, "/tmp/flt-idx-XXXXXX");
    cr_assert(mkdtemp(f->path) != NULL);
    f->file[TRAIN_IMAGES] = images("train-images-idx3-ubyte", TRAIN, 1);
    f->file[TRAIN_LABELS] = labels("train-labels-idx1-ubyte", TRAIN);
    f->file[TEST_IMAGES] = images("t10k-images-idx3-ubyte", TEST, 2);
    f->file[TEST_LABELS] = labels("t10k-labels-idx1-ubyte", TEST);
}

static void path_of(const folder *f, size_t i, const char *ending, char out[128]) {
    snprintf(out, 128, "%s/%s%s", f->path, f->file[i].name, ending);
}

static void write_plain(const folder *f, size_t i) {
    char path[128];
    path_of(f, i, "", path);
    FILE *out = fopen(path, "wb");
    cr_assert(out != NULL);
    cr_assert_eq(fwrite(f->file[i].bytes, 1, f->file[i].size, out), f->file[i].size);
    fclose(out);
}

static void write_gzip(const folder *f, size_t i) {
    char path[128];
    path_of(f, i, ".gz", path);
    gzFile out = gzopen(path, "wb");
    cr_assert(out != NULL);
    cr_assert_eq((size_t)gzwrite(out, f->file[i].bytes, (unsigned)f->file[i].size), f->file[i].size);
    gzclose(out);
}

static void folder_write(const folder *f) {
    for (size_t i = 0; i < FILES; i++) write_plain(f, i);
}

static void folder_remove(const folder *f) {
    char path[128];
    for (size_t i = 0; i < FILES; i++) {
        path_of(f, i, "", path);
        if (unlink(path) != 0) rmdir(path);
        path_of(f, i, ".gz", path);
        unlink(path);
    }
    rmdir(f->path);
}

static void assert_whole(const char *label, const folder *f, const flt_dataset *d) {
    static const size_t first[4] = {0, 23, 25, 32};
    cr_assert(d->height == HEIGHT && d->width == WIDTH && d->classes == CLASSES, "%s", label);
    for (size_t s = 0; s < 4; s++) cr_assert_eq(d->first[s], first[s], "%s: split %zu starts at %zu", label, s, d->first[s]);
    for (size_t i = 0; i < TRAIN + TEST; i++) {
        const file *from = &f->file[i < TRAIN ? TRAIN_IMAGES : TEST_IMAGES];
        const unsigned char *image = from->bytes + 16 + (i < TRAIN ? i : i - TRAIN) * HEIGHT * WIDTH;
        cr_assert_eq(d->labels[i], (i < TRAIN ? i : i - TRAIN) % CLASSES, "%s: label %zu", label, i);
        for (size_t y = 0; y < HEIGHT + 2; y++)
            for (size_t x = 0; x < WIDTH + 2; x++) {
                const bool frame = y == 0 || x == 0 || y == HEIGHT + 1 || x == WIDTH + 1;
                const unsigned char want = frame ? 0 : image[(y - 1) * WIDTH + x - 1];
                cr_assert_eq(d->pixels[(i * (HEIGHT + 2) + y) * (WIDTH + 2) + x], want, "%s: image %zu at %zu, %zu", label, i, y,
                             x);
            }
    }
}

Test(idx, reads_plain_and_gzip) {
    const size_t before = flt_live_blocks();
    for (unsigned zipped = 0; zipped < 1u << FILES; zipped += 5) { // none, images only, labels only, all
        folder f;
        const flt_dataset *d = NULL, *again = NULL;
        char label[32];
        snprintf(label, sizeof label, "gzip bits %u", zipped);
        folder_make(&f);
        for (size_t i = 0; i < FILES; i++) (zipped >> i & 1u ? write_gzip : write_plain)(&f, i);
        cr_assert_eq(flt_dataset_open("test", f.path, &d), FLTE_OK, "%s: %s", label, flt_error());
        assert_whole(label, &f, d);
        cr_assert_eq(flt_dataset_open("test", f.path, &again), FLTE_OK, "%s: %s", label, flt_error());
        cr_assert(again == d, "%s: a second user gets the same data", label);
        flt_dataset_close(d);
        assert_whole(label, &f, again);
        flt_dataset_close(again);
        cr_assert_eq(flt_live_blocks(), before, "%s leaks", label);
        folder_remove(&f);
    }
}

// ---- broken folders

static void bad_magic(folder *f) {
    f->file[TRAIN_IMAGES].bytes[3] = 1;
}
static void bad_type(folder *f) {
    f->file[TEST_LABELS].bytes[2] = 0x0d;
}
static void truncated_data(folder *f) {
    f->file[TEST_IMAGES].size -= 1;
}
static void truncated_header(folder *f) {
    f->file[TRAIN_IMAGES].size = 10;
}
static void empty_file(folder *f) {
    f->file[TRAIN_LABELS].size = 0;
}
static void bytes_too_many(folder *f) {
    f->file[TRAIN_LABELS].size += 1;
}
static void zero_length(folder *f) {
    put32(f->file[TRAIN_IMAGES].bytes + 8, 0);
}
static void count_mismatch(folder *f) {
    f->file[TRAIN_LABELS] = labels("train-labels-idx1-ubyte", TRAIN - 1);
}
static void too_few(folder *f) {
    f->file[TRAIN_IMAGES] = images("train-images-idx3-ubyte", 9, 1);
    f->file[TRAIN_LABELS] = labels("train-labels-idx1-ubyte", 9);
}
static void one_class(folder *f) {
    memset(f->file[TRAIN_LABELS].bytes + 8, 0, TRAIN);
    memset(f->file[TEST_LABELS].bytes + 8, 0, TEST);
}
static void declared_huge(folder *f) {
    put32(f->file[TRAIN_IMAGES].bytes + 4, 0xffffffff);
}
static void overflow(folder *f) {
    for (size_t i = 4; i < 16; i += 4) put32(f->file[TRAIN_IMAGES].bytes + i, 0xffffffff);
}
static void size_mismatch(folder *f) { // the same number of bytes
    put32(f->file[TEST_IMAGES].bytes + 8, WIDTH);
    put32(f->file[TEST_IMAGES].bytes + 12, HEIGHT);
}

typedef struct broken {
    const char *label;
    void (*breaks)(folder *f);
    flt_err err;
    const char *names, *says;
} broken;

static const broken cases[] = {
    {"bad magic", bad_magic, FLTE_FORMAT, "train-images", "magic number 0x00000801; 0x00000803"},
    {"bad type", bad_type, FLTE_FORMAT, "t10k-labels", "magic number 0x00000d01"},
    {"truncated data", truncated_data, FLTE_FORMAT, "t10k-images", "truncated: 104 of 105 bytes of its data"},
    {"truncated header", truncated_header, FLTE_FORMAT, "train-images", "truncated: 10 of 16 bytes of its header"},
    {"empty file", empty_file, FLTE_FORMAT, "train-labels", "truncated: 0 of 8"},
    {"bytes too many", bytes_too_many, FLTE_FORMAT, "train-labels", "more bytes than the 25"},
    {"length zero", zero_length, FLTE_FORMAT, "train-images", "length 2 of its 3 is 0"},
    {"counts disagree", count_mismatch, FLTE_FORMAT, "train-labels", "24 labels"},
    {"too few", too_few, FLTE_FORMAT, "train-images", "9 images; at least 10"},
    {"one class", one_class, FLTE_FORMAT, "train-labels", "two classes"},
    {"declared huge", declared_huge, FLTE_FORMAT, "train-images", "cannot hold the 64424509425"},
    {"overflow", overflow, FLTE_FORMAT, "train-images", "overflows"},
    {"sizes disagree", size_mismatch, FLTE_FORMAT, "t10k-images", "5 x 3"},
};

static void assert_fails(const char *label, const folder *f, flt_err want, const char *names, const char *says) {
    const size_t before = flt_live_blocks();
    const flt_dataset *d = NULL;
    const flt_err err = flt_dataset_open("task digits_mlp", f->path, &d);
    cr_assert_eq(err, want, "%s: %s", label, flt_error());
    cr_assert(d == NULL, "%s", label);
    cr_assert(strstr(flt_error(), "task digits_mlp: ") == flt_error(), "%s: %s", label, flt_error());
    cr_assert(strstr(flt_error(), names) != NULL && strstr(flt_error(), says) != NULL, "%s: %s", label, flt_error());
    cr_assert_eq(flt_live_blocks(), before, "%s leaks", label);
}

Test(idx, says_what_is_wrong) {
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        folder f;
        folder_make(&f);
        cases[i].breaks(&f);
        folder_write(&f);
        assert_fails(cases[i].label, &f, cases[i].err, cases[i].names, cases[i].says);
        folder_remove(&f);
    }
}

Test(idx, says_which_file_is_missing) {
    folder f;
    char path[128];
    folder_make(&f);
    assert_fails("an empty folder", &f, FLTE_IO, "train-images-idx3-ubyte does not exist", "a folder of IDX files");
    folder_write(&f);
    path_of(&f, TEST_LABELS, "", path);
    unlink(path);
    assert_fails("no test labels", &f, FLTE_IO, "t10k-labels-idx1-ubyte does not exist", "a folder of IDX files");
    cr_assert_eq(mkdir(path, 0700), 0);
    assert_fails("a folder in place of a file", &f, FLTE_IO, "t10k-labels-idx1-ubyte", "not a regular file");
    folder_remove(&f);
}

// Cuts bytes off the end of a gzip file or flips one.
static void damage_gzip(const char *path, size_t cut, long flip) {
    unsigned char bytes[MAX_FILE];
    FILE *in = fopen(path, "rb");
    cr_assert(in != NULL);
    const size_t n = fread(bytes, 1, sizeof bytes, in);
    fclose(in);
    if (flip < 0) bytes[n - (size_t)-flip] ^= 0x55;
    FILE *out = fopen(path, "wb");
    cr_assert(out != NULL);
    fwrite(bytes, 1, n - cut, out);
    fclose(out);
}

Test(idx, notices_damaged_gzip) {
    static const struct {
        const char *label, *says;
        size_t cut;
        long flip;
    } damage[] = {
        {"the trailer is cut", "truncated", 3, 0},
        {"the data are cut", "truncated", 60, 0},
        {"the checksum is wrong", "gzip data are damaged", 0, -6},
    };
    for (size_t i = 0; i < sizeof damage / sizeof *damage; i++) {
        folder f;
        char path[128];
        folder_make(&f);
        for (size_t k = 0; k < FILES; k++) write_gzip(&f, k);
        path_of(&f, TRAIN_IMAGES, ".gz", path);
        damage_gzip(path, damage[i].cut, damage[i].flip);
        assert_fails(damage[i].label, &f, FLTE_FORMAT, "train-images-idx3-ubyte.gz", damage[i].says);
        folder_remove(&f);
    }
}

// Random bytes in random places: any outcome but a crash, a leak or a label out of range (under the sanitizers, an over-read).
Test(idx, survives_random_mutations) {
    const size_t before = flt_live_blocks();
    for (uint64_t seed = 0; seed < 200; seed++) {
        const flt_rng r = flt_rng_make(seed, "mutation", 0);
        const flt_dataset *d = NULL;
        folder f;
        folder_make(&f);
        for (uint64_t k = 0; k < 3; k++) {
            file *hit = &f.file[flt_rng_below(r, 4 * k, FILES)];
            const size_t reach = flt_rng_below(r, 4 * k + 1, 2) == 0 ? 8 : hit->size; // often the header
            hit->bytes[flt_rng_below(r, 4 * k + 2, reach)] = (unsigned char)flt_rng_bits(r, 4 * k + 3);
        }
        folder_write(&f);
        const flt_err err = flt_dataset_open("test", f.path, &d);
        cr_assert(err == FLTE_OK || err == FLTE_FORMAT, "seed %d: %s", (int)seed, flt_error());
        for (size_t i = 0; d != NULL && i < d->first[3]; i++) cr_assert_lt(d->labels[i], d->classes, "seed %d", (int)seed);
        flt_dataset_close(d);
        cr_assert_eq(flt_live_blocks(), before, "seed %d leaks", (int)seed);
        folder_remove(&f);
    }
}

Test(idx, survives_failing_allocations) {
    const size_t before = flt_live_blocks();
    const flt_dataset *d = NULL;
    flt_err err = FLTE_NOMEM;
    folder f;
    folder_make(&f);
    folder_write(&f);
    for (long n = 0; n < 50 && err != FLTE_OK; n++) {
        flt_fail_alloc_after(n);
        err = flt_dataset_open("test", f.path, &d);
        flt_fail_alloc_after(-1);
        cr_assert(err == FLTE_OK || err == FLTE_NOMEM, "request %ld: %s", n, flt_error());
        if (err != FLTE_OK) cr_assert_eq(flt_live_blocks(), before, "request %ld leaks", n);
    }
    cr_assert_eq(err, FLTE_OK);
    flt_dataset_close(d);
    cr_assert_eq(flt_live_blocks(), before);
    folder_remove(&f);
}
