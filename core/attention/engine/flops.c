// SPDX-License-Identifier: MIT
// What attention computes, as a number: multiplications and additions of one pass over B H heads, in the products and transforms
// of the method alone (exponentials, softmax and norms are not counted), whatever the implementation adds. A row a mechanism:
//     exact                          2 N^2 (d + dv), half of it when causal; backward 2 N^2 (3 d + 2 dv)
//     linear                         4 N d dv: no projection, d features
//     performer, flt                 4 N m (d + dv): projections of q and k; sums over keys, read by queries
//     spe_sine                       8 N d K R for the codes, then as performer with R in place of d
//     spe_conv                       4 N d taps R for the codes, likewise
//     nprf                           4 N m d, and the lesser of 2 N^2 (m + dv), half when causal, and of m (dv + 1) products with
//     a
//                                    Toeplitz matrix, 10 N log2 2N each, times log2 N / 2 when causal
//     taylor                         4 N F (dv + 1) + 2 nodes^2 F (dv + 1)
//     fourier                        2.5 N log2 N (2 d + 2 dv) + 2 K^2 (d + dv)
//     fftnet                         5 N log2 N d
// Backward: of performer and flt 8 N m d + 10 N m dv (features and state again; five products with dv); otherwise a product costs
// three times its forward (once again, and one for each side), a transform twice (again, and back).
#include "flt/attention.h"

#include <math.h>
#include <string.h>

typedef struct sizes { // doubles: products of sizes beyond 64 bits are no concern
    double N, d, dv, m;
    bool causal, backward;
    const flt_params *params;
} sizes;

static double pairs(const sizes *s) {
    return s->causal ? s->N * (s->N + 1.0) / 2.0 : s->N * s->N;
}

static double times(const sizes *s) {
    return s->backward ? 3.0 : 1.0;
}

static double exact(const sizes *s) {
    return 2.0 * pairs(s) * (s->backward ? 3.0 * s->d + 2.0 * s->dv : s->d + s->dv);
}

// Sums of m features of rows of width d.
static double kernel(const sizes *s, double width) {
    return s->N * s->m * (s->backward ? 8.0 * width + 10.0 * s->dv : 4.0 * (width + s->dv));
}

static double linear(const sizes *s) {
    return times(s) * 4.0 * s->N * s->d * s->dv;
}

static double performer(const sizes *s) {
    return kernel(s, s->d);
}

static double spe_sine(const sizes *s) {
    const double R = (double)flt_params_int(s->params, "R"), K = (double)flt_params_int(s->params, "K");
    return times(s) * 8.0 * s->N * s->d * K * R + kernel(s, R);
}

static double spe_conv(const sizes *s) {
    const double R = (double)flt_params_int(s->params, "R"), taps = (double)flt_params_int(s->params, "width");
    return times(s) * 4.0 * s->N * s->d * taps * R + kernel(s, R);
}

static double nprf(const sizes *s) {
    const double direct = 2.0 * pairs(s) * (s->m + s->dv), one = 10.0 * s->N * log2(2.0 * s->N);
    const double transforms = s->m * (s->dv + 1.0) * one * (s->causal ? fmax(1.0, log2(s->N) / 2.0) : 1.0);
    return times(s) * (4.0 * s->N * s->m * s->d + fmin(direct, transforms));
}

static double taylor(const sizes *s) {
    const long long order = flt_params_int(s->params, "order");
    const double nodes = (double)flt_params_int(s->params, "nodes");
    const double F = 1.0 + (order > 0 ? s->d : 0.0) + (order > 1 ? s->d * (s->d + 1.0) / 2.0 : 0.0);
    return times(s) * (4.0 * s->N + 2.0 * nodes * nodes) * F * (s->dv + 1.0);
}

static double fourier(const sizes *s) {
    const double ratio = flt_params_real(s->params, "ratio");
    const double K = fmin(s->N, ratio > 0.0 ? ceil(ratio * s->N) : (double)flt_params_int(s->params, "keep"));
    const double transforms = 2.5 * s->N * log2(s->N + 1.0) * 2.0 * (s->d + s->dv);
    const sizes cut = {.N = K, .d = s->d, .dv = s->dv, .backward = s->backward};
    return (s->backward ? 2.0 : 1.0) * transforms + exact(&cut);
}

static double fftnet(const sizes *s) {
    return (s->backward ? 2.0 : 1.0) * 5.0 * s->N * log2(s->N + 1.0) * s->d;
}

static const struct {
    const char *name;
    double (*count)(const sizes *s);
} rows[] = {{"exact", exact},       {"linear", linear}, {"performer", performer}, {"flt", performer},   {"spe_sine", spe_sine},
            {"spe_conv", spe_conv}, {"nprf", nprf},     {"taylor", taylor},       {"fourier", fourier}, {"fftnet", fftnet}};

static bool declares(const flt_params *p, const char *name) {
    for (const flt_param_spec *s = flt_params_specs(p); s != NULL && s->name != NULL; s++)
        if (strcmp(s->name, name) == 0) return true;
    return false;
}

static double count(const flt_attention_desc *desc, const flt_params *p, bool backward) {
    const sizes s = {.N = (double)desc->N,
                     .d = (double)desc->d,
                     .dv = (double)desc->dv,
                     .m = declares(p, "m") ? (double)flt_params_int(p, "m") : 0.0,
                     .causal = desc->causal,
                     .backward = backward,
                     .params = p};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].name, desc->mechanism) == 0) return (double)desc->B * (double)desc->H * rows[i].count(&s);
    return NAN;
}

double flt_attention_flops(const flt_attention_desc *desc, bool backward) {
    const flt_attention_kind *kind = NULL;
    flt_params *own = NULL;
    if (desc->params != NULL) return count(desc, desc->params, backward);
    if (flt_attention_find(desc->mechanism, &kind) != FLTE_OK) return NAN;
    if (flt_params_create(kind->kind.name, kind->kind.params, &own) != FLTE_OK) return NAN;
    const double flops = count(desc, own, backward);
    flt_params_destroy(own);
    return flops;
}
