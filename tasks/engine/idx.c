// SPDX-License-Identifier: MIT
// Reading IDX files. Nothing is believed: lengths are checked against overflow and against what the file can hold before memory
// is asked for.
#include "engine/idx.h"
#include "flt/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { MAX_PATH = 4096, MAX_CHUNK = 1 << 30, MIN_TRAIN = 10 };
// deflate shrinks at most by this factor (a run of equal bytes: 258 bytes in 2 bits)
enum { MAX_INFLATION = 1032 };

typedef struct idx_file {
    const char *who;
    char path[MAX_PATH];
    gzFile gz;     // zlib reads plain files as well
    size_t bytes;  // of the file as stored
    size_t dim[3]; // lengths from the header
    size_t size;   // product of dim
} idx_file;

// ---- one file

static flt_err open_path(idx_file *f, const char *folder, const char *name) {
    static const char *const endings[] = {"", ".gz"};
    int fd = -1;
    for (size_t i = 0; i < 2 && fd < 0; i++) {
        const int n = snprintf(f->path, sizeof f->path, "%s/%s%s", folder, name, endings[i]);
        if (n < 0 || (size_t)n >= sizeof f->path)
            return flt_fail(FLTE_IO, f->who, "the folder's path is longer than %d bytes", MAX_PATH);
        fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); // a FIFO must not hang us
        if (fd < 0 && errno != ENOENT && errno != ENOTDIR) return flt_fail(FLTE_IO, f->who, "%s: %s", f->path, strerror(errno));
    }
    if (fd < 0)
        return flt_fail(FLTE_IO, f->who,
                        "%s/%s does not exist, nor does %s.gz; data is 'digits' or a folder of IDX files as MNIST has them",
                        folder, name, name);
    struct stat status;
    const bool regular = fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
    if (regular) f->gz = gzdopen(fd, "rb");
    if (f->gz == NULL) {
        close(fd);
        return regular ? flt_fail(FLTE_NOMEM, f->who, "%s: zlib found no memory", f->path)
                       : flt_fail(FLTE_IO, f->who, "%s is not a regular file", f->path);
    }
    f->bytes = (size_t)status.st_size;
    return FLTE_OK;
}

static void close_path(idx_file *f) {
    if (f->gz != NULL) gzclose_r(f->gz);
    f->gz = NULL;
}

// Why fewer bytes came than were asked for.
static flt_err short_read(const idx_file *f, const char *part, size_t got, size_t wanted) {
    int code = Z_OK;
    const char *text = gzerror(f->gz, &code);
    if (code == Z_ERRNO) return flt_fail(FLTE_IO, f->who, "%s: reading failed: %s", f->path, strerror(errno));
    if (code == Z_DATA_ERROR) return flt_fail(FLTE_FORMAT, f->who, "%s: the gzip data are damaged: %s", f->path, text);
    if (code == Z_MEM_ERROR) return flt_fail(FLTE_NOMEM, f->who, "%s: zlib found no memory", f->path);
    return flt_fail(FLTE_FORMAT, f->who, "%s is truncated: %zu of %zu bytes of its %s", f->path, got, wanted, part);
}

static flt_err read_bytes(idx_file *f, const char *part, unsigned char *out, size_t n) {
    size_t got = 0;
    while (got < n) {
        const unsigned ask = n - got > MAX_CHUNK ? MAX_CHUNK : (unsigned)(n - got);
        const int came = gzread(f->gz, out + got, ask);
        if (came <= 0) return short_read(f, part, got, n);
        got += (size_t)came;
    }
    return FLTE_OK;
}

// Nothing may follow; asking for one more byte also makes zlib compare the checksum.
static flt_err read_end(idx_file *f) {
    unsigned char byte;
    int code = Z_OK;
    const int came = gzread(f->gz, &byte, 1);
    if (came > 0)
        return flt_fail(FLTE_FORMAT, f->who, "%s holds more bytes than the %zu that its header declares", f->path, f->size);
    gzerror(f->gz, &code);
    return came < 0 || code != Z_OK ? short_read(f, "gzip trailer", 0, 8) : FLTE_OK;
}

static flt_err check_sizes(idx_file *f, size_t rank) {
    f->size = 1;
    for (size_t i = 0; i < rank; i++) {
        if (f->dim[i] == 0) return flt_fail(FLTE_FORMAT, f->who, "%s: length %zu of its %zu is 0", f->path, i + 1, rank);
        if (!flt_mul_ok(f->size, f->dim[i], &f->size))
            return flt_fail(FLTE_FORMAT, f->who, "%s: the product of its lengths overflows", f->path);
    }
    if (f->size / MAX_INFLATION > f->bytes)
        return flt_fail(FLTE_FORMAT, f->who, "%s is truncated: %zu bytes cannot hold the %zu that its header declares", f->path,
                        f->bytes, f->size);
    return FLTE_OK;
}

static flt_err read_header(idx_file *f, size_t rank) {
    unsigned char head[16];
    const size_t n = 4 + 4 * rank;
    FLTX_TRY(read_bytes(f, "header", head, n));
    const uint32_t magic = (uint32_t)head[0] << 24 | (uint32_t)head[1] << 16 | (uint32_t)head[2] << 8 | head[3];
    if (magic != (0x0800u | rank))
        return flt_fail(FLTE_FORMAT, f->who, "%s has the magic number 0x%08x; 0x%08x is expected (bytes, %zu dimensions)",
                        f->path, (unsigned)magic, 0x0800u | (unsigned)rank, rank);
    for (size_t i = 0; i < rank; i++) {
        const unsigned char *b = head + 4 + 4 * i;
        f->dim[i] = (size_t)b[0] << 24 | (size_t)b[1] << 16 | (size_t)b[2] << 8 | b[3];
    }
    return check_sizes(f, rank);
}

