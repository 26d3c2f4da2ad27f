// SPDX-License-Identifier: MIT
// Gradients of attention with a factor a lag by convolutions of many columns; see lagged_backward.h. Those of the lags come by
// spectra one by one, in lagged_backward.c.
#include "lagged_backward_direct.h"
#include "lagged_fft.h"

#include <string.h>

typedef flt_att_lagged_back_job job;

// What the ones among the columns, whose gradients are -dout.out, add to the gradients of all these features.
static void add_ones(const job *k, flt_att_piece p, size_t count) {
    const flt_att_convolver *convolver = k->a->convolver;
    flt_att_lagged_back_slot *u = k->u;
    flt_att_convolution down = flt_att_lagged_convolution(k->a, k->w, p, false),
                        up = flt_att_lagged_convolution(k->a, k->w, p, true);
    memset(u->dtheta, 0, p.rows * count * sizeof *u->dtheta);
    memset(u->dgroup, 0, p.keys * count * sizeof *u->dgroup);
    down.columns = down.ldx = down.ldy = up.columns = up.ldx = up.ldy = count;
    down.x = k->w->psi, down.y = u->dtheta, down.wy = k->w->den;
    up.x = k->w->theta, up.wx = k->w->den, up.y = u->dgroup;
    convolver->convolve(&down);
    convolver->convolve(&up);
}

// All columns of one feature, in w->colk and w->colq: what they add to dcolq, dcolk and to the gradient of the values.
static void add_values(const job *k, flt_att_piece p) {
    const flt_att_lagged_slot *w = k->w;
    const size_t dv = k->a->dv, width = k->a->convolver->width;
    flt_att_convolution down = flt_att_lagged_convolution(k->a, w, p, false), up = flt_att_lagged_convolution(k->a, w, p, true);
    down.wx = up.wy = w->colk, up.wx = w->colq;
    down.sum = k->u->dcolq, up.sum = k->u->dcolk;
    down.ldx = down.ldp = up.ldx = up.ldp = up.ldy = dv;
    for (size_t at = 0; at < dv; at += width) {
        const flt_real *v = k->p->v + p.source * dv + at, *dout = k->p->dout + p.target * dv + at;
        down.columns = up.columns = flt_smaller(width, dv - at);
        down.x = up.phi = v, up.x = down.phi = dout;
        up.y = k->p->dv + p.source * dv + at;
        k->a->convolver->convolve(&down);
        k->a->convolver->convolve(&up);
    }
}

static void add_features(const job *k, flt_att_piece p, size_t f, size_t count) {
    const size_t m = k->a->m;
    flt_att_lagged_slot *w = k->w;
    flt_att_lagged_back_slot *u = k->u;
    flt_att_lagged_features(k->a, w, p, f, count);
    add_ones(k, p, count);
    for (size_t x = 0; x < count; x++) {
        flt_att_lagged_column(w, p, x, count);
        for (size_t j = 0; j < p.keys; j++) u->dcolk[j] = u->dgroup[j * count + x];
        for (size_t i = 0; i < p.rows; i++) u->dcolq[i] = u->dtheta[i * count + x];
        add_values(k, p);
        for (size_t i = 0; i < p.rows; i++) u->dlq[(p.target + i) * m + f + x] += w->colq[i] * u->dcolq[i];
        for (size_t j = 0; j < p.keys; j++) u->dlk[(p.source + j) * m + f + x] += w->colk[j] * u->dcolk[j];
    }
}

void flt_att_lagged_back_scales(const job *k, flt_att_piece p) {
    const flt_att_lagged *a = k->a;
    const flt_real top = (flt_real)a->level[p.level].top[a->heads == 1 ? 0 : p.head];
    flt_att_lagged_levels(a, k->w, p);
    for (size_t i = 0; i < p.rows; i++) k->w->high[i] = k->u->norm[p.target + i] - top;
}

void flt_att_lagged_back_piece(const job *k, flt_att_piece p) {
    const size_t m = k->a->m, width = k->a->convolver->width;
    for (size_t i = 0; i < p.rows; i++) k->w->den[i] = -k->u->term[p.target + i];
    for (size_t f = 0; f < m; f += width) add_features(k, p, f, flt_smaller(width, m - f));
}
