// SPDX-License-Identifier: MIT
// Performer in primitive ops: random features of q and k with the plan's omega, in every form that it has (engine/form_kernel.c).
#include "graph/engine/form.h"

static flt_node build(flt_graph *g, const flt_attend_spec *s, const flt_node *in) {
    const flt_node none[2] = {flt_none, flt_none};
    return flt_form_features(g, s, in, flt_form_argument(g, s, in, "omega"), none);
}

static const char *const learned[] = {"omega", NULL};

const flt_form_kind flt_form_kind_performer = {
    .kind = {.name = "performer", .summary = "random features of q and k", .formula = "A_ij = phi(q_i).phi(k_j)"},
    .learned = learned,
    .build = build,
};
