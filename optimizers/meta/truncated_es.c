// SPDX-License-Identifier: MIT
// Truncated evolution strategies: the biased contrast to pes and nres.
//   each window w: eps_w ~ N(0, sigma^2 I); both arms go on from where they were with theta +- eps_w;
//   g = mean over particles of eps_w (dL_before + dL_after) / (2 sigma^2),
// dL = L+ - L-, sums of the window's losses before and after a reset, both divided by the window's steps.
// eps, g [n] (n meta-parameters). Reference: the baseline of Vicol, Metz, Sohl-Dickstein, ICML 2021 (arXiv 2112.13835).
// Cost: two inner windows a particle and outer step. Limits: what earlier perturbations did to the state of an arm counts as
// noise, so what a window does to later ones is not seen: biased towards optimizers that are greedy within a window.
#include "flt/meta.h"

const flt_estimator_kind flt_estimator_kind_truncated_es = {
    .kind = {.name = "truncated_es",
             .summary = "truncated evolution strategies: blind beyond the window, biased",
             .formula = "g = mean(eps dL) / (2 sigma^2), eps fresh each window",
             .cost = "2 windows of inner steps per particle",
             .citation = "Vicol, Metz, Sohl-Dickstein, arXiv 2112.13835, the baseline"},
    .fresh_per_window = true,
    .accumulates = false,
};
