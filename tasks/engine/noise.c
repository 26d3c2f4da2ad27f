// SPDX-License-Identifier: MIT
// Fast normals in the working precision.
#include "engine/noise.h"

void flt_noise(flt_rng r, size_t n, float *scratch, flt_real *out) {
    flt_rng_normal_fast(r, 0, n, scratch);
    for (size_t i = 0; i < n; i++) out[i] = (flt_real)scratch[i];
}
