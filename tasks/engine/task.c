// SPDX-License-Identifier: MIT
// Tasks from spec strings; the objective's spec is the canonical one and gives the same task again.
#include "engine/spec.h"
#include "flt/memory.h"

static flt_err create(const flt_task_kind *kind, const flt_params *p, flt_objective **out) {
    flt_objective *o = NULL;
    FLTX_TRY(flt_alloc(1, sizeof *o, &o));
    flt_err err = flt_spec_print(kind, p, o->spec, sizeof o->spec);
    if (err == FLTE_OK) err = kind->create(p, o);
    if (err != FLTE_OK) {
        flt_objective_destroy(o);
        return err;
    }
    *out = o;
    return FLTE_OK;
}

flt_err flt_task_create(const char *spec, flt_objective **out) {
    const char *text = NULL;
    const flt_task_kind *kind = NULL;
    flt_params *p = NULL;
    *out = NULL;
    FLTX_TRY(flt_spec_open(spec, &kind, &p, &text));
    flt_err err = flt_params_parse(p, text);
    if (err == FLTE_OK) err = create(kind, p, out);
    flt_params_destroy(p);
    return err;
}
