// SPDX-License-Identifier: MIT
// Tokens on a grid of 1 to 3 axes, and the window of cells that filters lay over each. Private to core/attention.
//
// Where tokens stand: `pos` [N, l], whole numbers in any order, of which the smallest of each axis counts as 0; or the cells of a
// grid in row-major order, of the parameter grid=AxB; without either the grid that the argument `noise` fits, or one with equal
// sides; l = 1: 0, 1, 2, ..
#ifndef FLTX_ATTENTION_GRID_H
#define FLTX_ATTENTION_GRID_H

#include "args.h"

enum { FLTX_ATT_AXES = 3 };

typedef struct flt_att_grid {
    size_t N, l, cells;           // cells: the product of `length`
    size_t n[FLTX_ATT_AXES];      // sides
    size_t width[FLTX_ATT_AXES];  // of the filters, set by the caller between axes and guess
    size_t length[FLTX_ATT_AXES]; // n + width - 1
    bool fixed;                   // the sides are known before the filters are
    size_t *cell;                 // [N]: the first cell under the window of each token
} flt_att_grid;

// In this order. The number of axes, and the sides where positions or the parameter tell them; N is set.
flt_err flt_att_grid_axes(const flt_attention_desc *desc, const flt_att_positions *pos, flt_att_grid *p);
flt_err flt_att_grid_guess(const flt_attention_desc *desc, flt_att_grid *p); // the sides where they are not yet known
flt_err flt_att_grid_place(const flt_attention_desc *desc, const flt_att_positions *pos, flt_att_grid *p);

size_t flt_att_cells(size_t l, const size_t *n);

#endif
