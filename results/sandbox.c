// SPDX-License-Identifier: MIT
// SQL from users: one SELECT over a read-only connection of its own, bounded in time and memory.
//
// An authorizer allows SELECT, READ and the functions listed here; virtual tables (among them the pragma functions) are refused
// by the compiler's flag. Time and memory are looked at each 100 steps of the virtual machine, but not inside a function: so
// texts are at most 100 kB long, and functions whose cost is a product of lengths that a caller can choose (printf, replace,
// trim, instr, randomblob, ..) are not in the list. The compiler looks at nothing: twenty common table expressions, each naming
// the one before twice, took 9.6 s and 1.4 GB, so its memory has a hard limit.
#include <string.h>

#include "store.h"

enum { STEPS = 100, COMPILER_BYTES = 32 << 20 };

static const char *const functions[] = {"abs",       "avg",          "ceil",         "ceiling",    "coalesce",   "count",
                                        "cume_dist", "date",         "datetime",     "dense_rank", "exp",        "first_value",
                                        "floor",     "glob",         "group_concat", "ifnull",     "iif",        "json_extract",
                                        "->",        "->>",          "julianday",    "lag",        "last_value", "lead",
                                        "length",    "like",         "ln",           "log",        "log10",      "log2",
                                        "lower",     "max",          "min",          "mod",        "nth_value",  "ntile",
                                        "nullif",    "percent_rank", "pi",           "pow",        "power",      "quote",
                                        "rank",      "round",        "row_number",   "sign",       "sqrt",       "strftime",
                                        "substr",    "substring",    "sum",          "time",       "total",      "trunc",
                                        "typeof",    "unixepoch",    "upper",        NULL};

typedef struct guard {
    double deadline, seconds;
    sqlite3_int64 memory; // SQLite's use of memory may grow up to here
    const char *exceeded; // what ran out, NULL: nothing
    char refused[96];     // what was not allowed, "": nothing
} guard;

static int within_limits(guard *g) {
    if (flt_store_clock() > g->deadline)
        g->exceeded = "time";
    else if (sqlite3_memory_used() > g->memory)
        g->exceeded = "memory";
    return g->exceeded == NULL;
}

static int on_progress(void *user) {
    return !within_limits(user);
}

static bool allowed_function(const char *name) {
    for (size_t i = 0; functions[i] != NULL; i++)
        if (sqlite3_stricmp(name, functions[i]) == 0) return true;
    return false;
}

static int authorize(void *user, int action, const char *a, const char *b, const char *database, const char *trigger) {
    guard *g = user;
    (void)a, (void)database, (void)trigger;
    if (!within_limits(g)) return SQLITE_DENY;
    if (action == SQLITE_SELECT || action == SQLITE_READ || action == SQLITE_RECURSIVE) return SQLITE_OK;
    if (action == SQLITE_FUNCTION && b != NULL && allowed_function(b)) return SQLITE_OK;
    if (g->refused[0] == 0 && action == SQLITE_FUNCTION)
        sqlite3_snprintf(sizeof g->refused, g->refused, "the function %s", b);
    else if (g->refused[0] == 0)
        sqlite3_snprintf(sizeof g->refused, g->refused, "anything but SELECT");
    return SQLITE_DENY;
}

static void set_limits(sqlite3 *db) {
    static const int limits[][2] = {
        {SQLITE_LIMIT_LENGTH, 100000},      {SQLITE_LIMIT_SQL_LENGTH, 100000},  {SQLITE_LIMIT_COLUMN, 200},
        {SQLITE_LIMIT_EXPR_DEPTH, 100},     {SQLITE_LIMIT_COMPOUND_SELECT, 20}, {SQLITE_LIMIT_VDBE_OP, 25000},
        {SQLITE_LIMIT_FUNCTION_ARG, 20},    {SQLITE_LIMIT_ATTACHED, 0},         {SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 50},
        {SQLITE_LIMIT_VARIABLE_NUMBER, 10}, {SQLITE_LIMIT_TRIGGER_DEPTH, 1},    {SQLITE_LIMIT_WORKER_THREADS, 0}};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) sqlite3_limit(db, limits[i][0], limits[i][1]);
}

