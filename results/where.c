// SPDX-License-Identifier: MIT
// The language of --where: read by recursive descent, written as SQL in which every name and value of the user is bound.
//   or := and {"or" and}    and := not {"and" not}    not := "not" not | "(" or ")" | NAME OP VALUE
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "query.h"

enum { MAX_DEPTH = 40, MAX_COMPARISONS = 64 };

typedef enum token { END, WORD, QUOTED, OPERATOR, OPEN, CLOSE } token;

typedef struct parser {
    flt_store *s;
    flt_query *q;
    const char *text;  // what the user wrote
    const char *at;    // the next character of it
    char *words;       // storage of words and names, as long as text and its terminators need
    token kind;        // the current token
    const char *start; // where it begins
    const char *word;
    int depth, comparisons;
} parser;

static flt_err bad(const parser *p, const char *expected) {
    return flt_fail(FLTE_USAGE, "--where", "'%s': at letter %td %s; for example: lr < 0.01 and seed = 3", p->text,
                    p->start - p->text + 1, expected);
}

// ---- tokens
static bool word_letter(char c) {
    return isalnum((unsigned char)c) || (c != 0 && strchr("_./:-+*?@%", c) != NULL) || ((unsigned char)c & 0x80);
}

static const char *keep(parser *p, const char *from, size_t n) {
    char *word = p->words;
    memcpy(word, from, n);
    word[n] = 0;
    p->words += n + 1;
    return word;
}

static flt_err next(parser *p) {
    while (isspace((unsigned char)*p->at)) p->at++;
    p->start = p->at;
    const char c = *p->at;
    size_t n = 0;
    if (c == 0) {
        p->kind = END;
    } else if (c == '(' || c == ')') {
        p->kind = c == '(' ? OPEN : CLOSE;
        p->at++;
    } else if (c == '\'' || c == '"') {
        const char *end = strchr(p->at + 1, c);
        if (end == NULL) return bad(p, "a quote opens that does not close");
        p->kind = QUOTED;
        p->word = keep(p, p->at + 1, (size_t)(end - p->at - 1));
        p->at = end + 1;
    } else if ((n = strspn(p->at, "<>=!~")) > 0) {
        p->kind = OPERATOR;
        p->word = keep(p, p->at, n);
        p->at += n;
    } else {
        while (word_letter(p->at[n])) n++;
        if (n == 0) return bad(p, "stands a character that means nothing here");
        p->kind = WORD;
        p->word = keep(p, p->at, n);
        p->at += n;
    }
    return FLTE_OK;
}

static bool is_word(const parser *p, const char *word) {
    return p->kind == WORD && strcasecmp(p->word, word) == 0;
}

// ---- names
typedef enum type { ANY, NUMBER, TEXT } type;
static const struct {
    const char *name, *sql;
    type type;
} fields[] = {
    {"run", "r.run_id", NUMBER},      {"kind", "r.kind", TEXT},           {"status", STATUS, TEXT},
    {"seed", SEED, NUMBER},           {"threads", "r.threads", NUMBER},   {"exit_code", "r.exit_code", NUMBER},
    {"message", "r.message", TEXT},   {"command", "r.command", TEXT},     {"folder", "r.folder", TEXT},
    {"uuid", "r.uuid", TEXT},         {"host", "e.host", TEXT},           {"precision", "e.precision", TEXT},
    {"isa", "e.isa", TEXT},           {"blas", "e.blas", TEXT},           {"commit", "e.git_commit", TEXT},
    {"dirty", "e.git_dirty", NUMBER}, {"version", "e.version", TEXT},     {"cpu_model", "e.cpu_model", TEXT},
    {"seconds", SECONDS, NUMBER},     {"started", STARTED, TEXT},         {"registry_hash", "r.registry_hash", TEXT},
    {"compiler", "e.compiler", TEXT}, {"progress", "r.progress", NUMBER},
};
enum { N_FIELDS = sizeof fields / sizeof *fields };
static const flt_record_id tables[] = {FLTX_REC_EVALUATION, FLTX_REC_LADDER, FLTX_REC_CHECK, FLTX_REC_TIMING};
enum { N_TABLES = sizeof tables / sizeof *tables };

