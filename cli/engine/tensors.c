// SPDX-License-Identifier: MIT
#include "engine/tensors.h"

#include "flt/memory.h"

#include <sys/stat.h>

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

flt_err flt_check_output(const char *who, const char *in, const char *out) {
    struct stat from, to;
    if (stat(in, &from) == 0 && stat(out, &to) == 0 && from.st_dev == to.st_dev && from.st_ino == to.st_ino)
        return flt_fail(FLTE_USAGE, who, "--out %s is the file given to --in; name another", out);
    return flt_write_possible(out);
}