static flt_err open_sandbox(flt_store *s, guard *g, sqlite3 **out) {
    FLTX_TRY(flt_db_open_read(s->path, s->immutable, out));
    flt_err err = flt_db_exec(*out, s->path, "opening", "PRAGMA temp_store = MEMORY; PRAGMA query_only = ON");
    long long tables = 0; // reads the schema before the limits apply to it
    if (err == FLTE_OK) err = flt_db_int(*out, s->path, "SELECT count(*) FROM sqlite_schema", &tables);
    if (err != FLTE_OK) return err;
    set_limits(*out);
    *g = (guard){.deadline = flt_store_clock() + s->sql_seconds,
                 .seconds = s->sql_seconds,
                 .memory = sqlite3_memory_used() + (sqlite3_int64)s->sql_bytes};
    sqlite3_progress_handler(*out, STEPS, on_progress, g);
    sqlite3_set_authorizer(*out, authorize, g);
    return FLTE_OK;
}

static flt_err refuse(sqlite3 *db, const guard *g, const char *path, size_t bytes) {
    const int rc = sqlite3_errcode(db) & 0xff;
    if (g->exceeded != NULL && strcmp(g->exceeded, "time") == 0)
        return flt_fail(FLTE_DB, "sql", "stopped after %g s; narrow the question, or let `sqlite3` ask it", g->seconds);
    if (g->exceeded != NULL || rc == SQLITE_NOMEM)
        return flt_fail(FLTE_NOMEM, "sql", "stopped after using %zu MiB; narrow the question", bytes >> 20);
    if (g->refused[0] != 0) return flt_fail(FLTE_USAGE, "sql", "%s is not allowed here; one SELECT that reads is", g->refused);
    if (rc != SQLITE_ERROR && rc != SQLITE_AUTH && rc != SQLITE_TOOBIG && rc != SQLITE_MISMATCH)
        return flt_db_fail(db, rc, path, "reading"); // the file's fault
    return flt_fail(FLTE_USAGE, "sql", "%s; `flt results schema` lists tables and columns", sqlite3_errmsg(db));
}

// The limit is one for all connections of the process: it is held for the time of compiling alone, by one thread at a time.
static int compile(sqlite3 *db, const char *sql, sqlite3_stmt **st, const char **tail) {
    static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&one_at_a_time);
    const sqlite3_int64 before = sqlite3_hard_heap_limit64(sqlite3_memory_used() + COMPILER_BYTES);
    const int rc = sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_NO_VTAB, st, tail);
    sqlite3_hard_heap_limit64(before);
    pthread_mutex_unlock(&one_at_a_time);
    return rc;
}

static flt_err prepare(sqlite3 *db, const guard *g, const char *path, const char *sql, sqlite3_stmt **st) {
    const char *tail = NULL;
    if (compile(db, sql, st, &tail) != SQLITE_OK) return refuse(db, g, path, COMPILER_BYTES);
    if (*st == NULL) return flt_fail(FLTE_USAGE, "sql", "there is no statement; one SELECT is expected");
    if (!sqlite3_stmt_readonly(*st)) return flt_fail(FLTE_USAGE, "sql", "the statement would write; only SELECT is allowed");
    sqlite3_stmt *second = NULL; // blanks and comments compile to nothing
    const int rc = compile(db, tail, &second, NULL);
    const bool alone = rc == SQLITE_OK && second == NULL;
    sqlite3_finalize(second);
    if (rc == SQLITE_NOMEM) return refuse(db, g, path, COMPILER_BYTES);
    return alone ? FLTE_OK : flt_fail(FLTE_USAGE, "sql", "more than one statement; one SELECT is expected");
}

flt_err flt_store_sql(flt_store *s, const char *sql, flt_row_fn row, void *user) {
    FLTX_GIVEN(s, sql);
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    guard g = {0};
    int rc = SQLITE_OK;
    FLTX_TRY(flt_store_check(s, "sql", false));
    if (s->run_id != 0) FLTX_TRY(flt_store_flush(s)); // what was recorded is seen
    flt_err err = open_sandbox(s, &g, &db);
    if (err == FLTE_OK) err = prepare(db, &g, s->path, sql, &st);
    if (err == FLTE_OK) err = flt_rows_emit(s, st, row, user, &rc, NULL);
    if (err == FLTE_OK && rc != SQLITE_DONE && rc != SQLITE_ROW) err = refuse(db, &g, s->path, s->sql_bytes);
    sqlite3_finalize(st);
    sqlite3_close(db);
    return err;
}

void flt_store_sql_limits(flt_store *s, double seconds, size_t bytes) {
    s->sql_seconds = seconds;
    s->sql_bytes = bytes;
}
