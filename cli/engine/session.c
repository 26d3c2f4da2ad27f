// SPDX-License-Identifier: MIT
#include "engine/session.h"

#include "engine/progress.h"
#include "engine/ranks.h"
#include "engine/verb.h"
#include "flt/attention.h"
#include "flt/graph.h"
#include "flt/memory.h"
#include "flt/meta.h"
#include "flt/num.h"
#include "flt/tasks.h"
#include "flt/verify.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct flt_session {
    flt_store *store;
    flt_sink sink;
    flt_progress progress;
    long long run;
    flt_err deferred; // first failure of flt_session_param
};

static flt_err on_metric(void *self, const char *name, uint64_t step, double value) {
    return flt_sink_metric(flt_store_sink(((flt_session *)self)->store), name, step, value);
}

static flt_err on_record(void *self, const char *kind, size_t n, const flt_field *fields) {
    return flt_sink_record(flt_store_sink(((flt_session *)self)->store), kind, n, fields);
}

static void on_progress(void *self, double done, const char *status) {
    flt_session *s = self;
    flt_sink_progress(flt_store_sink(s->store), done, status); // the heartbeat of long silent phases
    flt_progress_show(&s->progress, done, status);
}

static bool on_stopped(void *self) {
    (void)self;
    return flt_signals_stopped();
}

static int command_argc;
static char *const *command_argv;

void flt_session_command(int argc, char **argv) {
    command_argc = argc;
    command_argv = argv;
}

static flt_err begin_store(flt_session *s, const char *kind, const flt_common *c) {
    const flt_run_info info = {.kind = kind,
                               .argc = command_argc,
                               .argv = command_argv,
                               .seed = c->seed,
                               .threads = c->threads,
                               .registry_hash = flt_program_hash(),
                               .blas = flt_num_blas(),
                               .fftw = flt_num_fftw(),
                               .isa = flt_num_isa(),
                               .precision = FLTX_REAL_NAME};
    FLTX_TRY(flt_store_open(c->db, FLTX_STORE_WRITE, &s->store));
    FLTX_TRY(flt_store_begin(s->store, &info, &s->run));
    s->sink = (flt_sink){s, on_metric, on_record, on_progress, on_stopped};
    s->progress = flt_progress_start(c->quiet);
    const flt_ranks *r = flt_program_ranks();
    if (r == NULL) return FLTE_OK;
    flt_session_param(s, "ranks", "%d", r->count);
    flt_session_param(s, "mpi", "%s", flt_program_launcher());
    return FLTE_OK;
}

flt_err flt_session_begin(const char *kind, const flt_common *c, flt_session **out) {
    flt_session *s = NULL;
    *out = NULL;
    flt_signals_listen();
    flt_err err = flt_alloc(1, sizeof *s, &s);
    if (err == FLTE_OK && flt_program_first())
        err = begin_store(s, kind, c);
    else if (err == FLTE_OK)
        s->sink = (flt_sink){.self = s, .stopped = on_stopped};
    err = flt_ranks_agree(flt_program_ranks(), err);
    if (err == FLTE_OK) err = flt_program_alike();
    if (err == FLTE_OK) {
        *out = s;
        return FLTE_OK;
    }
    if (s != NULL) flt_store_close(s->store);
    flt_free(s);
    return err;
}

const flt_sink *flt_session_sink(flt_session *s) {
    return &s->sink;
}
flt_store *flt_session_store(flt_session *s) {
    return s->store;
}
long long flt_session_run(const flt_session *s) {
    return s->run;
}

void flt_session_param(flt_session *s, const char *name, const char *format, ...) {
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (s->store != NULL && s->deferred == FLTE_OK) s->deferred = flt_store_param(s->store, name, text);
}

flt_err flt_session_keep(flt_err ended, const char *what, const char *path, flt_saver save, void *user) {
    char sentence[1024]; // that of the stop: saving may have one of its own
    snprintf(sentence, sizeof sentence, "%s", flt_error());
    const flt_err saved = path == NULL ? FLTE_OK : save(user, path);
    if (ended == FLTE_OK) return saved;
    if (saved != FLTE_OK) return flt_context(saved, "stopped: %s", sentence);
    if (path == NULL) return flt_fail(ended, "stopped", "%s", sentence);
    return flt_fail(ended, "stopped", "%s; %s so far are in %s", sentence, what, path);
}

// Sentences start with who speaks; the verb's own name is not said twice. Where a rank is gone, one of those that are left
// speaks.
int flt_report(const char *verb, flt_err err) {
    const flt_ranks *r = flt_program_ranks();
    const bool speaks = r != NULL && r->state->broken ? r->state->speaker : flt_program_first();
    const char *sentence = flt_error();
    const size_t n = strlen(verb);
    if (strncmp(sentence, verb, n) == 0 && sentence[n] == ':') sentence += n + 1 + (sentence[n + 1] == ' ');
    if (err != FLTE_OK && speaks) fprintf(stderr, "flt %s: %s\n", verb, sentence);
    return flt_err_status(err);
}

int flt_session_end(flt_session *s, const char *verb, flt_err err) {
    if (s != NULL) flt_progress_clear(&s->progress);
    if (s != NULL && err == FLTE_OK) err = s->deferred;
    err = flt_ranks_agree(flt_program_ranks(), err);
    if (s == NULL) return flt_report(verb, err);
    if (s->store == NULL) {
        flt_free(s);
        return flt_report(verb, err);
    }
    const int status = flt_report(verb, err);
    const char *outcome = err == FLTE_OK || err == FLTE_CHECK ? "done" : err == FLTE_INTERRUPTED ? "interrupted" : "failed";
    char message[1024];
    snprintf(message, sizeof message, "%s", err == FLTE_OK ? "" : flt_error());
    const flt_err ended = flt_store_end(s->store, outcome, status, message);
    const int late = ended != FLTE_OK && err == FLTE_OK ? flt_report(verb, ended) : status;
    flt_store_close(s->store);
    flt_free(s);
    return late;
}

uint64_t flt_program_hash(void) {
    const flt_registry *const all[] = {flt_attention_registry(), flt_rpe_registry(),       flt_op_registry(),
                                       flt_task_registry(),      flt_optimizer_registry(), flt_estimator_registry(),
                                       flt_check_registry()};
    return flt_registry_hash(all, sizeof all / sizeof *all);
}
