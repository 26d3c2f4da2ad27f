// SPDX-License-Identifier: MIT
// FLT (FourierLearner-Transformer): linear attention with relative positional encodings through the Fourier transform.
//
//     A_ij ~ exp(q_i.k_j / sqrt d + f(r_i - r_j)),   f estimated by (1/r) sum_m rho_m cos(2 pi xi_m.(r_i - r_j)) = <a_i, b_j>
//     snippets a_i = r^-1/2 [rho cos, rho sin](2 pi xi.r_i), b_j the same without rho; Performer's features on [q/d^(1/4), a],
//     [k/d^(1/4), b].     xi [r, l], rho [r], omega [m, d + 2r], pos [N, l]
//
// Choromanski, Li et al., Learning a Fourier transform for linear relative positional encodings in Transformers, AISTATS 2024,
// arXiv 2302.01925. Time O(N m (d + dv)) beside a table of projected positions made once, or O(N m (d + 2r + dv)) without it.
// Where the numbers come from: what is given is used; xi is else drawn from N(0, I). rho is given; or it is g/p, p = N(0, I), of
// the mixture w, mu, s2; or, with rpe=NAME (and for c, v and lag_bias), xi and rho come together from the encoding's own proposal
// or rule; or, with nothing said, rho is drawn from N(0, 1). Unlike the public code (scenic): rho on the query side alone, exact
// logit scale, correct density for l > 1, no epsilon.
#include "engine/encoding.h"
#include "engine/features.h"
#include "engine/linear.h"
#include "engine/softmax_backward.h"

#include <math.h>
#include <string.h>

static const flt_param_spec params[] = {
    FLTX_ATT_M_PARAM,
    {"r", FLTX_INT, "32", 1, 1 << 20, NULL, "frequencies, when they are drawn"},
    FLTX_ATT_FEATURES_PARAM,
    FLTX_ATT_DRAW_PARAM,
    FLTX_ATT_RPE_PARAM,
    {"sampling", FLTX_ENUM, "mc", 0, 0, "mc|orthogonal|qmc|quadrature",
     "frequencies of a named encoding: independent; orthogonal directions; scrambled Halton points; a rule on the axis (l = 1)"},
    {"split", FLTX_ENUM, "one_sided", 0, 0, "one_sided|balanced|squared",
     "rho on the query's side; sqrt|rho| on both; rho on both, hence squared, as the published code (scenic) has it"},
    {"table_mib", FLTX_INT, "256", 0, 1 << 20, NULL,
     "MiB that the table of projected positions may take; beyond it: tile by tile"},
    {.name = NULL},
};

typedef struct plan {
    flt_att_positions pos;
    flt_att_encoding encoding;
    bool mixture, derived; // rho = g/p at fixed frequencies; rho and xi come from the encoding together
    flt_att_array xi, rho, omega;
    flt_att_array rho_query, rho_key; // as they stand on the two sides; empty when split=one_sided
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
    flt_att_drop(&p->rho_key);
    flt_att_drop(&p->rho_query);
    flt_att_drop(&p->rho);
    flt_att_drop(&p->xi);
    flt_att_encoding_drop(&p->encoding);
    flt_att_drop(&p->pos.array);
    flt_free(p);
}

// ---- frequencies and ratios

static flt_rng stream(const flt_attention_desc *desc, const char *what, size_t head) {
    return flt_rng_child(flt_rng_make(desc->seed, what, 0), "head", head);
}

static flt_err draw_normal(const flt_attention_desc *desc, const char *name, size_t rank, const size_t *dim, flt_att_array *out) {
    FLTX_TRY(flt_att_make(desc, name, rank, dim, out));
    for (size_t h = 0; h < desc->H; h++) flt_rng_normal_double(stream(desc, name, h), 0, out->count, flt_att_head(out, h));
    return FLTE_OK;
}

