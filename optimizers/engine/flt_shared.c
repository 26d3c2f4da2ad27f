// SPDX-License-Identifier: MIT
// Shared parts of a step of the flt optimizer, per head, phases in double. s: position of step t, of a token t' the same of t'.
//   flt:       a_t = rho [cos, sin](2 pi xi s) / sqrt(r), b_t the same without rho; omega's columns for the encoding times a_t
//   and
//              b_t are added to all log features of queries and of keys
//   window:    a slot of age n = t - t' adds (1/r) sum rho cos(2 pi xi (s - s')) - tau n to its logit
//   spe_sine:  codes of queries and keys, c = R^-1/2 [cos, sin](2 pi xi s + phase) diag(rho) noise / sqrt(2 r), per feature of q
//              and k; q^ = c^T q (width R) enters omega alone, so omega c^T [m, dk] replaces it and |k^|^2 = k^T (c c^T) k
#include "engine/flt_shared.h"
#include "flt/num.h"

#include <math.h>
#include <string.h>

void flt_shared_bind_ws(const flt_net *n, flt_ws *ws, flt_shared *s) {
    const size_t size = sizeof(flt_real), spe = n->memory == FLTX_MEMORY_SPE_SINE;
    s->omega_q = flt_ws_take(ws, n->heads * n->dk * n->m, size);
    s->omega_k = spe ? flt_ws_take(ws, n->heads * n->dk * n->m, size) : s->omega_q;
    s->gram = flt_ws_take(ws, spe ? n->heads * n->dk * n->dk : 1, size);
    s->query = flt_ws_take(ws, n->heads * n->m, size);
    s->key = flt_ws_take(ws, n->heads * n->m, size);
    s->logits = flt_ws_take(ws, n->memory == FLTX_MEMORY_WINDOW ? n->heads * n->window : 1, size);
    s->wave = flt_ws_take(ws, 2 * n->r, sizeof(double));
    for (int i = 0; i < 2; i++) s->code[i] = flt_ws_take(ws, spe ? n->dk * n->R : 1, sizeof(double));
}

void flt_shared_bind(const flt_net *n, const flt_real *full, flt_shared *s) {
    memset(s->query, 0, n->heads * n->m * sizeof *s->query);
    memset(s->key, 0, n->heads * n->m * sizeof *s->key);
    if (!flt_net_kernel(n) || n->memory == FLTX_MEMORY_SPE_SINE) return;
    for (size_t h = 0; h < n->heads; h++)
        for (size_t f = 0; f < n->m; f++)
            for (size_t i = 0; i < n->dk; i++)
                s->omega_q[(h * n->dk + i) * n->m + f] = full[n->omega + (h * n->m + f) * n->D + i];
}

static double phase_of(double turns) {
    return FLTX_TWO_PI * (turns - rint(turns));
}

static void flt_head(const flt_net *n, const flt_real *full, size_t h, double position, flt_shared *s) {
    const double root = sqrt((double)n->r);
    for (size_t i = 0; i < n->r; i++) {
        const double phase = phase_of((double)full[n->xi + h * n->r + i] * position);
        s->wave[i] = cos(phase) / root;
        s->wave[n->r + i] = sin(phase) / root;
    }
    for (size_t f = 0; f < n->m; f++) {
        const flt_real *omega = full + n->omega + (h * n->m + f) * n->D + n->dk;
        const flt_real *rho = full + n->rho + h * n->r;
        double query = 0, key = 0;
        for (size_t i = 0; i < 2 * n->r; i++) {
            const double term = s->wave[i] * (double)omega[i];
            key += term;
            query += (double)rho[i % n->r] * term;
        }
        s->query[h * n->m + f] = (flt_real)query;
        s->key[h * n->m + f] = (flt_real)key;
    }
}

static void window_head(const flt_net *n, const flt_real *full, size_t h, uint64_t t, flt_shared *s) {
    const double tau = (double)full[n->tau + h];
    for (size_t w = 0; w < n->window; w++) {
        const uint64_t age = (t - w % n->window + n->window) % n->window; // of the token in slot w, once it is filled
        double sum = 0;
        for (size_t i = 0; i < n->r && age <= t; i++) {
            const double lag = flt_net_position(n, t) - flt_net_position(n, t - age);
            sum += (double)full[n->rho + h * n->r + i] * cos(phase_of((double)full[n->xi + h * n->r + i] * lag));
        }
        s->logits[h * n->window + w] = (flt_real)(sum / (double)n->r - tau * (double)age);
    }
}

// code [dk, R] at a position, of queries (with the phases) or of keys
static void spe_code(const flt_net *n, const flt_real *full, size_t h, double position, bool query, double *code) {
    const double scale = 1 / sqrt(2 * (double)n->r * (double)n->R);
    memset(code, 0, n->dk * n->R * sizeof *code);
    for (size_t at = 0; at < n->dk * n->r; at++) {
        const size_t i = h * n->dk * n->r + at;
        const double start = query ? (double)full[n->phase + i] : 0;
        const double phase = phase_of((double)full[n->xi + i] * position) + start, gain = scale * (double)full[n->rho + i];
        const flt_real *noise = full + n->noise + 2 * i * n->R;
        double *row = code + at / n->r * n->R;
        for (size_t k = 0; k < n->R; k++) row[k] += gain * (cos(phase) * (double)noise[k] + sin(phase) * (double)noise[n->R + k]);
    }
}

static void spe_head(const flt_net *n, const flt_real *full, size_t h, double position, flt_shared *s) {
    for (int side = 0; side < 2; side++) {
        flt_real *out = (side == 0 ? s->omega_q : s->omega_k) + h * n->dk * n->m;
        spe_code(n, full, h, position, side == 0, s->code[side]);
        for (size_t i = 0; i < n->dk; i++)
            for (size_t f = 0; f < n->m; f++) {
                double sum = 0;
                for (size_t k = 0; k < n->R; k++)
                    sum += s->code[side][i * n->R + k] * (double)full[n->omega + (h * n->m + f) * n->R + k];
                out[i * n->m + f] = (flt_real)sum;
            }
    }
    for (size_t i = 0; i < n->dk; i++)
        for (size_t j = 0; j < n->dk; j++) {
            double sum = 0;
            for (size_t k = 0; k < n->R; k++) sum += s->code[1][i * n->R + k] * s->code[1][j * n->R + k];
            s->gram[(h * n->dk + i) * n->dk + j] = (flt_real)sum;
        }
}

void flt_shared_step(const flt_net *n, const flt_real *full, uint64_t t, flt_shared *s) {
    const double position = flt_net_position(n, t);
    for (size_t h = 0; h < n->heads; h++) {
        if (n->memory == FLTX_MEMORY_FLT) flt_head(n, full, h, position, s);
        if (n->memory == FLTX_MEMORY_WINDOW) window_head(n, full, h, t, s);
        if (n->memory == FLTX_MEMORY_SPE_SINE) spe_head(n, full, h, position, s);
    }
}

void flt_shared_args(const flt_net *n, const flt_shared *s, uint64_t t, flt_step_args *a) {
    a->omega_q = s->omega_q;
    a->omega_k = s->omega_k;
    a->gram = s->gram;
    a->query = s->query;
    a->key = s->key;
    a->logits = s->logits;
    a->slot = (size_t)(t % n->window);
    a->filled = t < n->window ? (size_t)t + 1 : n->window;
}
