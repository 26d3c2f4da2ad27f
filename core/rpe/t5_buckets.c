// SPDX-License-Identifier: MIT
// T5's bucketed relative bias, bidirectional, whole positions, l = 1.
//
//     f(z) = buckets[b(j - i)], z = r_i - r_j; with `n_buckets` entries, h = n_buckets/2 a side, e = h/2 exact ones, lag = |z|:
//     b = (j > i ? h : 0) + (lag < e ? lag : min(h - 1, e + floor((h - e) log(lag/e) / log(max_distance/e))))
//
// Raffel et al., Exploring the limits of transfer learning with a unified text-to-text transformer, JMLR 2020, arXiv 1910.10683,
// section 2.1 and its published code. Defaults there: 32 buckets, max_distance 128. T5 adds the bias to unscaled logits; here, as
// everywhere in this project, logits are q.k/sqrt(d). The table may differ between past and future, so there is no real
// spectrum; a table for flt: give the values as lag_bias. Cost O(1) a point.
#include "flt/plant.h"
#include "flt/rpe.h"

#include <math.h>

static flt_err check(const flt_rpe_args *a) {
    const char *who = "encoding t5_buckets";
    if (a->l != 1) return flt_fail(FLTE_SHAPE, who, "positions have dimension l = %zu; buckets of lags need l = 1", a->l);
    if (a->buckets == NULL || a->n_buckets < 4 || a->n_buckets % 2 != 0)
        return flt_fail(FLTE_SHAPE, who, "%zu buckets are given; an even number from 4 on is wanted, half of them for each side",
                        a->n_buckets);
    if (!(a->max_distance > (double)(a->n_buckets / 4)) || isinf(a->max_distance))
        return flt_fail(FLTE_RANGE, who, "max_distance is %g; with %zu buckets more than %zu is wanted", a->max_distance,
                        a->n_buckets, a->n_buckets / 4);
    return FLTE_OK;
}

static size_t bucket(const flt_rpe_args *a, double z) {
    const size_t side = a->n_buckets / 2, exact = side / 2, future = z < 0.0 ? side : 0;
    const double lag = fabs(rint(z));
    if (lag < (double)exact) return future + (size_t)lag;
    // a lag on a boundary (a power of two, with T5's defaults) belongs to the upper bucket whatever the logarithms' last bits
    const double up = (double)(side - exact) * log(lag / (double)exact) / log(a->max_distance / (double)exact) + 1e-9;
    return future + (size_t)fmin((double)(side - 1), (double)exact + FLTX_BUG(BUCKET_OFF_BY_ONE) + floor(up));
}

static void closed_form(const flt_rpe_args *a, size_t n, const double *z, double *f) {
    for (size_t i = 0; i < n; i++) f[i] = a->buckets[bucket(a, z[i])];
}

static void closed_form_back(const flt_rpe_args *a, size_t n, const double *z, const double *df, const flt_rpe_slots *to) {
    for (size_t i = 0; i < n; i++) to->buckets[bucket(a, z[i])] += df[i];
}

const flt_rpe_kind flt_rpe_kind_t5_buckets = {
    .kind =
        {
            .name = "t5_buckets",
            .summary =
                "T5's logarithmic buckets of lags, past first: arguments buckets [even number], max_distance (default 128)",
            .formula = "f(r_i - r_j) = buckets[b(r_j - r_i)], b linear for near lags, logarithmic to max_distance",
            .cost = "O(1) a point",
            .citation = "Raffel et al., Exploring the limits of transfer learning with a unified text-to-text transformer, JMLR "
                        "2020, arXiv 1910.10683",
            .caps = FLTX_RPE_GRID,
        },
    .args = {{"buckets", NAN}, {"max_distance", 128.0, true}},
    .check = check,
    .closed_form = closed_form,
    .closed_form_back = closed_form_back,
};
