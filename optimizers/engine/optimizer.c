// SPDX-License-Identifier: MIT
// A kind planned for a layout: checks the arguments once, then passes the calls on.
#include "flt/optimizer.h"
#include "flt/memory.h"
#include "flt/num.h"

struct flt_optimizer {
    const flt_optimizer_kind *kind;
    void *self;
};

static flt_err check(const flt_optimizer_kind *kind, const flt_params *params, const flt_layout *layout) {
    if (layout->total == 0) return flt_fail(FLTE_SHAPE, kind->kind.name, "the layout has no parameters; at least one is needed");
    if (params != NULL && flt_params_specs(params) != kind->kind.params)
        return flt_fail(FLTE_USAGE, kind->kind.name, "was given parameters made for another kind; make them from its own table");
    return FLTE_OK;
}

static flt_err create_self(flt_optimizer *o, const flt_params *params, const flt_layout *layout) {
    if (params != NULL) return o->kind->create(params, layout, &o->self);
    flt_params *defaults = NULL;
    FLTX_TRY(flt_params_create(o->kind->kind.name, o->kind->kind.params, &defaults));
    const flt_err err = o->kind->create(defaults, layout, &o->self);
    flt_params_destroy(defaults);
    return err;
}

flt_err flt_optimizer_create(const flt_optimizer_kind *kind, const flt_params *params, const flt_layout *layout,
                             flt_optimizer **out) {
    FLTX_GIVEN(kind, layout, out);
    flt_optimizer *o = NULL;
    *out = NULL;
    FLTX_TRY(check(kind, params, layout));
    FLTX_TRY(flt_alloc(1, sizeof *o, &o));
    o->kind = kind;
    const flt_err err = create_self(o, params, layout);
    if (err != FLTE_OK) {
        flt_optimizer_destroy(o);
        return err;
    }
    *out = o;
    return FLTE_OK;
}

void flt_optimizer_destroy(flt_optimizer *o) {
    if (o == NULL) return;
    o->kind->destroy(o->self);
    flt_free(o);
}

size_t flt_optimizer_state_words(const flt_optimizer *o) {
    return o->kind->state_words(o->self);
}

void flt_optimizer_init(flt_optimizer *o, flt_real *state) {
    o->kind->init(o->self, state);
}

void flt_optimizer_bind(flt_optimizer *o, const flt_real *theta) {
    if (o->kind->bind != NULL) o->kind->bind(o->self, theta);
}

void flt_optimizer_horizon(flt_optimizer *o, uint64_t steps) {
    if (o->kind->horizon != NULL) o->kind->horizon(o->self, steps);
}

// Decayed moments end as denormal numbers, a hundred times slower than others: they count as zero inside a step, whatever the
// calling thread has chosen for itself.
void flt_optimizer_step(flt_optimizer *o, uint64_t t, flt_real loss, const flt_real *grad, flt_real *param, flt_real *state) {
    const unsigned saved = flt_num_ftz();
    o->kind->step(o->self, t, loss, grad, param, state);
    flt_num_ftz_restore(saved);
}
