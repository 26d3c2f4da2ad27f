// SPDX-License-Identifier: MIT
// Tasks from spec strings; the objective's spec is the canonical one and gives the same task again.
#include "engine/reparam.h"
#include "engine/spec.h"
#include "flt/memory.h"

static flt_err create(const flt_spec *s, flt_objective **out) {
    flt_objective *o = NULL;
    FLTX_TRY(flt_alloc(1, sizeof *o, &o));
    flt_err err = flt_spec_print(s, o->spec, sizeof o->spec);
    if (err == FLTE_OK) err = s->kind->create(s->params, o);
    if (err == FLTE_OK) err = flt_reparam_wrap(s->params, o);
    if (err != FLTE_OK) {
        flt_objective_destroy(o);
        return err;
    }
    *out = o;
    return FLTE_OK;
}

flt_err flt_task_create(const char *spec, flt_objective **out) {
    FLTX_GIVEN(spec, out);
    flt_spec s;
    *out = NULL;
    FLTX_TRY(flt_spec_open(spec, &s));
    flt_err err = flt_params_parse(s.params, s.text);
    if (err == FLTE_OK) err = create(&s, out);
    flt_spec_close(&s);
    return err;
}
