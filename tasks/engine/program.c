// SPDX-License-Identifier: MIT
// Building a model, deriving it twice, planning its executors.
#include "engine/program.h"
#include "flt/memory.h"

#include <stdio.h>
#include <string.h>

static const flt_node bad = {-1};

// ---- collecting tensors and inputs

// Appends one element to an array of `n`. Arrays are short and built once: growing by one keeps them free of a capacity.
static flt_err append(void *array /* T ** */, size_t n, size_t size, const void *element) {
    unsigned char *old = NULL, *grown = NULL;
    memcpy(&old, array, sizeof old);
    FLTX_TRY(flt_alloc(n + 1, size, &grown));
    if (n > 0) memcpy(grown, old, n * size);
    memcpy(grown + n * size, element, size);
    flt_free(old);
    memcpy(array, &grown, sizeof grown);
    return FLTE_OK;
}

static flt_err add_tensor(flt_task_parts *p, flt_node node, const char *name, size_t rank, const size_t *dim,
                          flt_task_init init) {
    const size_t n = p->layout.n;
    double *value = NULL;
    FLTX_TRY(append(&p->tensor, n, sizeof node, &node));
    FLTX_TRY(append(&p->init, n, sizeof(flt_task_init), &(flt_task_init){init.mean, init.std, NULL}));
    FLTX_TRY(flt_layout_add(&p->layout, name, rank, dim));
    if (init.value == NULL) return FLTE_OK;
    const size_t count = p->layout.tensor[n].count;
    FLTX_TRY(flt_alloc(count, sizeof *value, &value));
    memcpy(value, init.value, count * sizeof *value);
    p->init[n].value = value;
    return FLTE_OK;
}

flt_node flt_task_tensor(flt_task_model *m, const char *name, size_t rank, const size_t *dim, flt_task_init init) {
    if (m->parts->err != FLTE_OK) return bad;
    const flt_node node = flt_input(m->graph, name, rank, dim);
    m->parts->err = add_tensor(m->parts, node, name, rank, dim, init);
    return m->parts->err == FLTE_OK ? node : bad;
}

flt_node flt_task_input(flt_task_model *m, const char *name, size_t rank, const size_t *dim) {
    flt_task_parts *p = m->parts;
    if (p->err != FLTE_OK) return bad;
    const flt_node node = flt_input(m->graph, name, rank, dim);
    p->err = append(&p->input, p->n_inputs, sizeof node, &node);
    if (p->err != FLTE_OK) return bad;
    p->n_inputs++;
    return node;
}

flt_node flt_task_fail(flt_task_model *m, flt_err err) {
    if (m->parts->err == FLTE_OK) m->parts->err = err;
    return bad;
}

static void free_value(const double *value) {
    void *mine = NULL;
    memcpy(&mine, &value, sizeof mine); // made by add_tensor, shown to task files as constant
    flt_free(mine);
}

static void parts_destroy(flt_task_parts *p) {
    for (size_t i = 0; p->init != NULL && i < p->layout.n; i++) free_value(p->init[i].value);
    flt_layout_free(&p->layout);
    flt_free(p->init);
    flt_free(p->tensor);
    flt_free(p->input);
}

// ---- executors

static flt_err plan_loss(flt_program *p, const flt_task_model *m) {
    const flt_node outputs[] = {m->loss, m->metric};
    p->has_metric = m->metric.id >= 0;
    return flt_exec_create(m->graph, p->has_metric ? 2 : 1, outputs, &p->loss);
}

// outputs [n + 1]
static flt_err plan_gradient(flt_program *p, const flt_task_model *m, flt_node *outputs) {
    const size_t n = p->parts.layout.n;
    outputs[0] = m->loss;
    FLTX_TRY(flt_gradient(m->graph, m->loss, n, p->parts.tensor, outputs + 1));
    return flt_exec_create(m->graph, n + 1, outputs, &p->gradient);
}

static flt_err plan_hessian(flt_program *p, const flt_task_model *m, flt_node *outputs) {
    const size_t n = p->parts.layout.n;
    FLTX_TRY(flt_alloc(n, sizeof *p->direction, &p->direction));
    for (size_t i = 0; i < n; i++) {
        const flt_tensor_spec *t = &p->parts.layout.tensor[i];
        p->direction[i] = flt_input(m->graph, "direction", t->rank, t->dim);
    }
    FLTX_TRY(flt_hessian_vector(m->graph, m->loss, n, p->parts.tensor, p->direction, outputs));
    return flt_exec_create(m->graph, n, outputs, &p->hessian);
}

static flt_err plan_derivatives(flt_program *p, const flt_task_model *m) {
    flt_node *outputs = NULL;
    FLTX_TRY(flt_alloc(p->parts.layout.n + 1, sizeof *outputs, &outputs));
    flt_err err = plan_gradient(p, m, outputs);
    if (err == FLTE_OK && !m->first_order) err = plan_hessian(p, m, outputs);
    flt_free(outputs);
    return err;
}

