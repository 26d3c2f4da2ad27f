// SPDX-License-Identifier: MIT
// The vectorised normals: picks the kernel and hands out whole groups, and the last one through a buffer.
#include "base/normal_fast.h"
#include "flt/random.h"

#include <string.h>

void flt_rng_normal_fast(flt_rng r, uint64_t index, size_t n, float *out) {
    const normal_fast_kernels *k = FLTX_ISA_PICK(normal_fast_kernels);
    const uint64_t key = r.seed ^ 0xbb67ae8584caa73bu; // the digits of sqrt 3: not the blocks that the other forms use
    const uint64_t block = index / 4;
    const size_t groups = n / NORMAL_GROUP, rest = n % NORMAL_GROUP;
    k->fill(key, r.stream, block, groups, out);
    if (rest == 0) return;
    float last[NORMAL_GROUP];
    k->fill(key, r.stream, block + NORMAL_LANES * groups, 1, last);
    memcpy(out + NORMAL_GROUP * groups, last, rest * sizeof *last);
}
