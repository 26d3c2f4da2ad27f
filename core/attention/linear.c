// SPDX-License-Identifier: MIT
// Linear attention: a positive function of each coordinate instead of exp(q.k), no projection, no positions.
//
//     A_ij = <phi(q_i), phi(k_j)>,   phi = elu + 1 (x + 1 for x > 0, else e^x)   or   phi = max(x, 0) + 1e-3
//     out_i = sum_j A_ij v_j / sum_j A_ij;   no 1/sqrt d: inputs enter as they are
//
// elu + 1: Katharopoulos et al., Transformers are RNNs, ICML 2020, arXiv 2006.16236. relu + 1e-3: Choromanski et al., ICLR 2021,
// arXiv 2009.14794, its public code without projection. Time O(N d dv), memory O(d dv) a thread beside inputs and outputs.
// Features go to the shared engine as logarithms, where they are exponentiated under moving scales: no epsilon in the
// denominator, unlike the public codes, and no overflow whatever the size of the inputs.
#include "engine/args.h"
#include "engine/linear_backward.h"

#include "flt/num.h"
#include "flt/plant.h"

#include <math.h>
#include <string.h>

static const flt_param_spec params[] = {
    {"features", FLTX_ENUM, "elu", 0, 0, "elu|relu", "elu: elu(x) + 1; relu: max(x, 0) + 1e-3"},
    {.name = NULL},
};

typedef struct plan {
    size_t d;
    flt_att_linear *linear;
    flt_att_linear_back *back;
} plan;

static void log_elu(const void *self, flt_att_rows rows, const flt_real *x, flt_real *u) {
    const size_t n = rows.count * ((const plan *)self)->d;
    for (size_t i = 0; i < n; i++)
        u[i] = (FLTX_BUG(ELU_NO_ONE) && x[i] > 0 ? (flt_real)1e-3 : 1) + (x[i] < 0 ? 0 : x[i]); // NaN stays
    flt_vlog(n, u, u);
    for (size_t i = 0; i < n; i++) u[i] += x[i] < 0 ? x[i] : 0;
}

static void log_relu(const void *self, flt_att_rows rows, const flt_real *x, flt_real *u) {
    const size_t n = rows.count * ((const plan *)self)->d;
    for (size_t i = 0; i < n; i++) u[i] = (flt_real)1e-3 + (x[i] < 0 ? 0 : x[i]); // NaN stays
    flt_vlog(n, u, u);
}

// dx = du d log phi / dx, of elu + 1: 1 / (1 + x) for x > 0, else 1
static void back_elu(void *self, flt_att_rows rows, size_t bh, const flt_real *x, const flt_real *du, flt_real *dx) {
    (void)bh;
    const size_t n = rows.count * ((const plan *)self)->d;
    for (size_t i = 0; i < n; i++) dx[i] = FLTX_BUG(BACKWARD_ELU) ? du[i] : du[i] / (1 + (x[i] > 0 ? x[i] : 0));
}

static void back_relu(void *self, flt_att_rows rows, size_t bh, const flt_real *x, const flt_real *du, flt_real *dx) {
    (void)bh;
    const size_t n = rows.count * ((const plan *)self)->d;
    for (size_t i = 0; i < n; i++) dx[i] = x[i] > 0 ? du[i] / ((flt_real)1e-3 + x[i]) : 0;
}

static void destroy(void *self) {
    plan *p = self;
    if (p == NULL) return;
    flt_att_linear_back_destroy(p->back);
    flt_att_linear_destroy(p->linear);
    flt_free(p);
}

static flt_err create(const flt_attention_desc *desc, void **self) {
    static const char *const names[] = {NULL};
    plan *p = NULL;
    flt_err err = flt_att_args_known(desc, names);
    *self = NULL;
    if (err != FLTE_OK) return err;
    FLTX_TRY(flt_alloc(1, sizeof *p, &p));
    p->d = desc->d;
    const bool relu = strcmp(flt_params_text(desc->params, "features"), "relu") == 0;
    const flt_att_map map = {
        .features = desc->d, .self = p, .queries = relu ? log_relu : log_elu, .keys = relu ? log_relu : log_elu};
    FLTX_GO(err, failed, flt_att_linear_create(desc, map, &p->linear));
    const flt_att_back_map back = {.self = p, .queries = relu ? back_relu : back_elu, .keys = relu ? back_relu : back_elu};
    if (desc->backward) FLTX_GO(err, failed, flt_att_linear_back_create(desc, map, back, &p->back));
    *self = p;
    return FLTE_OK;
failed:
    destroy(p);
    return err;
}

static void forward(void *self, const flt_real *q, const flt_real *k, const flt_real *v, flt_real *out) {
    flt_att_linear_forward(((plan *)self)->linear, q, k, v, out);
}

static flt_err backward(void *self, const flt_attention_pass *pass) {
    static const char *const none[] = {NULL};
    FLTX_TRY(flt_att_gradients_known("linear", pass, none));
    flt_att_linear_back_run(((plan *)self)->back, pass);
    return FLTE_OK;
}

static flt_err update(void *self, size_t n_args, const flt_attention_arg *args) {
    const flt_att_arrays none = {.who = "linear"};
    (void)self;
    return flt_att_arrays_check(&none, n_args, args);
}

static void begin(void *self) {
    flt_att_linear_begin(((plan *)self)->linear);
}

static void step(void *self, const flt_real *q, const flt_real *k, const flt_real *v, flt_real *out) {
    flt_att_linear_step(((plan *)self)->linear, q, k, v, out);
}

static size_t workspace(const void *self) {
    const plan *p = self;
    return flt_att_linear_workspace(p->linear) + flt_att_linear_back_workspace(p->back);
}

static size_t draws(const void *self, size_t max, flt_attention_arg *out) {
    (void)self, (void)max, (void)out;
    return 0;
}

static size_t flagged(const void *self) {
    return flt_att_linear_flagged(((const plan *)self)->linear);
}

const flt_attention_kind flt_attention_kind_linear = {
    .kind =
        {
            .name = "linear",
            .summary = "kernel attention with elu + 1 or relu + 1e-3 features; no arguments",
            .formula = "A_ij = phi(q_i).phi(k_j), phi(x) = elu(x) + 1 or max(x, 0) + 1e-3",
            .cost = "time O(N d dv), memory O(d dv)",
            .citation = "Katharopoulos et al., Transformers are RNNs, ICML 2020, arXiv 2006.16236",
            .caps =
                FLTX_ATT_CAUSAL | FLTX_ATT_STREAM | FLTX_ATT_LINEAR | FLTX_ATT_NORMALISED | FLTX_ATT_PERMUTE | FLTX_ATT_BACKWARD,
            .params = params,
        },
    .create = create,
    .destroy = destroy,
    .forward = forward,
    .backward = backward,
    .update = update,
    .begin = begin,
    .step = step,
    .workspace = workspace,
    .draws = draws,
    .flagged = flagged,
};
