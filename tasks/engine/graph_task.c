// SPDX-License-Identifier: MIT
// The objective of a graph task: one program for training minibatches, and for finite splits those that evaluation needs (whole
// chunks, and what is left of each split).
#include "engine/graph_task.h"
#include "engine/program.h"
#include "flt/memory.h"
#include "flt/random.h"

#include <math.h>

enum { SPLITS = 3, MAX_EVAL = SPLITS + 1 };

typedef struct graph_task {
    const flt_graph_task *kind;
    void *self; // the task file's state
    flt_program train;
    size_t chunk; // rows of the whole chunks of evaluation
    size_t n_eval;
    flt_program eval[MAX_EVAL];
    bool held; // the minibatch `which` is in train's arrays
    flt_batch which;
} graph_task;

// ---- life

static void destroy(void *self) {
    graph_task *t = self;
    if (t == NULL) return;
    flt_program_destroy(&t->train);
    for (size_t i = 0; i < t->n_eval; i++) flt_program_destroy(&t->eval[i]);
    if (t->self != NULL && t->kind->close != NULL) t->kind->close(t->self);
    flt_free(t->self);
    flt_free(t);
}

static flt_program *eval_program(graph_task *t, size_t rows) {
    for (size_t i = 0; i < t->n_eval; i++)
        if (t->eval[i].rows == rows) return &t->eval[i];
    return NULL;
}

static flt_err add_eval(graph_task *t, size_t rows) {
    flt_task_model facts;
    if (rows == 0 || eval_program(t, rows) != NULL) return FLTE_OK;
    return flt_program_create(t->kind, t->self, rows, false, &t->eval[t->n_eval++], &facts);
}

// The largest chunk that every split fills, so that splits of one size share a program.
static flt_err create_eval(graph_task *t) {
    size_t n[SPLITS];
    t->chunk = t->kind->eval_rows > 0 ? t->kind->eval_rows : FLTX_TASK_EVAL_ROWS;
    for (size_t s = 0; s < SPLITS; s++) {
        n[s] = t->kind->split_rows(t->self, (flt_split)s);
        if (n[s] > 0 && n[s] < t->chunk) t->chunk = n[s];
    }
    FLTX_TRY(add_eval(t, t->chunk));
    for (size_t s = 0; s < SPLITS; s++) FLTX_TRY(add_eval(t, n[s] % t->chunk));
    return FLTE_OK;
}

static flt_err create_programs(graph_task *t, const flt_params *p, flt_task_model *facts) {
    FLTX_TRY(flt_alloc(1, t->kind->size == 0 ? 1 : t->kind->size, &t->self));
    if (t->kind->open != NULL) FLTX_TRY(t->kind->open(t->self, p));
    const size_t rows = flt_params_has(p, "batch") ? flt_params_size(p, "batch") : 1;
    FLTX_TRY(flt_program_create(t->kind, t->self, rows, true, &t->train, facts));
    return t->kind->split_rows == NULL ? FLTE_OK : create_eval(t);
}

// ---- running

// The same minibatch again (its Hessian after its gradient, an antithetic pair) is not made again.
static void fill(graph_task *t, flt_batch which) {
    if (t->kind->batch == NULL) return;
    if (t->held && t->which.seed == which.seed && t->which.split == which.split && t->which.step == which.step) return;
    t->kind->batch(t->self, which, t->train.rows, t->train.data);
    t->which = which;
    t->held = true;
}

static flt_real gradient(void *self, flt_batch which, const flt_real *theta, flt_real *grad) {
    graph_task *t = self;
    flt_real loss;
    fill(t, which);
    if (grad != NULL) return flt_program_gradient(&t->train, theta, grad);
    flt_program_loss(&t->train, theta, &loss, NULL);
    return loss;
}

static void idle(void *self, const flt_real *theta, flt_real *grad) {
    graph_task *t = self;
    flt_program_idle(&t->train, theta, grad);
}

static double flops(const void *self) {
    const graph_task *t = self;
    return flt_exec_flops(t->train.gradient);
}

static void hessian_vector(void *self, flt_batch which, const flt_real *theta, const flt_real *v, flt_real *hv) {
    graph_task *t = self;
    fill(t, which);
    flt_program_hessian(&t->train, theta, v, hv);
}

