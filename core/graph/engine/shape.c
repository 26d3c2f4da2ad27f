// SPDX-License-Identifier: MIT
// Shapes: checking, comparing, broadcasting, writing.
#include "graph/engine/op.h"

#include <stdio.h>
#include <string.h>

#include "flt/memory.h"

flt_shape_label flt_shape_text(const flt_shape *s) {
    flt_shape_label label = {"["};
    size_t n = 1;
    for (size_t i = 0; i < s->rank; i++)
        n += (size_t)snprintf(label.text + n, sizeof label.text - n, "%s%zu", i == 0 ? "" : ", ", s->dim[i]);
    snprintf(label.text + n, sizeof label.text - n, "]");
    return label;
}

flt_err flt_shape_set(const char *who, size_t rank, const size_t *dim, flt_shape *out) {
    *out = (flt_shape){.rank = rank, .count = 1};
    if (rank > FLTX_MAX_RANK) return flt_fail(FLTE_SHAPE, who, "rank %zu; allowed: 0 .. %d", rank, FLTX_MAX_RANK);
    if (rank > 0 && dim == NULL) return flt_fail(FLTE_USAGE, who, "dim is NULL");
    for (size_t i = 0; i < rank; i++) {
        out->dim[i] = dim[i];
        if (dim[i] == 0) return flt_fail(FLTE_SHAPE, who, "axis %zu has length 0; allowed: at least 1", i);
        if (!flt_mul_ok(out->count, dim[i], &out->count))
            return flt_fail(FLTE_SHAPE, who, "the product of the %zu lengths does not fit in size_t", rank);
    }
    return FLTE_OK;
}

bool flt_shape_equal(const flt_shape *a, const flt_shape *b) {
    return a->rank == b->rank && memcmp(a->dim, b->dim, a->rank * sizeof *a->dim) == 0;
}

size_t flt_shape_product(const flt_shape *s, size_t from, size_t to) {
    size_t n = 1;
    for (size_t i = from; i < to; i++) n *= s->dim[i];
    return n;
}

flt_err flt_shape_first(const flt_op_use *u, flt_shape *out) {
    *out = *u->in[0];
    return FLTE_OK;
}

// Length of axis i of s seen with `rank` axes, the missing ones in front.
static size_t aligned(const flt_shape *s, size_t rank, size_t i) {
    return i + s->rank < rank ? 1 : s->dim[i + s->rank - rank];
}

flt_err flt_shape_broadcast(const flt_op_use *u, flt_shape *out) {
    const flt_shape *a = u->in[0], *b = u->in[1];
    const size_t rank = a->rank > b->rank ? a->rank : b->rank;
    size_t dim[FLTX_MAX_RANK] = {0};
    for (size_t i = 0; i < rank; i++) {
        const size_t da = aligned(a, rank, i), db = aligned(b, rank, i);
        if (da != db && da != 1 && db != 1)
            return flt_fail(
                FLTE_SHAPE, u->name,
                "%s and %s; allowed: shapes whose lengths, aligned at the last axis, are equal or 1 (here %zu meets %zu)",
                flt_shape_text(a).text, flt_shape_text(b).text, da, db);
        dim[i] = da == 1 ? db : da;
    }
    return flt_shape_set(u->name, rank, dim, out);
}

flt_node flt_sum_like(flt_graph *g, flt_node x, flt_node like) {
    const flt_shape *s = flt_node_shape(g, x), *to = flt_node_shape(g, like);
    if (flt_shape_equal(s, to)) return x;
    unsigned axes = 0;
    for (size_t i = 0; i < s->rank; i++)
        if (s->dim[i] != aligned(to, s->rank, i)) axes |= 1u << i;
    const flt_node sum = axes == 0 ? x : flt_reduce_sum(g, x, axes, false);
    return flt_reshape(g, sum, to->rank, to->dim);
}
