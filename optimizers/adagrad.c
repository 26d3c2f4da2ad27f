// SPDX-License-Identifier: MIT
// Adagrad:  d = g + wd p,  v += d^2,  p -= lr / (1 + t lr_decay)  d / (sqrt(v) + eps),   t = 0 at the first step.
// p, g, v [P]; state: v, which starts at `initial`. Reference: Duchi, Hazan and Singer, JMLR 12, 2011, in PyTorch's form.
// Cost: one pass, 20 bytes a parameter in single precision. Limits: the rates only fall.
#include "engine/hand.h"

typedef struct adagrad {
    flt_hand base;
    double lr_decay, initial, eps;
} adagrad;

static flt_err create(const flt_params *p, const flt_layout *layout, void **self) {
    adagrad *s = NULL;
    FLTX_TRY(flt_hand_create(p, layout, sizeof *s, layout->total, layout->total, &s));
    s->lr_decay = flt_params_real(p, "lr_decay");
    s->initial = flt_params_real(p, "initial");
    s->eps = flt_params_real(p, "eps");
    *self = s;
    return FLTE_OK;
}

static void init(void *self, flt_real *state) {
    const adagrad *s = self;
    for (size_t i = 0; i < s->base.P; i++) state[i] = (flt_real)s->initial;
}

static void step(void *self, uint64_t t, flt_real loss, const flt_real *grad, flt_real *param, flt_real *state) {
    const adagrad *s = self;
    const adam_rates r = {.write_v = 1,
                          .keep_v = 1,
                          .step = (flt_real)(flt_hand_rate(&s->base, t) / (1 + (double)t * s->lr_decay)),
                          .eps = (flt_real)s->eps,
                          .decay = (flt_real)s->base.decay};
    (void)loss;
    s->base.kernels->rmsprop(s->base.P, &r, grad, param, state, s->base.work); // keeps nothing of its buffer
}

static const flt_param_spec params[] = {
    {"lr", FLTX_REAL, "0.01", 0.0, 1e6, NULL, "learning rate"},
    {"lr_decay", FLTX_REAL, "0", 0.0, 1e6, NULL, "the rate is divided by 1 + t lr_decay"},
    {"initial", FLTX_REAL, "0", 0.0, 1e6, NULL, "where the sums of squares start"},
    {"eps", FLTX_REAL, "1e-10", 0.0, 1e6, NULL, "added to the root of the sum"},
    {"weight_decay", FLTX_REAL, "0", 0.0, 1e6, NULL, "L2 term added to the gradient, times the parameter"},
    FLTX_HAND_SCHEDULE,
    {0},
};

const flt_optimizer_kind flt_optimizer_kind_adagrad = {
    .kind = {.name = "adagrad",
             .summary = "gradients divided by the root of the sum of their squares",
             .formula = "v += g^2; p -= lr g / (sqrt(v) + eps)",
             .cost = "one pass over p, g and v; 1 state word per parameter",
             .citation = "Duchi, Hazan, Singer, JMLR 12, 2011; PyTorch Adagrad",
             .caps = FLTX_OPT_LR,
             .params = params},
    .create = create,
    .destroy = flt_hand_destroy,
    .state_words = flt_hand_words,
    .init = init,
    .step = step,
};
