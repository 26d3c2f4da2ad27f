// SPDX-License-Identifier: MIT
// flt verify: runs the checks and the error ladder, prints a summary and what failed.
#include "flt/verify.h"
#include "engine/args.h"
#include "engine/fidelity.h"
#include "engine/ranks.h"
#include "engine/session.h"
#include "engine/summary.h"
#include "engine/table.h"
#include "engine/verb.h"
#include "flt/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    KEY_LEVEL = FLTX_KEY_VERB,
    KEY_MECHANISM,
    KEY_ENCODING,
    KEY_FIDELITY,
    KEY_SCALE,
    KEY_CHECK,
    KEY_N,
    KEY_M,
    KEY_R,
    KEY_SEEDS,
    MAX_CHECKS = 128
};
enum { MAX_SIZE = 1 << 24 }; // of N, m, r

typedef struct input {
    flt_common common;
    flt_verify_config config;
    const char *mechanisms[FLTX_MAX_LIST], *checks[FLTX_MAX_LIST];
    const char *encodings[FLTX_MAX_LIST];
    size_t n[FLTX_MAX_LIST], m[FLTX_MAX_LIST], r[FLTX_MAX_LIST], n_scales;
    double scales[FLTX_MAX_LIST];
    bool fidelity;
} input;

static const struct argp_option options[] = {
    {"level", KEY_LEVEL, "quick|full", 0, "quick: seconds; full: minutes, more sizes and seeds (default quick)", 1},
    {"mechanism", KEY_MECHANISM, "NAME,..", 0, "these attention mechanisms only", 1},
    {"encoding", KEY_ENCODING, "NAME,..", 0, "these positional encodings, of the ladder and of the fidelity table", 1},
    {"check", KEY_CHECK, "NAME,..", 0, "these checks only (see `flt list checks`)", 1},
    {"n", KEY_N, "N,..", 0, "sequence lengths of the error ladder or table", 2},
    {"m", KEY_M, "M,..", 0, "kernel features", 2},
    {"r", KEY_R, "R,..", 0, "frequencies", 2},
    {"seeds", KEY_SEEDS, "K", 0, "draws per cell", 2},
    {"fidelity", KEY_FIDELITY, NULL, 0,
     "in place of the checks: error against time and bytes of every linear attention, way of sampling and kind of feature, to "
     "choose one by; N = 4096, d = 64 unless said otherwise (half a minute; --level full: all encodings, many minutes)",
     3},
    {"scale", KEY_SCALE, "SD,..", 0,
     "fidelity: standard deviations of q and k (default 0.5; 1 is what layer normalisation leaves)", 3},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state) {
    input *in = state->input;
    flt_verify_config *c = &in->config;
    const char *items[FLTX_MAX_LIST];
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &in->common;
        return 0;
    case KEY_LEVEL:
        if (strcmp(arg, "quick") != 0 && strcmp(arg, "full") != 0) argp_error(state, "--level: '%s'; allowed: quick, full", arg);
        c->full = strcmp(arg, "full") == 0;
        return 0;
    case KEY_MECHANISM:
        c->n_mechanisms = flt_arg_list(state, "mechanism", arg, in->mechanisms);
        return 0;
    case KEY_CHECK:
        c->n_checks = flt_arg_list(state, "check", arg, in->checks);
        return 0;
    case KEY_ENCODING:
        c->n_encodings = flt_arg_list(state, "encoding", arg, in->encodings);
        return 0;
    case KEY_FIDELITY:
        in->fidelity = true;
        return 0;
    case KEY_SCALE:
        in->n_scales = flt_arg_list(state, "scale", arg, items);
        for (size_t i = 0; i < in->n_scales; i++) in->scales[i] = flt_arg_real(state, "scale", items[i], 1e-6, 1e3);
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
    case KEY_SEEDS:
        c->seeds = (size_t)flt_arg_int(state, "seeds", arg, 1, 100000);
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "'%s' is not an option", arg);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

// What one check did, gathered from its records on their way to the store.
typedef struct tally {
    char check[64];
    size_t cases, marginal, failed;
    double worst;
} tally;

// One cell of the ladder, summed over seeds.
typedef struct cell {
    char mechanism[32], encoding[32];
    double n, m, r, causal, seeds;
    double total, mask, kernel, seconds, seconds_exact, bytes, bytes_exact;
} cell;

typedef struct watcher {
    const flt_sink *next;
    tally checks[MAX_CHECKS];
    size_t n_checks, n_cells, room;
    bool full;
    cell *cells;
    flt_table *failures, *ladder, *lines;
    flt_summary *summary;
    char left_out[256]; // the first remark of a check
    size_t n_left_out;
} watcher;

