// SPDX-License-Identifier: MIT
// Accumulators of several decays are columns of one node. Those of rows and columns keep the averaged axis with length 1, so that
// they stretch back to the tensor by themselves.
#include "engine/lopt_graph.h"

#include "engine/axes.h"
#include <stdio.h>

enum { DECAYS = FLTX_LOPT_DECAYS, MEANS = 6 };

static const double keep[DECAYS] = {0.9, 0.99, 0.999};
static const double mean_keep[MEANS] = {0.1, 0.5, 0.9, 0.99, 0.999, 0.9999};

static flt_node row_of(flt_graph *g, size_t n, const double *x, bool rest) {
    flt_real row[MEANS];
    for (size_t i = 0; i < n; i++) row[i] = (flt_real)(rest ? 1 - x[i] : x[i]);
    return flt_constant(g, 1, &n, row);
}

// Follows the mean of y, which stretches to the state's shape, with n decays along the last axis.
static flt_node follow(flt_graph_step *s, size_t rank, const size_t *dim, size_t n, const double *decay, flt_node y) {
    flt_graph *g = s->graph;
    const flt_node now = flt_graph_step_state(s, 0, rank, dim);
    const flt_node next = flt_add(g, flt_mul(g, now, row_of(g, n, decay, false)), flt_mul(g, y, row_of(g, n, decay, true)));
    flt_graph_step_next(s, now, next);
    return next;
}

static flt_node srs(flt_graph *g, flt_node x) {
    return flt_graph_rsqrt(g, flt_graph_at_least(g, x, 1e-9), 0);
}

// ---- moments of rows and columns

typedef struct moments { // [n, DECAYS] each
    flt_node row, col, on_g, on_m;
} moments;

static flt_node expand(flt_graph *g, const flt_tensor_spec *t, flt_node x) {
    size_t dim[FLTX_MAX_RANK];
    for (size_t i = 0; i < t->rank; i++) dim[i] = t->dim[i];
    dim[t->rank] = DECAYS;
    return flt_reshape(g, flt_broadcast(g, x, t->rank + 1, dim), 2, (size_t[]){t->count, DECAYS});
}

static flt_node line(flt_graph_step *s, const flt_tensor_spec *t, size_t axis, flt_node square) {
    size_t dim[FLTX_MAX_RANK];
    for (size_t i = 0; i < t->rank; i++) dim[i] = i == axis ? 1 : t->dim[i];
    dim[t->rank] = DECAYS;
    return follow(s, t->rank + 1, dim, DECAYS, keep, flt_reduce_mean(s->graph, square, 1u << axis, true));
}

static moments factored(flt_graph_step *s, const flt_tensor_spec *t, flt_node grad) {
    flt_graph *g = s->graph;
    size_t axis[2], dim[FLTX_MAX_RANK];
    for (size_t i = 0; i < t->rank; i++) dim[i] = t->dim[i];
    dim[t->rank] = 1;
    flt_largest_axes(t, axis);
    const flt_node square = flt_offset(g, flt_square(g, flt_reshape(g, grad, t->rank + 1, dim)), 1e-30);
    const flt_node row = line(s, t, axis[0], square), col = line(s, t, axis[1], square);
    const flt_node mean = flt_reduce_mean(g, row, 1u << axis[1], true);
    const flt_node on_row = srs(g, flt_div(g, row, flt_offset(g, mean, 1e-9)));
    const flt_node factor = flt_mul(g, expand(g, t, on_row), expand(g, t, srs(g, col)));
    return (moments){expand(g, t, row), expand(g, t, col), factor, factor};
}

static moments plain(flt_graph_step *s, const flt_tensor_spec *t, flt_node g1) {
    flt_graph *g = s->graph;
    const size_t dim[] = {t->count, DECAYS};
    const flt_node v = follow(s, 2, dim, DECAYS, keep, flt_offset(g, flt_square(g, g1), 1e-30));
    return (moments){v, v, srs(g, flt_offset(g, v, 1e-9)), flt_graph_rsqrt(g, v, 1e-6)};
}

// ---- features

static flt_node column(const flt_graph_step *s, size_t i, flt_node x) {
    return flt_reshape(s->graph, x, 2, (size_t[]){s->layout.tensor[i].count, 1});
}

static flt_node means(flt_graph_step *s, size_t i) {
    const size_t n = s->layout.tensor[i].count;
    const flt_node grad = column(s, i, s->grad[i]);
    const flt_node m = follow(s, 2, (size_t[]){n, MEANS}, MEANS, mean_keep, grad);
    return flt_concat(s->graph, 3, (flt_node[]){grad, column(s, i, s->param[i]), m}, 1);
}

typedef struct own {
    flt_node g, p, v, rs;
} own;

