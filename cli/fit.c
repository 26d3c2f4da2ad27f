// SPDX-License-Identifier: MIT
// flt fit: trains a task with an optimizer and writes what it learned.
#include "flt/fit.h"
#include "engine/args.h"
#include "engine/session.h"
#include "engine/shipped.h"
#include "engine/table.h"
#include "engine/verb.h"
#include "flt/evaluate.h"
#include "flt/memory.h"
#include "flt/tasks.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    KEY_OPTIMIZER = FLTX_KEY_VERB,
    KEY_WEIGHTS,
    KEY_STEPS,
    KEY_SEEDS,
    KEY_TEXT,
    KEY_LOG_EVERY,
    KEY_EVAL_EVERY,
    KEY_OUT,
    KEY_CHECKPOINT,
    KEY_CHECKPOINT_EVERY,
    KEY_RESUME
};

enum { PATH = 1024 };

typedef struct input {
    flt_common common;
    const char *task, *optimizer, *weights, *text, *out;
    size_t seeds;
    flt_fit_config config;
    char shown[FLTX_TASK_SPEC_SIZE], made[FLTX_TASK_SPEC_SIZE]; // the task as stored, and as it is created
} input;

static const struct argp_option options[] = {
    {"optimizer", KEY_OPTIMIZER, "NAME", 0, "hand-designed or learned (default adam)", 1},
    {"weights", KEY_WEIGHTS, "FILE", 0,
     "weights of a learned optimizer, `shipped` for those of flt (default: its own initialisation)", 1},
    {"steps", KEY_STEPS, "N", 0, "steps in all, those before --resume included (default 1000)", 1},
    {"seeds", KEY_SEEDS, "K", 0, "train from K seeds, --seed and those after it, each stored as a run (default 1)", 1},
    {"text", KEY_TEXT, "FILE", 0, "the text of a language task; the same as --set text=FILE", 1},
    {"log-every", KEY_LOG_EVERY, "N", 0, "steps between stored training losses (default: a 200th of all)", 2},
    {"eval-every", KEY_EVAL_EVERY, "N", 0, "steps between evaluations on validation and test split (default: a tenth of all)", 2},
    {"out", KEY_OUT, "FILE", 0,
     "where the trained parameters go (safetensors); of several seeds FILE gets .SEED before its ending", 3},
    {"checkpoint", KEY_CHECKPOINT, "FILE", 0, "complete state, replaced atomically; of several seeds as --out", 3},
    {"checkpoint-every", KEY_CHECKPOINT_EVERY, "N", 0, "steps between checkpoints (default 200)", 3},
    {"resume", KEY_RESUME, NULL, 0, "go on from --checkpoint: ends in the same bits as a run that was never stopped", 3},
    {0},
};

static void check_paths(struct argp_state *state, input *in) {
    flt_fit_config *c = &in->config;
    flt_arg_checkpoint(state, c->checkpoint, c->resume, 200, &c->checkpoint_every);
    const flt_arg_path files[] = {{"text", in->text}, {"weights", in->weights}, {"checkpoint", c->checkpoint}, {"out", in->out}};
    flt_arg_distinct(state, &in->common, sizeof files / sizeof *files, files);
}

// A plain argument: a setting after --set, or the task ("name", "name:key=value,..").
static void take_word(struct argp_state *state, input *in, char *arg) {
    const size_t head = strcspn(arg, ":=");
    if (arg[head] == '=' && flt_common_take(&in->common, arg)) return;
    if (arg[head] == '=') argp_error(state, "'%s' is a setting; write --set before it", arg);
    if (in->task != NULL) argp_error(state, "'%s': one task at a time, and it is %s", arg, in->task);
    flt_arg_once(state, "TASK", arg);
    in->task = arg;
}

