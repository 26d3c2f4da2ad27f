// SPDX-License-Identifier: MIT
// The step's graph and its gradient, planned once; the recursion over a window.
#include "meta/engine/unroll.h"

#include "engine/graph_step.h"
#include "flt/memory.h"

#include <math.h>
#include <string.h>

struct flt_unroll {
    flt_objective *objective; // borrowed
    flt_graph_step step;
    flt_exec *forward;  // -> param, state
    flt_exec *backward; // -> gradients in theta, param, grad, state
    size_t P, words, n, longest, stride;
    // the window
    uint64_t seed, t;
    size_t made;      // steps whose loss was finite
    flt_real *clock;  // [FLTX_CLOCKS]
    flt_real *theta;  // [n]: a copy
    flt_real *kept;   // [longest / stride + 1, P + words]: param and state of every stride-th step
    flt_real *now;    // [stride, P + words]: of the steps between two of them
    flt_real *grad;   // [stride, P]
    flt_real *after;  // [P + words]: param and state after a step
    flt_real *lambda; // [P + words]
    flt_real *out;    // [n + 2 P + words]: what the gradient's graph gives
    flt_ws ws;
};

// ---- graphs

// Nodes of the derivative's inputs, and where their results go in `out`.
typedef struct ends {
    size_t n;
    flt_node *x, *dx;
    size_t *offset;
} ends;

static void add_end(ends *e, flt_node x, size_t offset) {
    if (x.id < 0) return;
    e->x[e->n] = x;
    e->offset[e->n++] = offset;
}

static flt_err list_ends(const flt_unroll *u, ends *e) {
    const flt_graph_step *s = &u->step;
    const size_t most = s->meta.n + 2 * s->layout.n + s->n_state;
    FLTX_TRY(flt_alloc(most, sizeof *e->x, &e->x));
    FLTX_TRY(flt_alloc(most, sizeof *e->dx, &e->dx));
    FLTX_TRY(flt_alloc(most, sizeof *e->offset, &e->offset));
    for (size_t i = 0; i < s->meta.n; i++) add_end(e, s->theta[i], s->meta.tensor[i].offset);
    for (size_t i = 0; i < s->layout.n; i++) add_end(e, s->param[i], u->n + s->layout.tensor[i].offset);
    for (size_t i = 0; i < s->n_state; i++) add_end(e, s->state[i].now, u->n + u->P + s->state[i].offset);
    for (size_t i = 0; i < s->layout.n; i++) add_end(e, s->grad[i], u->n + u->P + u->words + s->layout.tensor[i].offset);
    return FLTE_OK;
}

static void free_ends(ends *e) {
    flt_free(e->x);
    flt_free(e->dx);
    flt_free(e->offset);
}

// y + <lambda, x>: lambda an input bound for good.
typedef struct product {
    flt_node *lambda; // [layout.n + n_state]
    size_t n;
    flt_node y;
} product;

static void add_product(flt_unroll *u, product *p, flt_node x) {
    flt_graph *g = u->step.graph;
    if (x.id < 0) return;
    const flt_node lambda = flt_input(g, "lambda", flt_node_rank(g, x), flt_node_dim(g, x));
    p->lambda[p->n++] = lambda;
    p->y = flt_add(g, p->y, flt_sum_all(g, flt_mul(g, lambda, x)));
}

static void bind_lambda(const flt_unroll *u, const product *p) {
    const flt_graph_step *s = &u->step;
    size_t k = 0;
    for (size_t i = 0; i < s->layout.n; i++)
        if (s->next[i].id >= 0) flt_exec_bind(u->backward, p->lambda[k++], u->lambda + s->layout.tensor[i].offset);
    for (size_t i = 0; i < s->n_state; i++) flt_exec_bind(u->backward, p->lambda[k++], u->lambda + u->P + s->state[i].offset);
}

static flt_err make_backward(flt_unroll *u, ends *e, product *p) {
    const flt_graph_step *s = &u->step;
    FLTX_TRY(list_ends(u, e));
    FLTX_TRY(flt_alloc(s->layout.n + s->n_state, sizeof *p->lambda, &p->lambda));
    p->y = flt_scalar(s->graph, 0);
    for (size_t i = 0; i < s->layout.n; i++) add_product(u, p, s->next[i]);
    for (size_t i = 0; i < s->n_state; i++) add_product(u, p, s->state[i].next);
    FLTX_TRY(flt_gradient(s->graph, p->y, e->n, e->x, e->dx));
    FLTX_TRY(flt_exec_create(s->graph, e->n, e->dx, &u->backward));
    bind_lambda(u, p);
    for (size_t i = 0; i < e->n; i++) flt_exec_bind_output(u->backward, i, u->out + e->offset[i]);
    return FLTE_OK;
}

