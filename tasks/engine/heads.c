// SPDX-License-Identifier: MIT
// Multi-head attention.
//
//   q, k, v = x W + b, cut into heads;   out = concat(mechanism(q, k, v; encoding)) W_o + b_o
//
// W_q and W_k start at half the usual scale: random features estimate exp(q.k) with a variance that grows like exp |q + k|^2, and
// every mechanism starts alike. The encoding reaches the mechanism as what it takes: exact and nprf a bias by offsets, flt
// frequencies and ratios (tasks/engine/encoding.c). The mechanism's own arrays (sines and gains of spe_sine, filters of spe_conv
// and fftnet, ..) are learned from where it draws them, where it can take new values of them.
#include "engine/heads.h"
#include "engine/encoding.h"
#include "engine/layers.h"

#include "flt/attend.h"
#include "flt/memory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LEARNED = 8, DRAWS = 32 };

// What a mechanism learns of its own, and how it takes an encoding.
typedef enum intake { NONE, BIAS, LAGS, LINES } intake;
static const struct {
    const char *name;
    intake intake;
    bool grid; // is told the positions where they are no sequence
    const char *learned[LEARNED + 1];
} mechanisms[] = {
    {"exact", BIAS, false, {NULL}},
    {"nprf", LAGS, false, {NULL}},
    {"flt", LINES, true, {NULL}},
    {"spe_sine", NONE, false, {"freqs", "phases", "gains", NULL}},
    {"spe_conv", NONE, true, {"filter_q", "filter_k", NULL}},
    {"fftnet", NONE, false, {"base_filter", "bias", "w0", "b0", "w2", "b2", "gain", "offset", NULL}},
};
enum { MECHANISMS = sizeof mechanisms / sizeof *mechanisms };

static size_t row_of(const flt_attention_kind *kind) { // MECHANISMS: nothing special
    size_t i = 0;
    while (i < MECHANISMS && strcmp(mechanisms[i].name, kind->kind.name) != 0) i++;
    return i;
}

static intake intake_of(const flt_attention_kind *kind) {
    const size_t row = row_of(kind);
    return row < MECHANISMS ? mechanisms[row].intake : NONE;
}

// ---- settings

static bool declares(const flt_attention_kind *kind, const char *name) {
    for (const flt_param_spec *s = kind->kind.params; s != NULL && s->name != NULL; s++)
        if (strcmp(s->name, name) == 0) return true;
    return false;
}

static flt_err refuse_unused(const char *who, const flt_params *p, const flt_heads *a) {
    const char *mechanism = a->kind->kind.name;
    if (flt_params_is_set(p, "m") && !declares(a->kind, "m"))
        return flt_fail(FLTE_USAGE, who, "m is set, but %s has no random features", mechanism);
    if (flt_params_is_set(p, "r") && intake_of(a->kind) != LINES)
        return flt_fail(FLTE_USAGE, who, "r is set, but %s draws no frequencies; flt does", mechanism);
    if (flt_params_is_set(p, "components") && (a->rpe == NULL || strcmp(a->rpe->kind.name, "gaussian_mixture") != 0))
        return flt_fail(FLTE_USAGE, who, "components is set, but the encoding is %s; gaussian_mixture has components",
                        a->rpe == NULL ? "none" : a->rpe->kind.name);
    return FLTE_OK;
}

static bool sets(const char *settings, const char *name) { // "a=1/b=2"
    const size_t n = strlen(name);
    for (const char *at = settings; at != NULL; at = strchr(at, '/'), at += at != NULL)
        if (strncmp(at, name, n) == 0 && at[n] == '=') return true;
    return false;
}

// Filters reach no further than the tokens: 16 x 16 taps over a grid of 4 x 4 tokens would cost 16 times as much as all offsets
// need. 0: the mechanism's own default is not too wide.
static size_t taps(const flt_heads *a) {
    size_t side = a->pos == NULL ? a->n : 1;
    for (const flt_param_spec *s = a->kind->kind.params; s != NULL && s->name != NULL; s++) {
        if (strcmp(s->name, "width") != 0) continue;
        for (size_t k = 0; a->pos != NULL && k < a->l; k++)
            side = (size_t)fmax((double)side, 1.0 + a->pos[a->n * a->l - a->l + k]);
        return (double)side < strtod(s->initial, NULL) ? side : 0;
    }
    return 0;
}