static error_t parse_run(int key, char *arg, struct argp_state *state, input *in) {
    flt_fit_config *c = &in->config;
    switch (key) {
    case KEY_STEPS:
        c->steps = (uint64_t)flt_arg_int(state, "steps", arg, 1, 1000000000);
        return 0;
    case KEY_SEEDS:
        in->seeds = (size_t)flt_arg_int(state, "seeds", arg, 1, 10000);
        return 0;
    case KEY_LOG_EVERY:
        c->log_every = (uint64_t)flt_arg_int(state, "log-every", arg, 1, 1000000000);
        return 0;
    case KEY_EVAL_EVERY:
        c->eval_every = (uint64_t)flt_arg_int(state, "eval-every", arg, 1, 1000000000);
        return 0;
    case KEY_CHECKPOINT:
        c->checkpoint = flt_arg_file(state, "checkpoint", arg);
        return 0;
    case KEY_CHECKPOINT_EVERY:
        c->checkpoint_every = (uint64_t)flt_arg_int(state, "checkpoint-every", arg, 1, 1000000000);
        return 0;
    case KEY_RESUME:
        c->resume = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse(int key, char *arg, struct argp_state *state) {
    input *in = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &in->common;
        return 0;
    case KEY_OPTIMIZER:
        in->optimizer = arg;
        return 0;
    case KEY_WEIGHTS:
        in->weights = flt_shipped_weights(flt_arg_file(state, "weights", arg));
        return 0;
    case KEY_TEXT:
        in->text = flt_arg_file(state, "text", arg);
        return 0;
    case KEY_OUT:
        in->out = flt_arg_file(state, "out", arg);
        return 0;
    case ARGP_KEY_ARG:
        take_word(state, in, arg);
        return 0;
    case ARGP_KEY_END:
        if (in->task == NULL) argp_error(state, "TASK is needed: see `flt list tasks`");
        check_paths(state, in);
        return 0;
    default:
        return parse_run(key, arg, state, in);
    }
}

// ---- settings: --set goes to whoever has the parameter

typedef enum target { NOBODY, TASK, OPTIMIZER, BOTH } target;

// Cuts "task." or "optimizer." off a setting.
static target prefix_of(const char **setting) {
    static const char *const prefix[] = {"task.", "optimizer."};
    for (size_t i = 0; i < 2; i++) {
        const size_t n = strlen(prefix[i]);
        if (strncmp(*setting, prefix[i], n) != 0) continue;
        *setting += n;
        return i == 0 ? TASK : OPTIMIZER;
    }
    return BOTH;
}

static bool task_has(const flt_task_kind *task, const char *setting) {
    return flt_setting_of(task->kind.params, setting) != NULL || flt_setting_of(flt_task_common_params(), setting) != NULL;
}

static void list_names(const flt_param_spec *table, char *text, size_t size) {
    size_t used = 0;
    snprintf(text, size, "none");
    for (const flt_param_spec *s = table; s != NULL && s->name != NULL && used < size; s++)
        used += (size_t)snprintf(text + used, size - used, "%s%s", s == table ? "" : ", ", s->name);
}

static flt_err unknown(const flt_task_kind *task, const flt_optimizer_kind *opt, target allowed, const char *setting) {
    char a[512], b[512];
    const int n = (int)strcspn(setting, "=");
    list_names(task->kind.params, a, sizeof a);
    list_names(opt->kind.params, b, sizeof b);
    if (allowed != BOTH)
        return flt_fail(FLTE_NAME, "--set", "'%.*s' is no parameter of the %s %s; it has %s", n, setting,
                        allowed == TASK ? "task" : "optimizer", allowed == TASK ? task->kind.name : opt->kind.name,
                        allowed == TASK ? a : b);
    return flt_fail(FLTE_NAME, "--set", "'%.*s' is a parameter neither of the task %s (%s) nor of the optimizer %s (%s)", n,
                    setting, task->kind.name, a, opt->kind.name, b);
}

static flt_err route(const flt_task_kind *task, const flt_optimizer_kind *opt, const char **setting, target *out) {
    const target allowed = prefix_of(setting);
    const bool to_task = (allowed & TASK) != 0 && task_has(task, *setting);
    const bool to_opt = (allowed & OPTIMIZER) != 0 && flt_setting_of(opt->kind.params, *setting) != NULL;
    const int n = (int)strcspn(*setting, "=");
    if (!to_task && !to_opt) return unknown(task, opt, allowed, *setting);
    if (to_task && to_opt)
        return flt_fail(FLTE_USAGE, "--set",
                        "both the task %s and the optimizer %s have '%.*s'; write task.%.*s or optimizer.%.*s", task->kind.name,
                        opt->kind.name, n, *setting, n, *setting, n, *setting);
    *out = to_task ? TASK : OPTIMIZER;
    return FLTE_OK;
}

static flt_err append_setting(char *spec, const char *setting) {
    const size_t used = strlen(spec);
    if (strchr(setting, ',') != NULL)
        return flt_fail(FLTE_USAGE, "--set", "'%s' holds a comma; the values of a task cannot", setting);
    const int n = snprintf(spec + used, FLTX_TASK_SPEC_SIZE - used, "%c%s", strchr(spec, ':') == NULL ? ':' : ',', setting);
    if (used + (size_t)n < FLTX_TASK_SPEC_SIZE) return FLTE_OK;
    return flt_fail(FLTE_RANGE, "--set", "the settings of the task take more than %d characters", FLTX_TASK_SPEC_SIZE - 1);
}

// in->shown, in->made and the optimizer's parameters.
static flt_err apply_settings(input *in, const flt_optimizer_kind *opt, flt_params *p) {
    const flt_task_kind *task = NULL;
    char text[PATH];
    FLTX_TRY(flt_task_of(in->task, &task));
    if (strlen(in->task) >= sizeof in->shown) return flt_fail(FLTE_RANGE, "fit", "the task '%.40s..' is too long", in->task);
    snprintf(in->shown, sizeof in->shown, "%s", in->task);
    for (size_t i = 0; i < in->common.n_set; i++) {
        const char *setting = in->common.set[i];
        target to = NOBODY;
        FLTX_TRY(route(task, opt, &setting, &to));
        if (to == TASK)
            FLTX_TRY(append_setting(in->shown, setting));
        else
            FLTX_TRY(flt_params_set(p, flt_setting_of(opt->kind.params, setting)->name, strchr(setting, '=') + 1));
    }
    if (in->text != NULL) {
        if (flt_setting_of(task->kind.params, "text=") == NULL)
            return flt_fail(FLTE_USAGE, "--text", "'%s': the task %s reads no text", in->text, task->kind.name);
        if (snprintf(text, sizeof text, "text=%s", in->text) >= (int)sizeof text)
            return flt_fail(FLTE_RANGE, "--text", "the path is longer than %zu characters", sizeof text - 6);
        FLTX_TRY(append_setting(in->shown, text));
    }
    return FLTE_OK;
}

static flt_err canonical(char *spec) {
    flt_objective *o = NULL;
    FLTX_TRY(flt_task_create(spec, &o));
    snprintf(spec, FLTX_TASK_SPEC_SIZE, "%s", o->spec);
    flt_objective_destroy(o);
    return FLTE_OK;
}

// First derivatives are all that training needs: a task that plans second ones by default is not asked to.
static flt_err make_specs(input *in) {
    const flt_task_kind *task = NULL;
    FLTX_TRY(flt_task_of(in->task, &task));
    FLTX_TRY(canonical(in->shown));
    snprintf(in->made, sizeof in->made, "%s", in->shown);
    if (flt_setting_of(task->kind.params, "hessian=") == NULL || strstr(in->shown, "hessian=") != NULL) return FLTE_OK;
    return append_setting(in->made, "hessian=false");
}

static flt_err load(input *in, flt_weights *w) {
    const flt_optimizer_kind *kind = NULL;
    flt_params *params = NULL;
    char who[128];
    FLTX_TRY(flt_optimizer_find(in->optimizer, &kind));
    if (in->weights != NULL && (kind->kind.caps & FLTX_OPT_LEARNED) == 0)
        return flt_fail(FLTE_USAGE, "--weights", "'%s': the optimizer %s is not learned", in->weights, in->optimizer);
    snprintf(who, sizeof who, "optimizer %s", in->optimizer);
    FLTX_TRY(flt_params_create(who, kind->kind.params, &params));
    flt_err err = apply_settings(in, kind, params);
    if (err == FLTE_OK) err = make_specs(in);
    if (err == FLTE_OK) err = flt_weights_load(kind, params, in->weights, in->common.seed, w);
    flt_params_destroy(params);
    return err;
}

// ---- one seed

// Of several seeds FILE gets .SEED before its ending. NULL stays NULL.
static const char *seed_path(const input *in, const char *path, uint64_t seed, char *out) {
    if (path == NULL || in->seeds == 1) return path;
    const char *slash = strrchr(path, '/'), *dot = strrchr(path, '.');
    const bool ending = dot != NULL && (slash == NULL || dot > slash + 1) && dot != path;
    const int stem = ending ? (int)(dot - path) : (int)strlen(path);
    snprintf(out, PATH, "%.*s.%" PRIu64 "%s", stem, path, seed, ending ? dot : "");
    return out;
}

static void describe(const input *in, const flt_weights *w, const flt_fit_config *c, flt_session *s) {
    flt_session_param(s, "task", "%s", in->shown);
    flt_session_param(s, "optimizer", "%s", in->optimizer);
    flt_session_param(s, "steps", "%" PRIu64, c->steps);
    if (in->weights != NULL) flt_session_param(s, "weights", "%s", in->weights);
    for (const flt_param_spec *p = w->kind->kind.params; p != NULL && p->name != NULL; p++) {
        char name[96];
        if (!flt_params_has(w->params, p->name)) continue;
        snprintf(name, sizeof name, "%s.%s", in->optimizer, p->name);
        flt_session_param(s, name, "%s", flt_params_text(w->params, p->name));
    }
}

// What the optimizer was set to beside its rate, as `flt results best` groups rows.
static void options_text(const flt_weights *w, char *out, size_t size) {
    size_t used = 0;
    out[0] = '\0';
    for (const flt_param_spec *p = w->kind->kind.params; p != NULL && p->name != NULL && used < size; p++)
        if (flt_params_is_set(w->params, p->name) && strcmp(p->name, "lr") != 0)
            used += (size_t)snprintf(out + used, size - used, "%s%s=%s", used == 0 ? "" : ",", p->name,
                                     flt_params_text(w->params, p->name));
}

static flt_err record(const input *in, const flt_weights *w, uint64_t seed, const flt_fit_report *r, flt_session *s) {
    const double peak = flt_peak_bytes();
    char settings[512];
    options_text(w, settings, sizeof settings);
    const flt_field fields[] = {flt_text_field("optimizer", in->optimizer),
                                flt_text_field("task", in->shown),
                                flt_text_field("weights", in->weights),
                                flt_text_field("options", settings[0] == '\0' ? NULL : settings),
                                flt_num_field("seed", flt_eval_seed_number(seed)),
                                flt_num_field("seeds", 1),
                                flt_num_field("steps", (double)r->step),
                                flt_num_field("lr", r->lr),
                                flt_num_field("final_loss", r->train_loss),
                                flt_num_field("validation_loss", r->valid_loss),
                                flt_num_field("validation_metric", r->valid_metric),
                                flt_num_field("test_loss", r->test_loss),
                                flt_num_field("test_metric", r->test_metric),
                                flt_num_field("seconds", r->seconds)};
    flt_session_param(s, "parameters", "%zu", r->layout.total);
    if (r->metric[0] != '\0') flt_session_param(s, "metric", "%s", r->metric);
    if (r->baseline_name[0] != '\0') flt_session_param(s, r->baseline_name, "%.9g", r->baseline);
    FLTX_TRY(flt_sink_metric(flt_session_sink(s), "peak_bytes", r->step, peak));
    if (isfinite(r->steps_per_s)) FLTX_TRY(flt_sink_metric(flt_session_sink(s), "steps_per_s", r->step, r->steps_per_s));
    return flt_sink_record(flt_session_sink(s), "evaluation", sizeof fields / sizeof *fields, fields);
}

static const char *number_or_empty(double x, bool there) {
    return there ? flt_number(x) : NULL;
}

static flt_err add_row(const input *in, uint64_t seed, const flt_fit_report *r, const flt_session *s, flt_table *t) {
    const bool metric = r->metric[0] != '\0', baseline = r->baseline_name[0] != '\0';
    const char *cells[] = {in->shown,
                           in->optimizer,
                           number_or_empty(r->lr, !isnan(r->lr)),
                           flt_number((double)seed),
                           flt_number((double)flt_session_run(s)),
                           flt_number((double)r->step),
                           flt_number(r->train_loss),
                           flt_number(r->valid_loss),
                           flt_number(r->test_loss),
                           metric ? r->metric : NULL,
                           number_or_empty(r->valid_metric, metric),
                           number_or_empty(r->test_metric, metric),
                           number_or_empty(r->baseline, baseline),
                           flt_number((double)r->layout.total),
                           number_or_empty(r->steps_per_s, isfinite(r->steps_per_s)),
                           flt_number(flt_peak_bytes() / 1048576.0)};
    return flt_table_row(t, cells);
}

typedef struct trained {
    const flt_weights *weights;
    const flt_fit_config *config;
    const flt_fit_report *report;
} trained;

static flt_err save(void *user, const char *path) {
    const trained *t = user;
    return flt_fit_save(t->config, t->weights, t->report, path);
}

// What diverged is stored as a row, but its parameters are worth nothing.
static flt_err finish(const input *in, trained *t, flt_session *s, flt_err fitted) {
    char path[PATH], sentence[1024];
    const char *out = seed_path(in, in->out, t->config->seed, path);
    snprintf(sentence, sizeof sentence, "%s", flt_error());
    if (fitted == FLTE_NUMERIC) {
        FLTX_TRY(record(in, t->weights, t->config->seed, t->report, s));
        return flt_error_restore(fitted, sentence);
    }
    FLTX_TRY(flt_session_keep(fitted, "parameters", out, save, t));
    FLTX_TRY(record(in, t->weights, t->config->seed, t->report, s));
    return out == NULL ? FLTE_OK : flt_store_artifact(flt_session_store(s), "weights", out);
}

static bool exists(const char *path) {
    FILE *f = fopen(path, "rb");
    if (f != NULL) (void)fclose(f);
    return f != NULL;
}

// Of several seeds those go on that were begun; where none was, the name is another one.
static flt_err check_resume(const input *in) {
    char path[PATH];
    if (!in->config.resume || in->seeds == 1) return FLTE_OK;
    for (size_t i = 0; i < in->seeds; i++)
        if (exists(seed_path(in, in->config.checkpoint, in->common.seed + i, path))) return FLTE_OK;
    return flt_fail(FLTE_IO, seed_path(in, in->config.checkpoint, in->common.seed, path),
                    "there is no such checkpoint to resume from, nor of the other %zu seeds", in->seeds - 1);
}

static flt_fit_config config_of(const input *in, uint64_t seed, char *path) {
    flt_fit_config c = in->config;
    c.task = in->made;
    c.make = flt_task_create;
    c.seed = seed;
    c.checkpoint = seed_path(in, c.checkpoint, seed, path);
    if (c.resume && in->seeds > 1) c.resume = exists(c.checkpoint); // seeds that were not begun start
    return c;
}

// Returns the exit status: each seed is a run of the store, with an end of its own.
static int fit_seed(const input *in, const flt_weights *w, uint64_t seed, flt_table *t) {
    flt_fit_report report = {0};
    flt_session *s = NULL;
    flt_common common = in->common;
    char path[PATH];
    const flt_fit_config c = config_of(in, seed, path);
    common.seed = seed;
    flt_peak_forget();
    flt_err err = flt_session_begin("fit", &common, &s);
    if (err == FLTE_OK) {
        describe(in, w, &c, s);
        err = flt_fit(&c, w, flt_session_sink(s), &report);
        trained what = {w, &c, &report};
        if (report.param != NULL) err = finish(in, &what, s, err);
        if (err == FLTE_OK) err = add_row(in, seed, &report, s, t);
    }
    flt_fit_free(&report);
    return flt_session_end(s, "fit", err);
}

static flt_err check_outputs(const input *in) {
    char path[PATH];
    for (size_t i = 0; i < in->seeds; i++) {
        const uint64_t seed = in->common.seed + i;
        if (in->out != NULL) FLTX_TRY(flt_write_possible(seed_path(in, in->out, seed, path)));
        if (in->config.checkpoint != NULL) FLTX_TRY(flt_write_possible(seed_path(in, in->config.checkpoint, seed, path)));
    }
    return FLTE_OK;
}

static flt_err begin(input *in, flt_weights *w, flt_table **t) {
    static const char *const names[] = {"task",       "optimizer",  "lr",          "seed",    "run",          "steps",
                                        "train_loss", "valid_loss", "test_loss",   "metric",  "valid_metric", "test_metric",
                                        "baseline",   "parameters", "steps_per_s", "peak_mib"};
    const size_t longest = PATH - 32;
    if ((in->out != NULL && strlen(in->out) > longest) ||
        (in->config.checkpoint != NULL && strlen(in->config.checkpoint) > longest))
        return flt_fail(FLTE_RANGE, "fit", "a path is longer than %zu characters", longest);
    FLTX_TRY(check_outputs(in));
    FLTX_TRY(check_resume(in));
    FLTX_TRY(load(in, w));
    return flt_table_create(sizeof names / sizeof *names, names, t);
}

static int fit(input *in) {
    flt_weights w = {0};
    flt_table *t = NULL;
    int status = 0;
    flt_err err = begin(in, &w, &t);
    if (err == FLTE_OK) {
        for (size_t i = 0; i < in->seeds && status == 0; i++) status = fit_seed(in, &w, in->common.seed + i, t);
        if (flt_table_rows(t) > 0) err = flt_table_print(t, in->common.json ? FLTX_TABLE_JSON : FLTX_TABLE_AUTO, stdout);
    }
    flt_table_destroy(t);
    flt_weights_free(&w);
    return err == FLTE_OK ? status : flt_report("fit", err);
}

static int run(int argc, char **argv) {
    static const struct argp_child children[] = {{&flt_common_argp, 0, "Common options", 9}, {0}};
    static const struct argp argp = {
        options,
        parse,
        "TASK",
        "Trains a task with an optimizer: training, validation and test curves, steps per second and peak memory go to the "
        "results "
        "store, parameters to --out.\v"
        "TASK is a name of `flt list tasks`, with settings (digits_mlp:width=64) or without. --set reaches whoever has the "
        "parameter: attention=.. the task, lr=.. the optimizer; where both have it, write task.NAME or optimizer.NAME. Ctrl-C "
        "stops cleanly: parameters and checkpoint are written, --resume goes on to the same bits. A learned optimizer takes "
        "--weights.\n\n"
        "examples:\n"
        "  flt fit bytes_transformer --set attention=flt rpe=gaussian_mixture \\\n"
        "    --optimizer adam --set lr=3e-3 --steps 2000\n"
        "  flt fit digits_vit --set attention=exact --seeds 3 --out vit.safetensors\n"
        "  flt fit digits_mlp --steps 20000 --checkpoint fit.ckpt\n"
        "  flt fit digits_mlp --steps 90000 --checkpoint fit.ckpt --resume  # goes on\n"
        "  flt results best --task digits_vit --metric test_metric",
        children,
        NULL,
        NULL};
    input in = {.common = flt_common_defaults(), .optimizer = "adam", .seeds = 1};
    in.config = (flt_fit_config){.steps = 1000};
    flt_parse(&argp, argc, argv, &in);
    return fit(&in);
}

const flt_verb_kind flt_verb_kind_fit = {
    .kind = {.name = "fit", .summary = "train a task, any model and any optimizer, and keep what it learned"}, .run = run};