static flt_rpe_sampling sampling(const flt_attention_desc *desc) {
    static const char *const names[] = {"mc", "orthogonal", "qmc", "quadrature"};
    size_t i = 0;
    while (strcmp(names[i], flt_params_text(desc->params, "sampling")) != 0) i++; // the table of choices holds no other
    return (flt_rpe_sampling)i;
}

// Largest offset between positions on a line.
static double span(const flt_att_positions *pos) {
    double low = INFINITY, high = -INFINITY;
    for (size_t i = 0; i < pos->array.count; i++) {
        low = fmin(low, pos->array.data[i]);
        high = fmax(high, pos->array.data[i]);
    }
    return high - low;
}

// The encoding's own proposal or rule.
static flt_err draw_both(const flt_attention_desc *desc, plan *p, size_t r) {
    FLTX_TRY(flt_att_make(desc, "xi", 2, (size_t[]){r, p->pos.l}, &p->xi));
    FLTX_TRY(flt_att_make(desc, "rho", 1, &r, &p->rho));
    for (size_t h = 0; h < desc->H; h++) {
        const flt_rpe_args args = flt_att_encoding_args(&p->encoding, h);
        FLTX_TRY(flt_rpe_draw(p->encoding.kind, &args, sampling(desc), span(&p->pos), stream(desc, "rpe", h), r,
                              flt_att_head(&p->xi, h), flt_att_head(&p->rho, h)));
    }
    return FLTE_OK;
}

// rho = g/p, p = N(0, I), at given or drawn frequencies.
static flt_err gaussian_ratios(const flt_attention_desc *desc, plan *p, size_t r) {
    FLTX_TRY(flt_att_make(desc, "rho", 1, &r, &p->rho));
    for (size_t h = 0; h < desc->H; h++) {
        const flt_rpe_args args = flt_att_encoding_args(&p->encoding, h);
        double *rho = flt_att_head(&p->rho, h);
        flt_rpe_gaussian_ratio(p->encoding.kind, &args, r, flt_att_head(&p->xi, h), rho);
        for (size_t m = 0; m < r; m++) {
            if (!(rho[m] <= 1e30 && rho[m] >= -1e30))
                return flt_fail(FLTE_RANGE, desc->mechanism,
                                "the ratio g/p is %g at frequency %zu, too far out for p = N(0, I); give rho, or set rpe=%s",
                                rho[m], m, p->encoding.kind->kind.name);
        }
    }
    return FLTE_OK;
}

static flt_err check_sources(const flt_attention_desc *desc, const plan *p) {
    const flt_rpe_kind *kind = p->encoding.kind;
    if (kind == NULL) return FLTE_OK;
    if (!(kind->kind.caps & FLTX_RPE_SPECTRUM))
        return flt_fail(FLTE_UNSUPPORTED, desc->mechanism, "the encoding %s has no spectrum; the mechanism 'exact' can use it",
                        kind->kind.name);
    if (p->rho.data != NULL)
        return flt_fail(FLTE_USAGE, desc->mechanism,
                        "rho is given and so is the encoding %s, which determines it; leave one of them out", kind->kind.name);
    if (p->xi.data != NULL && strcmp(kind->kind.name, "gaussian_mixture") != 0)
        return flt_fail(FLTE_USAGE, desc->mechanism,
                        "xi is given and so is the encoding %s, which chooses its own frequencies; leave one out",
                        kind->kind.name);
    return FLTE_OK;
}

