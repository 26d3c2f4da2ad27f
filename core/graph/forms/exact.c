// SPDX-License-Identifier: MIT
// Exact attention in primitive ops: softmax(q k' / sqrt d + bias [+ mask]) v, the bias given, or by offsets, or of an encoding
// whose arguments are fixed.
#include "graph/engine/form.h"

static flt_node build(flt_graph *g, const flt_attend_spec *s, const flt_node *in) {
    const flt_node bias = flt_form_argument(g, s, in, "bias"), lags = flt_form_argument(g, s, in, "lag_bias");
    if (bias.id != flt_none.id) return flt_form_softmax(g, s, in, bias);
    const bool by_index = lags.id != flt_none.id && flt_form_chosen(s, "rpe", "auto");
    return flt_form_softmax(g, s, in, by_index ? flt_form_lags(g, s, lags) : flt_form_encoding(g, s));
}

static const char *const learned[] = {"bias", "lag_bias", NULL};

const flt_form_kind flt_form_kind_exact = {
    .kind = {.name = "exact", .summary = "softmax of scores and a bias", .formula = "y = softmax(q k' / sqrt d + bias) v"},
    .learned = learned,
    .build = build,
};
