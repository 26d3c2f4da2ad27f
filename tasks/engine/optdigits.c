// SPDX-License-Identifier: MIT
// The optical digits inside the library: E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning
// Repository, 1998, CC BY 4.0 (see tasks/data/README.md). Lines of 64 pixels 0..16 and a label 0..9, gzip.
//
// The rows are shuffled once by a fixed permutation, then cut 80/10/10 by index. Decoded into static storage: data that every
// task of the process shares need no owner.
#include "engine/dataset.h"
#include "flt/memory.h"
#include "flt/random.h"

#include <string.h>
#include <zlib.h>

enum { ROWS = 1797, SIDE = 8, PIXELS = SIDE * SIDE, PLACE = (SIDE + 2) * (SIDE + 2), GREYS = 16, CLASSES = 10, TEXT = 264712 };
enum { TRAIN = ROWS * 8 / 10, REST = ROWS - TRAIN };

extern const unsigned char flt_data_optdigits[]; // generated from tasks/data/optdigits.csv.gz
extern const size_t flt_data_optdigits_size;

static unsigned char pixels[ROWS * PLACE], labels[ROWS];
static const flt_dataset digits = {
    .height = SIDE,
    .width = SIDE,
    .classes = CLASSES,
    .first = {0, TRAIN, TRAIN + REST / 2, ROWS},
    .scale = 1.0 / GREYS,
    .pixels = pixels,
    .labels = labels,
};
static bool loaded;

static flt_err damaged(const char *what) {
    return flt_fail(FLTE_INTERNAL, "optical digits", "the table in the library is damaged: %s; build it again", what);
}

static voidpf zlib_alloc(voidpf opaque, uInt count, uInt size) {
    void *p = NULL;
    (void)opaque;
    return flt_alloc(count, size, &p) == FLTE_OK ? p : NULL;
}

static void zlib_free(voidpf opaque, voidpf p) {
    (void)opaque;
    flt_free(p);
}

// text [TEXT]; zlib compares the file's checksum.
static flt_err inflate_table(unsigned char *text) {
    z_stream z = {.zalloc = zlib_alloc, .zfree = zlib_free};
    z.next_in = (z_const Bytef *)(uintptr_t)flt_data_optdigits; // old zlib headers lack the const
    z.avail_in = (uInt)flt_data_optdigits_size;
    z.next_out = text;
    z.avail_out = TEXT;
    const int gzip_only = 15 + 16, begun = inflateInit2(&z, gzip_only);
    if (begun == Z_MEM_ERROR) return FLTE_NOMEM; // flt_alloc left the sentence
    if (begun != Z_OK) return flt_fail(FLTE_INTERNAL, "optical digits", "zlib does not start");
    const int end = inflate(&z, Z_FINISH);
    const bool whole = z.avail_out == 0;
    inflateEnd(&z);
    if (end == Z_MEM_ERROR) return FLTE_NOMEM;
    return end == Z_STREAM_END && whole ? FLTE_OK : damaged("its checksum or length is wrong");
}

// One number and the character after it; false on anything else.
static bool number(const unsigned char **at, unsigned most, unsigned char after, unsigned char *out) {
    unsigned x = 0;
    const unsigned char *p = *at;
    while (*p >= '0' && *p <= '9' && x <= most) x = 10 * x + (*p++ - '0');
    if (p == *at || x > most || *p != after) return false;
    *at = p + 1;
    *out = (unsigned char)x;
    return true;
}

static bool parse_row(const unsigned char **at, unsigned char *image, unsigned char *label) {
    for (size_t i = 0; i < PIXELS; i++)
        if (!number(at, GREYS, ',', &image[i])) return false;
    return number(at, CLASSES - 1, '\n', label);
}

// Row i of the table goes to place[i].
static flt_err parse_table(const unsigned char *text, const uint32_t *place) {
    const unsigned char *at = text;
    unsigned char image[PIXELS];
    for (size_t i = 0; i < ROWS; i++) {
        if (!parse_row(&at, image, &labels[place[i]])) return damaged("a line is not 64 pixels and a label");
        flt_dataset_frame(&digits, image, &pixels[place[i] * PLACE]);
    }
    return at == text + TEXT ? FLTE_OK : damaged("it has more lines than 1797");
}

flt_err flt_optdigits_load(const flt_dataset **out) {
    unsigned char *text = NULL;
    uint32_t place[ROWS];
    if (!loaded) {
        FLTX_TRY(flt_alloc(TEXT + 1, 1, &text)); // a zero behind it stops the parser
        flt_rng_permutation(flt_rng_make(1998, "optdigits.split", 0), ROWS, place);
        flt_err err = inflate_table(text);
        if (err == FLTE_OK) err = parse_table(text, place);
        flt_free(text);
        FLTX_TRY(err);
        loaded = true;
    }
    *out = &digits;
    return FLTE_OK;
}
