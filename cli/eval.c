// SPDX-License-Identifier: MIT
// flt eval: optimizers side by side on tasks, the hand-designed ones at their best settings.
#include "engine/args.h"
#include "engine/contest.h"
#include "engine/ranks.h"
#include "engine/session.h"
#include "engine/sets.h"
#include "engine/shipped.h"
#include "engine/table.h"
#include "engine/verb.h"
#include "flt/memory.h"
#include "flt/tasks.h"

#include <stdio.h>
#include <string.h>

enum { KEY_OPTIMIZERS = FLTX_KEY_VERB, KEY_WEIGHTS, KEY_TASKS, KEY_STEPS, KEY_SEEDS, KEY_TUNE, KEY_BASELINE };
enum { MOST_TASKS = 256, STEPS = 500 };

typedef struct input {
    flt_common common;
    const char *optimizers[FLTX_MAX_LIST], *tasks[FLTX_MAX_LIST];
    size_t n_optimizers, n_tasks, steps, seeds; // steps 0: not given
    const char *weights, *baseline;
    flt_tuning tune;
} input;

static const struct argp_option options[] = {
    {"optimizers", KEY_OPTIMIZERS, "[LABEL=]NAME[:key=value/..][@FILE],..", 0,
     "who is compared (default flt,adam); a label tells two of a kind apart, FILE has the weights of a learned one", 1},
    {"weights", KEY_WEIGHTS, "FILE", 0,
     "weights of learned optimizers that name no FILE of their own; `shipped`: those of flt that come with the program", 1},
    {"tasks", KEY_TASKS, "SPEC|@SET,..", 0,
     "task specs and sets of tasks (default digits_mlp): @train, @valid, @near, @far, @long, @wide; `flt list sets`", 1},
    {"steps", KEY_STEPS, "N", 0, "inner steps of each run (default 500; a set has its own)", 2},
    {"seeds", KEY_SEEDS, "K", 0, "runs per optimizer (default 5), on seeds that meta-training never uses", 2},
    {"tune", KEY_TUNE, "lr|full", 0,
     "tune hand-designed optimizers: lr, over 15 rates, 1e-7 to 1 in half decades; full, over these rates, the settings and the "
     "schedules of `flt list tuning`, in a second line NAME-full",
     2},
    {"baseline", KEY_BASELINE, "LABEL", 0,
     "whose final loss the others are timed to (default adam where compared, else the last)", 2},
    {0},
};

static flt_tuning parse_tune(const struct argp_state *state, const char *arg) {
    if (strcmp(arg, "lr") == 0) return FLTX_TUNE_LR;
    if (strcmp(arg, "full") != 0) argp_error(state, "--tune: '%s'; allowed: lr, full", arg);
    return FLTX_TUNE_FULL;
}