// "a=1/b=2" with "m=.." before it where the mechanism has features, as a list of its parameters; they are checked by parsing.
static flt_err write_settings(const char *who, const flt_params *p, flt_heads *a) {
    const char *more = flt_params_text(p, "settings");
    const size_t width = sets(more, "width") ? 0 : taps(a);
    flt_params *check = NULL;
    size_t used = 0;
    if (sets(more, "m")) return flt_fail(FLTE_USAGE, who, "settings holds m; set the task's own parameter m");
    if (declares(a->kind, "m")) used = (size_t)snprintf(a->settings, sizeof a->settings, "m=%zu", a->m);
    if (width > 0)
        used += (size_t)snprintf(a->settings + used, sizeof a->settings - used, "%swidth=%zu", used > 0 ? "," : "", width);
    if (more[0] != '\0')
        used += (size_t)snprintf(a->settings + used, sizeof a->settings - used, "%s%s", used > 0 ? "," : "", more);
    if (used >= sizeof a->settings)
        return flt_fail(FLTE_RANGE, who, "settings is longer than %zu characters", sizeof a->settings - 16);
    for (char *c = a->settings; *c != '\0'; c++)
        if (*c == '/') *c = ',';
    FLTX_TRY(flt_params_create(a->kind->kind.name, a->kind->kind.params, &check));
    const flt_err err = flt_params_parse(check, a->settings);
    flt_params_destroy(check);
    return err == FLTE_OK ? err : flt_context(err, "asked for by settings of %s", who);
}

// ---- the encoding

static flt_encoding encoding_of(const flt_heads *a) {
    return (flt_encoding){.kind = a->rpe, .heads = a->heads, .components = a->components, .n = a->n, .l = a->l, .pos = a->pos};
}

static void list_intakes(char *text, size_t size) {
    size_t used = 0;
    for (size_t i = 0; i < MECHANISMS; i++)
        if (mechanisms[i].intake != NONE)
            used += (size_t)snprintf(text + used, size - used, "%s%s", used > 0 ? ", " : "", mechanisms[i].name);
}

static flt_err choose_encoding(const char *who, const flt_params *p, flt_heads *a) {
    const char *name = flt_params_text(p, "rpe");
    const intake how = intake_of(a->kind);
    const bool fits = how != NONE && !(how == LAGS && a->pos != NULL);
    char names[128];
    if (strcmp(name, "none") == 0 || (strcmp(name, "auto") == 0 && !fits)) return FLTE_OK;
    FLTX_TRY(flt_rpe_find(strcmp(name, "auto") == 0 ? "gaussian_mixture" : name, &a->rpe));
    list_intakes(names, sizeof names);
    if (how == NONE)
        return flt_fail(FLTE_UNSUPPORTED, who,
                        "%s takes no encoding, but rpe is %s; set rpe=none, or one of these mechanisms: %s", a->kind->kind.name,
                        name, names);
    if (how == LAGS && a->pos != NULL)
        return flt_fail(FLTE_UNSUPPORTED, who,
                        "%s takes encodings of sequences, but positions have l = %zu; exact and flt take any", a->kind->kind.name,
                        a->l);
    const flt_encoding e = encoding_of(a);
    return flt_encoding_check(who, &e, how == LINES);
}

flt_err flt_heads_open(const char *who, const flt_params *p, flt_heads *a) {
    a->heads = flt_params_size(p, "heads");
    a->components = flt_params_size(p, "components");
    a->m = flt_params_size(p, "m");
    a->r = flt_params_size(p, "r");
    if (a->width % a->heads != 0)
        return flt_fail(FLTE_RANGE, who, "a width of %zu does not share out among %zu heads", a->width, a->heads);
    FLTX_TRY(flt_attention_find(flt_params_text(p, "attention"), &a->kind));
    FLTX_TRY(choose_encoding(who, p, a));
    FLTX_TRY(refuse_unused(who, p, a));
    return write_settings(who, p, a);
}

flt_err flt_heads_place_on_grid(const flt_params *p, size_t down, size_t right, flt_heads *a) {
    const bool grid = strcmp(flt_params_text(p, "positions"), "grid") == 0;
    a->n = down * right;
    a->l = grid ? 2 : 1;
    if (!grid) return FLTE_OK;
    FLTX_TRY(flt_alloc(a->n, 2 * sizeof *a->pos, &a->pos));
    for (size_t i = 0; i < a->n; i++) {
        a->pos[2 * i] = (double)(i / right);
        a->pos[2 * i + 1] = (double)(i % right);
    }
    return FLTE_OK;
}

