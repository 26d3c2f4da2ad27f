// SPDX-License-Identifier: MIT
// Gradients of FLT's frequencies and ratios, and through rho = weight g(xi) those of an encoding's arguments; see ratios.h.
//
//     drho from the two sides: one-sided the queries' alone; balanced, with s = sqrt|rho|: (dquery + sign(rho) dkey) / 2s, taken
//     as 0 at rho = 0, where the split has a kink; squared: their sum.      dg = weight drho xi of a mixture: drho/dxi = weight
//     dg/dxi + rho xi, since 1/p = (2 pi)^(l/2) exp(|xi|^2/2) depends on it as well
#include "ratios.h"

#include "flt/memory.h"
#include "flt/num.h"

#include <math.h>
#include <string.h>

struct flt_att_ratios_back {
    const flt_att_ratios *of;
    size_t size;        // of the encoding's gradients
    double *drho, *key; // [H, r]: of rho; of its part on the keys' side
    double *dg;         // [2, r]: of one head
    double *turned;     // [r, l]
    double *dtheta;     // [H, size]
    double *dxi;        // [H, r, l], through the ratio
};

void flt_att_ratios_names(const flt_att_ratios *a, size_t max, const char **names, size_t *n) {
    if (!a->derived && *n < max) names[(*n)++] = "xi";
    if (!a->derived && !a->gaussian && *n < max) names[(*n)++] = "rho";
    flt_att_encoding_names(a->encoding, max, names, n);
}

flt_err flt_att_ratios_back_create(const flt_att_ratios *of, flt_att_ratios_back **out) {
    flt_att_ratios_back *a = NULL;
    flt_err err = FLTE_OK;
    const size_t H = of->H, r = of->r, l = of->encoding->l;
    *out = NULL;
    FLTX_TRY(flt_alloc(1, sizeof *a, &a));
    a->of = of;
    a->size = flt_att_encoding_size(of->encoding);
    FLTX_GO(err, failed, flt_alloc(2 * H * r, sizeof *a->drho, &a->drho));
    FLTX_GO(err, failed, flt_alloc(2 * r, sizeof *a->dg, &a->dg));
    FLTX_GO(err, failed, flt_alloc(r * l, sizeof *a->turned, &a->turned));
    FLTX_GO(err, failed, flt_alloc(H * a->size + 1, sizeof *a->dtheta, &a->dtheta));
    FLTX_GO(err, failed, flt_alloc(H * r * l, sizeof *a->dxi, &a->dxi));
    a->key = a->drho + H * r;
    *out = a;
    return FLTE_OK;
failed:
    flt_att_ratios_back_destroy(a);
    return err;
}

void flt_att_ratios_back_destroy(flt_att_ratios_back *a) {
    if (a == NULL) return;
    flt_free(a->dxi);
    flt_free(a->dtheta);
    flt_free(a->turned);
    flt_free(a->dg);
    flt_free(a->drho);
    flt_free(a);
}

// drho, which holds the queries' part, and the keys' become one.
static void join_sides(const flt_att_ratios_back *a) {
    const flt_att_ratios *of = a->of;
    for (size_t i = 0; i < of->H * of->r; i++) {
        const double rho = flt_att_head(&of->rho, i / of->r)[i % of->r], sign = copysign(1.0, rho);
        if (of->split == FLTX_ATT_BALANCED)
            a->drho[i] = rho == 0.0 ? 0.0 : (a->drho[i] + sign * a->key[i]) / (2.0 * sqrt(fabs(rho)));
        else if (of->split == FLTX_ATT_SQUARED)
            a->drho[i] += a->key[i];
    }
}

// A mixture at frequencies with p = N(0, I).
static void through_gaussian(const flt_att_ratios_back *a, size_t h) {
    const flt_att_ratios *of = a->of;
    const size_t l = of->encoding->l;
    const double *xi = flt_att_head(&of->xi, h), norm = pow(FLTX_TWO_PI, 0.5 * (double)l);
    double *dxi = a->dxi + h * of->r * l;
    for (size_t m = 0; m < of->r; m++) {
        const double drho = a->drho[h * of->r + m], rho = flt_att_head(&of->rho, h)[m];
        double x2 = 0.0;
        for (size_t c = 0; c < l; c++) x2 += xi[m * l + c] * xi[m * l + c];
        a->dg[m] = drho * norm * exp(0.5 * x2);
        for (size_t c = 0; c < l; c++) dxi[m * l + c] = drho * rho * xi[m * l + c];
    }
    flt_att_encoding_spectrum_back(of->encoding, 0, h, of->r, xi, a->dg, a->dtheta + h * a->size, dxi);
}

// Frequencies of the encoding's own; a rule takes g's even part.
static void through_weights(const flt_att_ratios_back *a, size_t h, size_t t) {
    const flt_att_ratios *of = a->of;
    const size_t from = of->from[t], n = of->from[t + 1] - from, l = of->encoding->l;
    const double *xi = flt_att_head(&of->xi, h) + from * l, half = of->even ? 0.5 : 1.0;
    double *sums = a->dtheta + h * a->size;
    for (size_t m = 0; m < n; m++) a->dg[m] = half * a->drho[h * of->r + from + m] * of->weight[h * of->r + from + m];
    flt_att_encoding_spectrum_back(of->encoding, t, h, n, xi, a->dg, sums, NULL);
    if (!of->even) return;
    for (size_t i = 0; i < n * l; i++) a->turned[i] = -xi[i];
    flt_att_encoding_spectrum_back(of->encoding, t, h, n, a->turned, a->dg, sums, NULL);
}

void flt_att_ratios_back_begin(flt_att_ratios_back *a, const flt_att_features_back *sums) {
    const flt_att_ratios *of = a->of;
    flt_att_features_back_rho(sums, true, a->drho);
    if (of->split != FLTX_ATT_ONE_SIDED) flt_att_features_back_rho(sums, false, a->key);
    join_sides(a);
    memset(a->dtheta, 0, of->H * a->size * sizeof *a->dtheta);
    for (size_t h = 0; h < of->H; h++) {
        if (of->gaussian) through_gaussian(a, h);
        for (size_t t = 0; of->derived && t < of->encoding->terms; t++) through_weights(a, h, t);
    }
}

// xi has its share through the phases already.
static void add_through_ratio(const flt_att_ratios_back *a, double *dxi) {
    const flt_att_array *xi = &a->of->xi;
    for (size_t h = 0; h < a->of->H; h++) {
        double *head = dxi + (xi->heads == 0 ? 0 : h) * xi->count;
        for (size_t i = 0; i < xi->count; i++) head[i] += a->dxi[h * xi->count + i];
    }
}

void flt_att_ratios_back_gather(const flt_att_ratios_back *a, const flt_att_features_back *sums,
                                const flt_attention_gradient *to) {
    const flt_att_ratios *of = a->of;
    if (strcmp(to->name, "xi") == 0) {
        flt_att_features_back_xi(sums, &of->xi, to->data);
        if (of->gaussian) add_through_ratio(a, to->data);
    } else if (strcmp(to->name, "rho") == 0) {
        flt_att_gather(&of->rho, of->H, of->H, a->drho, to->data);
    } else {
        flt_att_encoding_gather(of->encoding, to->name, a->dtheta, to->data);
    }
}
