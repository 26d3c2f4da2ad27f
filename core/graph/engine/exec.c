// SPDX-License-Identifier: MIT
// The executor: a simplified copy of the graph, flattened into an array of steps whose pointers are set in advance. Running is
// one indirect call per step. Binding an input writes its address to the places that read it.
#include "graph/engine/exec.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "flt/num.h"

// Everything that is needed only while an executor is made.
typedef struct maker {
    const flt_graph *from; // the user's
    flt_graph *g;          // the simplified copy
    flt_node *map;         // [from->n]: node of the copy
    flt_node *outputs;     // [n]: in the copy
    bool *live;            // [g->n]
    size_t *value;         // [g->n]: value of a live node
    size_t *scratch;       // [steps]: offsets
    flt_exec *e;
} maker;

static bool is_alias(const flt_vertex *v) {
    return v->kind != NULL && (v->kind->flags & FLTX_OP_ALIAS) != 0;
}

// Values and steps, reads and inputs that the live nodes and the outputs' copies need at most.
static void count(maker *m, size_t n, size_t *reads) {
    flt_exec *e = m->e;
    *reads = n; // an output may need a step that copies it
    e->n_steps = e->n_values = n;
    for (size_t i = 0; i < m->g->n; i++) {
        const flt_vertex *v = m->g->vertex[i];
        if (!m->live[i] || is_alias(v)) continue;
        e->n_values++;
        e->n_inputs += v->name != NULL;
        e->n_steps += v->kind != NULL;
        *reads += v->n;
    }
}

static flt_err allocate(maker *m, size_t n, size_t reads) {
    flt_exec *e = m->e;
    FLTX_TRY(flt_alloc(e->n_steps, sizeof *e->step, &e->step));
    FLTX_TRY(flt_alloc(e->n_steps, sizeof(flt_op_kind *), &e->kind));
    FLTX_TRY(flt_alloc(e->n_steps, sizeof *e->made, &e->made));
    FLTX_TRY(flt_alloc(e->n_steps + 1, sizeof *e->first, &e->first));
    FLTX_TRY(flt_alloc(e->n_steps, sizeof *m->scratch, &m->scratch));
    FLTX_TRY(flt_alloc(reads, sizeof *e->in, &e->in));
    FLTX_TRY(flt_alloc(reads, sizeof *e->count, &e->count));
    FLTX_TRY(flt_alloc(reads, sizeof *e->read, &e->read));
    FLTX_TRY(flt_alloc(reads, sizeof *e->slot, &e->slot));
    FLTX_TRY(flt_alloc(e->n_values, sizeof *e->value, &e->value));
    FLTX_TRY(flt_alloc(e->n_inputs, sizeof *e->input, &e->input));
    FLTX_TRY(flt_alloc(n, sizeof *e->output, &e->output));
    return flt_alloc(n, sizeof *e->out, &e->out);
}

static size_t add_value(flt_exec *e, flt_value_kind kind, size_t elements) {
    e->value[e->n_values] = (flt_value){.kind = kind, .count = elements, .made = SIZE_MAX};
    return e->n_values++;
}

static double flops_of(const flt_op_kind *k, const flt_op_use *u) {
    size_t most = u->out->count;
    if (k->flops != NULL) return k->flops(u);
    for (size_t i = 0; i < u->n; i++) most = u->in[i]->count > most ? u->in[i]->count : most;
    return (k->flags & (FLTX_OP_MOVES | FLTX_OP_ALIAS)) != 0 ? 0.0 : (double)most;
}

// Appends the step that makes `made` from the values `in`; the shapes are the op's.
static void add_step(flt_exec *e, const flt_op_kind *k, const flt_op_use *u, const size_t *in, size_t made) {
    const size_t s = e->n_steps++;
    e->kind[s] = k;
    e->made[s] = made;
    e->value[made].made = e->value[made].last = s;
    for (size_t i = 0; i < u->n; i++) {
        e->value[in[i]].last = s;
        e->count[e->n_reads] = u->in[i]->count;
        e->read[e->n_reads++] = in[i];
    }
    e->first[s + 1] = e->n_reads;
    e->step[s].in = e->in + e->first[s];
    e->step[s].count = e->count + e->first[s];
    e->step[s].engine = u->attr->spec == NULL ? NULL : flt_exec_engine_of(e, u->attr->spec);
    k->plan(u, &e->step[s]);
    e->flops += flops_of(k, u);
}

static flt_err add_node(maker *m, size_t id) {
    const flt_vertex *v = m->g->vertex[id];
    const flt_shape **shape = NULL;
    size_t *in = NULL;
    flt_err err = flt_alloc(v->n, sizeof(flt_shape *), &shape);
    if (err == FLTE_OK) err = flt_alloc(v->n, sizeof *in, &in);
    for (size_t k = 0; k < v->n && err == FLTE_OK; k++) {
        shape[k] = flt_node_shape(m->g, v->in[k]);
        in[k] = m->value[v->in[k].id];
    }
    if (err == FLTE_OK) {
        const flt_op_use use = {.name = v->kind->kind.name, .n = v->n, .in = shape, .out = &v->shape, .attr = &v->attr};
        m->value[id] = add_value(m->e, FLTX_VALUE_COMPUTED, v->shape.count);
        add_step(m->e, v->kind, &use, in, m->value[id]);
    }
    flt_free(shape);
    flt_free(in);
    return err;
}

