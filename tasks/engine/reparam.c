// SPDX-License-Identifier: MIT
// Re-parametrisation augmentation, for every task: the optimizer sees theta' where the task sees theta = s theta', element by
// element.
//   init' = init / s, loss'(theta') = loss(s theta'), gradient' = s gradient, H' v = s H (s v)
// s is log-uniform in [1/S, S]: one for all (global), one a tensor, or one a parameter; a pure function of (the minibatch's seed,
// the tensor's name and number, the index). Each episode of one task has its own scales, so that meta-training augments without
// building anything again. Layout, normaliser and minimum are the task's.
// Reference: learned_optimization's ReparamWeights; Metz et al., VeLO, arXiv 2211.09760 (section of task augmentation).
// Cost: two passes over the parameters a step; at a seed's first step one random number and one exp a scale.
#include "engine/reparam.h"

#include "flt/memory.h"
#include "flt/random.h"
#include "flt/tasks.h"

#include <math.h>
#include <string.h>

static const flt_param_spec common[] = {
    {"reparam", FLTX_ENUM, "none", 0, 0, "none|global|tensor|parameter",
     "the optimizer sees the parameters in other scales: one for all, one a tensor, one a parameter"},
    {"reparam_scale", FLTX_REAL, "1000", 1, 1e6, NULL, "S: the scales are drawn by seed, log-uniform in 1/S .. S"},
    {0}};

const flt_param_spec *flt_task_common_params(void) {
    return common;
}

typedef enum mode { NONE, GLOBAL, TENSOR, PARAMETER, N_MODES } mode;
static const char *const modes[N_MODES] = {"none", "global", "tensor", "parameter"};

typedef struct reparam {
    flt_objective task;       // the functions and the self that are wrapped; its layout is empty
    const flt_layout *layout; // the wrapper's
    mode mode;
    double log_range; // log S
    bool held;        // scale is that of `seed`
    uint64_t seed;
    flt_real *scale, *theta, *v; // [P]
} reparam;

static void destroy(void *self) {
    reparam *r = self;
    if (r == NULL) return;
    if (r->task.destroy != NULL) r->task.destroy(r->task.self);
    flt_free(r->scale);
    flt_free(r->theta);
    flt_free(r->v);
    flt_free(r);
}

// ---- scales

static flt_real scale_at(const reparam *r, flt_rng stream, uint64_t index) {
    return (flt_real)exp(r->log_range * (2.0 * flt_rng_uniform_at(stream, index) - 1.0));
}

static void fill(size_t n, flt_real *x, flt_real value) {
    for (size_t i = 0; i < n; i++) x[i] = value;
}

static void draw_tensor(reparam *r, flt_rng root, size_t i) {
    const flt_tensor_spec *t = &r->layout->tensor[i];
    const flt_rng own = flt_rng_child(root, t->name, i);
    flt_real *s = r->scale + t->offset;
    if (r->mode == TENSOR)
        fill(t->count, s, scale_at(r, own, 0));
    else
        for (size_t j = 0; j < t->count; j++) s[j] = scale_at(r, own, j);
}

static void use_seed(reparam *r, uint64_t seed) {
    const flt_rng root = flt_rng_make(seed, "task.reparam", 0);
    if (r->held && r->seed == seed) return;
    if (r->mode == GLOBAL)
        fill(r->layout->total, r->scale, scale_at(r, root, 0));
    else
        for (size_t i = 0; i < r->layout->n; i++) draw_tensor(r, root, i);
    r->seed = seed;
    r->held = true;
}

static void multiply(size_t n, const flt_real *x, const flt_real *s, flt_real *y) {
    for (size_t i = 0; i < n; i++) y[i] = s[i] * x[i];
}

// ---- the functions of the objective

static void init(void *self, uint64_t seed, flt_real *theta) {
    reparam *r = self;
    use_seed(r, seed);
    r->task.init(r->task.self, seed, theta);
    for (size_t i = 0; i < r->layout->total; i++) theta[i] /= r->scale[i];
}

static flt_real gradient(void *self, flt_batch batch, const flt_real *theta, flt_real *grad) {
    reparam *r = self;
    const size_t n = r->layout->total;
    use_seed(r, batch.seed);
    multiply(n, theta, r->scale, r->theta);
    const flt_real loss = r->task.gradient(r->task.self, batch, r->theta, grad);
    if (grad != NULL) multiply(n, grad, r->scale, grad);
    return loss;
}

static void hessian_vector(void *self, flt_batch batch, const flt_real *theta, const flt_real *v, flt_real *hv) {
    reparam *r = self;
    const size_t n = r->layout->total;
    use_seed(r, batch.seed);
    multiply(n, theta, r->scale, r->theta);
    multiply(n, v, r->scale, r->v);
    r->task.hessian_vector(r->task.self, batch, r->theta, r->v, hv);
    multiply(n, hv, r->scale, hv);
}

static void evaluate(void *self, uint64_t seed, flt_split split, const flt_real *theta, flt_real *loss, flt_real *metric) {
    reparam *r = self;
    use_seed(r, seed);
    multiply(r->layout->total, theta, r->scale, r->theta);
    r->task.evaluate(r->task.self, seed, split, r->theta, loss, metric);
}

static void idle(void *self, const flt_real *theta, flt_real *grad) {
    reparam *r = self;
    r->task.idle(r->task.self, theta, grad);
}

static double flops(const void *self) { // two products by the scale
    const reparam *r = self;
    return r->task.flops(r->task.self) + 2.0 * (double)r->layout->total;
}

// ---- wrapping

static mode mode_of(const flt_params *p) {
    mode m = NONE;
    while (m < PARAMETER && strcmp(flt_params_text(p, "reparam"), modes[m]) != 0) m++;
    return m;
}

static flt_err allocate(reparam *r) {
    const size_t n = r->layout->total;
    FLTX_TRY(flt_alloc(n, sizeof *r->scale, &r->scale));
    FLTX_TRY(flt_alloc(n, sizeof *r->theta, &r->theta));
    return flt_alloc(n, sizeof *r->v, &r->v);
}

flt_err flt_reparam_wrap(const flt_params *p, flt_objective *o) {
    reparam *r = NULL;
    const mode m = mode_of(p);
    if (m == NONE) return FLTE_OK;
    FLTX_TRY(flt_alloc(1, sizeof *r, &r));
    *r = (reparam){.layout = &o->layout, .mode = m, .log_range = log(flt_params_real(p, "reparam_scale"))};
    const flt_err err = allocate(r);
    if (err != FLTE_OK) {
        destroy(r);
        return err;
    }
    r->task = *o;
    r->task.layout = (flt_layout){0};
    o->self = r;
    o->init = init;
    o->gradient = gradient;
    o->hessian_vector = r->task.hessian_vector == NULL ? NULL : hessian_vector;
    o->evaluate = evaluate;
    o->idle = r->task.idle == NULL ? NULL : idle;
    o->flops = r->task.flops == NULL ? NULL : flops;
    o->destroy = destroy;
    return FLTE_OK;
}
