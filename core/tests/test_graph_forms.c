// SPDX-License-Identifier: MIT
// Second derivatives of attention: every mechanism with a backward pass, in every combination of its settings, against central
// differences of its gradient. The table of mechanisms is the registry: a new one is tested with no further line here.
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flt/attend.h"
#include "flt/memory.h"
#include "flt/random.h"

enum { B = 2, H = 2, N = 5, D = 3, MOST_ARGS = 12, MOST_NODES = 3 + MOST_ARGS };

// ---- combinations of settings

// Sizes that keep the cases small, and what changes nothing but the draws.
static const char *const sizes[][2] = {{"m", "4"},     {"r", "3"},       {"R", "5"},    {"K", "2"},
                                       {"width", "2"}, {"ratio", "0.5"}, {"eps", "0.3"}};
static const char *const fixed[] = {"draw", "sampling", "keep_codes", "lengthen"};

static bool is_fixed(const char *name) {
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        if (strcmp(fixed[i], name) == 0) return true;
    return false;
}

// The choices of a parameter that is tried in all its values, NULL: it stays.
static const char *choices_of(const flt_param_spec *p) {
    if (is_fixed(p->name)) return NULL;
    return p->type == FLTX_BOOL ? "true|false" : p->type == FLTX_ENUM ? p->choices : NULL;
}

static size_t count_choices(const char *choices) {
    size_t n = 1;
    for (; *choices != '\0'; choices++) n += *choices == '|';
    return n;
}

static void append(char *text, size_t size, const char *name, const char *value, size_t length) {
    const size_t used = strlen(text);
    snprintf(text + used, size - used, "%s%s=%.*s", used > 0 ? "," : "", name, (int)length, value);
}

static void append_choice(char *text, size_t size, const char *name, const char *choices, size_t k) {
    while (k-- > 0) choices = strchr(choices, '|') + 1;
    append(text, size, name, choices, strcspn(choices, "|"));
}

// Combination `number` of a mechanism's settings; false behind the last.
static bool settings_at(const flt_kind *kind, size_t number, char *text, size_t size) {
    text[0] = '\0';
    for (const flt_param_spec *p = kind->params; p != NULL && p->name != NULL; p++) {
        const char *choices = choices_of(p);
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            if (strcmp(sizes[i][0], p->name) == 0) append(text, size, p->name, sizes[i][1], strlen(sizes[i][1]));
        if (choices == NULL) continue;
        append_choice(text, size, p->name, choices, number % count_choices(choices));
        number /= count_choices(choices);
    }
    return number == 0;
}

// ---- one case

typedef struct subject {
    const char *label;
    flt_graph *g;
    flt_exec *exec; // loss, gradients, Hessian-vector products
    size_t n;       // nodes: q, k, v, learned arguments
    flt_node node[MOST_NODES], direction[MOST_NODES];
    size_t count[MOST_NODES];
    flt_real *x[MOST_NODES], *v[MOST_NODES], *here[MOST_NODES];
} subject;

// The arguments that the plan drew and that have a gradient; the plan lives as long as they are read.
static size_t differentiable(const flt_attend_desc *d, const size_t *dim, flt_attention **plan, flt_attention_arg *out) {
    flt_attention_arg drawn[32];
    flt_attention_kind const *kind = NULL;
    flt_params *params = NULL;
    size_t n = 0;
    *plan = NULL;
    cr_assert_eq(flt_attention_find(d->mechanism, &kind), FLTE_OK);
    cr_assert_eq(flt_params_create(d->mechanism, kind->kind.params, &params), FLTE_OK);
    cr_assert_eq(flt_params_parse(params, d->settings), FLTE_OK, "%s: %s", d->settings, flt_error());
    const flt_attention_desc desc = {.mechanism = d->mechanism,
                                     .B = dim[0],
                                     .H = dim[1],
                                     .N = dim[2],
                                     .d = dim[3],
                                     .dv = dim[3],
                                     .causal = d->causal,
                                     .n_args = d->n_fixed,
                                     .args = d->fixed,
                                     .params = params,
                                     .seed = d->seed,
                                     .backward = true};
    flt_real *room = calloc(8 * B * H * N * D, sizeof *room), *out_of = room + B * H * N * D;
    double grad[4096];
    if (flt_attention_create(&desc, plan) == FLTE_OK) {
        const size_t all = flt_attention_draws(*plan, 32, drawn);
        for (size_t i = 0; i < all && n < MOST_ARGS; i++) {
            const flt_attention_gradient wanted = {drawn[i].name, grad};
            const flt_attention_pass pass = {.q = room,
                                             .k = room,
                                             .v = room,
                                             .out = out_of,
                                             .dout = room,
                                             .n_args = 1,
                                             .args = &wanted,
                                             .dq = room + 2 * B * H * N * D,
                                             .dk = room + 3 * B * H * N * D,
                                             .dv = room + 4 * B * H * N * D};
            if (flt_attention_backward(*plan, &pass) == FLTE_OK) out[n++] = drawn[i];
        }
    }
    free(room);
    flt_params_destroy(params);
    return n;
}

