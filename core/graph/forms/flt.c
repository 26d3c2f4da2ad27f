// SPDX-License-Identifier: MIT
// FLT in primitive ops: random features of [q, a_i] and [k, b_j] with the plan's omega.
//
//   a_i = r^-1/2 [rho cos, rho sin](2 pi xi.r_i), b_j the same without rho; split=balanced: sign(rho) sqrt|rho| and sqrt|rho|;
//   split=squared: rho on both sides
//
// A named encoding's xi and rho are those that the plan drew: they are no functions of its arguments here.
#include "graph/engine/form.h"

#include <math.h>

// Ratios [H, 1, r] of queries and keys; flt_none: ones.
static void split_ratios(flt_graph *g, const flt_attend_spec *s, flt_node rho, flt_node out[2]) {
    out[0] = rho, out[1] = flt_none;
    if (flt_form_chosen(s, "split", "squared")) out[1] = rho;
    if (!flt_form_chosen(s, "split", "balanced")) return;
    const flt_node size = flt_add(g, flt_relu(g, rho), flt_relu(g, flt_neg(g, rho)));
    const flt_node sign = flt_offset(g, flt_scale(g, flt_step_function(g, rho), 2), -1);
    out[1] = flt_sqrt(g, size);
    out[0] = flt_mul(g, sign, out[1]);
}

static flt_node snippet(flt_graph *g, const flt_node wave[2], flt_node ratio, size_t r) {
    flt_node part[2] = {wave[0], wave[1]};
    for (size_t i = 0; i < 2 && ratio.id != flt_none.id; i++) part[i] = flt_mul(g, wave[i], ratio);
    return flt_scale(g, flt_concat(g, 2, part, 2), 1 / sqrt((double)r));
}

static flt_node build(flt_graph *g, const flt_attend_spec *s, const flt_node *in) {
    const flt_node xi = flt_form_heads(g, s, flt_form_argument(g, s, in, "xi"), 2);
    const flt_node rho = flt_form_heads(g, s, flt_form_argument(g, s, in, "rho"), 1);
    if (xi.id < 0 || rho.id < 0) return flt_bad;
    const size_t r = flt_node_dim(g, xi)[1];
    const flt_node turns = flt_matmul(g, flt_form_positions(g, s, in), xi, false, true); // [H, N, r]
    const flt_node phase = flt_scale(g, turns, FLTX_TWO_PI), wave[2] = {flt_cos(g, phase), flt_sin(g, phase)};
    flt_node ratio[2], snippets[2];
    split_ratios(g, s, flt_reshape(g, rho, 3, (size_t[]){s->H, 1, r}), ratio);
    for (size_t i = 0; i < 2; i++) snippets[i] = snippet(g, wave, ratio[i], r);
    return flt_form_features(g, s, in, flt_form_argument(g, s, in, "omega"), snippets);
}

static const char *const learned[] = {"omega", "xi", "rho", NULL};

const flt_form_kind flt_form_kind_flt = {
    .kind = {.name = "flt", .summary = "random features with snippets", .formula = "A_ij = phi([q_i, a_i]).phi([k_j, b_j])"},
    .learned = learned,
    .build = build,
};
