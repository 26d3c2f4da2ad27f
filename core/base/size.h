// SPDX-License-Identifier: MIT
// Arithmetic of sizes that every folder of core shares. Private to core.
#ifndef FLTX_SIZE_H
#define FLTX_SIZE_H

#include <stddef.h>

static inline size_t flt_smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

#endif
