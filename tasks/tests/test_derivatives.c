// SPDX-License-Identifier: MIT
// Gradients and Hessian-vector products of every task against central differences, and the symmetry of the Hessian.
//
// A central difference with step h = eps^(1/3) errs by h^2 f''' / 6 and eps f / h, both of order eps^(2/3) times the scale of the
// problem; GROWTH covers the third derivative.
#include "flt/attention.h"
#include "flt/rpe.h"
#include "support.h"

#define GROWTH 100.0

typedef struct point {
    const flt_objective *o;
    flt_batch batch;
    size_t n;
    flt_real *theta, *moved, *v;
} point;

static point point_at(const flt_objective *o, uint64_t number) {
    point p = {.o = o, .batch = {number, number % 2 == 0 ? FLTX_TRAIN : FLTX_TEST, number + 3}, .n = o->layout.total};
    p.theta = initial(o, number + 10);
    p.moved = vector(p.n);
    p.v = normals(p.n, number);
    const flt_real scale = (flt_real)(1.0 / norm(p.n, p.v));
    for (size_t i = 0; i < p.n; i++) p.v[i] *= scale;
    return p;
}

static void point_free(point *p) {
    free(p->theta);
    free(p->moved);
    free(p->v);
}

static const flt_real *move(point *p, double h) {
    for (size_t i = 0; i < p->n; i++) p->moved[i] = (flt_real)((double)p->theta[i] + h * (double)p->v[i]);
    return p->moved;
}

static double loss_at(point *p, double h) {
    return (double)p->o->gradient(p->o->self, p->batch, move(p, h), NULL);
}

// Of the scale; frequencies of positions turn so fast that third derivatives are large.
static double tolerance(const task_case *c) {
    const double smooth = GROWTH * pow(FLTX_EPS, 2.0 / 3.0);
    if (strstr(c->spec, "attention=") == NULL) return smooth;
    return sizeof(flt_real) == 8 ? 1e-6 : 4.0 * smooth;
}

static void check_gradient(const task_case *c, const flt_objective *o, uint64_t number) {
    point p = point_at(o, number);
    flt_real *g = vector(p.n);
    const double h = cbrt(FLTX_EPS);
    const double loss = (double)o->gradient(o->self, p.batch, p.theta, g);
    const double got = dot(p.n, g, p.v), want = (loss_at(&p, h) - loss_at(&p, -h)) / (2.0 * h);
    const double scale = fabs(loss) + norm(p.n, g);
    cr_assert(fabs(got - want) <= tolerance(c) * scale, "%s, point %d: %.12g, differences %.12g (scale %.3g)", c->spec,
              (int)number, got, want, scale);
    free(g);
    point_free(&p);
}

Test(derivatives, gradient_is_that_of_the_loss) {
    task_case c;
    for (size_t i = 0; task_case_at(i, &c); i++) {
        flt_objective *o = make(c.spec);
        for (uint64_t k = 0; k < 6; k++) check_gradient(&c, o, k);
        flt_objective_destroy(o);
    }
}

static void check_hessian(const task_case *c, const flt_objective *o, uint64_t number) {
    point p = point_at(o, number);
    flt_real *up = vector(p.n), *down = vector(p.n), *hv = vector(p.n);
    const double h = cbrt(FLTX_EPS);
    o->gradient(o->self, p.batch, move(&p, h), up);
    o->gradient(o->self, p.batch, move(&p, -h), down);
    o->hessian_vector(o->self, p.batch, p.theta, p.v, hv);
    double scale = norm(p.n, up) + norm(p.n, hv), error = 0.0;
    for (size_t i = 0; i < p.n; i++) error += pow(((double)up[i] - (double)down[i]) / (2.0 * h) - (double)hv[i], 2);
    cr_assert(sqrt(error) <= tolerance(c) * scale, "%s, point %d: off by %.3g (scale %.3g)", c->spec, (int)number, sqrt(error),
              scale);
    free(up);
    free(down);
    free(hv);
    point_free(&p);
}

Test(derivatives, hessian_is_that_of_the_gradient) {
    task_case c;
    for (size_t i = 0; task_case_at(i, &c); i++) {
        if (!c.smooth && sizeof(flt_real) == 4) continue; // float's large step crosses kinks
        flt_objective *o = make(c.spec);
        if (o->hessian_vector != NULL)
            for (uint64_t k = 0; k < 4; k++) check_hessian(&c, o, k);
        flt_objective_destroy(o);
    }
}

// <H v, w> = <v, H w> up to rounding: sums of P terms that pass through a few hundred others.
static void check_symmetry(const task_case *c, const flt_objective *o, uint64_t number) {
    point p = point_at(o, number);
    flt_real *w = normals(p.n, number + 100), *hv = vector(p.n), *hw = vector(p.n);
    o->hessian_vector(o->self, p.batch, p.theta, p.v, hv);
    o->hessian_vector(o->self, p.batch, p.theta, w, hw);
    const double left = dot(p.n, hv, w), right = dot(p.n, p.v, hw);
    const double scale = norm(p.n, hv) * norm(p.n, w) + norm(p.n, hw);
    cr_assert(fabs(left - right) <= 30.0 * FLTX_EPS * 10.0 * scale, "%s, point %d: %.12g and %.12g (scale %.3g)", c->spec,
              (int)number, left, right, scale);
    cr_assert(scale > 0.0, "%s: the Hessian is zero", c->spec);
    free(w);
    free(hv);
    free(hw);
    point_free(&p);
}

