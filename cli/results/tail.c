// SPDX-License-Identifier: MIT
// flt results tail [RUN]: follows a running job: progress, time left, current metrics; ends with it. Without RUN: the latest
// that runs, else the latest.
#include "results/sub.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE = 400, SHOWN_METRICS = 6 };

typedef struct state {
    long long run;
    char status[16], text[128], kind[32];
    double progress, seconds;
    size_t n_metrics;
    char metrics[LINE];
} state;

static bool first_number(void *user, size_t n, const char *const *names, const char *const *values) {
    (void)n, (void)names;
    *(long long *)user = strtoll(values[0], NULL, 10);
    return false;
}

static bool read_field(void *user, size_t n, const char *const *names, const char *const *values) {
    state *x = user;
    (void)n, (void)names;
    if (strcmp(values[0], "status") == 0) snprintf(x->status, sizeof x->status, "%s", values[1]);
    if (strcmp(values[0], "kind") == 0) snprintf(x->kind, sizeof x->kind, "%s", values[1]);
    if (strcmp(values[0], "progress_text") == 0) snprintf(x->text, sizeof x->text, "%s", values[1]);
    if (strcmp(values[0], "progress") == 0) x->progress = strtod(values[1], NULL);
    if (strcmp(values[0], "seconds") == 0) x->seconds = strtod(values[1], NULL);
    return true;
}

static bool read_metric(void *user, size_t n, const char *const *names, const char *const *values) {
    state *x = user;
    const char *metric = "", *step = "", *last = "nan";
    for (size_t i = 0; i < n; i++) {
        const char *value = values[i] == NULL ? "" : values[i];
        if (strcmp(names[i], "metric") == 0) metric = value;
        if (strcmp(names[i], "step") == 0) step = value;
        if (strcmp(names[i], "last") == 0) last = value;
    }
    const size_t used = strlen(x->metrics);
    if (x->n_metrics++ == 0) snprintf(x->metrics, LINE, "  step %s", step);
    const size_t from = x->n_metrics == 1 ? strlen(x->metrics) : used;
    snprintf(x->metrics + from, LINE - from, "  %s %s", metric, flt_number(strtod(last, NULL)));
    return x->n_metrics < SHOWN_METRICS;
}

static flt_err look(flt_store *store, state *x) {
    const long long run = x->run;
    *x = (state){.run = run, .progress = -1};
    FLTX_TRY(flt_store_show(store, run, "run", read_field, x));
    return flt_store_show(store, run, "metrics", read_metric, x);
}

static void describe(const state *x, char *out, size_t size) {
    char left[64] = "";
    const bool running = strcmp(x->status, "running") == 0;
    if (running && x->progress > 0 && x->progress <= 1) {
        const int eta = (int)(x->seconds * (1 - x->progress) / x->progress);
        snprintf(left, sizeof left, "  %3.0f%%  eta %d:%02d", 100 * x->progress, eta / 60, eta % 60);
    }
    snprintf(out, size, "run %lld  %s  %s  %.1f s%s%s%s%s", x->run, x->kind, x->status, x->seconds, left,
             running && x->text[0] != 0 ? "  " : "", running ? x->text : "", x->metrics);
}

static flt_err choose(const flt_sub_input *in, flt_store *store, long long *run) {
    const flt_run_filter running = {.status = "running", .limit = 1}, latest = {.limit = 1};
    if (in->n_words > 0) return flt_store_run_of(store, "tail", in->words[0], run);
    FLTX_TRY(flt_store_find(store, &running, first_number, run));
    if (*run == 0) FLTX_TRY(flt_store_find(store, &latest, first_number, run));
    return FLTE_OK;
}

// On a terminal one line that changes, elsewhere a line for each change.
static flt_err run(const flt_sub_input *in, flt_store *store) {
    const struct timespec pause = {.tv_nsec = 500000000};
    const bool terminal = isatty(STDOUT_FILENO);
    char line[2 * LINE], shown[LINE] = "-";
    state x = {0};
    if (in->common.json)
        return flt_fail(FLTE_UNSUPPORTED, "tail", "--json: it follows a run in words; `flt results show` has JSON");
    FLTX_TRY(choose(in, store, &x.run));
    flt_signals_listen();
    do {
        FLTX_TRY(look(store, &x));
        describe(&x, line, sizeof line);
        const size_t width = flt_terminal_width(); // a line that wraps could not be taken back
        const bool ended = strcmp(x.status, "running") != 0;
        if (terminal)
            printf("\r\033[K%.*s%s", width == 0 || ended ? 2 * LINE : (int)width - 1, line, ended ? "\n" : "");
        else if (ended || strcmp(shown, x.metrics) != 0)
            printf("%s\n", line);
        snprintf(shown, sizeof shown, "%s", x.metrics);
        fflush(stdout);
        if (ended) return FLTE_OK;
        nanosleep(&pause, NULL);
    } while (!flt_signals_stopped());
    if (terminal) printf("\n");
    return FLTE_OK;
}

const flt_sub flt_sub_tail = {.name = "tail",
                              .arguments = "[RUN]",
                              .summary = "Follows a running job: progress, time left, current metrics",
                              .example = "flt results tail                               the latest job that runs\n"
                                         "  flt results tail 3                             this one",
                              .max_words = 1,
                              .run = run};
