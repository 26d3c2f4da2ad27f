// SPDX-License-Identifier: MIT
// RMSprop:  d = g + wd p,  v = alpha v + (1 - alpha) d^2,  b = mu b + d / (sqrt(v) + eps),  p -= lr b.
// p, g, v, b [P]; state: v, b. Reference: Hinton's lecture 6e (2012) in PyTorch's form: eps outside the root, no bias correction.
// Cost: one pass, 28 bytes a parameter in single precision. Limits: no centred variant; b is kept without momentum too.
#include "engine/hand.h"

typedef struct rmsprop {
    flt_hand base;
    double alpha, momentum, eps;
} rmsprop;

static flt_err create(const flt_params *p, const flt_layout *layout, void **self) {
    rmsprop *s = NULL;
    FLTX_TRY(flt_hand_create(p, layout, sizeof *s, 2 * layout->total, 0, &s));
    s->alpha = flt_params_real(p, "alpha");
    s->momentum = flt_params_real(p, "momentum");
    s->eps = flt_params_real(p, "eps");
    *self = s;
    return FLTE_OK;
}

static void step(void *self, uint64_t t, flt_real loss, const flt_real *grad, flt_real *param, flt_real *state) {
    const rmsprop *s = self;
    const adam_rates r = {.keep_m = (flt_real)s->momentum,
                          .keep_v = (flt_real)s->alpha,
                          .write_v = (flt_real)(1 - s->alpha),
                          .step = (flt_real)flt_hand_rate(&s->base, t),
                          .eps = (flt_real)s->eps,
                          .decay = (flt_real)s->base.decay};
    (void)loss;
    s->base.kernels->rmsprop(s->base.P, &r, grad, param, state, state + s->base.P);
}

static const flt_param_spec params[] = {
    {"lr", FLTX_REAL, "0.01", 0.0, 1e6, NULL, "learning rate"},
    {"alpha", FLTX_REAL, "0.99", 0.0, 0.99999999, NULL, "decay of the mean of squared gradients"},
    {"momentum", FLTX_REAL, "0", 0.0, 1.0, NULL, "share of the buffer kept by a step"},
    {"eps", FLTX_REAL, "1e-8", 0.0, 1e6, NULL, "added to the root of the second moment"},
    {"weight_decay", FLTX_REAL, "0", 0.0, 1e6, NULL, "L2 term added to the gradient, times the parameter"},
    FLTX_HAND_SCHEDULE,
    {0},
};

const flt_optimizer_kind flt_optimizer_kind_rmsprop = {
    .kind = {.name = "rmsprop",
             .summary = "gradients divided by their running root mean square",
             .formula = "v = a v + (1-a) g^2; b = mu b + g / (sqrt(v) + eps); p -= lr b",
             .cost = "one pass over p, g, v and b; 2 state words per parameter",
             .citation = "Tieleman and Hinton, lecture 6e, 2012; PyTorch RMSprop",
             .caps = FLTX_OPT_LR,
             .params = params},
    .create = create,
    .destroy = flt_hand_destroy,
    .state_words = flt_hand_words,
    .init = flt_hand_init,
    .step = step,
};
