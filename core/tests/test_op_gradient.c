// SPDX-License-Identifier: MIT
// Every op of the registry: first and second derivatives against central differences, on the examples that the op brings along.
//
// Judged function: F = sum w (z + z^2 / 2), z the op's result, so that linear ops have a Hessian as well. With h = eps^(1/3) a
// central difference errs by h^2 F''' / 6 + eps |F| / h, both of the order eps^(2/3) scale: 4e-11 in double, 2e-5 in float.
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>
#include <string.h>

#include "../graph/engine/op.h"
#include "flt/random.h"

enum { MOST = 64, INPUTS = FLTX_EXAMPLE_INPUTS };

typedef struct subject {
    const flt_op_kind *kind;
    const flt_op_example *example;
    flt_graph *graph;
    flt_exec *exec;
    size_t count[INPUTS], smooth[INPUTS], n; // smooth: which inputs are differentiated; n: how many
    flt_node in[INPUTS], direction[INPUTS], weight;
    flt_real x[INPUTS][MOST], d[INPUTS][MOST], w[MOST];
} subject;

static flt_rng stream(const subject *s, const char *tag, size_t number) {
    return flt_rng_child(flt_rng_make(7, s->kind->kind.name, 0), tag, (size_t)(s->example - s->kind->examples) * 16 + number);
}

static void fill(flt_rng r, const flt_op_example_input *in, size_t n, flt_real *x) {
    for (size_t i = 0; i < n; i++) {
        const double u = flt_rng_uniform_at(r, i);
        double v = in->low + (in->high - in->low) * u;
        if (in->index > 0) v = floor(u * (double)in->index);
        if (fabs(v) < in->kink) v = v < 0 ? v - in->kink : v + in->kink;
        x[i] = (flt_real)v;
    }
}

static void set_inputs(subject *s) {
    static const flt_op_example_input around_one = {.low = 0.5, .high = 1.5}, around_zero = {.low = -1, .high = 1};
    for (size_t k = 0; k < s->example->n; k++) {
        const flt_op_example_input *in = &s->example->in[k];
        s->in[k] = flt_input(s->graph, "x", in->rank, in->dim);
        s->direction[k] = flt_input(s->graph, "d", in->rank, in->dim);
        s->count[k] = flt_node_count(s->graph, s->in[k]);
        cr_assert(le(sz, s->count[k], MOST), "%s", s->example->label);
        fill(stream(s, "x", k), in, s->count[k], s->x[k]);
        fill(stream(s, "d", k), &around_zero, s->count[k], s->d[k]);
        if (in->index == 0) s->smooth[s->n++] = k;
    }
    fill(stream(s, "w", 0), &around_one, MOST, s->w);
}

// Outputs: F, the gradients, the products of Hessian and direction.
static void begin(subject *s, const flt_op_kind *kind, const flt_op_example *example) {
    flt_node out[1 + 2 * INPUTS], x[INPUTS], d[INPUTS];
    *s = (subject){.kind = kind, .example = example};
    cr_assert(eq(int, flt_graph_create(&s->graph), FLTE_OK));
    set_inputs(s);
    const flt_node z = example->build(s->graph, s->in);
    cr_assert(eq(int, flt_graph_status(s->graph), FLTE_OK), "%s, %s: %s", kind->kind.name, example->label, flt_error());
    cr_assert(le(sz, flt_node_count(s->graph, z), MOST), "%s, %s", kind->kind.name, example->label);
    s->weight = flt_input(s->graph, "w", flt_node_rank(s->graph, z), flt_node_dim(s->graph, z));
    const flt_node curved = flt_add(s->graph, z, flt_scale(s->graph, flt_square(s->graph, z), 0.5));
    out[0] = flt_sum_all(s->graph, flt_mul(s->graph, s->weight, curved));
    for (size_t i = 0; i < s->n; i++) {
        x[i] = s->in[s->smooth[i]];
        d[i] = s->direction[s->smooth[i]];
    }
    cr_assert(eq(int, flt_gradient(s->graph, out[0], s->n, x, out + 1), FLTE_OK), "%s: %s", example->label, flt_error());
    cr_assert(eq(int, flt_hessian_vector(s->graph, out[0], s->n, x, d, out + 1 + s->n), FLTE_OK), "%s", flt_error());
    cr_assert(eq(int, flt_exec_create(s->graph, 1 + 2 * s->n, out, &s->exec), FLTE_OK), "%s", flt_error());
    for (size_t k = 0; k < example->n; k++) {
        flt_exec_bind(s->exec, s->in[k], s->x[k]);
        flt_exec_bind(s->exec, s->direction[k], s->d[k]);
    }
    flt_exec_bind(s->exec, s->weight, s->w);
}