static flt_err make_forward(flt_unroll *u) {
    const flt_graph_step *s = &u->step;
    flt_node *out = NULL;
    size_t n = 0;
    FLTX_TRY(flt_alloc(s->layout.n + s->n_state, sizeof *out, &out));
    for (size_t i = 0; i < s->layout.n; i++)
        if (s->next[i].id >= 0) out[n++] = s->next[i];
    for (size_t i = 0; i < s->n_state; i++) out[n++] = s->state[i].next;
    const flt_err err = flt_exec_create(s->graph, n, out, &u->forward);
    flt_free(out);
    FLTX_TRY(err);
    n = 0;
    for (size_t i = 0; i < s->layout.n; i++)
        if (s->next[i].id >= 0) flt_exec_bind_output(u->forward, n++, u->after + s->layout.tensor[i].offset);
    for (size_t i = 0; i < s->n_state; i++) flt_exec_bind_output(u->forward, n++, u->after + u->P + s->state[i].offset);
    return FLTE_OK;
}

// What does not move from step to step.
static void bind_fixed(const flt_unroll *u, flt_exec *e) {
    const flt_graph_step *s = &u->step;
    flt_exec_bind(e, s->clock, u->clock);
    for (size_t i = 0; i < s->meta.n; i++)
        if (s->theta[i].id >= 0) flt_exec_bind(e, s->theta[i], u->theta + s->meta.tensor[i].offset);
}

static void bind_moving(const flt_unroll *u, flt_exec *e, const flt_real *param, const flt_real *state, const flt_real *grad) {
    const flt_graph_step *s = &u->step;
    for (size_t i = 0; i < s->layout.n; i++) {
        if (s->param[i].id < 0) continue;
        flt_exec_bind(e, s->param[i], param + s->layout.tensor[i].offset);
        flt_exec_bind(e, s->grad[i], grad + s->layout.tensor[i].offset);
    }
    for (size_t i = 0; i < s->n_state; i++) flt_exec_bind(e, s->state[i].now, state + s->state[i].offset);
}

// ---- life

static void bind_ws(void *self, flt_ws *ws) {
    flt_unroll *u = self;
    const size_t size = sizeof(flt_real), both = u->P + u->words;
    u->clock = flt_ws_take(ws, FLTX_CLOCKS, size);
    u->theta = flt_ws_take(ws, u->n, size);
    u->kept = flt_ws_take(ws, u->longest / u->stride + 1, both * size);
    u->now = flt_ws_take(ws, u->stride, both * size);
    u->grad = flt_ws_take(ws, u->stride, u->P * size);
    u->after = flt_ws_take(ws, both, size);
    u->lambda = flt_ws_take(ws, both, size);
    u->out = flt_ws_take(ws, u->n + u->P + both, size);
}

static flt_err make(flt_unroll *u, const flt_weights *w) {
    ends e = {0};
    product p = {0};
    FLTX_TRY(flt_graph_step_create(w, &u->objective->layout, &u->step));
    u->words = u->step.words;
    FLTX_TRY(flt_ws_create(bind_ws, u, &u->ws));
    FLTX_TRY(make_forward(u));
    const flt_err err = make_backward(u, &e, &p);
    free_ends(&e);
    flt_free(p.lambda);
    FLTX_TRY(err);
    bind_fixed(u, u->forward);
    bind_fixed(u, u->backward);
    flt_unroll_bind(u, w->theta);
    return FLTE_OK;
}

flt_err flt_unroll_create(const flt_weights *w, flt_objective *objective, size_t longest, flt_unroll **out) {
    flt_unroll *u = NULL;
    *out = NULL;
    if (objective->hessian_vector == NULL)
        return flt_fail(FLTE_UNSUPPORTED, objective->spec,
                        "the task has no second derivatives, which gradients through its updates need; the evolution strategies "
                        "(full_es, nres, pes) do without");
    FLTX_TRY(flt_alloc(1, sizeof *u, &u));
    *u = (flt_unroll){.objective = objective, .P = objective->layout.total, .n = w->layout.total, .longest = longest};
    u->stride = (size_t)ceil(sqrt((double)(longest > 0 ? longest : 1)));
    const flt_err err = make(u, w);
    if (err != FLTE_OK) {
        flt_unroll_destroy(u);
        return err;
    }
    *out = u;
    return FLTE_OK;
}

void flt_unroll_destroy(flt_unroll *u) {
    if (u == NULL) return;
    flt_exec_destroy(u->forward);
    flt_exec_destroy(u->backward);
    flt_graph_step_destroy(&u->step);
    flt_ws_destroy(&u->ws);
    flt_free(u);
}

size_t flt_unroll_words(const flt_unroll *u) {
    return u->words;
}

void flt_unroll_bind(flt_unroll *u, const flt_real *theta) {
    memcpy(u->theta, theta, u->n * sizeof *theta);
}

