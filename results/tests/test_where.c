// SPDX-License-Identifier: MIT
// The language of --where and the other filters: what they find, what they refuse.
#include <math.h>

#include "flt/results_ask.h"
#include "support.h"

TestSuite(where, .init = enter, .fini = leave);

// Three runs: lr 0.001, 0.01, 0.1; loss 1, inf, nan; optimizer adam, sgd, adam; the third has failed.
static flt_store *fill(void) {
    static const char *const lr[] = {"0.001", "1e-2", "0.1"}, *const optimizer[] = {"adam", "sgd", "adam"};
    static const double loss[] = {1.0, INFINITY, NAN};
    flt_store *s = open_store(FLTX_STORE_WRITE);
    for (int i = 0; i < 3; i++) {
        const flt_run_info info = {.kind = i == 0 ? "train" : "eval", .seed = (uint64_t)i, .threads = 1};
        const flt_field fields[] = {flt_text_field("optimizer", optimizer[i]), flt_text_field("task", "digits:w=8"),
                                    flt_num_field("final_loss", loss[i])};
        cr_assert(flt_store_begin(s, &info, NULL) == FLTE_OK, "%s", flt_error());
        cr_assert(flt_store_param(s, "lr", lr[i]) == FLTE_OK, "%s", flt_error());
        cr_assert(flt_store_param(s, "meta loss", i == 1 ? "log" : "it's") == FLTE_OK, "%s", flt_error());
        cr_assert(flt_sink_metric(flt_store_sink(s), "loss/a", 5, loss[i]) == FLTE_OK, "%s", flt_error());
        cr_assert(flt_sink_record(flt_store_sink(s), "evaluation", 3, fields) == FLTE_OK, "%s", flt_error());
        cr_assert(flt_store_end(s, i == 2 ? "failed" : "done", 0, NULL) == FLTE_OK, "%s", flt_error());
    }
    return s;
}

static bool add_number(void *user, size_t n, const char *const *names, const char *const *values) {
    (void)n, (void)names;
    strcat(user, values[0]);
    return true;
}

// The numbers of the runs that a filter finds, latest first: "31"; "?" when it is refused.
static const char *find(flt_store *s, const flt_run_filter *f) {
    static char found[64];
    found[0] = 0;
    return flt_store_find(s, f, add_number, found) == FLTE_OK ? found : "?";
}

Test(where, expressions_find_what_they_say) {
    static const struct {
        const char *text, *runs;
    } cases[] = {
        {"lr < 0.01", "1"},
        {"lr <= 0.01", "21"},
        {"lr != 0.01", "31"},
        {"0.01 = lr", "?"},
        {"lr < 0.05 and seed = 1", "2"},
        {"lr < 0.005 or lr > 0.05", "31"},
        {"not lr < 0.05", "3"},
        {"not (lr < 0.005 or lr > 0.05)", "2"},
        {"not lr < 0.005 and not lr > 0.05", "2"},
        {"lr > 0.05 or lr < 0.005 and seed = 1", "3"}, // and binds tighter
        {"(lr > 0.05 or lr < 0.005) and seed = 0", "1"},
        {"NOT NOT (LR = 1)", "?"},
        {"loss/a = 1", "1"},
        {"loss/a >= 1", "21"}, // infinity is more
        {"loss/a = inf", "2"},
        {"loss/a = nan", "3"},
        {"loss/a != nan", "21"},
        {"loss/a < nan", "?"},
        {"final_loss = inf or final_loss = nan", "32"},
        {"final_loss > 0", "21"},
        {"optimizer = adam", "31"},
        {"optimizer ~ 'a*'", "31"},
        {"optimizer !~ 'a*'", "2"},
        {"optimizer = 3", "?"},
        {"final_loss = 'x'", "?"},
        {"lr < abc", "?"},
        {"kind = eval and status = done", "2"},
        {"\"meta loss\" = 'log'", "2"},
        {"\"meta loss\" = \"it's\"", "31"},
        {"exit_code = 0", "321"},
        {"run >= 2", "32"},
        {"nothing = 3", "?"},
        {"", "?"},
        {"lr", "?"},
        {"lr <", "?"},
        {"lr < 1 and", "?"},
        {"(lr < 1", "?"},
        {"lr < 1)", "?"},
        {"lr < 1 seed = 3", "?"},
        {"lr << 1", "?"},
        {"lr < 'x", "?"},
    };
    flt_store *s = fill();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *got = find(s, &(flt_run_filter){.where = cases[i].text});
        cr_assert(strcmp(got, cases[i].runs) == 0, "%s: found %s instead of %s (%s)", cases[i].text, got, cases[i].runs,
                  flt_error());
    }
    flt_store_close(s);
}

