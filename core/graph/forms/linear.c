// SPDX-License-Identifier: MIT
// Linear attention in primitive ops: A = phi(q) phi(k)', phi = elu + 1 or relu + 1e-3.
#include "graph/engine/form.h"

static flt_node elu(flt_graph *g, flt_node x) {
    return flt_add(g, flt_relu(g, x), flt_exp(g, flt_neg(g, flt_relu(g, flt_neg(g, x)))));
}

static flt_node shifted_relu(flt_graph *g, flt_node x) {
    return flt_offset(g, flt_relu(g, x), 1e-3);
}

static flt_node build(flt_graph *g, const flt_attend_spec *s, const flt_node *in) {
    flt_node (*phi)(flt_graph *, flt_node) = flt_form_chosen(s, "features", "relu") ? shifted_relu : elu;
    return flt_form_weigh(g, s, flt_matmul(g, phi(g, in[0]), phi(g, in[1]), false, true), in[2]);
}

static const char *const learned[] = {NULL};

const flt_form_kind flt_form_kind_linear = {
    .kind = {.name = "linear", .summary = "positive functions of each coordinate", .formula = "A_ij = phi(q_i).phi(k_j)"},
    .learned = learned,
    .build = build,
};
