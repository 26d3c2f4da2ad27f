// SPDX-License-Identifier: MIT
// Gradient descent:  p -= lr (g + wd p).
// p, g [P]. No state. Reference: PyTorch's SGD (momentum 0), whose weight decay is an L2 term in the gradient.
// Cost: one pass, 12 bytes a parameter in single precision.
#include "engine/hand.h"

static flt_err create(const flt_params *p, const flt_layout *layout, void **self) {
    return flt_hand_create(p, layout, sizeof(flt_hand), 0, 0, self);
}

static void step(void *self, uint64_t t, flt_real loss, const flt_real *grad, flt_real *param, flt_real *state) {
    const flt_hand *s = self;
    (void)loss;
    (void)state;
    s->kernels->sgd(s->P, (flt_real)flt_hand_rate(s, t), (flt_real)s->decay, grad, param);
}

static const flt_param_spec params[] = {
    {"lr", FLTX_REAL, "0.001", 0.0, 1e6, NULL, "learning rate"},
    {"weight_decay", FLTX_REAL, "0", 0.0, 1e6, NULL, "L2 term added to the gradient, times the parameter"},
    FLTX_HAND_SCHEDULE,
    {0},
};

const flt_optimizer_kind flt_optimizer_kind_sgd = {
    .kind = {.name = "sgd",
             .summary = "gradient descent",
             .formula = "p -= lr (g + wd p)",
             .cost = "one pass over p and g, no state",
             .citation = "Robbins and Monro, Ann. Math. Statist. 22, 1951; PyTorch SGD",
             .caps = FLTX_OPT_LR,
             .params = params},
    .create = create,
    .destroy = flt_hand_destroy,
    .state_words = flt_hand_words,
    .init = flt_hand_init,
    .step = step,
};
