// SPDX-License-Identifier: MIT
// Re-parametrisation of every task: loss at initialisation, derivatives against those of the task itself and central differences,
// scales by seed.
#include "support.h"

static const char *const modes[] = {"global", "tensor", "parameter"};
enum { GLOBAL, TENSOR, PARAMETER, N_MODES };

static flt_objective *wrapped(const char *spec, const char *mode, const char *more) {
    char text[FLTX_TASK_SPEC_SIZE];
    snprintf(text, sizeof text, "%s%creparam=%s%s", spec, strchr(spec, ':') == NULL ? ':' : ',', mode, more);
    return make(text);
}

// s, from what initialisation divides by; 0 where that is 0.
static double *scales(const flt_objective *plain, const flt_objective *o, uint64_t seed) {
    flt_real *a = initial(plain, seed), *b = initial(o, seed);
    double *s = calloc(o->layout.total, sizeof *s);
    for (size_t i = 0; i < o->layout.total; i++) s[i] = b[i] != 0 ? (double)a[i] / (double)b[i] : 0.0;
    free(a);
    free(b);
    return s;
}

Test(reparam, keeps_the_facts_and_the_loss_at_initialisation) {
    task_case c;
    for (size_t i = 0; task_case_at(i, &c); i++) {
        flt_objective *plain = make(c.spec), *o = wrapped(c.spec, modes[i % N_MODES], "");
        flt_real *a = initial(plain, 7), *b = initial(o, 7);
        const flt_batch batch = {7, FLTX_TRAIN, 3};
        const double want = (double)plain->gradient(plain->self, batch, a, NULL);
        const double got = (double)o->gradient(o->self, batch, b, NULL);
        cr_assert(fabs(got - want) <= 100 * FLTX_EPS * fabs(want), "%s: %.9g and %.9g", o->spec, got, want);
        const double valid = evaluate(plain, 7, FLTX_VALID, a, NULL), again = evaluate(o, 7, FLTX_VALID, b, NULL);
        cr_assert(fabs(again - valid) <= 100 * FLTX_EPS * fabs(valid), "%s: %.9g and %.9g", o->spec, again, valid);
        cr_assert(o->layout.total == plain->layout.total && o->layout.n == plain->layout.n, "%s", o->spec);
        cr_assert(o->normaliser == plain->normaliser && o->clip_loss == plain->clip_loss, "%s", o->spec);
        cr_assert(o->has_minimum == plain->has_minimum && o->minimum == plain->minimum, "%s", o->spec);
        cr_assert_eq(o->hessian_vector == NULL, plain->hessian_vector == NULL, "%s", o->spec);
        free(a);
        free(b);
        flt_objective_destroy(plain);
        flt_objective_destroy(o);
    }
}

// A point, a direction of unit length in the task's coordinates, and the same two in the optimizer's.
typedef struct point {
    size_t n;
    double *s;
    flt_real *theta, *v, *theta_seen, *v_seen;
} point;

static point point_of(const flt_objective *plain, const flt_objective *o, uint64_t seed) {
    point p = {.n = o->layout.total, .s = scales(plain, o, seed)};
    p.theta = initial(plain, seed);
    p.theta_seen = initial(o, seed);
    p.v = normals(p.n, seed);
    p.v_seen = vector(p.n);
    const double length = norm(p.n, p.v);
    for (size_t i = 0; i < p.n; i++) {
        p.v[i] = p.s[i] == 0.0 ? 0 : (flt_real)((double)p.v[i] / length); // where s is not known from initialisation
        p.v_seen[i] = p.s[i] == 0.0 ? 0 : (flt_real)((double)p.v[i] / p.s[i]);
    }
    return p;
}

static void point_free(point *p) {
    free(p->s);
    free(p->theta);
    free(p->v);
    free(p->theta_seen);
    free(p->v_seen);
}

