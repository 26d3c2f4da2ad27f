// SPDX-License-Identifier: MIT
// Celo2, base form: a network gives every coordinate a direction, whose length an external rate decides:
//   the features of small_fc_lopt with v of decay 0.95, rs = (v + 1e-8)^-1/2, and two more:
//   x = [g, clip(g, +-0.1), p, m, v, m rs, rs, g f, g rs, r, c, (r + 1e-8)^-1/2, (c + 1e-8)^-1/2, m f], 30 numbers, each divided
//   by sqrt(1e-9 + its mean square over the tensor);   D = network(x)[0],  p -= lr D (1e-9 + mean D^2)^-1/2.
// Shapes: layers.0.w [30, hidden], .., layers.L.w [hidden, 3]; ReLU between; outputs 1 and 2 are not used. State: 4 words per
// parameter, 3 per row and column. Reference: arXiv 2602.19142. Cost: O(30 hidden + hidden^2) per coordinate. Differs from the
// published code: normalised over the whole tensor, no Newton-Schulz iteration, no weight decay, vectors are no exception.
// Untrained it moves along m rs of decay 0.9.
#include "engine/lopt.h"
#include "engine/lopt_graph.h"
#include "flt/num.h"

#include <math.h>

static const flt_lopt_form form = {.features = FLTX_CELO2, .count = 30, .outputs = 3, .pass = 7, .eps = 1e-9};

typedef struct celo2 {
    flt_lopt_base base;
    double lr;
} celo2;

FLTX_LOPT_META("celo2", form)

static flt_err create(const flt_params *p, const flt_layout *layout, void **self) {
    celo2 *s = NULL;
    FLTX_TRY(flt_lopt_create(&form, p, layout, sizeof *s, &s));
    s->lr = flt_params_real(p, "lr");
    *self = s;
    return FLTE_OK;
}

static void step(void *self, uint64_t t, flt_real loss, const flt_real *grad, flt_real *param, flt_real *state) {
    celo2 *s = self;
    (void)loss;
    for (size_t i = 0; i < s->base.layout.n; i++) {
        const flt_real *d = flt_lopt_outputs(&s->base, i, t, grad, param, state);
        if (d == NULL) continue;
        const size_t n = s->base.plans[i].shape.n;
        const flt_real rate = (flt_real)(s->lr / sqrt(1e-9 + flt_sum_squares(n, d) / (double)n));
        flt_axpy(n, -rate, d, param + s->base.plans[i].offset);
    }
}

static flt_err graph(const flt_params *p, flt_graph_step *s) {
    flt_graph *g = s->graph;
    for (size_t i = 0; i < s->layout.n; i++) {
        if (s->layout.tensor[i].count == 0) continue;
        const flt_node d = flt_slice(g, flt_lopt_graph_outputs(&form, p, s, i), 1, 0, 1);
        const flt_node inverse = flt_graph_rsqrt(g, flt_mean_all(g, flt_square(g, d)), 1e-9);
        s->next[i] = flt_lopt_graph_subtract(s, i, flt_scale(g, flt_mul(g, d, inverse), flt_params_real(p, "lr")));
    }
    return FLTE_OK;
}

static const flt_param_spec params[] = {
    FLTX_MLP_PARAMS("8"),
    {"lr", FLTX_REAL, "0.001", 0.0, 1e6, NULL, "rate that multiplies the rms-normalised direction"},
    {0},
};

const flt_optimizer_kind flt_optimizer_kind_celo2 = {
    .kind = {.name = "celo2",
             .summary = "learned: scale-free directions from a small network, with an external rate",
             .formula = "D = network(30 features / rms); p -= lr D / rms(D)",
             .cost = "4 + 3 (r + c) / (r c) state words per parameter; time O(30 hidden + hidden^2)",
             .citation = "Celo2, arXiv 2602.19142",
             .caps = FLTX_OPT_LEARNED | FLTX_OPT_LR,
             .params = params},
    .meta = meta,
    .meta_init = meta_init,
    .infer = infer,
    .graph = graph,
    .create = create,
    .destroy = flt_lopt_destroy,
    .state_words = flt_lopt_words,
    .init = flt_lopt_init,
    .bind = flt_lopt_bind,
    .step = step,
};
