// SPDX-License-Identifier: MIT
// Adafactor, per tensor of last axes r x c (leading axes are a batch):  n = t + 1,  b = n^beta2_decay,  rho = min(lr, n^-1/2),
//   alpha = max(eps2, rms(p)) rho,  p -= lr wd p,  R += b (mean over columns of g^2 - R),  C += b (mean over rows of g^2 - C),
//   V = R C / max(mean R, eps1)   (rank < 2: V += b (g^2 - V)),   u = g / sqrt(max(V, eps1^2)),   p -= alpha u / max(1, rms(u) /
//   d).
// p, g [P]; state per tensor: R [.., r], C [.., c], or V. Reference: Shazeer and Stern, arXiv 1804.04235, in PyTorch's form: lr
// is the largest relative step, the last two axes are factored, eps1 (default: the machine epsilon) enters V alone. Cost: four
// passes; (r + c) / (r c) state words per parameter. Limits: no momentum.
#include "engine/hand.h"
#include "flt/num.h"

#include <math.h>
#include <string.h>

typedef struct adafactor {
    flt_hand base;
    double beta2_decay, eps1, eps2, d;
} adafactor;

static size_t tensor_words(const flt_tensor_spec *a) {
    if (a->rank < 2 || a->count == 0) return a->count;
    return a->count / a->dim[a->rank - 1] + a->count / a->dim[a->rank - 2];
}

static size_t words(const flt_layout *l) {
    size_t n = 0;
    for (size_t i = 0; i < l->n; i++) n += tensor_words(&l->tensor[i]);
    return n;
}

static flt_err create(const flt_params *p, const flt_layout *layout, void **self) {
    adafactor *s = NULL;
    FLTX_TRY(flt_hand_create(p, layout, sizeof *s, words(layout), layout->total, &s));
    s->beta2_decay = flt_params_real(p, "beta2_decay");
    s->eps2 = flt_params_real(p, "eps2");
    s->d = flt_params_real(p, "d");
    s->eps1 = flt_params_has(p, "eps1") ? flt_params_real(p, "eps1") : FLTX_EPS;
    *self = s;
    return FLTE_OK;
}

// Rates of one step.
typedef struct rates {
    double lr, relative; // the rate, and min(lr, n^-1/2)
    double write;        // n^beta2_decay
} rates;

static rates rates_at(const adafactor *s, uint64_t t) {
    const double n = (double)t + 1, lr = flt_hand_rate(&s->base, t);
    return (rates){lr, fmin(lr, 1 / sqrt(n)), pow(n, s->beta2_decay)};
}

static void mix(flt_real *old, double write, double now) {
    *old = (flt_real)((double)*old + write * (now - (double)*old));
}

static double root_mean_square(size_t n, const flt_real *x) {
    return sqrt(flt_sum_squares(n, x) / (double)n);
}

static flt_real direction(const adafactor *s, double v, flt_real g) {
    const double least = s->eps1 * s->eps1;
    return (flt_real)((double)g / sqrt(v > least ? v : least));
}

// One matrix g [r, c] with its moments row [r], col [c]; u [r, c] is the direction before clipping.
static void factored(const adafactor *s, double write, const size_t dim[2], const flt_real *g, flt_real *row, flt_real *col,
                     flt_real *u) {
    const size_t r = dim[0], c = dim[1];
    double mean = 0;
    for (size_t i = 0; i < r; i++) {
        mix(&row[i], write, flt_sum_squares(c, g + i * c) / (double)c);
        mean += (double)row[i] / (double)r;
    }
    memset(u, 0, c * sizeof *u); // its first row holds the columns' sums
    for (size_t i = 0; i < r; i++)
        for (size_t j = 0; j < c; j++) u[j] += g[i * c + j] * g[i * c + j];
    for (size_t j = 0; j < c; j++) mix(&col[j], write, (double)u[j] / (double)r);
    for (size_t i = 0; i < r; i++) {
        const double scale = (double)row[i] / fmax(mean, s->eps1);
        for (size_t j = 0; j < c; j++) u[i * c + j] = direction(s, scale * (double)col[j], g[i * c + j]);
    }
}

static void plain(const adafactor *s, double write, size_t n, const flt_real *g, flt_real *v, flt_real *u) {
    for (size_t i = 0; i < n; i++) {
        mix(&v[i], write, (double)g[i] * (double)g[i]);
        u[i] = direction(s, (double)v[i], g[i]);
    }
}

static void directions(const adafactor *s, double write, const flt_tensor_spec *a, const flt_real *g, flt_real *state) {
    flt_real *u = s->base.work;
    if (a->rank < 2) {
        plain(s, write, a->count, g, state, u);
        return;
    }
    const size_t *dim = a->dim + a->rank - 2, size = dim[0] * dim[1], batch = a->count / size;
    flt_real *col = state + batch * dim[0];
    for (size_t i = 0; i < batch; i++) factored(s, write, dim, g + i * size, state + i * dim[0], col + i * dim[1], u + i * size);
}

static void apply(const adafactor *s, rates r, size_t n, flt_real *p) {
    const flt_real *u = s->base.work;
    const double alpha = fmax(s->eps2, root_mean_square(n, p)) * r.relative;
    const flt_real rate = (flt_real)(alpha / fmax(1, root_mean_square(n, u) / s->d));
    const flt_real shrink = (flt_real)(1 - r.lr * s->base.decay);
    for (size_t i = 0; i < n; i++) p[i] = shrink * p[i] - rate * u[i];
}

static void step(void *self, uint64_t t, flt_real loss, const flt_real *grad, flt_real *param, flt_real *state) {
    const adafactor *s = self;
    const rates r = rates_at(s, t);
    (void)loss;
    for (size_t i = 0; i < s->base.layout.n; i++) {
        const flt_tensor_spec *a = &s->base.layout.tensor[i];
        if (a->count == 0) continue;
        directions(s, r.write, a, grad + a->offset, state);
        apply(s, r, a->count, param + a->offset);
        state += tensor_words(a);
    }
}

static const flt_param_spec params[] = {
    {"lr", FLTX_REAL, "0.01", 0.0, 1e6, NULL, "largest step relative to the tensor's root mean square"},
    {"beta2_decay", FLTX_REAL, "-0.8", -100.0, 0.0, NULL, "exponent: moments keep 1 - n^beta2_decay"},
    {"eps1", FLTX_REAL, NULL, 0.0, 1e6, NULL, "least root of the second moment (unset: machine epsilon)"},
    {"eps2", FLTX_REAL, "1e-3", 0.0, 1e6, NULL, "least scale of a tensor"},
    {"d", FLTX_REAL, "1", 1.0, 1e6, NULL, "root mean square above which an update is clipped"},
    {"weight_decay", FLTX_REAL, "0", 0.0, 1e6, NULL, "decoupled: p shrinks by rate weight_decay p"},
    FLTX_HAND_SCHEDULE,
    {0},
};

const flt_optimizer_kind flt_optimizer_kind_adafactor = {
    .kind = {.name = "adafactor",
             .summary = "Adam in sublinear memory: factored second moments, relative steps",
             .formula = "V = R C / mean R; u = g / sqrt(V); p -= max(eps2, rms p) min(lr, n^-1/2) u / max(1, rms(u) / d)",
             .cost = "four passes; (r + c) / (r c) state words per parameter",
             .citation = "Shazeer and Stern, arXiv 1804.04235; PyTorch Adafactor",
             .caps = FLTX_OPT_LR,
             .params = params},
    .create = create,
    .destroy = flt_hand_destroy,
    .state_words = flt_hand_words,
    .init = flt_hand_init,
    .step = step,
};
