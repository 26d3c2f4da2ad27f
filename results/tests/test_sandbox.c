// SPDX-License-Identifier: MIT
// SQL from users reads, and does nothing else, in bounded time and memory.
#include <time.h>

#include "support.h"

static void fill(void) {
    enter();
    flt_store *s = open_store(FLTX_STORE_WRITE);
    new_run(s);
    for (uint64_t i = 0; i < 2000; i++) cr_assert(flt_sink_metric(flt_store_sink(s), "x", i, 0.5) == FLTE_OK, "%s", flt_error());
    cr_assert(flt_store_param(s, "lr", "0.1") == FLTE_OK && flt_store_end(s, "done", 0, NULL) == FLTE_OK, "%s", flt_error());
    flt_store_close(s);
    plain(db_path, "PRAGMA wal_checkpoint(TRUNCATE)");
}

TestSuite(sandbox, .init = fill, .fini = leave);

// Of the processor, so that a busy machine does not count.
static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

Test(sandbox, questions_are_answered) {
    static const struct {
        const char *sql, *want;
    } cases[] = {
        {"SELECT 1", "1\n"},
        {"select 1 -- and a comment\n ; -- another\n /* and another */ ", "1\n"},
        {"SELECT NULL, 'a', x'00ff', 2.0, 0.1, 1e300, -3", "NULL|a|00ff|2.0|0.1|1e+300|-3\n"},
        {"SELECT 9007199254740993, 0.1 + 0.2, 1e999, -1e999", "9007199254740993|0.30000000000000004|inf|-inf\n"},
        {"SELECT count(*), avg(value) FROM metrics WHERE metric LIKE 'x%'", "2000|0.5\n"},
        {"WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 100) SELECT sum(i) FROM c", "5050\n"},
        {"SELECT row_number() OVER (ORDER BY step DESC) FROM metric LIMIT 1", "1\n"},
        {"VALUES (1), (2)", "1\n2\n"},
        {"SELECT '{\"a\":\"nan\"}' ->> 'a'", "nan\n"},
        {"SELECT name FROM sqlite_schema WHERE name = 'leaderboard'", "leaderboard\n"},
        {"SELECT 1 WHERE 0", ""},
        {"EXPLAIN SELECT 1", NULL},
    };
    flt_store *s = open_store(FLTX_STORE_READ);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *got = ask(s, cases[i].sql);
        cr_assert(cases[i].want == NULL || strcmp(got, cases[i].want) == 0, "%s: %s", cases[i].sql, got);
    }
    flt_store_close(s);
}

static bool see_types(void *user, size_t n, const char *const *names, const char *const *values) {
    (void)values;
    cr_assert(n == 5 && strcmp(names[0], "a") == 0, "%zu columns", n);
    cr_assert(strcmp(flt_store_types(user), "irtbn") == 0, "%s", flt_store_types(user));
    return false;
}

Test(sandbox, cells_have_types_and_a_caller_may_stop) {
    flt_store *s = open_store(FLTX_STORE_READ);
    cr_assert(flt_store_sql(s, "SELECT 1 AS a, 2.5, 't', x'01', NULL UNION ALL SELECT 2, 3, 4, 5, 6", see_types, s) == FLTE_OK,
              "%s", flt_error());
    cr_assert(strcmp(flt_store_types(s), "") == 0, "no types outside of a row");
    flt_store_close(s);
}

