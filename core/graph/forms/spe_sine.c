// SPDX-License-Identifier: MIT
// SPE with sines in primitive ops, with the plan's draw z.
//
//   code[d, i, r] = sum_k gains_dk [z_d,2k,r cos + z_d,2k+1,r sin](2 pi f_dk r_i + phase_dk) / sqrt(2K); keys without phases
//
// The codes are formed: O(N d R) memory beside engine/form_code.c.
#include "graph/engine/form.h"

#include <math.h>

// [H, d, K] as [H, d, 1, K]
static flt_node per_token(flt_graph *g, const flt_attend_spec *s, flt_node x) {
    const flt_node heads = flt_form_heads(g, s, x, 2);
    if (heads.id < 0) return flt_bad;
    const size_t *d = flt_node_dim(g, heads);
    return flt_reshape(g, heads, 4, (size_t[]){s->H, d[1], 1, d[2]});
}

// phase [H, d, N, K] -> [H, d, N, 2K]: cosine and sine side by side, as z has them.
static flt_node waves(flt_graph *g, flt_node phase, flt_node gains) {
    const size_t *d = flt_node_dim(g, phase), pair[] = {d[0], d[1], d[2], d[3], 1}, both[] = {d[0], d[1], d[2], 2 * d[3]};
    const flt_node part[] = {flt_reshape(g, flt_mul(g, flt_cos(g, phase), gains), 5, pair),
                             flt_reshape(g, flt_mul(g, flt_sin(g, phase), gains), 5, pair)};
    return flt_reshape(g, flt_concat(g, 2, part, 4), 4, both);
}

static flt_node build(flt_graph *g, const flt_attend_spec *s, const flt_node *in) {
    const flt_node freqs = per_token(g, s, flt_form_argument(g, s, in, "freqs"));
    const flt_node phases = per_token(g, s, flt_form_argument(g, s, in, "phases"));
    const flt_node z = flt_form_heads(g, s, flt_form_argument(g, s, in, "z"), 3); // [H, d, 2K, R]
    const flt_node at = flt_reshape(g, flt_form_positions(g, s, in), 4, (size_t[]){1, 1, s->N, 1});
    const flt_node turns = flt_scale(g, flt_mul(g, freqs, at), FLTX_TWO_PI); // [H, d, N, K]
    flt_node gains = per_token(g, s, flt_form_argument(g, s, in, "gains")), code[2];
    if (turns.id < 0 || gains.id < 0 || z.id < 0) return flt_bad;
    gains = flt_scale(g, gains, 1 / sqrt(2.0 * (double)flt_node_dim(g, turns)[3]));
    for (size_t i = 0; i < 2; i++) {
        const flt_node wave = waves(g, i == 0 ? flt_add(g, turns, phases) : turns, gains);
        code[i] = flt_transpose(g, flt_matmul(g, wave, z, false, false), (size_t[]){0, 2, 1, 3});
    }
    return flt_form_coded(g, s, in, code);
}

static const char *const learned[] = {"freqs", "phases", "gains", "share", "omega", NULL};

const flt_form_kind flt_form_kind_spe_sine = {
    .kind = {.name = "spe_sine", .summary = "codes of sines", .formula = "A_ij ~ exp(qhat_i.khat_j / sqrt R)"},
    .learned = learned,
    .build = build,
};