static const flt_column *column_of(const flt_store *s, flt_record_id table, const char *name) {
    const flt_record_kind *k = &s->kinds[table];
    for (size_t i = 0; i < k->n_columns; i++)
        if (strcmp(k->columns[i].name, name) == 0) return &k->columns[i];
    return NULL;
}

static size_t field_of(const char *name) {
    size_t i = 0;
    while (i < N_FIELDS && strcmp(fields[i].name, name) != 0) i++;
    return i;
}

// Is there a parameter or a metric of this name? Otherwise a sentence with the nearest name there is.
static flt_err check_name(flt_store *s, const char *name) {
    enum { MOST = 2000 };
    for (size_t i = 0; i < N_TABLES; i++)
        if (column_of(s, tables[i], name) != NULL) return FLTE_OK;
    sqlite3_stmt *st = NULL;
    char **names = NULL;
    size_t n = 0;
    bool found = false;
    FLTX_TRY(flt_alloc(MOST + N_FIELDS + 1, sizeof *names, &names));
    flt_err err =
        flt_db_prepare(s->db, s->path, "SELECT DISTINCT name FROM param UNION SELECT name FROM metric_name LIMIT 2000", &st);
    int rc = SQLITE_DONE;
    while (err == FLTE_OK && !found && n < MOST && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        const char *have = (const char *)sqlite3_column_text(st, 0);
        found = have != NULL && strcmp(have, name) == 0;
        if (have != NULL) err = flt_strdup(have, &names[n++]);
    }
    if (err == FLTE_OK && rc != SQLITE_DONE && rc != SQLITE_ROW) err = flt_db_fail(s->db, rc, s->path, "reading");
    sqlite3_finalize(st);
    for (size_t i = 0; err == FLTE_OK && !found && i < N_FIELDS; i++) err = flt_strdup(fields[i].name, &names[n++]);
    if (err == FLTE_OK && !found) {
        const char *near = flt_nearest(name, (const char *const *)names);
        err = flt_fail(FLTE_NAME, "results", "no run has a parameter, metric or field '%s'%s%s%s", name,
                       near == NULL ? "" : "; did you mean '", near == NULL ? "" : near, near == NULL ? "" : "'?");
    }
    for (size_t i = 0; i < n; i++) flt_free(names[i]);
    flt_free(names);
    return err;
}

// ---- values
typedef struct comparison {
    const char *name, *op; // op as SQL
    const char *text;      // the value as written
    bool is_number, pattern;
    double number;
} comparison;

static void add_value(flt_query *q, const comparison *c) {
    flt_query_add(q, c->op);
    if (c->is_number)
        flt_query_bind_number(q, c->number);
    else
        flt_query_bind_text(q, c->text);
}

// A number in `value` whose not finite cases are named in `special`.
static void add_special(flt_query *q, const comparison *c, const char *special, const char *value, const char *column) {
    flt_query_add(q, isnan(c->number) ? "coalesce(" : "coalesce(");
    if (isnan(c->number)) { // named, never compared
        flt_query_add(q, special);
        if (column != NULL) flt_query_bind_text(q, column);
        flt_query_add(q, ", '') ");
        flt_query_add(q, c->op);
        flt_query_add(q, "'nan'");
        return;
    }
    if (column != NULL)
        flt_query_identifier(q, column);
    else
        flt_query_add(q, value);
    flt_query_add(q, ", CASE ");
    flt_query_add(q, special);
    if (column != NULL) flt_query_bind_text(q, column);
    flt_query_add(q, " WHEN 'inf' THEN 9e999 WHEN '-inf' THEN -9e999 END)");
    add_value(q, c);
}

static void add_table(const flt_store *s, flt_query *q, flt_record_id table, const comparison *c) {
    const flt_column *column = column_of(s, table, c->name);
    if (column == NULL || (column->type == FLTX_COL_TEXT) == c->is_number) return;
    flt_query_add(q, " OR EXISTS(SELECT 1 FROM ");
    flt_query_identifier(q, s->kinds[table].table);
    flt_query_add(q, " v WHERE v.run_id = r.run_id AND ");
    if (c->is_number) {
        add_special(q, c, "v.special ->> ", NULL, c->name);
    } else {
        flt_query_add(q, "v.");
        flt_query_identifier(q, c->name);
        add_value(q, c);
    }
    flt_query_add(q, ")");
}

