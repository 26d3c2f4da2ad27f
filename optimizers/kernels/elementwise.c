// SPDX-License-Identifier: MIT
// One pass over memory per step: loops that the compiler turns into vectors.
#include "kernels/elementwise.h"

#ifdef FLTX_DOUBLE
#define SQRT __builtin_sqrt
#else
#define SQRT __builtin_sqrtf
#endif

static void sgd(size_t n, flt_real lr, flt_real decay, const flt_real *restrict g, flt_real *restrict p) {
    for (size_t i = 0; i < n; i++) p[i] -= lr * (g[i] + decay * p[i]);
}

static void momentum(size_t n, flt_real lr, flt_real mu, flt_real decay, const flt_real *restrict g, flt_real *restrict p,
                     flt_real *restrict buf) {
    for (size_t i = 0; i < n; i++) {
        buf[i] = mu * buf[i] + (g[i] + decay * p[i]);
        p[i] -= lr * buf[i];
    }
}

static void nesterov(size_t n, flt_real lr, flt_real mu, flt_real decay, const flt_real *restrict g, flt_real *restrict p,
                     flt_real *restrict buf) {
    for (size_t i = 0; i < n; i++) {
        const flt_real d = g[i] + decay * p[i];
        buf[i] = mu * buf[i] + d;
        p[i] -= lr * (d + mu * buf[i]);
    }
}

static void adam(size_t n, const adam_rates *rates, const flt_real *restrict g, flt_real *restrict p, flt_real *restrict m,
                 flt_real *restrict v) {
    const adam_rates r = *rates; // in registers: stores through p, m, v cannot touch it
    for (size_t i = 0; i < n; i++) {
        const flt_real d = g[i] + r.decay * p[i];
        m[i] = r.keep_m * m[i] + r.write_m * d;
        v[i] = r.keep_v * v[i] + r.write_v * d * d;
        p[i] = r.shrink * p[i] - (r.step * m[i] + r.step_g * d) / (SQRT(v[i]) * r.scale + r.eps);
    }
}

static void rmsprop(size_t n, const adam_rates *rates, const flt_real *restrict g, flt_real *restrict p, flt_real *restrict v,
                    flt_real *restrict buf) {
    const adam_rates r = *rates;
    for (size_t i = 0; i < n; i++) {
        const flt_real d = g[i] + r.decay * p[i];
        v[i] = r.keep_v * v[i] + r.write_v * d * d;
        buf[i] = r.keep_m * buf[i] + d / (SQRT(v[i]) + r.eps);
        p[i] -= r.step * buf[i];
    }
}

static void lion(size_t n, const adam_rates *rates, const flt_real *restrict g, flt_real *restrict p, flt_real *restrict m) {
    const adam_rates r = *rates;
    for (size_t i = 0; i < n; i++) {
        const flt_real u = r.keep_m * m[i] + r.write_m * g[i];
        p[i] = r.shrink * p[i] - (u > 0 ? r.step : u < 0 ? -r.step : 0);
        m[i] = r.keep_v * m[i] + r.write_v * g[i];
    }
}

const flt_elementwise FLTX_ISA_TABLE(flt_elementwise) = {
    .sgd = sgd, .momentum = momentum, .nesterov = nesterov, .adam = adam, .rmsprop = rmsprop, .lion = lion};
