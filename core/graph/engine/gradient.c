// SPDX-License-Identifier: MIT
// Reverse mode as a transformation of the graph: the gradient of each op is built from nodes, so that it can be differentiated
// again. Cost of the built nodes: a small multiple of the forward pass.
#include "flt/memory.h"
#include "graph/engine/graph.h"

typedef struct sweep {
    flt_graph *g;
    size_t n;       // nodes when the sweep began: the ones it goes over
    bool *depends;  // [n]: on one of the x
    flt_node *slot; // [n]: gradient with respect to the node, so far
    flt_node *in;   // copy of a node's inputs
} sweep;

static void destroy(sweep *s) {
    flt_free(s->depends);
    flt_free(s->slot);
    flt_free(s->in);
}

static flt_err begin(flt_graph *g, size_t n, const flt_node *x, sweep *s) {
    size_t widest = 1;
    *s = (sweep){.g = g, .n = g->n};
    FLTX_TRY(flt_alloc(g->n, sizeof *s->depends, &s->depends));
    FLTX_TRY(flt_alloc(g->n, sizeof *s->slot, &s->slot));
    for (size_t i = 0; i < n; i++) s->depends[x[i].id] = true;
    for (size_t i = 0; i < g->n; i++) {
        const flt_vertex *v = g->vertex[i];
        s->slot[i] = flt_none;
        widest = v->n > widest ? v->n : widest;
        for (size_t k = 0; k < v->n; k++) s->depends[i] |= s->depends[v->in[k].id];
    }
    return flt_alloc(widest, sizeof *s->in, &s->in);
}

static void accumulate(sweep *s, flt_node to, flt_node term) {
    flt_node *slot = &s->slot[to.id];
    if (term.id == flt_none.id) return;
    *slot = slot->id == flt_none.id ? term : flt_add(s->g, *slot, term);
}

static void visit(sweep *s, flt_node y) {
    const flt_vertex *v = s->g->vertex[y.id];
    if (s->g->err != FLTE_OK) return;
    if (v->kind == NULL || v->kind->gradient == NULL || !s->depends[y.id] || s->slot[y.id].id == flt_none.id) return;
    const flt_op_attr attr = v->attr;
    for (size_t k = 0; k < v->n; k++) s->in[k] = v->in[k];
    const flt_op_site at = {.n = v->n, .in = s->in, .attr = &attr, .y = y, .dy = s->slot[y.id]};
    for (size_t k = 0; k < at.n; k++)
        if (s->depends[at.in[k].id]) accumulate(s, at.in[k], v->kind->gradient(s->g, &at, k));
}

static flt_err check(flt_graph *g, flt_node y, size_t n, const flt_node *x) {
    FLTX_TRY(flt_graph_status(g));
    if (!flt_node_ok(g, y)) return flt_fail(FLTE_RANGE, "gradient", "y is no node of this graph");
    if (flt_node_rank(g, y) != 0)
        return flt_fail(FLTE_SHAPE, "gradient", "y has shape %s; allowed: rank 0 (see flt_sum_all)",
                        flt_shape_text(flt_node_shape(g, y)).text);
    for (size_t i = 0; i < n; i++)
        if (!flt_node_ok(g, x[i])) return flt_fail(FLTE_RANGE, "gradient", "x[%zu] is no node of this graph", i);
    return FLTE_OK;
}

flt_err flt_gradient(flt_graph *g, flt_node y, size_t n, const flt_node *x, flt_node *out) {
    FLTX_GIVEN(g);
    if (n > 0) FLTX_GIVEN(out);
    sweep s = {0};
    for (size_t i = 0; i < n; i++) out[i] = flt_bad;
    if (n > 0) FLTX_GIVEN(x);
    flt_err err = check(g, y, n, x);
    if (err == FLTE_OK) err = begin(g, n, x, &s);
    if (err == FLTE_OK) {
        s.slot[y.id] = flt_scalar(g, 1);
        for (size_t i = (size_t)y.id + 1; i-- > 0;) visit(&s, (flt_node){(int32_t)i});
        for (size_t i = 0; i < n; i++) {
            const flt_shape shape = *flt_node_shape(g, x[i]);
            const flt_node dx = s.slot[x[i].id];
            out[i] = dx.id == flt_none.id ? flt_broadcast(g, flt_scalar(g, 0), shape.rank, shape.dim) : dx;
        }
        err = flt_graph_status(g);
    }
    destroy(&s);
    return err == FLTE_OK ? err : (flt_graph_fail(g, err), err);
}

// <gradient, direction>, differentiated once more.
flt_err flt_hessian_vector(flt_graph *g, flt_node y, size_t n, const flt_node *x, const flt_node *direction, flt_node *out) {
    FLTX_GIVEN(g);
    if (n > 0) FLTX_GIVEN(out);
    flt_node *dx = NULL;
    for (size_t i = 0; i < n; i++) out[i] = flt_bad;
    if (n > 0) FLTX_GIVEN(x, direction);
    for (size_t i = 0; i < n; i++)
        if (!flt_shape_equal(flt_node_shape(g, x[i]), flt_node_shape(g, direction[i]))) {
            flt_graph_fail(g,
                           flt_fail(FLTE_SHAPE, "hessian_vector", "direction[%zu] has shape %s; allowed: %s, the shape of x[%zu]",
                                    i, flt_shape_text(flt_node_shape(g, direction[i])).text,
                                    flt_shape_text(flt_node_shape(g, x[i])).text, i));
            return flt_graph_status(g);
        }
    FLTX_TRY(flt_alloc(n, sizeof *dx, &dx));
    flt_err err = flt_gradient(g, y, n, x, dx);
    flt_node slope = flt_scalar(g, 0);
    for (size_t i = 0; i < n && err == FLTE_OK; i++) slope = flt_add(g, slope, flt_sum_all(g, flt_mul(g, dx[i], direction[i])));
    if (err == FLTE_OK) err = flt_gradient(g, slope, n, x, out);
    flt_free(dx);
    return err;
}
