// SPDX-License-Identifier: MIT
// What callers do with a tensor of a file: convert it, and check its values and its shape.
#include "flt/tensorfile.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

void flt_tensor_to_real(const flt_tensor *t, flt_real *out) {
    const float *f = t->data;
    const double *d = t->data;
    if (t->dtype == FLTX_F32)
        for (size_t i = 0; i < t->count; i++) out[i] = (flt_real)f[i];
    else
        for (size_t i = 0; i < t->count; i++) out[i] = (flt_real)d[i];
}

void flt_tensor_to_double(const flt_tensor *t, double *out) {
    const float *f = t->data;
    if (t->dtype == FLTX_F32)
        for (size_t i = 0; i < t->count; i++) out[i] = (double)f[i];
    else if (t->count > 0)
        memcpy(out, t->data, t->count * sizeof *out);
}

// ---- checks

// "[2, 3]" and "*" for SIZE_MAX; cut with ".." at the end of the buffer.
static void shape_text(size_t rank, const size_t *dim, char *out, size_t size) {
    size_t n = (size_t)snprintf(out, size, "[");
    for (size_t i = 0; i < rank && n < size; i++) {
        const char *comma = i == 0 ? "" : ", ";
        if (dim[i] == SIZE_MAX)
            n += (size_t)snprintf(out + n, size - n, "%s*", comma);
        else
            n += (size_t)snprintf(out + n, size - n, "%s%zu", comma, dim[i]);
    }
    if (n < size) snprintf(out + n, size - n, "]");
}

// "[0, 2, 1]" for the place of a value.
static void index_text(const flt_tensor *t, size_t at, char *out, size_t size) {
    size_t index[FLTX_MAX_RANK];
    for (size_t i = t->rank; i-- > 0; at /= t->dim[i]) index[i] = at % t->dim[i];
    shape_text(t->rank, index, out, size);
}

flt_err flt_tensor_finite(const char *who, const flt_tensor *t) {
    FLTX_GIVEN(who, t);
    char where[200];
    for (size_t i = 0; i < t->count; i++) {
        const double x = t->dtype == FLTX_F32 ? (double)((const float *)t->data)[i] : ((const double *)t->data)[i];
        if (isfinite((flt_real)x)) continue;
        index_text(t, i, where, sizeof where);
        if (isfinite(x))
            return flt_fail(FLTE_NUMERIC, who, "tensor '%.80s' holds %g at %s, too large for " FLTX_REAL_NAME, t->name, x, where);
        return flt_fail(FLTE_NUMERIC, who, "tensor '%.80s' holds %s at %s; finite values are needed", t->name,
                        isnan(x) ? "NaN"
                        : x > 0  ? "infinity"
                                 : "-infinity",
                        where);
    }
    return FLTE_OK;
}

flt_err flt_tensor_expect(const char *who, const flt_tensor *t, size_t rank, const size_t *dim) {
    FLTX_GIVEN(who, t);
    if (rank > 0) FLTX_GIVEN(dim);
    bool same = t->rank == rank;
    for (size_t i = 0; same && i < rank; i++) same = dim[i] == SIZE_MAX || dim[i] == t->dim[i];
    if (same) return FLTE_OK;
    char given[200], wanted[200];
    shape_text(t->rank, t->dim, given, sizeof given);
    shape_text(rank, dim, wanted, sizeof wanted);
    return flt_fail(FLTE_SHAPE, who, "tensor '%.80s' has shape %s; %s is expected", t->name, given, wanted);
}