// The norm of x - y s, and of x, over what has a known scale.
static double difference(const point *p, const flt_real *x, const flt_real *y, double *size) {
    double error = 0.0;
    *size = 0.0;
    for (size_t i = 0; i < p->n; i++) {
        if (p->s[i] == 0.0) continue;
        error += pow((double)x[i] / p->s[i] - (double)y[i], 2);
        *size += pow((double)y[i], 2);
    }
    *size = sqrt(*size);
    return sqrt(error);
}

// The chain rule: gradient' = s gradient and H' v' = s H s v', up to rounding of the point, which the derivatives amplify.
Test(reparam, follows_the_chain_rule) {
    task_case c;
    for (size_t i = 0; task_case_at(i, &c); i++) {
        if (!c.smooth) continue; // the rounding of s (theta / s) may cross a kink
        flt_objective *plain = make(c.spec), *o = wrapped(c.spec, modes[i % N_MODES], ",reparam_scale=30");
        point p = point_of(plain, o, 5);
        flt_real *want = vector(p.n), *got = vector(p.n);
        const flt_batch batch = {5, FLTX_TRAIN, 2};
        double size = 0.0;
        plain->gradient(plain->self, batch, p.theta, want);
        o->gradient(o->self, batch, p.theta_seen, got);
        const double error = difference(&p, got, want, &size);
        cr_assert(error <= 1e4 * FLTX_EPS * size, "%s: gradient off by %.3g of %.3g", o->spec, error, size);
        if (o->hessian_vector != NULL) {
            plain->hessian_vector(plain->self, batch, p.theta, p.v, want);
            o->hessian_vector(o->self, batch, p.theta_seen, p.v_seen, got);
            const double off = difference(&p, got, want, &size);
            cr_assert(off <= 1e4 * FLTX_EPS * size, "%s: Hessian off by %.3g of %.3g", o->spec, off, size);
        }
        point_free(&p);
        free(want);
        free(got);
        flt_objective_destroy(plain);
        flt_objective_destroy(o);
    }
}

static double loss_at(const flt_objective *o, flt_batch batch, const point *p, double h, flt_real *at, flt_real *grad) {
    for (size_t i = 0; i < p->n; i++) at[i] = (flt_real)((double)p->theta_seen[i] + h * (double)p->v_seen[i]);
    return (double)o->gradient(o->self, batch, at, grad);
}

static void check_differences(const char *spec, const char *mode) {
    flt_objective *plain = make(spec), *o = wrapped(spec, mode, "");
    point p = point_of(plain, o, 4);
    flt_real *g = vector(p.n), *up = vector(p.n), *down = vector(p.n), *hv = vector(p.n), *at = vector(p.n);
    const flt_batch batch = {4, FLTX_TRAIN, 1};
    const double h = cbrt(FLTX_EPS), tolerance = 100 * pow(FLTX_EPS, 2.0 / 3.0);
    o->gradient(o->self, batch, p.theta_seen, g);
    const double above = loss_at(o, batch, &p, h, at, up), below = loss_at(o, batch, &p, -h, at, down);
    const double got = dot(p.n, g, p.v_seen), want = (above - below) / (2 * h);
    cr_assert(fabs(got - want) <= tolerance * (fabs(above) + fabs(got)), "%s: slope %.9g, not %.9g", o->spec, got, want);
    if (o->hessian_vector != NULL) {
        o->hessian_vector(o->self, batch, p.theta_seen, p.v_seen, hv);
        const double curve = dot(p.n, hv, p.v_seen), rise = (dot(p.n, up, p.v_seen) - dot(p.n, down, p.v_seen)) / (2 * h);
        const double scale = fabs(curve) + fabs(dot(p.n, up, p.v_seen)) + fabs(above);
        cr_assert(fabs(curve - rise) <= tolerance * scale, "%s: curvature %.9g, not %.9g", o->spec, curve, rise);
    }
    point_free(&p);
    flt_real *const all[] = {g, up, down, hv, at};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    flt_objective_destroy(plain);
    flt_objective_destroy(o);
}