static flt_err get_frequencies(const flt_attention_desc *desc, plan *p) {
    flt_att_dim dim[2] = {{"r", FLTX_ATT_FREE}, {"l", (ptrdiff_t)p->pos.l}};
    const flt_att_encoding *e = &p->encoding;
    size_t r = 0;
    FLTX_TRY(flt_att_take(desc, "xi", 2, dim, &p->xi));
    FLTX_TRY(flt_att_take(desc, "rho", 1, dim, &p->rho));
    FLTX_TRY(check_sources(desc, p));
    FLTX_TRY(flt_att_size(desc, "r", dim[0].size == FLTX_ATT_FREE ? 0 : (size_t)dim[0].size, &r));
    const bool mixture = e->kind != NULL && strcmp(e->kind->kind.name, "gaussian_mixture") == 0;
    if (e->kind != NULL && p->xi.data == NULL && (e->named || !mixture)) return p->derived = true, draw_both(desc, p, r);
    if (p->xi.data == NULL) FLTX_TRY(draw_normal(desc, "xi", 2, (size_t[]){r, p->pos.l}, &p->xi));
    if (p->rho.data != NULL) return FLTE_OK;
    p->mixture = mixture;
    return mixture ? gaussian_ratios(desc, p, r) : draw_normal(desc, "rho", 1, &r, &p->rho);
}

// The ratio as it stands on both sides: balanced shares it out, squared has it twice.
static flt_err split_ratio(const flt_attention_desc *desc, plan *p) {
    const char *split = flt_params_text(desc->params, "split");
    const bool balanced = strcmp(split, "balanced") == 0;
    if (strcmp(split, "one_sided") == 0) return FLTE_OK;
    FLTX_TRY(flt_att_make(desc, "rho", 1, p->rho.dim, &p->rho_query));
    FLTX_TRY(flt_att_make(desc, "rho", 1, p->rho.dim, &p->rho_key));
    for (size_t h = 0; h < desc->H; h++) {
        const double *rho = flt_att_head(&p->rho, h);
        for (size_t m = 0; m < p->rho.count; m++) {
            const double size = balanced ? sqrt(fabs(rho[m])) : fabs(rho[m]);
            flt_att_head(&p->rho_query, h)[m] = copysign(size, rho[m]);
            flt_att_head(&p->rho_key, h)[m] = balanced ? size : copysign(size, rho[m]);
        }
    }
    return FLTE_OK;
}

// ---- plan

static flt_err create(const flt_attention_desc *desc, void **self) {
    static const char *const names[] = {"xi", "rho", "omega", "pos", FLTX_ATT_RPE_ARGS, NULL};
    plan *p = NULL;
    flt_err err = flt_att_args_known(desc, names);
    *self = NULL;
    if (err != FLTE_OK) return err;
    FLTX_TRY(flt_alloc(1, sizeof *p, &p));
    FLTX_GO(err, failed, flt_att_positions_read(desc, &p->pos));
    FLTX_GO(err, failed, flt_att_encoding_read(desc, &p->pos, &p->encoding));
    FLTX_GO(err, failed, get_frequencies(desc, p));
    FLTX_GO(err, failed, flt_att_omega(desc, desc->d + 2 * p->xi.dim[0], &p->omega));
    FLTX_GO(err, failed, split_ratio(desc, p));
    const flt_att_array *on_query = p->rho_query.data != NULL ? &p->rho_query : &p->rho;
    const size_t table = flt_params_size(desc->params, "table_mib") << 20;
    p->snippets = (flt_att_snippets){&p->pos, &p->xi, on_query, &p->rho_key, table};
    FLTX_GO(err, failed, flt_att_features_create(desc, &p->omega, &p->snippets, &p->features));
    FLTX_GO(err, failed, flt_att_linear_create(desc, flt_att_features_map(p->features), &p->linear));
    const flt_att_back_parts parts = {.omega = &p->omega,
                                      .features = p->features,
                                      .snippets = &p->snippets,
                                      .ratio = p->mixture ? &p->encoding : NULL,
                                      .derived = p->derived};
    FLTX_GO(err, failed, flt_att_softmax_back_create(desc, &parts, &p->back));
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
    flt_att_list(&p->xi, max, out, &n);
    flt_att_list(&p->rho, max, out, &n);
    flt_att_encoding_list(&p->encoding, max, out, &n);
    return n;
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
    .begin = begin,
    .step = step,
    .workspace = workspace,
    .draws = draws,
};
