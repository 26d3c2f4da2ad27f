// SPDX-License-Identifier: MIT
// Adam:  m = b1 m + (1 - b1) g,  v = b2 v + (1 - b2) g^2,
//        p -= lr / (1 - b1^n)  m / (sqrt(v) / sqrt(1 - b2^n) + eps),   n = t + 1.
// p, g, m, v [P]; state: m, v. Reference: Kingma and Ba, arXiv 1412.6980, in PyTorch's form: eps is added to the corrected root
// (the paper's algorithm, not its faster variant), weight decay is an L2 term in g.
// Cost: one pass, 28 bytes a parameter in single precision.
#include "engine/hand.h"

#include <math.h>

typedef struct adam {
    flt_hand base;
    double beta1, beta2, eps;
} adam;

static flt_err create(const flt_params *p, const flt_layout *layout, void **self) {
    adam *s = NULL;
    FLTX_TRY(flt_hand_create(p, layout, sizeof *s, 2 * layout->total, 0, &s));
    s->beta1 = flt_params_real(p, "beta1");
    s->beta2 = flt_params_real(p, "beta2");
    s->eps = flt_params_real(p, "eps");
    *self = s;
    return FLTE_OK;
}

// Rates of step t, formed in double: 1 - b2^n loses its digits in single precision while n is small.
static adam_rates rates(const adam *s, uint64_t t) {
    const double n = (double)t + 1.0, lr = flt_hand_rate(&s->base, t);
    return (adam_rates){
        .keep_m = (flt_real)s->beta1,
        .keep_v = (flt_real)s->beta2,
        .write_m = (flt_real)(1.0 - s->beta1),
        .write_v = (flt_real)(1.0 - s->beta2),
        .step = (flt_real)(lr / (1.0 - pow(s->beta1, n))),
        .scale = (flt_real)(1.0 / sqrt(1.0 - pow(s->beta2, n))),
        .eps = (flt_real)s->eps,
        .shrink = 1,
        .decay = (flt_real)s->base.decay,
    };
}

static void step(void *self, uint64_t t, flt_real loss, const flt_real *grad, flt_real *param, flt_real *state) {
    const adam *s = self;
    const adam_rates r = rates(s, t);
    (void)loss;
    s->base.kernels->adam(s->base.P, &r, grad, param, state, state + s->base.P);
}

static const flt_param_spec params[] = {
    {"lr", FLTX_REAL, "0.001", 0.0, 1e6, NULL, "learning rate"},
    {"beta1", FLTX_REAL, "0.9", 0.0, 0.99999999, NULL, "decay of the mean of gradients"},
    {"beta2", FLTX_REAL, "0.999", 0.0, 0.99999999, NULL, "decay of the mean of squared gradients"},
    {"eps", FLTX_REAL, "1e-8", 0.0, 1e6, NULL, "added to the corrected root of the second moment"},
    {"weight_decay", FLTX_REAL, "0", 0.0, 1e6, NULL, "L2 term added to the gradient, times the parameter"},
    FLTX_HAND_SCHEDULE,
    {0},
};

const flt_optimizer_kind flt_optimizer_kind_adam = {
    .kind = {.name = "adam",
             .summary = "adaptive moments with bias correction",
             .formula = "m = b1 m + (1-b1) g; v = b2 v + (1-b2) g^2; p -= lr m^ / (sqrt(v^) + eps)",
             .cost = "one pass over p, g, m and v; 2 state words per parameter",
             .citation = "Kingma and Ba, arXiv 1412.6980; PyTorch Adam",
             .caps = FLTX_OPT_LR,
             .params = params},
    .create = create,
    .destroy = flt_hand_destroy,
    .state_words = flt_hand_words,
    .init = flt_hand_init,
    .step = step,
};