void flt_heads_close(flt_heads *a) {
    flt_free(a->pos);
    *a = (flt_heads){0};
}

// ---- arguments of one layer

typedef struct arguments {
    size_t n_fixed, n_learned;
    flt_attention_arg fixed[2], learned[LEARNED];
    flt_node node[LEARNED];
    double *ones; // values to plan with
} arguments;

// A learned argument; its planning values are ones, as many as the largest node needs.
static void add_node(flt_task_model *m, arguments *to, const char *name, flt_node x) {
    if (x.id < 0 || to->n_learned == LEARNED) return;
    flt_attention_arg *arg = &to->learned[to->n_learned];
    *arg = (flt_attention_arg){.name = name, .rank = flt_node_rank(m->graph, x)};
    memcpy(arg->dim, flt_node_dim(m->graph, x), arg->rank * sizeof *arg->dim);
    to->node[to->n_learned++] = x;
}

static flt_err add_ones(const flt_task_model *m, arguments *to) {
    size_t most = 0;
    for (size_t i = 0; i < to->n_learned; i++) {
        const size_t n = flt_node_count(m->graph, to->node[i]);
        most = n > most ? n : most;
    }
    FLTX_TRY(flt_alloc(most, sizeof *to->ones, &to->ones));
    for (size_t i = 0; i < most; i++) to->ones[i] = 1.0;
    for (size_t i = 0; i < to->n_learned; i++)
        if (to->learned[i].data == NULL) to->learned[i].data = to->ones;
    return FLTE_OK;
}

static void add_encoding(flt_task_model *m, const char *name, const flt_heads *a, arguments *to) {
    const flt_encoding e = encoding_of(a);
    const intake how = intake_of(a->kind);
    char prefix[48];
    snprintf(prefix, sizeof prefix, "%s.rpe", name);
    if (how == LINES) {
        const flt_encoding_lines lines = flt_encoding_spectrum(m, prefix, &e, a->r);
        add_node(m, to, "xi", lines.xi);
        add_node(m, to, "rho", lines.rho);
        return;
    }
    const bool lags = a->pos == NULL;
    add_node(m, to, lags ? "lag_bias" : "bias", flt_encoding_bias(m, prefix, &e, lags));
}

// FLT without an encoding is told one of amplitude zero: what it draws by itself would be a random one.
static void add_no_lines(arguments *to) {
    static const double zero[1] = {0};
    to->fixed[to->n_fixed++] = (flt_attention_arg){.name = "xi", .rank = 2, .dim = {1, 1}, .data = zero};
    to->fixed[to->n_fixed++] = (flt_attention_arg){.name = "rho", .rank = 1, .dim = {1}, .data = zero};
}

static bool is_learned(const flt_heads *a, const char *name) {
    const size_t row = row_of(a->kind);
    for (size_t i = 0; row < MECHANISMS && mechanisms[row].learned[i] != NULL; i++)
        if (strcmp(mechanisms[row].learned[i], name) == 0) return true;
    return false;
}

static void add_own(flt_task_model *m, const char *name, const flt_heads *a, const flt_attention *plan, arguments *to) {
    flt_attention_arg drawn[DRAWS];
    const size_t n = flt_attention_draws(plan, DRAWS, drawn);
    char tensor[64];
    for (size_t i = 0; i < n; i++) {
        if (!is_learned(a, drawn[i].name) || to->n_learned == LEARNED) continue;
        snprintf(tensor, sizeof tensor, "%s.%s", name, drawn[i].name);
        to->learned[to->n_learned] = drawn[i];
        to->node[to->n_learned++] =
            flt_task_tensor(m, tensor, drawn[i].rank, drawn[i].dim, (flt_task_init){.value = drawn[i].data});
    }
}

static void add_positions(const flt_heads *a, arguments *to) {
    const size_t row = row_of(a->kind);
    if (a->pos == NULL || row == MECHANISMS || !mechanisms[row].grid) return;
    if (mechanisms[row].intake == LINES && a->rpe == NULL) return; // no lines to stand at positions
    to->fixed[to->n_fixed++] = (flt_attention_arg){.name = "pos", .rank = 2, .dim = {a->n, a->l}, .data = a->pos};
}

