// SPDX-License-Identifier: MIT
// Writing tensor files: tensors and texts are collected, then the whole file is laid out in memory and put in place at once.
// The same calls give the same bytes.
#include "base/safetensors.h"
#include "flt/memory.h"

#include <stdio.h>
#include <string.h>

enum { LENGTH_BYTES = 8, FIRST_ROOM = 16 };
static const char WHO[] = "tensor file";

typedef struct text_pair {
    char *key, *value;
} text_pair;

struct flt_tensor_writer {
    size_t n, room, n_meta, meta_room;
    flt_tensor *tensor; // [room]; names are ours, data is borrowed
    text_pair *meta;    // [meta_room]
};

// ---- life

flt_err flt_tensor_writer_create(flt_tensor_writer **out) {
    FLTX_GIVEN(out);
    return flt_alloc(1, sizeof **out, out);
}

static void free_name(const char *name) {
    char *ours = NULL;
    memcpy(&ours, &name, sizeof ours); // made by flt_strdup, const only for readers
    flt_free(ours);
}

void flt_tensor_writer_destroy(flt_tensor_writer *w) {
    if (w == NULL) return;
    for (size_t i = 0; i < w->n; i++) free_name(w->tensor[i].name);
    for (size_t i = 0; i < w->n_meta; i++) {
        flt_free(w->meta[i].key);
        flt_free(w->meta[i].value);
    }
    flt_free(w->tensor);
    flt_free(w->meta);
    flt_free(w);
}

// ---- collecting

// Room for one more element in *array (a T **), which holds n of them.
static flt_err grow(void *array, size_t n, size_t *room, size_t size) {
    void *old = NULL, *bigger = NULL;
    if (n < *room) return FLTE_OK;
    const size_t wanted = *room == 0 ? FIRST_ROOM : 2 * *room;
    FLTX_TRY(flt_alloc(wanted, size, &bigger));
    memcpy(&old, array, sizeof old);
    if (n > 0) memcpy(bigger, old, n * size);
    memcpy(array, &bigger, sizeof bigger);
    flt_free(old);
    *room = wanted;
    return FLTE_OK;
}

static flt_err check_name(const flt_tensor_writer *w, const char *name) {
    if (!flt_st_utf8(name, strlen(name))) return flt_fail(FLTE_USAGE, WHO, "the name '%.80s' is not UTF-8", name);
    if (strcmp(name, FLTX_ST_METADATA) == 0) return flt_fail(FLTE_USAGE, WHO, "the name " FLTX_ST_METADATA " is reserved");
    for (size_t i = 0; i < w->n; i++)
        if (strcmp(w->tensor[i].name, name) == 0) return flt_fail(FLTE_USAGE, WHO, "the name '%.80s' is given twice", name);
    return FLTE_OK;
}

flt_err flt_tensor_writer_add(flt_tensor_writer *w, const char *name, flt_dtype dtype, size_t rank, const size_t *dim,
                              const void *data) {
    FLTX_GIVEN(w, name);
    if (rank > 0) FLTX_GIVEN(dim);
    flt_tensor t = {.dtype = dtype, .rank = rank, .data = data};
    char *copy = NULL;
    size_t bytes = 0;
    FLTX_TRY(check_name(w, name));
    if (rank > FLTX_MAX_RANK)
        return flt_fail(FLTE_RANGE, WHO, "tensor '%.80s' has rank %zu; at most %d is allowed", name, rank, FLTX_MAX_RANK);
    bool fits = true;
    for (size_t i = 0; i < rank; i++) {
        t.dim[i] = dim[i];
        fits = fits && dim[i] < (size_t)1 << 53; // what a reader accepts
    }
    if (!fits || !flt_st_measure(&t, &bytes)) return flt_fail(FLTE_RANGE, WHO, "the size of tensor '%.80s' overflows", name);
    if (bytes > 0) FLTX_GIVEN(data);
    FLTX_TRY(grow(&w->tensor, w->n, &w->room, sizeof *w->tensor));
    FLTX_TRY(flt_strdup(name, &copy));
    t.name = copy;
    w->tensor[w->n++] = t;
    return FLTE_OK;
}

flt_err flt_tensor_writer_real(flt_tensor_writer *w, const char *name, size_t rank, const size_t *dim, const flt_real *data) {
    return flt_tensor_writer_add(w, name, FLTX_DTYPE, rank, dim, data);
}