static void add_node(subject *s, size_t rank, const size_t *dim, const double *values, double scale, uint64_t seed) {
    const size_t i = s->n++;
    s->node[i] = flt_input(s->g, "x", rank, dim);
    s->direction[i] = flt_input(s->g, "d", rank, dim);
    s->count[i] = flt_node_count(s->g, s->node[i]);
    flt_real **const arrays[] = {&s->x[i], &s->v[i], &s->here[i]};
    for (size_t k = 0; k < 3; k++) *arrays[k] = calloc(s->count[i], sizeof(flt_real));
    flt_rng_normal(flt_rng_make(seed, "form", i), 0, s->count[i], s->x[i]);
    flt_rng_normal(flt_rng_make(seed, "direction", i), 0, s->count[i], s->v[i]);
    for (size_t k = 0; k < s->count[i]; k++) {
        s->x[i][k] = values == NULL ? s->x[i][k] * (flt_real)0.6 : (flt_real)values[k];
        s->v[i][k] *= (flt_real)scale;
    }
}

// Learned: those of the description, or without any all that the plan draws. False when there is no such node: the mechanism
// itself refuses.
static bool begin(subject *s, const char *label, flt_attend_desc desc, uint64_t seed) {
    const size_t dim[] = {B, H, N, D};
    flt_attention_arg arg[MOST_ARGS];
    flt_attention *plan = NULL;
    flt_node out[1 + 2 * MOST_NODES];
    const flt_attention_arg *given = desc.learned;
    *s = (subject){.label = label};
    const size_t n = given != NULL ? desc.n_learned : differentiable(&desc, dim, &plan, arg);
    cr_assert_eq(flt_graph_create(&s->g), FLTE_OK);
    for (size_t i = 0; i < 3; i++) add_node(s, 4, dim, NULL, 0.3, seed);
    for (size_t i = 0; i < n; i++) {
        const flt_attention_arg *a = given != NULL ? &given[i] : &arg[i];
        add_node(s, a->rank, a->dim, a->data, 0.03, seed); // short: frequencies turn fast
    }
    if (given == NULL) desc.n_learned = n, desc.learned = arg;
    const flt_node y = flt_attend(s->g, &desc, s->node, s->node + 3);
    flt_attention_destroy(plan);
    if (flt_graph_status(s->g) != FLTE_OK) return false;
    flt_real *weights = calloc(B * H * N * D, sizeof *weights);
    flt_rng_normal(flt_rng_make(seed, "weights", 0), 0, B * H * N * D, weights);
    const flt_node w = flt_constant(s->g, 4, dim, weights);
    free(weights);
    out[0] = flt_add(s->g, flt_sum_all(s->g, flt_square(s->g, y)), flt_sum_all(s->g, flt_mul(s->g, w, y)));
    cr_assert_eq(flt_gradient(s->g, out[0], s->n, s->node, out + 1), FLTE_OK, "%s: %s", label, flt_error());
    cr_assert_eq(flt_hessian_vector(s->g, out[0], s->n, s->node, s->direction, out + 1 + s->n), FLTE_OK, "%s: %s", label,
                 flt_error());
    cr_assert_eq(flt_exec_create(s->g, 1 + 2 * s->n, out, &s->exec), FLTE_OK, "%s: %s", label, flt_error());
    for (size_t i = 0; i < s->n; i++) {
        flt_exec_bind(s->exec, s->node[i], s->here[i]);
        flt_exec_bind(s->exec, s->direction[i], s->v[i]);
    }
    return true;
}

static void end(subject *s) {
    flt_exec_destroy(s->exec);
    flt_graph_destroy(s->g);
    for (size_t i = 0; i < s->n; i++) {
        free(s->x[i]);
        free(s->v[i]);
        free(s->here[i]);
    }
}