static tally *tally_of(watcher *w, const char *check) {
    for (size_t i = 0; i < w->n_checks; i++)
        if (strcmp(w->checks[i].check, check) == 0) return &w->checks[i];
    tally *t = &w->checks[w->n_checks < MAX_CHECKS - 1 ? w->n_checks++ : MAX_CHECKS - 1];
    snprintf(t->check, sizeof t->check, "%s", check);
    return t;
}

static flt_err on_check(watcher *w, size_t n, const flt_field *fields) {
    tally *t = tally_of(w, flt_field_find(n, fields, "check")->text);
    const char *verdict = flt_field_find(n, fields, "verdict")->text;
    t->cases++;
    const flt_field *ratio = flt_field_find(n, fields, "ratio");
    const bool judged = ratio->name[0] != '\0'; // by its ratio, not as a yes or no or a statistic
    const double number = judged ? ratio->number : flt_field_find(n, fields, "value")->number;
    if (judged && !isnan(t->worst) && !(number <= t->worst)) t->worst = number; // a NaN stays
    if (strcmp(verdict, "pass") == 0) return FLTE_OK;
    *(strcmp(verdict, "marginal") == 0 ? &t->marginal : &t->failed) += 1;
    const char *cells[] = {verdict, t->check, flt_field_find(n, fields, "mechanism")->text,
                           flt_field_find(n, fields, "label")->text, flt_number(number)};
    return flt_table_row(w->failures, cells);
}

static flt_err grow_cells(watcher *w) {
    cell *grown = NULL;
    if (w->n_cells < w->room) return FLTE_OK;
    w->room = 2 * w->room + 32;
    FLTX_TRY(flt_alloc(w->room, sizeof *grown, &grown));
    if (w->n_cells > 0) memcpy(grown, w->cells, w->n_cells * sizeof *grown);
    flt_free(w->cells);
    w->cells = grown;
    return FLTE_OK;
}

static bool same_cell(const cell *a, const cell *b) {
    return strcmp(a->mechanism, b->mechanism) == 0 && strcmp(a->encoding, b->encoding) == 0 && a->n == b->n && a->m == b->m &&
           a->r == b->r && a->causal == b->causal;
}

// The cell that this one belongs to; the last, and new, when there is none yet.
static flt_err cell_of(watcher *w, const cell *key, cell **out) {
    FLTX_TRY(grow_cells(w));
    size_t i = 0;
    while (i < w->n_cells && !same_cell(&w->cells[i], key)) i++;
    if (i == w->n_cells) w->cells[w->n_cells++] = *key;
    *out = &w->cells[i];
    return FLTE_OK;
}

static flt_err on_ladder(watcher *w, size_t n, const flt_field *fields) {
    cell key = {.n = flt_field_find(n, fields, "n")->number,
                .m = flt_field_find(n, fields, "m")->number,
                .r = flt_field_find(n, fields, "r")->number,
                .causal = flt_field_find(n, fields, "causal")->number};
    cell *c = NULL;
    snprintf(key.mechanism, sizeof key.mechanism, "%s", flt_field_find(n, fields, "mechanism")->text);
    snprintf(key.encoding, sizeof key.encoding, "%s", flt_field_find(n, fields, "encoding")->text);
    FLTX_TRY(cell_of(w, &key, &c));
    c->seeds += 1.0;
    c->total += flt_field_find(n, fields, "error_total")->number;
    c->mask += flt_field_find(n, fields, "error_mask")->number;
    c->kernel += flt_field_find(n, fields, "error_kernel")->number;
    c->seconds += flt_field_find(n, fields, "seconds")->number;
    c->seconds_exact += flt_field_find(n, fields, "seconds_exact")->number;
    c->bytes = flt_field_find(n, fields, "bytes")->number;
    c->bytes_exact = flt_field_find(n, fields, "bytes_exact")->number;
    return FLTE_OK;
}

// Means over the seeds of each cell.
static flt_err fill_ladder(watcher *w) {
    for (size_t i = 0; i < w->n_cells; i++) {
        const cell *c = &w->cells[i];
        const double s = c->seeds;
        const char *cells[] = {c->mechanism,
                               c->encoding,
                               flt_number(c->n),
                               flt_number(c->m),
                               flt_number(c->r),
                               flt_number(c->total / s),
                               flt_number(c->mask / s),
                               flt_number(c->kernel / s),
                               flt_number(1e6 * c->seconds / s),
                               flt_number(1e6 * c->seconds_exact / s),
                               flt_number(c->bytes / 1024.0),
                               flt_number(c->bytes_exact / 1024.0)};
        FLTX_TRY(flt_table_row(w->ladder, cells));
    }
    return FLTE_OK;
}

