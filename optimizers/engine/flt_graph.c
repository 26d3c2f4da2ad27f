// SPDX-License-Identifier: MIT
// The step of flt as a graph; formula and shapes in flt.c, features in engine/lopt_graph.c. S, z and the running key scale c are
// parts of the state. c cancels in what is read, so that its own derivative is zero but for rounding; |a_t|^2, |b_t|^2 and |q|^2
// are common factors and left out.
#include "engine/flt_graph.h"
#include "engine/flt_net.h"
#include "engine/lopt_graph.h"
#include "flt/memory.h"
#include "flt/real.h"

#include <math.h>
#include <stdio.h>

static const double no_key = -1e4; // the scale before the first key: far below all, and c + (key - c) keeps digits

typedef struct builder {
    flt_graph_step *s;
    const flt_net *net;
    const flt_real *fixed; // [full]: what stands behind theta
    flt_node position;     // rank 0
} builder;

// Head h of a tensor of theta [heads, rows, cols], or of what is fixed at `offset`: [rows, cols]
static flt_node head_of(const builder *b, const char *name, bool fixed, size_t offset, size_t h, size_t rows, size_t cols) {
    flt_graph *g = b->s->graph;
    const size_t dim[] = {rows, cols};
    if (fixed) return flt_constant(g, 2, dim, b->fixed + offset + h * rows * cols);
    return flt_reshape(g, flt_slice(g, flt_graph_step_theta(b->s, name), 0, h, 1), 2, dim);
}

// max over the last axis of x [n, m]: [n, 1]
static flt_node largest(flt_graph *g, flt_node x, size_t m) {
    while (m > 1) {
        const size_t half = (m + 1) / 2;
        const flt_node a = flt_slice(g, x, 1, 0, half), b = flt_slice(g, x, 1, m - half, half);
        x = flt_add(g, a, flt_relu(g, flt_sub(g, b, a)));
        m = half;
    }
    return x;
}

// ---- the relative encoding: what omega's columns for the positions add to all log features, [1, m]

typedef struct encoding {
    flt_node query, key;
} encoding;

static encoding encode(const builder *b, size_t h, flt_node omega) {
    flt_graph *g = b->s->graph;
    const flt_net *n = b->net;
    const flt_node xi = head_of(b, "xi", n->fixed_spectrum, n->xi, h, 1, n->r);
    const flt_node rho = head_of(b, "rho", n->fixed_spectrum, n->rho, h, 1, n->r);
    const flt_node phase = flt_scale(g, flt_mul(g, xi, b->position), FLTX_TWO_PI);
    const double root = 1 / sqrt((double)n->r);
    const flt_node cosine = flt_scale(g, flt_cos(g, phase), root), sine = flt_scale(g, flt_sin(g, phase), root);
    const flt_node wave = flt_concat(g, 2, (flt_node[]){cosine, sine}, 1);
    const flt_node twice = flt_concat(g, 2, (flt_node[]){rho, rho}, 1);
    const flt_node columns = flt_slice(g, omega, 1, n->dk, 2 * n->r);
    return (encoding){flt_matmul(g, flt_mul(g, twice, wave), columns, false, true), flt_matmul(g, wave, columns, false, true)};
}

// ---- attention of one head

// S and z take the token in and are read: o [n, dv]. lq, lk [n, m]: log features; u [n, dv].
static flt_node attend(const builder *b, size_t h, size_t n, flt_node lq, flt_node lk, flt_node u) {
    flt_graph_step *s = b->s;
    flt_graph *g = s->graph;
    const size_t m = b->net->m, dv = b->net->dv;
    const flt_node S = flt_graph_step_state(s, 0, 3, (size_t[]){n, m, dv}), z = flt_graph_step_state(s, 0, 2, (size_t[]){n, m});
    const flt_node c = flt_graph_step_state(s, no_key, 2, (size_t[]){n, 1});
    const flt_node grown = flt_add(g, c, flt_relu(g, flt_sub(g, largest(g, lk, m), c)));
    flt_node fade = flt_sub(g, c, grown);
    if (flt_net_discounts(b->net)) {
        const flt_node tau = flt_relu(g, flt_slice(g, flt_graph_step_theta(s, "tau"), 0, h, 1));
        fade = flt_sub(g, fade, tau);
    }
    const flt_node kept = flt_exp(g, fade), key = flt_exp(g, flt_sub(g, lk, grown));
    const flt_node query = flt_exp(g, flt_sub(g, lq, largest(g, lq, m)));
    const size_t across[] = {n, m, 1}, along[] = {n, 1, dv}, single[] = {n, 1, 1};
    const flt_node token = flt_mul(g, flt_reshape(g, key, 3, across), flt_reshape(g, u, 3, along));
    const flt_node new_S = flt_add(g, flt_mul(g, flt_reshape(g, kept, 3, single), S), token);
    const flt_node new_z = flt_add(g, flt_mul(g, kept, z), key);
    flt_graph_step_next(s, S, new_S);
    flt_graph_step_next(s, z, new_z);
    flt_graph_step_next(s, c, grown);
    const flt_node above = flt_reduce_sum(g, flt_mul(g, flt_reshape(g, query, 3, across), new_S), 1u << 1, false);
    return flt_div(g, above, flt_reduce_sum(g, flt_mul(g, query, new_z), 1u << 1, true));
}

