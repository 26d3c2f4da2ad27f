// SPDX-License-Identifier: MIT
// What meets positions alone in the log features of FLT. Private to core/attention.
//
//     p_i = omega a_i (queries),  omega b_i (keys)        a, b [2r]: snippets; omega [F, 2r]: its columns for them
//
// A table [N, F] of each made once: FLT then costs what Performer costs. Where the tables would be larger than allowed, rows are
// formed tile by tile, N F 2r multiplications; of evenly spaced positions half as many, from the middle c of the tile:
//     p(c +- z) = E(z) +- O(z),   E(z) = sum_m cos(2 pi xi_m z) A_m,   O(z) = sum_m sin(2 pi xi_m z) B_m,
//     (A, B)_m = the cosine's and the sine's column of omega turned by 2 pi xi_m c
// with cosines and sines of a few z that are the same for every tile.
#ifndef FLTX_ATTENTION_SNIPPETS_H
#define FLTX_ATTENTION_SNIPPETS_H

#include "args.h"
#include "linear.h"

typedef struct flt_att_snippets { // what FLT adds; borrowed from the plan
    const flt_att_positions *pos;
    const flt_att_array *xi, *rho; // [r, l], [r] of the query's side
    const flt_att_array *rho_key;  // [r] of the key's side; data NULL: ones
    size_t max_table;              // bytes that the table of projected positions may take
} flt_att_snippets;

// to [cols, F] = columns from .. from + cols - 1 of head h's omega [m, width], turned and scaled; beyond row m the negated.
void flt_att_omega_turned(const flt_att_array *omega, size_t features, size_t h, size_t from, size_t cols, double scale,
                          flt_real *to);

typedef struct flt_att_projected flt_att_projected;

flt_err flt_att_projected_create(const flt_attention_desc *desc, const flt_att_array *omega, size_t features,
                                 const flt_att_snippets *snippets, flt_att_projected **out);
void flt_att_projected_destroy(flt_att_projected *a);
// Takes the values that omega (unless NULL: as before), xi and the ratios hold now; omega times `unit`. Comes before all use.
void flt_att_projected_update(flt_att_projected *a, const flt_att_array *omega, double unit);

// The table at these rows, or u [count, F] holding what it would; rows.thread's room is used.
const flt_real *flt_att_projected_rows(const flt_att_projected *a, flt_att_rows rows, bool query, flt_real *u);
// The table at these rows, or NULL.
const flt_real *flt_att_projected_table(const flt_att_projected *a, flt_att_rows rows, bool query);
void flt_att_snippet(const flt_att_projected *a, flt_att_rows row, bool query, flt_real *snippet); // [2r] of row.first
const flt_real *flt_att_projected_omega(const flt_att_projected *a, size_t head);                  // [2r, F]
size_t flt_att_projected_heads(const flt_att_projected *a); // that differ by omega, frequencies or ratios; or 1
size_t flt_att_projected_workspace(const flt_att_projected *a);

#endif
