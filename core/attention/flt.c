// SPDX-License-Identifier: MIT
// FLT (FourierLearner-Transformer): linear attention with relative positional encodings through the Fourier transform.
//
//     A_ij ~ exp(q_i.k_j / sqrt d + f(r_i - r_j)),   f estimated by (1/r) sum_m rho_m cos(2 pi xi_m.(r_i - r_j)) = <a_i, b_j>
//     snippets a_i = r^-1/2 [rho cos, rho sin](2 pi xi.r_i), b_j the same without rho; Performer's features on [q/d^(1/4), a],
//     [k/d^(1/4), b].     xi [r, l], rho [r], omega [m, d + 2r], pos [N, l]
//
// Choromanski, Li et al., Learning a Fourier transform for linear relative positional encodings in Transformers, AISTATS 2024,
// arXiv 2302.01925. Time O(N m (d + dv)) beside a table of projected positions made once, without it O(N m (d + r + dv)) where
// positions are evenly spaced, O(N m (d + 2r + dv)) where they are not.
// Where the numbers come from: what is given is used; xi is else drawn from N(0, I). rho is given; or it is g/p, p = N(0, I), of
// the mixture w, mu, s2; or, with rpe=NAME (and for c, v and lag_bias), xi and rho come together from the encoding's own proposal
// or rule (of each term of a sum, r shared out among them); or, with nothing said, rho is drawn from N(0, 1). Unlike the public
// code (scenic): rho on the query side alone, exact logit scale, correct density for l > 1, no epsilon.
#include "engine/encoding.h"
#include "engine/features.h"
#include "engine/linear.h"
#include "engine/ratios.h"
#include "engine/softmax_backward.h"

static const flt_param_spec params[] = {
    FLTX_ATT_M_PARAM,
    {"r", FLTX_INT, "32", 1, 1 << 20, NULL, "frequencies, when they are drawn"},
    FLTX_ATT_ALL_FEATURES_PARAM,
    FLTX_ATT_CENTRE_PARAMS,
    FLTX_ATT_DRAW_PARAM,
    FLTX_ATT_RPE_PARAM,
    {"sampling", FLTX_ENUM, "mc", 0, 0, "mc|orthogonal|qmc|quadrature",
     "frequencies of a named encoding: independent; orthogonal directions; scrambled Halton points; a rule on the axis (l = 1)"},
    {"split", FLTX_ENUM, "one_sided", 0, 0, "one_sided|balanced|squared",
     "rho on the query's side; sqrt|rho| on both; rho on both, hence squared, as the published code (scenic) has it"},
    {"table_mib", FLTX_INT, "256", 0, 1 << 20, NULL,
     "MiB that the table of projected positions (2 N m numbers a head) may take; beyond it they are formed tile by tile, a fifth "
     "to a third slower where positions are evenly spaced"},
    {.name = NULL},
};

typedef struct plan {
    flt_att_positions pos;
    flt_att_encoding encoding;
    flt_att_ratios ratios;
    flt_att_array omega;
    flt_att_snippets snippets;
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
    flt_att_ratios_drop(&p->ratios);
    flt_att_encoding_drop(&p->encoding);
    flt_att_drop(&p->pos.array);
    flt_free(p);
}

static flt_err make_engines(const flt_attention_desc *desc, plan *p) {
    const flt_att_ratios *ratios = &p->ratios;
    const flt_att_array *on_query = ratios->on_query.data != NULL ? &ratios->on_query : &ratios->rho;
    const size_t table = flt_params_size(desc->params, "table_mib") << 20;
    p->snippets = (flt_att_snippets){&p->pos, &ratios->xi, on_query, &ratios->on_key, table};
    FLTX_TRY(flt_att_features_create(desc, &p->omega, &p->snippets, &p->features));
    FLTX_TRY(flt_att_linear_create(desc, flt_att_features_map(p->features), &p->linear));
    const flt_att_back_parts parts = {.omega = &p->omega, .features = p->features, .snippets = &p->snippets, .ratios = ratios};
    return flt_att_softmax_back_create(desc, &parts, &p->back);
}

static flt_err create(const flt_attention_desc *desc, void **self) {
    static const char *const names[] = {"xi", "rho", "omega", "pos", NULL};
    plan *p = NULL;
    flt_err err = flt_att_encoding_args_known(desc, names);
    *self = NULL;
    if (err != FLTE_OK) return err;
    FLTX_TRY(flt_alloc(1, sizeof *p, &p));
    FLTX_GO(err, failed, flt_att_positions_read(desc, &p->pos));
    FLTX_GO(err, failed, flt_att_encoding_read(desc, &p->pos, &p->encoding));
    FLTX_GO(err, failed, flt_att_ratios_read(desc, &p->pos, &p->encoding, &p->ratios));
    FLTX_GO(err, failed, flt_att_omega(desc, desc->d + 2 * p->ratios.r, &p->omega));
    FLTX_GO(err, failed, make_engines(desc, p));
    *self = p;
    return FLTE_OK;
failed:
    destroy(p);
    return err;
}

static flt_err update(void *self, size_t n_args, const flt_attention_arg *args) {
    plan *p = self;
    flt_att_arrays have = {.who = "flt"};
    flt_att_arrays_add(&have, &p->omega);
    flt_att_ratios_arrays(&p->ratios, &have);
    FLTX_TRY(flt_att_arrays_check(&have, n_args, args));
    FLTX_TRY(flt_att_ratios_check(&p->ratios, n_args, args));
    flt_att_arrays_copy(&have, n_args, args);
    flt_att_ratios_follow(&p->ratios);
    const bool omega = flt_att_new_values("omega", n_args, args) != NULL;
    flt_att_features_update(p->features, omega ? &p->omega : NULL);
    if (omega) flt_att_softmax_back_update(p->back);
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
    return flt_att_linear_workspace(p->linear) + flt_att_features_workspace(p->features) +
           flt_att_softmax_back_workspace(p->back);
}

static size_t draws(const void *self, size_t max, flt_attention_arg *out) {
    const plan *p = self;
    size_t n = 0;
    flt_att_list(&p->omega, max, out, &n);
    flt_att_list(&p->ratios.xi, max, out, &n);
    flt_att_list(&p->ratios.rho, max, out, &n);
    flt_att_encoding_list(&p->encoding, max, out, &n);
    return n;
}

static size_t flagged(const void *self) {
    return flt_att_linear_flagged(((const plan *)self)->linear);
}

const flt_attention_kind flt_attention_kind_flt = {
    .kind =
        {
            .name = "flt",
            .summary = "linear attention with relative positions by random Fourier features; arguments xi [r, l], rho [r], omega "
                       "[m, d + 2r], "
                       "or an encoding's",
            .formula = "A_ij ~ exp(q_i.k_j / sqrt d + f(r_i - r_j)), f(z) ~ (1/r) sum rho cos(2 pi xi.z)",
            .cost = "time O(N m (d + dv)), memory O(m dv) beside a table O(N m)",
            .citation =
                "Choromanski, Li et al., Learning a Fourier transform for linear relative positional encodings in Transformers, "
                "AISTATS 2024, arXiv 2302.01925",
            .caps = FLTX_ATT_CAUSAL | FLTX_ATT_STREAM | FLTX_ATT_RPE | FLTX_ATT_RANDOM | FLTX_ATT_LINEAR | FLTX_ATT_NORMALISED |
                    FLTX_ATT_BACKWARD,
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
