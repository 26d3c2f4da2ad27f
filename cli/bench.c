// SPDX-License-Identifier: MIT
// flt bench: what mechanisms, optimizers, tasks and meta-training cost, beside what the machine can do, and beside what they cost
// the last time on this machine.
#include "flt/bench.h"
#include "engine/args.h"
#include "engine/session.h"
#include "engine/table.h"
#include "engine/verb.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_N = FLTX_KEY_VERB, KEY_M, KEY_R, KEY_REPS, KEY_BACKWARD, KEY_STREAMING };
enum { MAX_SIZE = 1 << 28 }; // of N, m, r
#define TOLERANCE 0.1        // more time than this beyond the stored median is told

typedef struct input {
    flt_common common;
    flt_bench_config config;
    const char *group, *names[FLTX_MAX_LIST];
    size_t n[FLTX_MAX_LIST], m[FLTX_MAX_LIST], r[FLTX_MAX_LIST];
} input;

static const struct argp_option options[] = {
    {"n", KEY_N, "N,..", 0, "tokens (default 512,2048), parameters (1e3 to 1e6) or particles (8)", 1},
    {"m", KEY_M, "M,..", 0, "kernel features of attention (default 256)", 1},
    {"r", KEY_R, "R,..", 0, "frequencies of attention (default 32)", 1},
    {"backward", KEY_BACKWARD, NULL, 0, "attention: forward and backward passes, and how much longer the latter take", 1},
    {"streaming", KEY_STREAMING, NULL, 0, "attention: one token after the other, alone or beside --backward", 1},
    {"reps", KEY_REPS, "K", 0, "repetitions of each case (default 9)", 1},
    {0},
};

static void take_argument(struct argp_state *state, input *in, const char *arg) {
    flt_bench_config *c = &in->config;
    if (in->group == NULL) {
        in->group = arg;
        return;
    }
    const char *items[FLTX_MAX_LIST];
    const size_t n = flt_arg_list(state, "NAME", arg, items);
    if (c->n_names + n > FLTX_MAX_LIST) argp_error(state, "at most %d names", FLTX_MAX_LIST);
    for (size_t i = 0; i < n; i++) in->names[c->n_names++] = items[i];
}

