// SPDX-License-Identifier: MIT
// Evolution strategies on whole episodes.
//   each window is an episode: eps ~ N(0, sigma^2 I); both arms run it from its beginning to its end with theta +- eps;
//   g = mean over particles of eps dL / (2 sigma^2),
// dL = L+ - L-, the difference of the episode's losses (their mean, last or least). eps, g [n] (n meta-parameters). Reference:
// Metz, Maheswaranathan, Nixon, Freeman, Sohl-Dickstein, ICML 2019 (arXiv 1810.10180), without its smoothing by gradients.
// Cost: two inner episodes a particle and outer step, whatever the window. Limits: unbiased for the smoothed loss of an episode
// (O(sigma^2)); one update of theta per episode. With windows as long as episodes nres is the same, but for its phases.
#include "flt/meta.h"

const flt_estimator_kind flt_estimator_kind_full_es = {
    .kind = {.name = "full_es",
             .summary = "evolution strategies on whole episodes",
             .formula = "g = mean(eps dL) / (2 sigma^2), dL over an episode from its beginning to its end",
             .cost = "2 episodes of inner steps per particle; the window's length is not used",
             .citation = "Metz, Maheswaranathan, Nixon, Freeman, Sohl-Dickstein, arXiv 1810.10180"},
    .whole_episodes = true,
};
