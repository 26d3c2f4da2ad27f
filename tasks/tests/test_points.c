// SPDX-License-Identifier: MIT
// Transformers over points: derivatives, what they are invariant to, absent points.
#include "engine/transformer.h"
#include "support.h"

enum { ROWS = 2, POINTS = 5, KINDS = 2 };

// A small regression on points: y = mean over the points that are there of w.x, loss y^2.
typedef struct cloud {
    flt_transformer body;
    double turn;   // rotates all positions about an axis by this angle
    bool backward; // lists the points in reverse
    double noise;  // where absent points are
} cloud;

static const flt_param_spec params[] = {
    FLTX_TRANSFORMER_PARAMS("4", "1", "exact"),
    {"batch", FLTX_INT, "2", 1, 64, NULL, "clouds"},
    {"turn", FLTX_REAL, "0", -10, 10, NULL, "rotation"},
    {"backward", FLTX_BOOL, "false", 0, 0, NULL, "reverse order"},
    {"noise", FLTX_REAL, "0", -100, 100, NULL, "position of what is absent"},
    {0},
};

static flt_err open(void *self, const flt_params *p) {
    cloud *s = self;
    s->body.heads.n = POINTS;
    s->body.heads.l = 3;
    FLTX_TRY(flt_alloc(POINTS, 3 * sizeof *s->body.heads.pos, &s->body.heads.pos));
    for (size_t i = 0; i < 3 * POINTS; i++) s->body.heads.pos[i] = (double)(i % 7); // sets the scale of widths alone
    s->turn = flt_params_real(p, "turn");
    s->backward = flt_params_bool(p, "backward");
    s->noise = flt_params_real(p, "noise");
    FLTX_TRY(flt_transformer_open("test", p, &s->body));
    return flt_heads_check_points("test", &s->body.heads);
}

static void close(void *self) {
    flt_transformer_close(&((cloud *)self)->body);
}

static void build(void *self, flt_task_model *m) {
    const cloud *s = self;
    flt_graph *g = m->graph;
    const size_t count = m->rows * POINTS, width = s->body.heads.width, two[] = {m->rows, POINTS};
    const flt_points points = {.pos = flt_task_input(m, "pos", 3, (size_t[]){m->rows, POINTS, 3}),
                               .absent = flt_task_input(m, "absent", 2, two)};
    const flt_node kind = flt_task_input(m, "kind", 1, &count);
    const flt_node embed = flt_task_tensor(m, "embed", 2, (size_t[]){KINDS, width}, (flt_task_init){.std = 1.0});
    const flt_node x = flt_transformer_apply(m, &s->body, flt_gather(g, embed, kind), &points);
    const flt_node w = flt_task_tensor(m, "w", 2, (size_t[]){width, 1}, (flt_task_init){.std = 1.0});
    const flt_node here = flt_offset(g, flt_neg(g, points.absent), 1);
    const flt_node each = flt_mul(g, flt_reshape(g, flt_matmul(g, x, w, false, false), 2, two), here);
    m->loss = flt_mean_all(g, flt_square(g, flt_reduce_sum(g, each, 1u << 1, false)));
}

// Row i has POINTS - i points, the last ones absent.
static void batch(void *self, flt_batch which, size_t rows, flt_real *const *in) {
    const cloud *s = self;
    const flt_rng rng = flt_rng_make(which.seed, "cloud", which.step);
    for (size_t i = 0; i < rows * POINTS; i++) {
        const size_t row = i / POINTS, k = i % POINTS, there = POINTS - row % 3;
        const size_t to = row * POINTS + (s->backward ? POINTS - 1 - k : k);
        const double x = flt_rng_normal_at(rng, 3 * i), y = flt_rng_normal_at(rng, 3 * i + 1),
                     z = flt_rng_normal_at(rng, 3 * i + 2);
        const bool absent = k >= there;
        const double at[] = {cos(s->turn) * x - sin(s->turn) * y, sin(s->turn) * x + cos(s->turn) * y, z};
        for (size_t c = 0; c < 3; c++) in[0][3 * to + c] = (flt_real)(absent ? s->noise * (double)(c + 1) : at[c]);
        in[1][to] = absent ? 1 : 0;
        in[2][to] = (flt_real)(absent ? (s->noise > 0) : (flt_rng_bits(rng, 1000 + i) & 1));
    }
}

static const flt_graph_task task = {.size = sizeof(cloud), .open = open, .close = close, .build = build, .batch = batch};

static flt_objective *cloud_of(const char *settings, const char *more) {
    flt_objective *o = NULL;
    flt_params *p = NULL;
    cr_assert_eq(flt_params_create("test", params, &p), FLTE_OK);
    cr_assert_eq(flt_params_parse(p, settings), FLTE_OK, "%s", flt_error());
    cr_assert_eq(flt_params_parse(p, more), FLTE_OK, "%s", flt_error());
    cr_assert_eq(flt_alloc(1, sizeof *o, &o), FLTE_OK);
    cr_assert_eq(flt_graph_task_create(&task, p, o), FLTE_OK, "%s: %s", settings, flt_error());
    flt_params_destroy(p);
    return o;
}

