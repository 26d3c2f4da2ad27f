// SPDX-License-Identifier: MIT
// One vector of coordinates at a time through all cells, weights as broadcasts.
#include "kernels/lstm.h"
#include "kernels/lanes.h"

enum { HIDDEN = FLTX_LSTM_HIDDEN };

FLTX_INLINE flt_vreal sigmoid(flt_vreal x) {
    return REAL(0.5) + REAL(0.5) * flt_vreal_tanh(REAL(0.5) * x);
}

// h of the cell, in place of x [inputs] at in[0 ..]; h, c: state [hidden, n] at this vector, `used` coordinates of it.
static void cell(const flt_lstm_net *net, size_t layer, size_t inputs, size_t n, size_t used, flt_vreal *in, flt_real *state) {
    flt_vreal gate[4 * HIDDEN];
    const size_t hidden = net->hidden;
    flt_real *h = state, *c = state + hidden * n;
    for (size_t j = 0; j < hidden; j++) in[inputs + j] = flt_vreal_load_part(h + j * n, used);
    spread(4 * hidden, net->b[layer], gate);
    product(inputs + hidden, 4 * hidden, in, net->w[layer], gate);
    for (size_t j = 0; j < hidden; j++) {
        const flt_vreal old = flt_vreal_load_part(c + j * n, used), forget = sigmoid(gate[2 * hidden + j] + REAL(1));
        const flt_vreal now = forget * old + sigmoid(gate[j]) * flt_vreal_tanh(gate[hidden + j]);
        in[j] = sigmoid(gate[3 * hidden + j]) * flt_vreal_tanh(now);
        flt_vreal_store_part(c + j * n, now, used);
        flt_vreal_store_part(h + j * n, in[j], used);
    }
}

static void step_vector(const flt_lstm_net *net, size_t n, size_t used, const flt_real *grad, flt_real *param, flt_real *state) {
    flt_vreal in[2 * HIDDEN];
    const flt_vreal g = flt_vreal_load_part(grad, used), tiny = set(REAL(0x1p-23)); // float's epsilon, in double too
    in[0] = flt_vreal_max(set(-1), flt_vreal_log(flt_vreal_abs(g) + tiny) * net->inverse_k);
    in[1] = clip(g * net->exp_k, 1);
    for (size_t layer = 0; layer < net->layers; layer++)
        cell(net, layer, layer == 0 ? 2 : net->hidden, n, used, in, state + layer * 2 * net->hidden * n);
    flt_vreal out = set(net->head_b[0]);
    product(net->hidden, 1, in, net->head_w, &out);
    flt_vreal_store_part(param, flt_vreal_load_part(param, used) + net->scale * out, used);
}

static void step(const flt_lstm_net *net, size_t n, const flt_real *grad, flt_real *param, flt_real *state) {
    size_t i = 0;
    for (; i + FLTX_LANES <= n; i += FLTX_LANES) step_vector(net, n, FLTX_LANES, grad + i, param + i, state + i);
    if (i < n) step_vector(net, n, n - i, grad + i, param + i, state + i);
}

const flt_lstm FLTX_ISA_TABLE(flt_lstm) = {.step = step};
