// SPDX-License-Identifier: MIT
// Inside the results store: the object, its buffer of pending rows, and the functions that its files share.
#ifndef FLTX_STORE_INTERNAL_H
#define FLTX_STORE_INTERNAL_H

#include <pthread.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <sys/types.h>

#include "flt/memory.h"
#include "flt/registry.h"
#include "flt/results.h"

enum {
    FLTX_APPLICATION_ID = 0x464c5452, // 'FLTR', in the header of the file
    FLTX_STALE_SECONDS = 600,         // a run elsewhere without a heartbeat for so long counts as interrupted; as in run_summary
    FLTX_BUSY_MS = 30000,             // the worst wait for a durable commit on a slow disk was measured at 4.3 s
    FLTX_MAX_PATH = 4000,
    FLTX_MAX_COLUMNS = 32,
    FLTX_PENDING_ROWS = 2048,
    FLTX_PENDING_CELLS = 16384,
    FLTX_PENDING_TEXT = 1 << 18,
};

// ---- record.c: kinds of records and the columns of their tables, read from the schema
typedef enum flt_record_id {
    FLTX_REC_CHECK,
    FLTX_REC_LADDER,
    FLTX_REC_EVALUATION,
    FLTX_REC_TIMING,
    FLTX_REC_EVENT,
    FLTX_REC_CURVE, // these two have no table of their columns
    FLTX_REC_PARAM,
    FLTX_N_RECORDS
} flt_record_id;
typedef enum flt_column_type { FLTX_COL_INT, FLTX_COL_REAL, FLTX_COL_TEXT } flt_column_type;
typedef struct flt_column {
    char name[32];
    flt_column_type type;
} flt_column;
typedef struct flt_record_kind {
    const char *name, *table;
    size_t n_columns;
    flt_column columns[FLTX_MAX_COLUMNS];
} flt_record_kind;
flt_err flt_records_load(sqlite3 *db, const char *path, flt_record_kind kinds[FLTX_N_RECORDS]);
flt_err flt_record_find(const char *name, flt_record_id *out);
// The column of a field. FLTE_INTERNAL, with the fields there are.
flt_err flt_record_column(const flt_record_kind *k, const char *field, size_t *out);

// ---- pending.c: rows waiting for the next transaction
typedef enum flt_cell_type { FLTX_CELL_NULL, FLTX_CELL_INT, FLTX_CELL_REAL, FLTX_CELL_TEXT } flt_cell_type;
typedef struct flt_cell {
    flt_cell_type type;
    union {
        long long i;
        double r;
        size_t text; // offset into flt_pending.text
    } u;
} flt_cell;
typedef struct flt_pending_row {
    flt_record_id record;
    size_t first; // index of its first cell
    long long t_ms;
} flt_pending_row;
typedef struct flt_pending {
    size_t n_rows, n_cells, n_text;
    flt_pending_row rows[FLTX_PENDING_ROWS];
    flt_cell cells[FLTX_PENDING_CELLS];
    char text[FLTX_PENDING_TEXT];
} flt_pending;
bool flt_pending_fits(const flt_pending *p, size_t cells, size_t text_bytes);
// Both expect that the row fits. FLTE_INTERNAL: an unknown field, or a wrong type.
flt_err flt_pending_fields(flt_pending *p, const flt_record_kind *kinds, flt_record_id record, long long t_ms, size_t n,
                           const flt_field *fields);
void flt_pending_metric(flt_pending *p, long long t_ms, const char *name, long long step, double value);
size_t flt_fields_text(size_t n, const flt_field *fields); // bytes of their texts, terminators included

// ---- series.c: the metrics of this run by name, with what the current batch adds to each
typedef struct flt_series {
    char *name, *subject, *task; // one block, freed by its first
    long long seed, metric_id;   // metric_id: 0 until it is known to be in the file
    long long points, not_finite, last_step;
    double last_value, least, most;
} flt_series;
typedef struct flt_series_map {
    size_t n, size;
    flt_series *slots; // open addressing; name is NULL in a free slot
} flt_series_map;
flt_err flt_series_find(flt_series_map *m, const char *name, const char *subject, const char *task, long long seed,
                        flt_series **out);
void flt_series_add(flt_series *x, long long step, double value);
void flt_series_next_batch(flt_series_map *m, bool forget_ids); // forget: after a rollback the names may not be in the file
void flt_series_free(flt_series_map *m);