static flt_err flatten(maker *m) {
    flt_exec *e = m->e;
    e->n_steps = e->n_values = 0;
    for (size_t i = 0; i < m->g->n; i++) {
        const flt_vertex *v = m->g->vertex[i];
        if (!m->live[i]) continue;
        if (is_alias(v))
            m->value[i] = m->value[v->in[0].id];
        else if (v->kind != NULL)
            FLTX_TRY(add_node(m, i));
        else
            m->value[i] = add_value(e, v->name != NULL ? FLTX_VALUE_INPUT : FLTX_VALUE_CONSTANT, v->shape.count);
    }
    return FLTE_OK;
}

static void list_inputs(maker *m) {
    flt_exec *e = m->e;
    e->n_inputs = 0;
    for (size_t i = 0; i < m->from->n; i++) {
        if (m->from->vertex[i]->name == NULL || m->map[i].id < 0 || !m->live[m->map[i].id]) continue;
        e->input[e->n_inputs++] = (flt_exec_input){.id = (int32_t)i, .value = m->value[m->map[i].id]};
    }
    e->n_unbound = e->n_inputs;
}

// Each output is a computed value of its own, so that it can be bound elsewhere: leaves and repeated values are copied.
static void list_outputs(maker *m, size_t n) {
    flt_exec *e = m->e;
    for (size_t i = 0; i < n; i++) {
        const flt_shape *shape = flt_node_shape(m->g, m->outputs[i]);
        size_t v = m->value[m->outputs[i].id];
        if (e->value[v].kind != FLTX_VALUE_COMPUTED || e->value[v].last == SIZE_MAX) {
            const flt_op_attr plain = {0};
            const flt_op_use use = {.name = "copy", .n = 1, .in = &shape, .out = shape, .attr = &plain};
            const size_t copy = add_value(e, FLTX_VALUE_COMPUTED, shape->count), last = e->value[v].last;
            add_step(e, &flt_op_kind_reshape, &use, &v, copy);
            if (last == SIZE_MAX) e->value[v].last = SIZE_MAX;
            v = copy;
        }
        e->value[v].last = SIZE_MAX;
        e->output[i] = v;
    }
    e->n_outputs = n;
}

// Sorts the reads by value: slot[value.slot_begin ..] are the places of `in` that hold its address.
static void list_slots(flt_exec *e) {
    size_t begin = 0;
    for (size_t i = 0; i < e->n_reads; i++) e->value[e->read[i]].n_slots++;
    for (size_t v = 0; v < e->n_values; v++) {
        e->value[v].slot_begin = begin;
        begin += e->value[v].n_slots;
        e->value[v].n_slots = 0;
    }
    for (size_t i = 0; i < e->n_reads; i++) {
        flt_value *v = &e->value[e->read[i]];
        e->slot[v->slot_begin + v->n_slots++] = i;
    }
}

static void set_readers(flt_exec *e, const flt_value *v, const flt_real *data) {
    for (size_t i = 0; i < v->n_slots; i++) e->in[e->slot[v->slot_begin + i]] = data;
}

static flt_real *memory_of(const flt_exec *e, const flt_value *v) {
    return (flt_real *)(void *)(e->block + v->offset);
}

static void place_value(flt_exec *e, const flt_value *v, flt_real *data) {
    set_readers(e, v, data);
    e->step[v->made].out = data;
}

static flt_err connect(maker *m) {
    flt_exec *e = m->e;
    FLTX_TRY(flt_alloc(e->bytes, 1, &e->block));
    for (size_t v = 0; v < e->n_values; v++) {
        const flt_value *x = &e->value[v];
        if (x->kind == FLTX_VALUE_COMPUTED) place_value(e, x, memory_of(e, x));
        if (x->kind == FLTX_VALUE_CONSTANT) set_readers(e, x, memory_of(e, x));
    }
    for (size_t i = 0; i < m->g->n; i++) {
        const flt_vertex *v = m->g->vertex[i];
        if (m->live[i] && v->data != NULL)
            memcpy(memory_of(e, &e->value[m->value[i]]), v->data, v->shape.count * sizeof *v->data);
    }
    for (size_t s = 0; s < e->n_steps; s++)
        if (e->step[s].scratch_count > 0) e->step[s].scratch = (flt_real *)(void *)(e->block + m->scratch[s]);
    for (size_t i = 0; i < e->n_outputs; i++) e->out[i] = memory_of(e, &e->value[e->output[i]]);
    return FLTE_OK;
}

