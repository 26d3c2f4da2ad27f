// SPDX-License-Identifier: MIT
// Hand-designed optimizers against their definitions written out in long double, tensor by tensor, on mixed ranks.
#include "opt_support.h"

enum { T = 50, MOST = 128 };

typedef long double real;

typedef struct rates {
    real lr, beta1, beta2, eps, decay, other;
} rates;

// One tensor: m, v, w are whatever the definition keeps, zero at first.
typedef struct memory {
    size_t count, r, c, batch; // factored as [batch, r, c]; r = 0: rank below 2
    size_t first;              // axis
    real p[MOST], m[MOST], v[MOST], w[MOST];
    double path[MOST]; // |start| and the length of all moves: what roundings are relative to
} memory;

typedef void definition(const rates *r, int n, const real *g, memory *s);

static void nesterov(const rates *r, int n, const real *g, memory *s) {
    for (size_t i = 0; i < s->count; i++) {
        const real d = g[i] + r->decay * s->p[i];
        s->m[i] = n == 1 ? d : r->beta1 * s->m[i] + d;
        s->p[i] -= r->lr * (d + r->beta1 * s->m[i]);
    }
}

static void rmsprop(const rates *r, int n, const real *g, memory *s) {
    (void)n;
    for (size_t i = 0; i < s->count; i++) {
        const real d = g[i] + r->decay * s->p[i];
        s->v[i] = r->beta2 * s->v[i] + (1 - r->beta2) * d * d;
        s->m[i] = r->beta1 * s->m[i] + d / (sqrtl(s->v[i]) + r->eps);
        s->p[i] -= r->lr * s->m[i];
    }
}

static void adagrad(const rates *r, int n, const real *g, memory *s) {
    for (size_t i = 0; i < s->count; i++) {
        const real d = g[i] + r->decay * s->p[i];
        if (n == 1) s->v[i] = r->beta2;
        s->v[i] += d * d;
        s->p[i] -= r->lr / (1 + (n - 1) * r->other) * d / (sqrtl(s->v[i]) + r->eps);
    }
}

static void moments(const rates *r, real d, size_t i, memory *s) {
    s->m[i] = r->beta1 * s->m[i] + (1 - r->beta1) * d;
    s->v[i] = r->beta2 * s->v[i] + (1 - r->beta2) * d * d;
}

static real corrected(const rates *r, int n, size_t i, const memory *s) {
    return s->m[i] / (1 - powl(r->beta1, n)) / (sqrtl(s->v[i] / (1 - powl(r->beta2, n))) + r->eps);
}

static void adamw(const rates *r, int n, const real *g, memory *s) {
    for (size_t i = 0; i < s->count; i++) {
        s->p[i] *= 1 - r->lr * r->decay;
        moments(r, g[i], i, s);
        s->p[i] -= r->lr * corrected(r, n, i, s);
    }
}

static real mu(const rates *r, int n) {
    return r->beta1 * (1 - 0.5L * powl(0.96L, n * r->other));
}

static void nadamw(const rates *r, int n, const real *g, memory *s) {
    real product = 1;
    for (int k = 1; k <= n; k++) product *= mu(r, k);
    for (size_t i = 0; i < s->count; i++) {
        s->p[i] *= 1 - r->lr * r->decay;
        moments(r, g[i], i, s);
        const real d = sqrtl(s->v[i] / (1 - powl(r->beta2, n))) + r->eps;
        s->p[i] -= r->lr * (1 - mu(r, n)) / (1 - product) * g[i] / d;
        s->p[i] -= r->lr * mu(r, n + 1) / (1 - product * mu(r, n + 1)) * s->m[i] / d;
    }
}

static void radam(const rates *r, int n, const real *g, memory *s) {
    const real most = 2 / (1 - r->beta2) - 1, c2 = 1 - powl(r->beta2, n), rho = most - 2 * n * powl(r->beta2, n) / c2;
    for (size_t i = 0; i < s->count; i++) {
        moments(r, g[i] + r->decay * s->p[i], i, s);
        real step = r->lr * s->m[i] / (1 - powl(r->beta1, n));
        if (rho > 5)
            step *= sqrtl(c2) / (sqrtl(s->v[i]) + r->eps) * sqrtl((rho - 4) * (rho - 2) * most / ((most - 4) * (most - 2) * rho));
        s->p[i] -= step;
    }
}

