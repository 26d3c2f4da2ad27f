// SPDX-License-Identifier: MIT
// Tables and views: what they are, and all their rows.
#include <string.h>

#include "query.h"

// The sentence is the comment behind the first line of each definition (results/schema/*.sql).
static const char schema_sql[] =
    "WITH t AS (SELECT name, type, rowid AS place, substr(sql, instr(sql, '-- ') + 3) || char(10) AS rest FROM sqlite_schema "
    "WHERE "
    "type IN ('table', 'view') AND name NOT LIKE 'sqlite%') "
    "SELECT name, type, (SELECT group_concat(c.name, ' ') FROM pragma_table_info(t.name) c) AS columns, "
    "substr(rest, 1, instr(rest, char(10)) - 1) AS meaning FROM t ORDER BY type, place";

static flt_err run(flt_store *s, const char *sql, const char *identifier, flt_row_fn row, void *user) {
    flt_query *q = NULL;
    FLTX_TRY(flt_alloc(1, sizeof *q, &q));
    flt_query_add(q, sql);
    if (identifier != NULL) flt_query_identifier(q, identifier);
    const flt_err err = flt_query_run(s, q, row, user);
    flt_free(q->sql.data);
    flt_free(q);
    return err;
}

flt_err flt_store_schema(flt_store *s, flt_row_fn row, void *user) {
    FLTX_GIVEN(s);
    FLTX_TRY(flt_store_check(s, "schema", false));
    return run(s, schema_sql, NULL, row, user);
}

typedef struct names {
    const char *wanted;
    bool found;
    char list[1024];
} names;

static bool add_name(void *user, size_t n, const char *const *columns, const char *const *values) {
    names *x = user;
    (void)n, (void)columns;
    const size_t used = strlen(x->list);
    x->found = x->found || strcmp(values[0], x->wanted) == 0;
    sqlite3_snprintf((int)(sizeof x->list - used), x->list + used, "%s%s", used == 0 ? "" : ", ", values[0]);
    return true;
}

flt_err flt_store_table(flt_store *s, const char *table, flt_row_fn row, void *user) {
    FLTX_GIVEN(s, table);
    names x = {.wanted = table};
    FLTX_TRY(flt_store_schema(s, add_name, &x));
    if (!x.found) return flt_fail(FLTE_NAME, "results", "there is no table or view '%s'; there are %s", table, x.list);
    return run(s, "SELECT * FROM ", table, row, user);
}
