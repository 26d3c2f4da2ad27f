// SPDX-License-Identifier: MIT
// What the tests of tasks share: making objectives, vectors of random numbers, norms in double.
#ifndef FLTX_TASKS_TEST_SUPPORT_H
#define FLTX_TASKS_TEST_SUPPORT_H

#include "flt/memory.h"
#include "flt/random.h"
#include "flt/tasks.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Small versions of every activation and depth, and of the test functions; `smooth`: without kinks that differences may cross.
typedef struct task_case {
    const char *spec;
    bool smooth;
} task_case;

#define BYTES "bytes_transformer:width=4,depth=1,expansion=2,length=5,batch=2,"
#define LISTS "listops:width=4,depth=1,expansion=2,length=9,batch=2,examples=5,"
#define PATHS "pathfinder:size=8,length=5,width=4,depth=1,expansion=2,batch=2,examples=5,"
#define ATOMS "molecules:most=7,width=4,depth=1,expansion=2,batch=2,examples=5,"
#define VIT   "digits_vit:width=4,depth=1,expansion=2,patch=4,batch=2,"

static const task_case task_cases[] = {
    {"quadratic:dimension=1", true},
    {"quadratic:dimension=7,conditioning=1000,noise=0", true},
    {"quadratic:dimension=40,noise=2,instance=5", true},
    {"rosenbrock:dimension=2,spread=0", true},
    {"rosenbrock:dimension=9", true},
    {"ackley:dimension=3", true},
    {"rastrigin:dimension=4", true},
    {"styblinski_tang:dimension=5", true},
    {"saddle:dimension=7", true},
    {"dependency_chain:dimension=6", true},
    {"min_max_well:dimension=9", false},
    {"outward_snake:dimension=7,batch=3", true},
    {"digits_mlp:depth=0,batch=5", true},
    {"digits_mlp:width=3,batch=4,activation=relu", false},
    {"digits_mlp:width=8,depth=2,batch=6,activation=gelu", true},
    {"digits_mlp:width=5,depth=3,batch=3,activation=tanh", true},
    {"digits_mlp:width=6,depth=4,batch=1,activation=sigmoid", true},
    {"digits_mlp:width=8,batch=7,activation=silu,augment=false", true},
    {"digits_mlp:width=8,depth=2,batch=5,activation=gelu,norm=true", true},
    {"teacher_student:inputs=5,width=6,teacher=3,activation=tanh,batch=7", true},
    {"teacher_student:inputs=3,width=4,depth=2,activation=gelu,noise=0.5,batch=5,norm=true", true},
    {"matrix_factorisation:rows=5,columns=7,rank=2,factors=3,batch=20", true},
    {"noisy_linear_regression:dimension=6,batch=5", true},
    {"noisy_linear_regression:dimension=1,batch=5,noise=0,instance=4", true},
    {"glyphs:width=5,batch=4,activation=tanh", true},
    {"glyphs:depth=0,batch=3,size=12,classes=10", true},
    {"bytes_rnn:width=3,embedding=2,length=4,batch=2", true},
    {BYTES "attention=exact,rpe=gaussian_mixture", true},
    {BYTES "attention=exact,rpe=t5_buckets,absolute=false", true},
    {BYTES "attention=exact,rpe=lag_table,depth=2", true},
    {BYTES "attention=exact,rpe=alibi", true},
    {BYTES "attention=exact,rpe=none", true},
    {BYTES "attention=flt,rpe=gaussian_mixture,m=5,r=4", true},
    {BYTES "attention=flt,rpe=matern32,m=5,r=3,settings=features=hyperbolic", true},
    {BYTES "attention=flt,rpe=box,m=5,r=3", true},
    {BYTES "attention=flt,rpe=window,m=5,r=3", true},
    {BYTES "attention=flt,rpe=lag_table,m=5,r=3", true},
    {BYTES "attention=linear", true},
    {BYTES "attention=performer,m=6", true},
    {VIT "attention=exact,rpe=gaussian", true},
    {VIT "attention=exact,rpe=cauchy,heads=1", true},
    {VIT "attention=flt,rpe=gaussian_mixture,m=5,r=4", true},
    {VIT "attention=flt,rpe=ball,m=5,r=4", true},
    {VIT "attention=performer,m=4,absolute=false,positions=sequence", true},
    {LISTS "attention=exact,rpe=gaussian_mixture", true},
    {LISTS "attention=flt,rpe=gaussian_mixture,m=5,r=4,absolute=false", true},
    {LISTS "attention=exact,rpe=t5_buckets,levels=true,pool=first", true},
    {PATHS "attention=exact,rpe=gaussian_mixture,patch=2,pool=dots", true},
    {PATHS "attention=exact,rpe=gaussian,positions=grid,patch=1,pool=mean", true},
    {PATHS "attention=linear,positions=sequence,patch=1", true},
    {ATOMS "attention=exact,rpe=gaussian", true},
    {ATOMS "attention=flt,rpe=gaussian_mixture,m=5,r=4,coordinates=true", true},
    {ATOMS "attention=linear", true},
    {"softmax_regression:batch=5", true},
    {"softmax_regression:batch=3,decay=0", true},
    {"digits_autoencoder:width=6,code=3,batch=4,activation=tanh", true},
    {"digits_conv:channels=3,depth=1,batch=2,activation=gelu", true},
    {"digits_conv:channels=4,batch=3,activation=tanh", true},
    {"digits_conv:channels=2,depth=4,batch=2,activation=silu", true},
};
enum { N_TASK_CASES = sizeof task_cases / sizeof *task_cases };

