// SPDX-License-Identifier: MIT
// The program: finds the verb and hands over.
#include "engine/ranks.h"
#include "engine/session.h"
#include "engine/verb.h"
#include "flt/isa.h"
#include "flt/num.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_help(void) {
    printf("flt %s: learned optimizers with FourierLearner-Transformer attention, and linear attention held against exact "
           "attention.\n\n"
           "usage: flt VERB [ARGUMENTS]      flt VERB --help explains a verb and its options\n\nverbs\n",
           FLTX_VERSION);
    const flt_registry *r = flt_verb_registry();
    for (size_t i = 0; r->kinds[i] != NULL; i++) printf("  %-8s %s\n", r->kinds[i]->name, r->kinds[i]->summary);
    printf("\nfirst steps\n"
           "  flt list                                  what there is: mechanisms, encodings, tasks, optimizers, checks\n"
           "  flt verify --level quick                  hold linear attention against exact attention\n"
           "  flt train --tasks digits_mlp --out w.safetensors   meta-train an FLT optimizer\n"
           "  flt eval --optimizers flt,adam --weights w.safetensors --tasks digits_mlp --tune lr\n"
           "  flt results list                          what was run, and how it went\n\n"
           "exit status: 0 fine, 1 a check failed, 2 bad usage, 3 run-time error, 4 numerical failure\n");
}

// The verb sees "flt VERB" as its name, the store the command line as it was typed.
static int run_verb(const flt_verb_kind *verb, int argc, char **argv) {
    char name[64];
    char **verb_argv = calloc((size_t)argc, sizeof *verb_argv);
    if (verb_argv == NULL) return flt_report(verb->kind.name, flt_fail(FLTE_NOMEM, "memory", "no room for %d arguments", argc));
    memcpy(verb_argv, argv + 1, (size_t)(argc - 1) * sizeof *verb_argv);
    snprintf(name, sizeof name, "flt %s", verb->kind.name);
    verb_argv[0] = name;
    flt_session_command(argc, argv);
    const int status = verb->run(argc - 1, verb_argv);
    free(verb_argv);
    return status;
}

// Output that was lost is a failure. A reader that went away (`| head`) had enough, and hears nothing of it.
static int flush(const flt_verb_kind *verb, int status) {
    const bool failed = ferror(stdout) != 0;
    if (fflush(stdout) == 0 && !failed) return status;
    if (status != 0) return status;
    if (errno != EPIPE) fprintf(stderr, "flt %s: standard output could not be written\n", verb->kind.name);
    return 3;
}

// A misspelt FLT_ISA, or one that this machine has not got, would quietly run other kernels than the ones asked for.
static bool isa_is_met(void) {
    const char *asked = getenv("FLT_ISA");
    if (asked == NULL || asked[0] == '\0' || strcmp(asked, flt_num_isa()) == 0) return true;
    if (flt_isa_known())
        fprintf(stderr, "flt: FLT_ISA: '%s' in the environment; this machine has %s at most\n", asked, flt_num_isa());
    else
        fprintf(stderr, "flt: FLT_ISA: '%s' in the environment; allowed: portable, avx2, avx512\n", asked);
    return false;
}

// Status of what needs no verb, -1 when a verb is asked for.
static int without_verb(int argc, char **argv) {
    if (argc < 2) {
        print_help();
        return 2;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-?") == 0 || strcmp(argv[1], "help") == 0) {
        print_help();
        return 0;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        printf("flt %s (%s)\n", FLTX_VERSION, FLTX_REAL_NAME);
        return 0;
    }
    return -1;
}

static int find_and_run(int argc, char **argv) {
    const flt_verb_kind *verb = NULL;
    const int status = without_verb(argc, argv);
    if (status >= 0) return status;
    if (flt_verb_find(argv[1], &verb) != FLTE_OK) {
        if (flt_program_first()) fprintf(stderr, "flt: %s\n", flt_error());
        return 2;
    }
    if (!isa_is_met()) return 2;
    flt_signals_install();
    if (!verb->ranks && !flt_program_first()) return 0;
    if (!verb->ranks) flt_program_alone();
    return flush(verb, run_verb(verb, argc, argv));
}

int main(int argc, char **argv) {
    const flt_err err = flt_program_join(&argc, &argv);
    if (err != FLTE_OK) {
        fprintf(stderr, "flt: %s\n", flt_error());
        return flt_err_status(err);
    }
    const int status = find_and_run(argc, argv);
    flt_program_leave(status);
    return status;
}
