// SPDX-License-Identifier: MIT
#include "engine/settings.h"

#include "flt/memory.h"

#include <stdio.h>
#include <string.h>

typedef struct setting {
    const char *mechanism, *options, *args; // args: names, a blank between
    size_t N;
} setting;

static const setting settings[] = {{"exact", "rpe=auto", "lag_bias", 37},
                                   {"exact", "rpe=auto", "lag_bias", 200},
                                   {"nprf", NULL, "lag_bias", 37},
                                   {"nprf", "crossover=64", "lag_bias", 65},
                                   {"nprf", "crossover=64", "lag_bias", 200},
                                   {"flt", "table_mib=0", "", 70},
                                   {"flt", "table_mib=0", "xi rho", 70},
                                   {"spe_sine", NULL, "share", 33},
                                   {"spe_sine", "kernel=exact", "share", 70},
                                   {"spe_conv", NULL, "share", 33},
                                   {"spe_conv", "grid=5x7,width=3", "", 35},
                                   {"spe_conv", "grid=3x4x3,width=2", "share", 36},
                                   {"flt", NULL, "xi rho", 33},
                                   {"fftnet", NULL, "base_filter modulation bias", 33},
                                   {"fftnet", NULL, "base_filter modulation bias", 64}};

// The shape of one head of an argument of this name; a scalar range for its values.
static flt_attention_arg shape_of(const char *name, const flt_problem *p, double *low, double *high) {
    *low = -1.0, *high = 1.0;
    if (strcmp(name, "lag_bias") == 0) return (flt_attention_arg){"lag_bias", 1, {2 * p->N - 1}, NULL};
    if (strcmp(name, "share") == 0) return *low = 0.2, *high = 0.8, (flt_attention_arg){"share", 1, {p->d}, NULL};
    if (strcmp(name, "xi") == 0) return (flt_attention_arg){"xi", 2, {p->r, 1}, NULL};
    if (strcmp(name, "rho") == 0) return (flt_attention_arg){"rho", 1, {p->r}, NULL};
    if (strcmp(name, "bias") == 0) return *high = 0.0, (flt_attention_arg){"bias", 1, {p->N / 2 + 1}, NULL};
    return (flt_attention_arg){name, 1, {p->N / 2 + 1}, NULL}; // filters
}

// Fills the arguments named, shared or with the heads in front. data: owned by the caller.
static flt_err make_args(const flt_problem *p, const char *names, bool heads, double **data, flt_given_args *given) {
    static const char *const known[] = {"lag_bias", "share", "xi", "rho", "base_filter", "modulation", "bias"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        double low = 0.0, high = 0.0;
        const char *at = strstr(names, known[i]);
        if (at == NULL || (at != names && at[-1] != ' ')) continue; // bias is also the end of lag_bias
        flt_attention_arg *a = &given->args[given->n];
        *a = shape_of(known[i], p, &low, &high);
        const size_t count = a->rank == 2 ? a->dim[0] * a->dim[1] : a->dim[0];
        if (heads) {
            memmove(a->dim + 1, a->dim, a->rank * sizeof *a->dim);
            a->rank++, a->dim[0] = p->H;
        }
        FLTX_TRY(flt_alloc(p->H * count, sizeof **data, &data[given->n]));
        flt_rng_uniform_double(flt_rng_make(p->seed, known[i], heads), 0, p->H * count, data[given->n]);
        for (size_t k = 0; k < p->H * count; k++) data[given->n][k] = low + (high - low) * data[given->n][k];
        a->data = data[given->n++];
    }
    return FLTE_OK;
}

static flt_err on_setting(flt_check_context *c, const flt_attention_kind *kind, const setting *s, int way,
                          flt_setting_body body) {
    const bool causal = way / 2 == 1, heads = way % 2 == 1;
    const bool mixing = (kind->kind.caps & FLTX_ATT_MIXING) != 0;
    const flt_problem shape = {.B = 1,
                               .H = 2,
                               .N = s->N,
                               .d = 6,
                               .dv = mixing ? 6 : 4,
                               .l = 1,
                               .m = 9,
                               .r = 3,
                               .causal = causal,
                               .seed = c->config->seed,
                               .options = s->options,
                               .plain = s->args[0] != '\0'};
    flt_problem *p = NULL;
    flt_given_args given = {.n = 0};
    double *data[FLTX_MAX_GIVEN] = {NULL};
    FLTX_TRY(flt_problem_create(&shape, &p));
    for (size_t i = 0; p->plain && i < p->N; i++) p->pos[i] = (double)i; // what plans take for granted
    flt_err err = make_args(p, s->args, heads, data, &given);
    snprintf(given.label, sizeof given.label, "%s%s%s%s", s->args, heads ? " by heads" : "", s->options == NULL ? "" : " ",
             s->options == NULL ? "" : s->options);
    if (err == FLTE_OK) err = body(c, kind, p, &given);
    for (size_t i = 0; i < sizeof data / sizeof *data; i++) flt_free(data[i]);
    flt_problem_destroy(p);
    return err;
}

flt_err flt_each_setting(flt_check_context *c, const flt_attention_kind *kind, flt_setting_body body) {
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        if (strcmp(settings[i].mechanism, kind->kind.name) != 0) continue;
        for (int way = 0; way < 4; way++) {
            if (way / 2 == 1 && (kind->kind.caps & FLTX_ATT_CAUSAL) == 0) continue;
            FLTX_TRY(on_setting(c, kind, &settings[i], way, body));
        }
    }
    return FLTE_OK;
}