static flt_err on_record(void *self, const char *kind, size_t n, const flt_field *fields) {
    watcher *w = self;
    FLTX_TRY(flt_sink_record(w->next, kind, n, fields));
    FLTX_TRY(flt_summary_add(w->summary, kind, n, fields));
    if (strcmp(kind, "event") == 0 && w->n_left_out++ == 0)
        snprintf(w->left_out, sizeof w->left_out, "%s", flt_field_find(n, fields, "message")->text);
    if (strcmp(kind, "check") == 0) return on_check(w, n, fields);
    return strcmp(kind, "ladder") == 0 ? on_ladder(w, n, fields) : FLTE_OK;
}

static flt_err on_metric(void *self, const char *name, uint64_t step, double value) {
    return flt_sink_metric(((watcher *)self)->next, name, step, value);
}
static void on_progress(void *self, double done, const char *status) {
    flt_sink_progress(((watcher *)self)->next, done, status);
}
static bool on_stopped(void *self) {
    return flt_sink_stopped(((watcher *)self)->next);
}

static flt_err make_tables(watcher *w) {
    static const char *const failure_names[] = {"verdict", "check", "mechanism", "case", "ratio or value"};
    static const char *const ladder_names[] = {"mechanism",  "encoding",     "N",  "m",        "r",        "error_total",
                                               "error_mask", "error_kernel", "us", "exact_us", "work_KiB", "exact_KiB"};
    FLTX_TRY(flt_summary_create(&w->summary));
    FLTX_TRY(flt_table_create(5, failure_names, &w->failures));
    return flt_table_create(12, ladder_names, &w->ladder);
}

static flt_err print_text(const watcher *w) {
    static const char *const names[] = {"check", "cases", "worst_ratio", "marginal", "failed", "verdict"};
    flt_table *t = NULL;
    FLTX_TRY(flt_table_create(6, names, &t));
    flt_err err = FLTE_OK;
    for (size_t i = 0; i < w->n_checks && err == FLTE_OK; i++) {
        const tally *c = &w->checks[i];
        const char *cells[] = {c->check,
                               flt_number((double)c->cases),
                               flt_number(c->worst),
                               flt_number((double)c->marginal),
                               flt_number((double)c->failed),
                               c->failed > 0     ? "FAIL"
                               : c->marginal > 0 ? "marginal"
                                                 : "pass"};
        err = flt_table_row(t, cells);
    }
    if (err == FLTE_OK) err = flt_table_print(t, FLTX_TABLE_ALIGNED, stdout);
    flt_table_destroy(t);
    FLTX_TRY(err);
    if (flt_table_rows(w->ladder) > 0) {
        printf("\nerror against exact attention (relative Frobenius, mean over seeds): total, by the mask alone, by the kernel "
               "alone\n");
        FLTX_TRY(flt_table_print(w->ladder, FLTX_TABLE_AUTO, stdout));
    }
    if (w->full && flt_table_rows(w->lines) > 0) {
        printf(
            "\nmechanisms: worst ratio of error to what rounding may cause; relative error in the ladder's last cell; how errors "
            "fall with m and r, with 95 %% intervals; how time and workspace (at N = 8192) grow with N; from which N on it "
            "takes less time than exact attention\n");
        FLTX_TRY(flt_table_print(w->lines, FLTX_TABLE_AUTO, stdout));
    }
    if (flt_table_rows(w->failures) == 0) return FLTE_OK;
    printf("\nnot passed\n");
    return flt_table_print(w->failures, FLTX_TABLE_ALIGNED, stdout);
}

static flt_err print_json(const watcher *w, const flt_verify_report *r) {
    printf("{\"passed\": %zu, \"marginal\": %zu, \"failed\": %zu, \"not_passed\": ", r->passed, r->marginal, r->failed);
    FLTX_TRY(flt_table_print(w->failures, FLTX_TABLE_JSON, stdout));
    printf(", \"mechanisms\": ");
    FLTX_TRY(flt_table_print(w->lines, FLTX_TABLE_JSON, stdout));
    printf(", \"ladder\": ");
    FLTX_TRY(flt_table_print(w->ladder, FLTX_TABLE_JSON, stdout));
    printf("}\n");
    return FLTE_OK;
}

