// SPDX-License-Identifier: MIT
// y = x with permuted axes: axis i of y is axis axes[i] of x. Gradient: the inverse permutation.
// Axes that stay together are merged; blocks of 8 x 8 keep reads and writes within a few cache lines. Products read transposed
// operands by flags instead (matmul).
#include <string.h>

#include "base/size.h"
#include "graph/engine/op.h"

extern const flt_op_kind flt_op_kind_transpose;

enum { BLOCK = 8 };

static flt_err shape(const flt_op_use *u, flt_shape *out) {
    const flt_shape *x = u->in[0];
    size_t dim[FLTX_MAX_RANK] = {0};
    unsigned seen = 0;
    for (size_t i = 0; i < x->rank; i++) {
        const size_t axis = u->attr->dim[i];
        if (axis >= x->rank || (seen >> axis & 1) != 0)
            return flt_fail(FLTE_SHAPE, u->name, "axes[%zu] = %zu of %s; allowed: a permutation of 0 .. %zu", i, axis,
                            flt_shape_text(x).text, x->rank - 1);
        seen |= 1u << axis;
        dim[i] = x->dim[axis];
    }
    return flt_shape_set(u->name, x->rank, dim, out);
}

// y [rows, cols] = x [r row + c col]
static void block_copy(const flt_step *s, const flt_real *x, flt_real *y) {
    const size_t rows = s->n[0], cols = s->n[1], row = s->n[2], col = s->n[3];
    for (size_t i = 0; i < rows; i += BLOCK)
        for (size_t j = 0; j < cols; j += BLOCK)
            for (size_t r = i; r < flt_smaller(i + BLOCK, rows); r++)
                for (size_t c = j; c < flt_smaller(j + BLOCK, cols); c++) y[r * cols + c] = x[r * row + c * col];
}

static void row_copy(const flt_step *s, const flt_real *x, flt_real *y) {
    for (size_t r = 0; r < s->n[0]; r++) memcpy(y + r * s->n[1], x + r * s->n[2], s->n[1] * sizeof *y);
}

static void run(const flt_step *s) {
    size_t index[FLTX_MAX_RANK] = {0}, a = 0, b = 0;
    flt_real *y = s->out;
    do {
        if (s->n[3] == 1)
            row_copy(s, s->in[0] + a, y);
        else
            block_copy(s, s->in[0] + a, y);
        y += s->n[0] * s->n[1];
    } while (flt_loop_next(&s->loop, index, &a, &b));
}

static void plan(const flt_op_use *u, flt_step *s) {
    const flt_shape *x = u->in[0];
    flt_loop l = {0}; // merged axes of y, innermost first
    for (size_t i = u->out->rank; i-- > 0;) {
        const size_t axis = u->attr->dim[i], stride = flt_shape_product(x, axis + 1, x->rank);
        if (x->dim[axis] == 1) continue;
        if (l.rank > 0 && stride == l.a[l.rank - 1] * l.dim[l.rank - 1]) {
            l.dim[l.rank - 1] *= x->dim[axis];
            continue;
        }
        l.dim[l.rank] = x->dim[axis];
        l.a[l.rank++] = stride;
    }
    s->n[1] = l.rank > 0 ? l.dim[0] : 1;
    s->n[3] = l.rank > 0 ? l.a[0] : 1;
    s->n[0] = l.rank > 1 ? l.dim[1] : 1;
    s->n[2] = l.rank > 1 ? l.a[1] : 0;
    for (size_t i = l.rank; i-- > 2; s->loop.rank++) {
        s->loop.dim[s->loop.rank] = l.dim[i];
        s->loop.a[s->loop.rank] = l.a[i];
    }
    s->run = run;
}

static flt_node gradient(flt_graph *g, const flt_op_site *at, size_t k) {
    size_t inverse[FLTX_MAX_RANK] = {0};
    for (size_t i = 0; i < flt_node_rank(g, at->in[k]); i++) inverse[at->attr->dim[i]] = i;
    return flt_transpose(g, at->dy, inverse);
}

// Two permutations are one; none at all is nothing to do.
static flt_node simplify(flt_graph *g, const flt_op_site *at) {
    const size_t rank = flt_node_rank(g, at->in[0]);
    size_t axes[FLTX_MAX_RANK] = {0}, fixed = 0;
    for (size_t i = 0; i < rank; i++) fixed += at->attr->dim[i] == i;
    if (fixed == rank) return at->in[0];
    if (!flt_node_is(g, at->in[0], &flt_op_kind_transpose)) return flt_none;
    for (size_t i = 0; i < rank; i++) axes[i] = flt_node_attr(g, at->in[0])->dim[at->attr->dim[i]];
    return flt_transpose(g, flt_node_input(g, at->in[0], 0), axes);
}

static flt_node swap(flt_graph *g, const flt_node *in) {
    return flt_transpose(g, in[0], (const size_t[]){1, 0});
}
static flt_node rotate(flt_graph *g, const flt_node *in) {
    return flt_transpose(g, in[0], (const size_t[]){2, 0, 1});
}
static flt_node heads(flt_graph *g, const flt_node *in) {
    return flt_transpose(g, in[0], (const size_t[]){0, 2, 1, 3});
}
static flt_node reverse(flt_graph *g, const flt_node *in) {
    return flt_transpose(g, in[0], (const size_t[]){3, 2, 1, 0});
}

#define X(r, ...)                                                                                                                \
    {                                                                                                                            \
        { .rank = r, .dim = {__VA_ARGS__}, .low = -1, .high = 1 }                                                                \
    }
static const flt_op_example examples[] = {
    {.label = "matrix", .n = 1, .in = X(2, 3, 4), .build = swap},
    {.label = "rotation of 3 axes", .n = 1, .in = X(3, 2, 3, 2), .build = rotate},
    {.label = "heads", .n = 1, .in = X(4, 2, 3, 2, 2), .build = heads},
    {.label = "reversal of 4 axes", .n = 1, .in = X(4, 2, 1, 3, 2), .build = reverse},
    {0},
};

const flt_op_kind flt_op_kind_transpose = {
    .kind =
        {
            .name = "transpose",
            .summary = "permutes axes",
            .formula = "y[i_axes] = x[i]",
            .cost = "time and memory O(n)",
            .caps = FLTX_OP_SMOOTH,
        },
    .inputs = 1,
    .shape = shape,
    .flags = FLTX_OP_MOVES,
    .plan = plan,
    .gradient = gradient,
    .simplify = simplify,
    .examples = examples,
};

flt_node flt_transpose(flt_graph *g, flt_node a, const size_t *axes) {
    flt_op_attr attr = {0};
    if (flt_node_rank(g, a) > 0 && axes == NULL) return flt_graph_lacks(g, "transpose", "axes");
    for (size_t i = 0; i < flt_node_rank(g, a); i++) attr.dim[i] = axes[i];
    return flt_op_apply(g, &flt_op_kind_transpose, 1, &a, &attr);
}
