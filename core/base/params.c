// SPDX-License-Identifier: MIT
// Parameters of a kind: values parsed from text against a static table, kept both as text and as numbers.
#include "flt/params.h"
#include "flt/memory.h"
#include "flt/registry.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LISTED = 128, MAX_LIST_TEXT = 640 };

typedef struct value {
    char *text; // NULL: not set, and the table has no default
    double real;
    long long integer;
    bool truth;
    bool given; // by flt_params_set, not by the table
} value;

struct flt_params {
    char *who;
    const flt_param_spec *specs;
    size_t n;
    value *values; // [n]
};

// ---- numbers from text

flt_err flt_parse_real(const char *who, const char *text, double *out) {
    FLTX_GIVEN(who, text, out);
    char *end = NULL;
    *out = 0.0;
    const double x = strtod(text, &end);
    if (end == text || *end != '\0' || isspace((unsigned char)text[0]) || isnan(x))
        return flt_fail(FLTE_USAGE, who, "'%.80s' is not a number", text);
    if (isinf(x)) return flt_fail(FLTE_RANGE, who, "'%.80s' is not finite", text);
    *out = x;
    return FLTE_OK;
}

flt_err flt_parse_int(const char *who, const char *text, long long *out) {
    FLTX_GIVEN(who, text, out);
    char *end = NULL;
    *out = 0;
    errno = 0;
    const long long x = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || isspace((unsigned char)text[0]))
        return flt_fail(FLTE_USAGE, who, "'%.80s' is not a whole number", text);
    if (errno == ERANGE) return flt_fail(FLTE_RANGE, who, "'%.80s' does not fit in 64 bits", text);
    *out = x;
    return FLTE_OK;
}

// ---- one value by its specification; `who` is "owner: name"

static flt_err check_range(const char *who, const flt_param_spec *s, const char *text, long double x) {
    if (x >= s->min && x <= s->max) return FLTE_OK;
    if (isinf(s->max)) return flt_fail(FLTE_RANGE, who, "%s is out of range; at least %.15g is allowed", text, s->min);
    if (isinf(s->min)) return flt_fail(FLTE_RANGE, who, "%s is out of range; at most %.15g is allowed", text, s->max);
    return flt_fail(FLTE_RANGE, who, "%s is out of range; %.15g .. %.15g is allowed", text, s->min, s->max);
}

// After a sentence about what was no number.
static flt_err no_number(const flt_param_spec *s, flt_err err) {
    if (isinf(s->min) && isinf(s->max)) return err;
    if (isinf(s->max)) return flt_context(err, "at least %.15g is allowed", s->min);
    if (isinf(s->min)) return flt_context(err, "at most %.15g is allowed", s->max);
    return flt_context(err, "%.15g .. %.15g is allowed", s->min, s->max);
}

static flt_err read_real(const char *who, const flt_param_spec *s, const char *text, value *v) {
    const flt_err err = flt_parse_real(who, text, &v->real);
    if (err != FLTE_OK) return no_number(s, err);
    return check_range(who, s, text, v->real);
}

static flt_err read_int(const char *who, const flt_param_spec *s, const char *text, value *v) {
    const flt_err err = flt_parse_int(who, text, &v->integer);
    if (err != FLTE_OK) return no_number(s, err);
    v->real = (double)v->integer;
    return check_range(who, s, text, v->integer);
}

static flt_err read_bool(const char *who, const char *text, value *v) {
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(text, words[i]) == 0) {
            v->truth = i % 2 == 1;
            return FLTE_OK;
        }
    }
    return flt_fail(FLTE_USAGE, who, "'%.80s' is not a truth value; true or false is allowed (also yes/no, on/off, 1/0)", text);
}

static flt_err read_choice(const char *who, const flt_param_spec *s, const char *text) {
    const size_t n = strlen(text);
    for (const char *c = s->choices; c != NULL; c = strchr(c, '|')) {
        if (*c == '|') c++;
        if (strcspn(c, "|") == n && strncmp(c, text, n) == 0) return FLTE_OK;
    }
    return flt_fail(FLTE_RANGE, who, "'%.80s' is not a choice; %s is allowed", text, s->choices);
}

// Parses `text` into *v, whose text is a new copy. On failure *v owns nothing.
static flt_err read_value(const char *owner, const flt_param_spec *s, const char *text, value *v) {
    char who[160];
    snprintf(who, sizeof who, "%s: %s", owner, s->name);
    *v = (value){0};
    switch (s->type) {
    case FLTX_REAL:
        FLTX_TRY(read_real(who, s, text, v));
        break;
    case FLTX_INT:
        FLTX_TRY(read_int(who, s, text, v));
        break;
    case FLTX_BOOL:
        FLTX_TRY(read_bool(who, text, v));
        break;
    case FLTX_ENUM:
        FLTX_TRY(read_choice(who, s, text));
        break;
    case FLTX_TEXT:
        break;
    }
    return flt_strdup(text, &v->text);
}

// ---- life

static flt_err create_empty(const char *who, const flt_param_spec *specs, flt_params **out) {
    flt_params *p = NULL;
    flt_err err = FLTE_OK;
    *out = NULL;
    FLTX_TRY(flt_alloc(1, sizeof *p, &p));
    p->specs = specs;
    while (specs != NULL && specs[p->n].name != NULL) p->n++;
    FLTX_GO(err, fail, flt_alloc(p->n, sizeof *p->values, &p->values));
    FLTX_GO(err, fail, flt_strdup(who, &p->who));
    *out = p;
    return FLTE_OK;
fail:
    flt_params_destroy(p);
    return err;
}