static void init_tensor(flt_rng r, flt_task_init how, size_t n, flt_real *x) {
    flt_rng_normal(r, 0, n, x);
    for (size_t j = 0; j < n; j++) x[j] = (flt_real)((how.value == NULL ? how.mean : how.value[j]) + how.std * (double)x[j]);
}

static void init(void *self, uint64_t seed, flt_real *theta) {
    graph_task *t = self;
    const flt_task_parts *p = &t->train.parts;
    const flt_rng root = flt_rng_make(seed, "task.init", 0);
    if (t->kind->init != NULL) {
        t->kind->init(t->self, seed, theta);
        return;
    }
    for (size_t i = 0; i < p->layout.n; i++) {
        const flt_tensor_spec *tensor = &p->layout.tensor[i];
        init_tensor(flt_rng_child(root, tensor->name, 0), p->init[i], tensor->count, theta + tensor->offset);
    }
}

typedef struct mean { // weighted, in double, in a fixed order
    double loss, metric, weight;
} mean;

static void add_run(mean *m, flt_program *p, const flt_real *theta) {
    flt_real loss, metric;
    flt_program_loss(p, theta, &loss, &metric);
    m->loss += (double)p->rows * (double)loss;
    m->metric += (double)p->rows * (double)metric;
    m->weight += (double)p->rows;
}

static mean over_split(graph_task *t, uint64_t seed, flt_split split, const flt_real *theta) {
    const size_t n = t->kind->split_rows(t->self, split);
    mean m = {0};
    for (size_t first = 0; first < n; first += t->chunk) {
        const size_t rows = n - first < t->chunk ? n - first : t->chunk;
        flt_program *p = eval_program(t, rows);
        t->kind->examples(t->self, (flt_task_rows){seed, split, first, rows}, p->data);
        add_run(&m, p, theta);
    }
    return m;
}

static mean over_batches(graph_task *t, uint64_t seed, flt_split split, const flt_real *theta) {
    const uint64_t n = t->kind->batch == NULL ? 1 : FLTX_TASK_EVAL_BATCHES;
    mean m = {0};
    for (uint64_t step = 0; step < n; step++) {
        fill(t, (flt_batch){seed, split, step});
        add_run(&m, &t->train, theta);
    }
    return m;
}

static void evaluate(void *self, uint64_t seed, flt_split split, const flt_real *theta, flt_real *loss, flt_real *metric) {
    graph_task *t = self;
    const mean m = t->kind->split_rows != NULL ? over_split(t, seed, split, theta) : over_batches(t, seed, split, theta);
    *loss = (flt_real)(m.loss / m.weight);
    if (metric != NULL) *metric = t->train.has_metric ? (flt_real)(m.metric / m.weight) : (flt_real)NAN;
}

// ---- the objective

static void set_facts(const flt_task_model *m, flt_objective *out) {
    out->normaliser = m->normaliser > 0.0 ? m->normaliser : 1.0;
    out->clip_loss = m->clip_loss > 0.0 ? m->clip_loss : 4.0 * out->normaliser;
    out->has_minimum = m->has_minimum;
    out->minimum = m->minimum;
    out->metric = m->metric.id >= 0 ? m->metric_name : NULL;
    out->baseline_name = out->metric == NULL ? NULL : m->baseline_name;
    out->baseline = m->baseline;
    out->init = init;
    out->gradient = gradient;
    out->hessian_vector = hessian_vector;
    out->evaluate = evaluate;
    out->idle = idle;
    out->flops = flops;
    out->destroy = destroy;
}

flt_err flt_graph_task_create(const flt_graph_task *kind, const flt_params *p, flt_objective *out) {
    graph_task *t = NULL;
    flt_task_model facts;
    flt_err err = FLTE_OK;
    FLTX_TRY(flt_alloc(1, sizeof *t, &t));
    t->kind = kind;
    FLTX_GO(err, fail, create_programs(t, p, &facts));
    FLTX_GO(err, fail, flt_layout_copy(&t->train.parts.layout, &out->layout));
    set_facts(&facts, out);
    if (t->train.hessian == NULL) out->hessian_vector = NULL;
    out->self = t;
    return FLTE_OK;
fail:
    destroy(t);
    return err;
}