// Runs at x + h v; output `at` + i of every node, in a row.
static double run(const subject *s, double h, size_t at, double *to) {
    for (size_t i = 0; i < s->n; i++)
        for (size_t k = 0; k < s->count[i]; k++) s->here[i][k] = (flt_real)((double)s->x[i][k] + h * (double)s->v[i][k]);
    flt_exec_run(s->exec);
    for (size_t i = 0; i < s->n; i++)
        for (size_t k = 0; k < s->count[i]; k++) *to++ = (double)flt_exec_output(s->exec, at + i)[k];
    return (double)*flt_exec_output(s->exec, 0);
}

// Kinks of the gradient that float's large step crosses; where it jumps, float's differences say nothing.
static bool has_kinks(const char *label) {
    return strstr(label, "fftnet") != NULL || strstr(label, "linear") != NULL;
}
static bool jumps(const char *label) {
    return strstr(label, "features=relu") != NULL;
}

// A central difference errs by eps^(2/3) of the scale, times what third derivatives add; across a kink by the step itself.
static void check(const subject *s) {
    const double h = (double)(flt_real)cbrt(FLTX_EPS), smooth = 300 * pow(FLTX_EPS, 2.0 / 3);
    const double tolerance = sizeof(flt_real) == 4 && has_kinks(s->label) ? 10 * h : smooth;
    size_t total = 0;
    for (size_t i = 0; i < s->n; i++) total += s->count[i];
    double *up = calloc(4 * total, sizeof *up), *down = up + total, *hv = down + total, *grad = hv + total;
    const double above = run(s, h, 1, up), below = run(s, -h, 1, down), loss = run(s, 0, 1 + s->n, hv);
    double slope = 0, scale = 0, size = 0, error = 0;
    run(s, 0, 1, grad);
    for (size_t i = 0, k = 0; i < s->n; i++)
        for (size_t j = 0; j < s->count[i]; j++, k++) {
            slope += grad[k] * (double)s->v[i][j];
            scale += grad[k] * grad[k];
            size += hv[k] * hv[k];
            error += pow((up[k] - down[k]) / (2 * h) - hv[k], 2);
        }
    cr_assert(isfinite(size) && size > 0, "%s: the Hessian-vector product has norm %g", s->label, sqrt(size));
    cr_assert(fabs(slope - (above - below) / (2 * h)) <= tolerance * (sqrt(scale) + fabs(loss)),
              "%s: slope %.10g, by differences %.10g", s->label, slope, (above - below) / (2 * h));
    cr_assert(sqrt(error) <= tolerance * (sqrt(scale) + sqrt(size)),
              "%s: Hessian-vector product off by %.3g, norm %.3g, gradient %.3g", s->label, sqrt(error), sqrt(size), sqrt(scale));
    free(up);
}

Test(graph_forms, every_mechanism_in_every_setting) {
    const flt_registry *r = flt_attention_registry();
    size_t mechanisms = 0, cases = 0;
    for (size_t i = 0; r->kinds[i] != NULL; i++) {
        const flt_kind *kind = r->kinds[i];
        char settings[256], label[320];
        size_t found = 0;
        if ((kind->caps & FLTX_ATT_BACKWARD) == 0) continue;
        cr_assert(flt_attend_twice(kind->name), "%s has a backward pass and no file in core/graph/forms", kind->name);
        for (size_t k = 0; settings_at(kind, k / 2, settings, sizeof settings); k++) {
            subject s;
            snprintf(label, sizeof label, "%s %s%s", kind->name, settings, k % 2 == 0 ? "" : ", causal");
            if (sizeof(flt_real) == 4 && jumps(label)) continue;
            if (begin(&s, label,
                      (flt_attend_desc){.mechanism = kind->name, .settings = settings, .causal = k % 2 == 1, .seed = 7}, k)) {
                check(&s);
                found++;
            }
            end(&s);
        }
        cr_log_info("%s: %zu combinations", kind->name, found);
        cr_assert(found > 0, "%s: nothing was tried", kind->name);
        mechanisms++;
        cases += found;
    }
    cr_assert(mechanisms >= 9 && cases >= 60, "%zu mechanisms, %zu cases", mechanisms, cases);
}

// ---- arguments that nothing draws

