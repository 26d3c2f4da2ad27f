// SPDX-License-Identifier: MIT
// One step of the flt optimizer, coordinate by coordinate in long double.
//
// Features of a coordinate, F = 30 (Celo2's): g; clip(g, +-0.1); p; m 3; v; m rs 3; rs = (v + 1e-8)^-1/2; fac_g 3; g rs; row 3;
// col 3; (row + 1e-8)^-1/2 3; (col + 1e-8)^-1/2 3; fac_m 3, each divided by its root mean square over the tensor.
//     m = b m + (1 - b) g, b = 0.9, 0.99, 0.999;   v = 0.95 v + 0.05 g^2;   row, col: the same b over means of g^2 + 1e-30
// Attention of head h at time position s = log(1 + t) / log(1 + t_ref):
//     q = x Wq / dk^1/4,  k = x Wk / dk^1/4,  u = x Wv,  a = rho [cos, sin](2 pi xi s) / sqrt(r),  b = [cos, sin](..) / sqrt(r)
//     lq_f = omega_f [q, a] - |[q, a]|^2 / 2,   lk_f = omega_f [k, b] - |[k, b]|^2 / 2          (up to log(m) / 2, which cancels)
//     S = e^-tau S + e^lk u^T,   z = e^-tau z + e^lk,   o = e^lq S / (e^lq z)                     (S, z kept times e^-c)
// memory=performer: no a, b, tau = 0;  discount: no a, b;  window: o = sum_s w_s u_s / sum_s w_s over the last tokens, w_s =
// e^(q k_s + (1/r) sum rho cos(2 pi xi (s_t - s_s)) - tau (t - s));  spe_sine: q, k -> R^-1/4 q^T C_t, R^-1/4 k^T C'_t with C =
// [cos, sin](2 pi xi s + phase) diag(rho) noise / (sqrt(2 r) R^1/4), C' without phase;  none: no o. inputs=raw: 6 features.
// The network on [x, o] gives the direction D and the magnitude M:
//     p -= rate mean(exp(0.1 clip(M, +-10))) D (1e-9 + mean D^2)^-1/2
// basis=eigen: the same on B_0^T g B_1 and B_0^T p B_1, the step turned back; at every turn of B the momenta m turn with it.
#include "engine/flt_reference.h"
#include "engine/flt_net.h"
#include "engine/flt_reference_turn.h"
#include "engine/mlp.h"
#include "flt/memory.h"

#include <math.h>
#include <string.h>

typedef long double real;

enum { F = FLTX_NET_FEATURES, DECAYS = 3 };

static const real decay[DECAYS] = {0.9L, 0.99L, 0.999L};

typedef struct memory {
    flt_tensor_spec shape;
    bool factored;       // rank 2 and more
    size_t d0, d1;       // the largest axis and the second largest; of equal ones the later counts as larger
    real *m[DECAYS], *v; // [count]
    real *row[DECAYS];   // without axis d0; rank < 2: [count]
    real *col[DECAYS];   // without axis d1; rank < 2: [count]
    real *S, *z, *c;     // [count, heads, m, dv], [count, heads, m], [count, heads]
    real *tokens;        // [count, heads, window, dk + dv]
    double log_rate;     // of form=adaptive
    flt_reference_turn turn;
} memory;

struct flt_reference {
    flt_net net;
    flt_real *fixed; // [net.full]: what is behind theta
    double *theta;   // [net.full]
    flt_layout layout;
    memory *tensors; // [layout.n]
    real *x;         // [largest count, features]
    real *direction; // [largest count]
    double *g, *p;   // [largest count]: of basis=eigen
    real *wide[2];   // activations, [widest layer]
    real *q, *k, *u; // [dk + 2 r + R], the same, [dv]
    real *lq, *lk;   // [m]
    flt_ws ws;
};

// ---- life

