// SPDX-License-Identifier: MIT
// flt info: the build and the machine.
#include "engine/args.h"
#include "engine/ranks.h"
#include "engine/session.h"
#include "engine/verb.h"
#include "flt/num.h"

#include <cJSON.h>
#include <inttypes.h>
#include <stdio.h>

typedef struct row {
    const char *name, *value;
} row;

static error_t parse(int key, char *arg, struct argp_state *state) {
    (void)arg;
    if (key != ARGP_KEY_INIT) return ARGP_ERR_UNKNOWN;
    state->child_inputs[0] = state->input;
    return 0;
}

static int print_json(const row *rows) {
    cJSON *o = cJSON_CreateObject();
    for (; rows->name != NULL; rows++) cJSON_AddStringToObject(o, rows->name, rows->value);
    char *text = cJSON_Print(o);
    cJSON_Delete(o);
    if (text == NULL) return flt_report("info", flt_fail(FLTE_NOMEM, "info", "no memory for the JSON text"));
    printf("%s\n", text);
    cJSON_free(text);
    return 0;
}

static int run(int argc, char **argv) {
    static const struct argp_child children[] = {{&flt_common_argp, 0, "Common options", 9}, {0}};
    static const struct argp argp = {NULL,     parse, NULL, "Prints the build, the libraries and the kernels in use.",
                                     children, NULL,  NULL};
    flt_common common = flt_common_defaults();
    char threads[32], hash[32], commit[96], machine[192];
    flt_provenance from;
    flt_parse(&argp, argc, argv, &common);
    if (common.n_set > 0)
        return flt_report("info", flt_fail(FLTE_USAGE, "--set", "'%s': info has no parameters to set", common.set[0]));
    snprintf(threads, sizeof threads, "%d", common.threads);
    snprintf(hash, sizeof hash, "%016" PRIx64, flt_program_hash());
    flt_provenance_get(&from);
    snprintf(commit, sizeof commit, "%s%s", from.commit, from.dirty ? ", changed since" : "");
    snprintf(machine, sizeof machine, "%s, %ld cores, %.1f GiB", from.cpu, from.cores, (double)from.ram_bytes / 1073741824.0);
    const row rows[] = {{"version", FLTX_VERSION},
                        {"commit", commit},
                        {"precision", FLTX_REAL_NAME},
                        {"kernels", flt_num_isa()},
                        {"blas", flt_num_blas()},
                        {"fftw", flt_num_fftw()},
                        {"threads", threads},
                        {"mpi", flt_program_launcher()},
                        {"database", common.db},
                        {"registry", hash},
                        {"compiler", from.compiler},
                        {"flags", from.flags},
                        {"build", from.build_type},
                        {"machine", machine},
                        {"system", from.os},
                        {"sqlite", from.sqlite},
                        {NULL, NULL}};
    if (common.json) return print_json(rows);
    for (const row *r = rows; r->name != NULL; r++) printf("%-10s %s\n", r->name, r->value);
    return 0;
}

const flt_verb_kind flt_verb_kind_info = {.kind = {.name = "info", .summary = "the build, the libraries, the kernels in use"},
                                          .run = run};
