// SPDX-License-Identifier: MIT
// The header of a safetensors file: read and checked on its own, without the data.
#ifndef FLTX_BASE_SAFETENSORS_H
#define FLTX_BASE_SAFETENSORS_H

#include "flt/tensorfile.h"

#include <cJSON.h>

#define FLTX_ST_METADATA "__metadata__"
enum { FLTX_ST_MAX_HEADER = 100000000 }; // bytes; the limit of the reference implementation

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tensor files are little-endian and are copied as they are");

typedef struct flt_st_entry {
    flt_tensor tensor; // data is NULL; name is borrowed from the root
    size_t begin, end; // in the data section
    size_t place;      // in the header
} flt_st_entry;

typedef struct flt_st_header {
    cJSON *root;       // owns the texts
    const cJSON *meta; // NULL: none
    size_t n;
    flt_st_entry *entry; // [n], in the order of the data
} flt_st_header;

// Texts, names, shapes, dtypes, and offsets that tile the `data_size` bytes of data. Errors: FLTE_FORMAT, FLTE_NOMEM.
flt_err flt_st_header_parse(const char *who, const unsigned char *text, size_t size, size_t data_size, flt_st_header *out);
void flt_st_header_free(flt_st_header *h); // leaves {0}

size_t flt_st_dtype_size(flt_dtype dtype);
const char *flt_st_dtype_name(flt_dtype dtype);
bool flt_st_utf8(const char *text, size_t size);
// Bytes of the tensor, and its count. False when the product of the dimensions (zeros left out) overflows.
bool flt_st_measure(flt_tensor *t, size_t *bytes);

#endif