static void axes(memory *s) {
    const flt_tensor_spec *t = &s->shape;
    s->factored = t->rank >= 2;
    s->d0 = s->d1 = t->rank;
    for (size_t i = 0; i < t->rank; i++)
        if (s->d0 == t->rank || t->dim[i] >= t->dim[s->d0]) s->d0 = i;
    for (size_t i = 0; i < t->rank; i++)
        if (i != s->d0 && (s->d1 == t->rank || t->dim[i] >= t->dim[s->d1])) s->d1 = i;
}

static void bind_memory(flt_ws *ws, memory *s, const flt_net *n) {
    const size_t P = s->shape.count;
    flt_reference_turn_bind(ws, &s->turn);
    for (int i = 0; i < DECAYS; i++) {
        s->m[i] = flt_ws_take(ws, P, sizeof(real));
        s->row[i] = flt_ws_take(ws, P, sizeof(real));
        s->col[i] = flt_ws_take(ws, P, sizeof(real));
    }
    s->v = flt_ws_take(ws, P, sizeof(real));
    const size_t window = n->memory == FLTX_MEMORY_WINDOW ? n->window : 0;
    s->tokens = flt_ws_take(ws, P * n->heads * window * (n->dk + n->dv), sizeof(real));
    s->S = flt_ws_take(ws, P * n->heads * n->m * n->dv, sizeof(real));
    s->z = flt_ws_take(ws, P * n->heads * n->m, sizeof(real));
    s->c = flt_ws_take(ws, P * n->heads, sizeof(real));
    for (size_t i = 0; s->c != NULL && i < P * n->heads; i++) s->c[i] = -INFINITY;
}

static void bind_all(void *self, flt_ws *ws) {
    flt_reference *r = self;
    size_t largest = 0, widest = 0;
    for (size_t i = 0; i < r->layout.n; i++)
        if (r->layout.tensor[i].count > largest) largest = r->layout.tensor[i].count;
    for (size_t i = 0; i <= r->net.n_layers; i++)
        if (r->net.width[i] > widest) widest = r->net.width[i];
    for (size_t i = 0; i < r->layout.n; i++) bind_memory(ws, &r->tensors[i], &r->net);
    r->x = flt_ws_take(ws, largest * F, sizeof(real));
    r->theta = flt_ws_take(ws, r->net.full, sizeof(double));
    r->fixed = flt_ws_take(ws, r->net.full, sizeof(flt_real));
    r->direction = flt_ws_take(ws, largest, sizeof(real));
    r->g = flt_ws_take(ws, largest, sizeof(double));
    r->p = flt_ws_take(ws, largest, sizeof(double));
    for (int i = 0; i < 2; i++) r->wide[i] = flt_ws_take(ws, widest, sizeof(real));
    r->q = flt_ws_take(ws, r->net.dk + 2 * r->net.r + r->net.R, sizeof(real));
    r->k = flt_ws_take(ws, r->net.dk + 2 * r->net.r + r->net.R, sizeof(real));
    r->u = flt_ws_take(ws, r->net.dv, sizeof(real));
    r->lq = flt_ws_take(ws, r->net.m, sizeof(real));
    r->lk = flt_ws_take(ws, r->net.m, sizeof(real));
}

flt_err flt_reference_create(const flt_params *params, const flt_layout *layout, flt_reference **out) {
    flt_reference *r = NULL;
    flt_err err = FLTE_OK;
    *out = NULL;
    FLTX_TRY(flt_alloc(1, sizeof *r, &r));
    FLTX_GO(err, fail, flt_net_make(params, &r->net));
    FLTX_GO(err, fail, flt_layout_copy(layout, &r->layout));
    FLTX_GO(err, fail, flt_alloc(layout->n, sizeof *r->tensors, &r->tensors));
    for (size_t i = 0; i < layout->n; i++) {
        r->tensors[i].shape = layout->tensor[i];
        axes(&r->tensors[i]);
        if (r->net.eigen) r->tensors[i].turn.turn = flt_turn_of(&layout->tensor[i]);
    }
    FLTX_GO(err, fail, flt_ws_create(bind_all, r, &r->ws));
    FLTX_GO(err, fail, flt_net_fix(&r->net, r->fixed));
    *out = r;
    return FLTE_OK;
fail:
    flt_reference_destroy(r);
    return err;
}