static error_t parse(int key, char *arg, struct argp_state *state) {
    input *in = state->input;
    flt_bench_config *c = &in->config;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &in->common;
        return 0;
    case KEY_N:
        c->n_n = flt_arg_sizes(state, "n", arg, MAX_SIZE, in->n);
        return 0;
    case KEY_M:
        c->n_m = flt_arg_sizes(state, "m", arg, MAX_SIZE, in->m);
        return 0;
    case KEY_R:
        c->n_r = flt_arg_sizes(state, "r", arg, MAX_SIZE, in->r);
        return 0;
    case KEY_REPS:
        c->reps = (size_t)flt_arg_int(state, "reps", arg, 1, 100000);
        return 0;
    case KEY_BACKWARD:
        c->phases |= FLTX_BENCH_FORWARD | FLTX_BENCH_BACKWARD;
        return 0;
    case KEY_STREAMING:
        c->phases |= FLTX_BENCH_STREAM;
        return 0;
    case ARGP_KEY_ARG:
        if (!flt_common_take(&in->common, arg)) take_argument(state, in, arg);
        return 0;
    case ARGP_KEY_END:
        if (in->group == NULL) argp_error(state, "name a group: attention, optimizer, task or train");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

// ---- the stored median

typedef struct watcher {
    flt_table *table;
    flt_bench_group group;
    flt_session *session;
    bool quiet;
} watcher;

typedef struct stored {
    long long run;
    double value;
} stored;

static bool take_stored(void *user, size_t n, const char *const *names, const char *const *values) {
    stored *s = user;
    (void)names;
    if (n < 2 || values[0] == NULL || values[1] == NULL) return false;
    s->run = strtoll(values[0], NULL, 10);
    s->value = strtod(values[1], NULL);
    return false;
}

// 'text' for SQL, quotes doubled; what is too long is cut, and then matches nothing.
static void quote(const char *text, size_t size, char *out) {
    size_t n = 0;
    out[n++] = '\'';
    for (const char *c = text; *c != '\0' && n + 4 < size; c++) {
        if (*c == '\'') out[n++] = '\'';
        out[n++] = *c;
    }
    out[n++] = '\'';
    out[n] = '\0';
}

// The median of the same case in the latest earlier run with the same machine, registry, instructions and precision; run 0: none.
static flt_err find_stored(const watcher *w, const flt_bench_row *r, stored *out) {
    char subject[560], phase[64], label[560], settings[560], sql[4096];
    const long long run = flt_session_run(w->session);
    *out = (stored){0};
    quote(r->subject, sizeof subject, subject);
    quote(r->phase, sizeof phase, phase);
    quote(r->label, sizeof label, label);
    quote(r->options, sizeof settings, settings);
    snprintf(sql, sizeof sql,
             "SELECT t.run, t.median FROM timing_summary t JOIN run p ON p.run_id = t.run JOIN env e USING(env_id) "
             "JOIN run own ON own.run_id = %lld JOIN env f ON f.env_id = own.env_id "
             "WHERE t.run < %lld AND p.kind = 'bench' AND p.registry_hash = own.registry_hash AND e.host = f.host "
             "AND e.cpu_model = f.cpu_model AND e.isa = f.isa AND e.precision = f.precision AND t.subject = %s AND t.phase = %s "
             "AND t.label = %s AND coalesce(t.options, '') = %s AND t.n = %zu AND coalesce(t.d, 0) = %zu "
             "AND coalesce(t.m, 0) = %zu AND coalesce(t.r, 0) = %zu AND t.threads = %d ORDER BY t.run DESC LIMIT 1",
             run, run, subject, phase, label, settings, r->n, r->d, r->m, r->r, r->threads);
    return flt_store_sql(flt_session_store(w->session), sql, take_stored, out);
}

// The rate of matrix products now by that in an earlier run: how much of a difference is the machine's. NaN: not stored.
static flt_err compare_machine(const watcher *w, const flt_bench_row *r, long long run, double *out) {
    stored s = {0};
    char sql[512];
    snprintf(sql, sizeof sql,
             "SELECT run, flops / median FROM timing_summary WHERE run = %lld AND subject = 'gemm' AND phase = 'probe' "
             "AND threads = %d AND median > 0",
             run, r->threads);
    FLTX_TRY(flt_store_sql(flt_session_store(w->session), sql, take_stored, &s));
    *out = s.value > 0.0 ? r->gemm_rate / s.value : NAN;
    return FLTE_OK;
}

// How long it took by the stored median; NaN where none is stored. More than 10 % beyond it is told, never punished.
static flt_err compare(const watcher *w, const flt_bench_row *r, double *out) {
    double machine = NAN;
    stored s;
    FLTX_TRY(find_stored(w, r, &s));
    *out = s.run > 0 && s.value > 0.0 ? r->median / s.value : NAN;
    if (!(*out > 1.0 + TOLERANCE) || w->quiet) return FLTE_OK;
    FLTX_TRY(compare_machine(w, r, s.run, &machine));
    fprintf(stderr,
            "flt bench: %s %s n=%zu on %d threads: %s s, in run %lld %s s: %.0f %% more time; matrix products ran at %s times "
            "their rate then\n",
            r->subject, r->phase, r->n, r->threads, flt_number(r->median), s.run, flt_number(s.value), 100.0 * (*out - 1.0),
            flt_number(machine));
    return FLTE_OK;
}

// ---- tables

static const char *cell(double x) {
    return isnan(x) ? NULL : flt_number(x);
}

static flt_err attention_row(const watcher *w, const flt_bench_row *r, double spread, double versus) {
    const char *cells[] = {r->subject,
                           r->phase,
                           cell((double)r->n),
                           r->m > 0 ? cell((double)r->m) : NULL,
                           r->r > 0 ? cell((double)r->r) : NULL,
                           cell(r->threads),
                           cell(1e6 * r->median),
                           cell(spread),
                           cell(r->flops / r->median * 1e-9),
                           cell(100.0 * r->gemm_share),
                           cell(100.0 * r->memory_share),
                           cell(r->bytes / 1024.0),
                           cell(r->peak_rss / 1048576.0),
                           cell(r->error),
                           cell(r->versus_forward),
                           cell(versus)};
    return flt_table_row(w->table, cells);
}

static flt_err optimizer_row(const watcher *w, const flt_bench_row *r, double spread, double versus) {
    const char *cells[] = {r->subject,
                           cell((double)r->n),
                           r->phase,
                           cell(1e9 * r->median / (double)r->n),
                           cell(1e6 * r->median),
                           cell(spread),
                           cell(r->bytes / sizeof(flt_real) / (double)r->n),
                           cell(r->flops / r->median * 1e-9),
                           cell(100.0 * r->gemm_share),
                           cell(100.0 * r->memory_share),
                           cell(r->bytes / 1024.0),
                           cell(r->peak_rss / 1048576.0),
                           cell(versus)};
    return flt_table_row(w->table, cells);
}

static flt_err task_row(const watcher *w, const flt_bench_row *r, double spread, double versus) {
    const char *cells[] = {r->subject,
                           cell((double)r->n),
                           cell(1e6 * r->median),
                           cell(spread),
                           cell(r->flops / r->median * 1e-9),
                           cell(100.0 * r->gemm_share),
                           cell(100.0 * r->memory_share),
                           cell(100.0 * r->minibatch),
                           cell(100.0 * r->idle),
                           cell(1e6 * r->hessian),
                           cell(r->bytes / 1024.0),
                           cell(r->peak_rss / 1048576.0),
                           cell(versus)};
    return flt_table_row(w->table, cells);
}

static flt_err train_row(const watcher *w, const flt_bench_row *r, double spread, double versus) {
    const char *cells[] = {r->subject,
                           r->label,
                           cell((double)r->n),
                           cell(r->threads),
                           cell(1.0 / r->median),
                           cell(1e6 * r->median),
                           cell(spread),
                           cell(r->flops / r->median * 1e-9),
                           cell(100.0 * r->gemm_share),
                           cell(r->peak_rss / 1048576.0),
                           cell(versus)};
    return flt_table_row(w->table, cells);
}

static const char *const attention_columns[] = {"mechanism", "phase",    "N",          "m",        "r",      "threads",
                                                "us",        "spread_%", "GFLOP/s",    "gemm_%",   "dram_%", "work_KiB",
                                                "rss_MiB",   "error",    "vs_forward", "vs_stored"};
static const char *const optimizer_columns[] = {"optimizer", "parameters",      "phase",    "ns_per_param", "us",
                                                "spread_%",  "words_per_param", "GFLOP/s",  "gemm_%",       "dram_%",
                                                "state_KiB", "rss_MiB",         "vs_stored"};
static const char *const task_columns[] = {"task",     "parameters", "us_per_gradient", "spread_%", "GFLOP/s",
                                           "gemm_%",   "dram_%",     "minibatch_%",     "idle_%",   "us_per_hessian",
                                           "work_KiB", "rss_MiB",    "vs_stored"};
static const char *const train_columns[] = {"optimizer", "task",    "particles", "threads", "steps_per_s", "us_per_inner_step",
                                            "spread_%",  "GFLOP/s", "gemm_%",    "rss_MiB", "vs_stored"};

#define COLUMNS(x) sizeof x / sizeof *x, x
static const struct {
    size_t n;
    const char *const *names;
    flt_err (*row)(const watcher *w, const flt_bench_row *r, double spread, double versus);
} tables[] = {
    [FLTX_BENCH_ATTENTION] = {COLUMNS(attention_columns), attention_row},
    [FLTX_BENCH_OPTIMIZER] = {COLUMNS(optimizer_columns), optimizer_row},
    [FLTX_BENCH_TASK] = {COLUMNS(task_columns), task_row},
    [FLTX_BENCH_TRAIN] = {COLUMNS(train_columns), train_row},
};

static flt_err on_row(void *user, const flt_bench_row *r) {
    const watcher *w = user;
    double versus = NAN;
    FLTX_TRY(compare(w, r, &versus));
    return tables[w->group].row(w, r, 100.0 * (r->high - r->low) / r->median, versus);
}

static flt_err bench(input *in, flt_session **s) {
    watcher w = {.quiet = in->common.quiet};
    FLTX_TRY(flt_bench_find(in->group, &in->config.group));
    FLTX_TRY(flt_bench_check(&in->config));
    FLTX_TRY(flt_session_begin("bench", &in->common, s));
    flt_session_param(*s, "group", "%s", in->group);
    flt_session_param(*s, "reps", "%zu", in->config.reps);
    w.session = *s;
    w.group = in->config.group;
    FLTX_TRY(flt_table_create(tables[w.group].n, tables[w.group].names, &w.table));
    flt_err err = flt_bench_run(&in->config, flt_session_sink(*s), on_row, &w);
    if (err == FLTE_OK) err = flt_table_print(w.table, in->common.json ? FLTX_TABLE_JSON : FLTX_TABLE_AUTO, stdout);
    flt_table_destroy(w.table);
    return err;
}

static int run(int argc, char **argv) {
    static const struct argp_child children[] = {{&flt_common_argp, 0, "Common options", 9}, {0}};
    static const struct argp argp = {
        options,
        parse,
        "attention|optimizer|task|train [NAME ..]",
        "Measures time (median; spread: distance of the quartiles) beside the rate of matrix products (gemm_%) and of memory "
        "(dram_%; above 100 from the caches) in the same moment, on as many threads. GFLOP/s: the method's arithmetic by time.\v"
        "NAMEs are attention mechanisms, optimizers, task specs, learned optimizers; all without a NAME. error: relative "
        "distance "
        "from exact attention, up to 2048 tokens. Attention, phase token: one token of a stream; backward: vs_forward is its "
        "time "
        "by that of a forward pass beside it. minibatch_%, idle_%: shares of a gradient's time that making the minibatch and the "
        "executor alone (its nodes doing nothing) take; hessian: one Hessian-vector product. vs_stored: time by that of the "
        "latest "
        "earlier run in the store with the same machine, registry and instructions; 10 % more is told on stderr, the exit status "
        "stays 0. Raw samples are rows of the table timing. Optimizers: phase decayed is a step on a state that has shrunk below "
        "the normal numbers.\n\nexamples:\n"
        "  flt bench attention flt exact --n 1024,4096 --m 256 --reps 15\n"
        "  flt bench attention flt performer --backward --streaming\n"
        "  flt bench task digits_mlp:batch=32 digits_mlp:batch=128",
        children,
        NULL,
        NULL};
    input in = {.common = flt_common_defaults(), .config = {.reps = 9}};
    flt_session *s = NULL;
    flt_parse(&argp, argc, argv, &in);
    flt_bench_config *c = &in.config;
    c->names = in.names;
    c->n = in.n;
    c->m = in.m;
    c->r = in.r;
    c->n_settings = in.common.n_set;
    c->settings = in.common.set;
    c->seed = in.common.seed;
    c->threads = in.common.threads;
    const flt_err err = bench(&in, &s);
    return flt_session_end(s, "bench", err);
}

const flt_verb_kind flt_verb_kind_bench = {
    .kind = {.name = "bench", .summary = "measure speed beside what the machine can do and what was stored"}, .run = run};