Test(where, filters_find_what_they_say) {
    static const struct {
        const char *label;
        flt_run_filter f;
        const char *runs;
    } cases[] = {
        {"kind", {.kind = "eval"}, "32"},
        {"status", {.status = "failed"}, "3"},
        {"unknown status", {.status = "doone"}, "?"},
        {"task with its options", {.task = "digits:w=8"}, "321"},
        {"task", {.task = "digits"}, "321"},
        {"part of a task", {.task = "digit"}, ""},
        {"optimizer", {.optimizer = "sgd"}, "2"},
        {"mechanism", {.mechanism = "flt"}, ""},
        {"tag", {.tag = "good"}, ""},
        {"age", {.since = "1h"}, "321"},
        {"no age", {.since = "0s"}, ""},
        {"date", {.since = "2001-02-03"}, "321"},
        {"later date", {.since = "2901-02-03 10:00"}, ""},
        {"not a date", {.since = "2001-20-99"}, "?"},
        {"not an age", {.since = "2 moons"}, "?"},
        {"smallest lr first", {.sort = "lr"}, "123"},
        {"largest lr first", {.sort = "-lr"}, "321"},
        {"what is not finite last", {.sort = "final_loss", .limit = 1}, "1"},
        {"sorted by nothing", {.sort = "x;y"}, "?"},
        {"limit", {.limit = 2}, "32"},
        {"both", {.kind = "eval", .where = "seed = 1"}, "2"},
    };
    flt_store *s = fill();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *got = find(s, &cases[i].f);
        cr_assert(strcmp(got, cases[i].runs) == 0, "%s: found %s instead of %s (%s)", cases[i].label, got, cases[i].runs,
                  flt_error());
    }
    flt_store_close(s);
}

// Each text in each place: nothing is found, nothing is changed, and no sentence is SQLite's.
Test(where, attacks_stay_texts) {
    static const char *const attacks[] = {"' OR 1=1 --",  "x'; DROP TABLE run; --", "\" OR \"\"=\"", "1) OR (1=1", "x\\' OR 1 --",
                                          "'; VACUUM; '", "UNION SELECT 1",         "%' OR '1'='1",  "?1",         ") --"};
    flt_store *s = fill();
    for (size_t i = 0; i < sizeof attacks / sizeof *attacks; i++) {
        const char *a = attacks[i];
        char quoted[128], name[128], value[128];
        snprintf(quoted, sizeof quoted, strchr(a, '\'') == NULL ? "'%s' = 3" : "\"%s\" = 3", a);
        snprintf(name, sizeof name, "lr = %s", a);
        snprintf(value, sizeof value, strchr(a, '\'') == NULL ? "optimizer = '%s'" : "optimizer = \"%s\"", a);
        const flt_run_filter places[] = {{.kind = a},       {.status = a},    {.tag = a},       {.task = a},
                                         {.optimizer = a},  {.mechanism = a}, {.since = a},     {.where = a},
                                         {.where = quoted}, {.where = name},  {.where = value}, {.sort = a}};
        for (size_t k = 0; k < sizeof places / sizeof *places; k++) {
            const char *got = find(s, &places[k]);
            cr_assert(strcmp(got, "") == 0 || strcmp(got, "?") == 0, "%s at place %zu found %s", a, k, got);
            cr_assert(strstr(flt_error(), "near \"") == NULL, "%s at place %zu reached SQLite: %s", a, k, flt_error());
        }
    }
    cr_assert(strcmp(ask(s, "SELECT count(*) FROM run"), "3\n") == 0, "runs are lost");
    flt_store_close(s);
}

Test(where, long_questions_are_refused_not_crashed_on) {
    static char text[20000];
    flt_store *s = fill();
    memset(text, '(', 5000);
    cr_assert(strcmp(find(s, &(flt_run_filter){.where = text}), "?") == 0, "5000 brackets");
    text[0] = 0;
    for (int i = 0; i < 100; i++) strcat(text, i == 0 ? "lr=1" : " or lr=1");
    cr_assert(strcmp(find(s, &(flt_run_filter){.where = text}), "?") == 0, "100 comparisons");
    text[0] = 0;
    for (int i = 0; i < 64; i++) strcat(text, i == 0 ? "not lr=0.1" : " and not lr=0.1");
    cr_assert(strcmp(find(s, &(flt_run_filter){.where = text}), "21") == 0, "64 comparisons: %s", flt_error());
    memset(text, 'a', 15000);
    cr_assert(strcmp(find(s, &(flt_run_filter){.where = text}), "?") == 0, "a long word");
    flt_store_close(s);
}
