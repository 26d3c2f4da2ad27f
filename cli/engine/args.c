// SPDX-License-Identifier: MIT
#include "engine/args.h"

#include "engine/ranks.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEY_DB = FLTX_KEY_COMMON, KEY_SEED, KEY_THREADS, KEY_JSON, KEY_QUIET, KEY_SET };

flt_common flt_common_defaults(void) {
    const char *db = getenv("FLT_DB");
    return (flt_common){.db = db != NULL && db[0] != '\0' ? db : "flt.db", .threads = flt_program_threads()};
}

#define DB                                                                                                                       \
    { "db", KEY_DB, "FILE", 0, "SQLite file of the results (default: $FLT_DB, else flt.db here)", 90 }
#define JSON                                                                                                                     \
    { "json", KEY_JSON, NULL, 0, "print JSON instead of a table", 90 }
#define QUIET                                                                                                                    \
    { "quiet", KEY_QUIET, NULL, 0, "no progress and no remarks on stderr", 90 }
static const struct argp_option options[] = {
    DB,
    {"seed", KEY_SEED, "S", 0, "seed of every random number, 0 or more (default 0): the same seed gives the same bits", 90},
    {"threads", KEY_THREADS, "K", 0,
     "worker threads (default: $OMP_NUM_THREADS, else all cores); the numbers do not depend on it", 90},
    JSON,
    QUIET,
    {"set", KEY_SET, "key=value ..", 0,
     "set parameters; several may follow (see `flt list FAMILY` for names, ranges and defaults)", 90},
    {0},
};
static const struct argp_option reader_options[] = {DB, JSON, QUIET, {0}};

static void store_setting(const struct argp_state *state, flt_common *c, const char *text) {
    if (strchr(text, '=') == NULL) argp_error(state, "--set: '%s' is not key=value", text);
    if (c->n_set == FLTX_MAX_SET) argp_error(state, "--set: at most %d settings", FLTX_MAX_SET);
    c->set[c->n_set++] = text;
}

