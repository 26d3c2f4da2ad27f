// SPDX-License-Identifier: MIT
// Tasks from spec strings, "name" or "name:key=value,..", and back: the printed spec names what differs from the defaults, in the
// order of the table, and gives the same task again.
#include "flt/memory.h"
#include "flt/tasks.h"

#include <stdio.h>
#include <string.h>

// Cuts the name off; *params is what follows the colon.
static flt_err split_spec(const char *spec, char *name, size_t size, const char **params) {
    const size_t n = strcspn(spec, ":");
    if (n == 0 || n >= size) return flt_fail(FLTE_USAGE, "task", "'%.80s' is not of the form name or name:key=value,..", spec);
    memcpy(name, spec, n);
    name[n] = '\0';
    *params = spec[n] == ':' ? spec + n + 1 : "";
    return FLTE_OK;
}

static flt_err print_spec(const flt_task_kind *kind, const flt_params *p, char *out, size_t size) {
    const flt_param_spec *s = kind->kind.params;
    size_t used = (size_t)snprintf(out, size, "%s", kind->kind.name);
    for (char before = ':'; s != NULL && s->name != NULL && used < size; s++) {
        const char *value = flt_params_text(p, s->name);
        if (strcmp(value, s->initial == NULL ? "" : s->initial) == 0) continue;
        used += (size_t)snprintf(out + used, size - used, "%c%s=%s", before, s->name, value);
        before = ',';
    }
    if (used < size) return FLTE_OK;
    return flt_fail(FLTE_RANGE, "task", "the spec '%.60s..' is longer than %zu characters", out, size - 1);
}

static flt_err create(const flt_task_kind *kind, const flt_params *p, flt_objective **out) {
    flt_objective *o = NULL;
    FLTX_TRY(flt_alloc(1, sizeof *o, &o));
    flt_err err = print_spec(kind, p, o->spec, sizeof o->spec);
    if (err == FLTE_OK) err = kind->create(p, o);
    if (err != FLTE_OK) {
        flt_objective_destroy(o);
        return err;
    }
    *out = o;
    return FLTE_OK;
}

flt_err flt_task_create(const char *spec, flt_objective **out) {
    char name[64], who[80];
    const char *text = NULL;
    const flt_task_kind *kind = NULL;
    flt_params *p = NULL;
    *out = NULL;
    FLTX_TRY(split_spec(spec, name, sizeof name, &text));
    FLTX_TRY(flt_task_find(name, &kind));
    snprintf(who, sizeof who, "task %s", name);
    FLTX_TRY(flt_params_create(who, kind->kind.params, &p));
    flt_err err = flt_params_parse(p, text);
    if (err == FLTE_OK) err = create(kind, p, out);
    flt_params_destroy(p);
    return err;
}
