// SPDX-License-Identifier: MIT
// Reading texts. Of the system's licences one version of each is taken (the versions of one licence share most of their text),
// and of the paragraphs that several share, the first.
#include "engine/text.h"
#include "flt/memory.h"
#include "flt/random.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char folder[] = "/usr/share/common-licenses";
static const char *const licences[] = {"Apache-2.0", "Artistic", "BSD", "CC0-1.0", "GFDL-1.3", "GPL-3", "LGPL-2.1", "MPL-2.0"};
enum { LICENCES = sizeof licences / sizeof *licences, PARAGRAPHS = 4096, SPLITS = 3 };

typedef struct reader {
    const char *who;
    size_t n;
    unsigned char *bytes;
    size_t pieces, end[LICENCES]; // text i ends at end[i]
    size_t paragraphs;
    uint64_t seen[PARAGRAPHS];
} reader;

// ---- files

static flt_err no_file(const reader *r, const char *path, const char *why) {
    return flt_fail(FLTE_IO, r->who, "%s: %s; text is 'licences' (the texts in %s) or a file", path, why, folder);
}

static flt_err append_stream(reader *r, const char *path, FILE *f) {
    struct stat facts;
    unsigned char *grown = NULL;
    if (fstat(fileno(f), &facts) != 0) return no_file(r, path, strerror(errno));
    if (!S_ISREG(facts.st_mode)) return no_file(r, path, "not a regular file");
    const size_t size = (size_t)facts.st_size;
    FLTX_TRY(flt_alloc(r->n + size + 1, 1, &grown));
    if (r->n > 0) memcpy(grown, r->bytes, r->n);
    flt_free(r->bytes);
    r->bytes = grown;
    if (fread(grown + r->n, 1, size, f) != size) return no_file(r, path, "it became shorter, or reading failed");
    r->n += size;
    return FLTE_OK;
}

static flt_err append_file(reader *r, const char *path) {
    FILE *f = fopen(path, "rb");
    if (f == NULL) return no_file(r, path, strerror(errno));
    const flt_err err = append_stream(r, path, f);
    fclose(f);
    return err;
}

// ---- paragraphs

// FNV-1a of all but white space: the same words broken into other lines are the same paragraph.
static uint64_t fingerprint(const unsigned char *p, size_t n) {
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++)
        if (p[i] > ' ') h = (h ^ p[i]) * 0x100000001b3u;
    return h;
}

static bool is_new(reader *r, uint64_t h) {
    for (size_t i = 0; i < r->paragraphs; i++)
        if (r->seen[i] == h) return false;
    if (r->paragraphs < PARAGRAPHS) r->seen[r->paragraphs++] = h;
    return true;
}

// Up to and with the empty line that ends it.
static size_t paragraph(const unsigned char *p, size_t n) {
    for (size_t i = 0; i + 1 < n; i++)
        if (p[i] == '\n' && p[i + 1] == '\n') return i + 2;
    return n;
}

static void drop_repeats(reader *r, size_t from) {
    size_t to = from;
    for (size_t at = from; at < r->n;) {
        const size_t length = paragraph(r->bytes + at, r->n - at);
        if (is_new(r, fingerprint(r->bytes + at, length))) {
            memmove(r->bytes + to, r->bytes + at, length);
            to += length;
        }
        at += length;
    }
    r->n = to;
}

static flt_err read_licences(reader *r) {
    char path[64];
    for (size_t i = 0; i < LICENCES; i++) {
        const size_t from = r->n;
        snprintf(path, sizeof path, "%s/%s", folder, licences[i]);
        FLTX_TRY(append_file(r, path));
        drop_repeats(r, from);
        r->end[r->pieces++] = r->n;
    }
    return FLTE_OK;
}

static flt_err read_one(reader *r, const char *path) {
    FLTX_TRY(append_file(r, path));
    r->end[r->pieces++] = r->n;
    return FLTE_OK;
}

// ---- symbols

static void number_bytes(const reader *r, flt_text *out, unsigned char *code) {
    bool occurs[256] = {0};
    for (size_t i = 0; i < r->n; i++) occurs[r->bytes[i]] = true;
    for (size_t b = 0; b < 256; b++)
        if (occurs[b]) code[b] = (unsigned char)out->symbols++;
}

static void cut(const reader *r, flt_text *out) {
    unsigned char code[256];
    size_t at = 0;
    number_bytes(r, out, code);
    for (size_t s = 0; s < SPLITS; s++) {
        for (size_t i = 0, begin = 0; i < r->pieces; begin = r->end[i++]) {
            const size_t n = r->end[i] - begin, border[] = {0, n / 10 * 8, n / 10 * 9, n};
            for (size_t k = border[s]; k < border[s + 1]; k++) out->symbol[at++] = code[r->bytes[begin + k]];
        }
        out->first[s + 1] = at;
    }
}

static flt_err check(const reader *r, const char *where, size_t least, const flt_text *t) {
    for (size_t s = 0; s < SPLITS; s++)
        if (t->first[s + 1] - t->first[s] < least)
            return flt_fail(FLTE_RANGE, r->who, "the text '%s' has %zu bytes; a tenth of it must hold %zu", where, r->n, least);
    return FLTE_OK;
}

flt_err flt_text_open(const char *who, const char *where, size_t least, flt_text *out) {
    reader *r = NULL;
    flt_err err = FLTE_OK;
    *out = (flt_text){0};
    FLTX_TRY(flt_alloc(1, sizeof *r, &r));
    r->who = who;
    FLTX_GO(err, done, strcmp(where, "licences") == 0 ? read_licences(r) : read_one(r, where));
    FLTX_GO(err, done, flt_alloc(r->n + 1, 1, &out->symbol));
    cut(r, out);
    FLTX_GO(err, done, check(r, where, least, out));
done:
    flt_free(r->bytes);
    flt_free(r);
    return err;
}

void flt_text_close(flt_text *t) {
    flt_free(t->symbol);
    *t = (flt_text){0};
}

// ---- windows

size_t flt_text_random(const flt_text *t, flt_batch which, size_t row, size_t length) {
    const size_t first = t->first[which.split], n = t->first[which.split + 1] - first;
    const flt_rng r = flt_rng_child(flt_rng_make(which.seed, "bytes", (uint64_t)which.split), "step", which.step);
    return first + (size_t)flt_rng_below(r, row, n - length);
}

size_t flt_text_windows(const flt_text *t, flt_split split, size_t length) {
    return (t->first[split + 1] - t->first[split] - 1) / length;
}

size_t flt_text_window(const flt_text *t, flt_split split, size_t window, size_t length) {
    return t->first[split] + window * length;
}