flt_err flt_tensor_writer_meta(flt_tensor_writer *w, const char *key, const char *value) {
    FLTX_GIVEN(w, key, value);
    text_pair p = {NULL, NULL};
    if (!flt_st_utf8(key, strlen(key)) || !flt_st_utf8(value, strlen(value)))
        return flt_fail(FLTE_USAGE, WHO, "the metadata '%.80s' is not UTF-8", key);
    for (size_t i = 0; i < w->n_meta; i++)
        if (strcmp(w->meta[i].key, key) == 0) return flt_fail(FLTE_USAGE, WHO, "the metadata '%.80s' is given twice", key);
    FLTX_TRY(grow(&w->meta, w->n_meta, &w->meta_room, sizeof *w->meta));
    FLTX_TRY(flt_strdup(key, &p.key));
    const flt_err err = flt_strdup(value, &p.value);
    if (err != FLTE_OK) {
        flt_free(p.key);
        return err;
    }
    w->meta[w->n_meta++] = p;
    return FLTE_OK;
}

// ---- the header

// Exact digits: cJSON would print large numbers with an exponent.
static bool add_whole(cJSON *list, size_t x) {
    char text[32];
    snprintf(text, sizeof text, "%zu", x);
    return cJSON_AddItemToArray(list, cJSON_CreateRaw(text));
}

static bool add_tensor(cJSON *root, const flt_tensor *t, size_t begin) {
    cJSON *entry = cJSON_AddObjectToObject(root, t->name);
    bool fine = cJSON_AddStringToObject(entry, "dtype", flt_st_dtype_name(t->dtype)) != NULL;
    cJSON *shape = cJSON_AddArrayToObject(entry, "shape"), *offsets = cJSON_AddArrayToObject(entry, "data_offsets");
    for (size_t i = 0; i < t->rank; i++) fine = fine && add_whole(shape, t->dim[i]);
    fine = fine && add_whole(offsets, begin);
    return fine && add_whole(offsets, begin + t->count * flt_st_dtype_size(t->dtype));
}

static bool fill_tree(const flt_tensor_writer *w, cJSON *root) {
    size_t begin = 0;
    cJSON *meta = w->n_meta == 0 ? NULL : cJSON_AddObjectToObject(root, FLTX_ST_METADATA);
    for (size_t i = 0; i < w->n_meta; i++)
        if (cJSON_AddStringToObject(meta, w->meta[i].key, w->meta[i].value) == NULL) return false;
    for (size_t i = 0; i < w->n; i++) {
        if (!add_tensor(root, &w->tensor[i], begin)) return false;
        begin += w->tensor[i].count * flt_st_dtype_size(w->tensor[i].dtype);
    }
    return true;
}

// The text, freed with cJSON_free; NULL when memory ran out.
static char *header_text(const flt_tensor_writer *w) {
    cJSON *root = cJSON_CreateObject();
    char *text = root != NULL && fill_tree(w, root) ? cJSON_PrintUnformatted(root) : NULL;
    cJSON_Delete(root);
    return text;
}

// ---- the file

// Bytes of the whole file, with the header padded so that data begins at a multiple of 8.
static flt_err measure(const flt_tensor_writer *w, size_t text, size_t *padded, size_t *total) {
    *padded = (text + 7) / 8 * 8;
    *total = LENGTH_BYTES + *padded;
    if (*padded > FLTX_ST_MAX_HEADER)
        return flt_fail(FLTE_RANGE, WHO, "a header of %zu bytes; at most %d are allowed", *padded, FLTX_ST_MAX_HEADER);
    for (size_t i = 0; i < w->n; i++) {
        const size_t bytes = w->tensor[i].count * flt_st_dtype_size(w->tensor[i].dtype);
        if (__builtin_add_overflow(*total, bytes, total)) return flt_fail(FLTE_RANGE, WHO, "the size of the file overflows");
    }
    return FLTE_OK;
}

static void lay_out(const flt_tensor_writer *w, const char *text, size_t padded, unsigned char *out) {
    const size_t n = strlen(text);
    for (int i = 0; i < LENGTH_BYTES; i++) out[i] = (unsigned char)(padded >> 8 * i);
    memcpy(out + LENGTH_BYTES, text, n);
    memset(out + LENGTH_BYTES + n, ' ', padded - n);
    out += LENGTH_BYTES + padded;
    for (size_t i = 0; i < w->n; i++) {
        const size_t bytes = w->tensor[i].count * flt_st_dtype_size(w->tensor[i].dtype);
        if (bytes > 0) memcpy(out, w->tensor[i].data, bytes);
        out += bytes;
    }
}

flt_err flt_tensor_writer_save(flt_tensor_writer *w, const char *path) {
    FLTX_GIVEN(w, path);
    size_t padded = 0, total = 0;
    unsigned char *file = NULL;
    flt_err err = FLTE_OK;
    char *text = header_text(w);
    if (text == NULL) return flt_fail(FLTE_NOMEM, path, "no memory for its header");
    FLTX_GO(err, done, measure(w, strlen(text), &padded, &total));
    FLTX_GO(err, done, flt_alloc(total, 1, &file));
    lay_out(w, text, padded, file);
    err = flt_write_atomic(path, file, total);
done:
    flt_free(file);
    cJSON_free(text);
    return err;
}
