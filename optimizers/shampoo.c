// SPDX-License-Identifier: MIT
// Shampoo with Adam's step lengths, for a matrix [r, c] (rank above 2: [first axis, the rest]), n = t + 1:
//   M = b1 M + (1 - b1) G,  V = b2 V + (1 - b2) G^2,  L = b2 L + (1 - b2) G G^T,  R = b2 R + (1 - b2) G^T G;
//   at every k-th step  A = (L^ + e max eig(L^) I)^-1/4,  B the same of R;   ^: bias-corrected, x / (1 - b^n);
//   U = A M^ B,  D = M^ / (sqrt(V^) + eps),   p -= lr wd p,   p -= lr |D| / |U| U       Frobenius norms.
// An axis longer than max_dim has no factor; the one that is left takes the power -1/2. Vectors and scalars follow AdamW.
// p, G [P]; state: M, V [P], and per matrix L, A [r, r], R, B [c, c]. Reference: Gupta, Koren, Singer, ICML 2018, arXiv
// 1802.09568; moments, grafting and the ridge e relative to the largest eigenvalue as in Anil et al., arXiv 2002.09018, and Shi
// et al., arXiv 2309.06497. Cost: O(r c (r + c)) a step, O(r^3 + c^3) every k-th. Differs from Shi et al.: no blocks, first step
// at once.
#include "engine/matrix.h"
#include "flt/num.h"

#include <math.h>
#include <string.h>

typedef struct shampoo {
    flt_sides sides;
    double ridge;
} shampoo;

static flt_err create(const flt_params *p, const flt_layout *layout, void **self) {
    shampoo *s = NULL;
    FLTX_TRY(flt_sides_create(p, layout, sizeof *s, &s));
    s->ridge = flt_params_real(p, "matrix_eps");
    *self = s;
    return FLTE_OK;
}

static void identity(size_t n, flt_real *x) {
    memset(x, 0, n * n * sizeof *x);
    for (size_t i = 0; i < n; i++) x[i * n + i] = 1;
}

// B = (S / correction + ridge max eig I)^power; the old B stays where S is not finite, an S of zeros has the identity.
static void root(const shampoo *s, const flt_side *side, double correction, double power) {
    const flt_basis *o = &s->sides.basis;
    const size_t n = side->n;
    if (n == 0) return;
    for (size_t i = 0; i < n * n; i++) o->a[i] = (double)side->S[i] / correction;
    if (!flt_eigen_symmetric(n, o->a, o->w, o->v, o->w + n)) return;
    const double most = o->w[n - 1];
    if (!(most > 0)) {
        identity(n, side->B);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        const double scale = pow(fmax(o->w[i], 0) + s->ridge * most, power / 2);
        for (size_t j = 0; j < n; j++) o->y[i * n + j] = (flt_real)(scale * o->v[i * n + j]);
    }
    flt_gemm(true, false, n, n, n, 1, o->y, n, o->y, n, 0, side->B, n);
}

static void step_matrix(const shampoo *s, const flt_tensor_spec *a, uint64_t t, double lr, const flt_real *g, flt_real *p,
                        flt_real *state) {
    const flt_sides *o = &s->sides;
    const flt_matrix d = flt_matrix_of(a);
    const adam_rates r = flt_adam_rates(t, 1, o->beta1, o->beta2, o->eps, 0);
    const double correction = 1 - pow(o->beta2, (double)t + 1);
    flt_real *m = state, *v = state + a->count, *x = o->x[0];
    flt_side side[2];
    double grafted = 0;
    flt_sides_at(o, a, state, side);
    for (int i = 0; i < 2; i++) {
        flt_sides_update(o, i, d, g, &side[i]);
        if (t % o->every == 0) root(s, &side[i], correction, side[1 - i].n > 0 ? -0.25 : -0.5);
    }
    for (size_t i = 0; i < a->count; i++) {
        m[i] = r.keep_m * m[i] + r.write_m * g[i];
        v[i] = r.keep_v * v[i] + r.write_v * g[i] * g[i];
        x[i] = r.step * m[i];
        const double adam = (double)(x[i] / ((flt_real)sqrt((double)v[i]) * r.scale + r.eps));
        grafted += adam * adam;
    }
    const flt_real *u = flt_sides_apply(o, d, true, side, x);
    const double norm = sqrt(flt_sum_squares(a->count, u));
    const flt_real rate = norm > 0 ? (flt_real)(lr * sqrt(grafted) / norm) : 0, shrink = (flt_real)(1 - lr * o->base.decay);
    for (size_t i = 0; i < a->count; i++) p[i] = shrink * p[i] - rate * u[i];
}

static void step(void *self, uint64_t t, flt_real loss, const flt_real *grad, flt_real *param, flt_real *state) {
    const shampoo *s = self;
    const flt_sides *o = &s->sides;
    const double lr = flt_hand_rate(&o->base, t);
    const adam_rates rest = flt_adam_rates(t, lr, o->beta1, o->beta2, o->eps, o->base.decay);
    (void)loss;
    for (size_t i = 0; i < o->base.layout.n; i++) {
        const flt_tensor_spec *a = &o->base.layout.tensor[i];
        if (flt_is_matrix(a))
            step_matrix(s, a, t, lr, grad + a->offset, param + a->offset, state);
        else
            o->base.kernels->adam(a->count, &rest, grad + a->offset, param + a->offset, state, state + a->count);
        state += flt_sides_words(o->most, a);
    }
}

static const flt_param_spec params[] = {
    {"lr", FLTX_REAL, "0.001", 0.0, 1e6, NULL, "learning rate"},
    {"beta1", FLTX_REAL, "0.9", 0.0, 0.99999999, NULL, "decay of the mean of gradients"},
    {"beta2", FLTX_REAL, "0.999", 0.0, 0.99999999, NULL, "decay of the second moments and of the preconditioners"},
    {"eps", FLTX_REAL, "1e-8", 0.0, 1e6, NULL, "of the grafted Adam, and of vectors"},
    {"matrix_eps", FLTX_REAL, "1e-6", 0.0, 1e6, NULL, "added to the eigenvalues, times the largest of them"},
    {"weight_decay", FLTX_REAL, "0", 0.0, 1e6, NULL, "decoupled: p shrinks by lr weight_decay p"},
    FLTX_SIDES_PARAMS,
    FLTX_HAND_SCHEDULE,
    {0},
};

const flt_optimizer_kind flt_optimizer_kind_shampoo = {
    .kind = {.name = "shampoo",
             .summary = "roots of row and column second moments precondition matrices, at Adam's step length",
             .formula = "U = L^-1/4 M R^-1/4; L = b2 L + (1-b2) G G^T, R = b2 R + (1-b2) G^T G; p -= lr |adam| / |U| U",
             .cost = "O(r c (r + c)), every k-th step O(r^3 + c^3); 2 + 2 (r^2 + c^2) / (r c) state words per parameter",
             .citation = "Gupta et al., arXiv 1802.09568; Anil et al., arXiv 2002.09018",
             .caps = FLTX_OPT_LR,
             .params = params},
    .create = create,
    .destroy = flt_sides_destroy,
    .state_words = flt_hand_words,
    .init = flt_hand_init,
    .step = step,
};
