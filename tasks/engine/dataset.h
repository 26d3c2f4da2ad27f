// SPDX-License-Identifier: MIT
// Labelled grey images with a fixed split, read once per process and shared by every task that asks for them.
#ifndef FLTX_DATASET_H
#define FLTX_DATASET_H

#include "flt/objective.h"

typedef struct flt_dataset {
    size_t height, width;        // pixels of an image
    size_t classes;              // labels are 0 .. classes - 1
    size_t first[4];             // split s holds images first[s] .. first[s + 1] - 1
    double scale;                // pixel * scale lies in [0, 1]
    const unsigned char *pixels; // [first[3], height + 2, width + 2]: the border of zeros makes a shift an offset
    const unsigned char *labels; // [first[3]]
} flt_dataset;

static inline size_t flt_dataset_rows(const flt_dataset *d, flt_split split) {
    return d->first[split + 1] - d->first[split];
}

// `where`: "digits", the optical digits in the library, or a folder of IDX files (see idx.h). Safe from any thread. Errors of a
// folder: FLTE_IO, FLTE_FORMAT, FLTE_NOMEM, each naming the file.
flt_err flt_dataset_open(const char *who, const char *where, const flt_dataset **out);
void flt_dataset_close(const flt_dataset *d); // NULL is fine; the last user of a folder frees it

// ---- optdigits.c: the shipped table, decoded into static storage. Not thread-safe by itself: dataset.c calls it under its
// mutex.
flt_err flt_optdigits_load(const flt_dataset **out);

// Copies one image [height, width] into the middle of its place [height + 2, width + 2].
void flt_dataset_frame(const flt_dataset *d, const unsigned char *image, unsigned char *place);

#endif