static void end(subject *s) {
    flt_exec_destroy(s->exec);
    flt_graph_destroy(s->graph);
}

static double judge(double got, double want, double scale) {
    return fabs(got - want) / (pow(FLTX_EPS, 2.0 / 3) * scale);
}

// dF/dx_j by a central difference.
static double slope(subject *s, size_t k, size_t j) {
    const flt_real old = s->x[k][j], h = (flt_real)cbrt(FLTX_EPS), up = old + h, down = old - h;
    s->x[k][j] = up;
    flt_exec_run(s->exec);
    const double above = (double)*flt_exec_output(s->exec, 0);
    s->x[k][j] = down;
    flt_exec_run(s->exec);
    const double below = (double)*flt_exec_output(s->exec, 0);
    s->x[k][j] = old;
    return (above - below) / ((double)up - (double)down);
}

static double largest(size_t n, const flt_real *x) {
    double most = 0;
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs((double)x[i]));
    return most;
}

static void check_first(subject *s) {
    for (size_t i = 0; i < s->n; i++) {
        const size_t k = s->smooth[i];
        for (size_t j = 0; j < s->count[k]; j++) {
            const double want = slope(s, k, j);
            flt_exec_run(s->exec);
            const double got = (double)flt_exec_output(s->exec, 1 + i)[j];
            const double scale = 1 + fabs((double)*flt_exec_output(s->exec, 0)) + fabs(want);
            const double ratio = judge(got, want, scale);
            cr_assert(ratio <= 30, "%s, %s: dF/dx%zu[%zu] = %.9g, by differences %.9g, ratio %.3g", s->kind->kind.name,
                      s->example->label, k, j, got, want, ratio);
        }
    }
}

// Writes grad F(x + h d) for all smooth inputs, one after the other.
static void gradient_at(subject *s, double h, double *out) {
    flt_real old[INPUTS][MOST];
    for (size_t k = 0; k < INPUTS; k++)
        for (size_t j = 0; j < s->count[k]; j++) {
            old[k][j] = s->x[k][j];
            if (s->example->in[k].index == 0) s->x[k][j] += (flt_real)h * s->d[k][j];
        }
    flt_exec_run(s->exec);
    for (size_t i = 0; i < s->n; i++)
        for (size_t j = 0; j < s->count[s->smooth[i]]; j++) *out++ = (double)flt_exec_output(s->exec, 1 + i)[j];
    for (size_t k = 0; k < INPUTS; k++)
        for (size_t j = 0; j < s->count[k]; j++) s->x[k][j] = old[k][j];
}

static void check_second(subject *s) {
    double above[INPUTS * MOST], below[INPUTS * MOST];
    const double h = (double)(flt_real)cbrt(FLTX_EPS);
    size_t at = 0;
    gradient_at(s, h, above);
    gradient_at(s, -h, below);
    flt_exec_run(s->exec);
    for (size_t i = 0; i < s->n; i++) {
        const size_t k = s->smooth[i];
        const flt_real *first = flt_exec_output(s->exec, 1 + i), *second = flt_exec_output(s->exec, 1 + s->n + i);
        const double scale = 1 + largest(s->count[k], first) + largest(s->count[k], second);
        for (size_t j = 0; j < s->count[k]; j++, at++) {
            const double want = (above[at] - below[at]) / (2 * h), ratio = judge((double)second[j], want, scale);
            cr_assert(ratio <= 30, "%s, %s: (H d)%zu[%zu] = %.9g, by differences %.9g, ratio %.3g", s->kind->kind.name,
                      s->example->label, k, j, (double)second[j], want, ratio);
        }
    }
}

static void keep(const subject *s, double (*out)[MOST]) {
    for (size_t i = 0; i < s->n; i++)
        for (size_t j = 0; j < s->count[s->smooth[i]]; j++) out[i][j] = (double)flt_exec_output(s->exec, 1 + s->n + i)[j];
}

// <e, H d> = <d, H e> to rounding: the second derivatives are exact, not differences.
static void check_symmetry(subject *s) {
    static const flt_op_example_input around_zero = {.low = -1, .high = 1};
    double hd[INPUTS][MOST], he[INPUTS][MOST], left = 0, right = 0, scale = 0;
    flt_real d[INPUTS][MOST];
    flt_exec_run(s->exec);
    keep(s, hd);
    memcpy(d, s->d, sizeof d);
    for (size_t k = 0; k < s->example->n; k++) fill(stream(s, "e", k), &around_zero, s->count[k], s->d[k]);
    flt_exec_run(s->exec);
    keep(s, he);
    for (size_t i = 0; i < s->n; i++)
        for (size_t j = 0; j < s->count[s->smooth[i]]; j++) {
            left += (double)s->d[s->smooth[i]][j] * hd[i][j];
            right += (double)d[s->smooth[i]][j] * he[i][j];
            scale += fabs(hd[i][j]) + fabs(he[i][j]);
        }
    const double ratio = fabs(left - right) / (FLTX_EPS * (1 + scale));
    cr_assert(ratio <= 30, "%s, %s: <e, H d> = %.9g, <d, H e> = %.9g, ratio %.3g", s->kind->kind.name, s->example->label, left,
              right, ratio);
}