// Case i: the table above, then every registered task at its defaults (kinks assumed). False behind the last.
static inline bool task_case_at(size_t i, task_case *out) {
    const flt_registry *r = flt_task_registry();
    if (i < N_TASK_CASES)
        *out = task_cases[i];
    else if (i - N_TASK_CASES < flt_registry_count(r))
        *out = (task_case){r->kinds[i - N_TASK_CASES]->name, false};
    else
        return false;
    return true;
}

static inline flt_objective *make(const char *spec) {
    flt_objective *o = NULL;
    const flt_err err = flt_task_create(spec, &o);
    cr_assert_eq(err, FLTE_OK, "%s: %s", spec, flt_error());
    return o;
}

static inline flt_real *vector(size_t n) {
    flt_real *x = calloc(n, sizeof *x);
    cr_assert(x != NULL);
    return x;
}

static inline flt_real *normals(size_t n, uint64_t number) {
    flt_real *x = vector(n);
    flt_rng_normal(flt_rng_make(1, "test", number), 0, n, x);
    return x;
}

static inline double dot(size_t n, const flt_real *x, const flt_real *y) {
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i] * (double)y[i];
    return sum;
}

static inline double norm(size_t n, const flt_real *x) {
    return sqrt(dot(n, x, x));
}

static inline flt_real *initial(const flt_objective *o, uint64_t seed) {
    flt_real *theta = vector(o->layout.total);
    o->init(o->self, seed, theta);
    return theta;
}

static inline double evaluate(const flt_objective *o, uint64_t seed, flt_split split, const flt_real *theta, double *metric) {
    flt_real loss, second;
    o->evaluate(o->self, seed, split, theta, &loss, &second);
    if (metric != NULL) *metric = (double)second;
    return (double)loss;
}

// Adam without tricks.
static inline void adam(const flt_objective *o, uint64_t seed, size_t steps, double lr, flt_real *theta) {
    const size_t n = o->layout.total;
    flt_real *g = vector(n);
    double *m = calloc(n, sizeof *m), *v = calloc(n, sizeof *v);
    for (size_t t = 0; t < steps; t++) {
        o->gradient(o->self, (flt_batch){seed, FLTX_TRAIN, t}, theta, g);
        const double c1 = 1.0 - pow(0.9, (double)t + 1), c2 = 1.0 - pow(0.999, (double)t + 1);
        for (size_t i = 0; i < n; i++) {
            m[i] = 0.9 * m[i] + 0.1 * (double)g[i];
            v[i] = 0.999 * v[i] + 0.001 * (double)g[i] * (double)g[i];
            theta[i] -= (flt_real)(lr * (m[i] / c1) / (sqrt(v[i] / c2) + 1e-8));
        }
    }
    free(g);
    free(m);
    free(v);
}

#endif
