// SPDX-License-Identifier: MIT
// Persistent evolution strategies.
//   each window w: eps_w ~ N(0, sigma^2 I); acc += eps_w; both arms go on from where they were with theta +- eps_w;
//   g = mean over particles of (acc dL_before + eps_w dL_after) / (2 sigma^2),
// dL = L+ - L-, sums of the window's losses before and after a reset, both divided by the window's steps. After a reset
// acc = eps_w, not 0: eps_w has already perturbed the first part of the new episode.
// eps, acc, g [n] (n meta-parameters). Reference: Vicol, Metz, Sohl-Dickstein, ICML 2021 (arXiv 2112.13835).
// Cost: two inner windows a particle and outer step; memory [particles, n] for acc. Limits: unbiased for the mean loss of an
// episode (up to theta's drift and O(sigma^2)); the variance grows with the number of windows in an episode.
#include "flt/meta.h"

const flt_estimator_kind flt_estimator_kind_pes = {
    .kind = {.name = "pes",
             .summary = "persistent evolution strategies: unbiased truncated unrolls",
             .formula = "g = mean(acc dL) / (2 sigma^2), acc = sum of the episode's perturbations, fresh each window",
             .cost = "2 windows of inner steps per particle; variance grows with the windows of an episode",
             .citation = "Vicol, Metz, Sohl-Dickstein, arXiv 2112.13835"},
    .fresh_per_window = true,
    .accumulates = true,
};
