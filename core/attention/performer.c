// SPDX-License-Identifier: MIT
// Performer: softmax attention estimated by positive random features (FAVOR+).
//
//     phi(x) = m^-1/2 exp(omega x - |x|^2/2),   out_i = sum_j <phi(x_i), phi(y_j)> v_j / sum_j <phi(x_i), phi(y_j)>
//     x = q/d^(1/4), y = k/d^(1/4);   omega [m, d]: given, or orthogonal Gaussian rows for each head from the seed
//
// Choromanski et al., Rethinking attention with Performers, ICLR 2021, arXiv 2009.14794; hyperbolic features: its section 3.
// FAVOR++: Likhosherstov et al., Chefs' random tables, NeurIPS 2022, arXiv 2205.15317. Other feature maps: see engine/features.h.
// Time O(N m (d + dv)), memory O(m dv) a thread beside inputs and outputs. The variance grows like exp(|q + k|^2 / sqrt d): good
// for inputs of moderate size. Unlike the published code no epsilon is added anywhere (see engine/linear.h for why none is
// needed).
#include "engine/features.h"
#include "engine/linear.h"
#include "engine/softmax_backward.h"

static const flt_param_spec params[] = {
    FLTX_ATT_M_PARAM, FLTX_ATT_ALL_FEATURES_PARAM, FLTX_ATT_DRAW_PARAM, FLTX_ATT_CENTRE_PARAMS, {.name = NULL},
};

typedef struct plan {
    flt_att_positions pos; // accepted so that one input file serves every mechanism; it changes nothing
    flt_att_array omega;
    flt_att_features *features;
    flt_att_linear *linear;
    flt_att_softmax_back *back;
} plan;

static void destroy(void *self) {
    plan *p = self;
    if (p == NULL) return;
    flt_att_softmax_back_destroy(p->back);
    flt_att_linear_destroy(p->linear);
    flt_att_features_destroy(p->features);
    flt_att_drop(&p->omega);
    flt_att_drop(&p->pos.array);
    flt_free(p);
}

static flt_err create(const flt_attention_desc *desc, void **self) {
    static const char *const names[] = {"omega", "pos", NULL};
    plan *p = NULL;
    flt_err err = flt_att_args_known(desc, names);
    *self = NULL;
    if (err != FLTE_OK) return err;
    FLTX_TRY(flt_alloc(1, sizeof *p, &p));
    FLTX_GO(err, failed, flt_att_positions_read(desc, &p->pos));
    FLTX_GO(err, failed, flt_att_omega(desc, desc->d, &p->omega));
    FLTX_GO(err, failed, flt_att_features_create(desc, &p->omega, NULL, &p->features));
    FLTX_GO(err, failed, flt_att_linear_create(desc, flt_att_features_map(p->features), &p->linear));
    const flt_att_back_parts parts = {.omega = &p->omega, .features = p->features};
    FLTX_GO(err, failed, flt_att_softmax_back_create(desc, &parts, &p->back));
    *self = p;
    return FLTE_OK;
failed:
    destroy(p);
    return err;
}

static flt_err update(void *self, size_t n_args, const flt_attention_arg *args) {
    plan *p = self;
    flt_att_arrays have = {.who = "performer"};
    flt_att_arrays_add(&have, &p->omega);
    FLTX_TRY(flt_att_arrays_check(&have, n_args, args));
    flt_att_arrays_copy(&have, n_args, args);
    flt_att_features_update(p->features, &p->omega);
    flt_att_softmax_back_update(p->back);
    return FLTE_OK;
}

static void forward(void *self, const flt_real *q, const flt_real *k, const flt_real *v, flt_real *out) {
    flt_att_linear_forward(((plan *)self)->linear, q, k, v, out);
}

static flt_err backward(void *self, const flt_attention_pass *pass) {
    return flt_att_softmax_back_run(((plan *)self)->back, pass);
}

static void begin(void *self) {
    flt_att_linear_begin(((plan *)self)->linear);
}

static void step(void *self, const flt_real *q, const flt_real *k, const flt_real *v, flt_real *out) {
    flt_att_linear_step(((plan *)self)->linear, q, k, v, out);
}

static size_t workspace(const void *self) {
    const plan *p = self;
    return flt_att_linear_workspace(p->linear) + flt_att_softmax_back_workspace(p->back);
}

static size_t draws(const void *self, size_t max, flt_attention_arg *out) {
    const plan *p = self;
    size_t n = 0;
    flt_att_list(&p->omega, max, out, &n);
    return n;
}

static size_t flagged(const void *self) {
    return flt_att_linear_flagged(((const plan *)self)->linear);
}

const flt_attention_kind flt_attention_kind_performer = {
    .kind =
        {
            .name = "performer",
            .summary = "softmax attention by positive random features (FAVOR+); argument omega [m, d]",
            .formula = "A_ij = phi(q_i).phi(k_j), phi(x) = m^-1/2 exp(omega x - |x|^2/2), x scaled by d^-1/4",
            .cost = "time O(N m (d + dv)), memory O(m dv)",
            .citation = "Choromanski et al., Rethinking attention with Performers, ICLR 2021, arXiv 2009.14794",
            .caps = FLTX_ATT_CAUSAL | FLTX_ATT_STREAM | FLTX_ATT_RANDOM | FLTX_ATT_LINEAR | FLTX_ATT_NORMALISED |
                    FLTX_ATT_BACKWARD | FLTX_ATT_PERMUTE,
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
