// SPDX-License-Identifier: MIT
// What is tried of each hand-designed optimizer, in tables that are there to be read and edited.
//
// The settings are those that published comparisons tune beside the rate: momenta, the memory of the second moment, decoupled
// weight decay, start of the sums. Each is tried at 15 rates and under each schedule; the rest stays at its default.
#include "engine/tuning.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const char *const flt_tuned_rates[] = {"1e-7", "3e-7", "1e-6", "3e-6", "1e-5", "3e-5", "1e-4", "3e-4",
                                       "1e-3", "3e-3", "1e-2", "3e-2", "1e-1", "3e-1", "1",    NULL};
_Static_assert(sizeof flt_tuned_rates / sizeof *flt_tuned_rates == FLTX_TUNING_RATES + 1, "the header counts the rates");

// W: a twentieth of the steps; T: all steps.
const char *const flt_tuned_schedules[] = {"", "warmup=W", "schedule=cosine,warmup=W,total=T", "schedule=linear,warmup=W,total=T",
                                           NULL};

const flt_tuned_kind flt_tuned_kinds[] = {
    {"adafactor", {"", "beta2_decay=-0.5", "weight_decay=0.01"}},
    {"adagrad", {"", "initial=0.1"}},
    {"adam", {"", "beta2=0.99", "beta1=0.95,beta2=0.95"}},
    {"adamw", {"", "weight_decay=0.1", "beta2=0.99"}},
    {"lamb", {"", "weight_decay=0.01", "beta2=0.99"}},
    {"lion", {"", "weight_decay=0.1", "beta1=0.95,beta2=0.98"}},
    {"momentum", {"", "momentum=0.99"}},
    {"muon", {"", "momentum=0.9", "adam_ratio=1", "weight_decay=0"}},
    {"nadamw", {"", "weight_decay=0.01", "weight_decay=0.1", "beta2=0.99"}},
    {"nesterov", {"", "momentum=0.99"}},
    {"radam", {"", "beta2=0.99", "weight_decay=0.01"}},
    {"rmsprop", {"", "alpha=0.9", "momentum=0.9"}},
    {"schedule_free_adamw", {"", "beta1=0.95", "weight_decay=0.01"}},
    {"sgd", {""}},
    {"shampoo", {"", "beta2=0.99", "weight_decay=0.01"}},
    {"soap", {"", "beta1=0.9", "beta2=0.99"}},
    {0},
};

static size_t count(const char *const *list) {
    size_t n = 0;
    while (list[n] != NULL) n++;
    return n;
}

static const flt_tuned_kind *find(const char *kind) {
    static const flt_tuned_kind defaults = {NULL, {""}};
    for (const flt_tuned_kind *t = flt_tuned_kinds; t->kind != NULL; t++)
        if (strcmp(t->kind, kind) == 0) return t;
    return &defaults;
}

static bool has_schedule(const flt_weights *w) {
    for (const flt_param_spec *s = w->kind->kind.params; s->name != NULL; s++)
        if (strcmp(s->name, "schedule") == 0) return true;
    return false;
}

size_t flt_tuning_points(flt_tuning tune, const flt_weights *w) {
    const unsigned caps = w->kind->kind.caps;
    if (tune == FLTX_TUNE_NOTHING || (caps & FLTX_OPT_LR) == 0 || (caps & FLTX_OPT_LEARNED) != 0) return 1;
    if (tune == FLTX_TUNE_LR) return FLTX_TUNING_RATES;
    const size_t schedules = has_schedule(w) ? count(flt_tuned_schedules) : 1;
    return FLTX_TUNING_RATES * schedules * count(find(w->kind->kind.name)->settings);
}

double flt_tuning_rate(size_t point) {
    double lr = NAN;
    return flt_parse_real("tuning", flt_tuned_rates[point % FLTX_TUNING_RATES], &lr) == FLTE_OK ? lr : NAN;
}

void flt_tuning_settings(const flt_weights *w, size_t point, size_t steps, size_t size, char *out) {
    const flt_tuned_kind *t = find(w->kind->kind.name);
    const size_t group = point / FLTX_TUNING_RATES, n = count(t->settings);
    const char *schedule = flt_tuned_schedules[group / n], *own = t->settings[group % n];
    size_t used = (size_t)snprintf(out, size, "%s%s", own, own[0] != '\0' && schedule[0] != '\0' ? "," : "");
    for (; *schedule != '\0' && used < size; schedule++) {
        if (*schedule == 'W' || *schedule == 'T')
            used += (size_t)snprintf(out + used, size - used, "%zu", *schedule == 'W' ? steps / 20 : steps);
        else
            used += (size_t)snprintf(out + used, size - used, "%c", *schedule);
    }
}

// "a=1,b=2", cut in place.
static flt_err set_all(flt_params *p, char *text) {
    for (char *item = text; item != NULL && item[0] != '\0';) {
        char *next = strchr(item, ','), *value = strchr(item, '=');
        if (next != NULL) *next++ = '\0';
        *value++ = '\0';
        FLTX_TRY(flt_params_set(p, item, value));
        item = next;
    }
    return FLTE_OK;
}

flt_err flt_tuning_make(const flt_weights *w, size_t point, size_t steps, const flt_layout *layout, flt_optimizer **out) {
    flt_params *p = NULL;
    char text[128];
    *out = NULL;
    flt_tuning_settings(w, point, steps, sizeof text, text);
    flt_err err =
        w->params != NULL ? flt_params_clone(w->params, &p) : flt_params_create(w->kind->kind.name, w->kind->kind.params, &p);
    if (err == FLTE_OK) err = flt_params_set(p, "lr", flt_tuned_rates[point % FLTX_TUNING_RATES]);
    if (err == FLTE_OK) err = set_all(p, text);
    if (err == FLTE_OK) err = flt_optimizer_create(w->kind, p, layout, out);
    flt_params_destroy(p);
    return err;
}