Test(reparam, derivatives_are_those_of_its_own_loss) {
    task_case c;
    for (size_t i = 0; task_case_at(i, &c); i++)
        if (c.smooth || sizeof(flt_real) == 8) check_differences(c.spec, modes[(i + 1) % N_MODES]);
}

// ---- scales

static const char *const network = "teacher_student:inputs=5,width=6,teacher=3,batch=7";

Test(reparam, scales_are_shared_as_the_mode_says) {
    for (int m = 0; m < N_MODES; m++) {
        flt_objective *plain = make(network), *o = wrapped(network, modes[m], "");
        double *s = scales(plain, o, 3), first = 0.0;
        size_t in_tensor = 0, over_all = 0, known = 0;
        for (size_t t = 0; t < o->layout.n; t++) {
            const flt_tensor_spec *x = &o->layout.tensor[t];
            double own = 0.0;
            for (size_t i = x->offset; i < x->offset + x->count; i++) {
                if (s[i] == 0.0) continue;
                if (own == 0.0) own = s[i];
                if (first == 0.0) first = s[i];
                in_tensor += fabs(s[i] / own - 1) > 1e-5;
                over_all += fabs(s[i] / first - 1) > 1e-5;
                known++;
                cr_assert(s[i] > 0.99e-3 && s[i] < 1.01e3, "%g", s[i]);
            }
        }
        cr_assert(known > 20);
        cr_assert((in_tensor == 0) == (m != PARAMETER), "%s: %zu differ within a tensor", modes[m], in_tensor);
        cr_assert((over_all == 0) == (m == GLOBAL), "%s: %zu differ", modes[m], over_all);
        free(s);
        flt_objective_destroy(plain);
        flt_objective_destroy(o);
    }
}

// log s / log S is uniform in [-1, 1]: mean 0, variance 1/3, by five standard deviations of each.
static void check_moments(const char *mode, const char *more, double range, size_t seeds) {
    flt_objective *plain = make("quadratic:dimension=3"), *o = wrapped("quadratic:dimension=3", mode, more);
    double sum = 0.0, square = 0.0;
    for (uint64_t seed = 0; seed < seeds; seed++) {
        double *s = scales(plain, o, seed);
        const double x = log(s[0]) / log(range);
        cr_assert(fabs(x) < 1.0 + 1e-5, "%g", s[0]);
        sum += x;
        square += x * x;
        free(s);
    }
    const double n = (double)seeds;
    cr_assert(fabs(sum / n) < 5 * sqrt(1.0 / 3 / n), "%s: mean %g", o->spec, sum / n);
    cr_assert(fabs(square / n - 1.0 / 3) < 5 * sqrt(4.0 / 45 / n), "%s: variance %g", o->spec, square / n);
    flt_objective_destroy(plain);
    flt_objective_destroy(o);
}

Test(reparam, scales_are_log_uniform_over_seeds) {
    check_moments("global", "", 1000, 2000);
    check_moments("tensor", ",reparam_scale=10", 10, 2000);
    check_moments("parameter", ",reparam_scale=3", 3, 2000);
}

Test(reparam, is_a_pure_function_of_the_seed_and_allocates_nothing) {
    static const uint64_t seeds[] = {1, 2, 1, 3, 2, 1};
    for (int m = 0; m < N_MODES; m++) {
        flt_objective *a = wrapped(network, modes[m], ""), *b = wrapped(network, modes[m], "");
        flt_real *theta = initial(a, 1), *other = initial(b, 2), *g = vector(a->layout.total), *h = vector(a->layout.total);
        const size_t before = flt_alloc_count();
        for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++) { // b sees the seeds in the other order
            const flt_batch batch = {seeds[i], FLTX_TRAIN, i};
            const flt_real x = a->gradient(a->self, batch, theta, g);
            b->gradient(b->self, (flt_batch){seeds[5 - i], FLTX_TRAIN, 0}, other, NULL);
            b->hessian_vector(b->self, (flt_batch){seeds[5 - i] + 9, FLTX_TRAIN, 0}, other, theta, h);
            cr_assert_eq(b->gradient(b->self, batch, theta, h), x);
            cr_assert_eq(memcmp(g, h, a->layout.total * sizeof *g), 0, "%s, seed %d", modes[m], (int)seeds[i]);
        }
        cr_assert_eq(flt_alloc_count(), before);
        cr_assert(memcmp(theta, other, a->layout.total * sizeof *theta) != 0);
        flt_real *const all[] = {theta, other, g, h};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
        flt_objective_destroy(a);
        flt_objective_destroy(b);
    }
}