static void lion(const rates *r, int n, const real *g, memory *s) {
    (void)n;
    for (size_t i = 0; i < s->count; i++) {
        const real u = r->beta1 * s->m[i] + (1 - r->beta1) * g[i];
        s->p[i] -= r->lr * ((real)((u > 0) - (u < 0)) + r->decay * s->p[i]);
        s->m[i] = r->beta2 * s->m[i] + (1 - r->beta2) * g[i];
    }
}

static real norm(size_t n, const real *x) {
    real squares = 0;
    for (size_t i = 0; i < n; i++) squares += x[i] * x[i];
    return sqrtl(squares);
}

static void lamb(const rates *r, int n, const real *g, memory *s) {
    real u[MOST] = {0};
    for (size_t i = 0; i < s->count; i++) {
        moments(r, g[i], i, s);
        u[i] = corrected(r, n, i, s) + r->decay * s->p[i];
    }
    const real size = norm(s->count, s->p), step = norm(s->count, u), trust = size > 0 && step > 0 ? size / step : 1;
    for (size_t i = 0; i < s->count; i++) s->p[i] -= r->lr * trust * u[i];
}

// Element i of a factored tensor: v holds its row's moment, w its column's (each repeated); returns the estimate of g^2.
static void adafactor_moments(real b, const real *g, memory *s, real *estimate) {
    for (size_t k = 0; k < s->batch; k++) {
        const size_t at = k * s->r * s->c;
        real mean = 0, row[MOST] = {0}, col[MOST] = {0};
        for (size_t i = 0; i < s->r; i++)
            for (size_t j = 0; j < s->c; j++) {
                const real square = g[at + i * s->c + j] * g[at + i * s->c + j];
                row[i] += square / s->c;
                col[j] += square / s->r;
            }
        for (size_t i = 0; i < s->r; i++)
            for (size_t j = 0; j < s->c; j++) {
                const size_t e = at + i * s->c + j;
                s->v[e] = (1 - b) * s->v[e] + b * row[i];
                s->w[e] = (1 - b) * s->w[e] + b * col[j];
                mean += s->v[e] / (s->r * s->c);
            }
        for (size_t e = at; e < at + s->r * s->c; e++) estimate[e] = s->v[e] * s->w[e] / (mean > FLTX_EPS ? mean : FLTX_EPS);
    }
}

static void adafactor(const rates *r, int n, const real *g, memory *s) {
    const real b = powl(n, r->beta2), rho = r->lr < 1 / sqrtl(n) ? r->lr : 1 / sqrtl(n);
    const real size = norm(s->count, s->p) / sqrtl(s->count), alpha = (size > r->other ? size : r->other) * rho;
    const real least = (real)FLTX_EPS * FLTX_EPS;
    real u[MOST] = {0};
    if (s->r > 0) adafactor_moments(b, g, s, u);
    for (size_t i = 0; i < s->count; i++) {
        if (s->r == 0) u[i] = s->v[i] = (1 - b) * s->v[i] + b * g[i] * g[i];
        u[i] = g[i] / sqrtl(u[i] > least ? u[i] : least);
    }
    const real rms = norm(s->count, u) / sqrtl(s->count) / r->beta1;
    for (size_t i = 0; i < s->count; i++) s->p[i] -= r->lr * r->decay * s->p[i] + alpha * u[i] / (rms > 1 ? rms : 1);
}

// m: z; w[0]: the sum of weights. The rate is constant here, so its power cancels.
static void schedule_free(const rates *r, int n, const real *g, memory *s) {
    const real weight = powl(n, r->other);
    s->w[0] += weight;
    const real c = weight / s->w[0];
    for (size_t i = 0; i < s->count; i++) {
        if (n == 1) s->m[i] = s->p[i];
        s->v[i] = r->beta2 * s->v[i] + (1 - r->beta2) * g[i] * g[i];
        const real u = g[i] / (sqrtl(s->v[i] / (1 - powl(r->beta2, n))) + r->eps) + r->decay * s->p[i];
        s->p[i] = (1 - c) * s->p[i] + c * s->m[i] + r->lr * (r->beta1 * (1 - c) - 1) * u;
        s->m[i] -= r->lr * u;
    }
}

