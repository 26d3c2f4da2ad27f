// SPDX-License-Identifier: MIT
// Gradients of exact attention, tile by tile. Private to core/attention.
//
//     P = softmax(s q k^T + bias), s = 1 / sqrt d;   dP = dout v^T,   dS = P o (dP - rowsum(dout o out))
//     dq = s dS k,   dk = s dS^T q,   dv = P^T dout,   dbias = dS,   dlag_{j-i} = sum over a diagonal of dS
//
// Rows' maxima and sums are formed anew (the recomputation is that of Dao et al. 2022, arXiv 2205.14135), tile of rows by tile of
// rows. The weights under way are kept for the gradients, as far as they fit 4 MiB a thread (N = 10,864 in float) and a row's
// scale has not risen since; else they are formed again. Where there are heads for all threads, one thread takes a head, and P
// and dS of a tile give dq, dk and dv at once: time five products O(N^2 d), to the forward pass's two. Else every output still
// belongs to one thread and no partial sums are kept: P is formed once for rows (dq, biases) and once for columns (dk, dv), seven
// products, with the same bits. Memory 3 N reals for each of B H beside what a thread keeps; lags, and encodings on evenly spaced
// positions: 2N - 1 doubles for each of B H.
#ifndef FLTX_ATTENTION_EXACT_BACKWARD_H
#define FLTX_ATTENTION_EXACT_BACKWARD_H

#include "encoding.h"

// The bias of n rows from i and cols columns from j; *ldb as in flt_att_softmax_tile. NULL: none.
typedef const flt_real *(*flt_att_tile_bias)(const void *self, size_t thread, size_t head, const size_t at[4], ptrdiff_t *ldb);

// Adds what the tile just asked for by flt_att_tile_bias gives the encoding's arguments; ds [pairs].
typedef void (*flt_att_tile_back)(const void *self, size_t thread, size_t head, size_t pairs, const flt_real *ds, double *sums);

typedef struct flt_att_exact_shape {
    size_t rows, cols; // of a tile
    int threads;
    const void *self;
    flt_att_tile_bias bias;             // at: {i, j, n, cols}
    const flt_att_array *matrix, *lags; // "bias" and "lag_bias" where they are arguments (data NULL: not)
    const flt_att_encoding *encoding;
    double step;            // of evenly spaced positions; elsewhere
    flt_att_tile_back back; // the encoding goes tile by tile
} flt_att_exact_shape;

typedef struct flt_att_exact_back flt_att_exact_back;

// *out stays NULL where the description asks for no backward pass.
flt_err flt_att_exact_back_create(const flt_attention_desc *desc, const flt_att_exact_shape *shape, flt_att_exact_back **out);
void flt_att_exact_back_destroy(flt_att_exact_back *a);
flt_err flt_att_exact_back_run(flt_att_exact_back *a, const flt_attention_pass *pass);
size_t flt_att_exact_back_workspace(const flt_att_exact_back *a); // 0 for NULL

#endif
