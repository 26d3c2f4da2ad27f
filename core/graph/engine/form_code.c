// SPDX-License-Identifier: MIT
// Forms of stochastic positional encodings; see form.h and core/attention/engine/spe.h.
//
//   qhat_ir = (d R)^(-1/4) sum_d q_id (sqrt(1 - share_d) code[i, d, r] + sqrt(share_d) eps_dr), khat likewise;
//   then softmax attention of qhat and khat, exact or by random features
//
// A learned share of exactly 0 or 1 has no derivative.
#include "graph/engine/form.h"

#include <math.h>

// [H, 1, d, ..]: of every token alike
static flt_node per_token(flt_graph *g, const flt_attend_spec *s, flt_node x, size_t rank, size_t last) {
    const flt_node heads = flt_form_heads(g, s, x, rank);
    return heads.id < 0 ? heads : flt_reshape(g, heads, 4, (size_t[]){s->H, 1, s->d, last});
}

static flt_node gated(flt_graph *g, const flt_attend_spec *s, const flt_node *in, flt_node code) {
    const flt_node share = per_token(g, s, flt_form_argument(g, s, in, "share"), 1, 1);
    if (share.id == flt_none.id) return code;
    const flt_node eps = per_token(g, s, flt_form_argument(g, s, in, "eps"), 2, flt_node_dim(g, code)[3]);
    const flt_node keep = flt_sqrt(g, flt_offset(g, flt_neg(g, share), 1)), open = flt_sqrt(g, share);
    return flt_add(g, flt_mul(g, code, keep), flt_mul(g, eps, open));
}

// x [B, H, N, d] times code [H, N, d, R] -> [B, H, N, R]
static flt_node coded_rows(flt_graph *g, flt_node x, flt_node code) {
    const flt_node rows = flt_matmul(g, flt_transpose(g, x, (size_t[]){1, 2, 0, 3}), code, false, false);
    return flt_transpose(g, rows, (size_t[]){2, 0, 1, 3});
}

flt_node flt_form_coded(flt_graph *g, const flt_attend_spec *s, const flt_node *in, const flt_node code[2]) {
    const flt_node none[2] = {flt_none, flt_none};
    flt_node hat[3] = {flt_bad, flt_bad, in[2]};
    if (code[0].id < 0 || code[1].id < 0) return flt_bad;
    const double unit = pow((double)s->d * (double)flt_node_dim(g, code[0])[3], -0.25);
    for (size_t i = 0; i < 2; i++) hat[i] = coded_rows(g, in[i], flt_scale(g, gated(g, s, in, code[i]), unit));
    if (flt_form_chosen(s, "kernel", "exact")) return flt_form_softmax(g, s, hat, flt_none);
    return flt_form_features(g, s, hat, flt_form_argument(g, s, in, "omega"), none);
}
