// SPDX-License-Identifier: MIT
// Drawing tasks from distributions. Each parameter has a stream of its own, keyed by (seed, its name): adding a range to a spec
// leaves what the others draw as it was. Both ends of a range are checked against the table, so that whether a spec is valid
// never depends on the seed.
#include "engine/spec.h"
#include "flt/memory.h"
#include "flt/random.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VALUE = 128 };
static const double log_factor = 4.0; // ranges from a positive low end that span this factor are drawn log-uniform

// ---- one parameter

static const flt_param_spec *find(const flt_params *p, const char *name) {
    const flt_param_spec *s = flt_params_specs(p);
    while (s != NULL && s->name != NULL && strcmp(s->name, name) != 0) s++;
    return s != NULL && s->name != NULL ? s : NULL;
}

static flt_err set_number(flt_params *p, const flt_param_spec *s, double x) {
    char text[64];
    snprintf(text, sizeof text, s->type == FLTX_INT ? "%.0f" : "%.6g", x);
    return flt_params_set(p, s->name, text);
}

// low .. high, ends included; u in [0, 1).
static double between(const flt_param_spec *s, double low, double high, double u) {
    const bool whole = s->type == FLTX_INT, logarithmic = low > 0.0 && high >= log_factor * low;
    const double end = whole ? high + 1.0 : high;
    const double x = logarithmic ? low * exp(u * log(end / low)) : low + u * (end - low);
    return fmin(fmax(whole ? floor(x) : x, low), high);
}

// "a..b", of numbers.
static flt_err draw_range(flt_params *p, const flt_param_spec *s, const char *text, const char *dots, flt_rng r) {
    char who[80], part[VALUE];
    double low = 0.0, high = 0.0;
    snprintf(who, sizeof who, "range of %.60s", s->name);
    if (dots == text || dots[2] == '\0') return flt_fail(FLTE_USAGE, who, "'%.60s' lacks an end; allowed: low..high", text);
    snprintf(part, sizeof part, "%.*s", (int)(dots - text), text);
    FLTX_TRY(flt_params_set(p, s->name, part));
    FLTX_TRY(flt_params_set(p, s->name, dots + 2));
    FLTX_TRY(flt_parse_real(who, part, &low));
    FLTX_TRY(flt_parse_real(who, dots + 2, &high));
    if (low > high)
        return flt_fail(FLTE_RANGE, who, "%.60s runs downwards; allowed: low..high, for example %.20s..%.20s", text, dots + 2,
                        part);
    return set_number(p, s, between(s, low, high, flt_rng_uniform_at(r, 0)));
}

// "a|b|c": each is tried, one stays.
static flt_err draw_choice(flt_params *p, const flt_param_spec *s, const char *text, flt_rng r) {
    char part[VALUE], taken[VALUE] = "";
    size_t n = 1;
    for (const char *c = text; *c != '\0'; c++) n += *c == '|';
    const size_t pick = (size_t)flt_rng_below(r, 0, n);
    for (size_t i = 0; i < n; i++) {
        const size_t length = strcspn(text, "|");
        snprintf(part, sizeof part, "%.*s", (int)length, text);
        FLTX_TRY(flt_params_set(p, s->name, part));
        if (i == pick) memcpy(taken, part, sizeof part);
        text += length + 1;
    }
    return flt_params_set(p, s->name, taken);
}

static flt_err draw(flt_params *p, const char *name, const char *text, flt_rng root) {
    const flt_param_spec *s = find(p, name);
    const flt_rng r = flt_rng_child(root, name, 0);
    if (s == NULL || s->type == FLTX_TEXT) return flt_params_set(p, name, text); // the sentence of an unknown name is there
    const char *dots = strstr(text, "..");
    if (dots != NULL && (s->type == FLTX_INT || s->type == FLTX_REAL)) return draw_range(p, s, text, dots, r);
    return strchr(text, '|') != NULL ? draw_choice(p, s, text, r) : flt_params_set(p, name, text);
}

// ---- one spec

static flt_err draw_all(flt_params *p, const char *text, flt_rng root) {
    while (*text != '\0') {
        char item[VALUE];
        const size_t length = strcspn(text, ",");
        if (length >= sizeof item) return flt_fail(FLTE_RANGE, "task distribution", "'%.60s..' is too long", text);
        memcpy(item, text, length);
        item[length] = '\0';
        char *equals = strchr(item, '=');
        if (equals == NULL) return flt_fail(FLTE_USAGE, "task distribution", "'%s' is not of the form name=value", item);
        *equals = '\0';
        FLTX_TRY(draw(p, item, equals + 1, root));
        text += length + (text[length] == ',');
    }
    return FLTE_OK;
}

static flt_err draw_spec(const char *spec, flt_rng root, char *concrete) {
    flt_spec s;
    FLTX_TRY(flt_spec_open(spec, &s));
    flt_err err = draw_all(s.params, s.text, root);
    if (err == FLTE_OK) err = flt_spec_print(&s, concrete, FLTX_TASK_SPEC_SIZE);
    flt_spec_close(&s);
    return err;
}

// ---- a list of them

// Splits "3*name:.." into its weight and the rest; the weight is 1 where there is none.
static flt_err read_entry(const char *entry, size_t length, char *spec, double *weight) {
    char number[32];
    const char *star = memchr(entry, '*', length);
    const size_t digits = star == NULL ? 0 : (size_t)(star - entry), skip = star == NULL ? 0 : digits + 1;
    *weight = 1.0;
    if (length - skip >= FLTX_TASK_SPEC_SIZE || digits >= sizeof number)
        return flt_fail(FLTE_RANGE, "task distribution", "'%.60s..' is longer than %d characters", entry,
                        FLTX_TASK_SPEC_SIZE - 1);
    memcpy(spec, entry + skip, length - skip);
    spec[length - skip] = '\0';
    if (star == NULL) return FLTE_OK;
    memcpy(number, entry, digits);
    number[digits] = '\0';
    FLTX_TRY(flt_parse_real("weight of a task", number, weight));
    if (*weight >= 0.0) return FLTE_OK;
    return flt_fail(FLTE_RANGE, "weight of a task", "%s; allowed: numbers from 0 on", number);
}

// Every entry is drawn, so that each is checked; the one in which `at`, a share of the total weight, falls stays.
static flt_err draw_list(const char *list, flt_rng root, double at, double *total, char *concrete) {
    double before = 0.0;
    char spec[FLTX_TASK_SPEC_SIZE], drawn[FLTX_TASK_SPEC_SIZE];
    for (const char *entry = list;; entry++) {
        const size_t length = strcspn(entry, ";");
        double weight = 0.0;
        FLTX_TRY(read_entry(entry, length, spec, &weight));
        FLTX_TRY(draw_spec(spec, root, drawn));
        if (before <= at && at < before + weight) memcpy(concrete, drawn, sizeof drawn);
        before += weight;
        entry += length;
        if (*entry == '\0') break;
    }
    *total = before;
    return FLTE_OK;
}

flt_err flt_task_sample(const char *distribution, uint64_t seed, char *concrete) {
    FLTX_GIVEN(distribution, concrete);
    const flt_rng root = flt_rng_make(seed, "task.sample", 0);
    double total = 0.0, ignored = 0.0;
    concrete[0] = '\0';
    FLTX_TRY(draw_list(distribution, root, -1.0, &total, concrete));
    if (!(total > 0.0 && isfinite(total)))
        return flt_fail(FLTE_RANGE, "task distribution", "'%.80s' has no positive weight", distribution);
    return draw_list(distribution, root, total * flt_rng_uniform_at(root, 0), &ignored, concrete);
}