static const double places[2 * N] = {0, 0, 1, 0, 0, 2, 1, 1, 2, 1}, apart[N] = {0, 0.7, 1.1, 2.4, 3}, shares[D] = {0.2, 0.5, 0.8},
                               noise[D * 5] = {0.3, -1, 0.8, 0.1, -0.4, 1.2, 0.5, -0.7, 0.2, 0.9, -0.3, 0.6, 1.1, -0.2, 0.4},
                               lags[2 * N - 1] = {-1, 0.2, 0.5, -0.3, 0.1, 0.4, 0.7, -0.6, 0.3}, number[1] = {0.8}, kept[1] = {3},
                               table[N * N] = {0.1, 0.5,  -0.2, 0.3, 0.9, -0.8, 0.4, 0.6, -0.1, 0.2, 0.7, -0.5, 0.3,
                                               0.8, -0.4, 0.2,  0.1, 0.6, -0.9, 0.5, 0.3, -0.7, 0.4, 0.2, -0.6};

#define PLACES                                                                                                                   \
    { "pos", 2, {N, 2}, places }
#define LINE                                                                                                                     \
    { "pos", 2, {N, 1}, apart }
#define LAGS                                                                                                                     \
    { "lag_bias", 1, {2 * N - 1}, lags }
#define NUMBER(name)                                                                                                             \
    { name, 0, {0}, number }

static const struct {
    const char *mechanism, *settings;
    size_t n_fixed, n_learned;
    flt_attention_arg fixed[4], learned[2];
} cases[] = {
    {"exact", "", 0, 1, {{0}}, {{"bias", 2, {N, N}, table}}},
    {"exact", "", 0, 1, {{0}}, {LAGS}},
    {"exact", "rpe=laplace", 2, 0, {NUMBER("scale"), PLACES}, {{0}}},
    {"exact", "rpe=gaussian+laplace", 3, 0, {LINE, NUMBER("gaussian.scale"), NUMBER("laplace.scale")}, {{0}}},
    {"exact", "rpe=lag_table", 1, 0, {LAGS}, {{0}}},
    {"nprf", "m=4", 0, 1, {{0}}, {LAGS}},
    {"nprf", "m=4,normalise=false", 1, 0, {LAGS}, {{0}}},
    {"nprf", "m=4,rpe=matern32", 1, 0, {NUMBER("scale")}, {{0}}},
    {"flt", "m=4,r=3", 1, 0, {PLACES}, {{0}}},
    {"flt", "m=4,r=3,rpe=gaussian", 2, 0, {NUMBER("scale"), LINE}, {{0}}},
    {"flt",
     "m=4,r=4,rpe=gaussian+laplace,sampling=qmc,split=balanced",
     2,
     0,
     {NUMBER("gaussian.scale"), NUMBER("laplace.scale")},
     {{0}}},
    {"spe_sine", "m=4,R=5,K=2", 2, 1, {{"eps", 2, {D, 5}, noise}, LINE}, {{"share", 1, {D}, shares}}},
    {"spe_conv", "m=4,R=5,width=2", 2, 1, {{"eps", 2, {D, 5}, noise}, PLACES}, {{"share", 1, {D}, shares}}},
    {"spe_conv", "R=5,width=2,kernel=exact,grid=1x5", 0, 0, {{0}}, {{0}}},
    {"fourier", "", 1, 0, {{"keep", 1, {1}, kept}}, {{0}}},
};

Test(graph_forms, arguments_that_nothing_draws) {
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char label[160];
        subject s;
        snprintf(label, sizeof label, "%s %s (case %zu)", cases[i].mechanism, cases[i].settings, i);
        const flt_attend_desc desc = {.mechanism = cases[i].mechanism,
                                      .settings = cases[i].settings,
                                      .seed = 3,
                                      .n_fixed = cases[i].n_fixed,
                                      .fixed = cases[i].fixed,
                                      .n_learned = cases[i].n_learned,
                                      .learned = cases[i].learned};
        const bool made = begin(&s, label, desc, i);
        cr_assert(made, "%s: %s", label, flt_error());
        check(&s);
        end(&s);
    }
}

// Rows that have no direction, frequencies that hold nothing: no second derivative there is one that is not finite.
Test(graph_forms, zeros_stay_finite) {
    static const char *const mechanisms[] = {"nprf", "fftnet"};
    for (size_t i = 0; i < 2; i++) {
        subject s;
        double hv[4096];
        cr_assert(begin(&s, mechanisms[i],
                        (flt_attend_desc){.mechanism = mechanisms[i], .settings = i == 0 ? "m=4" : "", .seed = 3}, i));
        memset(s.x[0], 0, s.count[0] * sizeof *s.x[0]);
        run(&s, 0, 1 + s.n, hv);
        for (size_t k = 0, all = s.count[0] + s.count[1] + s.count[2]; k < all; k++)
            cr_assert(isfinite(hv[k]), "%s: %g", s.label, hv[k]);
        end(&s);
    }
}