static void add_comparison(const flt_store *s, flt_query *q, const comparison *c) {
    const bool nan = c->is_number && isnan(c->number);
    flt_query_add(q, "(EXISTS(SELECT 1 FROM param p WHERE p.run_id = r.run_id AND p.name = ");
    flt_query_bind_text(q, c->name);
    flt_query_add(q, c->is_number ? " AND p.number" : " AND p.value");
    if (nan)
        flt_query_add(q, " IS NULL AND 0");
    else
        add_value(q, c);
    flt_query_add(q, ")");
    if (c->is_number) {
        flt_query_add(q, " OR EXISTS(SELECT 1 FROM series x JOIN metric_name n USING(metric_id) WHERE x.run_id = r.run_id AND "
                         "n.name = ");
        flt_query_bind_text(q, c->name);
        flt_query_add(q, " AND ");
        add_special(q, c, "x.last_special", "x.last_value", NULL);
        flt_query_add(q, ")");
    }
    for (size_t i = 0; i < N_TABLES; i++) add_table(s, q, tables[i], c);
    flt_query_add(q, ")");
}

// ---- the comparison
static flt_err read_operator(parser *p, comparison *c) {
    static const struct {
        const char *written, *sql;
    } ops[] = {{"<", " < "},  {"<=", " <= "}, {">", " > "},   {">=", " >= "},  {"=", " = "},
               {"==", " = "}, {"!=", " <> "}, {"<>", " <> "}, {"~", " GLOB "}, {"!~", " NOT GLOB "}};
    for (size_t i = 0; p->kind == OPERATOR && i < sizeof ops / sizeof *ops; i++)
        if (strcmp(p->word, ops[i].written) == 0) c->op = ops[i].sql;
    if (c->op == NULL) return bad(p, "one of < <= > >= = != ~ !~ is expected");
    c->pattern = strstr(c->op, "GLOB") != NULL;
    return next(p);
}

static flt_err read_value(parser *p, comparison *c) {
    char *end = NULL;
    if (p->kind != WORD && p->kind != QUOTED) return bad(p, "a number or a text is expected");
    c->text = p->word;
    const bool digits = strspn(p->word, "+-.0123456789eE") == strlen(p->word);
    const bool special = strcmp(p->word, "inf") == 0 || strcmp(p->word, "-inf") == 0 || strcmp(p->word, "nan") == 0;
    c->number = strtod(p->word, &end);
    c->is_number = p->kind == WORD && !c->pattern && (digits || special) && *end == 0 && end != p->word;
    const bool equality = c->op[1] == '=' || strcmp(c->op, " <> ") == 0;
    if (!c->is_number && !c->pattern && !equality) return bad(p, "a number is expected: < <= > >= compare numbers");
    if (c->is_number && isnan(c->number) && !equality) return bad(p, "nan is neither less nor more; = and != find it");
    return next(p);
}

static flt_err check_type(const parser *p, const comparison *c) {
    const size_t field = field_of(c->name);
    bool number = false, text = false;
    if (field < N_FIELDS) {
        number = fields[field].type == NUMBER;
        text = !number;
    } else {
        for (size_t i = 0; i < N_TABLES; i++) {
            const flt_column *column = column_of(p->s, tables[i], c->name);
            if (column != NULL) *(column->type == FLTX_COL_TEXT ? &text : &number) = true;
        }
    }
    if (number && !text && !c->is_number)
        return flt_fail(FLTE_USAGE, "--where", "'%s' is a number and '%s' is a text; give a number without quotes", c->name,
                        c->text);
    if (text && !number && c->is_number)
        return flt_fail(FLTE_USAGE, "--where", "'%s' is a text; put '%s' in quotes", c->name, c->text);
    return FLTE_OK;
}

