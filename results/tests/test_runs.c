// SPDX-License-Identifier: MIT
// A run from begin to end, and what comes back.
#include <float.h>
#include <math.h>

#include "support.h"

TestSuite(runs, .init = enter, .fini = leave);

Test(runs, a_run_is_listed_with_its_provenance) {
    flt_store *s = open_store(FLTX_STORE_WRITE);
    const long long run = new_run(s);
    cr_assert(flt_store_param(s, "lr", "1e-3") == FLTE_OK, "%s", flt_error());
    cr_assert(flt_store_param(s, "task", "digits_mlp") == FLTE_OK, "%s", flt_error());
    cr_assert(flt_store_end(s, "done", 0, NULL) == FLTE_OK, "%s", flt_error());
    cr_assert(strcmp(show(s, run, "params"), "lr|1e-3\ntask|digits_mlp\n") == 0, "%s", show(s, run, "params"));
    cr_assert(strcmp(ask(s, "SELECT number, typeof(number) FROM param WHERE name = 'lr'"), "0.001|real\n") == 0,
              "the number of lr");
    cr_assert(strcmp(ask(s, "SELECT number FROM param WHERE name = 'task'"), "NULL\n") == 0, "a text has no number");
    cr_assert(strcmp(ask(s, "SELECT kind, status, exit_code, seed, threads, registry_hash, argv, command FROM run"),
                     "train|done|0|7|2|0000000000abcdef|[\"flt\",\"train\",\"--set\",\"it's\"]|flt train --set 'it'\\''s'\n") ==
                  0,
              "%s", ask(s, "SELECT kind, status, exit_code, seed, threads, registry_hash, argv, command FROM run"));
    flt_provenance p;
    flt_provenance_get(&p);
    cr_assert(strncmp(ask(s, "SELECT git_commit FROM env"), p.commit, strlen(p.commit)) == 0, "the commit");
    cr_assert(strncmp(ask(s, "SELECT cpu_model FROM env"), p.cpu, strlen(p.cpu)) == 0, "the processor");
    flt_store_close(s);
}

Test(runs, a_run_is_shown_a_value_a_line) {
    flt_store *s = open_store(FLTX_STORE_WRITE);
    const flt_run_info info = {.kind = "eval", .seed = UINT64_MAX, .threads = 1};
    long long run = 0;
    cr_assert(flt_store_begin(s, &info, &run) == FLTE_OK, "%s", flt_error());
    cr_assert(flt_store_end(s, "failed", 3, "no \"luck\"") == FLTE_OK, "%s", flt_error());
    const char *text = show(s, run, "run");
    static const char *const lines[] = {"run|1\n",
                                        "\nkind|eval\n",
                                        "\nstatus|failed\n",
                                        "\nexit_code|3\n",
                                        "\nmessage|no \"luck\"\n",
                                        "\nseed|18446744073709551615\n",
                                        "\nblas|unknown\n",
                                        "\nversion|",
                                        "\ncompiler|",
                                        "\nhost|",
                                        "\nram_bytes|"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        cr_assert(strstr(text, lines[i]) != NULL, "%s lacks '%s'", text, lines[i]);
    cr_assert(strstr(text, "NULL") == NULL, "%s", text);
    flt_store_close(s);
}

Test(runs, numbers_come_back_as_they_were) {
    const double values[] = {0.0,      1.0, -1.5,     0.1,       1.0 / 3.0, DBL_MAX,      DBL_MIN,
                             4.9e-324, NAN, INFINITY, -INFINITY, 1e22,      123456789.125};
    enum { N = sizeof values / sizeof *values };
    flt_store *s = open_store(FLTX_STORE_WRITE);
    new_run(s);
    const flt_sink *sink = flt_store_sink(s);
    for (uint64_t i = 0; i < N; i++) cr_assert(flt_sink_metric(sink, "x", i, values[i]) == FLTE_OK, "%s", flt_error());
    for (int i = 0; i < N; i++) {
        char sql[128], *end = NULL;
        snprintf(sql, sizeof sql, "SELECT coalesce(value, special) FROM metrics WHERE metric = 'x' AND step = %d", i);
        const double got = strtod(ask(s, sql), &end);
        cr_assert(*end == '\n' && (got == values[i] || (isnan(got) && isnan(values[i]))), "%d: %g became %g", i, values[i], got);
    }
    cr_assert(flt_store_end(s, "done", 0, NULL) == FLTE_OK, "%s", flt_error());
    flt_store_close(s);
}
