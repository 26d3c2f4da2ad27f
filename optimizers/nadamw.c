// SPDX-License-Identifier: MIT
// NAdamW, Adam with Nesterov momentum and decoupled decay:  n = t + 1,  mu_n = b1 (1 - 0.96^(n momentum_decay) / 2),
//   p -= lr wd p,  m = b1 m + (1 - b1) g,  v = b2 v + (1 - b2) g^2,  d = sqrt(v) / sqrt(1 - b2^n) + eps,
//   p -= lr (1 - mu_n) / (1 - mu_1 .. mu_n)  g / d  +  lr mu_{n+1} / (1 - mu_1 .. mu_{n+1})  m / d.
// p, g, m, v [P]; state: m, v, and the product mu_1 .. mu_t. Reference: Dozat, ICLR 2016 workshop, in the form of PyTorch's NAdam
// with decoupled_weight_decay = True. Cost: one pass, 28 bytes a parameter in single precision.
#include "engine/hand.h"

#include <math.h>

typedef struct nadamw {
    flt_hand base;
    double beta1, beta2, eps, momentum_decay;
} nadamw;

static flt_err create(const flt_params *p, const flt_layout *layout, void **self) {
    nadamw *s = NULL;
    FLTX_TRY(flt_hand_create(p, layout, sizeof *s, 2 * layout->total + 1, 0, &s));
    s->beta1 = flt_params_real(p, "beta1");
    s->beta2 = flt_params_real(p, "beta2");
    s->eps = flt_params_real(p, "eps");
    s->momentum_decay = flt_params_real(p, "momentum_decay");
    *self = s;
    return FLTE_OK;
}

static void init(void *self, flt_real *state) {
    const nadamw *s = self;
    flt_hand_init(self, state);
    state[2 * s->base.P] = 1;
}

static double mu_at(const nadamw *s, double n) {
    return s->beta1 * (1 - 0.5 * pow(0.96, n * s->momentum_decay));
}

static adam_rates rates(const nadamw *s, uint64_t t, double product) {
    const double n = (double)t + 1.0, lr = flt_hand_rate(&s->base, t), next = mu_at(s, n + 1);
    return (adam_rates){
        .keep_m = (flt_real)s->beta1,
        .keep_v = (flt_real)s->beta2,
        .write_m = (flt_real)(1.0 - s->beta1),
        .write_v = (flt_real)(1.0 - s->beta2),
        .step = (flt_real)(lr * next / (1 - product * next)),
        .step_g = (flt_real)(lr * (1 - mu_at(s, n)) / (1 - product)),
        .scale = (flt_real)(1.0 / sqrt(1.0 - pow(s->beta2, n))),
        .eps = (flt_real)s->eps,
        .shrink = (flt_real)(1.0 - lr * s->base.decay),
    };
}

static void step(void *self, uint64_t t, flt_real loss, const flt_real *grad, flt_real *param, flt_real *state) {
    const nadamw *s = self;
    flt_real *m = state, *v = m + s->base.P, *product = v + s->base.P;
    (void)loss;
    *product = (flt_real)((double)*product * mu_at(s, (double)t + 1));
    const adam_rates r = rates(s, t, (double)*product);
    s->base.kernels->adam(s->base.P, &r, grad, param, m, v);
}

static const flt_param_spec params[] = {
    {"lr", FLTX_REAL, "0.002", 0.0, 1e6, NULL, "learning rate"},
    {"beta1", FLTX_REAL, "0.9", 0.0, 0.99999999, NULL, "decay of the mean of gradients"},
    {"beta2", FLTX_REAL, "0.999", 0.0, 0.99999999, NULL, "decay of the mean of squared gradients"},
    {"eps", FLTX_REAL, "1e-8", 0.0, 1e6, NULL, "added to the corrected root of the second moment"},
    {"weight_decay", FLTX_REAL, "0", 0.0, 1e6, NULL, "decoupled: p shrinks by rate weight_decay p"},
    {"momentum_decay", FLTX_REAL, "0.004", 0.0, 1e6, NULL, "how fast the momentum rises from beta1 / 2 to beta1"},
    FLTX_HAND_SCHEDULE,
    {0},
};

const flt_optimizer_kind flt_optimizer_kind_nadamw = {
    .kind = {.name = "nadamw",
             .summary = "Adam with Nesterov momentum and decoupled weight decay",
             .formula = "p -= lr wd p; p -= lr ((1-mu) g / (1-prod mu) + mu' m / (1-mu' prod mu)) / (sqrt(v^) + eps)",
             .cost = "one pass over p, g, m and v; 2 state words per parameter and one",
             .citation = "Dozat, ICLR workshop 2016; PyTorch NAdam, decoupled decay",
             .caps = FLTX_OPT_LR,
             .params = params},
    .create = create,
    .destroy = flt_hand_destroy,
    .state_words = flt_hand_words,
    .init = init,
    .step = step,
};
