// SPDX-License-Identifier: MIT
// NULL at public functions. REFUSED("desc", flt_attention_create(NULL, &a)) wants FLTE_USAGE and the sentence
// "flt_attention_create: desc is NULL".
#ifndef REFUSED_H
#define REFUSED_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "flt/error.h"

#define REFUSED(argument, call) refused(argument, #call, call)

static inline void refused(const char *argument, const char *call, flt_err err) {
    char want[256];
    snprintf(want, sizeof want, "%.*s: %s is NULL", (int)strcspn(call, "("), call, argument);
    cr_expect(err == FLTE_USAGE && strcmp(flt_error(), want) == 0, "%s: %s, '%s'; not '%s'", call, flt_err_name(err), flt_error(),
              want);
}

#endif
