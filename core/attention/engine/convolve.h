// SPDX-License-Identifier: MIT
// Many columns convolved with one real kernel at once, once per instruction set. Private to core/attention.
//
//     z_p = sum_j c_{p - (from + j) mod n} x_j for each column of x (flip: c_{-p} for c_p), z'_i = z_{shift + i}, then
//     y_i += wy_i z'_i and sum_i += phi_i . z'_i, or one of them
//
// A lane of a vector is a column, and two columns are the real and the imaginary part of one transform, which a real kernel does
// not mix. Transforms by decimation in frequency, radix 4 (3 first where it divides n), leave their digits reversed; the spectrum
// lies in that order, and the inverse undoes it. They descend into one part after the other, so that most of the work on long
// rows is done in the near caches (Frigo et al., Cache-oblivious algorithms, FOCS 1999); x is read by the first stage, y written
// by the last. Time 34/4 n log2 n flops a pair of columns, half of it fused; room for n rows of `width` numbers.
#ifndef FLTX_ATTENTION_CONVOLVE_H
#define FLTX_ATTENTION_CONVOLVE_H

#include "flt/isa.h"
#include "flt/real.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct flt_att_convolution {
    size_t n;                            // length of the transforms: of flt_att_convolve_size
    const flt_real *twiddles, *spectrum; // spectrum [n, 2]: see flt_att_convolve_order
    bool flip;
    size_t keys, from;      // from + keys <= n
    size_t rows, shift;     // shift + rows <= n
    size_t columns;         // up to width
    const flt_real *x, *wx; // [keys, columns], rows ldx apart; [keys], NULL: ones
    flt_real *y;            // [rows, columns], rows ldy apart; NULL: none
    const flt_real *wy;     // [rows], NULL: ones
    flt_real *sum;          // [rows], NULL: none
    const flt_real *phi;    // [rows, columns], rows ldp apart
    size_t ldx, ldy, ldp;
    flt_real *room; // [n, width]
} flt_att_convolution;

typedef struct flt_att_convolver {
    size_t width; // columns of one pass
    void (*convolve)(const flt_att_convolution *c);
} flt_att_convolver;

FLTX_ISA_DECLARE(flt_att_convolver);

size_t flt_att_convolve_size(size_t at_least); // the next length that can be used: 2^a or 3 2^a, at least 16
size_t flt_att_convolve_twiddles(size_t n);    // how many numbers they are
void flt_att_convolve_fill(size_t n, flt_real *twiddles);
// The spectrum of a real kernel, n/2 + 1 pairs as flt_fft leaves them -> [n, 2] in the order of the transforms, over n.
void flt_att_convolve_order(size_t n, const flt_real *half, flt_real *spectrum);

#endif
