// SPDX-License-Identifier: MIT
// SOAP: Adam in the eigenbasis of Shampoo's preconditioners, for a matrix [r, c] (rank above 2: [first axis, the rest]):
//   first step (t = 0), which moves nothing:  L = (1 - b2) G G^T,  R = (1 - b2) G^T G,  Q_L, Q_R their eigenvectors;
//   then, n = t:  G' = Q_L^T G Q_R,  M = b1 M + (1 - b1) G',  V = b2 V + (1 - b2) G'^2,
//                 p -= lr sqrt(1 - b2^n) / (1 - b1^n) Q_L (M / (sqrt(V) + eps)) Q_R^T,   p -= lr wd p,
//                 L = b2 L + (1 - b2) G G^T, R likewise; at every k-th n one step of orthogonal iteration: the columns of Q_L
//                 by decreasing q^T L q (the rows of V with them), then Q_L = qr(L Q_L); Q_R likewise; M turns with the bases.
// An axis longer than max_dim keeps its own basis. Vectors and scalars follow Adam, and skip the first step as well.
// p, G [P]; state: M, V [P], and per matrix L, Q_L [r, r], R, Q_R [c, c]. Reference: Vyas et al., arXiv 2409.11321, in the form
// of the authors' code. Cost: O(r c (r + c)) a step, O(r^3 + c^3) every k-th. Differs: that code has one factor per axis of
// higher ranks. Limits: eigenvalues that repeat (a first gradient of low rank) have any basis, so two programs agree only without
// them.
#include "engine/matrix.h"
#include "flt/memory.h"
#include "flt/num.h"

#include <math.h>
#include <string.h>

typedef struct soap {
    flt_sides sides;
    size_t *order; // [longest axis that has a preconditioner]
} soap;

static void destroy(void *self) {
    soap *s = self;
    if (s == NULL) return;
    flt_free(s->order);
    flt_sides_destroy(s);
}

static flt_err create(const flt_params *p, const flt_layout *layout, void **self) {
    soap *s = NULL;
    FLTX_TRY(flt_sides_create(p, layout, sizeof *s, &s));
    const flt_err err = flt_alloc(s->sides.longest, sizeof *s->order, &s->order);
    if (err != FLTE_OK) {
        destroy(s);
        return err;
    }
    *self = s;
    return FLTE_OK;
}

// x [r, c] -> its rows (axis 0) or columns in the order given
static void reorder(const soap *s, flt_matrix d, int axis, flt_real *x) {
    flt_real *copy = s->sides.x[1];
    memcpy(copy, x, d.r * d.c * sizeof *x);
    for (size_t i = 0; i < d.r; i++)
        for (size_t j = 0; j < d.c; j++) x[i * d.c + j] = axis == 0 ? copy[s->order[i] * d.c + j] : copy[i * d.c + s->order[j]];
}

static void update_sides(const soap *s, uint64_t t, flt_matrix d, const flt_real *g, const flt_side side[2], flt_real *m,
                         flt_real *v) {
    const flt_sides *o = &s->sides;
    const size_t bytes = d.r * d.c * sizeof *m;
    for (int i = 0; i < 2; i++) flt_sides_update(o, i, d, g, &side[i]);
    if (t == 0)
        for (int i = 0; i < 2; i++) flt_basis_start(&o->basis, &side[i]);
    if (t == 0 || t % o->every != 0) return;
    memcpy(m, flt_sides_apply(o, d, true, side, m), bytes);
    for (int i = 0; i < 2; i++)
        if (flt_basis_iterate(&o->basis, &side[i], s->order)) reorder(s, d, i, v);
    memcpy(m, flt_sides_apply(o, d, false, side, m), bytes);
}

