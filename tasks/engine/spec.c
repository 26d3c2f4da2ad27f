// SPDX-License-Identifier: MIT
// Reading and printing spec strings.
#include "engine/spec.h"

#include <stdio.h>
#include <string.h>

// Cuts the name off; *params is what follows the colon.
static flt_err split(const char *spec, char *name, size_t size, const char **params) {
    const size_t n = strcspn(spec, ":");
    if (n == 0 || n >= size) return flt_fail(FLTE_USAGE, "task", "'%.80s' is not of the form name or name:key=value,..", spec);
    memcpy(name, spec, n);
    name[n] = '\0';
    *params = spec[n] == ':' ? spec + n + 1 : "";
    return FLTE_OK;
}

flt_err flt_spec_open(const char *spec, const flt_task_kind **kind, flt_params **p, const char **text) {
    char name[64], who[80];
    *p = NULL;
    FLTX_TRY(split(spec, name, sizeof name, text));
    FLTX_TRY(flt_task_find(name, kind));
    snprintf(who, sizeof who, "task %s", name);
    return flt_params_create(who, (*kind)->kind.params, p);
}

flt_err flt_spec_print(const flt_task_kind *kind, const flt_params *p, char *out, size_t size) {
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