void flt_reference_destroy(flt_reference *r) {
    if (r == NULL) return;
    flt_ws_destroy(&r->ws);
    flt_free(r->tensors);
    flt_layout_free(&r->layout);
    flt_free(r);
}

void flt_reference_bind(flt_reference *r, const double *theta) {
    const flt_net *n = &r->net;
    for (size_t i = 0; i < n->full; i++) r->theta[i] = i < n->total ? theta[i] : (double)r->fixed[i];
}

// ---- features

// The flat index of element i in the tensor without axes a and b.
static size_t without(const flt_tensor_spec *t, size_t i, size_t a, size_t b) {
    size_t index[FLTX_MAX_RANK] = {0}, flat = 0;
    for (size_t k = t->rank; k-- > 0; i /= t->dim[k]) index[k] = i % t->dim[k];
    for (size_t k = 0; k < t->rank; k++)
        if (k != a && k != b) flat = flat * t->dim[k] + index[k];
    return flat;
}

static real safe_rsqrt(real x) {
    return 1 / sqrtl(x > 1e-9L ? x : 1e-9L);
}

// b old + (1 - b) mean, where the mean over n elements is added element by element: first the share kept, then the parts.
static void update_factored(memory *s, const double *g) {
    const flt_tensor_spec *t = &s->shape;
    const size_t rows = t->count / t->dim[s->d0], cols = t->count / t->dim[s->d1];
    for (int d = 0; d < DECAYS; d++) {
        for (size_t i = 0; i < rows; i++) s->row[d][i] *= decay[d];
        for (size_t i = 0; i < cols; i++) s->col[d][i] *= decay[d];
        for (size_t i = 0; i < t->count; i++) {
            const real g2 = (real)g[i] * g[i] + 1e-30L;
            s->row[d][without(t, i, s->d0, s->d0)] += (1 - decay[d]) * g2 / t->dim[s->d0];
            s->col[d][without(t, i, s->d1, s->d1)] += (1 - decay[d]) * g2 / t->dim[s->d1];
        }
    }
}

static void update_moments(memory *s, const double *g) {
    for (size_t i = 0; i < s->shape.count; i++) {
        const real g2 = (real)g[i] * g[i];
        s->v[i] = 0.95L * s->v[i] + 0.05L * g2;
        for (int d = 0; d < DECAYS; d++) {
            s->m[d][i] = decay[d] * s->m[d][i] + (1 - decay[d]) * g[i];
            if (!s->factored) s->row[d][i] = s->col[d][i] = decay[d] * s->row[d][i] + (1 - decay[d]) * (g2 + 1e-30L);
        }
    }
    if (s->factored) update_factored(s, g);
}

typedef struct factors {
    real row, col;   // the accumulators at the coordinate
    real on_g, on_m; // what g and m are multiplied by
} factors;

static factors factors_at(const memory *s, int d, size_t i) {
    if (!s->factored) {
        const real v = s->row[d][i];
        return (factors){v, v, safe_rsqrt(v + 1e-9L), 1 / sqrtl(v + 1e-6L)};
    }
    const flt_tensor_spec *t = &s->shape;
    const size_t group = without(t, i, s->d0, s->d1);
    real mean = 0;
    for (size_t j = 0; j < t->count; j++) // every row of the group appears dim[d0] times
        if (without(t, j, s->d0, s->d1) == group) mean += s->row[d][without(t, j, s->d0, s->d0)];
    mean /= (real)t->dim[s->d0] * t->dim[s->d1];
    const real row = s->row[d][without(t, i, s->d0, s->d0)], col = s->col[d][without(t, i, s->d1, s->d1)];
    const real factor = safe_rsqrt(row / (mean + 1e-9L)) * safe_rsqrt(col);
    return (factors){row, col, factor, factor};
}

