// SPDX-License-Identifier: MIT
// Brings a database to the schema of this program. Several processes may try at once: the version is read again inside the
// write transaction, where only one can be, and the steps and their version number commit together.
#include <stdio.h>

#include "store.h"

static flt_err apply(sqlite3 *db, const char *path) {
    long long version = 0;
    FLTX_TRY(flt_db_int(db, path, "PRAGMA user_version", &version));
    for (; version < flt_schema_version; version++) {
        char sql[64];
        FLTX_TRY(flt_db_exec(db, path, "preparing the tables", flt_schema_steps[version]));
        snprintf(sql, sizeof sql, "PRAGMA user_version = %lld", version + 1);
        FLTX_TRY(flt_db_exec(db, path, "preparing the tables", sql));
    }
    return FLTE_OK;
}

flt_err flt_db_migrate(sqlite3 *db, const char *path) {
    long long version = 0;
    FLTX_TRY(flt_db_int(db, path, "PRAGMA user_version", &version));
    if (version >= flt_schema_version) return FLTE_OK;
    FLTX_TRY(flt_db_begin(db, path));
    return flt_db_commit(db, path, apply(db, path));
}