static void check_kind(const flt_op_kind *kind) {
    const bool smooth = (kind->kind.caps & FLTX_OP_SMOOTH) != 0;
    cr_assert(eq(int, smooth, kind->gradient != NULL), "%s: the capability 'smooth' and the gradient disagree", kind->kind.name);
    if (!smooth) return;
    cr_assert(kind->examples != NULL, "%s: a smooth op without an example", kind->kind.name);
    cr_assert(kind->examples->build != NULL, "%s: a smooth op without an example", kind->kind.name);
    for (const flt_op_example *x = kind->examples; x->build != NULL; x++) {
        subject s;
        begin(&s, kind, x);
        check_first(&s);
        check_second(&s);
        check_symmetry(&s);
        end(&s);
    }
}

Test(op_gradient, every_kind) {
    const flt_registry *r = flt_op_registry();
    cr_assert(ge(sz, flt_registry_count(r), 30));
    for (size_t i = 0; r->kinds[i] != NULL; i++) check_kind((const flt_op_kind *)r->kinds[i]);
}

// A wrong gradient must be seen: relu with the gradient of the identity.
static flt_node wrong_gradient(flt_graph *g, const flt_op_site *at, size_t k) {
    return (void)g, (void)k, at->dy;
}
static flt_op_kind planted;
static flt_node build_planted(flt_graph *g, const flt_node *in) {
    return flt_op_unary(g, &planted, in[0]);
}

Test(op_gradient, sees_a_wrong_gradient) {
    const flt_kind *found = NULL;
    cr_assert(eq(int, flt_registry_find(flt_op_registry(), "square", &found), FLTE_OK));
    planted = *(const flt_op_kind *)found;
    planted.gradient = wrong_gradient;
    flt_op_example example = {
        .label = "planted", .n = 1, .in = {{.rank = 1, .dim = {3}, .low = 1, .high = 2}}, .build = build_planted};
    planted.examples = &example;
    subject s;
    begin(&s, &planted, &example);
    const double want = slope(&s, 0, 0);
    flt_exec_run(s.exec);
    const double got = (double)*flt_exec_output(s.exec, 1);
    cr_assert(judge(got, want, 1 + fabs(want)) > 300);
    end(&s);
}

// ---- first, second and third derivatives against closed forms

typedef long double real;

static real phi(real x) {
    return expl(-x * x / 2) / sqrtl(2 * acosl(-1));
}
static void d_exp(real x, real *d) {
    d[0] = d[1] = d[2] = expl(x);
}
static void d_log(real x, real *d) {
    d[0] = 1 / x, d[1] = -1 / (x * x), d[2] = 2 / (x * x * x);
}
static void d_sqrt(real x, real *d) {
    d[0] = 0.5L / sqrtl(x), d[1] = -d[0] / (2 * x), d[2] = -1.5L * d[1] / x;
}
static void d_square(real x, real *d) {
    d[0] = 2 * x, d[1] = 2, d[2] = 0;
}
static void d_sin(real x, real *d) {
    d[0] = cosl(x), d[1] = -sinl(x), d[2] = -cosl(x);
}
static void d_cos(real x, real *d) {
    d[0] = -sinl(x), d[1] = -cosl(x), d[2] = sinl(x);
}
static void d_cdf(real x, real *d) {
    d[0] = phi(x), d[1] = -x * phi(x), d[2] = (x * x - 1) * phi(x);
}
static void d_tanh(real x, real *d) {
    const real y = tanhl(x);
    d[0] = 1 - y * y, d[1] = -2 * y * d[0], d[2] = -2 * d[0] * d[0] - 2 * y * d[1];
}
static void d_sigmoid(real x, real *d) {
    const real y = 1 / (1 + expl(-x));
    d[0] = y * (1 - y), d[1] = d[0] * (1 - 2 * y), d[2] = d[1] * (1 - 2 * y) - 2 * d[0] * d[0];
}
static void d_gelu(real x, real *d) {
    d[0] = 0.5L * erfcl(-x / sqrtl(2)) + x * phi(x), d[1] = phi(x) * (2 - x * x), d[2] = phi(x) * (x * x * x - 4 * x);
}

