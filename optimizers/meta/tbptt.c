// SPDX-License-Identifier: MIT
// Truncated back-propagation through the updates.
//   each window: both arms go on from where they were with theta;   g = mean over arms of dL/dtheta of the window's meta-loss,
// exact within the window (meta/engine/unroll.h), with the parameters and states that it began with as constants; episodes go on
// beyond it. g [n] (n meta-parameters). Reference: Andrychowicz et al., NeurIPS 2016 (arXiv 1606.04474); its bias: Wu, Ren, Liao,
// Grosse, ICLR 2018 (arXiv 1803.02021).
// Cost: per inner step two passes forward and one backward through the optimizer's graph, tens of times a fused step, and one
// product of the Hessian; memory O(sqrt W) states, recomputed between. Limits: those of full_bptt; blind
// beyond the window, so biased towards what pays within it.
#include "flt/meta.h"

const flt_estimator_kind flt_estimator_kind_tbptt = {
    .kind = {.name = "tbptt",
             .summary = "gradients through the updates of a window, blind beyond it: biased",
             .formula = "g = mean(dL_window/dtheta), the window's start as constant",
             .cost = "2 windows per particle through the graph of a step, tens of times a fused one; memory O(sqrt W) states",
             .citation = "Andrychowicz et al., arXiv 1606.04474; Wu, Ren, Liao, Grosse, arXiv 1803.02021"},
    .backpropagates = true,
};
