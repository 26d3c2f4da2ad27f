// SPDX-License-Identifier: MIT
// Kernel attention whose weights carry one factor a lag. Private to core/attention.
//
//     A_ij = e^{b_{j-i}} sum_f exp(lq_if + lk_jf),   out_i = sum_j A_ij v_j / sum_j A_ij
//
// Three ways to the same numbers:
//   direct  tiles of 64 x 64: a product of features times the factors of its lags, rows joined as in online softmax. Time
//           O(N^2 (m + dv)), every row to full precision: where a tile's products or factors come near the ends of the range of
//           flt_real, its row goes by logarithms, and a weight that leaves that range is formed again by itself. See
//           lagged_direct.h.
//   fft     the matrix e^{b_{j-i}} is Toeplitz, so that for each feature f the sums over j of e^{b_{j-i}} exp(lk_jf) [v_j, 1] are
//           dv + 1 convolutions, many of them at once in the lanes of vectors (convolve.h). Time O(m dv N log N), memory O(N (m +
//           dv)). See lagged_fft.h.
//   band    where the lags beyond a reach W on either side all have one factor, what is that far comes as a running sum over
//   keys,
//           as in linear attention, and only a band is direct. Time O(N (W + 64) (m + dv) + N m dv). See lagged_band.h.
// The band is chosen when the factors are loaded, by the same count of time as the other two; the constants were measured on one
// core of a machine with 256-bit vectors, in single precision, and their ratios carry over to double precision.
//
// A transform errs by eps times the largest row, which is fatal for rows whose denominator is small against it. Each row carries
// a bound of that error; a row where it exceeds LIMIT eps of its denominator (a denominator <= 0 among them) is flagged, counted
// and computed again directly.
#ifndef FLTX_ATTENTION_LAGGED_H
#define FLTX_ATTENTION_LAGGED_H

#include "args.h"
#include "convolve.h"
#include "tiles.h"

#include "flt/memory.h"
#include "flt/num.h"

enum { FLTX_LAGGED_TILE = 64, FLTX_LAGGED_BLOCK = 512, FLTX_LAGGED_LEVELS = 48, FLTX_LAGGED_AUTO = 0 };

typedef struct flt_att_level { // convolutions of one size
    size_t span, size;         // source rows, length of the transform
    flt_real *twiddles;        // see convolve.h
    flt_real *ordered;         // [heads, size, 2] of e^{b - top}, in the order of convolutions
    flt_real *spectrum;        // [heads, size/2 + 1, 2] of the same, conjugate
    double *top, *norm;        // [heads]: largest b, Euclidean norm of e^{b - top}
} flt_att_level;

typedef struct flt_att_lagged_slot {  // one thread's
    flt_real *lq, *lk;                // [N, m]: filled by the caller, then run
    flt_real *pk;                     // [tiles, m, tile]: exp(lk - lk of the tile's anchor); backward [N, m]
    size_t *anchor;                   // [tiles]: the key whose log features are the scale of the tile
    flt_real *phi, *s;                // [tile, m], [tile, tile]
    flt_real *room, *keys, *logits;   // [tile, m], [tile, m], [tile, tile]: weights out of range
    flt_real *top, *sum, *keep;       // [N], [N], [tile]: online softmax
    flt_real *acc;                    // fft: [N, dv]; backward [dv, N]
    flt_real *psi, *theta;            // fft: [N, width]: some features of keys and queries
    flt_real *wave;                   // fft: [size, width]
    flt_real *vt, *spare;             // fft, backward: [dv, N], [size + 2]
    flt_real *colk, *colq;            // fft: [N]: one feature of keys and queries
    flt_real *high, *den, *est, *err; // fft: [N]: scale and sum of a convolution, its error and that of the row
    flt_real *level;                  // [m]: scale of each feature
    flt_real *scale, *z, *state;      // band: [m], [m], [m, dv]: scales of features, sums of far keys and of their values
    flt_real *far;                    // band: [tile, dv]
    flt_real *row;                    // fft: [size]
    flt_fft *fft[FLTX_LAGGED_LEVELS]; // backward; the first thread's: the factors as well
    size_t flagged, apart;            // rows; rows of tiles that went the long way, by logarithms
} flt_att_lagged_slot;

typedef struct flt_att_lagged {
    size_t N, m, dv, heads, block, levels; // levels = 0: no transforms
    size_t reach, widest;                  // of the band; N: no band; reach of the widest band that is allowed
    bool causal, backward;
    double pace[2]; // how much longer tiles and transforms take than the count of time says
    int threads;
    flt_real *lags; // [heads, 2N - 1]
    flt_att_level level[FLTX_LAGGED_LEVELS];
    flt_att_lagged_slot *slots;
    const flt_att_tiles *tiles;
    const flt_att_convolver *convolver;
    flt_ws ws;
} flt_att_lagged;

// heads of the factors, 1: shared. Sequences longer than `crossover` go by fft, or by a band that reaches no further; AUTO: those
// for which that is faster.
// pace: as measured, or NULL for the constants: the same choice wherever the plan is made.
flt_err flt_att_lagged_create(const flt_attention_desc *desc, size_t m, size_t heads, size_t crossover, const double pace[2],
                              flt_att_lagged **out);
// What this machine takes, at this moment, for 512 tokens either way.
flt_err flt_att_lagged_measure(const flt_attention_desc *desc, size_t m, double pace[2]);
// The factors: lags [heads, 2N - 1] with b_{j-i} at (j - i) + N - 1; once before the first run, then as often as they change.
void flt_att_lagged_load(flt_att_lagged *a, const double *lags);
void flt_att_lagged_destroy(flt_att_lagged *a);

// One head from the log features in the thread's slot. v, out [N, dv].
void flt_att_lagged_run(const flt_att_lagged *a, size_t thread, size_t head, const flt_real *v, flt_real *out);
// The same without values; without a band unless it is allowed: slot.top becomes the logarithms of the rows' sums, slot.err is
// infinite where a row was flagged (fft).
void flt_att_lagged_norms(const flt_att_lagged *a, size_t thread, size_t head, bool band);

// Whether gradients of lags, whose transforms are made one by one, come sooner by tiles.
bool flt_att_lagged_lags_by_tiles(const flt_att_lagged *a);

#endif
