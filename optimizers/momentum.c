// SPDX-License-Identifier: MIT
// Heavy-ball momentum:  b = mu b + (g + wd p),  p -= lr b.
// p, g, b [P]; state: b. Reference: PyTorch's SGD with dampening 0; its first step sets b = g, which b = 0 gives as well.
// Cost: one pass, 20 bytes a parameter in single precision.
#include "engine/hand.h"

typedef struct momentum {
    flt_hand base;
    flt_real mu;
} momentum;

static flt_err create(const flt_params *p, const flt_layout *layout, void **self) {
    momentum *s = NULL;
    FLTX_TRY(flt_hand_create(p, layout, sizeof *s, layout->total, 0, &s));
    s->mu = (flt_real)flt_params_real(p, "momentum");
    *self = s;
    return FLTE_OK;
}

static void step(void *self, uint64_t t, flt_real loss, const flt_real *grad, flt_real *param, flt_real *state) {
    const momentum *s = self;
    const flt_real rate = (flt_real)flt_hand_rate(&s->base, t);
    (void)loss;
    s->base.kernels->momentum(s->base.P, rate, s->mu, (flt_real)s->base.decay, grad, param, state);
}

static const flt_param_spec params[] = {
    {"lr", FLTX_REAL, "0.001", 0.0, 1e6, NULL, "learning rate"},
    {"momentum", FLTX_REAL, "0.9", 0.0, 1.0, NULL, "share of the buffer kept by a step"},
    {"weight_decay", FLTX_REAL, "0", 0.0, 1e6, NULL, "L2 term added to the gradient, times the parameter"},
    FLTX_HAND_SCHEDULE,
    {0},
};

const flt_optimizer_kind flt_optimizer_kind_momentum = {
    .kind = {.name = "momentum",
             .summary = "gradient descent with heavy-ball momentum",
             .formula = "b = mu b + g + wd p; p -= lr b",
             .cost = "one pass over p, g and b; 1 state word per parameter",
             .citation = "Polyak, USSR Comput. Math. Math. Phys. 4, 1964; PyTorch SGD",
             .caps = FLTX_OPT_LR,
             .params = params},
    .create = create,
    .destroy = flt_hand_destroy,
    .state_words = flt_hand_words,
    .init = flt_hand_init,
    .step = step,
};
