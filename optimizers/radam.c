// SPDX-License-Identifier: MIT
// RAdam:  m, v as in Adam,  n = t + 1,  rho_inf = 2 / (1 - b2) - 1,  rho = rho_inf - 2 n b2^n / (1 - b2^n);
//   rho > 5:  p -= lr r m^ sqrt(1 - b2^n) / (sqrt(v) + eps),  r^2 = (rho - 4)(rho - 2) rho_inf / ((rho_inf - 4)(rho_inf - 2)
//   rho); else      p -= lr m^,   m^ = m / (1 - b1^n).
// p, g, m, v [P]; state: m, v. Reference: Liu et al., arXiv 1908.03265, in PyTorch's form: eps is added to the uncorrected root,
// weight decay is an L2 term in g. Cost: one pass, 28 bytes a parameter in single precision.
#include "engine/hand.h"

#include <math.h>

typedef struct radam {
    flt_hand base;
    double beta1, beta2, eps;
} radam;

static flt_err create(const flt_params *p, const flt_layout *layout, void **self) {
    radam *s = NULL;
    FLTX_TRY(flt_hand_create(p, layout, sizeof *s, 2 * layout->total, 0, &s));
    s->beta1 = flt_params_real(p, "beta1");
    s->beta2 = flt_params_real(p, "beta2");
    s->eps = flt_params_real(p, "eps");
    *self = s;
    return FLTE_OK;
}

// 0 while the variance of the adaptive rate is not tractable. In long double: rho is a small difference of large numbers.
static double rectification(const radam *s, uint64_t t) {
    const long double beta = s->beta2, n = (long double)t + 1, power = powl(beta, n);
    const long double most = 2 / (1 - beta) - 1, rho = most - 2 * n * power / (1 - power);
    return rho > 5 ? (double)sqrtl((rho - 4) * (rho - 2) * most / ((most - 4) * (most - 2) * rho)) : 0;
}

static adam_rates rates(const radam *s, uint64_t t) {
    const double n = (double)t + 1.0, correction2 = 1 - pow(s->beta2, n);
    const double step = flt_hand_rate(&s->base, t) / (1 - pow(s->beta1, n)), r = rectification(s, t);
    return (adam_rates){
        .keep_m = (flt_real)s->beta1,
        .keep_v = (flt_real)s->beta2,
        .write_m = (flt_real)(1.0 - s->beta1),
        .write_v = (flt_real)(1.0 - s->beta2),
        .step = (flt_real)(r > 0 ? step * r * sqrt(correction2) : step),
        .scale = r > 0 ? 1 : 0,
        .eps = (flt_real)(r > 0 ? s->eps : 1),
        .shrink = 1,
        .decay = (flt_real)s->base.decay,
    };
}

static void step(void *self, uint64_t t, flt_real loss, const flt_real *grad, flt_real *param, flt_real *state) {
    const radam *s = self;
    const adam_rates r = rates(s, t);
    (void)loss;
    s->base.kernels->adam(s->base.P, &r, grad, param, state, state + s->base.P);
}

static const flt_param_spec params[] = {
    {"lr", FLTX_REAL, "0.001", 0.0, 1e6, NULL, "learning rate"},
    {"beta1", FLTX_REAL, "0.9", 0.0, 0.99999999, NULL, "decay of the mean of gradients"},
    {"beta2", FLTX_REAL, "0.999", 0.0, 0.99999999, NULL, "decay of the mean of squared gradients"},
    {"eps", FLTX_REAL, "1e-8", 0.0, 1e6, NULL, "added to the root of the second moment"},
    {"weight_decay", FLTX_REAL, "0", 0.0, 1e6, NULL, "L2 term added to the gradient, times the parameter"},
    FLTX_HAND_SCHEDULE,
    {0},
};

const flt_optimizer_kind flt_optimizer_kind_radam = {
    .kind = {.name = "radam",
             .summary = "Adam with a rectified adaptive rate in the first steps",
             .formula = "p -= lr r m^ sqrt(1-b2^n) / (sqrt(v) + eps) once rho > 5, else lr m^",
             .cost = "one pass over p, g, m and v; 2 state words per parameter",
             .citation = "Liu et al., arXiv 1908.03265; PyTorch RAdam",
             .caps = FLTX_OPT_LR,
             .params = params},
    .create = create,
    .destroy = flt_hand_destroy,
    .state_words = flt_hand_words,
    .init = flt_hand_init,
    .step = step,
};
