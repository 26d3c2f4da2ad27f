// SPDX-License-Identifier: MIT
#include "engine/sealed.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

static const char checksum_key[] = "crc32", format_key[] = "format";

static size_t tensor_bytes(const flt_tensor *t) {
    return t->count * (t->dtype == FLTX_F64 ? sizeof(double) : sizeof(float));
}

static uint32_t crc_of(const char *name, const void *data, size_t bytes) {
    const uLong crc = crc32_z(crc32_z(0, NULL, 0), (const Bytef *)name, strlen(name) + 1);
    return (uint32_t)crc32_z(crc, data, bytes);
}

// ---- writing

flt_err flt_sealed_create(const char *format, flt_sealed *out) {
    *out = (flt_sealed){0};
    FLTX_TRY(flt_tensor_writer_create(&out->file));
    return flt_sealed_text(out, format_key, format);
}

flt_err flt_sealed_tensor(flt_sealed *s, const flt_tensor *t) {
    s->crc ^= crc_of(t->name, t->data, tensor_bytes(t));
    return flt_tensor_writer_add(s->file, t->name, t->dtype, t->rank, t->dim, t->data);
}

flt_err flt_sealed_text(flt_sealed *s, const char *key, const char *value) {
    s->crc ^= crc_of(key, value, strlen(value));
    return flt_tensor_writer_meta(s->file, key, value);
}

flt_err flt_sealed_save(flt_sealed *s, const char *path) {
    char hex[16];
    snprintf(hex, sizeof hex, "%08" PRIx32, s->crc);
    FLTX_TRY(flt_tensor_writer_meta(s->file, checksum_key, hex));
    return flt_tensor_writer_save(s->file, path);
}

void flt_sealed_destroy(flt_sealed *s) {
    flt_tensor_writer_destroy(s->file);
    *s = (flt_sealed){0};
}

// ---- reading

flt_err flt_sealed_damaged(const char *path, const char *what) {
    return flt_fail(FLTE_FORMAT, path, "%s; resume from another checkpoint, or start without resuming", what);
}

flt_err flt_sealed_check(const char *path, const flt_tensors *file, const char *format, size_t n, const char *const *keys) {
    const char *given = flt_tensors_meta(file, format_key), *there = flt_tensors_meta(file, checksum_key);
    char hex[16];
    if (given == NULL || strcmp(given, format) != 0)
        return flt_fail(FLTE_FORMAT, path, "this is not a checkpoint of this kind; '%s' is wanted", format);
    uint32_t crc = crc_of(format_key, given, strlen(given));
    for (size_t i = 0; i < flt_tensors_count(file); i++) {
        const flt_tensor *x = flt_tensors_at(file, i);
        crc ^= crc_of(x->name, x->data, tensor_bytes(x));
    }
    for (size_t i = 0; i < n; i++) {
        const char *text = flt_tensors_meta(file, keys[i]);
        if (text != NULL) crc ^= crc_of(keys[i], text, strlen(text));
    }
    snprintf(hex, sizeof hex, "%08" PRIx32, crc);
    if (there == NULL || strcmp(there, hex) != 0)
        return flt_sealed_damaged(path, "the checkpoint is damaged: its checksum differs");
    return FLTE_OK;
}

flt_err flt_sealed_count(const char *path, const flt_tensors *file, const char *key, uint64_t *out) {
    const char *text = flt_tensors_meta(file, key);
    char *end = NULL;
    if (text == NULL) return flt_sealed_damaged(path, "the checkpoint lacks its counters");
    *out = strtoull(text, &end, 10);
    if (end == text || *end != '\0') return flt_sealed_damaged(path, "a counter of the checkpoint is not a number");
    return FLTE_OK;
}
