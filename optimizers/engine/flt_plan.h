// SPDX-License-Identifier: MIT
// How the flt optimizer sees a tensor, and where its state lies: the basis, the adapted rate, moments of rows and columns, then
// blocks of coordinates (kernels/flt_step.h). Nothing is padded but the start of the blocks and of their lines, so that the usual
// sizes keep within 64 words a coordinate for every shape.
#ifndef FLTX_OPTIMIZERS_FLT_PLAN_H
#define FLTX_OPTIMIZERS_FLT_PLAN_H

#include "engine/flt_net.h"
#include "engine/flt_turn.h"
#include "kernels/flt_step.h"

typedef struct flt_plan {
    flt_step_tensor shape; // all 0 without coordinates
    flt_turn turn;
    size_t offset, count;                 // in the parameter vector
    size_t words;                         // of a coordinate in its block
    size_t sides, rate, row, col, blocks; // in the state
} flt_plan;

// The state begins at *end, which moves on. offsets: shape.outer of them are written, no more than the tensor has elements;
// borrowed. False when the state does not fit in the address space.
bool flt_plan_make(const flt_net *n, size_t words, const flt_tensor_spec *t, size_t *offsets, size_t *end, flt_plan *out);

static inline size_t flt_plan_blocks(const flt_plan *p) {
    return p->shape.outer * p->shape.groups * p->shape.rows;
}
// Where block k lies in the state, and how many coordinates it has.
static inline size_t flt_plan_block(const flt_plan *p, size_t k, size_t *width) {
    const flt_step_tensor *s = &p->shape;
    const size_t line = k / s->rows, group = line % s->groups;
    *width = flt_step_width(s, group);
    return p->blocks + flt_step_place(s, p->words, line / s->groups, group) + k % s->rows * p->words * *width;
}

#endif
