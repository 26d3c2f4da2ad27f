// SPDX-License-Identifier: MIT
// Noise-reuse evolution strategies.
//   each episode: eps ~ N(0, sigma^2 I), used in all its windows; both arms go on from where they were with theta +- eps;
//   g = mean over particles of (eps dL_before + eps' dL_after) / (2 sigma^2),
// dL = L+ - L-, sums of the window's losses before and after a reset, both divided by the window's steps; eps' is the new
// episode's. With one window an episode this is antithetic evolution strategies on the whole unroll.
// eps, g [n] (n meta-parameters). Reference: Li, Harrison, Sohl-Dickstein, Smith, Metz, NeurIPS 2023 (arXiv 2304.12180); the same
// estimator as ES-Single (Vicol, arXiv 2304.11153).
// Cost: two inner windows a particle and outer step. Limits: unbiased for the mean loss of an episode (up to theta's drift and
// O(sigma^2)); the variance stays flat in the number of windows; few directions are tried when episodes are long.
#include "flt/meta.h"

const flt_estimator_kind flt_estimator_kind_nres = {
    .kind = {.name = "nres",
             .summary = "noise-reuse evolution strategies: one perturbation an episode",
             .formula = "g = mean(eps dL) / (2 sigma^2), eps drawn once an episode",
             .cost = "2 windows of inner steps per particle; variance flat in the windows of an episode",
             .citation = "Li, Harrison, Sohl-Dickstein, Smith, Metz, arXiv 2304.12180"},
    .fresh_per_window = false,
    .accumulates = false,
};
