// SPDX-License-Identifier: MIT
// Applying an op: checks, shape, and in an executor's copy the cheaper forms (constants are computed, simplifications applied).
#include <string.h>

#include "flt/memory.h"
#include "graph/engine/graph.h"

enum { FEW = 8, FOLD_LIMIT = 1 << 16 }; // inputs on the stack; largest constant that is computed in advance

typedef struct gathered {
    const flt_shape *few[FEW], **shape;    // [n]
    const flt_real *few_data[FEW], **data; // [n], NULL where not constant
} gathered;

static void release(gathered *a) {
    if (a->shape != a->few) flt_free(a->shape);
    if (a->data != a->few_data) flt_free(a->data);
}

static flt_err gather(const flt_graph *g, size_t n, const flt_node *in, gathered *out) {
    *out = (gathered){0};
    out->shape = out->few;
    out->data = out->few_data;
    if (n > FEW) {
        FLTX_TRY(flt_alloc(n, sizeof(flt_shape *), &out->shape));
        const flt_err err = flt_alloc(n, sizeof *out->data, &out->data);
        if (err != FLTE_OK) {
            release(out);
            return err;
        }
    }
    for (size_t i = 0; i < n; i++) {
        out->shape[i] = flt_node_shape(g, in[i]);
        out->data[i] = flt_graph_vertex(g, in[i])->data;
    }
    return FLTE_OK;
}

flt_err flt_op_evaluate(const flt_op_kind *k, const flt_op_use *u, const flt_real *const *in, flt_real *out) {
    size_t *count = NULL;
    flt_step s = {.in = in, .out = out};
    FLTX_TRY(flt_alloc(u->n, sizeof *count, &count));
    for (size_t i = 0; i < u->n; i++) count[i] = u->in[i]->count;
    s.count = count;
    k->plan(u, &s);
    const flt_err err = s.scratch_count == 0 ? FLTE_OK : flt_alloc(s.scratch_count, sizeof *s.scratch, &s.scratch);
    if (err == FLTE_OK) s.run(&s);
    flt_free(s.scratch);
    flt_free(count);
    return err;
}

// The value of an op of constants as a constant.
static flt_node folded(flt_graph *g, const flt_op_kind *k, const flt_op_use *u, const flt_real *const *in) {
    flt_real *out = NULL;
    flt_node node = flt_bad;
    flt_err err = flt_alloc(u->out->count, sizeof *out, &out);
    if (err == FLTE_OK) err = flt_op_evaluate(k, u, in, out);
    if (err == FLTE_OK) node = flt_constant(g, u->out->rank, u->out->dim, out);
    flt_free(out);
    return err == FLTE_OK ? node : flt_graph_fail(g, err);
}

static bool foldable(const flt_op_kind *k, const flt_op_use *u, const flt_real *const *in) {
    if ((k->flags & FLTX_OP_LAZY) != 0 || u->out->count > FOLD_LIMIT) return false;
    for (size_t i = 0; i < u->n; i++)
        if (in[i] == NULL) return false;
    return true;
}

static flt_node apply(flt_graph *g, const flt_op_kind *k, size_t n, const flt_node *in, const flt_op_attr *attr,
                      const gathered *a) {
    flt_shape shape = {0};
    flt_op_use use = {.name = k->kind.name, .n = n, .in = a->shape, .attr = attr};
    const flt_err err = k->shape(&use, &shape);
    if (err != FLTE_OK) return flt_graph_fail(g, err);
    use.out = &shape;
    if (g->simplify && foldable(k, &use, a->data)) return folded(g, k, &use, a->data);
    if (g->simplify && k->simplify != NULL) {
        const flt_node simpler = k->simplify(g, &(flt_op_site){.n = n, .in = in, .attr = attr, .y = flt_none, .dy = flt_none});
        if (simpler.id != flt_none.id) return simpler;
    }
    if ((k->flags & FLTX_OP_COMMUTES) != 0 && in[0].id > in[1].id)
        return flt_graph_add(g, k, n, (flt_node[]){in[1], in[0]}, attr, &shape);
    return flt_graph_add(g, k, n, in, attr, &shape);
}

