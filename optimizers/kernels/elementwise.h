// SPDX-License-Identifier: MIT
// Element-wise update loops of the hand-designed optimizers, one table per instruction set.
#ifndef FLTX_KERNELS_ELEMENTWISE_H
#define FLTX_KERNELS_ELEMENTWISE_H

#include "flt/isa.h"
#include "flt/real.h"

typedef struct adam_rates {
    flt_real keep_m, keep_v;   // beta1, beta2
    flt_real write_m, write_v; // 1 - beta, rounded once from double
    flt_real step;             // lr / (1 - beta1^t)
    flt_real scale;            // 1 / sqrt(1 - beta2^t)
    flt_real eps, decay;
} adam_rates;

// g [n] is read; p [n], m, v, buf [n] are updated in place. No two of them overlap.
typedef struct flt_elementwise {
    void (*sgd)(size_t n, flt_real lr, flt_real decay, const flt_real *g, flt_real *p);
    void (*momentum)(size_t n, flt_real lr, flt_real mu, flt_real decay, const flt_real *g, flt_real *p, flt_real *buf);
    void (*adam)(size_t n, const adam_rates *r, const flt_real *g, flt_real *p, flt_real *m, flt_real *v);
} flt_elementwise;

FLTX_ISA_DECLARE(flt_elementwise);

#endif