static void raw_features(const memory *s, size_t i, real g, real p, real *x) {
    const real rs = 1 / sqrtl(s->v[i] + 1e-8L);
    x[0] = g;
    x[1] = g > 0.1L ? 0.1L : g < -0.1L ? -0.1L : g;
    x[2] = p;
    x[6] = s->v[i];
    x[10] = rs;
    x[14] = g * rs;
    for (int d = 0; d < DECAYS; d++) {
        const factors f = factors_at(s, d, i);
        x[3 + d] = s->m[d][i];
        x[7 + d] = s->m[d][i] * rs;
        x[11 + d] = g * f.on_g;
        x[15 + d] = f.row;
        x[18 + d] = f.col;
        x[21 + d] = 1 / sqrtl(f.row + 1e-8L);
        x[24 + d] = 1 / sqrtl(f.col + 1e-8L);
        x[27 + d] = s->m[d][i] * f.on_m;
    }
}

// form=adam: prod_d min(rms(m_d rs), 1)^snr_d, of the features before they are normalised
static real clearness(const flt_reference *r, size_t P) {
    real log_rate = 0;
    for (size_t d = 0; r->net.adam && d < DECAYS; d++) {
        real sum = 0;
        for (size_t i = 0; i < P; i++) sum += r->x[i * F + 7 + d] * r->x[i * F + 7 + d];
        log_rate += r->theta[r->net.snr + d] * logl(fminl(1e-9L + sum / P, 1)) / 2;
    }
    return expl(log_rate);
}

// form=adaptive; `all`: mean p^2 over all tensors. The momentum of decay 0.9 before g was 10 / 9 of what exceeds g's share.
static real adapted(const flt_reference *r, memory *s, uint64_t t, const double *g, const double *p, double all) {
    const size_t P = s->shape.count;
    real both = 0, old = 0, new = 0, size = 0;
    if (!r->net.adaptive) return 1;
    for (size_t i = 0; i < P; i++) {
        const real rs = 1 / sqrtl(s->v[i] + 1e-8L), before = (s->m[0][i] - (1 - decay[0]) * g[i]) / decay[0];
        both += before * rs * g[i] * rs;
        old += before * rs * before * rs;
        new += (real)g[i] * rs *g[i] * rs;
        size += (real)p[i] * p[i] / P;
    }
    const real agreement = t > 0 && sqrtl(old * new) > 1e-12L * P ? both / sqrtl(old * new) : 0;
    const double *adapt = r->theta + r->net.adapt;
    return flt_net_adapt(&r->net, adapt, t, (double)agreement, (double)sqrtl(size + 0.01L * all + 1e-12L), &s->log_rate);
}

// Returns what the rate is multiplied by.
static real features(flt_reference *r, memory *s, uint64_t t, const double *g, const double *p, double all) {
    static const size_t raw[FLTX_NET_RAW] = {0, 1, 2, 6, 10, 14};
    const size_t P = s->shape.count, n = r->net.features;
    update_moments(s, g);
    for (size_t i = 0; i < P; i++) raw_features(s, i, g[i], p[i], r->x + i * F);
    const real clear = clearness(r, P) * adapted(r, s, t, g, p, all);
    for (size_t i = 0; i < P && r->net.raw; i++) // in place: from the front, and none moves back
        for (size_t j = 0; j < n; j++) r->x[i * n + j] = r->x[i * F + raw[j]];
    for (size_t j = 0; j < n; j++) {
        real sum = 0;
        for (size_t i = 0; i < P; i++) sum += r->x[i * n + j] * r->x[i * n + j];
        const real rms = sqrtl(1e-9L + sum / P);
        for (size_t i = 0; i < P; i++) r->x[i * n + j] /= rms;
    }
    return clear;
}

// ---- attention and network

