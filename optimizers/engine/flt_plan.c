// SPDX-License-Identifier: MIT
// How the flt optimizer sees a tensor, and where its state lies.
#include "engine/flt_plan.h"

#include "engine/axes.h"
#include "flt/memory.h"

enum { DECAYS = FLTX_STEP_DECAYS };

// offsets [outer] of the elements whose index is 0 along both axes
static void fill_offsets(const flt_tensor_spec *t, const size_t a[2], size_t outer, size_t *offsets) {
    for (size_t o = 0; o < outer; o++) {
        size_t rest = o;
        offsets[o] = 0;
        for (size_t i = t->rank; i-- > 0;) {
            if (i == a[0] || i == a[1]) continue;
            offsets[o] += rest % t->dim[i] * flt_axis_stride(t, i);
            rest /= t->dim[i];
        }
    }
}

static void plan_shape(const flt_tensor_spec *t, bool raw, flt_step_tensor *s, size_t *offsets) {
    if (t->rank < 2 || raw) {
        *s = (flt_step_tensor){.outer = 1, .rows = 1, .cols = t->count, .row_stride = t->count, .col_stride = 1};
        offsets[0] = 0;
    } else {
        size_t a[2];
        flt_largest_axes(t, a);
        *s = (flt_step_tensor){.cols = t->dim[a[0]],
                               .rows = t->dim[a[1]],
                               .factored = true,
                               .col_stride = flt_axis_stride(t, a[0]),
                               .row_stride = flt_axis_stride(t, a[1])};
        s->outer = t->count / s->rows / s->cols;
        fill_offsets(t, a, s->outer, offsets);
    }
    s->outer_offset = offsets;
    s->groups = (s->cols + FLTX_BLOCK - 1) / FLTX_BLOCK;
}

bool flt_plan_make(const flt_net *n, size_t words, const flt_tensor_spec *t, size_t *offsets, size_t *end, flt_plan *out) {
    flt_plan *p = out;
    const flt_step_tensor *s = &p->shape;
    size_t most = 0;
    *p = (flt_plan){.offset = t->offset, .count = t->count, .words = words};
    if (t->count == 0) return true;
    if (!flt_mul_ok(t->count, (words + DECAYS) * FLTX_BLOCK, &most) || most > PTRDIFF_MAX / 16) return false;
    if (n->eigen) p->turn = flt_turn_of(t);
    plan_shape(t, n->raw, &p->shape, offsets);
    p->sides = *end;
    p->rate = p->sides + flt_turn_words(&p->turn);
    p->row = p->rate + (n->adaptive ? 1 : 0);
    p->col = p->row + (s->factored ? DECAYS * s->outer * s->rows : 0);
    p->blocks = flt_step_aligned(p->col + (n->raw ? 0 : DECAYS * s->outer * s->cols));
    *end = p->blocks + flt_step_place(s, words, s->outer, 0);
    return *end <= PTRDIFF_MAX / 16;
}
