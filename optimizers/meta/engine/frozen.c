// SPDX-License-Identifier: MIT
// Patterns over names of meta-parameter tensors.
#include "meta/engine/frozen.h"

#include "flt/memory.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

static const char who[] = "meta-training";

static flt_err matches_nothing(const char *pattern, const flt_layout *layout) {
    char names[768] = "";
    size_t used = 0;
    for (size_t k = 0; k < layout->n && used + sizeof layout->tensor[k].name + 8 < sizeof names; k++)
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", k == 0 ? "" : ", ", layout->tensor[k].name);
    return flt_fail(FLTE_NAME, who, "no meta-parameters match '%s' of those to freeze; there are %s", pattern, names);
}

static flt_err freeze(const char *pattern, const flt_layout *layout, bool *frozen) {
    bool any = false;
    for (size_t k = 0; k < layout->n; k++) {
        const flt_tensor_spec *t = &layout->tensor[k];
        if (fnmatch(pattern, t->name, 0) != 0) continue;
        any = true;
        for (size_t j = 0; j < t->count; j++) frozen[t->offset + j] = true;
    }
    return any ? FLTE_OK : matches_nothing(pattern, layout);
}

flt_err flt_frozen_make(const flt_meta_config *c, const flt_layout *layout, bool **out) {
    size_t left = 0;
    *out = NULL;
    if (c->n_freeze == 0) return FLTE_OK;
    FLTX_TRY(flt_alloc(layout->total, sizeof **out, out));
    for (size_t k = 0; k < c->n_freeze; k++) FLTX_TRY(freeze(c->freeze[k], layout, *out));
    for (size_t j = 0; j < layout->total; j++) left += !(*out)[j];
    return left > 0 ? FLTE_OK : flt_fail(FLTE_RANGE, who, "all meta-parameters are frozen; leave at least one tensor to train");
}
