// SPDX-License-Identifier: MIT
// Linear penalty on the distance (ALiBi), any position dimension l.
//
//     f(z) = -slope |z|                                                                  slope: one number, any sign
//
// Press, Smith, Lewis, Train short, test long, ICLR 2022, arXiv 2108.12409: heads take the slopes 2^(-8 h / H), h = 1 .. H. f is
// unbounded and has no spectrum; exp(f) has one (see `exponential` for the same mask by its decay, and `laplace` for a bounded
// f). Cost O(l) a point.
#include "engine/kernel.h"

#include "flt/plant.h"

#include <math.h>

static flt_err check(const flt_rpe_args *a) {
    if (!isfinite(a->slope)) return flt_fail(FLTE_RANGE, "encoding alibi", "the slope is %g; it must be finite", a->slope);
    return FLTE_OK;
}

static void closed_form(const flt_rpe_args *a, size_t n, const double *z, double *f) {
    for (size_t i = 0; i < n; i++)
        f[i] = (FLTX_BUG(REWARD_FOR_DISTANCE) ? a->slope : -a->slope) * flt_rpe_norm(a->l, z + i * a->l);
}

static void closed_form_back(const flt_rpe_args *a, size_t n, const double *z, const double *df, const flt_rpe_slots *to) {
    for (size_t i = 0; i < n; i++) *to->slope -= df[i] * flt_rpe_norm(a->l, z + i * a->l);
}

const flt_rpe_kind flt_rpe_kind_alibi = {
    .kind =
        {
            .name = "alibi",
            .summary = "a linear penalty on the distance: argument slope",
            .formula = "f(z) = -slope |z|",
            .cost = "O(l) a point",
            .citation = "Press, Smith, Lewis, Train short, test long, ICLR 2022, arXiv 2108.12409",
            .caps = FLTX_RPE_EVEN,
        },
    .args = {{"slope", NAN}},
    .check = check,
    .closed_form = closed_form,
    .closed_form_back = closed_form_back,
};
