// SPDX-License-Identifier: MIT
// The step of lstm as a graph; formula and shapes in lstm.c. All coordinates of all tensors are rows of one matrix.
#include "engine/lstm_graph.h"

#include <math.h>
#include <stdio.h>

// The tensors of x, flat, one after the other: [P, 1].
static flt_node gather(const flt_graph_step *s, const flt_node *x) {
    flt_graph *g = s->graph;
    flt_node all = {-1};
    for (size_t i = 0; i < s->layout.n; i++) {
        const size_t count = s->layout.tensor[i].count;
        if (count == 0) continue;
        const flt_node flat = flt_reshape(g, x[i], 2, (size_t[]){count, 1});
        all = all.id < 0 ? flat : flt_concat(g, 2, (flt_node[]){all, flat}, 0);
    }
    return all;
}

// max(log(|g| + 2^-23) / k, -1), clip(g e^k, +-1): [P, 2]
static flt_node inputs(flt_graph *g, flt_node grad, double k) {
    const flt_node size = flt_add(g, flt_relu(g, grad), flt_relu(g, flt_neg(g, grad)));
    const flt_node logarithm = flt_scale(g, flt_log(g, flt_offset(g, size, 0x1p-23)), 1 / k);
    const flt_node parts[] = {flt_graph_at_least(g, logarithm, -1), flt_graph_clip(g, flt_scale(g, grad, exp(k)), 1)};
    return flt_concat(g, 2, parts, 1);
}

// h of cell `layer` on x; its state moves on.
static flt_node cell(flt_graph_step *s, size_t layer, size_t hidden, flt_node x) {
    flt_graph *g = s->graph;
    char w[32], b[32];
    const size_t dim[] = {s->layout.total, hidden};
    const flt_node h = flt_graph_step_state(s, 0, 2, dim), c = flt_graph_step_state(s, 0, 2, dim);
    flt_node gate[4];
    snprintf(w, sizeof w, "cells.%zu.w", layer);
    snprintf(b, sizeof b, "cells.%zu.b", layer);
    const flt_node z = flt_graph_layer(g, flt_concat(g, 2, (flt_node[]){x, h}, 1), flt_graph_step_theta(s, w),
                                       flt_graph_step_theta(s, b), false);
    for (size_t i = 0; i < 4; i++) gate[i] = flt_slice(g, z, 1, i * hidden, hidden);
    const flt_node kept = flt_mul(g, flt_sigmoid(g, flt_offset(g, gate[2], 1)), c);
    const flt_node now = flt_add(g, kept, flt_mul(g, flt_sigmoid(g, gate[0]), flt_tanh(g, gate[1])));
    const flt_node out = flt_mul(g, flt_sigmoid(g, gate[3]), flt_tanh(g, now));
    flt_graph_step_next(s, h, out);
    flt_graph_step_next(s, c, now);
    return out;
}

flt_err flt_lstm_graph(const flt_params *p, flt_graph_step *s) {
    flt_graph *g = s->graph;
    const size_t hidden = flt_params_size(p, "hidden"), layers = flt_params_size(p, "layers");
    flt_node x = inputs(g, gather(s, s->grad), flt_params_real(p, "k"));
    size_t at = 0;
    for (size_t i = 0; i < layers; i++) x = cell(s, i, hidden, x);
    const flt_node out = flt_graph_layer(g, x, flt_graph_step_theta(s, "head.w"), flt_graph_step_theta(s, "head.b"), false);
    const flt_node move = flt_scale(g, out, flt_params_real(p, "lr") * flt_params_real(p, "scale"));
    for (size_t i = 0; i < s->layout.n; i++) {
        const flt_tensor_spec *t = &s->layout.tensor[i];
        if (t->count == 0) continue;
        const flt_node own = flt_slice(g, move, 0, at, t->count);
        s->next[i] = flt_add(g, s->param[i], flt_reshape(g, own, t->rank, t->dim));
        at += t->count;
    }
    return FLTE_OK;
}
