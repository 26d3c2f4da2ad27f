// SPDX-License-Identifier: MIT
#include "engine/encoding_sample.h"

#include <math.h>
#include <string.h>

#define PI_L 3.141592653589793238462643383279502884L

bool flt_encoding_takes(const flt_rpe_kind *kind, const char *name) {
    for (size_t i = 0; i < sizeof kind->args / sizeof *kind->args && kind->args[i].name != NULL; i++)
        if (strcmp(kind->args[i].name, name) == 0) return true;
    return false;
}

bool flt_encoding_whole(const flt_rpe_kind *kind) {
    return (kind->kind.caps & FLTX_RPE_GRID) != 0;
}

size_t flt_encoding_dimensions(const flt_rpe_kind *kind) {
    return flt_encoding_whole(kind) ? 1 : 3;
}

flt_encoding_sample flt_encoding_sample_of(const flt_rpe_kind *kind, size_t l, bool symmetric) {
    flt_encoding_sample e = {.kind = kind, .l = l, .w = {0.7, -0.4}, .mu = {0.3, -0.2, 0.1, 0.5, 0.2, -0.4}, .s2 = {0.5, 0.8}};
    e.c = 1.3, e.v = flt_encoding_whole(kind) ? 2.0 : 0.6, e.scale = 0.7, e.band = 4.0, e.slope = 0.4, e.decay = 0.8;
    e.max_distance = 12.0;
    for (size_t k = 0; k < FLTX_SAMPLE_LAGS; k++) {
        const double b = cos(0.7 * (double)k) / (1.0 + 0.3 * (double)k);
        e.lag_bias[FLTX_SAMPLE_LAGS - 1 - k] = b;
        e.lag_bias[FLTX_SAMPLE_LAGS - 1 + k] = symmetric ? b : sin(1.3 * (double)k) + b;
    }
    for (size_t k = 0; k < FLTX_SAMPLE_BUCKETS; k++) e.buckets[k] = sin(1.0 + 2.0 * (double)k);
    return e;
}

size_t flt_encoding_sample_args(const flt_encoding_sample *e, flt_attention_arg *out) {
    const flt_attention_arg all[] = {{"w", 1, {2}, e->w},
                                     {"mu", 2, {2, e->l}, e->mu},
                                     {"s2", 1, {2}, e->s2},
                                     {"c", 0, {0}, &e->c},
                                     {"v", 0, {0}, &e->v},
                                     {"scale", 0, {0}, &e->scale},
                                     {"band", 0, {0}, &e->band},
                                     {"slope", 0, {0}, &e->slope},
                                     {"decay", 0, {0}, &e->decay},
                                     {"max_distance", 0, {0}, &e->max_distance},
                                     {"lag_bias", 1, {2 * FLTX_SAMPLE_LAGS - 1}, e->lag_bias},
                                     {"buckets", 1, {FLTX_SAMPLE_BUCKETS}, e->buckets}};
    size_t n = 0;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (flt_encoding_takes(e->kind, all[i].name)) out[n++] = all[i];
    return n;
}

flt_rpe_args flt_encoding_sample_values(const flt_encoding_sample *e) {
    return (flt_rpe_args){.l = e->l,
                          .t = 2,
                          .w = e->w,
                          .mu = e->mu,
                          .s2 = e->s2,
                          .c = e->c,
                          .v = e->v,
                          .scale = e->scale,
                          .slope = e->slope,
                          .decay = e->decay,
                          .band = e->band,
                          .n = FLTX_SAMPLE_LAGS,
                          .lag_bias = e->lag_bias,
                          .n_buckets = FLTX_SAMPLE_BUCKETS,
                          .buckets = e->buckets,
                          .max_distance = e->max_distance};
}

// ---- definitions

static long double mixture(const flt_encoding_sample *e, const double *z) {
    long double sum = 0.0L;
    for (size_t t = 0; t < 2; t++) {
        long double size = 0.0L, phase = 0.0L;
        for (size_t a = 0; a < e->l; a++) {
            size += (long double)z[a] * (long double)z[a];
            phase += (long double)e->mu[t * e->l + a] * (long double)z[a];
        }
        const long double s2 = (long double)e->s2[t];
        sum += (long double)e->w[t] * powl(PI_L * s2, (long double)e->l / 2.0L) * expl(-PI_L * PI_L * s2 * size) *
               cosl(2.0L * PI_L * phase);
    }
    return sum;
}

// T5: 4 buckets a side, the first 2 exact, the others at thresholds 2 and 2 sqrt(12/2).
static long double bucket(const flt_encoding_sample *e, double z) {
    const double lag = fabs(z), second = 2.0 * sqrt(e->max_distance / 2.0);
    const size_t of = lag < 1.0 ? 0 : lag < 2.0 ? 1 : lag < second ? 2 : 3;
    return (long double)e->buckets[(z < 0.0 ? 4 : 0) + of]; // z = r_i - r_j < 0: the key lies ahead
}

static long double table(const flt_encoding_sample *e, double z) {
    const double last = FLTX_SAMPLE_LAGS - 1, ahead = fmax(-last, fmin(last, -z));
    return (long double)e->lag_bias[(size_t)(ahead + last)];
}

static bool inside_box(const flt_encoding_sample *e, const double *z) {
    for (size_t a = 0; a < e->l; a++)
        if (fabs(z[a]) > e->v) return false;
    return true;
}

long double flt_encoding_oracle(const flt_encoding_sample *e, const double *z) {
    const char *name = e->kind->kind.name;
    long double size = 0.0L;
    for (size_t a = 0; a < e->l; a++) size += (long double)z[a] * (long double)z[a];
    size = sqrtl(size);
    const long double c = (long double)e->c, t = size / (long double)e->scale;
    if (strcmp(name, "none") == 0) return 0.0L;
    if (strcmp(name, "gaussian_mixture") == 0) return mixture(e, z);
    if (strcmp(name, "gaussian") == 0) return c * expl(-t * t / 2.0L);
    if (strcmp(name, "laplace") == 0) return c * expl(-t);
    if (strcmp(name, "matern32") == 0) return c * (1.0L + sqrtl(3.0L) * t) * expl(-sqrtl(3.0L) * t);
    if (strcmp(name, "matern52") == 0) return c * (1.0L + sqrtl(5.0L) * t + 5.0L / 3.0L * t * t) * expl(-sqrtl(5.0L) * t);
    if (strcmp(name, "cauchy") == 0) return c / (1.0L + t * t);
    if (strcmp(name, "box") == 0) return inside_box(e, z) ? c : 0.0L;
    if (strcmp(name, "ball") == 0 || strcmp(name, "window") == 0) return size <= (long double)e->v ? c : 0.0L;
    if (strcmp(name, "alibi") == 0) return -(long double)e->slope * size;
    if (strcmp(name, "exponential") == 0) return size * logl((long double)e->decay);
    if (strcmp(name, "lag_table") == 0) return table(e, z[0]);
    if (strcmp(name, "t5_buckets") == 0) return bucket(e, z[0]);
    return NAN;
}
