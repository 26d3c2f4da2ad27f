// SPDX-License-Identifier: MIT
// LAMB, per tensor:  m, v as in Adam,  u = m^ / (sqrt(v^) + eps) + wd p,  p -= lr |p| / |u|  u   (the ratio is 1 where a norm is
// 0). p, g, m, v [P]; state: m, v. Reference: You et al., arXiv 1904.00962, version 5, with phi(z) = z; PyTorch has none,
// defaults are optax's. Cost: two passes. Limits: norms are summed in double, element by element.
#include "engine/hand.h"

#include <math.h>
#include <string.h>

typedef struct lamb {
    flt_hand base;
    double beta1, beta2, eps;
} lamb;

static flt_err create(const flt_params *p, const flt_layout *layout, void **self) {
    lamb *s = NULL;
    FLTX_TRY(flt_hand_create(p, layout, sizeof *s, 2 * layout->total, layout->total, &s));
    s->beta1 = flt_params_real(p, "beta1");
    s->beta2 = flt_params_real(p, "beta2");
    s->eps = flt_params_real(p, "eps");
    *self = s;
    return FLTE_OK;
}

// The rates that leave Adam's direction m^ / (sqrt(v^) + eps), negated, where zeros were.
static adam_rates rates(const lamb *s, uint64_t t) {
    const double n = (double)t + 1.0;
    return (adam_rates){
        .keep_m = (flt_real)s->beta1,
        .keep_v = (flt_real)s->beta2,
        .write_m = (flt_real)(1.0 - s->beta1),
        .write_v = (flt_real)(1.0 - s->beta2),
        .step = (flt_real)(1.0 / (1.0 - pow(s->beta1, n))),
        .scale = (flt_real)(1.0 / sqrt(1.0 - pow(s->beta2, n))),
        .eps = (flt_real)s->eps,
    };
}

// p -= lr |p| / |u| u, where u = wd p - minus_d
static void apply(size_t n, double lr, flt_real decay, const flt_real *minus_d, flt_real *p) {
    double squares_p = 0, squares_u = 0;
    for (size_t i = 0; i < n; i++) {
        const double u = (double)(decay * p[i] - minus_d[i]);
        squares_p += (double)p[i] * (double)p[i];
        squares_u += u * u;
    }
    const double trust = squares_p > 0 && squares_u > 0 ? sqrt(squares_p / squares_u) : 1;
    const flt_real rate = (flt_real)(lr * trust);
    for (size_t i = 0; i < n; i++) p[i] -= rate * (decay * p[i] - minus_d[i]);
}

static void step(void *self, uint64_t t, flt_real loss, const flt_real *grad, flt_real *param, flt_real *state) {
    const lamb *s = self;
    const adam_rates r = rates(s, t);
    const double lr = flt_hand_rate(&s->base, t);
    (void)loss;
    memset(s->base.work, 0, s->base.P * sizeof *param);
    s->base.kernels->adam(s->base.P, &r, grad, s->base.work, state, state + s->base.P);
    for (size_t i = 0; i < s->base.layout.n; i++) {
        const flt_tensor_spec *a = &s->base.layout.tensor[i];
        apply(a->count, lr, (flt_real)s->base.decay, s->base.work + a->offset, param + a->offset);
    }
}

static const flt_param_spec params[] = {
    {"lr", FLTX_REAL, "0.001", 0.0, 1e6, NULL, "learning rate"},
    {"beta1", FLTX_REAL, "0.9", 0.0, 0.99999999, NULL, "decay of the mean of gradients"},
    {"beta2", FLTX_REAL, "0.999", 0.0, 0.99999999, NULL, "decay of the mean of squared gradients"},
    {"eps", FLTX_REAL, "1e-6", 0.0, 1e6, NULL, "added to the corrected root of the second moment"},
    {"weight_decay", FLTX_REAL, "0", 0.0, 1e6, NULL, "times the parameter, added to the direction before its norm is taken"},
    FLTX_HAND_SCHEDULE,
    {0},
};

const flt_optimizer_kind flt_optimizer_kind_lamb = {
    .kind = {.name = "lamb",
             .summary = "Adam whose step is as long as the tensor, times the rate",
             .formula = "u = m^ / (sqrt(v^) + eps) + wd p; p -= lr |p| / |u| u",
             .cost = "two passes over p, g, m and v; 2 state words per parameter",
             .citation = "You et al., arXiv 1904.00962",
             .caps = FLTX_OPT_LR,
             .params = params},
    .create = create,
    .destroy = flt_hand_destroy,
    .state_words = flt_hand_words,
    .init = flt_hand_init,
    .step = step,
};