static flt_err comparison_(parser *p) {
    comparison c = {0};
    if (p->kind != WORD && p->kind != QUOTED) return bad(p, "a name is expected");
    if (++p->comparisons > MAX_COMPARISONS) return bad(p, "the 65th comparison begins; 64 are allowed");
    c.name = p->word;
    FLTX_TRY(next(p));
    FLTX_TRY(read_operator(p, &c));
    FLTX_TRY(read_value(p, &c));
    FLTX_TRY(check_type(p, &c));
    const size_t field = field_of(c.name);
    if (field == N_FIELDS) {
        FLTX_TRY(check_name(p->s, c.name));
        add_comparison(p->s, p->q, &c);
    } else if (c.is_number && isnan(c.number)) {
        flt_query_add(p->q, "0"); // no field of a run is NaN
    } else {
        flt_query_add(p->q, "coalesce(");
        flt_query_add(p->q, fields[field].sql);
        add_value(p->q, &c);
        flt_query_add(p->q, ", 0)");
    }
    return p->q->sql.err;
}

// ---- the grammar
static flt_err either(parser *p);

static flt_err factor(parser *p) {
    flt_err err = FLTE_OK;
    if (++p->depth > MAX_DEPTH) return bad(p, "the brackets are nested more than 40 deep");
    if (is_word(p, "not")) {
        FLTX_TRY(next(p));
        flt_query_add(p->q, "NOT ");
        err = factor(p);
    } else if (p->kind == OPEN) {
        FLTX_TRY(next(p));
        flt_query_add(p->q, "(");
        err = either(p);
        if (err == FLTE_OK && p->kind != CLOSE) return bad(p, "a closing bracket, and or or is expected");
        flt_query_add(p->q, ")");
        if (err == FLTE_OK) err = next(p);
    } else {
        err = comparison_(p);
    }
    p->depth--;
    return err;
}

static flt_err both(parser *p) {
    FLTX_TRY(factor(p));
    while (is_word(p, "and")) {
        FLTX_TRY(next(p));
        flt_query_add(p->q, " AND ");
        FLTX_TRY(factor(p));
    }
    return FLTE_OK;
}

static flt_err either(parser *p) {
    FLTX_TRY(both(p));
    while (is_word(p, "or")) {
        FLTX_TRY(next(p));
        flt_query_add(p->q, " OR ");
        FLTX_TRY(both(p));
    }
    return FLTE_OK;
}

flt_err flt_where_compile(flt_store *s, const char *text, flt_query *q, char **words) {
    if (strlen(text) > 10000) return flt_fail(FLTE_USAGE, "--where", "it has more than 10000 letters");
    FLTX_TRY(flt_alloc(2 * strlen(text) + 8, 1, words));
    if (s->kinds[FLTX_REC_CHECK].table == NULL) FLTX_TRY(flt_records_load(s->db, s->path, s->kinds));
    parser p = {.s = s, .q = q, .text = text, .at = text, .words = *words};
    FLTX_TRY(next(&p));
    flt_query_add(q, "(");
    FLTX_TRY(either(&p));
    if (p.kind != END) return bad(&p, "and, or or the end is expected");
    flt_query_add(q, ")");
    return q->sql.err;
}

flt_err flt_where_value(flt_store *s, const char *name, flt_query *q) {
    const size_t field = field_of(name);
    if (s->kinds[FLTX_REC_CHECK].table == NULL) FLTX_TRY(flt_records_load(s->db, s->path, s->kinds));
    if (field < N_FIELDS) {
        flt_query_add(q, fields[field].sql);
        return q->sql.err;
    }
    FLTX_TRY(check_name(s, name));
    flt_query_add(q, "coalesce((SELECT coalesce(p.number, p.value) FROM param p WHERE p.run_id = r.run_id AND p.name = ");
    flt_query_bind_text(q, name);
    flt_query_add(q, "), (SELECT min(x.last_value) FROM series x JOIN metric_name n USING(metric_id) WHERE "
                     "x.run_id = r.run_id AND n.name = ");
    flt_query_bind_text(q, name);
    flt_query_add(q, ")");
    for (size_t i = 0; i < N_TABLES; i++) {
        if (column_of(s, tables[i], name) == NULL) continue;
        flt_query_add(q, ", (SELECT min(v.");
        flt_query_identifier(q, name);
        flt_query_add(q, ") FROM ");
        flt_query_identifier(q, s->kinds[tables[i]].table);
        flt_query_add(q, " v WHERE v.run_id = r.run_id)");
    }
    flt_query_add(q, ")");
    return q->sql.err;
}