static void newton_schulz(size_t r, size_t c, real *x) {
    real a[MOST] = {0}, ax[MOST] = {0};
    const real size = norm(r * c, x);
    for (size_t i = 0; i < r * c; i++) x[i] /= size > 1e-7L ? size : 1e-7L;
    for (int k = 0; k < 5; k++) {
        cr_assert_leq(r * r, MOST);
        for (size_t i = 0; i < r * r; i++) {
            a[i] = 0;
            for (size_t j = 0; j < c; j++) a[i] += x[i / r * c + j] * x[i % r * c + j];
        }
        for (size_t i = 0; i < r * c; i++) {
            ax[i] = 0;
            for (size_t j = 0; j < r; j++) ax[i] += a[i / c * r + j] * x[j * c + i % c];
        }
        for (size_t i = 0; i < r * c; i++) {
            real aax = 0;
            for (size_t j = 0; j < r; j++) aax += a[i / c * r + j] * ax[j * c + i % c];
            x[i] = 3.4445L * x[i] - 4.7750L * ax[i] + 2.0315L * aax;
        }
    }
}

// other: 0 for the original adjustment, 1 to match AdamW's root mean square
static void muon(const rates *r, int n, const real *g, memory *s) {
    const rates rest = {0.2L * r->lr, 0.9, 0.95, 1e-10, r->decay, 0};
    real x[MOST] = {0};
    if (s->r == 0) {
        adamw(&rest, n, g, s);
        return;
    }
    const size_t rows = s->first, cols = s->count / rows;
    const bool tall = rows > cols;
    for (size_t i = 0; i < s->count; i++) {
        s->m[i] = r->beta1 * s->m[i] + (1 - r->beta1) * g[i];
        x[tall ? i % cols * rows + i / cols : i] = g[i] + r->beta1 * (s->m[i] - g[i]);
    }
    newton_schulz(tall ? cols : rows, tall ? rows : cols, x);
    const real adjust = r->other > 0 ? 0.2L * sqrtl(tall ? rows : cols) : tall ? sqrtl((real)rows / cols) : 1;
    for (size_t i = 0; i < s->count; i++)
        s->p[i] = s->p[i] * (1 - r->lr * r->decay) - r->lr * adjust * x[tall ? i % cols * rows + i / cols : i];
}

typedef struct trial {
    const char *name, *set;
    definition *want;
    rates r;
    double growth; // of roundings within a step
} trial;

static const trial trials[] = {
    {"nesterov", "", nesterov, {.lr = 1e-3L, .beta1 = 0.9L}, 1},
    {"nesterov", "lr=0.02,momentum=0.95,weight_decay=0.1", nesterov, {.lr = 0.02L, .beta1 = 0.95L, .decay = 0.1L}, 1},
    {"rmsprop", "", rmsprop, {.lr = 0.01L, .beta2 = 0.99L, .eps = 1e-8L}, 1},
    {"rmsprop", "alpha=0.9,momentum=0.5,eps=0.01,weight_decay=0.1", rmsprop, {0.01L, 0.5L, 0.9L, 0.01L, 0.1L, 0}, 1},
    {"adagrad", "", adagrad, {.lr = 0.01L, .eps = 1e-10L}, 1},
    {"adagrad", "lr=0.1,lr_decay=0.2,initial=0.5,eps=0.01,weight_decay=0.1", adagrad, {0.1L, 0, 0.5L, 0.01L, 0.1L, 0.2L}, 1},
    {"adamw", "", adamw, {1e-3L, 0.9L, 0.999L, 1e-8L, 0.01L, 0}, 1},
    {"adamw", "lr=0.01,beta1=0.5,beta2=0.95,eps=1e-3,weight_decay=0.3", adamw, {0.01L, 0.5L, 0.95L, 1e-3L, 0.3L, 0}, 1},
    {"nadamw", "", nadamw, {2e-3L, 0.9L, 0.999L, 1e-8L, 0, 0.004L}, 1},
    {"nadamw",
     "lr=0.01,beta1=0.7,eps=1e-3,weight_decay=0.3,momentum_decay=0.5",
     nadamw,
     {0.01L, 0.7L, 0.999L, 1e-3L, 0.3L, 0.5L},
     1},
    {"radam", "", radam, {1e-3L, 0.9L, 0.999L, 1e-8L, 0, 0}, 1},
    {"radam", "lr=0.01,beta2=0.9,eps=1e-3,weight_decay=0.1", radam, {0.01L, 0.9L, 0.9L, 1e-3L, 0.1L, 0}, 1},
    {"lion", "", lion, {.lr = 1e-4L, .beta1 = 0.9L, .beta2 = 0.99L}, 1},
    {"lion", "lr=0.01,beta1=0.6,beta2=0.8,weight_decay=0.3", lion, {0.01L, 0.6L, 0.8L, 0, 0.3L, 0}, 1},
    {"lamb", "", lamb, {1e-3L, 0.9L, 0.999L, 1e-6L, 0, 0}, 1},
    {"lamb", "lr=0.01,beta1=0.5,beta2=0.95,eps=1e-3,weight_decay=0.3", lamb, {0.01L, 0.5L, 0.95L, 1e-3L, 0.3L, 0}, 1},
    {"adafactor", "", adafactor, {.lr = 0.01L, .beta1 = 1, .beta2 = -0.8L, .other = 1e-3L}, 1},
    {"adafactor", "lr=0.2,beta2_decay=-0.5,eps2=2,d=1.5,weight_decay=0.1", adafactor, {0.2L, 1.5L, -0.5L, 0, 0.1L, 2}, 1},
    {"schedule_free_adamw", "", schedule_free, {2.5e-3L, 0.9L, 0.999L, 1e-8L, 0, 0}, 1},
    {"schedule_free_adamw",
     "lr=0.01,beta1=0.7,beta2=0.9,eps=1e-3,weight_decay=0.3,r=1.5",
     schedule_free,
     {0.01L, 0.7L, 0.9L, 1e-3L, 0.3L, 1.5L},
     1},
    // an iteration of Newton and Schulz multiplies small singular values, and what was rounded in them, by 3.4445
    {"muon", "", muon, {.lr = 1e-3L, .beta1 = 0.95L, .decay = 0.1L}, 490},
    {"muon",
     "lr=0.02,momentum=0.8,weight_decay=0.01,adjust=match_rms_adamw",
     muon,
     {.lr = 0.02L, .beta1 = 0.8L, .decay = 0.01L, .other = 1},
     490},
};

