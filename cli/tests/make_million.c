// SPDX-License-Identifier: MIT
// make_million FILE RUN: fills a store with a million rows of metrics by one SQL script, as many runs (RUN = many) or as one
// (one), beside the run 1 that is there.
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

static const char many[] =
    "CREATE TEMP TABLE n AS WITH RECURSIVE c(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM c WHERE i < 999) SELECT i FROM c;"
    "CREATE TEMP TABLE runs AS SELECT 100 + i AS run FROM n WHERE i < 100;"
    "INSERT INTO metric_name(name) SELECT 'filler_' || i || iif(i < 3, '_loss', '') FROM n WHERE i < 10;";
static const char one[] =
    "CREATE TEMP TABLE n AS WITH RECURSIVE c(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM c WHERE i < 249999) SELECT i FROM c;"
    "CREATE TEMP TABLE runs AS SELECT 199 AS run;"
    "INSERT INTO metric_name(name) SELECT 'filler_' || i || iif(i < 3, '_loss', '') FROM n WHERE i < 4;";
static const char both[] =
    "INSERT INTO run(run_id, uuid, env_id, kind, status, argv, command, folder, seed, threads, registry_hash, pid, pid_started, "
    "boot_id, pid_space, started_us, heartbeat_us, ended_us) SELECT run, 'uuid-' || run, 1, 'train', 'done', '[]', "
    "'flt train --seed ' || run, '/', run, 1, '00', 1, 1, '', '', 1700000000000000 + run, 1700000000000000 + run, "
    "1700000001000000 + run FROM runs;"
    "INSERT INTO param SELECT run, 'lr', '0.0' || run % 10, (run % 10) / 100.0 FROM runs;"
    "INSERT INTO metric SELECT run, metric_id, i, abs(random() % 1000000) / 1e6, NULL, i FROM runs, metric_name, n WHERE name "
    "LIKE "
    "'filler%';"
    "INSERT INTO series SELECT run_id, metric_id, count(*), 0, max(step), value, NULL, min(value), max(value) FROM metric WHERE "
    "run_id >= 100 GROUP BY 1, 2;"
    "COMMIT";

int main(int argc, char **argv) {
    sqlite3 *db = NULL;
    char *message = NULL;
    if (argc != 3) return 2;
    const char *first = strcmp(argv[2], "one") == 0 ? one : many;
    if (sqlite3_open(argv[1], &db) == SQLITE_OK && sqlite3_exec(db, "BEGIN", NULL, NULL, &message) == SQLITE_OK &&
        sqlite3_exec(db, first, NULL, NULL, &message) == SQLITE_OK && sqlite3_exec(db, both, NULL, NULL, &message) == SQLITE_OK) {
        sqlite3_close(db);
        return 0;
    }
    fprintf(stderr, "%s: %s\n", argv[1], message == NULL ? "cannot be opened" : message);
    return 1;
}
