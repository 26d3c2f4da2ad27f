// SPDX-License-Identifier: MIT
// Sealed files: safetensors whose tensors and texts are covered by a checksum in the metadata, so that a damaged checkpoint is
// noticed before anything of it is used. The checksum is the exclusive or of the CRC-32 of every tensor and every text, each with
// its name: it does not depend on their order.
#ifndef FLTX_SEALED_H
#define FLTX_SEALED_H

#include "flt/tensorfile.h"

typedef struct flt_sealed {
    flt_tensor_writer *file;
    uint32_t crc;
} flt_sealed;

// Data and texts are borrowed until flt_sealed_save. `format` is stored as the text "format".
flt_err flt_sealed_create(const char *format, flt_sealed *out);
flt_err flt_sealed_tensor(flt_sealed *s, const flt_tensor *t);
flt_err flt_sealed_text(flt_sealed *s, const char *key, const char *value);
flt_err flt_sealed_save(flt_sealed *s, const char *path); // replaces the file at once or not at all
void flt_sealed_destroy(flt_sealed *s);

// keys [n]: the texts beside the format. FLTE_FORMAT: of another format, or damaged.
flt_err flt_sealed_check(const char *path, const flt_tensors *file, const char *format, size_t n, const char *const *keys);
flt_err flt_sealed_damaged(const char *path, const char *what); // FLTE_FORMAT with what to do
// Whole numbers from 0 up, held as texts. FLTE_FORMAT.
flt_err flt_sealed_count(const char *path, const flt_tensors *file, const char *key, uint64_t *out);

#endif