// out [n] = x [features] w [features, n] / scale
static void project(size_t features, const real *x, const double *w, size_t n, real scale, real *out) {
    for (size_t j = 0; j < n; j++) {
        out[j] = 0;
        for (size_t i = 0; i < features; i++) out[j] += x[i] * w[i * n + j];
        out[j] /= scale;
    }
}

// log phi(y) [m] for y [D], up to the common log(m) / 2.
static void log_features(const flt_net *n, const double *omega, const real *y, real *out) {
    const size_t D = n->D;
    real square = 0;
    for (size_t i = 0; i < D; i++) square += y[i] * y[i];
    for (size_t f = 0; f < n->m; f++) {
        out[f] = -square / 2;
        for (size_t i = 0; i < D; i++) out[f] += omega[f * D + i] * y[i];
    }
}

static real position_of(const flt_net *n, uint64_t t) {
    return n->linear ? (real)t / (real)n->t_ref : log1pl((real)t) / log1pl((real)n->t_ref);
}

static const real two_pi = 2 * 3.141592653589793238462643383279503L;

static void snippets(const flt_reference *r, size_t h, uint64_t t) {
    const flt_net *n = &r->net;
    const real s = position_of(n, t), root = sqrtl((real)n->r);
    for (size_t i = 0; i < n->r; i++) {
        const real phase = two_pi * r->theta[n->xi + h * n->r + i] * s;
        const real rho = r->theta[n->rho + h * n->r + i];
        r->k[n->dk + i] = cosl(phase) / root;
        r->k[n->dk + n->r + i] = sinl(phase) / root;
        r->q[n->dk + i] = rho * r->k[n->dk + i];
        r->q[n->dk + n->r + i] = rho * r->k[n->dk + n->r + i];
    }
}

// y [dk] -> R^-1/4 y^T C_t [R], in place
static void code(const flt_reference *r, size_t h, uint64_t t, bool query, real *y) {
    const flt_net *n = &r->net;
    const real s = position_of(n, t), scale = 1 / sqrtl(2 * (real)n->r * (real)n->R);
    real *out = y + n->dk;
    for (size_t k = 0; k < n->R; k++) out[k] = 0;
    for (size_t d = 0; d < n->dk; d++)
        for (size_t f = 0; f < n->r; f++) {
            const size_t at = (h * n->dk + d) * n->r + f;
            const double *noise = r->theta + n->noise + at * 2 * n->R;
            const real phase = two_pi * r->theta[n->xi + at] * s + (query ? r->theta[n->phase + at] : 0);
            for (size_t k = 0; k < n->R; k++)
                out[k] += y[d] * scale * r->theta[n->rho + at] * (cosl(phase) * noise[k] + sinl(phase) * noise[n->R + k]);
        }
    for (size_t k = 0; k < n->R; k++) y[k] = out[k]; // from the front
}

static real largest(const real *x, size_t n) {
    real most = x[0];
    for (size_t i = 1; i < n; i++) most = x[i] > most ? x[i] : most;
    return most;
}

static real tau_of(const flt_reference *r, size_t h) {
    if (!flt_net_discounts(&r->net)) return 0;
    return r->theta[r->net.tau + h] > 0 ? r->theta[r->net.tau + h] : 0;
}

// Exact attention of coordinate i over the tokens of its window.
static void attend_window(flt_reference *r, memory *s, size_t i, size_t h, uint64_t t, real *out) {
    const flt_net *n = &r->net;
    const size_t words = n->dk + n->dv, used = t < n->window ? t + 1 : n->window;
    real *tokens = s->tokens + (i * n->heads + h) * n->window * words, denominator = 0;
    real *own = tokens + t % n->window * words;
    for (size_t j = 0; j < words; j++) own[j] = j < n->dk ? r->k[j] : r->u[j - n->dk];
    for (size_t j = 0; j < n->dv; j++) out[j] = 0;
    for (size_t age = 0; age < used; age++) {
        const real *token = tokens + (t - age) % n->window * words, lag = position_of(n, t) - position_of(n, t - age);
        real logit = -tau_of(r, h) * age;
        for (size_t j = 0; j < n->dk; j++) logit += r->q[j] * token[j];
        for (size_t j = 0; j < n->r; j++)
            logit += r->theta[n->rho + h * n->r + j] * cosl(two_pi * r->theta[n->xi + h * n->r + j] * lag) / n->r;
        denominator += expl(logit);
        for (size_t j = 0; j < n->dv; j++) out[j] += expl(logit) * token[n->dk + j];
    }
    for (size_t j = 0; j < n->dv; j++) out[j] /= denominator;
}

