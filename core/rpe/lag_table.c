// SPDX-License-Identifier: MIT
// A table over integer offsets, l = 1: f(r_i - r_j) = b_{j-i} = lag_bias[(j - i) + n - 1], lag_bias [2n - 1].
//
// Symmetric tables have a real spectrum (the cosine polynomial g, and its DFT of length 2n - 1), so FLT can use them:
//     g(xi) = b_0 + 2 sum_{k=1}^{n-1} b_k cos(2 pi k xi),     b_z = G_0/L + (2/L) sum_{k=1}^{n-1} G_k cos(2 pi k z / L), L = 2n -
//     1
// With r >= n frequencies the DFT is used as it is, exact for every offset; with fewer, r of its lines are drawn with
// probability p_k ~ |weight_k| (rho = weight/p, |rho| = sum of |weight|: bounded). Cost O(1) a closed-form point, O(n) a point of
// g, O(n log n) a draw. Asymmetric tables need a complex spectrum and are refused there.
#include "flt/memory.h"
#include "flt/num.h"
#include "flt/rpe.h"

#include <math.h>
#include <string.h>

static const char *const who = "encoding lag_table";

static flt_err check(const flt_rpe_args *a) {
    if (a->l != 1) return flt_fail(FLTE_SHAPE, who, "positions have dimension l = %zu; a table of lags needs l = 1", a->l);
    if (a->n == 0 || a->lag_bias == NULL) return flt_fail(FLTE_SHAPE, who, "the argument lag_bias [2n - 1] is needed, n >= 1");
    for (size_t i = 0; i < 2 * a->n - 1; i++) {
        if (!isfinite(a->lag_bias[i]))
            return flt_fail(FLTE_NUMERIC, who, "lag_bias[%zu] is %g; finite values are wanted", i, a->lag_bias[i]);
    }
    return FLTE_OK;
}

// Offsets beyond the table take its end value.
static size_t entry(const flt_rpe_args *a, double z) {
    const double far = (double)(a->n - 1);
    return (size_t)(far - fmax(-far, fmin(far, rint(z))));
}

static void closed_form(const flt_rpe_args *a, size_t n, const double *z, double *f) {
    for (size_t i = 0; i < n; i++) f[i] = a->lag_bias[entry(a, z[i])];
}

static void closed_form_back(const flt_rpe_args *a, size_t n, const double *z, const double *df, const flt_rpe_slots *to) {
    for (size_t i = 0; i < n; i++) to->lag_bias[entry(a, z[i])] += df[i];
}

static void spectrum(const flt_rpe_args *a, size_t n, const double *xi, double *g) {
    const double *b = a->lag_bias + a->n - 1;
    for (size_t i = 0; i < n; i++) {
        double sum = 0.0;
        for (size_t k = a->n - 1; k > 0; k--) {
            const double turns = (double)k * xi[i];
            sum += (b[k] + *(b - k)) * cos(FLTX_TWO_PI * (turns - rint(turns)));
        }
        g[i] = b[0] + sum;
    }
}

// The same for b_k and b_-k: a table that is trained through its spectrum stays symmetric.
static void spectrum_back(const flt_rpe_args *a, size_t n, const double *xi, const double *dg, const flt_rpe_slots *to) {
    double *b = to->lag_bias + a->n - 1;
    for (size_t i = 0; i < n; i++) {
        b[0] += dg[i];
        for (size_t k = a->n - 1; k > 0; k--) {
            const double turns = (double)k * xi[i], x = dg[i] * cos(FLTX_TWO_PI * (turns - rint(turns)));
            b[k] += x;
            *(b - k) += x;
        }
    }
}

static flt_err spectral(const flt_rpe_args *a) {
    const double *b = a->lag_bias + a->n - 1;
    double scale = 0.0;
    for (size_t i = 0; i < 2 * a->n - 1; i++) scale = fmax(scale, fabs(a->lag_bias[i]));
    for (size_t k = 1; k < a->n; k++) {
        if (fabs(b[k] - *(b - k)) > 1e-6 * scale)
            return flt_fail(
                FLTE_UNSUPPORTED, who,
                "b_%zu = %g but b_-%zu = %g: an asymmetric table has no real spectrum for flt to sample; the mechanism "
                "'exact' can use it",
                k, b[k], k, *(b - k));
    }
    return FLTE_OK;
}

