// SPDX-License-Identifier: MIT
// Arguments and parameters of mechanisms that the common problems do not exercise.
#ifndef FLTX_SETTINGS_H
#define FLTX_SETTINGS_H

#include "engine/problem.h"

enum { FLTX_MAX_GIVEN = 3 };

typedef struct flt_given_args {
    size_t n;
    flt_attention_arg args[FLTX_MAX_GIVEN];
    char label[96];
} flt_given_args;

// Runs `body` for every setting of the mechanism: bidirectional and (where it can) causal, arguments shared and one per head.
typedef flt_err (*flt_setting_body)(flt_check_context *c, const flt_attention_kind *kind, flt_problem *p,
                                    const flt_given_args *given);
flt_err flt_each_setting(flt_check_context *c, const flt_attention_kind *kind, flt_setting_body body);

#endif
