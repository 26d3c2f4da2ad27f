// SPDX-License-Identifier: MIT
// MLPLOpt, one small network for every coordinate:
//   m_k = b_k m_k + (1 - b_k) g,  b = 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999;
//   x = [g, p, m_1 .. m_6], each divided by sqrt(1e-5 + its mean square over the tensor),  then tanh(t / tau - 1) for eleven tau;
//   [D, M] = network(x),  p -= lr step_mult D exp(0.001 M).
// Shapes: layers.0.w [19, hidden], .., layers.L.w [hidden, 2]; ReLU between. State: m, 6 words per parameter. Reference: Metz,
// Maheswaranathan, Nixon, Freeman, Sohl-Dickstein, arXiv 1810.10180, in the form of the learned_optimization library.
// Cost: O(8 hidden + hidden^2) per coordinate. Untrained it moves along the mean of decay 0.9, rms-normalised.
#include "engine/lopt.h"
#include "engine/lopt_graph.h"

static const flt_lopt_form form = {
    .features = FLTX_MEANS, .count = 8, .shared = FLTX_TIMES, .outputs = 2, .pass = 4, .eps = 1e-5};

FLTX_LOPT_META("mlp_lopt", form)

static flt_err create(const flt_params *p, const flt_layout *layout, void **self) {
    return flt_lopt_classic_create(&form, p, layout, self);
}

static flt_err graph(const flt_params *p, flt_graph_step *s) {
    return flt_lopt_classic_graph(&form, p, s);
}

static const flt_param_spec params[] = {FLTX_LOPT_CLASSIC_PARAMS, {0}};

const flt_optimizer_kind flt_optimizer_kind_mlp_lopt = {
    .kind = {.name = "mlp_lopt",
             .summary = "learned: a network on the gradient, the parameter, six momenta and time",
             .formula = "[D, M] = network([g, p, m 6] / rms, tanh(t / tau - 1)); p -= lr step_mult D exp(0.001 M)",
             .cost = "6 state words per parameter; time O(8 hidden + hidden^2)",
             .citation = "Metz et al., ICML 2019, arXiv 1810.10180; learned_optimization, MLPLOpt",
             .caps = FLTX_OPT_LEARNED | FLTX_OPT_LR,
             .params = params},
    .meta = meta,
    .meta_init = meta_init,
    .infer = infer,
    .graph = graph,
    .create = create,
    .destroy = flt_lopt_destroy,
    .state_words = flt_lopt_words,
    .init = flt_lopt_init,
    .bind = flt_lopt_bind,
    .step = flt_lopt_classic_step,
};
