// SPDX-License-Identifier: MIT
// Argument arrays of attention plans.
#include "args.h"

#include "flt/memory.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

const flt_attention_arg *flt_attention_arg_find(const flt_attention_desc *desc, const char *name) {
    for (size_t i = 0; i < desc->n_args; i++) {
        if (strcmp(desc->args[i].name, name) == 0) return &desc->args[i];
    }
    return NULL;
}

static flt_err unknown(const flt_attention_desc *desc, const char *name, const char *const *names) {
    char list[256] = "";
    for (size_t i = 0; names[i] != NULL; i++) {
        const size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", i > 0 ? ", " : "", names[i]);
    }
    if (strcmp(name, "pos") == 0)
        return flt_fail(FLTE_NAME, desc->mechanism,
                        "argument 'pos' would change nothing: it has no positional encoding; leave pos out, or take a mechanism "
                        "that has one (see `flt list attention`)");
    if (names[0] == NULL) return flt_fail(FLTE_NAME, desc->mechanism, "argument '%.60s' is unknown; it takes none", name);
    const char *near = flt_nearest(name, names);
    if (near == NULL) return flt_fail(FLTE_NAME, desc->mechanism, "argument '%.60s' is unknown; valid names: %s", name, list);
    return flt_fail(FLTE_NAME, desc->mechanism, "argument '%.60s' is unknown; did you mean '%s'? valid names: %s", name, near,
                    list);
}

flt_err flt_att_args_known(const flt_attention_desc *desc, const char *const *names) {
    for (size_t i = 0; i < desc->n_args; i++) {
        const char *name = desc->args[i].name;
        size_t k = 0;
        while (names[k] != NULL && strcmp(names[k], name) != 0) k++;
        if (names[k] == NULL) return unknown(desc, name, names);
        if (flt_attention_arg_find(desc, name) != &desc->args[i])
            return flt_fail(FLTE_USAGE, desc->mechanism, "argument '%s' is given twice", name);
    }
    return FLTE_OK;
}

flt_err flt_att_gradients_known(const char *who, const flt_attention_pass *pass, const char *const *names) {
    char list[512] = "";
    for (size_t i = 0; names[i] != NULL; i++) {
        const size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", i > 0 ? ", " : "", names[i]);
    }
    for (size_t i = 0; i < pass->n_args; i++) {
        size_t k = 0;
        while (names[k] != NULL && strcmp(names[k], pass->args[i].name) != 0) k++;
        if (names[k] == NULL)
            return flt_fail(FLTE_NAME, who, "this plan has no gradient with respect to '%.60s'; it has them for q, k, v%s%s",
                            pass->args[i].name, names[0] != NULL ? ", " : "", list);
    }
    return FLTE_OK;
}

static void write_shape(size_t rank, const size_t *dim, char *text, size_t size) {
    size_t used = (size_t)snprintf(text, size, "[");
    for (size_t i = 0; i < rank && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%zu", i ? ", " : "", dim[i]);
    if (used < size) snprintf(text + used, size - used, "]");
}

static void write_wanted(size_t rank, const flt_att_dim *dim, char *text, size_t size) {
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < rank && used < size; i++) {
        used += (size_t)snprintf(text + used, size - used, "%s%s", i ? ", " : "", dim[i].letter);
        if (dim[i].size != FLTX_ATT_FREE && used < size)
            used += (size_t)snprintf(text + used, size - used, " = %td", dim[i].size);
    }
}

static flt_err wrong_shape(const flt_attention_desc *desc, const flt_attention_arg *arg, size_t rank, const flt_att_dim *dim) {
    char given[128], wanted[128];
    write_shape(arg->rank, arg->dim, given, sizeof given);
    write_wanted(rank, dim, wanted, sizeof wanted);
    return flt_fail(FLTE_SHAPE, desc->mechanism, "argument '%s' has shape %s; wanted [%s], or [H = %zu%s%s] for one per head",
                    arg->name, given, wanted, desc->H, rank > 0 ? ", " : "", wanted);
}

static bool fits(const size_t *given, size_t rank, const flt_att_dim *dim) {
    for (size_t i = 0; i < rank; i++) {
        if (given[i] == 0 || (dim[i].size != FLTX_ATT_FREE && given[i] != (size_t)dim[i].size)) return false;
    }
    return true;
}

