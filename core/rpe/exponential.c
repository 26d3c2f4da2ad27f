// SPDX-License-Identifier: MIT
// Weights that shrink by a factor with every step of distance, any position dimension l.
//
//     f(z) = |z| log(decay), i.e. the weight of a key is multiplied by decay^|z|         0 < decay <= 1
//
// The mask of retention and of discounted linear attention (Sun et al., Retentive network, 2023, arXiv 2307.08621), by the decay
// that a recurrence uses; `alibi` is the same with slope = -log(decay). f is unbounded and has no spectrum. Cost O(l) a point.
#include "engine/kernel.h"

#include <math.h>

static flt_err check(const flt_rpe_args *a) {
    if (!(a->decay > 0.0 && a->decay <= 1.0))
        return flt_fail(FLTE_RANGE, "encoding exponential", "the decay is %g; more than 0 and at most 1 is wanted", a->decay);
    return FLTE_OK;
}

static void closed_form(const flt_rpe_args *a, size_t n, const double *z, double *f) {
    const double rate = log(a->decay);
    for (size_t i = 0; i < n; i++) f[i] = rate * flt_rpe_norm(a->l, z + i * a->l);
}

static void closed_form_back(const flt_rpe_args *a, size_t n, const double *z, const double *df, const flt_rpe_slots *to) {
    for (size_t i = 0; i < n; i++) *to->decay += df[i] * flt_rpe_norm(a->l, z + i * a->l) / a->decay;
}

const flt_rpe_kind flt_rpe_kind_exponential = {
    .kind =
        {
            .name = "exponential",
            .summary = "weights times decay for every step of distance: argument decay in (0, 1]",
            .formula = "f(z) = |z| log(decay)",
            .cost = "O(l) a point",
            .citation = "Sun et al., Retentive network, 2023, arXiv 2307.08621",
            .caps = FLTX_RPE_EVEN,
        },
    .args = {{"decay", NAN}},
    .check = check,
    .closed_form = closed_form,
    .closed_form_back = closed_form_back,
};
