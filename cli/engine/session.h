// SPDX-License-Identifier: MIT
// What a verb that computes needs around it: the results store with its run, progress on a terminal, a clean stop on Ctrl-C.
#ifndef FLTX_SESSION_H
#define FLTX_SESSION_H

#include "engine/args.h"
#include "flt/results.h"
#include "flt/sink.h"

typedef struct flt_session flt_session;

// Remembers the command line as it was typed, for the runs that follow; argv lives as long as the program.
void flt_session_command(int argc, char **argv);

// Opens the store and begins a run of this kind with the full command line. With ranks: all call it; the store is rank 0's, the
// others have none, and their parameters, records and metrics go nowhere.
flt_err flt_session_begin(const char *kind, const flt_common *c, flt_session **out);
const flt_sink *flt_session_sink(flt_session *s); // records and metrics to the store, progress to the terminal
flt_store *flt_session_store(flt_session *s);     // NULL on ranks other than 0
long long flt_session_run(const flt_session *s);
// Stores a parameter of the run; failures are remembered and returned by flt_session_end.
void flt_session_param(flt_session *s, const char *name, const char *format, ...) FLTX_PRINTF(3, 4);
// Ends the run with the outcome of `err`, prints the sentence of a failure, frees s (NULL is fine) and returns the exit status.
// With ranks a failure of one is the failure of all, and told once.
int flt_session_end(flt_session *s, const char *verb, flt_err err);

// After work that ended with `ended`: saves to `path` what there is of it (`what`: "weights"; NULL: nothing is to be saved), so
// that a stop and a failed store lose nothing. The error of a failed save, beside the sentence of the stop; else that of the
// stop, with the place of what was saved.
typedef flt_err (*flt_saver)(void *user, const char *path);
flt_err flt_session_keep(flt_err ended, const char *what, const char *path, flt_saver save, void *user);

// "flt VERB: sentence" on stderr; returns the exit status.
int flt_report(const char *verb, flt_err err);

// SIGPIPE and SIGXFSZ become errors of the write.
void flt_signals_install(void);
// From now on Ctrl-C, SIGTERM and a closed terminal ask for a clean stop (Ctrl-C after that ends at once). Sessions do this; what
// has nothing to save, and does not ask, is better ended at once.
void flt_signals_listen(void);
bool flt_signals_stopped(void);

// Hash over all registries of the program.
uint64_t flt_program_hash(void);

#endif