// A plan for one sequence: its draws are the first values of what is learned.
static flt_err plan_once(const flt_heads *a, uint64_t seed, const arguments *args, flt_attention **out) {
    flt_params *settings = NULL;
    const size_t d = a->width / a->heads;
    *out = NULL;
    if (row_of(a->kind) == MECHANISMS || mechanisms[row_of(a->kind)].learned[0] == NULL || a->kind->update == NULL)
        return FLTE_OK;
    FLTX_TRY(flt_params_create(a->kind->kind.name, a->kind->kind.params, &settings));
    flt_err err = flt_params_parse(settings, a->settings);
    const flt_attention_desc desc = {.mechanism = a->kind->kind.name,
                                     .B = 1,
                                     .H = a->heads,
                                     .N = a->n,
                                     .d = d,
                                     .dv = d,
                                     .causal = a->causal,
                                     .n_args = args->n_fixed,
                                     .args = args->fixed,
                                     .params = settings,
                                     .seed = seed};
    if (err == FLTE_OK) err = flt_attention_create(&desc, out);
    flt_params_destroy(settings);
    return err;
}

// ---- the layer

static flt_node project(flt_task_model *m, const char *name, const char *what, const flt_heads *a, double scale, flt_node x) {
    const size_t w = a->width;
    char tensor[64];
    snprintf(tensor, sizeof tensor, "%s.%s.w", name, what);
    const flt_node weight = flt_task_tensor(m, tensor, 2, (size_t[]){w, w}, (flt_task_init){.std = scale / sqrt((double)w)});
    snprintf(tensor, sizeof tensor, "%s.%s.b", name, what);
    const flt_node bias = flt_task_tensor(m, tensor, 1, &w, (flt_task_init){0});
    return flt_add(m->graph, flt_matmul(m->graph, x, weight, false, false), bias);
}

// [rows n, width] -> [rows, heads, n, d]
static flt_node split(flt_task_model *m, const flt_heads *a, flt_node x) {
    const size_t dim[] = {m->rows, a->n, a->heads, a->width / a->heads};
    return flt_transpose(m->graph, flt_reshape(m->graph, x, 4, dim), (size_t[]){0, 2, 1, 3});
}

static flt_node join(flt_task_model *m, const flt_heads *a, flt_node x) {
    const size_t dim[] = {m->rows * a->n, a->width};
    return flt_reshape(m->graph, flt_transpose(m->graph, x, (size_t[]){0, 2, 1, 3}), 2, dim);
}

static flt_node attend(flt_task_model *m, const char *name, const flt_heads *a, uint64_t seed, const flt_node qkv[3]) {
    arguments args = {0};
    flt_attention *plan = NULL;
    add_positions(a, &args);
    flt_err err = plan_once(a, seed, &args, &plan);
    if (err != FLTE_OK) return flt_task_fail(m, err);
    if (a->rpe != NULL) add_encoding(m, name, a, &args);
    if (a->rpe == NULL && intake_of(a->kind) == LINES) add_no_lines(&args);
    if (plan != NULL) add_own(m, name, a, plan, &args);
    const flt_attend_desc desc = {.mechanism = a->kind->kind.name,
                                  .settings = a->settings,
                                  .causal = a->causal,
                                  .seed = seed,
                                  .n_fixed = args.n_fixed,
                                  .fixed = args.fixed,
                                  .n_learned = args.n_learned,
                                  .learned = args.learned};
    err = add_ones(m, &args);
    const flt_node y = err == FLTE_OK ? flt_attend(m->graph, &desc, qkv, args.node) : flt_task_fail(m, err);
    flt_attention_destroy(plan);
    flt_free(args.ones);
    return y;
}

flt_node flt_heads_apply(flt_task_model *m, const char *name, const flt_heads *a, size_t number, flt_node x,
                         const flt_points *points) {
    const bool mixing = (a->kind->kind.caps & FLTX_ATT_MIXING) != 0;
    flt_node qkv[3];
    if (mixing) {
        qkv[0] = qkv[1] = qkv[2] = split(m, a, project(m, name, "v", a, 1.0, x));
    } else {
        qkv[0] = split(m, a, project(m, name, "q", a, 0.5, x));
        qkv[1] = split(m, a, project(m, name, "k", a, 0.5, x));
        qkv[2] = split(m, a, project(m, name, "v", a, 1.0, x));
    }
    const flt_node y = points == NULL ? attend(m, name, a, number, qkv) : flt_heads_between(m, name, a, number, qkv, points);
    return project(m, name, "out", a, 1.0, join(m, a, y));
}