static memory start_memory(const flt_tensor_spec *a, const flt_real *start) {
    memory s = {.count = a->count};
    cr_assert_leq(a->count, MOST);
    if (a->rank >= 2) {
        s.r = a->dim[a->rank - 2];
        s.c = a->dim[a->rank - 1];
        s.batch = a->count / s.r / s.c;
        s.first = a->dim[0];
    }
    for (size_t i = 0; i < a->count; i++) {
        s.p[i] = start[a->offset + i];
        s.path[i] = fabs((double)start[a->offset + i]);
    }
    return s;
}

static void step_memory(const trial *c, int n, const flt_real *grad, memory *s) {
    real g[MOST], before[MOST];
    for (size_t i = 0; i < s->count; i++) {
        g[i] = grad[i];
        before[i] = s->p[i];
    }
    c->want(&c->r, n, g, s);
    for (size_t i = 0; i < s->count; i++) s->path[i] += (double)fabsl(s->p[i] - before[i]);
}

static void check_tensor(const trial *c, size_t t, const flt_tensor_spec *a, const flt_real *param, const memory *s) {
    for (size_t i = 0; i < s->count; i++) {
        const double want = (double)s->p[i],
                     ratio = opt_ratio(1, param + a->offset + i, &want, &s->path[i], c->growth * ((double)t + 3));
        cr_assert_leq(ratio, 30, "%s '%s': step %zu, %s[%zu]: %.9g, wanted %.9g, ratio %.3g", c->name, c->set, t, a->name, i,
                      (double)param[a->offset + i], want, ratio);
    }
}

// Gradients of very different sizes, so that eps and its place count for some.
static flt_real gradient(flt_rng rng, size_t t, size_t P, size_t i) {
    return (flt_real)(pow(10.0, (double)(i % 7) - 5) * flt_rng_normal_at(rng, t * P + i));
}

static real rounded(real x) {
    return (real)(double)x;
}

static void check_trial(const trial *in) {
    const rates *of = &in->r; // options are read in double
    const trial copy = {
        in->name,
        in->set,
        in->want,
        {rounded(of->lr), rounded(of->beta1), rounded(of->beta2), rounded(of->eps), rounded(of->decay), rounded(of->other)},
        in->growth};
    const trial *c = &copy;
    flt_weights w = opt_weights(c->name, c->set);
    flt_layout l = opt_layout(opt_mixed);
    flt_real *start = opt_normal(1, l.total, 0.1), *grad = opt_array(l.total);
    memory *s = NULL;
    OPT_OK(flt_alloc(l.n, sizeof *s, &s));
    for (size_t k = 0; k < l.n; k++) s[k] = start_memory(&l.tensor[k], start);
    const flt_rng rng = flt_rng_make(2, "gradients", 0);
    opt_run run = opt_start(&w, &l, start);
    for (size_t t = 0; t < T; t++) {
        for (size_t i = 0; i < l.total; i++) grad[i] = gradient(rng, t, l.total, i);
        flt_optimizer_step(run.o, t, 1, grad, run.param, run.state);
        for (size_t k = 0; k < l.n; k++) {
            step_memory(c, (int)t + 1, grad + l.tensor[k].offset, &s[k]);
            check_tensor(c, t, &l.tensor[k], run.param, &s[k]);
        }
    }
    opt_stop(&run);
    flt_free(s);
    flt_free(start);
    flt_free(grad);
    flt_layout_free(&l);
    flt_weights_free(&w);
}

