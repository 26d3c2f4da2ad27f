// SPDX-License-Identifier: MIT
// Reading tensor files: the header is checked first, then each tensor is copied to an aligned place.
#include "base/safetensors.h"
#include "flt/memory.h"

#include <stdlib.h>
#include <string.h>

enum { LENGTH_BYTES = 8 };

struct flt_tensors {
    flt_st_header header;
    flt_tensor *tensor;         // [n], in the order of the data
    const flt_tensor **by_name; // [n], sorted
    unsigned char *data;        // the tensors, each aligned to FLTX_ALIGN
};

// ---- life

static int by_name(const void *a, const void *b) {
    const flt_tensor *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static size_t padded(const flt_st_entry *e) {
    return (e->end - e->begin + FLTX_ALIGN - 1) / FLTX_ALIGN * FLTX_ALIGN;
}

static flt_err copy_tensors(flt_tensors *t, const unsigned char *data) {
    const flt_st_header *h = &t->header;
    size_t total = 0;
    for (size_t i = 0; i < h->n; i++) total += padded(&h->entry[i]); // at most the file and 64 bytes an entry
    FLTX_TRY(flt_alloc(total, 1, &t->data));
    FLTX_TRY(flt_alloc(h->n, sizeof *t->tensor, &t->tensor));
    FLTX_TRY(flt_alloc(h->n, sizeof *t->by_name, &t->by_name));
    unsigned char *place = t->data;
    for (size_t i = 0; i < h->n; i++) {
        const flt_st_entry *e = &h->entry[i];
        if (e->end > e->begin) memcpy(place, data + e->begin, e->end - e->begin);
        t->tensor[i] = e->tensor;
        t->tensor[i].data = place;
        t->by_name[i] = &t->tensor[i];
        place += padded(e);
    }
    qsort(t->by_name, h->n, sizeof *t->by_name, by_name);
    return FLTE_OK;
}

// Length of the header, when the file can hold it.
static flt_err header_length(const char *who, const unsigned char *bytes, size_t size, size_t *out) {
    uint64_t n = 0;
    if (size < LENGTH_BYTES) return flt_fail(FLTE_FORMAT, who, "truncated: %zu bytes are too few for a tensor file", size);
    for (int i = 0; i < LENGTH_BYTES; i++) n |= (uint64_t)bytes[i] << 8 * i;
    if (n > FLTX_ST_MAX_HEADER)
        return flt_fail(FLTE_FORMAT, who, "its header would have %llu bytes; at most %d are allowed: not a tensor file?",
                        (unsigned long long)n, FLTX_ST_MAX_HEADER);
    if (n > size - LENGTH_BYTES)
        return flt_fail(FLTE_FORMAT, who, "truncated: a header of %llu bytes in a file of %zu", (unsigned long long)n, size);
    *out = (size_t)n;
    return FLTE_OK;
}

flt_err flt_tensors_parse(const char *who, const void *bytes, size_t size, flt_tensors **out) {
    FLTX_GIVEN(who, out);
    if (size > 0) FLTX_GIVEN(bytes);
    const unsigned char *file = bytes;
    flt_tensors *t = NULL;
    size_t length = 0;
    flt_err err = FLTE_OK;
    *out = NULL;
    FLTX_TRY(header_length(who, file, size, &length));
    FLTX_TRY(flt_alloc(1, sizeof *t, &t));
    const size_t start = LENGTH_BYTES + length;
    FLTX_GO(err, fail, flt_st_header_parse(who, file + LENGTH_BYTES, length, size - start, &t->header));
    FLTX_GO(err, fail, copy_tensors(t, file + start));
    *out = t;
    return FLTE_OK;
fail:
    flt_tensors_destroy(t);
    return err;
}

flt_err flt_tensors_read(const char *path, flt_tensors **out) {
    FLTX_GIVEN(path, out);
    unsigned char *bytes = NULL;
    size_t size = 0;
    *out = NULL;
    FLTX_TRY(flt_read_all(path, &bytes, &size));
    const flt_err err = flt_tensors_parse(path, bytes, size, out);
    flt_free(bytes);
    return err;
}

void flt_tensors_destroy(flt_tensors *t) {
    if (t == NULL) return;
    flt_st_header_free(&t->header);
    flt_free(t->tensor);
    flt_free(t->by_name);
    flt_free(t->data);
    flt_free(t);
}

// ---- access

size_t flt_tensors_count(const flt_tensors *t) {
    return t->header.n;
}

const flt_tensor *flt_tensors_at(const flt_tensors *t, size_t i) {
    return i < t->header.n ? &t->tensor[i] : NULL;
}

const flt_tensor *flt_tensors_find(const flt_tensors *t, const char *name) {
    const flt_tensor wanted = {.name = name}, *key = &wanted;
    const flt_tensor **found = bsearch(&key, t->by_name, t->header.n, sizeof *t->by_name, by_name);
    return found == NULL ? NULL : *found;
}

const char *flt_tensors_meta(const flt_tensors *t, const char *key) {
    if (t->header.meta == NULL) return NULL;
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(t->header.meta, key));
}
