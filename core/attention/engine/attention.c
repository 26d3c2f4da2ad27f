// SPDX-License-Identifier: MIT
// The public face of attention: checks what all mechanisms have in common, then hands over to the kind.
#include "args.h"

#include "flt/memory.h"
#include "flt/num.h"
#include "flt/plant.h"

#include <stdio.h>
#include <string.h>

struct flt_attention {
    const flt_attention_kind *kind;
    void *self;
    bool causal, backward;
    size_t N;
};

void flt_att_capable(unsigned caps, char *list, size_t size) {
    const flt_registry *r = flt_attention_registry();
    list[0] = '\0';
    for (size_t i = 0; r->kinds[i] != NULL; i++) {
        const size_t used = strlen(list);
        if ((r->kinds[i]->caps & caps) == caps)
            snprintf(list + used, size - used, "%s%s", used > 0 ? ", " : "", r->kinds[i]->name);
    }
}

static flt_err check_sizes(const flt_attention_desc *desc) {
    const char *who = desc->mechanism;
    size_t tokens = 0, all = 0;
    if (desc->B == 0 || desc->H == 0 || desc->N == 0 || desc->d == 0 || desc->dv == 0)
        return flt_fail(FLTE_SHAPE, who, "B = %zu, H = %zu, N = %zu, d = %zu, dv = %zu; each must be at least 1", desc->B,
                        desc->H, desc->N, desc->d, desc->dv);
    if (!flt_mul_ok(desc->B, desc->H, &tokens) || !flt_mul_ok(tokens, desc->N, &tokens) ||
        !flt_mul_ok(tokens, desc->d > desc->dv ? desc->d : desc->dv, &all) || all > PTRDIFF_MAX / sizeof(double))
        return flt_fail(FLTE_RANGE, who, "B = %zu, H = %zu, N = %zu, d = %zu, dv = %zu do not fit in the address space", desc->B,
                        desc->H, desc->N, desc->d, desc->dv);
    if (desc->threads < 0) return flt_fail(FLTE_RANGE, who, "threads is %d; 0 (one) or more is wanted", desc->threads);
    return flt_gemm_check(who, desc->N, desc->d, desc->dv);
}

// What reading an argument takes for granted.
static flt_err check_args(const char *who, size_t n, const flt_attention_arg *args) {
    if (n > 0 && args == NULL) return flt_fail(FLTE_USAGE, who, "%zu arguments are announced, but the list is NULL", n);
    for (size_t i = 0; i < n; i++) {
        if (args[i].name == NULL || args[i].data == NULL)
            return flt_fail(FLTE_USAGE, who, "argument %zu of %zu ('%s') has no %s", i + 1, n,
                            args[i].name != NULL ? args[i].name : "", args[i].name == NULL ? "name" : "data");
        if (args[i].rank > FLTX_MAX_RANK)
            return flt_fail(FLTE_SHAPE, who, "argument '%s' has rank %zu; allowed: 0 to %d", args[i].name, args[i].rank,
                            FLTX_MAX_RANK);
    }
    return FLTE_OK;
}

static flt_err check_desc(const flt_attention_desc *desc, const flt_attention_kind *kind) {
    char list[256];
    FLTX_TRY(check_sizes(desc));
    FLTX_TRY(check_args(desc->mechanism, desc->n_args, desc->args));
    if (desc->causal && !(kind->kind.caps & FLTX_ATT_CAUSAL)) {
        flt_att_capable(FLTX_ATT_CAUSAL, list, sizeof list);
        return flt_fail(FLTE_UNSUPPORTED, desc->mechanism, "it has no causal form; these have: %s", list);
    }
    if (desc->backward && kind->backward == NULL) {
        flt_att_capable(FLTX_ATT_BACKWARD, list, sizeof list);
        return flt_fail(FLTE_UNSUPPORTED, desc->mechanism, "it has no backward pass; these have: %s", list);
    }
    if (desc->params != NULL && flt_params_specs(desc->params) != kind->kind.params)
        return flt_fail(FLTE_USAGE, desc->mechanism, "the parameters given to it were made for another mechanism");
    return FLTE_OK;
}