Test(opt_definitions, hand_designed) {
    for (size_t i = 0; i < sizeof trials / sizeof *trials; i++) check_trial(&trials[i]);
    cr_assert_eq(flt_live_blocks(), 0u);
}

// An optimizer without a definition to be held against is found here.
Test(opt_definitions, every_optimizer_has_one) {
    static const char *const elsewhere[] = {
        "sgd",     "momentum", "adam",                                        // test_opt_hand.c
        "shampoo", "soap",                                                    // test_opt_matrix.c
        "lstm",    "mlp_lopt", "small_fc_lopt", "celo2", "flt_tensor", "flt", // test_opt_learned.c, test_opt_flt.c
    };
    const flt_registry *r = flt_optimizer_registry();
    for (size_t k = 0; r->kinds[k] != NULL; k++) {
        bool found = false;
        for (size_t i = 0; i < sizeof trials / sizeof *trials; i++) found |= strcmp(trials[i].name, r->kinds[k]->name) == 0;
        for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++) found |= strcmp(elsewhere[i], r->kinds[k]->name) == 0;
        cr_assert(found, "%s is held against no definition: add a row to `trials`, or name the test that has one",
                  r->kinds[k]->name);
    }
}

// ---- schedules: sgd with gradient 1 moves by the rate

static void check_schedule(const char *set, size_t warmup, size_t total, double (*course)(double x)) {
    flt_weights w = opt_weights("sgd", set);
    flt_layout l = opt_layout((opt_shape[]){{"x", 0, {0}}, {NULL, 0, {0}}});
    flt_real zero = 0, one = 1;
    opt_run run = opt_start(&w, &l, &zero);
    for (size_t t = 0; t < 40; t++) {
        run.param[0] = 0;
        flt_optimizer_step(run.o, t, 0, &one, run.param, run.state);
        const double x = t >= total ? 1 : ((double)t - (double)warmup) / ((double)total - (double)warmup);
        const double want = 0.5 * (t < warmup ? ((double)t + 1) / (double)warmup : course(x));
        cr_assert_leq(fabs(-(double)run.param[0] - want), 4 * FLTX_EPS, "'%s': step %zu: %.9g, wanted %.9g", set, t,
                      -(double)run.param[0], want);
    }
    opt_stop(&run);
    flt_layout_free(&l);
    flt_weights_free(&w);
}

static double constant(double x) {
    (void)x;
    return 1;
}

static double linear(double x) {
    return 1 - x;
}

static double cosine(double x) {
    return 0.5 + 0.5 * cos(M_PI * x);
}

Test(opt_definitions, schedules) {
    check_schedule("lr=0.5", 0, 1000, constant);
    check_schedule("lr=0.5,warmup=7", 7, 1000, constant);
    check_schedule("lr=0.5,schedule=linear,total=30", 0, 30, linear);
    check_schedule("lr=0.5,schedule=linear,total=30,warmup=10", 10, 30, linear);
    check_schedule("lr=0.5,schedule=cosine,total=30,warmup=1", 1, 30, cosine);
    cr_assert_eq(flt_live_blocks(), 0u);
}

Test(opt_definitions, a_schedule_needs_its_end) {
    static const char *const bad[] = {"schedule=cosine", "schedule=linear,total=5,warmup=5"};
    flt_layout l = opt_layout(opt_mixed);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        flt_weights w = opt_weights("adam", bad[i]);
        flt_optimizer *o = NULL;
        cr_assert_eq(flt_optimizer_create(w.kind, w.params, &l, &o), FLTE_RANGE, "%s", bad[i]);
        cr_assert_neq(strstr(flt_error(), "total"), NULL, "%s: %s", bad[i], flt_error());
        cr_assert_eq(o, NULL);
        flt_weights_free(&w);
    }
    flt_layout_free(&l);
    cr_assert_eq(flt_live_blocks(), 0u);
}