// weight [n]: f(z) = sum_k weight_k cos(2 pi k z / (2n - 1)) at every offset of the table. room: 3 (2n + 2) reals.
static void lines(const flt_rpe_args *a, flt_fft *fft, flt_real *room, double *weight) {
    const size_t size = 2 * a->n - 1;
    const double *b = a->lag_bias + a->n - 1;
    flt_real *x = room, *g = room + size;
    for (size_t k = 0; k < size; k++) x[k] = (flt_real)(k < a->n ? b[k] : b[size - k]);
    flt_fft_forward(fft, x, g);
    for (size_t k = 0; k < a->n; k++) weight[k] = (k == 0 ? 1.0 : 2.0) * (double)g[2 * k] / (double)size;
}

// Lines by stratified choice in proportion to |weight|.
static void sample(const flt_rpe_args *a, flt_rng rng, size_t r, const double *weight, double *xi, double *rho) {
    double total = 0.0, sum = fabs(weight[0]);
    size_t k = 0;
    for (size_t i = 0; i < a->n; i++) total += fabs(weight[i]);
    for (size_t m = 0; m < r; m++) {
        const double u = total * ((double)m + flt_rng_uniform_at(rng, m)) / (double)r;
        while (k + 1 < a->n && sum <= u) sum += fabs(weight[++k]);
        xi[m] = (double)k / (double)(2 * a->n - 1);
        rho[m] = copysign(total, weight[k]);
    }
}

static void all_lines(const flt_rpe_args *a, size_t r, const double *weight, double *xi, double *rho) {
    for (size_t m = 0; m < r; m++) {
        xi[m] = m < a->n ? (double)m / (double)(2 * a->n - 1) : 0.0;
        rho[m] = m < a->n ? (double)r * weight[m] : 0.0;
    }
}

static flt_err draw(const flt_rpe_args *a, flt_rng rng, size_t r, double *xi, double *rho) {
    flt_fft *fft = NULL;
    flt_real *room = NULL;
    double *weight = NULL;
    flt_err err = spectral(a);
    if (err != FLTE_OK) return err;
    FLTX_GO(err, done, flt_fft_create(2 * a->n - 1, 1, &fft));
    FLTX_GO(err, done, flt_alloc(4 * a->n + 2, sizeof *room, &room));
    FLTX_GO(err, done, flt_alloc(a->n, sizeof *weight, &weight));
    lines(a, fft, room, weight);
    if (r >= a->n)
        all_lines(a, r, weight, xi, rho);
    else
        sample(a, rng, r, weight, xi, rho);
done:
    flt_free(weight);
    flt_free(room);
    flt_fft_destroy(fft);
    return err;
}

// All lines: r or 2r over their number, none for what is left over; drawn ones: by what their ratio came to.
static void weigh(const flt_rpe_args *a, size_t r, const double *xi, const double *rho, double *weight) {
    const double size = (double)(2 * a->n - 1);
    if (r < a->n) spectrum(a, r, xi, weight);
    for (size_t m = 0; m < r; m++) {
        if (r >= a->n)
            weight[m] = m < a->n ? (m == 0 ? 1.0 : 2.0) * (double)r / size : 0.0;
        else
            weight[m] = rho[m] != 0.0 ? rho[m] / weight[m] : 0.0;
    }
}

const flt_rpe_kind flt_rpe_kind_lag_table = {
    .kind =
        {
            .name = "lag_table",
            .summary = "any value for each integer offset: argument lag_bias [2n - 1]",
            .formula = "f(r_i - r_j) = lag_bias[(r_j - r_i) + n - 1]",
            .cost = "O(1) a point",
            .citation =
                "Shaw, Uszkoreit, Vaswani, Self-attention with relative position representations, NAACL 2018, arXiv 1803.02155",
            .caps = FLTX_RPE_SPECTRUM | FLTX_RPE_GRID,
        },
    .args = {{"lag_bias", NAN}},
    .check = check,
    .closed_form = closed_form,
    .closed_form_back = closed_form_back,
    .draw = draw,
    .spectrum = spectrum,
    .spectrum_back = spectrum_back,
    .weigh = weigh,
    .spectral = spectral,
};
