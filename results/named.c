// SPDX-License-Identifier: MIT
// Runs as people name them: by number, or from the latest back.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "query.h"

enum { WORD = 32 };

static flt_err refuse(const char *who, const char *word) {
    return flt_fail(FLTE_USAGE, who, "'%.80s' names no run; allowed: a number from 1 on, last, last-1 (the one before it), ..",
                    word);
}

// The run before which `back` later ones are there.
static flt_err from_the_end(flt_store *s, const char *who, long long back, long long *run) {
    sqlite3_stmt *st = NULL;
    FLTX_TRY(flt_db_prepare(s->db, s->path, "SELECT run_id FROM run ORDER BY run_id DESC LIMIT 1 OFFSET ?1", &st));
    sqlite3_bind_int64(st, 1, back);
    const int rc = sqlite3_step(st);
    *run = rc == SQLITE_ROW ? sqlite3_column_int64(st, 0) : 0;
    const flt_err err = rc == SQLITE_ROW || rc == SQLITE_DONE ? FLTE_OK : flt_db_fail(s->db, rc, s->path, "reading");
    sqlite3_finalize(st);
    FLTX_TRY(err);
    if (*run > 0) return FLTE_OK;
    if (back > 0) FLTX_TRY(from_the_end(s, who, 0, run)); // where there is none at all, that is the sentence
    return back > 0 ? flt_fail(FLTE_NAME, who, "%s: fewer than %lld runs come before the latest, run %lld", s->path, back, *run)
                    : flt_fail(FLTE_NAME, who, "%s: no run has been recorded in it", s->path);
}

static bool digits(const char *text) {
    return text[0] != 0 && text[strspn(text, "0123456789")] == 0 && strlen(text) < 19;
}

flt_err flt_store_run_of(flt_store *s, const char *who, const char *word, long long *run) {
    FLTX_GIVEN(s, who, word, run);
    const size_t last = strncmp(word, "last", 4) == 0 ? 4 : 0;
    FLTX_TRY(flt_store_check(s, who, false));
    *run = 0;
    if (last > 0 && word[4] == 0) return from_the_end(s, who, 0, run);
    if (last > 0 && word[4] == '-' && digits(word + 5)) return from_the_end(s, who, strtoll(word + 5, NULL, 10), run);
    if (digits(word)) *run = strtoll(word, NULL, 10);
    return *run > 0 ? flt_find_run(s, run) : refuse(who, word);
}

// A run that stood there twice would be twice the samples, and an interval narrower than what was measured.
static bool stands_in(const char *group, long long run) {
    for (const char *p = group; p != NULL; p = strchr(p, ','), p += p != NULL)
        if (strtoll(p, NULL, 10) == run) return true;
    return false;
}

flt_err flt_store_group_of(flt_store *s, const char *who, const char *words, char **out) {
    FLTX_GIVEN(s, who, words, out);
    flt_text t = {0};
    flt_err err = FLTE_OK;
    for (const char *p = words; p != NULL && err == FLTE_OK; p = strchr(p, ','), p += p != NULL) {
        char word[WORD];
        long long run = 0;
        const size_t n = strcspn(p, ",");
        snprintf(word, sizeof word, "%.*s", (int)(n < WORD ? n : WORD), p);
        err = n < WORD ? flt_store_run_of(s, who, word, &run) : refuse(who, p);
        if (err == FLTE_USAGE) (void)flt_context(err, "several are joined by commas: 3,4,last");
        if (err == FLTE_OK && t.used > 0 && stands_in(t.data, run))
            err = flt_fail(FLTE_USAGE, who, "'%.80s': run %lld stands there twice; a run counts once", words, run);
        if (err == FLTE_OK) flt_text_print(&t, "%s%lld", t.used == 0 ? "" : ",", run);
    }
    *out = t.data;
    return err == FLTE_OK ? t.err : err;
}