// The arrays of the minibatch stay where they are: bound once.
static flt_err bind_inputs(flt_program *p, const flt_graph *g) {
    flt_exec *const executors[] = {p->loss, p->gradient, p->hessian};
    FLTX_TRY(flt_alloc(p->parts.n_inputs, sizeof *p->data, &p->data));
    for (size_t i = 0; i < p->parts.n_inputs; i++) {
        const flt_node input = p->parts.input[i];
        FLTX_TRY(flt_alloc(flt_node_count(g, input), sizeof **p->data, &p->data[i]));
        for (size_t k = 0; k < 3; k++)
            if (executors[k] != NULL) flt_exec_bind(executors[k], input, p->data[i]);
    }
    return FLTE_OK;
}

// ---- life

static flt_err build(const flt_graph_task *kind, void *self, flt_program *p, bool differentiate, flt_task_model *m) {
    kind->build(self, m);
    FLTX_TRY(p->parts.err);
    FLTX_TRY(flt_graph_status(m->graph));
    FLTX_TRY(plan_loss(p, m));
    if (differentiate) FLTX_TRY(plan_derivatives(p, m));
    return bind_inputs(p, m->graph);
}

flt_err flt_program_create(const flt_graph_task *kind, void *self, size_t rows, bool differentiate, flt_program *out,
                           flt_task_model *facts) {
    *out = (flt_program){.rows = rows};
    *facts = (flt_task_model){.rows = rows, .loss = bad, .metric = bad, .parts = &out->parts};
    FLTX_TRY(flt_graph_create(&facts->graph));
    const flt_err err = build(kind, self, out, differentiate, facts);
    flt_graph_destroy(facts->graph);
    facts->graph = NULL;
    facts->parts = NULL;
    return err;
}

void flt_program_destroy(flt_program *p) {
    flt_exec_destroy(p->loss);
    flt_exec_destroy(p->gradient);
    flt_exec_destroy(p->hessian);
    for (size_t i = 0; p->data != NULL && i < p->parts.n_inputs; i++) flt_free(p->data[i]);
    flt_free(p->data);
    flt_free(p->direction);
    parts_destroy(&p->parts);
    *p = (flt_program){0};
}

// ---- running

// Binds each tensor of a flat vector to its node, unless it is bound to that vector already: an optimizer moves one in place.
static void bind_flat(flt_exec *e, const flt_layout *l, const flt_node *node, const flt_real *flat, const flt_real **bound) {
    if (*bound == flat) return;
    for (size_t i = 0; i < l->n; i++) flt_exec_bind(e, node[i], flat + l->tensor[i].offset);
    *bound = flat;
}

// Has the outputs from `first` on written into a flat vector.
static void bind_outputs(flt_exec *e, const flt_layout *l, size_t first, flt_real *flat, const flt_real **bound) {
    if (*bound == flat) return;
    for (size_t i = 0; i < l->n; i++) flt_exec_bind_output(e, first + i, flat + l->tensor[i].offset);
    *bound = flat;
}

void flt_program_loss(flt_program *p, const flt_real *theta, flt_real *loss, flt_real *metric) {
    bind_flat(p->loss, &p->parts.layout, p->parts.tensor, theta, &p->bound.loss);
    flt_exec_run(p->loss);
    *loss = *flt_exec_output(p->loss, 0);
    if (metric != NULL) *metric = p->has_metric ? *flt_exec_output(p->loss, 1) : (flt_real)0;
}

static void bind_gradient(flt_program *p, const flt_real *theta, flt_real *grad) {
    const flt_layout *l = &p->parts.layout;
    bind_flat(p->gradient, l, p->parts.tensor, theta, &p->bound.theta);
    bind_outputs(p->gradient, l, 1, grad, &p->bound.grad);
}

flt_real flt_program_gradient(flt_program *p, const flt_real *theta, flt_real *grad) {
    bind_gradient(p, theta, grad);
    flt_exec_run(p->gradient);
    return *flt_exec_output(p->gradient, 0);
}

void flt_program_idle(flt_program *p, const flt_real *theta, flt_real *grad) {
    bind_gradient(p, theta, grad);
    flt_exec_idle(p->gradient);
}

void flt_program_hessian(flt_program *p, const flt_real *theta, const flt_real *v, flt_real *hv) {
    const flt_layout *l = &p->parts.layout;
    bind_flat(p->hessian, l, p->parts.tensor, theta, &p->bound.hessian);
    bind_flat(p->hessian, l, p->direction, v, &p->bound.v);
    bind_outputs(p->hessian, l, 0, hv, &p->bound.hv);
    flt_exec_run(p->hessian);
}
