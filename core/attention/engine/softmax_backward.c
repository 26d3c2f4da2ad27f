// SPDX-License-Identifier: MIT
// Backward pass of linear attention with random softmax features; gradients of a mixture through rho = g/p:
//
//     g = sum_t w_t E_t, E_t = exp(-|xi - mu_t|^2 / s2_t):  dg/dw_t = E_t, dg/dmu_t = 2 w_t E_t (xi - mu_t) / s2_t,
//     dg/ds2_t = w_t E_t |xi - mu_t|^2 / s2_t^2,  dg/dxi = -sum_t dg/dmu_t;  drho/dxi = (dg/dxi + g xi) / p for p = N(0, I)
#include "softmax_backward.h"

#include <math.h>
#include <string.h>

enum { NAMES = 8 };

struct flt_att_softmax_back {
    flt_att_features_back *features;
    flt_att_linear_back *linear;
    flt_att_snippets snippets;
    bool has_snippets;
    const flt_att_encoding *ratio;
    const char *who, *names[NAMES];
    size_t H;
    double *drho; // [H, r]: of the ratio
};

static void list_names(flt_att_softmax_back *a, const flt_att_back_parts *parts) {
    size_t n = 0;
    a->names[n++] = "omega";
    const bool one_sided = a->has_snippets && a->snippets.rho_key->data == NULL; // else rho stands on both sides
    if (one_sided && !parts->derived) {
        a->names[n++] = "xi";
        a->names[n++] = parts->ratio == NULL ? "rho" : "w";
        if (parts->ratio != NULL) a->names[n++] = "mu", a->names[n++] = "s2";
    }
}

flt_err flt_att_softmax_back_create(const flt_attention_desc *desc, const flt_att_back_parts *parts, flt_att_softmax_back **out) {
    flt_att_softmax_back *a = NULL;
    flt_err err = FLTE_OK;
    *out = NULL;
    if (!desc->backward) return FLTE_OK;
    FLTX_TRY(flt_alloc(1, sizeof *a, &a));
    a->who = desc->mechanism;
    a->H = desc->H;
    a->ratio = parts->ratio;
    a->has_snippets = parts->snippets != NULL;
    if (a->has_snippets) a->snippets = *parts->snippets;
    list_names(a, parts);
    FLTX_GO(err, failed, flt_att_features_back_create(desc, parts->omega, parts->snippets, &a->features));
    FLTX_GO(err, failed,
            flt_att_linear_back_create(desc, flt_att_features_map(parts->features), flt_att_features_back_map(a->features),
                                       &a->linear));
    if (a->has_snippets) FLTX_GO(err, failed, flt_alloc(a->H, parts->snippets->xi->dim[0] * sizeof(double), &a->drho));
    *out = a;
    return FLTE_OK;
failed:
    flt_att_softmax_back_destroy(a);
    return err;
}

void flt_att_softmax_back_update(flt_att_softmax_back *a) {
    if (a != NULL) flt_att_features_back_update(a->features);
}

void flt_att_softmax_back_destroy(flt_att_softmax_back *a) {
    if (a == NULL) return;
    flt_free(a->drho);
    flt_att_linear_back_destroy(a->linear);
    flt_att_features_back_destroy(a->features);
    flt_free(a);
}

size_t flt_att_softmax_back_workspace(const flt_att_softmax_back *a) {
    return a == NULL ? 0 : flt_att_linear_back_workspace(a->linear) + flt_att_features_back_workspace(a->features);
}

// ---- the mixture

// Slots of one head in the gradients of w [T], mu [T, l], s2 [T], xi [r, l]; NULL: not wanted.
typedef struct mixture_sums {
    double *w, *mu, *s2, *xi;
} mixture_sums;

static void add(double *to, double x) {
    if (to != NULL) *to += x;
}

