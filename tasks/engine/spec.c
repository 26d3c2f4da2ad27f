// SPDX-License-Identifier: MIT
// Reading and printing spec strings.
#include "engine/spec.h"
#include "flt/memory.h"

#include <stdio.h>
#include <string.h>

flt_err flt_task_of(const char *spec, const flt_task_kind **out) {
    FLTX_GIVEN(spec, out);
    char name[64];
    const size_t n = strcspn(spec, ":");
    if (n == 0 || n >= sizeof name)
        return flt_fail(FLTE_USAGE, "task", "'%.80s' is not of the form name or name:key=value,..", spec);
    if (spec[0] == '@' || strcspn(spec, "*;,") < n)
        return flt_fail(FLTE_USAGE, "task", "'%.80s' stands for several tasks; allowed here: one, name or name:key=value,..",
                        spec);
    memcpy(name, spec, n);
    name[n] = '\0';
    return flt_task_find(name, out);
}

static size_t rows_of(const flt_param_spec *table) {
    size_t n = 0;
    while (table != NULL && table[n].name != NULL) n++;
    return n;
}

static flt_err make_table(const flt_param_spec *own, flt_param_spec **out) {
    const flt_param_spec *common = flt_task_common_params();
    const size_t n = rows_of(own), more = rows_of(common);
    FLTX_TRY(flt_alloc(n + more + 1, sizeof **out, out)); // zeroed: it ends
    if (n > 0) memcpy(*out, own, n * sizeof **out);
    memcpy(*out + n, common, more * sizeof **out);
    return FLTE_OK;
}

flt_err flt_spec_open(const char *spec, flt_spec *out) {
    char who[80];
    *out = (flt_spec){0};
    FLTX_TRY(flt_task_of(spec, &out->kind));
    out->text = spec + strcspn(spec, ":");
    if (*out->text == ':') out->text++;
    snprintf(who, sizeof who, "task %s", out->kind->kind.name);
    FLTX_TRY(make_table(out->kind->kind.params, &out->table));
    const flt_err err = flt_params_create(who, out->table, &out->params);
    if (err != FLTE_OK) flt_spec_close(out);
    return err;
}

void flt_spec_close(flt_spec *s) {
    flt_params_destroy(s->params);
    flt_free(s->table);
    *s = (flt_spec){0};
}

flt_err flt_spec_print(const flt_spec *spec, char *out, size_t size) {
    size_t used = (size_t)snprintf(out, size, "%s", spec->kind->kind.name);
    char before = ':';
    for (const flt_param_spec *s = spec->table; s->name != NULL && used < size; s++) {
        const char *value = flt_params_text(spec->params, s->name);
        if (strcmp(value, s->initial == NULL ? "" : s->initial) == 0) continue;
        used += (size_t)snprintf(out + used, size - used, "%c%s=%s", before, s->name, value);
        before = ',';
    }
    if (used < size) return FLTE_OK;
    return flt_fail(FLTE_RANGE, "task", "the spec '%.60s..' is longer than %zu characters", out, size - 1);
}