// The kind sees a description whose parameters are there and whose threads may all call BLAS.
static flt_err create_kind(const flt_attention_desc *desc, const flt_attention_kind *kind, void **self) {
    flt_attention_desc full = *desc;
    flt_params *defaults = NULL;
    full.mechanism = kind->kind.name;
    full.threads = flt_num_threads(desc->threads > 0 ? desc->threads : 1);
    if (full.params == NULL) {
        FLTX_TRY(flt_params_create(kind->kind.name, kind->kind.params, &defaults));
        full.params = defaults;
    }
    const flt_err err = kind->create(&full, self);
    flt_params_destroy(defaults);
    return err;
}

flt_err flt_attention_create(const flt_attention_desc *desc, flt_attention **out) {
    FLTX_GIVEN(desc, out);
    const flt_attention_kind *kind = NULL;
    flt_attention *a = NULL;
    *out = NULL;
    FLTX_TRY(flt_attention_find(desc->mechanism, &kind));
    FLTX_TRY(check_desc(desc, kind));
    flt_num_init();
    FLTX_TRY(flt_alloc(1, sizeof *a, &a));
    a->kind = kind;
    a->causal = desc->causal;
    a->N = desc->N;
    a->backward = desc->backward;
    const flt_err err = create_kind(desc, kind, &a->self);
    if (err != FLTE_OK) {
        flt_attention_destroy(a);
        return err;
    }
    *out = a;
    return FLTE_OK;
}

void flt_attention_destroy(flt_attention *a) {
    if (a == NULL) return;
    if (a->self != NULL) a->kind->destroy(a->self);
    flt_free(a);
}

void flt_attention_forward(flt_attention *a, const flt_real *q, const flt_real *k, const flt_real *v, flt_real *out) {
    void *room = NULL;
    if (FLTX_BUG(FORWARD_ALLOCATES) && flt_alloc(1, 1, &room) == FLTE_OK) flt_free(room);
    a->kind->forward(a->self, q, k, v, out);
}

flt_err flt_attention_backward(flt_attention *a, const flt_attention_pass *pass) {
    FLTX_GIVEN(a, pass);
    FLTX_GIVEN(pass->q, pass->dout, pass->dq);
    if ((a->kind->kind.caps & FLTX_ATT_MIXING) == 0) FLTX_GIVEN(pass->k, pass->v, pass->out, pass->dk, pass->dv);
    if (pass->n_args > 0) FLTX_GIVEN(pass->args);
    if (!a->backward)
        return flt_fail(FLTE_UNSUPPORTED, a->kind->kind.name, "the plan has no backward pass; set `backward` in its description");
    return a->kind->backward(a->self, pass);
}

flt_err flt_attention_update(flt_attention *a, size_t n_args, const flt_attention_arg *args) {
    FLTX_GIVEN(a);
    if (a->kind->update == NULL)
        return flt_fail(FLTE_UNSUPPORTED, a->kind->kind.name, "its arguments stay as they were at creation; make a new plan");
    FLTX_TRY(check_args(a->kind->kind.name, n_args, args));
    return a->kind->update(a->self, n_args, args);
}

flt_err flt_attention_begin(flt_attention *a) {
    FLTX_GIVEN(a);
    const char *who = a->kind->kind.name;
    char list[256];
    if (a->kind->begin == NULL) {
        flt_att_capable(FLTX_ATT_STREAM, list, sizeof list);
        return flt_fail(FLTE_UNSUPPORTED, who, "it has no streaming form; these have: %s", list);
    }
    if (a->kind->streams != NULL && !a->kind->streams(a->self))
        return flt_fail(FLTE_UNSUPPORTED, who, "with these parameters it has no streaming form; its defaults have one");
    if (!a->causal) return flt_fail(FLTE_UNSUPPORTED, who, "the plan is bidirectional; streaming needs a causal one");
    a->kind->begin(a->self);
    return FLTE_OK;
}

void flt_attention_step(flt_attention *a, const flt_real *q, const flt_real *k, const flt_real *v, flt_real *out) {
    a->kind->step(a->self, q, k, v, out);
}

size_t flt_attention_workspace(const flt_attention *a) {
    return a->kind->workspace(a->self);
}

size_t flt_attention_flagged(const flt_attention *a) {
    return a->kind->flagged != NULL ? a->kind->flagged(a->self) : 0;
}

size_t flt_attention_rows(const flt_attention *a) {
    return a->kind->rows != NULL ? a->kind->rows(a->self) : a->N;
}

size_t flt_attention_draws(const flt_attention *a, size_t max, flt_attention_arg *out) {
    return a->kind->draws(a->self, max, out);
}

const flt_attention_kind *flt_attention_kind_of(const flt_attention *a) {
    return a->kind;
}
