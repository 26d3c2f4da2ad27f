// SPDX-License-Identifier: MIT
// FFTNet's work on the bins of a spectrum between two transforms, once per instruction set. Private to core/attention.
//
//     z = filter x,   y = back max(|z| + shift, 0) / max(|z|, eps) z        x, y: transforms, real and imaginary part in pairs;
//     back = sqrt N makes of what is transformed back the orthonormal transform, filter holds the other 1 / sqrt N
#ifndef FLTX_ATTENTION_BINS_H
#define FLTX_ATTENTION_BINS_H

#include "flt/isa.h"
#include "flt/real.h"

typedef struct flt_att_bins { // n bins
    size_t n;
    double back, eps;
    const flt_real *filter, *shift; // [n]
} flt_att_bins;

typedef struct flt_att_bins_kernels {
    // x [n, 2] becomes y
    void (*mix)(const flt_att_bins *b, flt_real *x);
    // g [n, 2], the transform of the output's gradient, becomes that of the input's; dfilter (of filter sqrt N), dshift [n] +=
    // `times` what they get
    void (*mix_back)(const flt_att_bins *b, double times, const flt_real *x, flt_real *g, double *dfilter, double *dshift);
} flt_att_bins_kernels;

FLTX_ISA_DECLARE(flt_att_bins_kernels);

#endif
