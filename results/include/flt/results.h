// SPDX-License-Identifier: MIT
// The results store: plain SQLite that any tool opens. Runs with provenance, parameters, metrics by step, attention checks,
// the error ladder, evaluations, timings. Several processes may write one file.
//
// A store and its sink belong to the thread that opened it: another thread is answered FLTE_INTERNAL. A store does not survive
// fork(): a child may only close its copy, which leaves the file alone.
#ifndef FLTX_RESULTS_H
#define FLTX_RESULTS_H

#include "flt/sink.h"

FLTX_BEGIN_DECLS

typedef struct flt_store flt_store;

// Opens or creates (FLTX_STORE_WRITE), or opens an existing file read-only. Migrates older schemas. Errors: FLTE_DB / FLTE_IO
// naming the file and the reason (missing, not writable, not a database, not ours, newer than this program); a refused file is
// left as it was. An empty file becomes a new database when opened for writing. Opening for writing also marks as
// interrupted the runs whose process on this machine is gone.
enum { FLTX_STORE_READ = 0, FLTX_STORE_WRITE = 1 };
flt_err flt_store_open(const char *path, int mode, flt_store **out);
void flt_store_close(flt_store *s); // flushes; ends a run still open as failed; NULL is fine

// ---- where numbers come from
typedef struct flt_provenance {
    const char *version, *commit; // of this program; commit is "unknown" when it was not built from a git checkout
    bool dirty;                   // the working tree differed from the commit
    const char *compiler, *flags, *build_type;
    char host[128], os[128], kernel[160], arch[80], cpu[128], libc[64], sqlite[32];
    long cores;
    long long ram_bytes;
} flt_provenance;
void flt_provenance_get(flt_provenance *out); // what cannot be found out is "unknown" or 0

// ---- one run at a time per store
typedef struct flt_run_info {
    const char *kind; // "verify", "train", "eval", "attend", "bench"
    int argc;
    char *const *argv; // the full command line
    uint64_t seed;
    int threads;
    uint64_t registry_hash;
    const char *blas, *fftw, *isa, *precision; // NULL: "unknown"
} flt_run_info;
flt_err flt_store_begin(flt_store *s, const flt_run_info *info, long long *run_id); // run_id may be NULL
flt_err flt_store_param(flt_store *s, const char *name, const char *value);
flt_err flt_store_artifact(flt_store *s, const char *kind, const char *path); // size and CRC-32 are taken from the file
// Metrics and records of the run; buffered, flushed each half second, at the end and by flt_store_flush. The sink is owned by
// the store. Kinds of records, each a table (what is not given is NULL; an unknown kind or field is FLTE_INTERNAL):
//   check       mechanism, check, label, ratio, verdict;
//               value, threshold, encoding, n, d, m, r, causal, seed, seconds, detail
//   ladder      mechanism, encoding, n, d, m, r, seed, causal, error_total, error_mask, error_kernel, seconds, seconds_exact,
//               bytes, bytes_exact; options, batch, heads, threads, error_max, denominator_min, denominator_max, negative,
//               detail
//   evaluation  optimizer, task, seed, steps, lr, final_loss, test_loss, test_metric, steps_to_baseline, baseline, seconds,
//               ns_per_param, state_words; options, weights, suite, seeds (the row is their mean), tuned, best_loss,
//               validation_loss, validation_metric, baseline_loss, loss_ratio, seconds_to_baseline, clipped, speedup,
//               speedup_best, diverged, detail
//   timing      subject, phase, n, rep, seconds;
//               label, options, d, m, r, threads, warm, cpu_seconds, flops, bytes, peak_rss, detail
//   curve       metric, subject, task, seed, step, value (a metric of one of several learning curves in a run)
//   event       level, message
// Numbers may be NaN or infinite and come back as such. A later value of the same metric and step replaces the earlier one.
const flt_sink *flt_store_sink(flt_store *s);
flt_err flt_store_flush(flt_store *s); // when it fails (disk full), the rows not yet flushed are lost and counted in the run
// status: "done", "failed", "interrupted". A killed process leaves "running"; readers see it as "interrupted" when its
// process is gone.
flt_err flt_store_end(flt_store *s, const char *status, int exit_code, const char *message /* may be NULL */);

// ---- queries.  A result set as text; NULL cells are NULL, numbers have the digits that bring them back exactly, not finite
// metrics are "nan", "inf", "-inf". `row` returns false to stop; a result without rows calls it never. row NULL: nobody reads
// them, errors are told all the same.
typedef bool (*flt_row_fn)(void *user, size_t n, const char *const *names, const char *const *values);
flt_err flt_store_list(flt_store *s, size_t limit /* 0: all */, flt_row_fn row, void *user); // latest first
// FLTE_NAME when there is no such run (0: the latest) or part. The part `run` is rows of name and value, the others are tables.
// Further parts: curves, timings, events, tags, notes; and for people: sparklines (as metrics, with the curve drawn in UTF-8
// blocks), verdicts and not passed (of checks), errors (means of the ladder), means (of evaluations), times (of timings).
flt_err flt_store_show(flt_store *s, long long run, const char *part /* run|params|metrics|checks|ladder|evaluations|artifacts */,
                       flt_row_fn row, void *user);
// One SELECT, read-only, with limits in time (2 s) and memory (256 MiB) unless set otherwise. FLTE_USAGE with SQLite's message
// when it is wrong, when it would write or uses what is not allowed (a second statement, functions that know no limits, virtual
// tables, other files); FLTE_DB when the time is over or the file is damaged; FLTE_NOMEM when the memory is used up.
flt_err flt_store_sql(flt_store *s, const char *sql, flt_row_fn row, void *user);
void flt_store_sql_limits(flt_store *s, double seconds, size_t bytes);
// While `row` runs: the types of the row's cells, a letter each: i integer, r real, t text, b blob (in hexadecimal), n NULL.
const char *flt_store_types(const flt_store *s);

FLTX_END_DECLS

#endif