Test(op_gradient, three_derivatives_in_closed_form) {
    static const struct {
        const char *label;
        flt_node (*build)(flt_graph *, flt_node);
        void (*want)(real, real *);
        double low, high;
    } row[] = {{"exp", flt_exp, d_exp, -2, 2},     {"log", flt_log, d_log, 0.5, 2},
               {"sqrt", flt_sqrt, d_sqrt, 0.5, 2}, {"sin", flt_sin, d_sin, -3, 3},
               {"cos", flt_cos, d_cos, -3, 3},     {"square", flt_square, d_square, -2, 2},
               {"tanh", flt_tanh, d_tanh, -2, 2},  {"sigmoid", flt_sigmoid, d_sigmoid, -3, 3},
               {"gelu", flt_gelu, d_gelu, -3, 3},  {"cdf", flt_normal_cdf, d_cdf, -3, 3}};
    enum { POINTS = 40 };
    for (size_t k = 0; k < sizeof row / sizeof *row; k++) {
        flt_graph *g = NULL;
        flt_exec *e = NULL;
        flt_node d[3];
        flt_real x[POINTS];
        cr_assert(eq(int, flt_graph_create(&g), FLTE_OK));
        const flt_node in = flt_input(g, "x", 1, (size_t[]){POINTS});
        flt_node y = row[k].build(g, in);
        for (int i = 0; i < 3; i++) {
            cr_assert(eq(int, flt_gradient(g, flt_sum_all(g, y), 1, &in, &d[i]), FLTE_OK), "%s: %s", row[k].label, flt_error());
            y = d[i];
        }
        cr_assert(eq(int, flt_exec_create(g, 3, d, &e), FLTE_OK), "%s", flt_error());
        for (size_t i = 0; i < POINTS; i++) x[i] = (flt_real)(row[k].low + (row[k].high - row[k].low) * (double)i / (POINTS - 1));
        flt_exec_bind(e, in, x);
        flt_exec_run(e);
        for (size_t i = 0; i < POINTS; i++) {
            real want[3];
            row[k].want((real)x[i], want);
            for (size_t j = 0; j < 3; j++) {
                const real ratio = fabsl((real)flt_exec_output(e, j)[i] - want[j]) / (FLTX_EPS * (1 + fabsl(want[j])));
                cr_assert(ratio <= 30, "%s: derivative %zu at %g is %.9g, not %.9Lg; ratio %.3Lg", row[k].label, j + 1,
                          (double)x[i], (double)flt_exec_output(e, j)[i], want[j], ratio);
            }
        }
        flt_exec_destroy(e);
        flt_graph_destroy(g);
    }
}

// Hessian of the loss in the logits: (diag p - p p') / batch.
Test(op_gradient, hessian_of_the_cross_entropy_in_closed_form) {
    enum { ROWS = 3, COLS = 4 };
    flt_graph *g = NULL;
    flt_exec *e = NULL;
    flt_node hv;
    flt_real x[ROWS * COLS], v[ROWS * COLS];
    const flt_real label[ROWS] = {1, 3, 0};
    flt_rng_normal(flt_rng_make(5, "logits", 0), 0, ROWS * COLS, x);
    flt_rng_normal(flt_rng_make(5, "direction", 0), 0, ROWS * COLS, v);
    cr_assert(eq(int, flt_graph_create(&g), FLTE_OK));
    const flt_node in = flt_input(g, "x", 2, (size_t[]){ROWS, COLS}), d = flt_input(g, "v", 2, (size_t[]){ROWS, COLS});
    const flt_node labels = flt_input(g, "labels", 1, (size_t[]){ROWS}), y = flt_softmax_cross_entropy(g, in, labels);
    cr_assert(eq(int, flt_hessian_vector(g, y, 1, &in, &d, &hv), FLTE_OK), "%s", flt_error());
    cr_assert(eq(int, flt_exec_create(g, 1, &hv, &e), FLTE_OK), "%s", flt_error());
    flt_exec_bind(e, in, x);
    flt_exec_bind(e, d, v);
    flt_exec_bind(e, labels, label);
    flt_exec_run(e);
    for (size_t r = 0; r < ROWS; r++) {
        real p[COLS], sum = 0, dot = 0;
        for (size_t i = 0; i < COLS; i++) sum += p[i] = expl((real)x[r * COLS + i]);
        for (size_t i = 0; i < COLS; i++) dot += (p[i] /= sum) * (real)v[r * COLS + i];
        for (size_t i = 0; i < COLS; i++) {
            const real want = p[i] * ((real)v[r * COLS + i] - dot) / ROWS;
            const real ratio = fabsl((real)flt_exec_output(e, 0)[r * COLS + i] - want) / (FLTX_EPS * 3);
            cr_assert(ratio <= 30, "row %zu, class %zu: %.9g, not %.9Lg", r, i, (double)flt_exec_output(e, 0)[r * COLS + i],
                      want);
        }
    }
    flt_exec_destroy(e);
    flt_graph_destroy(g);
}