static flt_node head(const builder *b, size_t h, size_t n, flt_node x) {
    flt_graph *g = b->s->graph;
    const flt_net *t = b->net;
    const double scale = 1 / sqrt(sqrt((double)t->dk));
    const flt_node omega = head_of(b, "omega", t->fixed_omega, t->omega, h, t->m, t->D);
    const flt_node own = flt_slice(g, omega, 1, 0, t->dk);
    const flt_node q = flt_scale(g, flt_matmul(g, x, head_of(b, "wq", false, 0, h, t->features, t->dk), false, false), scale);
    const flt_node k = flt_scale(g, flt_matmul(g, x, head_of(b, "wk", false, 0, h, t->features, t->dk), false, false), scale);
    const flt_node u = flt_matmul(g, x, head_of(b, "wv", false, 0, h, t->features, t->dv), false, false);
    const flt_node length = flt_scale(g, flt_reduce_sum(g, flt_square(g, k), 1u << 1, true), 0.5);
    flt_node lq = flt_matmul(g, q, own, false, true), lk = flt_sub(g, flt_matmul(g, k, own, false, true), length);
    if (t->memory == FLTX_MEMORY_FLT) {
        const encoding e = encode(b, h, omega);
        lq = flt_add(g, lq, e.query);
        lk = flt_add(g, lk, e.key);
    }
    return attend(b, h, n, lq, lk, u);
}

// ---- the network and its output

static flt_node network(const builder *b, size_t n, flt_node x) {
    flt_graph *g = b->s->graph;
    const flt_net *t = b->net;
    flt_node in = x;
    for (size_t h = 0; h < t->heads; h++) in = flt_concat(g, 2, (flt_node[]){in, head(b, h, n, x)}, 1);
    if (t->clock) {
        const flt_node times = flt_slice(g, b->s->clock, 0, 0, FLTX_TIMES);
        in = flt_concat(g, 2, (flt_node[]){in, flt_broadcast(g, times, 2, (size_t[]){n, FLTX_TIMES})}, 1);
    }
    for (size_t i = 0; i < t->n_layers; i++) {
        char w[32], bias[32];
        snprintf(w, sizeof w, "layers.%zu.w", i);
        snprintf(bias, sizeof bias, "layers.%zu.b", i);
        in = flt_graph_layer(g, in, flt_graph_step_theta(b->s, w), flt_graph_step_theta(b->s, bias), i + 1 < t->n_layers);
    }
    return in;
}

// lr min(1, (t + 1) / warmup)
static flt_node full_rate(const builder *b) {
    flt_graph *g = b->s->graph;
    if (b->net->warmup <= 0) return flt_scalar(g, b->net->lr);
    const flt_node t = flt_reshape(g, flt_slice(g, b->s->clock, 0, FLTX_CLOCK_T, 1), 0, NULL);
    const flt_node missing = flt_relu(g, flt_offset(g, flt_scale(g, t, -1 / b->net->warmup), 1 - 1 / b->net->warmup));
    return flt_scale(g, flt_offset(g, flt_neg(g, missing), 1), b->net->lr);
}