static flt_err check(const flt_graph *g, size_t n, const flt_node *outputs) {
    FLTX_TRY(flt_graph_status(g));
    if (n == 0) return flt_fail(FLTE_RANGE, "executor", "0 outputs; allowed: at least 1");
    for (size_t i = 0; i < n; i++)
        if (!flt_node_ok(g, outputs[i])) return flt_fail(FLTE_RANGE, "executor", "output %zu is no node of this graph", i);
    return FLTE_OK;
}

static flt_err make(maker *m, size_t n, const flt_node *outputs, unsigned flags) {
    size_t reads = 0;
    FLTX_TRY(flt_alloc(1, sizeof *m->e, &m->e));
    FLTX_TRY(flt_alloc(m->from->n, sizeof *m->map, &m->map));
    FLTX_TRY(flt_graph_copy(m->from, n, outputs, (flags & FLTX_EXEC_AS_WRITTEN) == 0, m->map, &m->g));
    FLTX_TRY(flt_alloc(n, sizeof *m->outputs, &m->outputs));
    for (size_t i = 0; i < n; i++) m->outputs[i] = m->map[outputs[i].id];
    FLTX_TRY(flt_alloc(m->g->n, sizeof *m->live, &m->live));
    FLTX_TRY(flt_alloc(m->g->n, sizeof *m->value, &m->value));
    flt_graph_live(m->g, n, m->outputs, m->live);
    count(m, n, &reads);
    FLTX_TRY(allocate(m, n, reads));
    FLTX_TRY(flt_exec_open_engines(m->e, m->g, m->live));
    FLTX_TRY(flatten(m));
    list_inputs(m);
    list_outputs(m, n);
    list_slots(m->e);
    FLTX_TRY(flt_exec_plan(m->e, flags, m->scratch));
    return connect(m);
}

flt_err flt_exec_create_with(const flt_graph *g, size_t n, const flt_node *outputs, unsigned flags, flt_exec **out) {
    maker m = {.from = g};
    *out = NULL;
    FLTX_TRY(check(g, n, outputs));
    flt_num_init();
    const flt_err err = make(&m, n, outputs, flags);
    flt_graph_destroy(m.g);
    flt_free(m.map);
    flt_free(m.outputs);
    flt_free(m.live);
    flt_free(m.value);
    flt_free(m.scratch);
    if (err == FLTE_OK)
        *out = m.e;
    else
        flt_exec_destroy(m.e);
    return err;
}

flt_err flt_exec_create(const flt_graph *g, size_t n, const flt_node *outputs, flt_exec **out) {
    FLTX_GIVEN(g, out);
    if (n > 0) FLTX_GIVEN(outputs);
    return flt_exec_create_with(g, n, outputs, 0, out);
}

void flt_exec_destroy(flt_exec *e) {
    if (e == NULL) return;
    flt_exec_close_engines(e);
    void *part[] = {e->step,  e->kind, e->in,    e->count,  e->read, e->first, e->made,
                    e->value, e->slot, e->input, e->output, e->out,  e->block, e->engine};
    for (size_t i = 0; i < sizeof part / sizeof *part; i++) flt_free(part[i]);
    flt_free(e);
}

static int by_id(const void *key, const void *item) {
    const int32_t a = *(const int32_t *)key, b = ((const flt_exec_input *)item)->id;
    return (a > b) - (a < b);
}

void flt_exec_bind(flt_exec *e, flt_node input, const flt_real *data) {
    flt_exec_input *found = bsearch(&input.id, e->input, e->n_inputs, sizeof *e->input, by_id);
    if (found == NULL) return; // no output needs it
    e->n_unbound -= !found->bound;
    found->bound = true;
    set_readers(e, &e->value[found->value], data);
}

void flt_exec_bind_output(flt_exec *e, size_t i, flt_real *data) {
    assert(i < e->n_outputs);
    const flt_value *v = &e->value[e->output[i]];
    flt_real *to = data == NULL ? memory_of(e, v) : data;
    place_value(e, v, to);
    e->out[i] = to;
}

void flt_exec_run(flt_exec *e) {
    assert(e->n_unbound == 0);
    const flt_step *end = e->step + e->n_steps;
    for (const flt_step *s = e->step; s < end; s++) s->run(s);
}

static void nothing(const flt_step *s) {
    (void)s;
}

void flt_exec_idle(flt_exec *e) {
    void (*volatile run)(const flt_step *s) = nothing; // volatile: the calls stay
    const flt_step *end = e->step + e->n_steps;
    for (const flt_step *s = e->step; s < end; s++) run(s);
}

const flt_real *flt_exec_output(const flt_exec *e, size_t i) {
    assert(i < e->n_outputs);
    return e->out[i];
}

size_t flt_exec_nodes(const flt_exec *e) {
    return e->n_steps;
}
double flt_exec_flops(const flt_exec *e) {
    return e->flops;
}
size_t flt_exec_bytes(const flt_exec *e) {
    return e->bytes;
}