// ---- forward

void flt_unroll_start(flt_unroll *u, uint64_t seed, flt_real *param, flt_real *state) {
    u->objective->init(u->objective->self, seed, param);
    flt_graph_step_start(&u->step, state);
}

void flt_unroll_open(flt_unroll *u, uint64_t seed, uint64_t t) {
    u->seed = seed;
    u->t = t;
    u->made = 0;
}

static flt_batch batch_of(const flt_unroll *u, size_t i) {
    return (flt_batch){.seed = u->seed, .split = FLTX_TRAIN, .step = u->t + i};
}

// Param and state after step i, in `after`.
static void advance(flt_unroll *u, size_t i, const flt_real *param, const flt_real *state, const flt_real *grad) {
    flt_graph_step_clock(u->t + i, u->clock);
    bind_moving(u, u->forward, param, state, grad);
    flt_exec_run(u->forward);
}

flt_real flt_unroll_step(flt_unroll *u, flt_real *param, flt_real *state) {
    const size_t i = u->made, both = u->P + u->words;
    const flt_real loss = u->objective->gradient(u->objective->self, batch_of(u, i), param, u->grad);
    if (!isfinite(loss)) return loss;
    if (i % u->stride == 0) {
        flt_real *kept = u->kept + i / u->stride * both;
        memcpy(kept, param, u->P * sizeof *param);
        memcpy(kept + u->P, state, u->words * sizeof *state);
    }
    advance(u, i, param, state, u->grad);
    memcpy(param, u->after, u->P * sizeof *param);
    memcpy(state, u->after + u->P, u->words * sizeof *state);
    u->made++;
    return loss;
}

// ---- backward

// Steps first .. last - 1 once more, from what was kept: what each began with, and its gradient.
static void replay(flt_unroll *u, size_t first, size_t last) {
    const size_t both = u->P + u->words;
    memcpy(u->now, u->kept + first / u->stride * both, both * sizeof *u->now);
    for (size_t i = first; i < last; i++) {
        flt_real *now = u->now + (i - first) * both, *grad = u->grad + (i - first) * u->P;
        (void)u->objective->gradient(u->objective->self, batch_of(u, i), now, grad);
        if (i + 1 == last) break;
        advance(u, i, now, now + u->P, grad);
        memcpy(now + both, u->after, both * sizeof *now);
    }
}

// <lambda, step i>: its gradients in `out`, and what that in grad does to param, in `after`.
static void pull(flt_unroll *u, size_t i, const flt_real *now, const flt_real *grad) {
    flt_graph_step_clock(u->t + i, u->clock);
    bind_moving(u, u->backward, now, now + u->P, grad);
    flt_exec_run(u->backward);
    u->objective->hessian_vector(u->objective->self, batch_of(u, i), now, u->out + u->n + u->P + u->words, u->after);
}

// lambda_p += c times the gradient of the loss that counts.
static void add_loss(flt_unroll *u, size_t i, const flt_unroll_sum *sum, const flt_real *now, const flt_real *grad) {
    const flt_real c = (flt_real)sum->slope[i];
    flt_batch batch = batch_of(u, i);
    if (c == 0) return;
    if (sum->held_out) {
        batch.split = FLTX_VALID;
        (void)u->objective->gradient(u->objective->self, batch, now, u->after);
        grad = u->after;
    }
    for (size_t j = 0; j < u->P; j++) u->lambda[j] += c * grad[j];
}

// lambda of step i from that of step i + 1, which is 0 at the last one.
static void recur(flt_unroll *u, size_t i, const flt_unroll_sum *sum, const flt_real *now, const flt_real *grad,
                  double *gradient) {
    const flt_real *param = u->out + u->n;
    if (i + 1 == u->made) {
        memset(u->lambda, 0, (u->P + u->words) * sizeof *u->lambda);
    } else {
        pull(u, i, now, grad);
        for (size_t j = 0; j < u->n; j++) gradient[j] += (double)u->out[j];
        for (size_t j = 0; j < u->P; j++) u->lambda[j] = param[j] + u->after[j];
        memcpy(u->lambda + u->P, param + u->P, u->words * sizeof *u->lambda);
    }
    add_loss(u, i, sum, now, grad);
}

bool flt_unroll_gradient(flt_unroll *u, const flt_unroll_sum *sum, double *gradient) {
    const size_t both = u->P + u->words;
    size_t last = u->made;
    while (last > 0) {
        const size_t first = (last - 1) / u->stride * u->stride;
        replay(u, first, last);
        for (size_t i = last; i-- > first;) {
            if (sum->stop != NULL && sum->stop(sum->with)) return false;
            recur(u, i, sum, u->now + (i - first) * both, u->grad + (i - first) * u->P, gradient);
        }
        last = first;
    }
    return true;
}