static own own_features(flt_graph_step *s, size_t i, bool celo2) {
    flt_graph *g = s->graph;
    const double b = celo2 ? 0.95 : 0.999;
    own o = {.g = column(s, i, s->grad[i]), .p = column(s, i, s->param[i])};
    o.v = follow(s, 2, (size_t[]){s->layout.tensor[i].count, 1}, 1, &b, flt_square(g, o.g));
    o.rs = flt_graph_rsqrt(g, o.v, celo2 ? 1e-8 : 1e-6);
    return o;
}

static flt_node raw_features(flt_graph_step *s, size_t i) {
    flt_graph *g = s->graph;
    const own o = own_features(s, i, true);
    const flt_node parts[] = {o.g, flt_graph_clip(g, o.g, 0.1), o.p, o.v, o.rs, flt_mul(g, o.g, o.rs)};
    return flt_concat(g, sizeof parts / sizeof *parts, parts, 1);
}

static flt_node adafac(flt_graph_step *s, size_t i, bool celo2, flt_node *momentum) {
    flt_graph *g = s->graph;
    const flt_tensor_spec *t = &s->layout.tensor[i];
    const own o = own_features(s, i, celo2);
    const flt_node m = follow(s, 2, (size_t[]){t->count, DECAYS}, DECAYS, keep, o.g);
    const moments v = t->rank >= 2 ? factored(s, t, s->grad[i]) : plain(s, t, o.g);
    flt_node part[16];
    size_t n = 0;
    *momentum = flt_mul(g, m, o.rs);
    part[n++] = o.g;
    if (celo2) part[n++] = flt_graph_clip(g, o.g, 0.1);
    part[n++] = o.p;
    part[n++] = m;
    part[n++] = o.v;
    part[n++] = *momentum;
    part[n++] = o.rs;
    part[n++] = flt_mul(g, o.g, v.on_g);
    if (celo2) part[n++] = flt_mul(g, o.g, o.rs);
    part[n++] = v.row;
    part[n++] = v.col;
    part[n++] = flt_graph_rsqrt(g, v.row, 1e-8);
    part[n++] = flt_graph_rsqrt(g, v.col, 1e-8);
    part[n++] = flt_mul(g, m, v.on_m);
    return flt_concat(g, n, part, 1);
}

flt_lopt_nodes flt_lopt_graph_features(flt_graph_step *s, size_t i, flt_lopt_features features, double eps, bool raw) {
    flt_graph *g = s->graph;
    flt_lopt_nodes out = {.momentum = {-1}};
    flt_node x;
    if (raw)
        x = raw_features(s, i);
    else if (features == FLTX_MEANS)
        x = means(s, i);
    else
        x = adafac(s, i, features == FLTX_CELO2, &out.momentum);
    out.x = flt_mul(g, x, flt_graph_rsqrt(g, flt_reduce_mean(g, flt_square(g, x), 1u, true), eps));
    return out;
}

// ---- network and rule

flt_node flt_lopt_graph_outputs(const flt_lopt_form *form, const flt_params *p, flt_graph_step *s, size_t i) {
    flt_graph *g = s->graph;
    const size_t layers = flt_params_size(p, "layers") + 1, n = s->layout.tensor[i].count;
    flt_node x = flt_lopt_graph_features(s, i, form->features, form->eps, false).x;
    if (form->shared > 0) {
        const flt_node times = flt_slice(g, s->clock, 0, 0, FLTX_TIMES);
        x = flt_concat(g, 2, (flt_node[]){x, flt_broadcast(g, times, 2, (size_t[]){n, FLTX_TIMES})}, 1);
    }
    for (size_t k = 0; k < layers; k++) {
        char w[32], b[32];
        snprintf(w, sizeof w, "layers.%zu.w", k);
        snprintf(b, sizeof b, "layers.%zu.b", k);
        x = flt_graph_layer(g, x, flt_graph_step_theta(s, w), flt_graph_step_theta(s, b), k + 1 < layers);
    }
    return x;
}

flt_node flt_lopt_graph_subtract(const flt_graph_step *s, size_t i, flt_node d) {
    const flt_tensor_spec *t = &s->layout.tensor[i];
    return flt_sub(s->graph, s->param[i], flt_reshape(s->graph, d, t->rank, t->dim));
}

flt_err flt_lopt_classic_graph(const flt_lopt_form *form, const flt_params *p, flt_graph_step *s) {
    flt_graph *g = s->graph;
    const double rate = flt_params_real(p, "lr") * flt_params_real(p, "step_mult");
    for (size_t i = 0; i < s->layout.n; i++) {
        if (s->layout.tensor[i].count == 0) continue;
        const flt_node out = flt_lopt_graph_outputs(form, p, s, i);
        const flt_node gain = flt_exp(g, flt_scale(g, flt_slice(g, out, 1, 1, 1), 1e-3));
        s->next[i] = flt_lopt_graph_subtract(s, i, flt_scale(g, flt_mul(g, flt_slice(g, out, 1, 0, 1), gain), rate));
    }
    return FLTE_OK;
}
