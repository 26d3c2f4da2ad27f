// SPDX-License-Identifier: MIT
// A step of the coordinate-wise LSTM optimizer, one table per instruction set.
#ifndef FLTX_KERNELS_LSTM_H
#define FLTX_KERNELS_LSTM_H

#include "flt/isa.h"
#include "flt/real.h"

enum { FLTX_LSTM_HIDDEN = 64, FLTX_LSTM_LAYERS = 4 };

typedef struct flt_lstm_net {
    size_t hidden, layers;
    const flt_real *w[FLTX_LSTM_LAYERS], *b[FLTX_LSTM_LAYERS]; // [inputs + hidden, 4 hidden], [4 hidden]; gates i, g, f, o
    const flt_real *head_w, *head_b;                           // [hidden], [1]
    flt_real inverse_k, exp_k;                                 // 1 / k, e^k
    flt_real scale;                                            // of the output
} flt_lstm_net;

typedef struct flt_lstm {
    // grad [n], param [n], state [layers, 2 (h, c), hidden, n]
    void (*step)(const flt_lstm_net *net, size_t n, const flt_real *grad, flt_real *param, flt_real *state);
} flt_lstm;

FLTX_ISA_DECLARE(flt_lstm);

#endif