struct flt_store {
    sqlite3 *db;
    char *path;
    int mode;
    bool immutable; // opened so because neither -wal nor -shm can be made beside the file
    pid_t pid;
    pthread_t owner;
    // the run
    long long run_id; // 0: none
    long long started_us;
    double started;  // monotonic seconds
    double flushed;  // monotonic seconds of the last flush
    double progress; // NaN: not told
    char progress_text[128];
    long long rows_lost;
    long long seq[FLTX_N_RECORDS];
    sqlite3_stmt *insert[FLTX_N_RECORDS], *find_name, *add_name, *add_series, *heartbeat;
    flt_record_kind kinds[FLTX_N_RECORDS];
    flt_pending *pending;
    flt_series_map series;
    flt_sink sink;
    // queries
    const char *types;
    double sql_seconds;
    size_t sql_bytes;
};

// ---- open.c
flt_err flt_store_check(const flt_store *s, const char *who, bool running); // right thread, not in a forked child, with a run
double flt_store_clock(void);                                               // monotonic seconds
long long flt_store_now_us(void);                                           // microseconds since 1970
flt_err flt_db_open_read(const char *path, bool immutable, sqlite3 **out);  // a read-only connection of its own
flt_err flt_db_uri(const char *path, const char *query, char **out);        // freed with flt_free

// ---- look.c: what a file is, before it is opened
typedef struct flt_look {
    bool exists, empty; // empty: no byte
    bool quiet;         // no journal waits beside it
    long long application, version, tables;
} flt_look;
flt_err flt_look_at(const char *path, flt_look *out); // fails with a sentence when the file is not to be touched

// ---- sql.c: statements and sentences
flt_err flt_db_fail(sqlite3 *db, int rc, const char *path, const char *doing);
flt_err flt_db_exec(sqlite3 *db, const char *path, const char *doing, const char *sql);
flt_err flt_db_prepare(sqlite3 *db, const char *path, const char *sql, sqlite3_stmt **out);
flt_err flt_db_int(sqlite3 *db, const char *path, const char *sql, long long *out); // the first cell of the first row
flt_err flt_db_begin(sqlite3 *db, const char *path);                                // BEGIN IMMEDIATE
flt_err flt_db_commit(sqlite3 *db, const char *path, flt_err err);                  // COMMIT, or ROLLBACK when err is set
// Runs a prepared statement that returns no row and resets it.
flt_err flt_db_run(sqlite3 *db, const char *path, const char *doing, sqlite3_stmt *st);

// ---- migrate.c
extern const char *const flt_schema_steps[]; // generated from schema/*.sql; ends with NULL
extern const int flt_schema_version;
flt_err flt_db_migrate(sqlite3 *db, const char *path);

// ---- process.c: is the process of a run still there?
typedef struct flt_process {
    long long pid, started; // started: clock ticks after boot, so that a reused pid is recognised
    char boot_id[64], pid_space[64];
} flt_process;
void flt_process_self(flt_process *out);
// Registers two SQL functions: flt_gone(boot_id, pid_space, pid, pid_started), 1 when that process ran on this machine and is no
// more; flt_status(status, host, boot_id, pid_space, pid, pid_started, heartbeat_us), "interrupted" for a running one that is
// gone.
flt_err flt_process_register(sqlite3 *db, const char *path);
void flt_process_reap(sqlite3 *db); // marks the runs whose process is gone; what cannot be written stays

// ---- spark.c: registers flt_spark(run_id, metric_id, points, first step, last step), a metric as a line of blocks
flt_err flt_spark_register(sqlite3 *db, const char *path);

// ---- rows.c: result sets as text
// Steps `st` to its end or until `row` returns false. *rows, when not NULL, counts them. rc is SQLite's last code.
flt_err flt_rows_emit(flt_store *s, sqlite3_stmt *st, flt_row_fn row, void *user, int *rc, size_t *rows);

// ---- command.c
// Both are freed with flt_free, also after a failure.
flt_err flt_command_text(int argc, char *const *argv, char **json, char **command);

// ---- sink.c
void flt_sink_bind(flt_store *s);
flt_err flt_sink_room(flt_store *s, flt_record_id record, size_t text_bytes); // flushes when the row would not fit
flt_err flt_sink_due(flt_store *s);                                           // flushes when it is time

// ---- metric.c
flt_err flt_metric_write(flt_store *s, const flt_pending_row *row);
flt_err flt_metric_write_series(flt_store *s); // after the rows of a batch
const char *flt_special_name(double x);        // "nan", "inf", "-inf"

// ---- flush.c
void flt_cell_bind(const flt_store *s, sqlite3_stmt *st, int at, const flt_cell *c); // not finite: NULL

// ---- provenance.c
flt_err flt_provenance_store(flt_store *s, const flt_run_info *info, long long *env_id);

#endif
