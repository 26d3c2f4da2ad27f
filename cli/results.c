// SPDX-License-Identifier: MIT
// flt results VERB ..: what was run, and how it went. The verbs are in results/.
#include "engine/verb.h"
#include "results/sub.h"

#include <string.h>

enum { MAX_SUBS = 32 };

static void print_help(void) {
    printf("Usage: flt results [VERB] [ARGUMENTS]\n"
           "Queries the results store. It is plain SQLite: any other tool may open it as well.\n\n");
    for (size_t i = 0; flt_subs[i] != NULL; i++)
        printf("  %-8s %-11s %s\n", flt_subs[i]->name, flt_subs[i]->arguments == NULL ? "" : flt_subs[i]->arguments,
               flt_subs[i]->summary);
    printf("\n`flt results VERB --help` explains a verb and its options; without a verb it is `list`.\n"
           "--db FILE names the store (default: $FLT_DB, else flt.db here).\n\n"
           "Examples:\n"
           "  flt results                                    the latest runs\n"
           "  flt results show last                          everything about the latest\n"
           "  flt results best --task digits_mlp             which optimizer is best there, over seeds\n"
           "  flt results compare 3 4                        what changed, and whether it matters\n"
           "  flt results report -o report.html              all of it as one page\n");
}

// The place of the verb among the arguments: the first that is neither an option nor the value of one. 0: there is none.
static int find_verb(int argc, char **argv) {
    static const char *const valued[] = {"--db",    "--limit",  "--kind", "--task",  "--optimizer", "--mechanism",
                                         "--since", "--status", "--tag",  "--where", "--sort"};
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '-') return i;
        for (size_t k = 0; k < sizeof valued / sizeof *valued; k++)
            if (strcmp(argv[i], valued[k]) == 0) i++;
    }
    return 0;
}

static int unknown(const char *name) {
    const char *names[MAX_SUBS] = {NULL};
    char list[512] = "";
    for (size_t i = 0; flt_subs[i] != NULL && i + 1 < MAX_SUBS; i++) {
        names[i] = flt_subs[i]->name;
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", i == 0 ? "" : ", ", names[i]);
    }
    const char *near = flt_nearest(name, names);
    return flt_report("results", flt_fail(FLTE_NAME, "results", "'%s' is unknown%s%s%s valid names: %s", name,
                                          near == NULL ? "" : "; did you mean '", near == NULL ? "" : near,
                                          near == NULL ? ";" : "'?", list));
}

static int run(int argc, char **argv) {
    const flt_sub *sub = flt_subs[0];
    const int at = find_verb(argc, argv);
    char name[64];
    if (at == 0 && argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-?") == 0)) {
        print_help();
        return 0;
    }
    if (at > 0) {
        size_t i = 0;
        while (flt_subs[i] != NULL && strcmp(flt_subs[i]->name, argv[at]) != 0) i++;
        if (flt_subs[i] == NULL) return unknown(argv[at]);
        sub = flt_subs[i];
        memmove(argv + at, argv + at + 1, (size_t)(argc - at) * sizeof *argv);
        argc--;
    }
    snprintf(name, sizeof name, "flt results %s", sub->name);
    argv[0] = name;
    return flt_sub_main(sub, argc, argv);
}

const flt_verb_kind flt_verb_kind_results = {
    .kind = {.name = "results", .summary = "what was run, and how it went: list, show, sql, compare, plot, report, .."},
    .run = run};