Test(derivatives, hessian_is_symmetric) {
    task_case c;
    for (size_t i = 0; task_case_at(i, &c); i++) {
        flt_objective *o = make(c.spec);
        if (o->hessian_vector != NULL)
            for (uint64_t k = 0; k < 4; k++) check_symmetry(&c, o, k);
        flt_objective_destroy(o);
    }
}

Test(derivatives, loss_alone_is_the_loss_of_the_gradient) {
    task_case c;
    for (size_t i = 0; task_case_at(i, &c); i++) {
        flt_objective *o = make(c.spec);
        point p = point_at(o, 2);
        flt_real *g = vector(p.n);
        const double with = (double)o->gradient(o->self, p.batch, p.theta, g);
        const double alone = (double)o->gradient(o->self, p.batch, p.theta, NULL);
        cr_assert(fabs(with - alone) <= 30.0 * FLTX_EPS * fabs(with), "%s: %.9g and %.9g", c.spec, with, alone);
        free(g);
        point_free(&p);
        flt_objective_destroy(o);
    }
}

// ---- transformers: every task, mechanism and encoding that there is

// Sizes for speed; a task without a line takes its defaults.
static const struct {
    const char *task, *settings;
} tiny[] = {
    {"bytes_transformer", ",length=5"},
    {"digits_vit", ",patch=4"},
    {"listops", ",length=9,examples=5"},
    {"molecules", ",most=6,examples=5"},
    {"pathfinder", ",size=8,length=5,examples=5"},
};

static bool declares(const flt_kind *kind, const char *name) {
    for (const flt_param_spec *p = kind->params; p != NULL && p->name != NULL; p++)
        if (strcmp(p->name, name) == 0) return true;
    return false;
}

static const char *tiny_settings(const char *task) {
    for (size_t i = 0; i < sizeof tiny / sizeof *tiny; i++)
        if (strcmp(tiny[i].task, task) == 0) return tiny[i].settings;
    return "";
}

// 1: checked, 0: the task refuses the pair.
static size_t check_pair(const flt_kind *task, const flt_kind *mechanism, const char *rpe) {
    char spec[256];
    const bool kinks = strcmp(mechanism->name, "fftnet") == 0 || strcmp(mechanism->name, "linear") == 0;
    const bool fast = strcmp(mechanism->name, "flt") == 0 && (strcmp(rpe, "ball") == 0 || strcmp(rpe, "box") == 0);
    const task_case c = {spec, !kinks && !fast}; // float's steps are longer than kinks are far, and than such waves
    flt_objective *o = NULL;
    snprintf(spec, sizeof spec, "%s:width=4,depth=1,expansion=1,batch=2%s,attention=%s,rpe=%s%s%s", task->name,
             tiny_settings(task->name), mechanism->name, rpe, declares(mechanism, "m") ? ",m=5" : "",
             strcmp(mechanism->name, "flt") == 0 && strcmp(rpe, "none") != 0 ? ",r=3" : "");
    const flt_err err = flt_task_create(spec, &o);
    cr_assert(err == FLTE_OK || err == FLTE_UNSUPPORTED, "%s: %s", spec, flt_error());
    if (err != FLTE_OK) return 0;
    cr_assert(o->hessian_vector != NULL, "%s has no Hessian-vector product", spec);
    check_gradient(&c, o, 1);
    if (c.smooth || sizeof(flt_real) == 8) check_hessian(&c, o, 1);
    check_symmetry(&c, o, 1);
    flt_objective_destroy(o);
    return 1;
}

Test(derivatives, every_mechanism_and_encoding_of_every_transformer) {
    const flt_registry *tasks = flt_task_registry(), *mechanisms = flt_attention_registry(), *encodings = flt_rpe_registry();
    size_t transformers = 0;
    for (size_t t = 0; tasks->kinds[t] != NULL; t++) {
        if (!declares(tasks->kinds[t], "attention")) continue;
        size_t taken = 0, pairs = 0;
        for (size_t i = 0; mechanisms->kinds[i] != NULL; i++) {
            size_t found = 0;
            if ((mechanisms->kinds[i]->caps & FLTX_ATT_BACKWARD) == 0) continue;
            found += check_pair(tasks->kinds[t], mechanisms->kinds[i], "none");
            for (size_t k = 0; encodings->kinds[k] != NULL && found > 0; k++)
                if (strcmp(encodings->kinds[k]->name, "none") != 0)
                    found += check_pair(tasks->kinds[t], mechanisms->kinds[i], encodings->kinds[k]->name);
            taken += found > 0, pairs += found;
        }
        cr_log_info("%s: %zu mechanisms, %zu with their encodings", tasks->kinds[t]->name, taken, pairs);
        cr_assert(taken >= 4 && pairs >= 12, "%s: %zu mechanisms, %zu with their encodings", tasks->kinds[t]->name, taken, pairs);
        transformers++;
    }
    cr_assert_geq(transformers, 5);
}
