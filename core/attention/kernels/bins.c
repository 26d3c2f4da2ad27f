// SPDX-License-Identifier: MIT
// FFTNet's work on the bins of a spectrum; see engine/bins.h. In double, where no square leaves the range.
#include "attention/engine/bins.h"

#include "flt/plant.h"
#include "flt/simd.h"

static void mix(const flt_att_bins *b, flt_real *x) {
    const double eps = b->eps, back = FLTX_BUG(ENERGY_LOST) ? 1.0 : b->back, sign = FLTX_BUG(THRESHOLD_SIGN) ? -1.0 : 1.0;
    const double imaginary = FLTX_BUG(REAL_PART) ? 0.0 : 1.0;
    for (size_t k = 0; k < b->n; k++) {
        const double f = (double)b->filter[k], re = (double)x[2 * k] * f, im = imaginary * (double)x[2 * k + 1] * f;
        const double size = sqrt(re * re + im * im), kept = size + sign * (double)b->shift[k];
        const double factor = back * (kept > 0 ? kept : 0.0) / (size > eps ? size : eps);
        x[2 * k] = (flt_real)(re * factor);
        x[2 * k + 1] = (flt_real)(im * factor);
    }
}

static void mix_back(const flt_att_bins *b, double times, const flt_real *x, flt_real *g, double *dfilter, double *dshift) {
    const double eps = b->eps, back = b->back, unit = 1.0 / back, whole = back * back;
    for (size_t k = 0; k < b->n; k++) {
        const double x0 = (double)x[2 * k], x1 = (double)x[2 * k + 1], f = (double)b->filter[k];
        const double g0 = unit * (double)g[2 * k], g1 = unit * (double)g[2 * k + 1];
        const double re = x0 * f, im = x1 * f, size = sqrt(re * re + im * im), kept = size + (double)b->shift[k];
        const double low = 1.0 / (size > eps ? size : eps), open = kept > 0 ? low : 0.0, gain = kept * open;
        const double along = re * g0 + im * g1, slope = open - (size > eps ? gain * low : 0.0);
        const double bend = slope * along / (size > 0 ? size : 1.0); // along is 0 where size is
        const double dre = gain * g0 + bend * re, dim = gain * g1 + bend * im;
        dfilter[k] += times * unit * (dre * x0 + dim * x1);
        dshift[k] += times * (open * along);
        g[2 * k] = (flt_real)(whole * f * dre);
        g[2 * k + 1] = (flt_real)(whole * f * dim);
    }
}

const flt_att_bins_kernels FLTX_ISA_TABLE(flt_att_bins_kernels) = {.mix = mix, .mix_back = mix_back};
