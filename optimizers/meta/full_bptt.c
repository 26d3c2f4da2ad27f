// SPDX-License-Identifier: MIT
// The exact gradient of an episode's meta-loss, back through all its updates.
//   each window is an episode: both arms run one of their own with theta;   g = mean over arms of dL/dtheta,
// second-order terms included: theta changed the parameters at which later gradients were taken (meta/engine/unroll.h). g [n] (n
// meta-parameters). Reference: Maclaurin, Duvenaud, Adams, ICML 2015 (arXiv 1502.03492); chaos at long horizons: Metz et al.,
// arXiv 1810.10180.
// Cost: per inner step two passes forward and one backward through the optimizer's graph, tens of times a fused step, and one
// product of the Hessian; memory O(sqrt T) states, recomputed between. Limits: optimizers whose step is written as a graph, tasks
// with second derivatives; gradients grow exponentially where training is unstable, and no perturbation smooths them.
#include "flt/meta.h"

const flt_estimator_kind flt_estimator_kind_full_bptt = {
    .kind = {.name = "full_bptt",
             .summary = "exact gradients through whole episodes, second-order terms included",
             .formula = "g = mean(dL/dtheta) through all updates of an episode",
             .cost = "2 episodes per particle through the graph of a step, tens of times a fused one; memory O(sqrt T) states",
             .citation = "Maclaurin, Duvenaud, Adams, arXiv 1502.03492"},
    .whole_episodes = true,
    .backpropagates = true,
};
