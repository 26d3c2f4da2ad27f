// SPDX-License-Identifier: MIT
// Inputs of the graph of a step, its state, and small formulas that the kinds share.
#include "engine/graph_step.h"
#include "flt/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const flt_node none = {-1};

// "lstm, celo2, ..": the kinds that have a graph.
static void list_kinds(size_t size, char *out) {
    size_t used = 0;
    out[0] = '\0';
    for (const flt_kind *const *k = flt_optimizer_registry()->kinds; *k != NULL && used < size; k++)
        if (((const flt_optimizer_kind *)*k)->graph != NULL)
            used += (size_t)snprintf(out + used, size - used, "%s%s", used > 0 ? ", " : "", (*k)->name);
}

static flt_err unsupported(const char *name) {
    char list[256];
    list_kinds(sizeof list, list);
    return flt_fail(FLTE_UNSUPPORTED, name, "its step is not written as a graph, so no gradient goes through it; possible: %s",
                    list);
}

// ---- inputs

static flt_node input_of(flt_graph *g, const char *side, const flt_tensor_spec *t) {
    char name[80];
    if (t->count == 0) return none;
    snprintf(name, sizeof name, "%s.%s", side, t->name);
    return flt_input(g, name, t->rank, t->dim);
}

static flt_err make_inputs(flt_graph_step *s) {
    FLTX_TRY(flt_alloc(s->meta.n, sizeof *s->theta, &s->theta));
    FLTX_TRY(flt_alloc(s->layout.n, sizeof *s->param, &s->param));
    FLTX_TRY(flt_alloc(s->layout.n, sizeof *s->grad, &s->grad));
    FLTX_TRY(flt_alloc(s->layout.n, sizeof *s->next, &s->next));
    for (size_t i = 0; i < s->meta.n; i++) s->theta[i] = input_of(s->graph, "theta", &s->meta.tensor[i]);
    for (size_t i = 0; i < s->layout.n; i++) {
        s->param[i] = input_of(s->graph, "param", &s->layout.tensor[i]);
        s->grad[i] = input_of(s->graph, "grad", &s->layout.tensor[i]);
        s->next[i] = none;
    }
    s->clock = flt_input(s->graph, "clock", 1, (size_t[]){FLTX_CLOCKS});
    return flt_graph_status(s->graph);
}

static flt_err make(const flt_weights *w, const flt_layout *layout, flt_graph_step *s) {
    if (w->kind->graph == NULL) return unsupported(w->kind->kind.name);
    FLTX_TRY(flt_graph_create(&s->graph));
    FLTX_TRY(flt_layout_copy(&w->layout, &s->meta));
    FLTX_TRY(flt_layout_copy(layout, &s->layout));
    FLTX_TRY(make_inputs(s));
    FLTX_TRY(w->kind->graph(w->params, s));
    FLTX_TRY(s->err);
    return flt_graph_status(s->graph);
}

flt_err flt_graph_step_create(const flt_weights *w, const flt_layout *layout, flt_graph_step *out) {
    *out = (flt_graph_step){0};
    const flt_err err = make(w, layout, out);
    if (err != FLTE_OK) flt_graph_step_destroy(out);
    return err;
}

void flt_graph_step_destroy(flt_graph_step *s) {
    flt_graph_destroy(s->graph);
    flt_layout_free(&s->meta);
    flt_layout_free(&s->layout);
    flt_free(s->theta);
    flt_free(s->param);
    flt_free(s->grad);
    flt_free(s->next);
    flt_free(s->state);
    *s = (flt_graph_step){0};
}

void flt_graph_step_start(const flt_graph_step *s, flt_real *state) {
    for (size_t i = 0; i < s->n_state; i++)
        for (size_t j = 0; j < s->state[i].count; j++) state[s->state[i].offset + j] = (flt_real)s->state[i].start;
}

void flt_graph_step_clock(uint64_t t, flt_real *clock) {
    double times[FLTX_TIMES];
    flt_time_features(t, times);
    for (size_t i = 0; i < FLTX_TIMES; i++) clock[i] = (flt_real)times[i];
    clock[FLTX_CLOCK_T] = (flt_real)t;
    clock[FLTX_CLOCK_LOG] = (flt_real)log1p((double)t);
}

// ---- for the kinds

flt_node flt_graph_step_theta(const flt_graph_step *s, const char *name) {
    for (size_t i = 0; i < s->meta.n; i++)
        if (strcmp(s->meta.tensor[i].name, name) == 0) return s->theta[i];
    return none;
}

flt_node flt_graph_step_state(flt_graph_step *s, double start, size_t rank, const size_t *dim) {
    flt_graph_state *list = NULL;
    char name[32];
    if (s->err != FLTE_OK) return none;
    s->err = flt_alloc(s->n_state + 1, sizeof *list, &list);
    if (s->err != FLTE_OK) return none;
    if (s->n_state > 0) memcpy(list, s->state, s->n_state * sizeof *list);
    flt_free(s->state);
    s->state = list;
    snprintf(name, sizeof name, "state.%zu", s->n_state);
    const flt_node now = flt_input(s->graph, name, rank, dim);
    const size_t count = now.id < 0 ? 0 : flt_node_count(s->graph, now);
    list[s->n_state++] = (flt_graph_state){now, none, s->words, count, start};
    s->words += count;
    return now;
}

void flt_graph_step_next(flt_graph_step *s, flt_node now, flt_node next) {
    for (size_t i = 0; i < s->n_state; i++)
        if (s->state[i].now.id == now.id) s->state[i].next = next;
}

flt_node flt_graph_rsqrt(flt_graph *g, flt_node x, double add) {
    return flt_div(g, flt_scalar(g, 1), flt_sqrt(g, flt_offset(g, x, add)));
}

flt_node flt_graph_at_least(flt_graph *g, flt_node x, double least) {
    return flt_add(g, x, flt_relu(g, flt_offset(g, flt_neg(g, x), least)));
}

flt_node flt_graph_clip(flt_graph *g, flt_node x, double bound) {
    const flt_node above = flt_relu(g, flt_offset(g, x, -bound)), below = flt_relu(g, flt_offset(g, flt_neg(g, x), -bound));
    return flt_add(g, flt_sub(g, x, above), below);
}

flt_node flt_graph_mix(flt_graph *g, double keep, flt_node x, flt_node y) {
    return flt_add(g, flt_scale(g, x, keep), flt_scale(g, y, 1 - keep));
}

flt_node flt_graph_layer(flt_graph *g, flt_node x, flt_node w, flt_node b, bool relu) {
    const flt_node y = flt_add(g, flt_matmul(g, x, w, false, false), b);
    return relu ? flt_relu(g, y) : y;
}
