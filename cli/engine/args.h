// SPDX-License-Identifier: MIT
// Options that several verbs share, and helpers of their argp parsers.
//
// A verb's parser is a struct argp whose first child is flt_common_argp and whose input starts with flt_common. `--set` takes one
// or more key=value: plain arguments with a '=' after it belong to it too.
#ifndef FLTX_ARGS_H
#define FLTX_ARGS_H

#include "flt/params.h"

#include <argp.h>

enum { FLTX_MAX_SET = 64, FLTX_MAX_LIST = 64 };

// Keys of long options start here so that they never meet a character.
enum { FLTX_KEY_COMMON = 256, FLTX_KEY_VERB = 512, FLTX_KEY_META = 1024 };

typedef struct flt_common {
    const char *db; // --db, else $FLT_DB, else flt.db
    uint64_t seed;  // --seed, default 0
    int threads;    // --threads, else OMP_NUM_THREADS, else all cores
    bool json, quiet;
    size_t n_set;
    const char *set[FLTX_MAX_SET]; // "key=value"
} flt_common;

flt_common flt_common_defaults(void);
extern const struct argp flt_common_argp; // input: flt_common *
extern const struct argp flt_reader_argp; // the same with --db, --json and --quiet alone: for verbs that compute nothing

// Applies every --set to `p`. Errors as flt_params_set; FLTE_USAGE without a '='.
flt_err flt_common_apply(const flt_common *c, flt_params *p);

// The row of a parameter table (NULL: empty) that "key=value" names, NULL when there is none.
const flt_param_spec *flt_setting_of(const flt_param_spec *table, const char *setting);

// True when a plain argument belongs to --set and was stored.
bool flt_common_take(flt_common *c, const char *arg);

// Numbers of options: on bad input prints "flt VERB: --NAME: .." with what is allowed, and exits with status 2.
long long flt_arg_int(const struct argp_state *state, const char *option, const char *text, long long min, long long max);
double flt_arg_real(const struct argp_state *state, const char *option, const char *text, double min, double max);

// Exits with status 2 where a spec, "name:key=value,..", or one of a distribution, ".. ; ..", sets a key twice.
void flt_arg_once(const struct argp_state *state, const char *what, const char *spec);

// The first item of "key=value,.." (up to `end`, cut at `separator`) whose key an earlier one has; NULL: there is none.
const char *flt_setting_twice(const char *settings, char separator, char end);

// `text`, the name of a file; where it is empty, says so and exits with status 2.
const char *flt_arg_file(const struct argp_state *state, const char *option, const char *text);

typedef struct flt_arg_path {
    const char *option, *path; // NULL: not given
} flt_arg_path;

// Files that a verb writes, or reads and may not lose: exits with status 2 where two of them, or one and --db, are the same file,
// however they are spelled.
void flt_arg_distinct(const struct argp_state *state, const flt_common *c, size_t n, const flt_arg_path *files);

// --resume and --checkpoint-every (0: not given, `otherwise` then) say nothing without --checkpoint: exits with status 2.
void flt_arg_checkpoint(const struct argp_state *state, const char *path, bool resume, uint64_t otherwise, uint64_t *every);

// `text` where it is one of `allowed`, "first, second, .."; otherwise prints it with what is allowed, and exits with status 2.
const char *flt_arg_choice(const struct argp_state *state, const char *option, const char *text, const char *allowed);

// A comma-separated list, cut in place (`text` is copied into storage that lives as long as the program). Items that continue a
// spec string ("digits_mlp:width=8,batch=4") stay with it. Exits with status 2 beyond FLTX_MAX_LIST items or on an empty item.
size_t flt_arg_list(const struct argp_state *state, const char *option, const char *text, const char **items);

// The same, cut at every comma.
size_t flt_arg_items(const struct argp_state *state, const char *option, const char *text, const char **items);

// The same for whole numbers from 1 to `max`; out has room for FLTX_MAX_LIST.
size_t flt_arg_sizes(const struct argp_state *state, const char *option, const char *text, long long max, size_t *out);

// Parses and exits with status 2 on bad usage, 0 on --help.
void flt_parse(const struct argp *argp, int argc, char **argv, void *input);

#endif