// NaN and infinities are refused, but for the minus infinity that hides a key in a bias of exact attention.
static flt_err check_finite(const char *who, const flt_attention_arg *arg, size_t count) {
    const bool bias = strcmp(arg->name, "bias") == 0 || strcmp(arg->name, "lag_bias") == 0;
    const bool hides = bias && strcmp(who, "exact") == 0;
    for (size_t i = 0; i < count; i++) {
        if (!isfinite((flt_real)arg->data[i]) && !(hides && arg->data[i] < 0))
            return flt_fail(FLTE_NUMERIC, who, "argument '%s' holds %g at index %zu; finite " FLTX_REAL_NAME " values are wanted",
                            arg->name, arg->data[i], i);
    }
    return FLTE_OK;
}

static flt_err allocate(flt_att_array *a) {
    size_t count = a->heads == 0 ? 1 : a->heads;
    a->count = 1;
    for (size_t i = 0; i < a->rank; i++) {
        if (!flt_mul_ok(count, a->dim[i], &count))
            return flt_fail(FLTE_NOMEM, a->name, "its size does not fit in the address space");
        a->count *= a->dim[i];
    }
    return flt_alloc(count, sizeof *a->data, &a->data);
}

flt_err flt_att_take(const flt_attention_desc *desc, const char *name, size_t rank, flt_att_dim *dim, flt_att_array *out) {
    const flt_attention_arg *arg = flt_attention_arg_find(desc, name);
    *out = (flt_att_array){.name = name, .rank = rank};
    if (arg == NULL) return FLTE_OK;
    const bool per_head = arg->rank == rank + 1 && arg->dim[0] == desc->H;
    if ((!per_head && arg->rank != rank) || !fits(arg->dim + per_head, rank, dim)) return wrong_shape(desc, arg, rank, dim);
    out->heads = per_head ? desc->H : 0;
    for (size_t i = 0; i < rank; i++) dim[i].size = (ptrdiff_t)(out->dim[i] = arg->dim[i + per_head]);
    FLTX_TRY(allocate(out));
    const size_t total = out->count * (per_head ? desc->H : 1);
    FLTX_TRY(check_finite(desc->mechanism, arg, total));
    memcpy(out->data, arg->data, total * sizeof *out->data);
    return FLTE_OK;
}

flt_err flt_att_make(const flt_attention_desc *desc, const char *name, size_t rank, const size_t *dim, flt_att_array *out) {
    *out = (flt_att_array){.name = name, .rank = rank, .heads = desc->H};
    memcpy(out->dim, dim, rank * sizeof *dim);
    return allocate(out);
}

flt_err flt_att_number(const char *name, double value, flt_att_array *out) {
    *out = (flt_att_array){.name = name};
    FLTX_TRY(allocate(out));
    out->data[0] = value;
    return FLTE_OK;
}

void flt_att_drop(flt_att_array *a) {
    flt_free(a->data);
    a->data = NULL;
}

double *flt_att_head(const flt_att_array *a, size_t head) {
    return a->heads == 0 ? a->data : a->data + head * a->count;
}

void flt_att_list(const flt_att_array *a, size_t max, flt_attention_arg *out, size_t *n) {
    if (a->data == NULL || *n >= max) return;
    flt_attention_arg *arg = &out[(*n)++];
    const size_t lead = a->heads != 0;
    *arg = (flt_attention_arg){.name = a->name, .rank = a->rank + lead, .data = a->data};
    if (lead) arg->dim[0] = a->heads;
    memcpy(arg->dim + lead, a->dim, a->rank * sizeof *a->dim);
}

void flt_att_gather(const flt_att_array *shape, size_t BH, size_t H, const double *sums, double *to) {
    const size_t count = shape->count, heads = shape->heads == 0 ? 1 : shape->heads;
    memset(to, 0, heads * count * sizeof *to);
    for (size_t bh = 0; bh < BH; bh++) {
        double *head = to + (heads == 1 ? 0 : bh % H) * count;
        for (size_t i = 0; i < count; i++) head[i] += sums[bh * count + i];
    }
}

// ---- new values

void flt_att_arrays_add(flt_att_arrays *to, flt_att_array *a) {
    if (a->data != NULL && to->n < FLTX_ATT_MAX_ARRAYS) to->at[to->n++] = a;
}

const double *flt_att_new_values(const char *name, size_t n_args, const flt_attention_arg *args) {
    for (size_t i = 0; i < n_args; i++) {
        if (strcmp(args[i].name, name) == 0) return args[i].data;
    }
    return NULL;
}

static flt_att_array *named(const flt_att_arrays *have, const char *name) {
    for (size_t i = 0; i < have->n; i++) {
        if (strcmp(have->at[i]->name, name) == 0) return have->at[i];
    }
    return NULL;
}

static flt_err not_there(const flt_att_arrays *have, const char *name) {
    char list[512] = "";
    for (size_t i = 0; i < have->n; i++) {
        const size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", i > 0 ? ", " : "", have->at[i]->name);
    }
    return flt_fail(FLTE_NAME, have->who, "this plan has no argument '%.60s' to update; it has: %s", name,
                    have->n > 0 ? list : "none");
}

