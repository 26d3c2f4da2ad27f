// SPDX-License-Identifier: MIT
// Normals for generated minibatches.
#ifndef FLTX_NOISE_H
#define FLTX_NOISE_H

#include "flt/random.h"

// out [n] ~ N(0, 1), the fast kind. scratch [n] holds them in single precision.
void flt_noise(flt_rng r, size_t n, float *scratch, flt_real *out);

#endif
