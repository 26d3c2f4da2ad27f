// SPDX-License-Identifier: MIT
// Backward pass of linear attention with random softmax features.
#include "softmax_backward.h"

#include <string.h>

enum { NAMES = FLTX_ATT_MAX_ARRAYS };

struct flt_att_softmax_back {
    flt_att_features_back *features;
    flt_att_linear_back *linear;
    const flt_att_ratios *ratios; // NULL: no snippets
    flt_att_ratios_back *ratios_back;
    const char *who, *names[NAMES];
};

static void list_names(flt_att_softmax_back *a) {
    size_t n = 0;
    a->names[n++] = "omega";
    if (a->ratios != NULL) flt_att_ratios_names(a->ratios, NAMES - 1, a->names, &n);
}

flt_err flt_att_softmax_back_create(const flt_attention_desc *desc, const flt_att_back_parts *parts, flt_att_softmax_back **out) {
    flt_att_softmax_back *a = NULL;
    flt_err err = FLTE_OK;
    *out = NULL;
    if (!desc->backward) return FLTE_OK;
    FLTX_TRY(flt_alloc(1, sizeof *a, &a));
    a->who = desc->mechanism;
    a->ratios = parts->ratios;
    list_names(a);
    FLTX_GO(err, failed, flt_att_features_back_create(desc, parts->omega, parts->snippets, &a->features));
    flt_att_features_back_follow(a->features, parts->features);
    FLTX_GO(err, failed,
            flt_att_linear_back_create(desc, flt_att_features_map(parts->features), flt_att_features_back_map(a->features),
                                       &a->linear));
    if (a->ratios != NULL) FLTX_GO(err, failed, flt_att_ratios_back_create(a->ratios, &a->ratios_back));
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
    flt_att_ratios_back_destroy(a->ratios_back);
    flt_att_linear_back_destroy(a->linear);
    flt_att_features_back_destroy(a->features);
    flt_free(a);
}

size_t flt_att_softmax_back_workspace(const flt_att_softmax_back *a) {
    return a == NULL ? 0 : flt_att_linear_back_workspace(a->linear) + flt_att_features_back_workspace(a->features);
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
    if (others) flt_att_ratios_back_begin(a->ratios_back, a->features);
    for (size_t i = 0; i < pass->n_args; i++) {
        if (strcmp(pass->args[i].name, "omega") == 0)
            flt_att_features_back_omega(a->features, pass->args[i].data);
        else
            flt_att_ratios_back_gather(a->ratios_back, a->features, &pass->args[i]);
    }
    return FLTE_OK;
}