static flt_err check_shape(const flt_att_arrays *have, const flt_att_array *a, const flt_attention_arg *arg) {
    char given[128], wanted[128];
    size_t n = 0;
    flt_attention_arg want;
    flt_att_list(a, 1, &want, &n);
    if (arg->rank == want.rank && memcmp(arg->dim, want.dim, want.rank * sizeof *want.dim) == 0) return FLTE_OK;
    write_shape(arg->rank, arg->dim, given, sizeof given);
    write_shape(want.rank, want.dim, wanted, sizeof wanted);
    return flt_fail(FLTE_SHAPE, have->who, "the new value of '%s' has shape %s; the plan holds %s", arg->name, given, wanted);
}

flt_err flt_att_arrays_check(const flt_att_arrays *have, size_t n_args, const flt_attention_arg *args) {
    for (size_t i = 0; i < n_args; i++) {
        const flt_att_array *a = named(have, args[i].name);
        if (a == NULL) return not_there(have, args[i].name);
        if (flt_att_new_values(args[i].name, i, args) != NULL)
            return flt_fail(FLTE_USAGE, have->who, "argument '%s' is given twice", args[i].name);
        FLTX_TRY(check_shape(have, a, &args[i]));
        FLTX_TRY(check_finite(have->who, &args[i], a->count * (a->heads == 0 ? 1 : a->heads)));
    }
    return FLTE_OK;
}

void flt_att_arrays_copy(const flt_att_arrays *have, size_t n_args, const flt_attention_arg *args) {
    for (size_t i = 0; i < n_args; i++) {
        const flt_att_array *a = named(have, args[i].name);
        memmove(a->data, args[i].data, a->count * (a->heads == 0 ? 1 : a->heads) * sizeof *a->data);
    }
}

flt_err flt_att_size(const flt_attention_desc *desc, const char *param, size_t from_args, size_t *out) {
    const size_t given = flt_params_size(desc->params, param);
    *out = from_args == 0 ? given : from_args;
    if (*out != given && flt_params_is_set(desc->params, param))
        return flt_fail(FLTE_USAGE, desc->mechanism, "%s is set to %zu, but the arguments have %s = %zu; leave one of them out",
                        param, given, param, from_args);
    return FLTE_OK;
}

// ---- positions

static bool follows(const double *pos, size_t n, double step, double tolerance) {
    for (size_t i = 0; i < n; i++)
        if (!(fabs(pos[i] - pos[0] - (double)i * step) <= tolerance)) return false;
    return true;
}

// Exactly, or, as i / N is, up to the rounding of the positions themselves.
static bool evenly_spaced(const double *pos, size_t n, double *step) {
    *step = n > 1 ? pos[1] - pos[0] : 1.0;
    if (follows(pos, n, *step, 0.0)) return true;
    const double mean = (pos[n - 1] - pos[0]) / (double)(n - 1);
    if (!follows(pos, n, mean, DBL_EPSILON * fmax(fabs(pos[0]), fabs(pos[n - 1])))) return false;
    *step = mean;
    return true;
}

flt_err flt_att_positions_read(const flt_attention_desc *desc, flt_att_positions *out) {
    const flt_attention_arg *arg = flt_attention_arg_find(desc, "pos");
    flt_att_dim dim[2] = {{"N", (ptrdiff_t)desc->N}, {"l", FLTX_ATT_FREE}};
    *out = (flt_att_positions){.l = 1, .given = arg != NULL, .step = 1.0};
    if (arg == NULL) {
        out->array = (flt_att_array){.name = "pos", .rank = 2, .dim = {desc->N, 1}};
        FLTX_TRY(allocate(&out->array));
        for (size_t i = 0; i < desc->N; i++) out->array.data[i] = (double)i;
    } else {
        if (arg->rank == 3)
            return flt_fail(FLTE_SHAPE, desc->mechanism, "argument 'pos' has rank 3; wanted [N = %zu, l], shared by the heads",
                            desc->N);
        FLTX_TRY(flt_att_take(desc, "pos", 2, dim, &out->array));
        out->l = out->array.dim[1];
    }
    out->spaced = out->l == 1 && evenly_spaced(out->array.data, desc->N, &out->step);
    return FLTE_OK;
}

void flt_att_position(const flt_att_positions *p, size_t n, size_t index, double *out) {
    const size_t row = index < n ? index : n - 1;
    memcpy(out, p->array.data + row * p->l, p->l * sizeof *out);
    if (index >= n && !p->given) out[0] = (double)index;
}
