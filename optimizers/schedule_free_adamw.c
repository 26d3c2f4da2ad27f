// SPDX-License-Identifier: MIT
// Schedule-free AdamW:  n = t + 1,  v = b2 v + (1 - b2) g^2,  u = g / (sqrt(v / (1 - b2^n)) + eps) + wd y,
//   w_n = n^r max_{k <= n} lr_k^power,  c = w_n / (w_1 + .. + w_n),
//   y = (1 - c) y + c z - lr (1 - b1 (1 - c)) u,  z -= lr u.
// y is the parameter vector, at which gradients are taken; the average x = (y - (1 - b1) z) / b1 is what the paper evaluates.
// y, g, z, v [P]; state: z (y at the first step), v, the sum of w, the largest rate. Reference: Defazio et al., arXiv 2405.15682,
// in the form of its authors' code. Cost: one pass; 2 state words per parameter and two. Limits: losses are those of y, not x.
#include "engine/hand.h"

#include <math.h>
#include <string.h>

typedef struct schedule_free_adamw {
    flt_hand base;
    double beta1, beta2, eps, r, power;
} schedule_free_adamw;

static flt_err create(const flt_params *p, const flt_layout *layout, void **self) {
    schedule_free_adamw *s = NULL;
    FLTX_TRY(flt_hand_create(p, layout, sizeof *s, 2 * layout->total + 2, 0, &s));
    s->beta1 = flt_params_real(p, "beta1");
    s->beta2 = flt_params_real(p, "beta2");
    s->eps = flt_params_real(p, "eps");
    s->r = flt_params_real(p, "r");
    s->power = flt_params_real(p, "weight_lr_power");
    *self = s;
    return FLTE_OK;
}

// The share c of z in the average; sums: the sum of weights and the largest rate so far.
static double share(const schedule_free_adamw *s, double n, double lr, flt_real *sums) {
    if ((double)sums[1] < lr) sums[1] = (flt_real)lr;
    const double weight = pow(n, s->r) * pow((double)sums[1], s->power);
    sums[0] = (flt_real)((double)sums[0] + weight);
    return sums[0] > 0 ? weight / (double)sums[0] : 0;
}

static void step(void *self, uint64_t t, flt_real loss, const flt_real *grad, flt_real *param, flt_real *state) {
    const schedule_free_adamw *s = self;
    const size_t P = s->base.P;
    const double n = (double)t + 1, lr = flt_hand_rate(&s->base, t);
    flt_real *restrict z = state, *restrict v = state + P;
    (void)loss;
    if (t == 0) memcpy(z, param, P * sizeof *z);
    const double c = share(s, n, lr, state + 2 * P);
    const flt_real keep = (flt_real)s->beta2, write = (flt_real)(1 - s->beta2), eps = (flt_real)s->eps;
    const flt_real scale = (flt_real)(1 / sqrt(1 - pow(s->beta2, n))), decay = (flt_real)s->base.decay, to_z = (flt_real)c;
    const flt_real rate = (flt_real)lr, rate_y = (flt_real)(lr * (1 - s->beta1 * (1 - c)));
    for (size_t i = 0; i < P; i++) {
        v[i] = keep * v[i] + write * grad[i] * grad[i];
        const flt_real u = grad[i] / ((flt_real)sqrt((double)v[i]) * scale + eps) + decay * param[i];
        param[i] = param[i] + to_z * (z[i] - param[i]) - rate_y * u;
        z[i] -= rate * u;
    }
}

static const flt_param_spec params[] = {
    {"lr", FLTX_REAL, "0.0025", 0.0, 1e6, NULL, "learning rate"},
    {"beta1", FLTX_REAL, "0.9", 0.0, 0.99999999, NULL, "where gradients are taken between z (0) and the average (1)"},
    {"beta2", FLTX_REAL, "0.999", 0.0, 0.99999999, NULL, "decay of the mean of squared gradients"},
    {"eps", FLTX_REAL, "1e-8", 0.0, 1e6, NULL, "added to the corrected root of the second moment"},
    {"weight_decay", FLTX_REAL, "0", 0.0, 1e6, NULL, "times the parameter, added to the direction"},
    {"r", FLTX_REAL, "0", 0.0, 100.0, NULL, "weights of the average grow as n^r"},
    {"weight_lr_power", FLTX_REAL, "2", 0.0, 100.0, NULL, "and as this power of the largest rate so far (warm-up)"},
    FLTX_HAND_SCHEDULE,
    {0},
};

const flt_optimizer_kind flt_optimizer_kind_schedule_free_adamw = {
    .kind = {.name = "schedule_free_adamw",
             .summary = "AdamW with an average of iterates in place of a schedule",
             .formula = "u = g / (sqrt(v^) + eps) + wd y; y = (1-c) y + c z - lr (1 - b1 (1-c)) u; z -= lr u",
             .cost = "one pass over y, g, z and v; 2 state words per parameter and two",
             .citation = "Defazio et al., arXiv 2405.15682",
             .caps = FLTX_OPT_LR,
             .params = params},
    .create = create,
    .destroy = flt_hand_destroy,
    .state_words = flt_hand_words,
    .init = flt_hand_init,
    .step = step,
};
