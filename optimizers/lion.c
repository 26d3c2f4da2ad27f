// SPDX-License-Identifier: MIT
// Lion:  p -= lr wd p,  p -= lr sign(b1 m + (1 - b1) g),  m = b2 m + (1 - b2) g;  sign(0) = 0.
// p, g, m [P]; state: m. Reference: Chen et al., arXiv 2302.06675 (PyTorch has none; defaults are the paper's, decay off).
// Cost: one pass, 20 bytes a parameter in single precision.
#include "engine/hand.h"

typedef struct lion {
    flt_hand base;
    double beta1, beta2;
} lion;

static flt_err create(const flt_params *p, const flt_layout *layout, void **self) {
    lion *s = NULL;
    FLTX_TRY(flt_hand_create(p, layout, sizeof *s, layout->total, 0, &s));
    s->beta1 = flt_params_real(p, "beta1");
    s->beta2 = flt_params_real(p, "beta2");
    *self = s;
    return FLTE_OK;
}

static void step(void *self, uint64_t t, flt_real loss, const flt_real *grad, flt_real *param, flt_real *state) {
    const lion *s = self;
    const double lr = flt_hand_rate(&s->base, t);
    const adam_rates r = {.keep_m = (flt_real)s->beta1,
                          .keep_v = (flt_real)s->beta2,
                          .write_m = (flt_real)(1 - s->beta1),
                          .write_v = (flt_real)(1 - s->beta2),
                          .step = (flt_real)lr,
                          .shrink = (flt_real)(1 - lr * s->base.decay)};
    (void)loss;
    s->base.kernels->lion(s->base.P, &r, grad, param, state);
}

static const flt_param_spec params[] = {
    {"lr", FLTX_REAL, "0.0001", 0.0, 1e6, NULL, "learning rate"},
    {"beta1", FLTX_REAL, "0.9", 0.0, 0.99999999, NULL, "share of the momentum in the sign"},
    {"beta2", FLTX_REAL, "0.99", 0.0, 0.99999999, NULL, "decay of the mean of gradients"},
    {"weight_decay", FLTX_REAL, "0", 0.0, 1e6, NULL, "decoupled: p shrinks by rate weight_decay p"},
    FLTX_HAND_SCHEDULE,
    {0},
};

const flt_optimizer_kind flt_optimizer_kind_lion = {
    .kind = {.name = "lion",
             .summary = "sign of an interpolated momentum",
             .formula = "p -= lr (sign(b1 m + (1-b1) g) + wd p); m = b2 m + (1-b2) g",
             .cost = "one pass over p, g and m; 1 state word per parameter",
             .citation = "Chen et al., arXiv 2302.06675",
             .caps = FLTX_OPT_LR,
             .params = params},
    .create = create,
    .destroy = flt_hand_destroy,
    .state_words = flt_hand_words,
    .init = flt_hand_init,
    .step = step,
};