// Reads a whole file of `rank` dimensions; *out is owned by the caller.
static flt_err read_file(idx_file *f, const char *folder, const char *name, size_t rank, unsigned char **out) {
    flt_err err = FLTE_OK;
    FLTX_TRY(open_path(f, folder, name));
    FLTX_GO(err, done, read_header(f, rank));
    FLTX_GO(err, done, flt_alloc(f->size, 1, out));
    FLTX_GO(err, done, read_bytes(f, "data", *out, f->size));
    FLTX_GO(err, done, read_end(f));
done:
    close_path(f);
    if (err != FLTE_OK) {
        flt_free(*out);
        *out = NULL;
    }
    return err;
}

// ---- a folder: images and labels of one half

typedef struct half {
    idx_file images, labels;
    unsigned char *pixels, *classes;
} half;

static void half_free(half *h) {
    flt_free(h->pixels);
    flt_free(h->classes);
}

static flt_err half_read(const char *who, const char *folder, const char *prefix, half *h) {
    char name[64];
    h->images.who = h->labels.who = who;
    snprintf(name, sizeof name, "%s-images-idx3-ubyte", prefix);
    FLTX_TRY(read_file(&h->images, folder, name, 3, &h->pixels));
    snprintf(name, sizeof name, "%s-labels-idx1-ubyte", prefix);
    FLTX_TRY(read_file(&h->labels, folder, name, 1, &h->classes));
    if (h->images.dim[0] != h->labels.dim[0])
        return flt_fail(FLTE_FORMAT, who, "%s holds %zu images, but %s holds %zu labels", h->images.path, h->images.dim[0],
                        h->labels.path, h->labels.dim[0]);
    return FLTE_OK;
}

static flt_err check_halves(const char *who, const half *train, const half *test) {
    if (train->images.dim[0] < MIN_TRAIN)
        return flt_fail(FLTE_FORMAT, who, "%s holds %zu images; at least %d are needed to hold a tenth out", train->images.path,
                        train->images.dim[0], MIN_TRAIN);
    if (train->images.dim[1] != test->images.dim[1] || train->images.dim[2] != test->images.dim[2])
        return flt_fail(FLTE_FORMAT, who, "%s holds images of %zu x %zu, but %s of %zu x %zu", train->images.path,
                        train->images.dim[1], train->images.dim[2], test->images.path, test->images.dim[1], test->images.dim[2]);
    return FLTE_OK;
}

typedef struct owner { // a data set with the memory it points to
    flt_dataset data;  // first: freed through it
    unsigned char *pixels, *labels;
} owner;

void flt_idx_free(flt_dataset *d) {
    owner *o = (owner *)d;
    if (o == NULL) return;
    flt_free(o->pixels);
    flt_free(o->labels);
    flt_free(o);
}

static void copy_half(owner *o, const half *h, size_t at) {
    const flt_dataset *d = &o->data;
    const size_t image = d->height * d->width, place = (d->height + 2) * (d->width + 2), n = h->images.dim[0];
    for (size_t i = 0; i < n; i++) flt_dataset_frame(d, h->pixels + i * image, o->pixels + (at + i) * place);
    memcpy(o->labels + at, h->classes, n);
}

static flt_err join(const half *train, const half *test, flt_dataset **out) {
    owner *o = NULL;
    flt_err err = FLTE_OK;
    const size_t n = train->images.dim[0], all = n + test->images.dim[0];
    FLTX_TRY(flt_alloc(1, sizeof *o, &o));
    o->data = (flt_dataset){
        .height = train->images.dim[1], .width = train->images.dim[2], .first = {0, n - n / 10, n, all}, .scale = 1.0 / 255.0};
    // 32-bit lengths: the bordered image fits in size_t; the product with `all` is flt_alloc's to check
    FLTX_GO(err, fail, flt_alloc(all, (o->data.height + 2) * (o->data.width + 2), &o->pixels));
    FLTX_GO(err, fail, flt_alloc(all, 1, &o->labels));
    o->data.pixels = o->pixels;
    o->data.labels = o->labels;
    copy_half(o, train, 0);
    copy_half(o, test, n);
    for (size_t i = 0; i < all; i++)
        if (o->labels[i] >= o->data.classes) o->data.classes = (size_t)o->labels[i] + 1;
    *out = &o->data;
    return FLTE_OK;
fail:
    flt_idx_free(&o->data);
    return err;
}

flt_err flt_idx_load(const char *who, const char *folder, flt_dataset **out) {
    half *h = NULL; // train, test; on the heap for their paths
    flt_err err = FLTE_OK;
    *out = NULL;
    FLTX_TRY(flt_alloc(2, sizeof *h, &h));
    FLTX_GO(err, done, half_read(who, folder, "train", &h[0]));
    FLTX_GO(err, done, half_read(who, folder, "t10k", &h[1]));
    FLTX_GO(err, done, check_halves(who, &h[0], &h[1]));
    FLTX_GO(err, done, join(&h[0], &h[1], out));
    if ((*out)->classes < 2) {
        err = flt_fail(FLTE_FORMAT, who, "%s: every label is 0; at least two classes are needed", h[0].labels.path);
        flt_idx_free(*out);
        *out = NULL;
    }
done:
    half_free(&h[0]);
    half_free(&h[1]);
    flt_free(h);
    return err;
}
