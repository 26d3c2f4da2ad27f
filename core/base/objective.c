// SPDX-License-Identifier: MIT
// Layouts of flat parameter vectors, and the end of an objective's life.
#include "flt/objective.h"
#include "flt/memory.h"

#include <stdio.h>
#include <string.h>

flt_err flt_layout_add(flt_layout *l, const char *name, size_t rank, const size_t *dim) {
    FLTX_GIVEN(l, name);
    if (rank > 0) FLTX_GIVEN(dim);
    if (rank > FLTX_MAX_RANK)
        return flt_fail(FLTE_RANGE, "layout", "tensor %s has rank %zu; at most %d", name, rank, FLTX_MAX_RANK);
    if (strlen(name) >= sizeof l->tensor->name)
        return flt_fail(FLTE_RANGE, "layout", "the name %s is longer than 63 characters", name);
    if (flt_layout_find(l, name) != NULL) return flt_fail(FLTE_USAGE, "layout", "the name %s is given twice", name);
    flt_tensor_spec *grown = NULL;
    FLTX_TRY(flt_alloc(l->n + 1, sizeof *grown, &grown));
    if (l->n > 0) memcpy(grown, l->tensor, l->n * sizeof *grown);
    flt_tensor_spec *t = &grown[l->n];
    snprintf(t->name, sizeof t->name, "%s", name);
    t->rank = rank;
    t->offset = l->total;
    t->count = 1;
    for (size_t i = 0; i < rank; i++) {
        t->dim[i] = dim[i];
        if (!flt_mul_ok(t->count, dim[i], &t->count)) {
            flt_free(grown);
            return flt_fail(FLTE_RANGE, "layout", "the size of tensor %s overflows", name);
        }
    }
    if (__builtin_add_overflow(l->total, t->count, &l->total)) {
        l->total = t->offset;
        flt_free(grown);
        return flt_fail(FLTE_RANGE, "layout", "the total size overflows at tensor %s", name);
    }
    flt_free(l->tensor);
    l->tensor = grown;
    l->n++;
    return FLTE_OK;
}

flt_err flt_layout_copy(const flt_layout *from, flt_layout *to) {
    FLTX_GIVEN(from, to);
    *to = (flt_layout){0};
    if (from->n == 0) return FLTE_OK;
    FLTX_TRY(flt_alloc(from->n, sizeof *to->tensor, &to->tensor));
    memcpy(to->tensor, from->tensor, from->n * sizeof *to->tensor);
    to->n = from->n;
    to->total = from->total;
    return FLTE_OK;
}

void flt_layout_free(flt_layout *l) {
    if (l == NULL) return;
    flt_free(l->tensor);
    *l = (flt_layout){0};
}

const flt_tensor_spec *flt_layout_find(const flt_layout *l, const char *name) {
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->tensor[i].name, name) == 0) return &l->tensor[i];
    return NULL;
}

void flt_objective_destroy(flt_objective *o) {
    if (o == NULL) return;
    if (o->destroy != NULL) o->destroy(o->self);
    flt_layout_free(&o->layout);
    flt_free(o);
}
