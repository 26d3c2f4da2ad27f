// SPDX-License-Identifier: MIT
#include "engine/subject.h"

#include "engine/shipped.h"

#include <stdio.h>
#include <string.h>

static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.+-";
static const char form[] = "[LABEL=]NAME[:key=value/key=value][@FILE]";

bool flt_subject_learned(const flt_subject *s) {
    return (s->kind->kind.caps & FLTX_OPT_LEARNED) != 0;
}

static flt_err read_label(const char *text, size_t n, flt_subject *out) {
    if (n == 0 || n >= sizeof out->label || strspn(text, letters) < n)
        return flt_fail(FLTE_USAGE, "--optimizers", "'%.*s': a label has 1 to %zu letters, digits, '_', '.', '+' or '-'", (int)n,
                        text, sizeof out->label - 1);
    memcpy(out->label, text, n);
    return FLTE_OK;
}

static flt_err find_kind(const char *text, size_t n, flt_subject *out) {
    char name[128];
    snprintf(name, sizeof name, "%.*s", (int)n, text);
    if (strchr(name, '/') != NULL || strstr(name, ".safetensors") != NULL)
        return flt_fail(FLTE_USAGE, "--optimizers", "'%s' is no optimizer; weights stand behind its name, as in flt@%s", name,
                        name);
    FLTX_TRY(flt_optimizer_find(name, &out->kind));
    if (out->label[0] == '\0') snprintf(out->label, sizeof out->label, "%s", out->kind->kind.name);
    return FLTE_OK;
}

static flt_err read_settings(const char *text, size_t n, flt_subject *out) {
    if (n >= sizeof out->settings)
        return flt_fail(FLTE_USAGE, "--optimizers", "%s: its settings take more than %zu letters", out->label,
                        sizeof out->settings - 1);
    memcpy(out->settings, text, n);
    const char *twice = flt_setting_twice(out->settings, '/', '\0');
    if (twice != NULL)
        return flt_fail(FLTE_USAGE, "--optimizers", "%s: '%s' sets '%.*s' twice", out->label, out->settings,
                        (int)strcspn(twice, "=/"), twice);
    for (const char *item = out->settings; item != NULL; item = strchr(item, '/'), item += item != NULL) {
        const size_t length = strcspn(item, "/");
        if (memchr(item, '=', length) == NULL)
            return flt_fail(FLTE_USAGE, "--optimizers", "%s: '%.*s' is not key=value; the form is %s", out->label, (int)length,
                            item, form);
        if (flt_setting_of(out->kind->kind.params, item) == NULL)
            return flt_fail(FLTE_NAME, "--optimizers", "%s has no parameter '%.*s'; `flt list optimizers %s` shows them",
                            out->kind->kind.name, (int)strcspn(item, "="), item, out->kind->kind.name);
    }
    return FLTE_OK;
}

flt_err flt_subject_parse(const char *text, flt_subject *out) {
    *out = (flt_subject){0};
    const size_t head = strcspn(text, "=:@");
    if (text[head] == '=') FLTX_TRY(read_label(text, head, out));
    if (text[head] == '=') text += head + 1;
    const size_t name = strcspn(text, ":@");
    FLTX_TRY(find_kind(text, name, out));
    text += name;
    if (*text == ':') {
        const size_t n = strcspn(++text, "@");
        FLTX_TRY(read_settings(text, n, out));
        text += n;
    }
    if (*text == '\0') return FLTE_OK;
    out->file = text + 1;
    if (!flt_subject_learned(out))
        return flt_fail(FLTE_USAGE, "--optimizers", "%s@%s: %s is not learned and takes no weights", out->kind->kind.name,
                        out->file, out->kind->kind.name);
    if (*out->file != '\0') return FLTE_OK;
    return flt_fail(FLTE_USAGE, "--optimizers", "%s: no file behind '@'; the form is %s", out->label, form);
}

flt_err flt_subjects_check(size_t n, const flt_subject *subjects) {
    for (size_t i = 0; i < n; i++) {
        const char *label = subjects[i].label;
        const size_t length = strlen(label);
        if (strcmp(label, "best-baseline") == 0 || (length > 5 && strcmp(label + length - 5, "-full") == 0))
            return flt_fail(FLTE_USAGE, "--optimizers", "the label '%s' is eval's own", label);
        for (size_t k = 0; k < i; k++)
            if (strcmp(label, subjects[k].label) == 0)
                return flt_fail(FLTE_USAGE, "--optimizers", "two are called '%s'; label them, as in a=%s,b=%s", label,
                                subjects[k].kind->kind.name, subjects[i].kind->kind.name);
    }
    return FLTE_OK;
}

const char *flt_subject_file(const flt_subject *s, const char *weights) {
    return s->file != NULL ? flt_shipped_weights(s->file) : flt_subject_learned(s) ? weights : NULL;
}

static flt_err apply(const flt_subject *s, const flt_common *c, flt_params *p) {
    for (size_t i = 0; i < c->n_set; i++) {
        const flt_param_spec *spec = flt_setting_of(s->kind->kind.params, c->set[i]);
        if (spec != NULL) FLTX_TRY(flt_params_set(p, spec->name, strchr(c->set[i], '=') + 1));
    }
    char text[sizeof s->settings];
    snprintf(text, sizeof text, "%s", s->settings);
    for (char *item = text, *next = NULL; item != NULL && item[0] != '\0'; item = next) {
        next = strchr(item, '/');
        if (next != NULL) *next++ = '\0';
        char *value = strchr(item, '=');
        *value++ = '\0';
        FLTX_TRY(flt_params_set(p, item, value));
    }
    return FLTE_OK;
}

flt_err flt_subject_load(const flt_subject *s, const flt_common *c, const char *weights, flt_weights *out) {
    flt_params *params = NULL;
    char who[128];
    *out = (flt_weights){0};
    snprintf(who, sizeof who, "optimizer %s", s->kind->kind.name);
    FLTX_TRY(flt_params_create(who, s->kind->kind.params, &params));
    flt_err err = apply(s, c, params);
    if (err == FLTE_OK) err = flt_weights_load(s->kind, params, flt_subject_file(s, weights), c->seed, out);
    flt_params_destroy(params);
    return err;
}

void flt_subject_options(const flt_subject *s, const flt_common *c, const char *more, size_t size, char *out) {
    const char *const own[] = {s->settings, more};
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < c->n_set && used < size; i++)
        if (flt_setting_of(s->kind->kind.params, c->set[i]) != NULL)
            used += (size_t)snprintf(out + used, size - used, "%s%s", used == 0 ? "" : ",", c->set[i]);
    for (size_t i = 0; i < 2 && used < size; i++)
        if (own[i][0] != '\0') used += (size_t)snprintf(out + used, size - used, "%s%s", used == 0 ? "" : ",", own[i]);
    for (; *out != '\0'; out++)
        if (*out == '/') *out = ',';
}
