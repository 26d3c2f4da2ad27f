// SPDX-License-Identifier: MIT
// A metric as a line of UTF-8 blocks: the mean of each of 32 equal parts, between the least and the most mean. A part whose
// values are all not finite is an x.
#include <math.h>
#include <string.h>

#include "store.h"

enum { WIDTH = 32, LONG = 2048, SAMPLE = 16 };

typedef struct bins {
    double sum[WIDTH];
    long long finite[WIDTH], all[WIDTH];
} bins;

// Adds the rows of a statement; each counts for the part `at`, or, where that is negative, for its place among `points`.
static bool add(sqlite3_stmt *st, long long at, long long points, bins *b) {
    const long long width = points < WIDTH ? points : WIDTH;
    int rc = SQLITE_ROW;
    for (long long i = 0; (rc = sqlite3_step(st)) == SQLITE_ROW; i++) {
        const long long k = at >= 0 ? at : i < points ? i * width / points : width - 1;
        b->all[k]++;
        if (sqlite3_column_type(st, 0) != SQLITE_FLOAT) continue;
        b->finite[k]++;
        b->sum[k] += sqlite3_column_double(st, 0);
    }
    return sqlite3_reset(st) == SQLITE_OK && rc == SQLITE_DONE;
}

// Of a long metric the first SAMPLE values of each part: reading a million took a second.
static bool fill(sqlite3 *db, sqlite3_value **v, long long points, bins *b) {
    sqlite3_stmt *st = NULL;
    const bool whole = points <= LONG;
    const char *sql = "SELECT value FROM metric WHERE run_id = ?1 AND metric_id = ?2 AND step >= ?3 ORDER BY step LIMIT ?4";
    if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK) return false;
    const long long first = sqlite3_value_int64(v[3]), last = sqlite3_value_int64(v[4]);
    bool fine = true;
    sqlite3_bind_value(st, 1, v[0]);
    sqlite3_bind_value(st, 2, v[1]);
    sqlite3_bind_int64(st, 4, whole ? -1 : SAMPLE);
    for (long long k = 0; fine && k < (whole ? 1 : WIDTH); k++) {
        const double from = (double)first + ((double)last - (double)first) * (double)k / WIDTH;
        sqlite3_bind_int64(st, 3, k == 0 ? first : (sqlite3_int64)from);
        fine = add(st, whole ? -1 : k, points, b);
    }
    sqlite3_finalize(st);
    return fine;
}

static void draw(const bins *b, char *out) {
    static const char *const blocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    double least = INFINITY, most = -INFINITY;
    for (int i = 0; i < WIDTH; i++) {
        if (b->finite[i] == 0) continue;
        least = fmin(least, b->sum[i] / (double)b->finite[i]);
        most = fmax(most, b->sum[i] / (double)b->finite[i]);
    }
    out[0] = 0;
    for (int i = 0; i < WIDTH && b->all[i] > 0; i++) {
        const double height = b->finite[i] == 0 ? NAN : (b->sum[i] / (double)b->finite[i] - least) / (most - least);
        const int level = !(most > least) ? 0 : (int)fmin(7.0, height * 8.0);
        strcat(out, b->finite[i] == 0 ? "x" : blocks[level < 0 ? 0 : level]);
    }
}

static void spark(sqlite3_context *context, int n, sqlite3_value **v) {
    char text[4 * WIDTH + 1];
    bins b = {0};
    (void)n;
    const long long points = sqlite3_value_int64(v[2]);
    if (points < 2 || !fill(sqlite3_context_db_handle(context), v, points, &b)) return; // one value is no curve
    draw(&b, text);
    sqlite3_result_text(context, text, -1, SQLITE_TRANSIENT);
}

flt_err flt_spark_register(sqlite3 *db, const char *path) {
    const int rc = sqlite3_create_function_v2(db, "flt_spark", 5, SQLITE_UTF8 | SQLITE_DIRECTONLY, NULL, spark, NULL, NULL, NULL);
    return rc == SQLITE_OK ? FLTE_OK : flt_db_fail(db, rc, path, "opening");
}
