// SPDX-License-Identifier: MIT
// Heavy-ball momentum:  b = mu b + (g + wd p),  p -= lr b.
// p, g, b [P]; state: b. Reference: PyTorch's SGD with dampening 0; its first step sets b = g, which b = 0 gives as well.
// Cost: one pass, 20 bytes a parameter in single precision.
#include "flt/memory.h"
#include "flt/optimizer.h"
#include "kernels/elementwise.h"

#include <string.h>

typedef struct momentum {
    size_t P;
    flt_real lr, mu, decay;
    const flt_elementwise *kernels;
} momentum;

static flt_err create(const flt_params *p, const flt_layout *layout, void **self) {
    momentum *s = NULL;
    FLTX_TRY(flt_alloc(1, sizeof *s, &s));
    s->P = layout->total;
    s->lr = (flt_real)flt_params_real(p, "lr");
    s->mu = (flt_real)flt_params_real(p, "momentum");
    s->decay = (flt_real)flt_params_real(p, "weight_decay");
    s->kernels = FLTX_ISA_PICK(flt_elementwise);
    *self = s;
    return FLTE_OK;
}

static void destroy(void *self) {
    flt_free(self);
}

static size_t state_words(const void *self) {
    return ((const momentum *)self)->P;
}

static void init(void *self, flt_real *state) {
    memset(state, 0, state_words(self) * sizeof *state);
}

static void step(void *self, uint64_t t, flt_real loss, const flt_real *grad, flt_real *param, flt_real *state) {
    const momentum *s = self;
    (void)t;
    (void)loss;
    s->kernels->momentum(s->P, s->lr, s->mu, s->decay, grad, param, state);
}

static const flt_param_spec params[] = {
    {"lr", FLTX_REAL, "0.001", 0.0, 1e6, NULL, "learning rate"},
    {"momentum", FLTX_REAL, "0.9", 0.0, 1.0, NULL, "share of the buffer kept by a step"},
    {"weight_decay", FLTX_REAL, "0", 0.0, 1e6, NULL, "L2 term added to the gradient, times the parameter"},
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
    .destroy = destroy,
    .state_words = state_words,
    .init = init,
    .step = step,
};