static const char *const no_questions[] = {"DELETE FROM run",
                                           "UPDATE run SET status = 'done'",
                                           "INSERT INTO tag VALUES (1, 'x')",
                                           "REPLACE INTO tag VALUES (1, 'x')",
                                           "DROP TABLE run",
                                           "DROP VIEW run_summary",
                                           "ALTER TABLE run RENAME TO r",
                                           "CREATE TABLE x(y)",
                                           "CREATE TEMP TABLE x(y)",
                                           "CREATE VIEW x AS SELECT 1",
                                           "CREATE TEMP VIEW x AS SELECT 1",
                                           "CREATE INDEX i ON run(kind)",
                                           "CREATE TRIGGER t AFTER INSERT ON run BEGIN SELECT 1; END",
                                           "CREATE TEMP TRIGGER t AFTER INSERT ON run BEGIN SELECT 1; END",
                                           "CREATE VIRTUAL TABLE x USING fts5(y)",
                                           "ATTACH 'other.db' AS o",
                                           "ATTACH ':memory:' AS o",
                                           "DETACH main",
                                           "VACUUM",
                                           "VACUUM INTO 'copy.db'",
                                           "REINDEX",
                                           "ANALYZE",
                                           "BEGIN",
                                           "BEGIN IMMEDIATE",
                                           "COMMIT",
                                           "ROLLBACK",
                                           "SAVEPOINT a",
                                           "RELEASE a",
                                           "PRAGMA user_version = 5",
                                           "PRAGMA user_version",
                                           "PRAGMA journal_mode = DELETE",
                                           "PRAGMA writable_schema = ON",
                                           "PRAGMA query_only = OFF",
                                           "PRAGMA wal_checkpoint(TRUNCATE)",
                                           "PRAGMA temp_store_directory = '/tmp'",
                                           "SELECT 1; DELETE FROM run",
                                           "SELECT 1; SELECT 2",
                                           "; DELETE FROM run",
                                           "SELECT 1;;DROP TABLE run",
                                           "",
                                           "   ",
                                           "-- nothing",
                                           "WITH x AS (SELECT 1) DELETE FROM run",
                                           "WITH x AS (SELECT 1) INSERT INTO tag SELECT 1, 'x'",
                                           "INSERT INTO tag SELECT 1, 'x' RETURNING name",
                                           "EXPLAIN DELETE FROM run",
                                           "EXPLAIN QUERY PLAN DROP TABLE run",
                                           "SELECT load_extension('/tmp/x.so')",
                                           "SELECT writefile('/tmp/x', 'y')",
                                           "SELECT readfile('/etc/passwd')",
                                           "SELECT edit('x')",
                                           "SELECT fts3_tokenizer('x')",
                                           "SELECT sqlite_compileoption_used('x')",
                                           "SELECT flt_gone('', '', 1, 1)",
                                           "SELECT printf('%.*c', 2000000000, 'x')",
                                           "SELECT format('%.*c', 2000000000, 'x')",
                                           "SELECT group_concat(randomblob(9000000))",
                                           "SELECT zeroblob(1000000000)",
                                           "SELECT replace('a', 'a', 'b')",
                                           "SELECT hex('a')",
                                           "SELECT trim('a', 'b')",
                                           "SELECT instr('a', 'b')",
                                           "SELECT char(65)",
                                           "SELECT * FROM pragma_user_version",
                                           "SELECT * FROM pragma_table_info('run')",
                                           "SELECT * FROM pragma_wal_checkpoint",
                                           "SELECT * FROM dbstat",
                                           "SELECT * FROM json_each('[1]')",
                                           "SELECT * FROM sqlite_dbpage",
                                           "SELECT * FROM fts3tokenize",
                                           "UPDATE sqlite_schema SET sql = ''",
                                           "DELETE FROM sqlite_sequence"};

Test(sandbox, whatever_is_not_a_question_is_refused) {
    flt_store *s = open_store(FLTX_STORE_READ);
    const bytes before = read_bytes(db_path);
    for (size_t i = 0; i < sizeof no_questions / sizeof *no_questions; i++) {
        answer a = {.used = 0};
        const flt_err err = flt_store_sql(s, no_questions[i], collect, &a);
        cr_assert(err == FLTE_USAGE || err == FLTE_DB, "'%s' was answered: %s", no_questions[i], a.text);
        cr_assert(strncmp(flt_error(), "sql: ", 5) == 0 && strlen(flt_error()) > 10, "'%s': '%s'", no_questions[i], flt_error());
        cr_assert(a.rows == 0, "'%s' gave %zu rows", no_questions[i], a.rows);
    }
    static const char *const writes[] = {"DELETE FROM run", "DROP TABLE run", "PRAGMA user_version = 5", "VACUUM",
                                         "SELECT 1; SELECT 2"};
    for (size_t i = 0; i < sizeof writes / sizeof *writes; i++)
        cr_assert(flt_store_sql(s, writes[i], NULL, NULL) == FLTE_USAGE, "'%s': %s", writes[i], flt_error());
    flt_store_close(s);
    same_bytes("attacks", db_path, before);
}

Test(sandbox, mistakes_get_the_message_of_sqlite) {
    flt_store *s = open_store(FLTX_STORE_READ);
    cr_assert(flt_store_sql(s, "SELECT nothing FROM run", NULL, NULL) == FLTE_USAGE && strstr(flt_error(), "nothing") != NULL,
              "%s", flt_error());
    cr_assert(flt_store_sql(s, "SELEKT 1", NULL, NULL) == FLTE_USAGE && strstr(flt_error(), "SELEKT") != NULL, "%s", flt_error());
    flt_store_close(s);
}

