// SPDX-License-Identifier: MIT
// How element-wise ops walk over their operands. Axes along which both operands go on evenly are merged, so that equal shapes,
// scalars, repeated rows and repeated columns all become one grid of rows and columns; what is left are outer axes.
#include "graph/engine/op.h"

bool flt_loop_next(const flt_loop *l, size_t *index, size_t *a, size_t *b) {
    for (size_t i = l->rank; i-- > 0;) {
        *a += l->a[i];
        *b += l->b[i];
        if (++index[i] < l->dim[i]) return true;
        *a -= l->a[i] * l->dim[i];
        *b -= l->b[i] * l->dim[i];
        index[i] = 0;
    }
    return false;
}

// Elements that `s`, stretched to the shape `out`, moves by per step of each axis of `out`: 0 where it is stretched.
static void strides(const flt_shape *out, const flt_shape *s, size_t *stride) {
    size_t step = 1;
    for (size_t i = out->rank; i-- > 0;) {
        const size_t missing = out->rank - s->rank;
        const size_t length = i < missing ? 1 : s->dim[i - missing];
        stride[i] = length == 1 ? 0 : step;
        step *= length;
    }
}

// Merged axes, innermost first.
static flt_loop merged(const flt_shape *out, const flt_shape *a, const flt_shape *b) {
    size_t sa[FLTX_MAX_RANK], sb[FLTX_MAX_RANK];
    flt_loop l = {0};
    strides(out, a, sa);
    strides(out, b, sb);
    for (size_t i = out->rank; i-- > 0;) {
        if (out->dim[i] == 1) continue;
        const size_t k = l.rank - 1; // innermost axis so far; unused while rank is 0
        if (l.rank > 0 && sa[i] == l.a[k] * l.dim[k] && sb[i] == l.b[k] * l.dim[k]) {
            l.dim[k] *= out->dim[i];
            continue;
        }
        l.dim[l.rank] = out->dim[i];
        l.a[l.rank] = sa[i];
        l.b[l.rank++] = sb[i];
    }
    return l;
}

void flt_walk_broadcast(const flt_shape *out, const flt_shape *a, const flt_shape *b, flt_grid *grid, flt_loop *loop) {
    const flt_loop l = merged(out, a, b);
    *grid = (flt_grid){.rows = 1, .cols = 1};
    *loop = (flt_loop){0};
    if (l.rank > 0) {
        grid->cols = l.dim[0];
        grid->a_fixed = l.a[0] == 0;
        grid->b_fixed = l.b[0] == 0;
    }
    if (l.rank > 1) {
        grid->rows = l.dim[1];
        grid->a_row = l.a[1];
        grid->b_row = l.b[1];
    }
    for (size_t i = l.rank; i-- > 2; loop->rank++) {
        loop->dim[loop->rank] = l.dim[i];
        loop->a[loop->rank] = l.a[i];
        loop->b[loop->rank] = l.b[i];
    }
}

static void run_grid(const flt_step *s) {
    s->f.binary(&s->grid, s->in[0], s->in[1], s->out);
}

static void run_loop(const flt_step *s) {
    const size_t block = s->grid.rows * s->grid.cols;
    size_t index[FLTX_MAX_RANK] = {0}, a = 0, b = 0;
    flt_real *y = s->out;
    do {
        s->f.binary(&s->grid, s->in[0] + a, s->in[1] + b, y);
        y += block;
    } while (flt_loop_next(&s->loop, index, &a, &b));
}

void flt_plan_binary(const flt_op_use *u, flt_step *s, flt_binary_fn *f) {
    flt_walk_broadcast(u->out, u->in[0], u->in[1], &s->grid, &s->loop);
    s->f.binary = f;
    s->run = s->loop.rank == 0 ? run_grid : run_loop;
}

static void run_unary(const flt_step *s) {
    s->f.unary(s->n[0], s->c, s->in[0], s->out);
}

void flt_plan_unary(const flt_op_use *u, flt_step *s, flt_unary_fn *f, double c) {
    s->n[0] = u->out->count;
    s->c = (flt_real)c;
    s->f.unary = f;
    s->run = run_unary;
}

static void run_vector(const flt_step *s) {
    s->f.vector(s->n[0], s->in[0], s->out);
}

void flt_plan_vector(const flt_op_use *u, flt_step *s, flt_vector_fn *f) {
    s->n[0] = u->out->count;
    s->f.vector = f;
    s->run = run_vector;
}