flt_node flt_op_apply(flt_graph *g, const flt_op_kind *k, size_t n, const flt_node *in, const flt_op_attr *attr) {
    static const flt_op_attr plain = {0};
    gathered a;
    if (flt_graph_failed(g)) return flt_bad;
    if (n > 0 && in == NULL) return flt_graph_lacks(g, k->kind.name, "its list of inputs");
    if (n == 0) return flt_graph_fail(g, flt_fail(FLTE_RANGE, k->kind.name, "0 inputs; allowed: at least 1"));
    for (size_t i = 0; i < n; i++)
        if (!flt_node_ok(g, in[i]))
            return flt_graph_fail(g, flt_fail(FLTE_RANGE, k->kind.name, "input %zu is no node of this graph (id %d of %zu)", i,
                                              (int)in[i].id, g->n));
    const flt_err err = gather(g, n, in, &a);
    if (err != FLTE_OK) return flt_graph_fail(g, err);
    const flt_node y = apply(g, k, n, in, attr == NULL ? &plain : attr, &a);
    release(&a);
    return y;
}

flt_node flt_op_unary(flt_graph *g, const flt_op_kind *k, flt_node a) {
    return flt_op_apply(g, k, 1, &a, NULL);
}
flt_node flt_op_binary(flt_graph *g, const flt_op_kind *k, flt_node a, flt_node b) {
    return flt_op_apply(g, k, 2, (flt_node[]){a, b}, NULL);
}

// ---- the executor's copy

void flt_graph_live(const flt_graph *g, size_t n, const flt_node *outputs, bool *live) {
    for (size_t i = 0; i < n; i++) live[outputs[i].id] = true;
    for (size_t i = g->n; i-- > 0;)
        for (size_t k = 0; live[i] && k < g->vertex[i]->n; k++) live[g->vertex[i]->in[k].id] = true;
}

static flt_node replay(flt_graph *to, const flt_vertex *v, const flt_node *map, flt_node *scratch) {
    if (v->name != NULL) return flt_input(to, v->name, v->shape.rank, v->shape.dim);
    if (v->data != NULL) return flt_constant(to, v->shape.rank, v->shape.dim, v->data);
    for (size_t k = 0; k < v->n; k++) scratch[k] = map[v->in[k].id];
    return flt_op_apply(to, v->kind, v->n, scratch, &v->attr);
}

static size_t widest(const flt_graph *g) {
    size_t n = 1;
    for (size_t i = 0; i < g->n; i++) n = g->vertex[i]->n > n ? g->vertex[i]->n : n;
    return n;
}

flt_err flt_graph_copy(const flt_graph *g, size_t n, const flt_node *outputs, bool simplify, flt_node *map, flt_graph **out) {
    flt_graph *to = NULL;
    flt_node *scratch = NULL;
    bool *live = NULL;
    flt_err err = FLTE_OK;
    *out = NULL;
    FLTX_GO(err, end, flt_alloc(widest(g), sizeof *scratch, &scratch));
    FLTX_GO(err, end, flt_alloc(g->n, sizeof *live, &live));
    FLTX_GO(err, end, flt_graph_create(&to));
    to->simplify = simplify;
    flt_graph_live(g, n, outputs, live);
    for (size_t i = 0; i < g->n; i++) map[i] = live[i] ? replay(to, g->vertex[i], map, scratch) : flt_none;
    err = flt_graph_status(to);
end:
    flt_free(live);
    flt_free(scratch);
    if (err == FLTE_OK)
        *out = to;
    else
        flt_graph_destroy(to);
    return err;
}

// ---- parts made elsewhere

static void place_inputs(const flt_splice *s, flt_node *map) {
    for (size_t i = 0; i < s->n_inputs; i++) map[s->take[i].id] = s->put[i];
}

flt_err flt_graph_splice(flt_graph *g, const flt_splice *s, flt_node *out) {
    const flt_graph *from = s->from;
    flt_node *map = NULL, *scratch = NULL;
    bool *live = NULL;
    flt_err err = FLTE_OK;
    FLTX_GO(err, end, flt_graph_status(from));
    FLTX_GO(err, end, flt_alloc(from->n, sizeof *map, &map));
    FLTX_GO(err, end, flt_alloc(widest(from), sizeof *scratch, &scratch));
    FLTX_GO(err, end, flt_alloc(from->n, sizeof *live, &live));
    flt_graph_live(from, s->n, s->outputs, live);
    place_inputs(s, map);
    for (size_t i = 0; i < from->n; i++)
        if (live[i] && from->vertex[i]->name == NULL) map[i] = replay(g, from->vertex[i], map, scratch);
    for (size_t i = 0; i < s->n; i++) out[i] = map[s->outputs[i].id];
    err = flt_graph_status(g);
end:
    flt_free(live);
    flt_free(scratch);
    flt_free(map);
    return err;
}
