// SPDX-License-Identifier: MIT
// Gradient descent:  p -= lr (g + wd p).
// p, g [P]. No state. Reference: PyTorch's SGD (momentum 0), whose weight decay is an L2 term in the gradient.
// Cost: one pass, 12 bytes a parameter in single precision.
#include "flt/memory.h"
#include "flt/optimizer.h"
#include "kernels/elementwise.h"

typedef struct sgd {
    size_t P;
    flt_real lr, decay;
    const flt_elementwise *kernels;
} sgd;

static flt_err create(const flt_params *p, const flt_layout *layout, void **self) {
    sgd *s = NULL;
    FLTX_TRY(flt_alloc(1, sizeof *s, &s));
    s->P = layout->total;
    s->lr = (flt_real)flt_params_real(p, "lr");
    s->decay = (flt_real)flt_params_real(p, "weight_decay");
    s->kernels = FLTX_ISA_PICK(flt_elementwise);
    *self = s;
    return FLTE_OK;
}

static void destroy(void *self) {
    flt_free(self);
}

static size_t state_words(const void *self) {
    (void)self;
    return 0;
}

static void init(void *self, flt_real *state) {
    (void)self;
    (void)state;
}

static void step(void *self, uint64_t t, flt_real loss, const flt_real *grad, flt_real *param, flt_real *state) {
    const sgd *s = self;
    (void)t;
    (void)loss;
    (void)state;
    s->kernels->sgd(s->P, s->lr, s->decay, grad, param);
}

static const flt_param_spec params[] = {
    {"lr", FLTX_REAL, "0.001", 0.0, 1e6, NULL, "learning rate"},
    {"weight_decay", FLTX_REAL, "0", 0.0, 1e6, NULL, "L2 term added to the gradient, times the parameter"},
    {0},
};

const flt_optimizer_kind flt_optimizer_kind_sgd = {
    .kind = {.name = "sgd",
             .summary = "gradient descent with a constant rate",
             .formula = "p -= lr (g + wd p)",
             .cost = "one pass over p and g, no state",
             .citation = "Robbins and Monro, Ann. Math. Statist. 22, 1951; PyTorch SGD",
             .caps = FLTX_OPT_LR,
             .params = params},
    .create = create,
    .destroy = destroy,
    .state_words = state_words,
    .init = init,
    .step = step,
};
