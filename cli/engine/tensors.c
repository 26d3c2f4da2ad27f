// SPDX-License-Identifier: MIT
#include "engine/tensors.h"

#include "flt/memory.h"

flt_err flt_need_tensor(const char *who, const char *path, const flt_tensors *in, const char *name, const flt_tensor **out) {
    *out = flt_tensors_find(in, name);
    if (*out == NULL) return flt_fail(FLTE_FORMAT, who, "%s holds no tensor '%s'", path, name);
    return flt_tensor_finite(who, *out);
}

flt_err flt_copy_real(const flt_tensor *t, flt_real **out) {
    FLTX_TRY(flt_alloc(t->count, sizeof **out, out));
    flt_tensor_to_real(t, *out);
    return FLTE_OK;
}
