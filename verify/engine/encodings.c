// SPDX-License-Identifier: MIT
#include "engine/encodings.h"

#include "flt/memory.h"
#include "flt/num.h"

#include <math.h>
#include <string.h>

// Plain numbers of each encoding. AUTO stands for a tenth of the number of tokens, rounded.
#define AUTO (-1.0)
typedef struct number {
    const char *name;
    double value;
} number;

static const struct {
    const char *encoding;
    number numbers[FLTX_CASE_ARGS];
} settings[] = {
    {"gaussian", {{"c", 1.0}, {"scale", 0.1}}},
    {"laplace", {{"c", 1.0}, {"scale", 0.1}}},
    {"matern32", {{"c", 1.0}, {"scale", 0.1}}},
    {"matern52", {{"c", 1.0}, {"scale", 0.1}}},
    {"cauchy", {{"c", 1.0}, {"scale", 0.1}}},
    {"box", {{"c", 1.0}, {"v", 0.1}}},
    {"ball", {{"c", 1.0}, {"v", 0.1}}},
    {"window", {{"c", 1.0}, {"v", AUTO}}},
    {"alibi", {{"slope", 8.0}}},
    {"exponential", {{"decay", 3.3546262790251185e-4}}}, // e^-8 over the line
};

static double *closed_number(flt_encoding_case *c, const char *name) {
    const struct {
        const char *name;
        double *at;
    } all[] = {{"c", &c->closed.c},         {"v", &c->closed.v},         {"scale", &c->closed.scale},
               {"slope", &c->closed.slope}, {"decay", &c->closed.decay}, {"max_distance", &c->closed.max_distance},
               {"band", &c->closed.band}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(all[i].name, name) == 0) return all[i].at;
    return NULL;
}

static void set_defaults(flt_encoding_case *c) {
    for (const flt_rpe_arg *a = c->kind->args; a->name != NULL; a++) {
        double *to = closed_number(c, a->name);
        if (to != NULL) *to = a->initial;
    }
}

static void add_numbers(flt_encoding_case *c, size_t n, const number *numbers) {
    for (size_t i = 0; i < FLTX_CASE_ARGS && numbers[i].name != NULL; i++) {
        c->numbers[i] = numbers[i].value == AUTO ? fmax(1.0, rint((double)n / 10.0)) : numbers[i].value;
        *closed_number(c, numbers[i].name) = c->numbers[i];
        c->args[c->n_args++] = (flt_attention_arg){.name = numbers[i].name, .data = &c->numbers[i]};
    }
}

static void add_mixture(flt_encoding_case *c) {
    static const double w[2] = {0.8, -0.5}, mu[2] = {0.2, 0.6}, s2[2] = {0.6, 0.9};
    c->args[0] = (flt_attention_arg){"w", 1, {2}, w};
    c->args[1] = (flt_attention_arg){"mu", 2, {2, 1}, mu};
    c->args[2] = (flt_attention_arg){"s2", 1, {2}, s2};
    c->n_args = 3;
    c->closed.t = 2, c->closed.w = w, c->closed.mu = mu, c->closed.s2 = s2;
}

// A damped cosine over the lags, three periods long: symmetric, as every mechanism can use it.
static flt_err add_lags(flt_encoding_case *c, size_t n) {
    FLTX_TRY(flt_alloc(2 * n - 1, sizeof *c->table, &c->table));
    for (size_t i = 0; i < 2 * n - 1; i++) {
        const double z = fabs((double)i - (double)(n - 1)) / (double)n;
        c->table[i] = cos(3.0 * FLTX_TWO_PI * z) * exp(-4.0 * z);
    }
    c->args[c->n_args++] = (flt_attention_arg){"lag_bias", 1, {2 * n - 1}, c->table};
    c->closed.n = n, c->closed.lag_bias = c->table;
    return FLTE_OK;
}

// T5's 32 buckets: near keys weigh more, and the past more than the future.
static flt_err add_buckets(flt_encoding_case *c) {
    enum { BUCKETS = 32, SIDE = BUCKETS / 2 };
    FLTX_TRY(flt_alloc(BUCKETS, sizeof *c->table, &c->table));
    for (size_t b = 0; b < BUCKETS; b++)
        c->table[b] = (b < SIDE ? 1.0 : 0.6) * cos(0.5 * FLTX_TWO_PI * (double)(b % SIDE) / (SIDE - 1));
    c->args[c->n_args++] = (flt_attention_arg){"buckets", 1, {BUCKETS}, c->table};
    c->closed.n_buckets = BUCKETS, c->closed.buckets = c->table, c->closed.max_distance = 128.0;
    return FLTE_OK;
}

flt_err flt_encoding_case_create(const char *name, size_t n, flt_encoding_case **out) {
    const flt_rpe_kind *kind = NULL;
    flt_encoding_case *c = NULL;
    flt_err err = FLTE_OK;
    *out = NULL;
    FLTX_TRY(flt_rpe_find(name, &kind));
    FLTX_TRY(flt_alloc(1, sizeof *c, &c));
    c->kind = kind;
    c->closed.l = 1;
    c->step = (kind->kind.caps & FLTX_RPE_GRID) != 0 ? 1.0 : 1.0 / (double)n;
    set_defaults(c);
    if (strcmp(name, "gaussian_mixture") == 0) add_mixture(c);
    if (strcmp(name, "lag_table") == 0) err = add_lags(c, n);
    if (strcmp(name, "t5_buckets") == 0) err = add_buckets(c);
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        if (strcmp(settings[i].encoding, name) == 0) add_numbers(c, n, settings[i].numbers);
    if (err == FLTE_OK) err = kind->check(&c->closed);
    if (err == FLTE_OK)
        *out = c;
    else
        flt_encoding_case_destroy(c);
    return err;
}

void flt_encoding_case_destroy(flt_encoding_case *c) {
    if (c == NULL) return;
    flt_free(c->table);
    flt_free(c);
}

void flt_encoding_case_lags(const flt_encoding_case *c, size_t n, double *lags) {
    for (size_t i = 0; i < 2 * n - 1; i++) {
        const double z = ((double)i - (double)(n - 1)) * c->step;
        c->kind->closed_form(&c->closed, 1, &z, &lags[i]);
    }
}
