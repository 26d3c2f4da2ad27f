// SPDX-License-Identifier: MIT
// The small fully connected optimizer (AdafacMLPLOpt), one network for every coordinate:
//   m_k, r_k, c_k: means of g, and of g^2 + 1e-30 over rows and columns, decays 0.9, 0.99, 0.999;  v: mean of g^2, decay 0.999;
//   rs = (v + 1e-6)^-1/2,  f_k = srs(r_k / (mean r_k + 1e-9)) srs(c_k),  srs(x) = max(x, 1e-9)^-1/2;
//   x = [g, p, m, v, m rs, rs, g f, r, c, (r + 1e-8)^-1/2, (c + 1e-8)^-1/2, m f], 28 numbers, each divided by sqrt(1e-5 + its
//   mean square over the tensor), then tanh(t / tau - 1) for eleven tau;   [D, M] = network(x),  p -= lr step_mult D exp(0.001
//   M).
// Rank below 2: r = c = the mean v_k of g^2 + 1e-30 itself, g srs(v_k + 1e-9) and m (v_k + 1e-6)^-1/2 in place of g f and m f.
// Shapes: layers.0.w [39, hidden], .., layers.L.w [hidden, 2]; ReLU between. State: 4 words per parameter, 3 per row and column.
// Reference: Metz, Freeman, Harrison, Maheswaranathan, Sohl-Dickstein, arXiv 2203.11860. Cost: O(28 hidden + hidden^2) per
// coordinate. Differs from the published code: decays are fixed, not meta-learned. Untrained it moves along m rs of decay 0.9.
#include "engine/lopt.h"
#include "engine/lopt_graph.h"

static const flt_lopt_form form = {
    .features = FLTX_ADAFAC, .count = 28, .shared = FLTX_TIMES, .outputs = 2, .pass = 6, .eps = 1e-5};

FLTX_LOPT_META("small_fc_lopt", form)

static flt_err create(const flt_params *p, const flt_layout *layout, void **self) {
    return flt_lopt_classic_create(&form, p, layout, self);
}

static flt_err graph(const flt_params *p, flt_graph_step *s) {
    return flt_lopt_classic_graph(&form, p, s);
}

static const flt_param_spec params[] = {FLTX_LOPT_CLASSIC_PARAMS, {0}};

const flt_optimizer_kind flt_optimizer_kind_small_fc_lopt = {
    .kind = {.name = "small_fc_lopt",
             .summary = "learned: a network on momenta, second moments, Adafactor's factors and time",
             .formula = "[D, M] = network(28 features / rms, tanh(t / tau - 1)); p -= lr step_mult D exp(0.001 M)",
             .cost = "4 + 3 (r + c) / (r c) state words per parameter; time O(28 hidden + hidden^2)",
             .citation = "Metz et al., arXiv 2203.11860; learned_optimization, AdafacMLPLOpt",
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
