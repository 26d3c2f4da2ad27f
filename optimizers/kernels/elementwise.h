// SPDX-License-Identifier: MIT
// Element-wise update loops of the hand-designed optimizers, one table per instruction set.
#ifndef FLTX_KERNELS_ELEMENTWISE_H
#define FLTX_KERNELS_ELEMENTWISE_H

#include "flt/isa.h"
#include "flt/real.h"

// d = g + decay p,  m = keep_m m + write_m d,  v = keep_v v + write_v d^2,
// p = shrink p - (step m + step_g d) / (sqrt(v) scale + eps)
typedef struct adam_rates {
    flt_real keep_m, keep_v;   // beta1, beta2
    flt_real write_m, write_v; // 1 - beta, rounded once from double
    flt_real step, step_g;     // Adam: lr / (1 - beta1^t), 0
    flt_real scale, eps;       // Adam: 1 / sqrt(1 - beta2^t)
    flt_real shrink, decay;    // Adam: 1; decoupled weight decay makes it 1 - lr decay
} adam_rates;

// g [n] is read; p [n], m, v, buf [n] are updated in place. No two of them overlap.
typedef struct flt_elementwise {
    void (*sgd)(size_t n, flt_real lr, flt_real decay, const flt_real *g, flt_real *p);
    void (*momentum)(size_t n, flt_real lr, flt_real mu, flt_real decay, const flt_real *g, flt_real *p, flt_real *buf);
    void (*nesterov)(size_t n, flt_real lr, flt_real mu, flt_real decay, const flt_real *g, flt_real *p, flt_real *buf);
    void (*adam)(size_t n, const adam_rates *r, const flt_real *g, flt_real *p, flt_real *m, flt_real *v);
    // buf = keep_m buf + d / (sqrt(v) + eps), p -= step buf
    void (*rmsprop)(size_t n, const adam_rates *r, const flt_real *g, flt_real *p, flt_real *v, flt_real *buf);
    // p = shrink p - step sign(keep_m m + write_m g), m = keep_v m + write_v g
    void (*lion)(size_t n, const adam_rates *r, const flt_real *g, flt_real *p, flt_real *m);
} flt_elementwise;

FLTX_ISA_DECLARE(flt_elementwise);

#endif