// lr min(1, (t + 1) / warmup) exp(log_lr[0] + log_lr[1] position)
static flt_node rate_of(const builder *b) {
    flt_graph *g = b->s->graph;
    if (!b->net->lr_time) return full_rate(b);
    const flt_node log_lr = flt_graph_step_theta(b->s, "log_lr");
    const flt_node start = flt_reshape(g, flt_slice(g, log_lr, 0, 0, 1), 0, NULL);
    const flt_node slope = flt_reshape(g, flt_slice(g, log_lr, 0, 1, 1), 0, NULL);
    return flt_mul(g, flt_exp(g, flt_add(g, start, flt_mul(g, slope, b->position))), full_rate(b));
}

// form=adam: prod_d min(rms(m_d rs), 1)^snr_d
static flt_node clearness(const builder *b, flt_node momentum) {
    flt_graph *g = b->s->graph;
    const flt_node square = flt_reduce_mean(g, flt_square(g, momentum), 1u, false);
    const flt_node full = flt_scale(g, flt_log(g, flt_offset(g, square, 1e-9)), 0.5);
    const flt_node logarithm = flt_neg(g, flt_relu(g, flt_neg(g, full)));
    return flt_exp(g, flt_sum_all(g, flt_mul(g, flt_graph_step_theta(b->s, "snr"), logarithm)));
}

static void step_tensor(const builder *b, size_t i) {
    flt_graph_step *s = b->s;
    flt_graph *g = s->graph;
    const flt_lopt_nodes f = flt_lopt_graph_features(s, i, FLTX_CELO2, 1e-9, b->net->raw);
    const flt_node out = network(b, s->layout.tensor[i].count, f.x);
    const flt_node direction = flt_slice(g, out, 1, 0, 1), magnitude = flt_slice(g, out, 1, 1, 1);
    const flt_node gain = flt_mean_all(g, flt_exp(g, flt_scale(g, flt_graph_clip(g, magnitude, 10), 0.1)));
    flt_node factor = flt_mul(g, rate_of(b), gain);
    if (b->net->adam) factor = flt_mul(g, factor, clearness(b, f.momentum));
    factor = flt_mul(g, factor, flt_graph_rsqrt(g, flt_mean_all(g, flt_square(g, direction)), 1e-9));
    s->next[i] = flt_lopt_graph_subtract(s, i, flt_mul(g, direction, factor));
}

static flt_node position_of(const flt_graph_step *s, const flt_net *n) {
    flt_graph *g = s->graph;
    const flt_node t = flt_slice(g, s->clock, 0, n->linear ? FLTX_CLOCK_T : FLTX_CLOCK_LOG, 1);
    return flt_scale(g, flt_reshape(g, t, 0, NULL), n->linear ? 1 / n->t_ref : 1 / log1p(n->t_ref));
}

flt_err flt_net_graph(const flt_params *p, flt_graph_step *s) {
    flt_net n;
    flt_real *fixed = NULL;
    FLTX_TRY(flt_net_make(p, &n));
    if (n.memory == FLTX_MEMORY_WINDOW || n.memory == FLTX_MEMORY_SPE_SINE)
        return flt_fail(FLTE_UNSUPPORTED, "flt",
                        "memory=%s is not written as a graph, so no gradient goes through its steps; possible: flt, performer, "
                        "discount, none",
                        flt_params_text(p, "memory"));
    if (n.eigen)
        return flt_fail(FLTE_UNSUPPORTED, "flt",
                        "basis=eigen is not written as a graph, so no gradient goes through its steps; possible: none");
    if (n.adaptive)
        return flt_fail(FLTE_UNSUPPORTED, "flt",
                        "form=adaptive is not written as a graph, so no gradient goes through its steps; possible: spec, adam");
    if (n.schedule != FLTX_CONSTANT)
        return flt_fail(FLTE_UNSUPPORTED, "flt",
                        "schedule=%s is not written as a graph, so no gradient goes through its steps; possible: constant",
                        flt_params_text(p, "schedule"));
    FLTX_TRY(flt_alloc(n.full, sizeof *fixed, &fixed));
    const flt_err err = flt_net_fix(&n, fixed);
    const builder b = {s, &n, fixed, position_of(s, &n)};
    for (size_t i = 0; i < s->layout.n && err == FLTE_OK; i++)
        if (s->layout.tensor[i].count > 0) step_tensor(&b, i);
    flt_free(fixed);
    return err;
}