// One frequency and one component; dg = drho / p.
static void add_component(const flt_rpe_args *e, size_t t, const double *xi, double dg, mixture_sums to) {
    const size_t l = e->l;
    const double s2 = e->s2[t];
    double d2 = 0.0;
    for (size_t c = 0; c < l; c++) d2 += (xi[c] - e->mu[t * l + c]) * (xi[c] - e->mu[t * l + c]);
    const double part = dg * exp(-d2 / s2);
    add(to.w != NULL ? to.w + t : NULL, part);
    add(to.s2 != NULL ? to.s2 + t : NULL, part * e->w[t] * d2 / (s2 * s2));
    for (size_t c = 0; c < l; c++) {
        const double x = 2.0 * part * e->w[t] * (xi[c] - e->mu[t * l + c]) / s2;
        add(to.mu != NULL ? to.mu + t * l + c : NULL, x);
        add(to.xi != NULL ? to.xi + c : NULL, part * e->w[t] * xi[c] - x);
    }
}

static void add_head(const flt_att_softmax_back *a, size_t head, mixture_sums to) {
    const flt_rpe_args e = flt_att_encoding_args(a->ratio, 0, head);
    const size_t r = a->snippets.xi->dim[0], l = e.l;
    const double *xi = flt_att_head(a->snippets.xi, head), norm = pow(FLTX_TWO_PI, 0.5 * (double)l);
    for (size_t m = 0; m < r; m++, xi += l) {
        double x2 = 0.0;
        for (size_t c = 0; c < l; c++) x2 += xi[c] * xi[c];
        const double dg = a->drho[head * r + m] * norm * exp(0.5 * x2);
        for (size_t t = 0; t < e.t; t++) add_component(&e, t, xi, dg, to);
        if (to.xi != NULL) to.xi += l;
    }
}

static const flt_att_array *given(const flt_att_softmax_back *a, const char *name) {
    if (strcmp(name, "xi") == 0) return a->snippets.xi;
    for (size_t i = 0; i < FLTX_ATT_N_RPE_ARGS; i++) {
        const flt_att_array *given = &a->ratio->term[0].given[i];
        if (given->data != NULL && strcmp(given->name, name) == 0) return given;
    }
    return NULL;
}

// `to`, an argument of the mixture, from drho of every head; xi has its share through the phases already.
static void through_ratio(const flt_att_softmax_back *a, const char *name, double *to) {
    const flt_att_array *shape = given(a, name);
    const size_t heads = shape->heads == 0 ? 1 : shape->heads;
    if (strcmp(name, "xi") != 0) memset(to, 0, heads * shape->count * sizeof *to);
    for (size_t h = 0; h < a->H; h++) {
        double *at = to + (heads == 1 ? 0 : h) * shape->count;
        mixture_sums sums = {0};
        *(strcmp(name, "w") == 0    ? &sums.w
          : strcmp(name, "mu") == 0 ? &sums.mu
          : strcmp(name, "s2") == 0 ? &sums.s2
                                    : &sums.xi) = at;
        add_head(a, h, sums);
    }
}

// ---- one pass

static void gather(const flt_att_softmax_back *a, const flt_attention_gradient *to) {
    if (strcmp(to->name, "omega") == 0) {
        flt_att_features_back_omega(a->features, to->data);
        return;
    }
    if (strcmp(to->name, "rho") == 0) flt_att_features_back_rho(a->features, a->snippets.rho, to->data);
    if (strcmp(to->name, "xi") == 0) flt_att_features_back_xi(a->features, a->snippets.xi, to->data);
    if (a->ratio != NULL) through_ratio(a, to->name, to->data);
}

flt_err flt_att_softmax_back_run(flt_att_softmax_back *a, const flt_attention_pass *pass) {
    bool omega = false, others = false;
    FLTX_TRY(flt_att_gradients_known(a->who, pass, a->names));
    for (size_t i = 0; i < pass->n_args; i++) {
        const bool is = strcmp(pass->args[i].name, "omega") == 0;
        omega |= is, others |= !is;
    }
    flt_att_features_back_begin(a->features, omega, others);
    flt_att_linear_back_run(a->linear, pass);
    if (others && a->ratio != NULL) flt_att_features_back_rho(a->features, a->snippets.rho, a->drho);
    for (size_t i = 0; i < pass->n_args; i++) gather(a, &pass->args[i]);
    return FLTE_OK;
}