static flt_err verify(input *in, flt_session **s) {
    flt_verify_report report = {0};
    watcher w = {0};
    FLTX_TRY(flt_session_begin("verify", &in->common, s));
    flt_session_param(*s, "level", "%s", in->config.full ? "full" : "quick");
    w.next = flt_session_sink(*s);
    w.full = in->config.full;
    const flt_sink sink = {&w, on_metric, on_record, on_progress, on_stopped};
    flt_err err = make_tables(&w);
    if (err == FLTE_OK) err = flt_verify_run(&in->config, &sink, &report);
    if (err == FLTE_OK && report.passed + report.marginal == 0)
        err = flt_fail(FLTE_USAGE, "nothing was checked", "%s",
                       w.n_left_out > 0 ? w.left_out
                                        : "none of the checks that were named applies to the mechanisms that were named");
    if (err == FLTE_OK || err == FLTE_CHECK) {
        flt_err filled = fill_ladder(&w);
        if (filled == FLTE_OK) filled = flt_summary_table(w.summary, &w.lines);
        const flt_err printed = filled != FLTE_OK ? filled : in->common.json ? print_json(&w, &report) : print_text(&w);
        if (printed != FLTE_OK) err = printed;
    }
    fflush(stdout); // the remarks below come after the table, also where both go to one file
    if (err != FLTE_USAGE && w.n_left_out > 0 && !in->common.quiet && flt_program_first())
        fprintf(stderr, "flt verify: %s%s\n", w.left_out, w.n_left_out > 1 ? "; more is among the events of the run" : "");
    if (err == FLTE_OK && !in->common.quiet && flt_program_first())
        fprintf(stderr, "flt verify: %zu cases passed, %zu marginal, 0 failed; run %lld\n", report.passed, report.marginal,
                flt_session_run(*s));
    flt_table_destroy(w.failures);
    flt_table_destroy(w.ladder);
    flt_table_destroy(w.lines);
    flt_summary_destroy(w.summary);
    flt_free(w.cells);
    return err;
}

static flt_err fidelity(const input *in, flt_session **s) {
    const flt_verify_config *v = &in->config;
    const flt_fidelity_config c = {.full = v->full,
                                   .n_mechanisms = v->n_mechanisms,
                                   .mechanisms = v->mechanisms,
                                   .n_encodings = v->n_encodings,
                                   .encodings = v->encodings,
                                   .n_n = v->n_n,
                                   .n = v->n,
                                   .n_m = v->n_m,
                                   .m = v->m,
                                   .n_r = v->n_r,
                                   .r = v->r,
                                   .n_scales = in->n_scales,
                                   .scales = in->scales,
                                   .seeds = v->seeds,
                                   .seed = v->seed,
                                   .threads = v->threads};
    if (v->n_checks > 0) return flt_fail(FLTE_USAGE, "--fidelity", "runs in place of the checks; leave --check out");
    FLTX_TRY(flt_session_begin("verify", &in->common, s));
    flt_session_param(*s, "level", "%s", v->full ? "full" : "quick");
    flt_session_param(*s, "table", "fidelity");
    return flt_fidelity_print(&c, &in->common, *s);
}

static int run(int argc, char **argv) {
    static const struct argp_child children[] = {{&flt_common_argp, 0, "Common options", 9}, {0}};
    static const struct argp argp = {options,
                                     parse,
                                     "",
                                     "Holds the attention mechanisms against oracles in long double, and measures how far linear "
                                     "attention is from exact attention.\v"
                                     "A check's ratio is its error in units of eps times the growth that rounding may cause: at "
                                     "most 30 passes, at most 300 is marginal. "
                                     "Exit status 1 when a check fails; every row goes to the results store.\n\nexample:\n  flt "
                                     "verify --level quick --mechanism flt --n 64,128 --m 32,128",
                                     children,
                                     NULL,
                                     NULL};
    input in = {.common = flt_common_defaults()};
    flt_session *s = NULL;
    flt_parse(&argp, argc, argv, &in);
    if (in.common.n_set > 0)
        return flt_report("verify", flt_fail(FLTE_USAGE, "--set", "'%s': verify has no parameters to set", in.common.set[0]));
    in.config.mechanisms = in.mechanisms;
    in.config.checks = in.checks;
    in.config.n = in.n;
    in.config.m = in.m;
    in.config.r = in.r;
    in.config.seed = in.common.seed;
    in.config.threads = in.common.threads;
    in.config.ranks = flt_program_ranks();
    in.config.encodings = in.encodings;
    if (in.n_scales > 0 && !in.fidelity)
        return flt_report("verify", flt_fail(FLTE_USAGE, "--scale", "belongs to --fidelity, which was not asked for"));
    const flt_err err = in.fidelity ? fidelity(&in, &s) : verify(&in, &s);
    return flt_session_end(s, "verify", err);
}

const flt_verb_kind flt_verb_kind_verify = {
    .kind = {.name = "verify", .summary = "hold linear attention against exact attention and oracles"},
    .run = run,
    .ranks = true};
