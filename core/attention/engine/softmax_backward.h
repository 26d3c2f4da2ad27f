// SPDX-License-Identifier: MIT
// The backward pass of linear attention with random softmax features, as mechanisms use it. Private to core/attention.
#ifndef FLTX_ATTENTION_SOFTMAX_BACKWARD_H
#define FLTX_ATTENTION_SOFTMAX_BACKWARD_H

#include "features_backward.h"
#include "ratios.h"

// What a mechanism lends.
typedef struct flt_att_back_parts {
    const flt_att_array *omega;
    const flt_att_features *features;
    const flt_att_snippets *snippets; // NULL: none
    const flt_att_ratios *ratios;     // theirs
} flt_att_back_parts;

typedef struct flt_att_softmax_back flt_att_softmax_back;

// *out stays NULL where the description asks for no backward pass.
flt_err flt_att_softmax_back_create(const flt_attention_desc *desc, const flt_att_back_parts *parts, flt_att_softmax_back **out);
void flt_att_softmax_back_update(flt_att_softmax_back *a); // omega holds new values; NULL: nothing to do
void flt_att_softmax_back_destroy(flt_att_softmax_back *a);
flt_err flt_att_softmax_back_run(flt_att_softmax_back *a, const flt_attention_pass *pass);
size_t flt_att_softmax_back_workspace(const flt_att_softmax_back *a); // 0 for NULL

#endif
