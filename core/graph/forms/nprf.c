// SPDX-License-Identifier: MIT
// NPRF in primitive ops: A_ij = exp(b_{j-i}) phi(q_i/|q_i|).phi(k_j/|k_j|), log phi(x) = omega x - |x|^2/2, with the plan's
// omega; b given by offsets, or of an encoding whose arguments are fixed.
#include "graph/engine/form.h"

// x / |x|; a row of zeros stays, and has no derivative.
static flt_node direction(flt_graph *g, flt_node x) {
    const flt_node squares = flt_form_dots(g, x, x), some = flt_step_function(g, squares);
    const flt_node safe = flt_add(g, squares, flt_offset(g, flt_neg(g, some), 1));
    return flt_mul(g, x, flt_div(g, some, flt_sqrt(g, safe)));
}

static flt_node bias_of(flt_graph *g, const flt_attend_spec *s, const flt_node *in) {
    const flt_node lags = flt_form_argument(g, s, in, "lag_bias");
    const bool by_index = lags.id != flt_none.id && flt_form_chosen(s, "rpe", "auto");
    return by_index ? flt_form_lags(g, s, lags) : flt_form_encoding(g, s);
}

static flt_node build(flt_graph *g, const flt_attend_spec *s, const flt_node *in) {
    const bool normalise = flt_params_bool(s->params, "normalise");
    const flt_node q = normalise ? direction(g, in[0]) : in[0], k = normalise ? direction(g, in[1]) : in[1];
    const flt_node omega = flt_form_over_batch(g, s, flt_form_heads(g, s, flt_form_argument(g, s, in, "omega"), 2));
    const flt_node p = flt_matmul(g, q, omega, false, true), half = flt_scale(g, flt_form_dots(g, k, k), 0.5);
    const flt_node r = flt_sub(g, flt_matmul(g, k, omega, false, true), half), bias = bias_of(g, s, in);
    const flt_node a = flt_matmul(g, flt_exp(g, p), flt_exp(g, r), false, true);
    return flt_form_weigh(g, s, bias.id == flt_none.id ? a : flt_mul(g, a, flt_exp(g, bias)), in[2]);
}

static const char *const learned[] = {"omega", "lag_bias", NULL};

const flt_form_kind flt_form_kind_nprf = {
    .kind = {.name = "nprf",
             .summary = "random features of directions times an exact encoding",
             .formula = "A_ij = exp(b_{j-i}) phi(q_i/|q_i|).phi(k_j/|k_j|)"},
    .learned = learned,
    .build = build,
};
