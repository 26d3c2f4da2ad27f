// SPDX-License-Identifier: MIT
// Muon, for a matrix [r, c] (rank above 2: [first axis, the rest]):
//   b = mu b + (1 - mu) g,  X = g + mu (b - g)  (nesterov; else X = b),  X /= max(|X|, 1e-7),
//   five times  A = X X^T,  X = 3.4445 X - 4.7750 A X + 2.0315 A^2 X;    p -= lr wd p,  p -= lr s X,
//   s = sqrt(max(1, r / c)) (adjust=original) or 0.2 sqrt(max(r, c)) (match_rms_adamw).
// Vectors and scalars follow AdamW with the rate adam_ratio lr, the same decay, decays 0.9 and 0.95, eps 1e-10.
// p, g, b [P]; state: b for matrices, m and v for the rest. Reference: Jordan et al., kellerjordan.github.io/posts/muon, 2024, in
// PyTorch's form (defaults too), but X stays in the working precision, not bfloat16. Cost: O(min(r, c) r c) per step; 1 state
// word per parameter of a matrix, 2 of the rest. Limits: every matrix is treated as hidden, embeddings and heads too.
#include "engine/matrix.h"
#include "flt/num.h"

#include <math.h>
#include <string.h>

enum { ITERATIONS = 5 };

typedef struct muon {
    flt_hand base;
    double mu, adam_ratio;
    bool nesterov, match_rms;
    size_t largest, shortest; // coordinates of the largest matrix; largest min(r, c)
} muon;

static size_t state_of(const flt_tensor_spec *a) {
    return flt_is_matrix(a) ? a->count : 2 * a->count;
}

static flt_err create(const flt_params *p, const flt_layout *layout, void **self) {
    muon *s = NULL, sizes = {.shortest = 1};
    size_t words = 0;
    for (size_t i = 0; i < layout->n; i++) {
        const flt_tensor_spec *a = &layout->tensor[i];
        words += state_of(a);
        if (!flt_is_matrix(a)) continue;
        const flt_matrix x = flt_matrix_of(a);
        const size_t least = x.r < x.c ? x.r : x.c;
        FLTX_TRY(flt_gemm_check("muon", x.r, x.c, x.r));
        if (a->count > sizes.largest) sizes.largest = a->count;
        if (least > sizes.shortest) sizes.shortest = least;
    }
    FLTX_TRY(flt_hand_create(p, layout, sizeof *s, words, 2 * sizes.largest + 2 * sizes.shortest * sizes.shortest, &s));
    flt_num_init();
    s->largest = sizes.largest;
    s->shortest = sizes.shortest;
    s->mu = flt_params_real(p, "momentum");
    s->adam_ratio = flt_params_real(p, "adam_ratio");
    s->nesterov = flt_params_bool(p, "nesterov");
    s->match_rms = strcmp(flt_params_text(p, "adjust"), "match_rms_adamw") == 0;
    *self = s;
    return FLTE_OK;
}

// x [r, c] towards U V^T of its singular value decomposition; products on the shorter side. other [r, c], a and b [min(r, c)]^2.
static flt_real *orthogonalise(flt_matrix d, flt_real *x, flt_real *other, flt_real *a, flt_real *b) {
    const bool wide = d.r <= d.c;
    const size_t n = wide ? d.r : d.c;
    const double norm = sqrt(flt_sum_squares(d.r * d.c, x));
    const flt_real scale = (flt_real)(1 / (norm > 1e-7 ? norm : 1e-7));
    for (size_t i = 0; i < d.r * d.c; i++) x[i] *= scale;
    for (int k = 0; k < ITERATIONS; k++) {
        flt_gemm(!wide, wide, n, n, wide ? d.c : d.r, 1, x, d.c, x, d.c, 0, a, n);
        memcpy(b, a, n * n * sizeof *b);
        flt_gemm(false, false, n, n, n, (flt_real)2.0315, a, n, a, n, (flt_real)-4.7750, b, n);
        memcpy(other, x, d.r * d.c * sizeof *x);
        if (wide)
            flt_gemm(false, false, d.r, d.c, n, 1, b, n, x, d.c, (flt_real)3.4445, other, d.c);
        else
            flt_gemm(false, false, d.r, d.c, n, 1, x, d.c, b, n, (flt_real)3.4445, other, d.c);
        flt_real *swap = x;
        x = other;
        other = swap;
    }
    return x;
}

