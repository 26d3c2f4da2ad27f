// SPDX-License-Identifier: MIT
// flt list [FAMILY]: what is registered, straight from the descriptors.
#include "engine/args.h"
#include "engine/session.h"
#include "engine/table.h"
#include "engine/verb.h"
#include "flt/attention.h"
#include "flt/evaluate.h"
#include "flt/graph.h"
#include "flt/meta.h"
#include "flt/task_cost.h"
#include "flt/tasks.h"
#include "flt/verify.h"

#include <cJSON.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define MEASURE 4e-3 // seconds for each part of a task's cost

typedef const flt_registry *(*registry_fn)(void);
static const struct {
    const char *name;
    registry_fn registry;
} families[] = {{"attention", flt_attention_registry},
                {"rpe", flt_rpe_registry},
                {"tasks", flt_task_registry},
                {"optimizers", flt_optimizer_registry},
                {"estimators", flt_estimator_registry},
                {"checks", flt_check_registry},
                {"ops", flt_op_registry}};
enum { N_FAMILIES = sizeof families / sizeof *families };

typedef struct input {
    flt_common common;
    const char *family, *kind;
} input;

static error_t parse(int key, char *arg, struct argp_state *state) {
    input *in = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &in->common;
        return 0;
    case ARGP_KEY_ARG:
        if (in->family == NULL)
            in->family = arg;
        else if (in->kind == NULL)
            in->kind = arg;
        else
            argp_error(state, "'%s': at most a family and a name", arg);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void caps_text(const flt_registry *r, unsigned caps, char *out, size_t room) {
    out[0] = '\0';
    for (size_t i = 0; r->caps != NULL && r->caps[i] != NULL; i++) {
        if ((caps >> i & 1u) == 0) continue;
        if (out[0] != '\0') strncat(out, " ", room - strlen(out) - 1);
        strncat(out, r->caps[i], room - strlen(out) - 1);
    }
}

static void range_text(const flt_param_spec *p, char *out, size_t room) {
    switch (p->type) {
    case FLTX_REAL:
        snprintf(out, room, "%g .. %g", p->min, p->max);
        return;
    case FLTX_INT:
        snprintf(out, room, "%.0f .. %.0f", p->min, p->max);
        return;
    case FLTX_BOOL:
        snprintf(out, room, "true|false");
        return;
    case FLTX_ENUM:
        snprintf(out, room, "%s", p->choices);
        return;
    case FLTX_TEXT:
        break;
    }
    snprintf(out, room, "text");
}

static void print_params(const flt_param_spec *p) {
    char text[512];
    for (; p != NULL && p->name != NULL; p++) {
        range_text(p, text, sizeof text);
        printf("  %-24s   %-10s %s (%s; default %s)\n", "", p->name, p->help, text, p->initial == NULL ? "none" : p->initial);
    }
}

static void print_kind(const flt_registry *r, const flt_kind *k, bool details) {
    char text[512];
    printf("  %-24s %s\n", k->name, k->summary);
    if (!details) return;
    if (k->formula != NULL) printf("  %-24s   formula    %s\n", "", k->formula);
    if (k->cost != NULL) printf("  %-24s   cost       %s\n", "", k->cost);
    caps_text(r, k->caps, text, sizeof text);
    if (text[0] != '\0') printf("  %-24s   supports   %s\n", "", text);
    if (k->citation != NULL) printf("  %-24s   reference  %s\n", "", k->citation);
    print_params(k->params);
}

static cJSON *params_json(const flt_param_spec *p) {
    cJSON *list = cJSON_CreateArray();
    for (; p != NULL && p->name != NULL; p++) {
        char text[512];
        cJSON *row = cJSON_CreateObject();
        range_text(p, text, sizeof text);
        cJSON_AddStringToObject(row, "name", p->name);
        if (p->initial != NULL) cJSON_AddStringToObject(row, "default", p->initial);
        cJSON_AddStringToObject(row, "range", text);
        cJSON_AddStringToObject(row, "help", p->help);
        cJSON_AddItemToArray(list, row);
    }
    return list;
}

static cJSON *kind_json(const flt_registry *r, const flt_kind *k) {
    cJSON *o = cJSON_CreateObject(), *caps = cJSON_CreateArray();
    cJSON_AddStringToObject(o, "name", k->name);
    cJSON_AddStringToObject(o, "summary", k->summary);
    if (k->formula != NULL) cJSON_AddStringToObject(o, "formula", k->formula);
    if (k->cost != NULL) cJSON_AddStringToObject(o, "cost", k->cost);
    if (k->citation != NULL) cJSON_AddStringToObject(o, "citation", k->citation);
    for (size_t i = 0; r->caps != NULL && r->caps[i] != NULL; i++)
        if (k->caps >> i & 1u) cJSON_AddItemToArray(caps, cJSON_CreateString(r->caps[i]));
    cJSON_AddItemToObject(o, "supports", caps);
    cJSON_AddItemToObject(o, "parameters", params_json(k->params));
    return o;
}
static const flt_param_spec *common_params(const flt_registry *r) {
    return r == flt_task_registry() ? flt_task_common_params() : NULL;
}

static void print_common(const flt_registry *r) {
    printf("\n  %-24s parameters of each of them: re-parametrisation, theta = s theta' element by element\n", "every task");
    print_params(common_params(r));
}

// ---- what tasks cost, measured now

static const char *cell(double x) {
    return isnan(x) ? NULL : flt_number(x);
}

static flt_err add_cost(flt_table *t, const char *task, uint64_t seed) {
    flt_task_cost c;
    FLTX_TRY(flt_task_cost_of(task, seed, MEASURE, &c));
    const char *cells[] = {task,
                           cell((double)c.parameters),
                           cell(1e6 * c.gradient),
                           cell(1.0 / c.gradient),
                           cell(100.0 * c.minibatch / c.gradient),
                           cell(100.0 * c.idle / c.gradient),
                           cell(1e6 * c.hessian),
                           cell((double)c.bytes / 1024.0)};
    return flt_table_row(t, cells);
}

static flt_err print_costs(const flt_registry *r, const char *kind, uint64_t seed) {
    static const char *const names[] = {"task",        "parameters", "us_per_step",    "steps_per_s",
                                        "minibatch_%", "idle_%",     "us_per_hessian", "memory_KiB"};
    flt_table *t = NULL;
    FLTX_TRY(flt_table_create(sizeof names / sizeof *names, names, &t));
    flt_err err = FLTE_OK;
    for (size_t k = 0; r->kinds[k] != NULL && err == FLTE_OK; k++)
        if (kind == NULL || strcmp(kind, r->kinds[k]->name) == 0) err = add_cost(t, r->kinds[k]->name, seed);
    if (err == FLTE_OK) {
        printf("\nmeasured now at the defaults, by one thread: a step is loss and gradient of one minibatch; of it, making the\n"
               "minibatch and the executor without the work of its nodes (`flt bench task` measures longer, and stores)\n");
        err = flt_table_print(t, FLTX_TABLE_ALIGNED, stdout);
    }
    flt_table_destroy(t);
    return err;
}

static flt_err cost_json(cJSON *o, const char *task, uint64_t seed) {
    flt_task_cost c;
    FLTX_TRY(flt_task_cost_of(task, seed, MEASURE, &c));
    cJSON *m = cJSON_AddObjectToObject(o, "measured");
    cJSON_AddNumberToObject(m, "parameters", (double)c.parameters);
    cJSON_AddNumberToObject(m, "us_per_step", 1e6 * c.gradient);
    cJSON_AddNumberToObject(m, "minibatch_percent", 100.0 * c.minibatch / c.gradient);
    if (!isnan(c.idle)) cJSON_AddNumberToObject(m, "idle_percent", 100.0 * c.idle / c.gradient);
    if (!isnan(c.hessian)) cJSON_AddNumberToObject(m, "us_per_hessian", 1e6 * c.hessian);
    cJSON_AddNumberToObject(m, "memory_bytes", (double)c.bytes);
    return FLTE_OK;
}

static flt_err family_json(const flt_registry *r, bool measure, const input *in, cJSON *list) {
    for (size_t k = 0; r->kinds[k] != NULL; k++) {
        if (in->kind != NULL && strcmp(in->kind, r->kinds[k]->name) != 0) continue;
        cJSON *o = kind_json(r, r->kinds[k]);
        cJSON_AddItemToArray(list, o);
        if (measure) FLTX_TRY(cost_json(o, r->kinds[k]->name, in->common.seed));
    }
    return FLTE_OK;
}

static flt_err print_json(size_t first, size_t last, const input *in) {
    cJSON *all = cJSON_CreateObject();
    flt_err err = FLTE_OK;
    for (size_t i = first; i < last && err == FLTE_OK; i++) {
        const flt_registry *r = families[i].registry();
        const bool tasks = common_params(r) != NULL;
        err = family_json(r, tasks && last - first == 1, in, cJSON_AddArrayToObject(all, families[i].name));
        if (tasks) cJSON_AddItemToObject(all, "task_parameters", params_json(common_params(r)));
    }
    char *text = err == FLTE_OK ? cJSON_Print(all) : NULL;
    cJSON_Delete(all);
    if (err != FLTE_OK) return err;
    if (text == NULL) return flt_fail(FLTE_NOMEM, "list", "no memory for the JSON text");
    printf("%s\n", text);
    cJSON_free(text);
    return FLTE_OK;
}

static flt_err print_text(size_t first, size_t last, const input *in) {
    const bool details = last - first == 1;
    for (size_t i = first; i < last; i++) {
        const flt_registry *r = families[i].registry();
        printf("%s%s\n", i > first ? "\n" : "", families[i].name);
        for (size_t k = 0; r->kinds[k] != NULL; k++)
            if (in->kind == NULL || strcmp(in->kind, r->kinds[k]->name) == 0) print_kind(r, r->kinds[k], details);
        if (!details || common_params(r) == NULL) continue;
        print_common(r);
        FLTX_TRY(print_costs(r, in->kind, in->common.seed));
    }
    if (!details) printf("\n`flt list FAMILY` shows formula, cost, reference and parameters; `flt list FAMILY NAME` one kind.\n");
    return FLTE_OK;
}

// ---- tables that are no families: sets of tasks, and what is tuned
static flt_err add_set(flt_table *t, const flt_task_set *set) {
    for (const flt_task_of_set *x = set->tasks; x->spec != NULL; x++) {
        const char *cells[] = {set->name, flt_number((double)x->steps), x->spec};
        FLTX_TRY(flt_table_row(t, cells));
    }
    return FLTE_OK;
}

static flt_err list_sets(const char *name, flt_table **out) {
    static const char *const names[] = {"set", "steps", "task"};
    const flt_task_set *only = NULL;
    if (name != NULL) FLTX_TRY(flt_task_set_find(name + (name[0] == '@'), &only));
    FLTX_TRY(flt_table_create(3, names, out));
    for (const flt_task_set *s = flt_task_sets; s->name != NULL; s++)
        if (only == NULL || only == s) FLTX_TRY(add_set(*out, s));
    return FLTE_OK;
}

static flt_err list_tuning(const char *name, flt_table **out) {
    static const char *const names[] = {"optimizer", "points", "settings"};
    size_t rates = 0, schedules = 0;
    while (flt_tuned_rates[rates] != NULL) rates++;
    while (flt_tuned_schedules[schedules] != NULL) schedules++;
    FLTX_TRY(flt_table_create(3, names, out));
    for (const flt_tuned_kind *t = flt_tuned_kinds; t->kind != NULL; t++) {
        char text[256] = "defaults";
        size_t n = 1;
        for (; t->settings[n] != NULL; n++) {
            strncat(text, " | ", sizeof text - strlen(text) - 1);
            strncat(text, t->settings[n], sizeof text - strlen(text) - 1);
        }
        const char *cells[] = {t->kind, flt_number((double)(rates * schedules * n)), text};
        if (name == NULL || strcmp(name, t->kind) == 0) FLTX_TRY(flt_table_row(*out, cells));
    }
    return flt_table_rows(*out) > 0 ? FLTE_OK : flt_fail(FLTE_NAME, "tuning", "'%s' is no hand-designed optimizer", name);
}

static void print_remarks(bool tuning) {
    if (!tuning) {
        printf("\n`flt eval --tasks @train,@near` runs them, each task so many steps.\n");
        for (const flt_task_set *s = flt_task_sets; s->name != NULL; s++) printf("  %-6s %s\n", s->name, s->summary);
        return;
    }
    printf("\n`flt eval --tune full` tries each of these settings at the rates");
    for (size_t i = 0; flt_tuned_rates[i] != NULL; i++) printf(" %s", flt_tuned_rates[i]);
    printf("\nand under the schedules: constant");
    for (size_t i = 1; flt_tuned_schedules[i] != NULL; i++) printf(" | %s", flt_tuned_schedules[i]);
    printf("\nT is the number of steps, W a twentieth of it. `--tune lr` tries the rates alone.\n");
}

static int print_list(const input *in, bool tuning) {
    flt_table *t = NULL;
    flt_err err = tuning ? list_tuning(in->kind, &t) : list_sets(in->kind, &t);
    if (err == FLTE_OK) err = flt_table_print(t, in->common.json ? FLTX_TABLE_JSON : FLTX_TABLE_ALIGNED, stdout);
    if (err == FLTE_OK && !in->common.json) print_remarks(tuning);
    flt_table_destroy(t);
    return flt_report("list", err);
}

static flt_err choose(const input *in, size_t *first, size_t *last) {
    const char *names[N_FAMILIES + 3] = {NULL};
    *first = 0;
    *last = N_FAMILIES;
    if (in->family == NULL) return FLTE_OK;
    for (size_t i = 0; i < N_FAMILIES; i++) {
        const char *name = names[i] = families[i].name;
        const size_t n = strlen(name);
        // "task" for "tasks"
        if (strcmp(in->family, name) != 0 &&
            !(name[n - 1] == 's' && strlen(in->family) == n - 1 && strncmp(in->family, name, n - 1) == 0))
            continue;
        *first = i;
        *last = i + 1;
        const flt_kind *kind = NULL;
        return in->kind == NULL ? FLTE_OK : flt_registry_find(families[i].registry(), in->kind, &kind);
    }
    names[N_FAMILIES] = "sets", names[N_FAMILIES + 1] = "tuning";
    const char *near = flt_nearest(in->family, names);
    return flt_fail(FLTE_NAME, "family",
                    "'%s' is unknown%s%s%s valid names: attention, rpe, tasks, optimizers, estimators, checks, ops, sets, tuning",
                    in->family, near == NULL ? "" : "; did you mean '", near == NULL ? "" : near, near == NULL ? ";" : "'?");
}

static int run(int argc, char **argv) {
    static const struct argp_child children[] = {{&flt_common_argp, 0, "Common options", 9}, {0}};
    static const struct argp argp = {
        NULL,
        parse,
        "[FAMILY [NAME]]",
        "Lists what is registered. FAMILY is one of attention, rpe, tasks, optimizers, estimators, checks, ops; "
        "with a family, formula, cost, reference and parameters are shown too, and for tasks what a step costs, measured now. "
        "`flt list "
        "sets` shows the sets of tasks that optimizers are compared on, `flt list tuning` what is tuned of hand-designed ones.\v"
        "example:\n  flt list attention flt",
        children,
        NULL,
        NULL};
    input in = {.common = flt_common_defaults()};
    size_t first = 0, last = 0;
    flt_parse(&argp, argc, argv, &in);
    if (in.common.n_set > 0)
        return flt_report("list", flt_fail(FLTE_USAGE, "--set", "'%s': list has no parameters to set", in.common.set[0]));
    const bool sets = in.family != NULL && strcmp(in.family, "sets") == 0;
    if (sets || (in.family != NULL && strcmp(in.family, "tuning") == 0)) return print_list(&in, !sets);
    flt_err err = choose(&in, &first, &last);
    if (err == FLTE_OK) err = in.common.json ? print_json(first, last, &in) : print_text(first, last, &in);
    return err == FLTE_OK ? 0 : flt_report("list", err);
}

const flt_verb_kind flt_verb_kind_list = {
    .kind = {.name = "list", .summary = "what there is: mechanisms, encodings, tasks, optimizers, estimators, checks"},
    .run = run};
