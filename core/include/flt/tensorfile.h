// SPDX-License-Identifier: MIT
// safetensors files: F32 and F64, reading and writing (format: an 8-byte little-endian header length, a JSON header, data).
#ifndef FLTX_TENSORFILE_H
#define FLTX_TENSORFILE_H

#include "flt/error.h"

FLTX_BEGIN_DECLS

typedef enum flt_dtype { FLTX_F32, FLTX_F64 } flt_dtype;
#ifdef FLTX_DOUBLE
#define FLTX_DTYPE FLTX_F64
#else
#define FLTX_DTYPE FLTX_F32
#endif

typedef struct flt_tensor {
    const char *name;
    flt_dtype dtype;
    size_t rank;               // 0: a scalar
    size_t dim[FLTX_MAX_RANK]; // slowest first
    size_t count;              // product of dim, 1 for a scalar
    const void *data;          // count values of dtype; aligned to 8 in files that we read
} flt_tensor;

// ---- reading: the whole file is held by the object; tensors and texts are borrowed from it
typedef struct flt_tensors flt_tensors;

// Errors: FLTE_IO (missing, unreadable), FLTE_FORMAT with the reason: truncated; header too long (100 MB) or not an object;
// offsets out of range, overlapping or leaving holes; sizes that overflow or disagree with the shape; duplicate names; dtypes
// other than F32 and F64; more than FLTX_MAX_RANK dimensions; numbers that are not whole and below 2^53; text that is not UTF-8.
flt_err flt_tensors_read(const char *path, flt_tensors **out);
flt_err flt_tensors_parse(const char *who, const void *bytes, size_t size, flt_tensors **out); // copies the bytes
void flt_tensors_destroy(flt_tensors *t);
size_t flt_tensors_count(const flt_tensors *t);
const flt_tensor *flt_tensors_at(const flt_tensors *t, size_t i);           // file order of the data
const flt_tensor *flt_tensors_find(const flt_tensors *t, const char *name); // NULL when absent
const char *flt_tensors_meta(const flt_tensors *t, const char *key);        // NULL when absent

// Converts to the working precision or to double. *out has room for t->count.
void flt_tensor_to_real(const flt_tensor *t, flt_real *out);
void flt_tensor_to_double(const flt_tensor *t, double *out);
// FLTE_NUMERIC naming the tensor and the first index that is NaN or infinite, or too large for the working precision.
flt_err flt_tensor_finite(const char *who, const flt_tensor *t);
// FLTE_SHAPE unless rank and dim [rank] agree; SIZE_MAX in `dim` accepts anything.
flt_err flt_tensor_expect(const char *who, const flt_tensor *t, size_t rank, const size_t *dim);

// ---- writing: collect, then write once, atomically (temporary file in the same folder, fsync, rename, fsync of the folder)
typedef struct flt_tensor_writer flt_tensor_writer;

flt_err flt_tensor_writer_create(flt_tensor_writer **out);
void flt_tensor_writer_destroy(flt_tensor_writer *w);
// Data is borrowed until flt_tensor_writer_save; tensors lie in the file in the order of these calls. Errors: FLTE_USAGE
// (duplicate or reserved name, not UTF-8), FLTE_RANGE (rank, or a size that overflows), FLTE_NOMEM.
flt_err flt_tensor_writer_add(flt_tensor_writer *w, const char *name, flt_dtype dtype, size_t rank, const size_t *dim,
                              const void *data);
flt_err flt_tensor_writer_real(flt_tensor_writer *w, const char *name, size_t rank, const size_t *dim, const flt_real *data);
// A text of the metadata; both are copied. FLTE_USAGE (twice, not UTF-8), FLTE_NOMEM.
flt_err flt_tensor_writer_meta(flt_tensor_writer *w, const char *key, const char *value);
// On failure (FLTE_IO, FLTE_NOMEM) nothing is left behind and a file that was there stays as it was.
flt_err flt_tensor_writer_save(flt_tensor_writer *w, const char *path);

// The same atomic replacement for any bytes. Links are followed, the mode of a file that was there is kept, and what is there but
// is no regular file (a device, a folder), or an SQLite database, is refused: FLTE_IO. Temporary files beside it that a killed
// process of this machine left are removed.
flt_err flt_write_atomic(const char *path, const void *bytes, size_t size);
// Whether a file that begins with these n bytes is an SQLite database; the first FLTX_DATABASE_HEAD bytes tell.
enum { FLTX_DATABASE_HEAD = 16 };
bool flt_database_head(size_t n, const char *bytes);
// Asks beforehand whether flt_write_atomic could start: tries a temporary file beside `path` and removes it. For programs that
// work for an hour before they write. Errors: FLTE_IO.
flt_err flt_write_possible(const char *path);
// A whole regular file. *bytes is freed with flt_free. Errors: FLTE_IO, FLTE_NOMEM.
flt_err flt_read_all(const char *path, unsigned char **bytes, size_t *size);

FLTX_END_DECLS

#endif
