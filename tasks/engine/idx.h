// SPDX-License-Identifier: MIT
// IDX files: the layout of MNIST and Fashion-MNIST (Y. LeCun, C. Cortes, C. Burges, 1998).
//
// A folder holds train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, each plain
// or with .gz. A file is a big-endian magic number (0x0803: bytes in three dimensions; 0x0801: in one), the lengths as 32-bit
// numbers, and the bytes. The last tenth of the training images is the validation split.
#ifndef FLTX_IDX_H
#define FLTX_IDX_H

#include "engine/dataset.h"

// Errors, each naming the file: FLTE_IO (missing, unreadable), FLTE_FORMAT (bad magic; truncated; bytes too many; damaged gzip;
// lengths of zero or that overflow; counts or sizes that disagree; too few images), FLTE_NOMEM.
flt_err flt_idx_load(const char *who, const char *folder, flt_dataset **out);
void flt_idx_free(flt_dataset *d);

#endif
