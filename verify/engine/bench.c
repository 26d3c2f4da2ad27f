// SPDX-License-Identifier: MIT
#include "engine/bench.h"

#include "flt/attention.h"
#include "flt/optimizer.h"
#include "flt/tasks.h"

#include <stdio.h>
#include <string.h>

static const char *const names[] = {
    [FLTX_BENCH_ATTENTION] = "attention", [FLTX_BENCH_OPTIMIZER] = "optimizer", [FLTX_BENCH_TASK] = "task",
    [FLTX_BENCH_TRAIN] = "train",         [FLTX_BENCH_TRAIN + 1] = NULL,
};

flt_err flt_bench_find(const char *name, flt_bench_group *out) {
    FLTX_GIVEN(name, out);
    for (int i = 0; names[i] != NULL; i++)
        if (strcmp(names[i], name) == 0) {
            *out = (flt_bench_group)i;
            return FLTE_OK;
        }
    const char *near = flt_nearest(name, names);
    return flt_fail(FLTE_NAME, "bench", "no group '%s'%s%s%s; the groups are attention, optimizer, task, train", name,
                    near == NULL ? "" : " (did you mean '", near == NULL ? "" : near, near == NULL ? "" : "'?)");
}

bool flt_bench_declares(const flt_kind *kind, const char *name) {
    for (const flt_param_spec *s = kind->params; s != NULL && s->name != NULL; s++)
        if (strcmp(s->name, name) == 0) return true;
    return false;
}

bool flt_bench_selected(const flt_bench_config *c, const char *name) {
    for (size_t i = 0; i < c->n_names; i++)
        if (strcmp(c->names[i], name) == 0) return true;
    return c->n_names == 0;
}

flt_err flt_bench_refused(const flt_bench *b, const char *subject, flt_err err) {
    char message[1200];
    if (b->config->n_names > 0 || err == FLTE_NOMEM || err == FLTE_INTERNAL) return err;
    snprintf(message, sizeof message, "bench left %s out: %s", subject, flt_error());
    const flt_field fields[] = {flt_text_field("level", "warning"), flt_text_field("message", message)};
    return flt_sink_record(b->sink, "event", 2, fields);
}

// ---- settings

// The name of a setting; FLTE_USAGE without a '='.
static flt_err split(const char *setting, char *name, size_t size, const char **value) {
    const size_t n = strcspn(setting, "=");
    if (n == 0 || n >= size || setting[n] == '\0') return flt_fail(FLTE_USAGE, "--set", "'%s' is not key=value", setting);
    memcpy(name, setting, n);
    name[n] = '\0';
    *value = setting + n + 1;
    return FLTE_OK;
}

flt_err flt_bench_apply(const flt_bench_config *c, const flt_kind *kind, flt_params *p) {
    for (size_t i = 0; i < c->n_settings; i++) {
        char name[128];
        const char *value = NULL;
        FLTX_TRY(split(c->settings[i], name, sizeof name, &value));
        if (flt_bench_declares(kind, name)) FLTX_TRY(flt_params_set(p, name, value));
    }
    return FLTE_OK;
}

static flt_err check_settings(const flt_bench_config *c, const flt_registry *r) {
    for (size_t i = 0; i < c->n_settings; i++) {
        char name[128];
        const char *value = NULL;
        bool known = false;
        FLTX_TRY(split(c->settings[i], name, sizeof name, &value));
        for (size_t k = 0; r->kinds[k] != NULL; k++)
            known = known || (flt_bench_selected(c, r->kinds[k]->name) && flt_bench_declares(r->kinds[k], name));
        if (!known) return flt_fail(FLTE_NAME, "--set", "no %s measured here has the parameter '%s'", r->noun, name);
    }
    for (size_t k = 0; c->n_settings > 0 && r->kinds[k] != NULL; k++) { // are the values allowed?
        flt_params *p = NULL;
        if (!flt_bench_selected(c, r->kinds[k]->name)) continue;
        FLTX_TRY(flt_params_create(r->kinds[k]->name, r->kinds[k]->params, &p));
        const flt_err err = flt_bench_apply(c, r->kinds[k], p);
        flt_params_destroy(p);
        FLTX_TRY(err);
    }
    return FLTE_OK;
}

// ---- checking before anything runs

static flt_err check_kinds(const flt_bench_config *c, const flt_registry *r, unsigned caps) {
    for (size_t i = 0; i < c->n_names; i++) {
        const flt_kind *kind = NULL;
        FLTX_TRY(flt_registry_find(r, c->names[i], &kind));
        if ((kind->caps & caps) != caps)
            return flt_fail(FLTE_UNSUPPORTED, "bench train", "%s is not learned: there is nothing to meta-train", kind->name);
    }
    return check_settings(c, r);
}

static flt_err check_tasks(const flt_bench_config *c) {
    if (c->n_settings > 0)
        return flt_fail(FLTE_USAGE, "bench task", "--set is not for tasks; their parameters are in the spec: NAME:key=value");
    for (size_t i = 0; i < c->n_names; i++) {
        flt_objective *o = NULL;
        FLTX_TRY(flt_task_create(c->names[i], &o));
        flt_objective_destroy(o);
    }
    return FLTE_OK;
}

static flt_err check_sizes(const flt_bench_config *c) {
    if (c->n_n > 0 && c->group == FLTX_BENCH_TASK)
        return flt_fail(FLTE_USAGE, "bench", "--n is not for task: its sizes are its own, in the spec: NAME:key=value");
    if (c->n_m + c->n_r > 0 && c->group != FLTX_BENCH_ATTENTION)
        return flt_fail(FLTE_USAGE, "bench", "--m and --r are for attention, not for %s", names[c->group]);
    if (c->phases != 0 && c->group != FLTX_BENCH_ATTENTION)
        return flt_fail(FLTE_USAGE, "bench", "--backward and --streaming are for attention, not for %s", names[c->group]);
    if (c->reps == 0) return flt_fail(FLTE_RANGE, "bench", "0 repetitions; allowed: 1 or more");
    return FLTE_OK;
}

flt_err flt_bench_check(const flt_bench_config *c) {
    FLTX_GIVEN(c);
    FLTX_TRY(check_sizes(c));
    switch (c->group) {
    case FLTX_BENCH_ATTENTION:
        return check_kinds(c, flt_attention_registry(), 0);
    case FLTX_BENCH_OPTIMIZER:
        return check_kinds(c, flt_optimizer_registry(), 0);
    case FLTX_BENCH_TRAIN:
        return check_kinds(c, flt_optimizer_registry(), FLTX_OPT_LEARNED);
    case FLTX_BENCH_TASK:
        return check_tasks(c);
    }
    return flt_fail(FLTE_INTERNAL, "bench", "unknown group %d", (int)c->group);
}

flt_err flt_bench_run(const flt_bench_config *c, const flt_sink *sink, flt_bench_row_fn row, void *user) {
    FLTX_GIVEN(c);
    static flt_err (*const groups[])(flt_bench *) = {
        [FLTX_BENCH_ATTENTION] = flt_bench_attention,
        [FLTX_BENCH_OPTIMIZER] = flt_bench_optimizer,
        [FLTX_BENCH_TASK] = flt_bench_task,
        [FLTX_BENCH_TRAIN] = flt_bench_train,
    };
    flt_bench b;
    FLTX_TRY(flt_bench_check(c));
    flt_err err = flt_bench_begin(c, sink, &b);
    b.on_row = row;
    b.user = user;
    if (err == FLTE_OK) err = groups[c->group](&b);
    flt_bench_end(&b);
    return err;
}