static error_t parse(int key, char *arg, struct argp_state *state) {
    input *in = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &in->common;
        return 0;
    case KEY_OPTIMIZERS:
        in->n_optimizers = flt_arg_items(state, "optimizers", arg, in->optimizers);
        return 0;
    case KEY_WEIGHTS:
        in->weights = flt_shipped_weights(flt_arg_file(state, "weights", arg));
        return 0;
    case KEY_TASKS:
        in->n_tasks = flt_arg_list(state, "tasks", arg, in->tasks);
        return 0;
    case KEY_STEPS:
        in->steps = (size_t)flt_arg_int(state, "steps", arg, 1, 100000000);
        return 0;
    case KEY_SEEDS:
        in->seeds = (size_t)flt_arg_int(state, "seeds", arg, 1, 10000);
        return 0;
    case KEY_BASELINE:
        in->baseline = arg;
        return 0;
    case KEY_TUNE:
        in->tune = parse_tune(state, arg);
        return 0;
    case ARGP_KEY_ARG:
        if (flt_common_take(&in->common, arg)) return 0;
        argp_error(state, "'%s' is not an option", arg);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

typedef struct plan {
    flt_subject subjects[FLTX_MAX_LIST];
    flt_contest contest;
    size_t n_tasks;
    flt_contest_task tasks[MOST_TASKS];
    double cost[MOST_TASKS], total;
} plan;

// ---- who
// --set applies to the optimizers that know the parameter; a name that none knows is an error.
static flt_err check_settings(const input *in, const plan *p) {
    for (size_t i = 0; i < in->common.n_set; i++) {
        const char *setting = in->common.set[i];
        bool known = false;
        for (size_t k = 0; k < in->n_optimizers; k++)
            known = known || flt_setting_of(p->subjects[k].kind->kind.params, setting) != NULL;
        if (!known)
            return flt_fail(FLTE_NAME, "--set", "no compared optimizer has the parameter '%.*s'", (int)strcspn(setting, "="),
                            setting);
    }
    return FLTE_OK;
}

static flt_err choose_baseline(const input *in, plan *p) {
    const char *label = in->baseline == NULL ? "adam" : in->baseline;
    p->contest.baseline = in->n_optimizers - 1;
    for (size_t i = 0; i < in->n_optimizers; i++) {
        if (strcmp(p->subjects[i].label, label) != 0) continue;
        p->contest.baseline = i;
        return FLTE_OK;
    }
    if (in->baseline == NULL) return FLTE_OK;
    return flt_fail(FLTE_NAME, "--baseline", "'%s' is not among the compared optimizers", in->baseline);
}

// A rate of its own that tuning would put another in place of.
static flt_err check_rates(const input *in, const plan *p) {
    for (size_t i = 0; i < in->n_optimizers && in->tune != FLTX_TUNE_NOTHING; i++) {
        const flt_subject *s = &p->subjects[i];
        const char *rate = strncmp(s->settings, "lr=", 3) == 0 ? s->settings : strstr(s->settings, "/lr=");
        if (rate == NULL || flt_subject_learned(s)) continue;
        rate += strspn(rate, "/");
        return flt_fail(FLTE_USAGE, "--tune", "%s has a rate of its own, %.*s, which tuning would replace; leave one out",
                        s->label, (int)strcspn(rate, "/"), rate);
    }
    return FLTE_OK;
}

static flt_err choose_subjects(const input *in, plan *p) {
    bool wants = false;
    for (size_t i = 0; i < in->n_optimizers; i++) {
        flt_weights w;
        FLTX_TRY(flt_subject_parse(in->optimizers[i], &p->subjects[i]));
        FLTX_TRY(flt_subject_load(&p->subjects[i], &in->common, in->weights, &w));
        flt_weights_free(&w);
        wants = wants || (p->subjects[i].file == NULL && flt_subject_learned(&p->subjects[i]));
    }
    if (in->weights != NULL && !wants)
        return flt_fail(FLTE_USAGE, "--weights", "'%s': none of the compared optimizers is learned%s", in->weights,
                        " and without a file of its own");
    FLTX_TRY(flt_subjects_check(in->n_optimizers, p->subjects));
    FLTX_TRY(choose_baseline(in, p));
    FLTX_TRY(check_rates(in, p));
    return check_settings(in, p);
}

// ---- on what
static flt_err add_task(const input *in, plan *p, const char *spec, const char *set, size_t steps) {
    flt_objective *o = NULL;
    if (p->n_tasks == MOST_TASKS) return flt_fail(FLTE_USAGE, "--tasks", "more than %d tasks", MOST_TASKS);
    flt_contest_task *t = &p->tasks[p->n_tasks];
    *t = (flt_contest_task){.spec = spec, .steps = in->steps == 0 ? steps : in->steps};
    // other steps make another set, whose rows are not pooled with its own
    snprintf(t->suite, sizeof t->suite, "%s", set);
    if (set[0] != '\0' && t->steps != steps) snprintf(t->suite, sizeof t->suite, "%s:steps=%zu", set, t->steps);
    for (size_t i = 0; i < p->n_tasks; i++) // --steps can make two tasks of a set the same
        if (strcmp(p->tasks[i].spec, spec) == 0 && strcmp(p->tasks[i].suite, t->suite) == 0) {
            if (p->tasks[i].steps == t->steps) return FLTE_OK;
        }
    FLTX_TRY(flt_task_create(spec, &o));
    p->cost[p->n_tasks++] = flt_contest_cost(&p->contest, t, o->layout.total);
    flt_objective_destroy(o);
    p->total += p->cost[p->n_tasks - 1];
    return FLTE_OK;
}

// A metric has one value at a step: the curves of a task at several lengths need names of their own.
static void name_tasks(plan *p) {
    for (size_t i = 0; i < p->n_tasks; i++) {
        flt_contest_task *t = &p->tasks[i];
        bool twice = false;
        for (size_t k = 0; k < p->n_tasks; k++)
            twice = twice || (strcmp(p->tasks[k].spec, t->spec) == 0 && p->tasks[k].steps != t->steps);
        snprintf(t->name, sizeof t->name, "%s", t->spec);
        if (twice) snprintf(t->name, sizeof t->name, "%s steps=%zu", t->spec, t->steps);
    }
}

static flt_err choose_tasks(const input *in, plan *p) {
    for (size_t i = 0; i < in->n_tasks; i++) {
        const flt_task_set *set = NULL;
        if (in->tasks[i][0] != '@') {
            FLTX_TRY(add_task(in, p, in->tasks[i], "", STEPS));
            continue;
        }
        FLTX_TRY(flt_task_set_find(in->tasks[i] + 1, &set));
        for (const flt_task_of_set *t = set->tasks; t->spec != NULL; t++) FLTX_TRY(add_task(in, p, t->spec, set->name, t->steps));
    }
    name_tasks(p);
    return FLTE_OK;
}

// ---- run
static void store_list(flt_session *s, const char *name, size_t n, const char *const *items) {
    char text[1024];
    size_t used = 0;
    for (size_t i = 0; i < n && used < sizeof text; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", i == 0 ? "" : ",", items[i]);
    flt_session_param(s, name, "%s", text);
}

static void store_settings(flt_session *s, const flt_common *c) {
    for (size_t i = 0; i < c->n_set; i++) {
        const char *equals = strchr(c->set[i], '=');
        char name[96];
        snprintf(name, sizeof name, "set.%.*s", (int)(equals - c->set[i]), c->set[i]);
        flt_session_param(s, name, "%s", equals + 1);
    }
}

static void store_params(const input *in, const plan *p, flt_session *s) {
    static const char *const tunings[] = {"none", "lr", "full"};
    bool alike = true;
    for (size_t i = 0; i < p->n_tasks; i++) alike = alike && p->tasks[i].steps == p->tasks[0].steps;
    if (alike) flt_session_param(s, "steps", "%zu", p->tasks[0].steps);
    flt_session_param(s, "seeds", "%zu", in->seeds);
    flt_session_param(s, "tune", "%s", tunings[in->tune]);
    if (in->weights != NULL) flt_session_param(s, "weights", "%s", in->weights);
    store_list(s, "optimizers", in->n_optimizers, in->optimizers);
    store_list(s, "tasks", in->n_tasks, in->tasks);
    flt_session_param(s, "baseline", "%s", p->subjects[p->contest.baseline].label);
    store_settings(s, &in->common);
}

static flt_err run_tasks(const plan *p, flt_session *s, flt_table *t) {
    double from = 0.0;
    for (size_t i = 0; i < p->n_tasks; i++) {
        const double part = p->cost[i] / p->total;
        FLTX_TRY(flt_contest_run(&p->contest, &p->tasks[i], flt_session_sink(s), from, part, t));
        from += part;
    }
    return FLTE_OK;
}

static flt_err print_json(const flt_table *tasks, const flt_table *sets) {
    printf("{\"tasks\": ");
    FLTX_TRY(flt_table_print(tasks, FLTX_TABLE_JSON, stdout));
    printf(", \"sets\": ");
    FLTX_TRY(flt_table_print(sets, FLTX_TABLE_JSON, stdout));
    printf("}\n");
    return FLTE_OK;
}

static flt_err print_text(const plan *p, const flt_table *tasks, const flt_table *sets) {
    FLTX_TRY(flt_table_print(tasks, FLTX_TABLE_AUTO, stdout));
    if (p->n_tasks == 1 || flt_table_rows(sets) == 0) return FLTE_OK;
    printf(
        "\nover all tasks of a set: inter-quartile mean of the speed-up over tasks and seeds with its 95 %% interval; shares of "
        "the runs that reached %s's loss, that were 1.5 and 2 times as fast, that diverged\n",
        p->subjects[p->contest.baseline].label);
    return flt_table_print(sets, FLTX_TABLE_AUTO, stdout);
}

static flt_err print(const input *in, const plan *p, flt_session *s, const flt_table *tasks) {
    flt_table *sets = NULL;
    FLTX_TRY(flt_sets_table(s, &sets));
    const flt_err err = in->common.json ? print_json(tasks, sets) : print_text(p, tasks, sets);
    flt_table_destroy(sets);
    return err;
}

static void say_untrained(const input *in, const plan *p) {
    if (in->common.quiet || !flt_program_first()) return;
    for (size_t i = 0; i < in->n_optimizers; i++) {
        const flt_subject *x = &p->subjects[i];
        if (flt_subject_learned(x) && flt_subject_file(x, in->weights) == NULL)
            fprintf(stderr,
                    "flt eval: %s has no weights (--weights FILE, or %s@FILE; `shipped` for those of flt): compared as it is "
                    "initialised, untrained\n",
                    x->label, x->kind->kind.name);
    }
}

static flt_err eval(const input *in, plan *p, flt_session **s) {
    flt_table *t = NULL;
    p->contest = (flt_contest){.common = &in->common,
                               .subjects = p->subjects,
                               .n_subjects = in->n_optimizers,
                               .weights = in->weights,
                               .seeds = in->seeds,
                               .tune = in->tune};
    FLTX_TRY(choose_subjects(in, p));
    FLTX_TRY(choose_tasks(in, p));
    FLTX_TRY(flt_session_begin("eval", &in->common, s));
    say_untrained(in, p);
    p->contest.store = flt_session_store(*s);
    store_params(in, p, *s);
    flt_err err = flt_contest_table(&p->contest, &t);
    if (err == FLTE_OK) err = run_tasks(p, *s, t);
    // what was finished before Ctrl-C is shown all the same
    if (err == FLTE_OK || (err == FLTE_INTERRUPTED && flt_table_rows(t) > 0)) {
        const flt_err printed = print(in, p, *s, t);
        if (err == FLTE_OK) err = printed;
    }
    flt_table_destroy(t);
    return err;
}

static int run(int argc, char **argv) {
    static const struct argp_child children[] = {{&flt_common_argp, 0, "Common options", 9}, {0}};
    static const struct argp argp = {
        options,
        parse,
        "",
        "Trains each task with each optimizer and compares: final loss (mean over seeds, smoothed), accuracy on the test split, "
        "steps and seconds to the baseline's final loss, cost and memory per parameter.\v"
        "All optimizers see the same initialisations and the same minibatches. Curves, and all that was tried (table `tuning`), "
        "go "
        "to the results store.\n\n"
        "speedup is the baseline's steps to its final loss over the optimizer's steps to the same loss; for one that never gets "
        "there, the baseline's steps to the optimizer's final loss over all steps; 0 where it diverged: ended in a number that "
        "is "
        "not finite, or above twice its first loss; `diverged` counts these seeds. best-baseline is the hand-designed optimizer, "
        "tuned, that ends lowest on the task, and vs_best the speed-up over it.\n\n"
        "examples:\n"
        "  flt eval --optimizers flt,adam --weights w.safetensors --tune lr\n"
        "  flt eval --optimizers flt@w.safetensors,none=flt@v.safetensors,adam \\\n"
        "    --tasks @train,@near --tune full\n"
        "  flt eval --optimizers adam,slow=adam:beta1=0.99/beta2=0.9999 --tune lr",
        children,
        NULL,
        NULL};
    input in = {.common = flt_common_defaults(),
                .optimizers = {"flt", "adam"},
                .tasks = {"digits_mlp"},
                .n_optimizers = 2,
                .n_tasks = 1,
                .seeds = 5};
    flt_session *s = NULL;
    plan *p = NULL;
    flt_parse(&argp, argc, argv, &in);
    flt_err err = flt_alloc(1, sizeof *p, &p);
    if (err == FLTE_OK) err = eval(&in, p, &s);
    const int status = flt_session_end(s, "eval", err);
    flt_free(p);
    return status;
}

const flt_verb_kind flt_verb_kind_eval = {
    .kind = {.name = "eval", .summary = "compare optimizers on tasks, learning rates tuned"}, .run = run, .ranks = true};