// ---- specs

Test(reparam, is_a_parameter_of_every_spec) {
    static const struct {
        const char *spec;
        flt_err err;
        const char *says;
    } wrong[] = {{"quadratic:reparam=all", FLTE_RANGE, "none|global|tensor|parameter"},
                 {"quadratic:reparam_scale=0.5", FLTE_RANGE, "1 .. 1000000"},
                 {"quadratic:reparm=global", FLTE_NAME, "did you mean 'reparam'?"}};
    const size_t before = flt_live_blocks();
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        flt_objective *o = NULL;
        cr_assert_eq(flt_task_create(wrong[i].spec, &o), wrong[i].err, "%s: %s", wrong[i].spec, flt_error());
        cr_assert(strstr(flt_error(), wrong[i].says) != NULL, "%s: %s", wrong[i].spec, flt_error());
    }
    flt_objective *o = make("quadratic:reparam_scale=10,reparam=tensor,dimension=4");
    cr_assert_str_eq(o->spec, "quadratic:dimension=4,reparam=tensor,reparam_scale=10");
    flt_objective_destroy(o);
    o = make("quadratic:reparam=none,reparam_scale=1000");
    cr_assert_str_eq(o->spec, "quadratic");
    flt_objective_destroy(o);
    cr_assert_eq(flt_live_blocks(), before);
}

Test(reparam, is_drawn_by_distributions) {
    size_t tensor = 0, small = 0;
    enum { DRAWS = 2000 };
    for (uint64_t seed = 0; seed < DRAWS; seed++) {
        char spec[FLTX_TASK_SPEC_SIZE];
        static const char *const from = "digits_mlp:width=8..128,reparam=global|tensor,reparam_scale=10..1000";
        cr_assert_eq(flt_task_sample(from, seed, spec), FLTE_OK, "%s", flt_error());
        cr_assert((strstr(spec, "reparam=tensor") != NULL) != (strstr(spec, "reparam=global") != NULL), "%s", spec);
        tensor += strstr(spec, "reparam=tensor") != NULL;
        const char *scale = strstr(spec, "reparam_scale=");
        small += scale != NULL && strtod(scale + 14, NULL) < 100;
    }
    cr_assert(fabs((double)tensor / DRAWS - 0.5) < 5 * 0.5 / sqrt(DRAWS), "%zu of %d", tensor, DRAWS);
    cr_assert(fabs((double)small / DRAWS - 0.5) < 5 * 0.5 / sqrt(DRAWS), "%zu of %d", small, DRAWS);
}

Test(reparam, leaves_nothing_behind_where_memory_ends) {
    const size_t before = flt_live_blocks();
    flt_objective *o = NULL;
    for (long n = 0;; n++) {
        flt_fail_alloc_after(n);
        const flt_err err = flt_task_create("quadratic:dimension=4,reparam=parameter", &o);
        flt_fail_alloc_after(-1);
        if (err == FLTE_OK) break;
        cr_assert_eq(err, FLTE_NOMEM);
        cr_assert_eq(flt_live_blocks(), before, "request %ld", n);
    }
    flt_objective_destroy(o);
    cr_assert_eq(flt_live_blocks(), before);
}
