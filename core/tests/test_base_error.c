// SPDX-License-Identifier: MIT
// The sentence of a thread, the list of codes, and sinks that lack functions.
#include "flt/error.h"
#include "flt/sink.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

Test(base_error, sentence_and_context) {
    cr_assert_str_eq(flt_error(), "");
    cr_assert_eq(flt_fail(FLTE_SHAPE, "op", "%d given", 3), FLTE_SHAPE);
    cr_assert_str_eq(flt_error(), "op: 3 given");
    cr_assert_eq(flt_context(FLTE_SHAPE, "in %s", "task"), FLTE_SHAPE);
    cr_assert_str_eq(flt_error(), "op: 3 given; in task");
    flt_fail(FLTE_IO, "again", "%s", flt_error()); // reads what it replaces
    cr_assert_str_eq(flt_error(), "again: op: 3 given; in task");
    flt_context(FLTE_IO, "%s", flt_error());
    cr_assert_str_eq(flt_error(), "again: op: 3 given; in task; again: op: 3 given; in task");
    flt_error_clear();
    cr_assert_str_eq(flt_error(), "");
}

Test(base_error, long_texts_are_cut) {
    char text[3000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    flt_fail(FLTE_IO, "who", "%s", text);
    cr_assert_eq(strlen(flt_error()), 1023u);
    flt_context(FLTE_IO, "%s", text);
    cr_assert_eq(strlen(flt_error()), 1023u);
    flt_fail(FLTE_IO, text, "said");
    cr_assert_leq(strlen(flt_error()), 1023u);
    for (size_t n = 1015; n < 1024; n++) { // the joint of sentence and context meets the end
        flt_fail(FLTE_IO, "w", "%.*s", (int)n - 3, text);
        cr_assert_eq(strlen(flt_error()), n);
        flt_context(FLTE_IO, "yz");
        cr_assert_leq(strlen(flt_error()), 1023u, "n = %zu", n);
    }
}

Test(base_error, sentences_stay_on_one_line) {
    flt_fail(FLTE_NAME, "a\nb", "\x1b[2J%s", "\t\x7f\u00e9");
    cr_assert_str_eq(flt_error(), "a?b: ?[2J??\u00e9");
    flt_context(FLTE_NAME, "\r\n");
    cr_assert_str_eq(flt_error(), "a?b: ?[2J??\u00e9; ??");
}

Test(base_error, codes) {
    static const int status[] = {0, 1, 2, 3, 4};
    for (int c = 0; c < (int)FLTX_N_ERRORS; c++) {
        bool known = false;
        for (size_t k = 0; k < sizeof status / sizeof *status; k++) known |= flt_err_status((flt_err)c) == status[k];
        cr_assert(known, "%s has status %d", flt_err_name((flt_err)c), flt_err_status((flt_err)c));
        cr_assert_eq(strncmp(flt_err_name((flt_err)c), "FLTE_", 5), 0, "code %d", c);
        cr_assert_gt(strlen(flt_err_text((flt_err)c)), 3u, "code %d", c);
    }
    cr_assert_str_eq(flt_err_name(FLTE_SHAPE), "FLTE_SHAPE");
    cr_assert_eq(flt_err_status(FLTE_OK), 0);
    cr_assert_eq(flt_err_status(FLTE_CHECK), 1);
    cr_assert_eq(flt_err_status(FLTE_RANGE), 2);
    cr_assert_eq(flt_err_status(FLTE_NUMERIC), 4);
    cr_assert_str_eq(flt_err_text((flt_err)1000), "unknown error");
    cr_assert_eq(flt_err_status((flt_err)-1), 3);
}

static void *other_thread(void *sentence) {
    snprintf(sentence, 64, "%s", flt_error());
    flt_fail(FLTE_IO, "there", "failed");
    return NULL;
}

Test(base_error, threads_have_their_own) {
    char seen[64] = "unset";
    pthread_t t;
    flt_fail(FLTE_IO, "here", "failed");
    cr_assert_eq(pthread_create(&t, NULL, other_thread, seen), 0);
    cr_assert_eq(pthread_join(t, NULL), 0);
    cr_assert_str_eq(seen, "");
    cr_assert_str_eq(flt_error(), "here: failed");
}

// ---- sinks

static flt_err refuse(void *self, const char *name, uint64_t step, double value) {
    (void)name, (void)value;
    *(uint64_t *)self = step;
    return FLTE_DB;
}

Test(base_error, missing_sinks_accept_everything) {
    const flt_sink empty = {0};
    const flt_sink *const sinks[] = {NULL, &empty};
    const flt_field field = flt_num_field("x", 1.0);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(flt_sink_metric(sinks[i], "m", 1, 2.0), FLTE_OK);
        cr_assert_eq(flt_sink_record(sinks[i], "check", 1, &field), FLTE_OK);
        cr_assert_not(flt_sink_stopped(sinks[i]));
        flt_sink_progress(sinks[i], 0.5, "half");
    }
    uint64_t seen = 0;
    const flt_sink s = {.self = &seen, .metric = refuse};
    cr_assert_eq(flt_sink_metric(&s, "m", 7, 2.0), FLTE_DB);
    cr_assert_eq(seen, 7u);
}