// Writes the token into the memory of coordinate i, reads it, and leaves the result in out [dv].
static void attend(flt_reference *r, memory *s, size_t i, size_t h, real *out) {
    const flt_net *n = &r->net;
    const real tau = tau_of(r, h);
    real *S = s->S + (i * n->heads + h) * n->m * n->dv, *z = s->z + (i * n->heads + h) * n->m, *c = &s->c[i * n->heads + h];
    const real peak = largest(r->lk, n->m), grown = peak > *c ? peak : *c, keep = expl(-tau + *c - grown);
    const real top = largest(r->lq, n->m);
    real denominator = 0;
    *c = grown;
    for (size_t j = 0; j < n->dv; j++) out[j] = 0;
    for (size_t f = 0; f < n->m; f++) {
        const real key = expl(r->lk[f] - grown), query = expl(r->lq[f] - top);
        z[f] = keep * z[f] + key;
        denominator += query * z[f];
        for (size_t j = 0; j < n->dv; j++) {
            S[f * n->dv + j] = keep * S[f * n->dv + j] + key * r->u[j];
            out[j] += query * S[f * n->dv + j];
        }
    }
    for (size_t j = 0; j < n->dv; j++) out[j] /= denominator;
}

static void head(flt_reference *r, memory *s, size_t i, size_t h, uint64_t t, real *out) {
    const flt_net *n = &r->net;
    const real *x = r->x + i * n->features, root4 = sqrtl(sqrtl((real)n->dk));
    const double *omega = r->theta + n->omega + h * n->m * n->D;
    project(n->features, x, r->theta + n->wq + h * n->features * n->dk, n->dk, root4, r->q);
    project(n->features, x, r->theta + n->wk + h * n->features * n->dk, n->dk, root4, r->k);
    project(n->features, x, r->theta + n->wv + h * n->features * n->dv, n->dv, 1, r->u);
    if (n->memory == FLTX_MEMORY_WINDOW) {
        attend_window(r, s, i, h, t, out);
        return;
    }
    if (n->memory == FLTX_MEMORY_FLT) snippets(r, h, t);
    if (n->memory == FLTX_MEMORY_SPE_SINE) {
        code(r, h, t, true, r->q);
        code(r, h, t, false, r->k);
    }
    log_features(n, omega, r->q, r->lq);
    log_features(n, omega, r->k, r->lk);
    attend(r, s, i, h, out);
}

// What the network sees of coordinate i.
static void fill_inputs(flt_reference *r, memory *s, size_t i, uint64_t t) {
    const flt_net *n = &r->net;
    double times[FLTX_TIMES];
    real *in = r->wide[0];
    for (size_t j = 0; j < n->features; j++) in[j] = r->x[i * n->features + j];
    for (size_t h = 0; h < n->heads; h++) head(r, s, i, h, t, in + n->features + h * n->dv);
    flt_time_features(t, times);
    for (size_t j = 0; n->clock && j < FLTX_TIMES; j++) in[n->width[0] - FLTX_TIMES + j] = times[j];
}

// in: wide[0] [width[0]]; returns the two outputs.
static const real *network(flt_reference *r) {
    const flt_net *n = &r->net;
    real *in = r->wide[0], *out = r->wide[1];
    for (size_t layer = 0; layer < n->n_layers; layer++) {
        const double *w = r->theta + n->w[layer], *b = r->theta + n->b[layer];
        const size_t wide = n->width[layer + 1];
        for (size_t j = 0; j < wide; j++) {
            out[j] = b[j];
            for (size_t i = 0; i < n->width[layer]; i++) out[j] += in[i] * w[i * wide + j];
            if (layer + 1 < n->n_layers && out[j] < 0) out[j] = 0;
        }
        real *swap = in;
        in = out;
        out = swap;
    }
    return in;
}