static error_t parse(int key, char *arg, struct argp_state *state) {
    flt_common *c = state->input;
    switch (key) {
    case KEY_DB:
        c->db = flt_arg_file(state, "db", arg);
        return 0;
    case KEY_SEED:
        c->seed = (uint64_t)flt_arg_int(state, "seed", arg, 0, INT64_MAX);
        return 0;
    case KEY_THREADS:
        c->threads = (int)flt_arg_int(state, "threads", arg, 1, 4096);
        return 0;
    case KEY_JSON:
        c->json = true;
        return 0;
    case KEY_QUIET:
        c->quiet = true;
        return 0;
    case KEY_SET:
        store_setting(state, c, arg);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp flt_common_argp = {.options = options, .parser = parse};
const struct argp flt_reader_argp = {.options = reader_options, .parser = parse};

bool flt_common_take(flt_common *c, const char *arg) {
    if (c->n_set == 0 || c->n_set == FLTX_MAX_SET || strchr(arg, '=') == NULL) return false;
    c->set[c->n_set++] = arg;
    return true;
}

const flt_param_spec *flt_setting_of(const flt_param_spec *table, const char *setting) {
    const size_t n = strcspn(setting, "=");
    const flt_param_spec *s = table;
    while (s != NULL && s->name != NULL && !(strlen(s->name) == n && strncmp(s->name, setting, n) == 0)) s++;
    return s != NULL && s->name != NULL ? s : NULL;
}

flt_err flt_common_apply(const flt_common *c, flt_params *p) {
    for (size_t i = 0; i < c->n_set; i++) {
        char name[128];
        const char *equals = strchr(c->set[i], '=');
        const size_t n = (size_t)(equals - c->set[i]);
        if (n == 0 || n >= sizeof name) return flt_fail(FLTE_USAGE, "--set", "'%s' is not key=value", c->set[i]);
        memcpy(name, c->set[i], n);
        name[n] = '\0';
        FLTX_TRY(flt_params_set(p, name, equals + 1));
    }
    return FLTE_OK;
}

long long flt_arg_int(const struct argp_state *state, const char *option, const char *text, long long min, long long max) {
    long long value = 0;
    char who[64];
    snprintf(who, sizeof who, "--%s", option);
    if (flt_parse_int(who, text, &value) != FLTE_OK) argp_error(state, "%s; allowed: %lld to %lld", flt_error(), min, max);
    if (value < min || value > max)
        argp_error(state, "--%s: %lld is out of range; allowed: %lld to %lld", option, value, min, max);
    return value;
}

double flt_arg_real(const struct argp_state *state, const char *option, const char *text, double min, double max) {
    double value = 0.0;
    char who[64];
    snprintf(who, sizeof who, "--%s", option);
    if (flt_parse_real(who, text, &value) != FLTE_OK) argp_error(state, "%s; allowed: %g to %g", flt_error(), min, max);
    if (!(value >= min && value <= max))
        argp_error(state, "--%s: %g is out of range; allowed: %g to %g", option, value, min, max);
    return value;
}

const char *flt_arg_file(const struct argp_state *state, const char *option, const char *text) {
    if (text[0] == '\0') argp_error(state, "--%s: the file name is empty", option);
    return text;
}

// The file behind a name, or where it would be made: its folder without links, and its last part.
static bool locate(const char *path, char *out, size_t size) {
    char folder[PATH_MAX], real[PATH_MAX];
    if (realpath(path, real) != NULL) return (size_t)snprintf(out, size, "%s", real) < size;
    const char *slash = strrchr(path, '/');
    const size_t n = slash == NULL ? 0 : (size_t)(slash - path);
    if (n >= sizeof folder) return false;
    snprintf(folder, sizeof folder, "%.*s", (int)n, path);
    if (realpath(slash == NULL ? "." : n == 0 ? "/" : folder, real) == NULL) return false;
    return (size_t)snprintf(out, size, "%s/%s", real, slash == NULL ? path : slash + 1) < size;
}

static bool same_file(const char *a, const char *b) {
    struct stat x, y;
    char p[2 * PATH_MAX], q[2 * PATH_MAX];
    if (stat(a, &x) == 0 && stat(b, &y) == 0) return x.st_dev == y.st_dev && x.st_ino == y.st_ino;
    return strcmp(a, b) == 0 || (locate(a, p, sizeof p) && locate(b, q, sizeof q) && strcmp(p, q) == 0);
}

void flt_arg_distinct(const struct argp_state *state, const flt_common *c, size_t n, const flt_arg_path *files) {
    for (size_t i = 0; i < n; i++) {
        if (files[i].path == NULL) continue;
        for (size_t k = 0; k < i; k++)
            if (files[k].path != NULL && same_file(files[i].path, files[k].path))
                argp_failure(state, 2, 0, "--%s and --%s are the same file '%s'; allowed: two files", files[k].option,
                             files[i].option, files[i].path);
        if (same_file(files[i].path, c->db))
            argp_failure(state, 2, 0, "--%s '%s' is the file of the results (--db); allowed: another", files[i].option,
                         files[i].path);
    }
}

void flt_arg_checkpoint(const struct argp_state *state, const char *path, bool resume, uint64_t otherwise, uint64_t *every) {
    if (resume && path == NULL) argp_error(state, "--resume needs --checkpoint FILE");
    if (*every > 0 && path == NULL) argp_error(state, "--checkpoint-every needs --checkpoint FILE");
    if (*every == 0) *every = otherwise;
}

const char *flt_arg_choice(const struct argp_state *state, const char *option, const char *text, const char *allowed) {
    for (const char *at = allowed; *at != '\0'; at += strspn(at, ", ")) {
        const size_t n = strcspn(at, ",");
        if (strlen(text) == n && strncmp(text, at, n) == 0) return text;
        at += n;
    }
    argp_error(state, "--%s: '%s' is unknown; allowed: %s", option, text, allowed);
    return text;
}

// "batch=64" continues the spec before it; "digits_mlp:batch=64" starts one.
static bool continues_spec(const char *item) {
    const size_t head = strcspn(item, ":=,");
    return item[head] == '=';
}

const char *flt_setting_twice(const char *settings, char separator, char end) {
    const char cuts[] = {separator, end, '\0'}, key_ends[] = {'=', separator, end, '\0'};
    for (const char *item = settings; *item != '\0' && *item != end;) {
        const size_t n = strcspn(item, key_ends);
        for (const char *before = settings; before < item; before += strcspn(before, cuts) + 1)
            if (strcspn(before, key_ends) == n && strncmp(before, item, n) == 0) return item;
        item += strcspn(item, cuts);
        item += *item == separator;
    }
    return NULL;
}

void flt_arg_once(const struct argp_state *state, const char *what, const char *spec) {
    for (const char *entry = spec; entry != NULL; entry = strchr(entry, ';'), entry += entry != NULL) {
        const size_t head = strcspn(entry, ":;");
        const char *twice = entry[head] == ':' ? flt_setting_twice(entry + head + 1, ',', ';') : NULL;
        if (twice != NULL) argp_error(state, "%s: '%s' sets '%.*s' twice", what, spec, (int)strcspn(twice, "=,;"), twice);
    }
}

// Copies of list options, cut into items: they live as long as the program, and leak checkers find them here.
__attribute__((used)) static char *kept[FLTX_MAX_LIST];
static size_t n_kept;

static size_t cut(const struct argp_state *state, const char *option, const char *text, bool specs, const char **items) {
    char *copy = n_kept < FLTX_MAX_LIST ? strdup(text) : NULL;
    size_t n = 0;
    char who[64];
    snprintf(who, sizeof who, "--%s", option);
    if (copy != NULL) kept[n_kept++] = copy;
    if (copy == NULL) argp_failure(state, 3, 0, "--%s: out of memory", option);
    for (char *item = copy; item != NULL;) {
        char *comma = strchr(item, ',');
        while (specs && comma != NULL && continues_spec(comma + 1)) comma = strchr(comma + 1, ',');
        if (comma != NULL) *comma = '\0';
        if (item[0] == '\0') argp_error(state, "--%s: '%s' has an empty item", option, text);
        if (n == FLTX_MAX_LIST) argp_error(state, "--%s: at most %d items", option, FLTX_MAX_LIST);
        if (specs) flt_arg_once(state, who, item);
        items[n++] = item;
        item = comma == NULL ? NULL : comma + 1;
    }
    return n;
}

size_t flt_arg_list(const struct argp_state *state, const char *option, const char *text, const char **items) {
    return cut(state, option, text, true, items);
}

size_t flt_arg_items(const struct argp_state *state, const char *option, const char *text, const char **items) {
    return cut(state, option, text, false, items);
}

size_t flt_arg_sizes(const struct argp_state *state, const char *option, const char *text, long long max, size_t *out) {
    const char *items[FLTX_MAX_LIST];
    const size_t n = flt_arg_list(state, option, text, items);
    for (size_t i = 0; i < n; i++) out[i] = (size_t)flt_arg_int(state, option, items[i], 1, max);
    return n;
}

// All ranks read the same command line: what is wrong with it is said once.
void flt_parse(const struct argp *argp, int argc, char **argv, void *input) {
    const int nowhere = flt_program_first() ? -1 : open("/dev/null", O_WRONLY | O_CLOEXEC);
    const int errors = nowhere < 0 ? -1 : dup(STDERR_FILENO);
    if (errors >= 0) dup2(nowhere, STDERR_FILENO);
    argp_err_exit_status = 2;
    // in order: the later of two settings counts, wherever it stands
    if (argp_parse(argp, argc, argv, ARGP_IN_ORDER, NULL, input) != 0) exit(2);
    if (errors >= 0) {
        dup2(errors, STDERR_FILENO);
        close(errors);
    }
    if (nowhere >= 0) close(nowhere);
}
