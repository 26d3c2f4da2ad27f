// SPDX-License-Identifier: MIT
// The way through Fourier transforms to attention with a factor a lag; see lagged.h. Private to core/attention.
//
// Causal: halves. Tokens of the first half reach those of the second through one convolution whose source lies wholly in the
// past, so that no bit depends on the future; pieces of at most `block` rows are direct. Time O(m dv N log^2 N).
#ifndef FLTX_ATTENTION_LAGGED_FFT_H
#define FLTX_ATTENTION_LAGGED_FFT_H

#include "lagged.h"

typedef struct flt_att_piece { // rows of keys that reach rows of queries through one convolution
    size_t head, level, source, target, keys, rows;
    size_t shift; // target - source
} flt_att_piece;

flt_err flt_att_lagged_fft_plan(flt_att_lagged *a);                  // levels and transforms
void flt_att_lagged_fft_load(flt_att_lagged *a, const double *lags); // spectra
void flt_att_lagged_fft(const flt_att_lagged *a, flt_att_lagged_slot *w, size_t head, const flt_real *v, flt_real *out);

// ---- for the backward pass
typedef struct flt_att_walk { // what is done with each piece, and with blocks that are direct
    void *self;
    void (*piece)(void *self, flt_att_piece p);
    void (*rows)(void *self, size_t head, size_t first, size_t count, size_t from); // a tile of rows against keys from ..
} flt_att_walk;
void flt_att_lagged_walk(const flt_att_lagged *a, size_t head, const flt_att_walk *walk);

// Sums over the keys of the piece for its rows; back: over the rows for the keys. Columns and what they give are still to be set.
flt_att_convolution flt_att_lagged_convolution(const flt_att_lagged *a, const flt_att_lagged_slot *w, flt_att_piece p, bool back);
// w->psi [keys, count], w->theta [rows, count]: features from f on, exp(lk - w->level) and exp(lq + w->level - w->high).
void flt_att_lagged_features(const flt_att_lagged *a, flt_att_lagged_slot *w, flt_att_piece p, size_t f, size_t count);
// w->colk [keys], w->colq [rows]: column x of them.
void flt_att_lagged_column(const flt_att_lagged_slot *w, flt_att_piece p, size_t x, size_t count);
// w->level: scales of features over the keys of the piece.
void flt_att_lagged_levels(const flt_att_lagged *a, flt_att_lagged_slot *w, flt_att_piece p);
const flt_real *flt_att_lagged_spectrum(const flt_att_lagged *a, flt_att_piece p);

#endif
