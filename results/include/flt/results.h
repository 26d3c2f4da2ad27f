// SPDX-License-Identifier: MIT
// The results store: plain SQLite that any tool opens. Runs with provenance, parameters, metrics by step, attention checks,
// the error ladder, evaluations, timings. Several processes may write one file.
#ifndef FLTX_RESULTS_H
#define FLTX_RESULTS_H

#include "flt/sink.h"

typedef struct flt_store flt_store;

// Opens or creates (FLTX_STORE_WRITE), or opens an existing file read-only. Migrates older schemas. Errors: FLTE_DB / FLTE_IO
// naming the file and the reason (missing, not writable, not a database, not ours, newer than this program).
enum { FLTX_STORE_READ = 0, FLTX_STORE_WRITE = 1 };
flt_err flt_store_open(const char *path, int mode, flt_store **out);
void flt_store_close(flt_store *s); // flushes; ends a run still open as failed

// ---- one run per process and store
typedef struct flt_run_info {
    const char *kind;          // "verify", "train", "eval", "attend", "bench"
    int argc;
    char *const *argv;         // the full command line
    uint64_t seed;
    int threads;
    uint64_t registry_hash;
    const char *blas, *fftw, *isa, *precision;
} flt_run_info;
flt_err flt_store_begin(flt_store *s, const flt_run_info *info, long long *run_id);
flt_err flt_store_param(flt_store *s, const char *name, const char *value);
flt_err flt_store_artifact(flt_store *s, const char *kind, const char *path); // size and checksum are taken from the file
// Metrics and records of the run; buffered, flushed each half second, at the end and by flt_store_flush. The sink is owned by the
// store. Kinds of records, each a table: "check" (mechanism, check, label, ratio, verdict), "ladder" (mechanism, encoding, n, d,
// m, r, seed, causal, error_total, error_mask, error_kernel, seconds, seconds_exact, bytes, bytes_exact), "evaluation"
// (optimizer, task, seed, steps, lr, final_loss, test_loss, test_metric, steps_to_baseline, baseline, seconds, ns_per_param,
// state_words), "timing" (subject, phase, n, rep, seconds).
const flt_sink *flt_store_sink(flt_store *s);
flt_err flt_store_flush(flt_store *s);
// status: "done", "failed", "interrupted". A killed process leaves "running"; readers see it as "killed" when its process is gone.
flt_err flt_store_end(flt_store *s, const char *status, int exit_code, const char *message);

// ---- queries.  A result set as text; NULL cells are NULL. `row` returns false to stop.
typedef bool (*flt_row_fn)(void *user, size_t n, const char *const *names, const char *const *values);
flt_err flt_store_list(flt_store *s, size_t limit, flt_row_fn row, void *user);
flt_err flt_store_show(flt_store *s, long long run, const char *part /* run|params|metrics|checks|ladder|evaluations|artifacts */,
                       flt_row_fn row, void *user);
// Read-only SQL with limits in time and memory. FLTE_DB with SQLite's message; FLTE_USAGE when it would write.
flt_err flt_store_sql(flt_store *s, const char *sql, flt_row_fn row, void *user);

#endif