flt_err flt_params_create(const char *who, const flt_param_spec *specs, flt_params **out) {
    FLTX_GIVEN(who, out);
    FLTX_TRY(create_empty(who, specs, out));
    flt_params *p = *out;
    for (size_t i = 0; i < p->n; i++) {
        if (specs[i].initial == NULL) continue;
        const flt_err err = read_value(p->who, &specs[i], specs[i].initial, &p->values[i]);
        if (err == FLTE_OK) continue;
        flt_params_destroy(p);
        *out = NULL;
        return flt_context(err, "this is its default");
    }
    return FLTE_OK;
}

flt_err flt_params_clone(const flt_params *from, flt_params **out) {
    FLTX_GIVEN(from, out);
    FLTX_TRY(create_empty(from->who, from->specs, out));
    flt_params *p = *out;
    for (size_t i = 0; i < p->n; i++) {
        if (from->values[i].text == NULL) continue;
        value copy = from->values[i];
        const flt_err err = flt_strdup(from->values[i].text, &copy.text);
        if (err != FLTE_OK) {
            flt_params_destroy(p);
            *out = NULL;
            return err;
        }
        p->values[i] = copy;
    }
    return FLTE_OK;
}

void flt_params_destroy(flt_params *p) {
    if (p == NULL) return;
    for (size_t i = 0; p->values != NULL && i < p->n; i++) flt_free(p->values[i].text);
    flt_free(p->values);
    flt_free(p->who);
    flt_free(p);
}

// ---- setting

static flt_err unknown(const flt_params *p, const char *name) {
    const char *names[MAX_LISTED] = {NULL};
    char list[MAX_LIST_TEXT] = "";
    if (p->n == 0) return flt_fail(FLTE_NAME, p->who, "there is no parameter '%.80s'; it takes none", name);
    for (size_t i = 0; i < p->n && i < MAX_LISTED - 1; i++) {
        names[i] = p->specs[i].name;
        if (i > 0) strncat(list, ", ", sizeof list - strlen(list) - 1);
        strncat(list, names[i], sizeof list - strlen(list) - 1);
    }
    const char *near = flt_nearest(name, names);
    if (near == NULL) return flt_fail(FLTE_NAME, p->who, "there is no parameter '%.80s'; valid names: %s", name, list);
    return flt_fail(FLTE_NAME, p->who, "there is no parameter '%.80s'; did you mean '%s'? valid names: %s", name, near, list);
}

// Index of the parameter, p->n when it is not declared.
static size_t find(const flt_params *p, const char *name) {
    size_t i = 0;
    while (i < p->n && strcmp(p->specs[i].name, name) != 0) i++;
    return i;
}

flt_err flt_params_set(flt_params *p, const char *name, const char *text) {
    FLTX_GIVEN(p, name, text);
    value v;
    const size_t i = find(p, name);
    if (i == p->n) return unknown(p, name);
    FLTX_TRY(read_value(p->who, &p->specs[i], text, &v));
    v.given = true;
    flt_free(p->values[i].text);
    p->values[i] = v;
    return FLTE_OK;
}

// Cuts "a=1,b=2" in place.
static flt_err set_all(flt_params *p, char *text) {
    for (char *next = text; next != NULL;) {
        char *name = next;
        next = strchr(name, ',');
        if (next != NULL) *next++ = '\0';
        char *equals = strchr(name, '=');
        if (equals == NULL || equals == name) return flt_fail(FLTE_USAGE, p->who, "'%.80s' is not of the form name=value", name);
        *equals = '\0';
        FLTX_TRY(flt_params_set(p, name, equals + 1));
    }
    return FLTE_OK;
}

flt_err flt_params_parse(flt_params *p, const char *text) {
    FLTX_GIVEN(p, text);
    char *copy = NULL;
    if (*text == '\0') return FLTE_OK;
    FLTX_TRY(flt_strdup(text, &copy));
    const flt_err err = set_all(p, copy);
    flt_free(copy);
    return err;
}

// ---- reading

static value get(const flt_params *p, const char *name, unsigned types) {
    const size_t i = find(p, name);
    assert(i < p->n && "a parameter that its table does not declare");
    if (i == p->n) return (value){0};
    assert((types >> p->specs[i].type & 1u) != 0 && "a parameter read as another type than its table declares");
    (void)types;
    return p->values[i];
}

bool flt_params_has(const flt_params *p, const char *name) {
    const size_t i = find(p, name);
    return i < p->n && p->values[i].text != NULL;
}

bool flt_params_is_set(const flt_params *p, const char *name) {
    const size_t i = find(p, name);
    return i < p->n && p->values[i].given;
}

double flt_params_real(const flt_params *p, const char *name) {
    return get(p, name, 1u << FLTX_REAL | 1u << FLTX_INT).real;
}

long long flt_params_int(const flt_params *p, const char *name) {
    return get(p, name, 1u << FLTX_INT).integer;
}

size_t flt_params_size(const flt_params *p, const char *name) {
    const long long x = flt_params_int(p, name);
    assert(x >= 0 && "a size whose table allows negative values");
    return x < 0 ? 0 : (size_t)x;
}

bool flt_params_bool(const flt_params *p, const char *name) {
    return get(p, name, 1u << FLTX_BOOL).truth;
}

const char *flt_params_text(const flt_params *p, const char *name) {
    const char *text = get(p, name, ~0u).text;
    return text == NULL ? "" : text;
}

const flt_param_spec *flt_params_specs(const flt_params *p) {
    return p->specs;
}