static const char *const models[] = {"attention=exact,rpe=gaussian_mixture",
                                     "attention=exact,rpe=matern32",
                                     "attention=exact,rpe=none",
                                     "attention=flt,rpe=gaussian_mixture,m=6,r=4",
                                     "attention=flt,rpe=gaussian,m=6,r=4,settings=features=hyperbolic",
                                     "attention=performer,m=6",
                                     "attention=linear"};
enum { MODELS = sizeof models / sizeof *models };

static double loss_of(const flt_objective *o, const flt_real *theta, flt_real *g) {
    return (double)o->gradient(o->self, (flt_batch){3, FLTX_TRAIN, 1}, theta, g);
}

// Along a random unit direction, as in test_derivatives.
Test(points, have_both_derivatives) {
    const double h = cbrt(FLTX_EPS), tolerance = 100 * pow(FLTX_EPS, 2.0 / 3);
    for (size_t i = 0; i < MODELS; i++) {
        flt_objective *o = cloud_of(models[i], "");
        const size_t n = o->layout.total;
        flt_real *theta = initial(o, 2), *v = normals(n, i), *x = vector(n), *g[3] = {vector(n), vector(n), vector(n)},
                 *hv = vector(n);
        const double unit = 1 / norm(n, v);
        double loss[3], error = 0;
        cr_assert(o->hessian_vector != NULL, "%s", models[i]);
        for (size_t k = 0; k < n; k++) v[k] *= (flt_real)unit;
        for (int s = -1; s <= 1; s++) {
            for (size_t k = 0; k < n; k++) x[k] = (flt_real)((double)theta[k] + s * h * (double)v[k]);
            loss[s + 1] = loss_of(o, x, g[s + 1]);
        }
        o->hessian_vector(o->self, (flt_batch){3, FLTX_TRAIN, 1}, theta, v, hv);
        const double slope = dot(n, g[1], v), want = (loss[2] - loss[0]) / (2 * h), scale = fabs(loss[1]) + norm(n, g[1]);
        cr_assert(fabs(slope - want) <= tolerance * scale, "%s: slope %.10g, by differences %.10g", models[i], slope, want);
        for (size_t k = 0; k < n; k++) error += pow(((double)g[2][k] - (double)g[0][k]) / (2 * h) - (double)hv[k], 2);
        cr_assert(sqrt(error) <= tolerance * (scale + norm(n, hv)), "%s: Hessian off by %.3g of %.3g", models[i], sqrt(error),
                  scale + norm(n, hv));
        for (size_t k = 0; k < 3; k++) free(g[k]);
        free(theta), free(v), free(x), free(hv);
        flt_objective_destroy(o);
    }
}

// The loss of the same parameters on the same clouds told otherwise.
static double change(const char *model, const char *more) {
    flt_objective *a = cloud_of(model, ""), *b = cloud_of(model, more);
    flt_real *theta = initial(a, 4);
    const double first = loss_of(a, theta, NULL), second = loss_of(b, theta, NULL);
    free(theta);
    flt_objective_destroy(a);
    flt_objective_destroy(b);
    return fabs(first - second) / (FLTX_EPS * (1 + fabs(first)));
}

Test(points, are_invariant_to_order_and_to_what_is_absent) {
    for (size_t i = 0; i < MODELS; i++) {
        const double order = change(models[i], "backward=true"), absent = change(models[i], "noise=5");
        cr_assert(order <= 300, "%s: the order of points changes the loss, ratio %.3g", models[i], order);
        cr_assert(absent <= 300, "%s: absent points change the loss, ratio %.3g", models[i], absent);
    }
}

// Kernels of distance are invariant to rotations; a mixture with waves is not, nor a finite sample of frequencies.
Test(points, say_who_is_invariant_to_rotation) {
    cr_assert(change("attention=exact,rpe=matern32", "turn=0.7") <= 300);
    cr_assert(change("attention=exact,rpe=none", "turn=0.7") <= 300);
    cr_assert(change("attention=performer,m=6", "turn=0.7") <= 300);
    cr_assert(change("attention=exact,rpe=gaussian_mixture", "turn=0.7") > 1e3);
    cr_assert(change("attention=flt,rpe=gaussian,m=6,r=4", "turn=0.7") > 1e3);
}

Test(points, say_what_is_wrong) {
    static const char *const cases[][2] = {{"attention=spe_conv", "these mechanisms do: exact, flt, linear, performer"},
                                           {"attention=linear,settings=features=relu", "linear does with features=elu"},
                                           {"attention=exact,rpe=box", "allowed: gaussian_mixture, gaussian"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        flt_objective o = {0};
        flt_params *p = NULL;
        cr_assert_eq(flt_params_create("test", params, &p), FLTE_OK);
        cr_assert_eq(flt_params_parse(p, cases[i][0]), FLTE_OK, "%s", flt_error());
        cr_assert_eq(flt_graph_task_create(&task, p, &o), FLTE_UNSUPPORTED, "%s", cases[i][0]);
        cr_assert(strstr(flt_error(), cases[i][1]) != NULL, "%s: %s", cases[i][0], flt_error());
        flt_params_destroy(p);
    }
}
