// SPDX-License-Identifier: MIT
// The table of core/num/kernels/normal_fast.c.
#ifndef FLTX_BASE_NORMAL_FAST_H
#define FLTX_BASE_NORMAL_FAST_H

#include "flt/isa.h"

#include <stddef.h>
#include <stdint.h>

enum { NORMAL_LANES = 16, NORMAL_GROUP = 4 * NORMAL_LANES };

typedef struct normal_fast_kernels {
    // Blocks block .. block + 15 of Philox4x32-10 under (key, stream); word w of block l at words[w][l]. block: a multiple of 16.
    void (*blocks)(uint64_t key, uint64_t stream, uint64_t block, uint32_t words[4][NORMAL_LANES]);
    // Four normals from each of 16 * groups blocks: number w of block l of a group at out[16 w + l].
    void (*fill)(uint64_t key, uint64_t stream, uint64_t block, size_t groups, float *out);
} normal_fast_kernels;

FLTX_ISA_DECLARE(normal_fast_kernels);

#endif
