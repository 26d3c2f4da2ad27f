// SPDX-License-Identifier: MIT
// The machine, the build and the libraries behind a run: one row of table env per distinct set.
#include <gnu/libc-version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "build_facts.h"
#include "store.h"

// The value after `key` and a separator in a file of lines such as "model name : X" or PRETTY_NAME="X".
static bool find_line(const char *path, const char *key, char separator, char *out, size_t size) {
    char line[1024];
    bool found = false;
    FILE *f = fopen(path, "re");
    while (f != NULL && !found && fgets(line, sizeof line, f) != NULL) {
        char *value = strchr(line, separator);
        if (strncmp(line, key, strlen(key)) != 0 || value == NULL) continue;
        value += 1 + strspn(value + 1, " \t\"");
        value[strcspn(value, "\"\n")] = 0;
        snprintf(out, size, "%s", value);
        found = true;
    }
    if (f != NULL) fclose(f);
    return found;
}

static void find_cpu(char *out, size_t size) {
    static const char *const keys[] = {"model name", "Model", "cpu model", "uarch", "CPU part"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (find_line("/proc/cpuinfo", keys[i], ':', out, size)) return;
}

void flt_provenance_get(flt_provenance *out) {
    struct utsname u;
    *out = (flt_provenance){.version = FLTX_BUILD_VERSION,
                            .commit = FLTX_BUILD_COMMIT,
                            .dirty = FLTX_BUILD_DIRTY,
                            .compiler = FLTX_BUILD_COMPILER,
                            .flags = FLTX_BUILD_FLAGS,
                            .build_type = FLTX_BUILD_TYPE,
                            .host = "unknown",
                            .os = "unknown",
                            .kernel = "unknown",
                            .arch = "unknown",
                            .cpu = "unknown"};
    if (gethostname(out->host, sizeof out->host - 1) != 0) snprintf(out->host, sizeof out->host, "unknown");
    if (uname(&u) == 0) {
        snprintf(out->kernel, sizeof out->kernel, "%s %s", u.sysname, u.release);
        snprintf(out->arch, sizeof out->arch, "%s", u.machine);
    }
    find_line("/etc/os-release", "PRETTY_NAME", '=', out->os, sizeof out->os);
    find_cpu(out->cpu, sizeof out->cpu);
    snprintf(out->libc, sizeof out->libc, "glibc %s", gnu_get_libc_version());
    snprintf(out->sqlite, sizeof out->sqlite, "%s", sqlite3_libversion());
    const long cores = sysconf(_SC_NPROCESSORS_ONLN), pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    out->cores = cores > 0 ? cores : 0;
    out->ram_bytes = pages > 0 && page > 0 ? (long long)pages * page : 0;
}

enum { TEXTS = 16 };

// FNV-1a over the texts with their terminators.
static void fingerprint(const char *const text[TEXTS], const flt_provenance *p, char out[17]) {
    uint64_t hash = 0xcbf29ce484222325u;
    char numbers[64];
    snprintf(numbers, sizeof numbers, "%d %ld %lld", p->dirty, p->cores, p->ram_bytes);
    for (int i = 0; i <= TEXTS; i++) {
        const char *c = i < TEXTS ? text[i] : numbers;
        do {
            hash = (hash ^ (unsigned char)*c) * 0x100000001b3u;
        } while (*c++ != 0);
    }
    snprintf(out, 17, "%016llx", (unsigned long long)hash);
}

static const char *or_unknown(const char *text) {
    return text == NULL ? "unknown" : text;
}

flt_err flt_provenance_store(flt_store *s, const flt_run_info *info, long long *env_id) {
    flt_provenance p;
    char hash[17], query[96];
    sqlite3_stmt *st = NULL;
    flt_provenance_get(&p);
    const char *text[TEXTS] = {p.version,
                               p.commit,
                               p.host,
                               p.os,
                               p.kernel,
                               p.arch,
                               p.cpu,
                               p.libc,
                               p.sqlite,
                               p.compiler,
                               p.flags,
                               p.build_type,
                               or_unknown(info->blas),
                               or_unknown(info->fftw),
                               or_unknown(info->isa),
                               or_unknown(info->precision)};
    fingerprint(text, &p, hash);
    snprintf(query, sizeof query, "SELECT env_id FROM env WHERE fingerprint = '%s'", hash);
    FLTX_TRY(flt_db_int(s->db, s->path, query, env_id));
    if (*env_id != 0) return FLTE_OK;
    FLTX_TRY(
        flt_db_prepare(s->db, s->path,
                       "INSERT INTO env(fingerprint, git_dirty, cores, ram_bytes, version, git_commit, host, os, kernel, arch, "
                       "cpu_model, libc, sqlite, compiler, compile_flags, build_type, blas, fftw, isa, precision) VALUES "
                       "(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)",
                       &st));
    sqlite3_bind_text(st, 1, hash, -1, SQLITE_STATIC);
    sqlite3_bind_int(st, 2, p.dirty);
    sqlite3_bind_int64(st, 3, p.cores);
    sqlite3_bind_int64(st, 4, p.ram_bytes);
    for (int i = 0; i < TEXTS; i++) sqlite3_bind_text(st, i + 5, text[i], -1, SQLITE_STATIC);
    const flt_err err = flt_db_run(s->db, s->path, "writing provenance", st);
    sqlite3_finalize(st);
    *env_id = sqlite3_last_insert_rowid(s->db);
    return err;
}