static void step_matrix(const soap *s, const flt_tensor_spec *a, uint64_t t, double lr, const flt_real *g, flt_real *p,
                        flt_real *state) {
    const flt_sides *o = &s->sides;
    const flt_matrix d = flt_matrix_of(a);
    flt_real *m = state, *v = state + a->count, *x = o->x[0];
    flt_side side[2];
    flt_sides_at(o, a, state, side);
    if (t > 0) {
        const adam_rates r = flt_adam_rates(t - 1, lr, o->beta1, o->beta2, o->eps, 0);
        const flt_real *turned = flt_sides_apply(o, d, false, side, g);
        for (size_t i = 0; i < a->count; i++) {
            m[i] = r.keep_m * m[i] + r.write_m * turned[i];
            v[i] = r.keep_v * v[i] + r.write_v * turned[i] * turned[i];
            x[i] = m[i] / ((flt_real)sqrt((double)v[i]) + r.eps);
        }
        const flt_real rate = r.step / r.scale, shrink = (flt_real)(1 - lr * o->base.decay);
        const flt_real *u = flt_sides_apply(o, d, true, side, x);
        for (size_t i = 0; i < a->count; i++) p[i] = shrink * (p[i] - rate * u[i]);
    }
    update_sides(s, t, d, g, side, m, v);
}

static void step_vector(const soap *s, size_t n, uint64_t t, double lr, const flt_real *g, flt_real *p, flt_real *state) {
    const flt_sides *o = &s->sides;
    if (t == 0) return;
    adam_rates r = flt_adam_rates(t - 1, lr, o->beta1, o->beta2, o->eps, 0);
    const flt_real shrink = (flt_real)(1 - lr * o->base.decay);
    r.step = r.step / r.scale; // eps beside the root before its correction
    r.scale = 1;
    o->base.kernels->adam(n, &r, g, p, state, state + n);
    for (size_t i = 0; i < n; i++) p[i] *= shrink;
}

static void step(void *self, uint64_t t, flt_real loss, const flt_real *grad, flt_real *param, flt_real *state) {
    const soap *s = self;
    const flt_sides *o = &s->sides;
    const double lr = flt_hand_rate(&o->base, t);
    (void)loss;
    for (size_t i = 0; i < o->base.layout.n; i++) {
        const flt_tensor_spec *a = &o->base.layout.tensor[i];
        if (flt_is_matrix(a))
            step_matrix(s, a, t, lr, grad + a->offset, param + a->offset, state);
        else
            step_vector(s, a->count, t, lr, grad + a->offset, param + a->offset, state);
        state += flt_sides_words(o->most, a);
    }
}

static const flt_param_spec params[] = {
    {"lr", FLTX_REAL, "0.003", 0.0, 1e6, NULL, "learning rate"},
    {"beta1", FLTX_REAL, "0.95", 0.0, 0.99999999, NULL, "decay of the mean of gradients"},
    {"beta2", FLTX_REAL, "0.95", 0.0, 0.99999999, NULL, "decay of the second moments and of the preconditioners"},
    {"eps", FLTX_REAL, "1e-8", 0.0, 1e6, NULL, "added to the root of the second moment"},
    {"weight_decay", FLTX_REAL, "0.01", 0.0, 1e6, NULL, "decoupled: p shrinks by lr weight_decay p"},
    FLTX_SIDES_PARAMS,
    FLTX_HAND_SCHEDULE,
    {0},
};

const flt_optimizer_kind flt_optimizer_kind_soap = {
    .kind = {.name = "soap",
             .summary = "Adam in the slowly turning eigenbasis of Shampoo's preconditioners",
             .formula = "G' = Q_L^T G Q_R; Adam on G'; p -= lr Q_L (M / (sqrt(V) + eps)) Q_R^T; Q = qr(L Q) every k-th step",
             .cost = "O(r c (r + c)), every k-th step O(r^3 + c^3); 2 + 2 (r^2 + c^2) / (r c) state words per parameter",
             .citation = "Vyas et al., arXiv 2409.11321",
             .caps = FLTX_OPT_LR,
             .params = params},
    .create = create,
    .destroy = destroy,
    .state_words = flt_hand_words,
    .init = flt_hand_init,
    .step = step,
};