// A text of 40 kB: as long as a caller can make one from 2,000 rows.
#define LONG_TEXT "WITH t AS (SELECT group_concat('aaaaaaaaaaaaaaaaaaaa', '') AS s FROM metric) "

Test(sandbox, time_and_memory_are_bounded) {
    static const struct {
        const char *sql, *want; // a piece of the sentence; NULL: may end by itself, depending on the machine
    } attacks[] = {
        {"WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c) SELECT count(*) FROM c", "after 0.3 s"},
        {"SELECT count(*) FROM metric a, metric b, metric c, metric d", "after 0.3 s"},
        {"SELECT a.step FROM metric a, metric b, metric c ORDER BY a.value, b.value, c.step DESC", "stopped after"},
        {"SELECT DISTINCT a.step || b.step || c.step FROM metric a, metric b, metric c", "after 0.3 s"},
        {LONG_TEXT "SELECT sum(s LIKE '%' || substr(s, 1, 48) || 'b') FROM t, metric", "after 0.3 s"},
        {LONG_TEXT "SELECT sum(s LIKE '%a%a%a%a%a%a%a%a%a%a%a%a%a%a%a%a%a%a%a%a%a%b') FROM t, metric", NULL},
        {LONG_TEXT "SELECT sum(s GLOB '*a*a*a*a*a*a*a*a*a*a*a*b') FROM t, metric", NULL},
        {"SELECT count(*) FROM (SELECT group_concat('aaaaaaaaaaaaaaaaaaaa', '') OVER (ORDER BY step) AS s FROM metric), metric",
         NULL},
        {"WITH RECURSIVE c(s) AS (SELECT 'a' UNION ALL SELECT s || s FROM c) SELECT length(s) FROM c", "too big"},
        {"WITH RECURSIVE c(i, s) AS (SELECT 1, 'aaaaaaaaaaaaaaaa' UNION ALL SELECT i + 1, substr(s || s, 1, 40000) || i FROM c) "
         "SELECT s FROM c ORDER BY i % 7, s",
         "stopped after"},
        {"WITH a AS (SELECT 1), b AS (SELECT 1 FROM a, a x), c AS (SELECT 1 FROM b, b x), d AS (SELECT 1 FROM c, c x), e AS "
         "(SELECT 1 "
         "FROM d, d x), f AS (SELECT 1 FROM e, e x), g AS (SELECT 1 FROM f, f x), h AS (SELECT 1 FROM g, g x), i AS (SELECT 1 "
         "FROM h, "
         "h x), j AS (SELECT 1 FROM i, i x), k AS (SELECT 1 FROM j, j x), l AS (SELECT 1 FROM k, k x), m AS (SELECT 1 FROM l, l "
         "x), n "
         "AS (SELECT 1 FROM m, m x), o AS (SELECT 1 FROM n, n x), p AS (SELECT 1 FROM o, o x), q AS (SELECT 1 FROM p, p x), r AS "
         "(SELECT 1 FROM q, q x), s AS (SELECT 1 FROM r, r x), t AS (SELECT 1 FROM s, s x), u AS (SELECT 1 FROM t, t x) SELECT "
         "count(*) FROM u",
         "after using"},
    };
    flt_store *s = open_store(FLTX_STORE_READ);
    flt_store_sql_limits(s, 0.3, 64 << 20);
    for (size_t i = 0; i < sizeof attacks / sizeof *attacks; i++) {
        sqlite3_memory_highwater(1);
        const double start = now();
        const flt_err err = flt_store_sql(s, attacks[i].sql, NULL, NULL);
        const double seconds = now() - start;
        const long long most = sqlite3_memory_highwater(0);
        cr_assert(err != FLTE_OK || attacks[i].want == NULL, "%s: %s", attacks[i].sql, flt_error());
        cr_assert(attacks[i].want == NULL || strstr(flt_error(), attacks[i].want) != NULL, "%s: %s", attacks[i].sql, flt_error());
        cr_assert(seconds < 1.5, "%s: %.1f s", attacks[i].sql, seconds);
        cr_assert(most < 100 << 20, "%s: %lld bytes", attacks[i].sql, most);
    }
    flt_store_close(s);
}