// Leaves what is to be subtracted in r->direction.
static void step_tensor(flt_reference *r, memory *s, uint64_t t, const double *g, const double *p, real rate, double all) {
    const size_t P = s->shape.count;
    real squares = 0, gain = 0;
    rate *= features(r, s, t, g, p, all);
    for (size_t i = 0; i < P; i++) {
        fill_inputs(r, s, i, t);
        const real *out = network(r);
        r->direction[i] = out[0];
        squares += out[0] * out[0];
        gain += expl(0.1L * (out[1] > 10 ? 10 : out[1] < -10 ? -10 : out[1]));
    }
    for (size_t i = 0; i < P; i++) r->direction[i] *= rate * (gain / P) / sqrtl(1e-9L + squares / P);
}

// Moves the basis on, momenta with it, and leaves gradient and parameters in it in r->g, r->p.
static void enter_basis(flt_reference *r, memory *s, uint64_t t, const double *g, const double *p) {
    flt_reference_turn *turn = &s->turn;
    const size_t P = s->shape.count;
    if (flt_reference_turn_gradient(turn, t, r->net.turn, g)) {
        for (int d = 0; d < DECAYS; d++) flt_reference_turn_apply(turn, true, s->m[d]);
        flt_reference_turn_iterate(turn);
        for (int d = 0; d < DECAYS; d++) flt_reference_turn_apply(turn, false, s->m[d]);
    }
    for (int k = 0; k < 2; k++) {
        for (size_t i = 0; i < P; i++) r->direction[i] = k == 0 ? g[i] : p[i];
        flt_reference_turn_apply(turn, false, r->direction);
        for (size_t i = 0; i < P; i++) (k == 0 ? r->g : r->p)[i] = (double)r->direction[i];
    }
}

// The schedule ends at n->end, which the caller sets.
static real full_rate(const flt_net *n, uint64_t t) {
    const real rise = n->warmup > 0 ? fminl(1, (t + 1.0L) / n->warmup) : 1;
    if (n->schedule == FLTX_CONSTANT || n->end == 0 || (double)t < n->warmup) return n->lr * rise;
    if (t >= n->end) return n->lr * n->final;
    const real left = (n->end - (real)t) / (n->end - (real)n->warmup);
    const real course = n->schedule == FLTX_LINEAR ? left : powl(sinl(acosl(-1) / 2 * left), 2);
    return n->lr * (n->final * (1 - course) + course);
}

void flt_reference_step(flt_reference *r, uint64_t t, const double *grad, double *param) {
    const flt_net *n = &r->net;
    const real s = position_of(n, t);
    const double *log_lr = r->theta + n->log_lr;
    const real full = full_rate(n, t);
    const real rate = n->lr_time ? full * expl(log_lr[0] + log_lr[1] * s) : full;
    double all = 0;
    for (size_t i = 0; i < r->layout.total; i++) all += param[i] * param[i] / (double)r->layout.total;
    for (size_t i = 0; i < r->layout.n; i++) {
        memory *tensor = &r->tensors[i];
        if (tensor->shape.count == 0) continue;
        const double *g = grad + tensor->shape.offset;
        double *p = param + tensor->shape.offset;
        const bool turns = flt_turn_any(&tensor->turn.turn);
        if (turns) enter_basis(r, tensor, t, g, p);
        step_tensor(r, tensor, t, turns ? r->g : g, turns ? r->p : p, rate, all);
        if (turns) flt_reference_turn_apply(&tensor->turn, true, r->direction);
        for (size_t k = 0; k < tensor->shape.count; k++) p[k] = (double)(p[k] - r->direction[k]);
    }
}