static void step_matrix(const muon *s, const flt_tensor_spec *a, double lr, const flt_real *g, flt_real *p, flt_real *buf) {
    const flt_matrix d = flt_matrix_of(a);
    const flt_real mu = (flt_real)s->mu, write = (flt_real)(1 - s->mu), look = s->nesterov ? write : 0;
    flt_real *x = s->base.work, *other = x + s->largest, *gram = other + s->largest;
    for (size_t i = 0; i < a->count; i++) {
        buf[i] = mu * buf[i] + write * g[i];
        x[i] = buf[i] + look * (g[i] - buf[i]);
    }
    x = orthogonalise(d, x, other, gram, gram + s->shortest * s->shortest);
    const double r = (double)d.r, c = (double)d.c;
    const double adjust = s->match_rms ? 0.2 * sqrt(fmax(r, c)) : sqrt(fmax(1, r / c));
    const flt_real shrink = (flt_real)(1 - lr * s->base.decay), rate = (flt_real)(lr * adjust);
    for (size_t i = 0; i < a->count; i++) p[i] = shrink * p[i] - rate * x[i];
}

static void step(void *self, uint64_t t, flt_real loss, const flt_real *grad, flt_real *param, flt_real *state) {
    const muon *s = self;
    const double lr = flt_hand_rate(&s->base, t);
    const adam_rates rest = flt_adam_rates(t, s->adam_ratio * lr, 0.9, 0.95, 1e-10, s->base.decay);
    (void)loss;
    for (size_t i = 0; i < s->base.layout.n; i++) {
        const flt_tensor_spec *a = &s->base.layout.tensor[i];
        const flt_real *g = grad + a->offset;
        if (flt_is_matrix(a))
            step_matrix(s, a, lr, g, param + a->offset, state);
        else
            s->base.kernels->adam(a->count, &rest, g, param + a->offset, state, state + a->count);
        state += state_of(a);
    }
}

static const flt_param_spec params[] = {
    {"lr", FLTX_REAL, "0.001", 0.0, 1e6, NULL, "learning rate of matrices"},
    {"momentum", FLTX_REAL, "0.95", 0.0, 1.0, NULL, "decay of the mean of gradients"},
    {"nesterov", FLTX_BOOL, "true", 0, 0, NULL, "look ahead: orthogonalise a mix of the mean and the gradient"},
    {"adjust", FLTX_ENUM, "original", 0, 0, "original|match_rms_adamw", "how the length of a step depends on the shape"},
    {"adam_ratio", FLTX_REAL, "0.2", 0.0, 1e6, NULL, "rate of vectors and scalars, under AdamW, over lr"},
    {"weight_decay", FLTX_REAL, "0.1", 0.0, 1e6, NULL, "decoupled: p shrinks by rate weight_decay p"},
    FLTX_HAND_SCHEDULE,
    {0},
};

const flt_optimizer_kind flt_optimizer_kind_muon = {
    .kind = {.name = "muon",
             .summary = "orthogonalised momentum for matrices, AdamW for the rest",
             .formula = "b = mu b + (1-mu) g; X = newton_schulz(g + mu (b - g)); p -= lr wd p + lr sqrt(max(1, r/c)) X",
             .cost = "O(min(r, c) r c) per matrix; 1 state word per parameter of a matrix, 2 of the rest",
             .citation = "Jordan et al., kellerjordan.github.io/posts/muon, 2024; PyTorch Muon",
             .caps = FLTX_OPT_LR,
             .params = params},
    .create = create,
    .destroy = flt_hand_destroy,
    .state_words = flt_hand_words,
    .init = flt_hand_init,
    .step = step,
};
