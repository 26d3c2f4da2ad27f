// SPDX-License-Identifier: MIT
// Conformance of every registered task: purity, finiteness, memory; and spec strings with their sentences.
#include "support.h"

#include <pthread.h>

// ---- what every task keeps

typedef struct step_bits {
    flt_real loss;
    double grad; // a hash in disguise: the sum of i g_i
} step_bits;

static step_bits step(const flt_objective *o, flt_batch b, const flt_real *theta, flt_real *g) {
    step_bits s = {.loss = o->gradient(o->self, b, theta, g)};
    for (size_t i = 0; i < o->layout.total; i++) s.grad += (double)(i + 1) * (double)g[i];
    return s;
}

static bool same(step_bits a, step_bits b) {
    return a.loss == b.loss && a.grad == b.grad;
}

Test(tasks, are_finite_and_typical_at_initialisation) {
    task_case c;
    for (size_t i = 0; task_case_at(i, &c); i++) {
        flt_objective *o = make(c.spec);
        flt_real *g = vector(o->layout.total);
        double mean = 0.0;
        enum { SEEDS = 40 };
        for (uint64_t seed = 0; seed < SEEDS; seed++) {
            flt_real *theta = initial(o, seed);
            const double loss = (double)o->gradient(o->self, (flt_batch){seed, FLTX_TRAIN, seed}, theta, g);
            cr_assert(isfinite(loss) && isfinite(norm(o->layout.total, g)), "%s, seed %d: loss %g", c.spec, (int)seed, loss);
            if (o->has_minimum) cr_assert(loss >= o->minimum, "%s: %g below the minimum", c.spec, loss);
            mean += loss / SEEDS;
            free(theta);
        }
        cr_assert(o->normaliser > 0 && o->clip_loss > o->normaliser, "%s", c.spec);
        cr_assert(mean > 0.4 * o->normaliser && mean < 2.5 * o->normaliser, "%s: mean %g, normaliser %g", c.spec, mean,
                  o->normaliser);
        free(g);
        flt_objective_destroy(o);
    }
}

Test(tasks, are_pure_functions_of_seed_split_and_step) {
    static const flt_batch batches[] = {
        {1, FLTX_TRAIN, 0}, {1, FLTX_TRAIN, 1}, {2, FLTX_TRAIN, 0}, {1, FLTX_VALID, 0}, {9, FLTX_TEST, 999}};
    enum { N = sizeof batches / sizeof *batches };
    task_case c;
    for (size_t i = 0; task_case_at(i, &c); i++) {
        flt_objective *a = make(c.spec), *b = make(c.spec);
        flt_real *theta = initial(a, 3), *same_theta = initial(b, 3), *g = vector(a->layout.total);
        step_bits first[N];
        cr_assert_eq(memcmp(theta, same_theta, a->layout.total * sizeof *theta), 0, "%s: init", c.spec);
        for (size_t k = 0; k < N; k++) first[k] = step(a, batches[k], theta, g);
        for (size_t k = N; k-- > 0;) { // another object, another order, other work between
            evaluate(b, 1, (flt_split)(k % 3), theta, NULL);
            if (b->hessian_vector != NULL) b->hessian_vector(b->self, batches[(k + 2) % N], theta, theta, g);
            cr_assert(same(step(b, batches[k], theta, g), first[k]), "%s, minibatch %zu", c.spec, k);
            cr_assert(same(step(b, batches[k], theta, g), first[k]), "%s, minibatch %zu again", c.spec, k);
        }
        free(theta);
        free(same_theta);
        free(g);
        flt_objective_destroy(a);
        flt_objective_destroy(b);
    }
}

Test(tasks, differ_between_seeds_and_minibatches) {
    const flt_registry *r = flt_task_registry();
    for (size_t i = 0; r->kinds[i] != NULL; i++) {
        flt_objective *o = make(r->kinds[i]->name);
        flt_real *theta = initial(o, 3), *other = initial(o, 4);
        const bool stochastic = r->kinds[i]->caps & FLTX_TASK_STOCHASTIC;
        const flt_real loss = o->gradient(o->self, (flt_batch){1, FLTX_TRAIN, 0}, theta, NULL);
        const flt_real next = o->gradient(o->self, (flt_batch){1, FLTX_TRAIN, 1}, theta, NULL);
        const flt_real reseeded = o->gradient(o->self, (flt_batch){2, FLTX_TRAIN, 0}, theta, NULL);
        cr_assert(memcmp(theta, other, o->layout.total * sizeof *theta) != 0, "%s: init", o->spec);
        cr_assert((loss != next) == stochastic && (loss != reseeded) == stochastic, "%s: %g, %g, %g", o->spec, (double)loss,
                  (double)next, (double)reseeded);
        free(theta);
        free(other);
        flt_objective_destroy(o);
    }
}

Test(tasks, keep_what_their_bits_say) {
    const flt_registry *r = flt_task_registry();
    for (size_t i = 0; r->kinds[i] != NULL; i++) {
        flt_objective *o = make(r->kinds[i]->name);
        size_t total = 0;
        cr_assert_eq(o->has_minimum, (r->kinds[i]->caps & FLTX_TASK_MINIMUM) != 0, "%s", o->spec);
        cr_assert(o->layout.n > 0 && o->hessian_vector != NULL, "%s", o->spec);
        const bool error = o->metric != NULL && strcmp(o->metric, "accuracy") != 0;
        cr_assert_eq(error, (r->kinds[i]->caps & FLTX_TASK_ERROR) != 0, "%s: %s", o->spec, error ? o->metric : "-");
        for (size_t t = 0; t < o->layout.n; t++) {
            cr_assert_eq(o->layout.tensor[t].offset, total, "%s: %s", o->spec, o->layout.tensor[t].name);
            total += o->layout.tensor[t].count;
        }
        cr_assert_eq(o->layout.total, total, "%s", o->spec);
        flt_objective_destroy(o);
    }
}

Test(tasks, allocate_nothing_while_running) {
    task_case c;
    for (size_t i = 0; task_case_at(i, &c); i++) {
        flt_objective *o = make(c.spec);
        flt_real *theta = initial(o, 3), *g = vector(o->layout.total);
        const size_t before = flt_alloc_count();
        for (uint64_t k = 0; k < 3; k++) {
            o->init(o->self, k, theta);
            o->gradient(o->self, (flt_batch){k, (flt_split)k, k}, theta, g);
            o->gradient(o->self, (flt_batch){k, (flt_split)k, k + 1}, theta, NULL);
            o->hessian_vector(o->self, (flt_batch){k, (flt_split)k, k}, theta, theta, g);
            evaluate(o, k, (flt_split)k, theta, NULL);
        }
        cr_assert_eq(flt_alloc_count(), before, "%s: %zu requests", c.spec, flt_alloc_count() - before);
        free(theta);
        free(g);
        flt_objective_destroy(o);
    }
}

// Stretches of theta and grad at odd addresses: a flat vector may start anywhere.
Test(tasks, take_vectors_of_any_alignment) {
    task_case c;
    for (size_t i = 0; task_case_at(i, &c); i++) {
        flt_objective *o = make(c.spec);
        const size_t n = o->layout.total;
        flt_real *theta = initial(o, 3), *shifted = vector(n + 1), *g = vector(n), *h = vector(n + 1);
        memcpy(shifted + 1, theta, n * sizeof *theta);
        const double a = (double)o->gradient(o->self, (flt_batch){0}, theta, g);
        const double b = (double)o->gradient(o->self, (flt_batch){0}, shifted + 1, h + 1);
        cr_assert(fabs(a - b) <= 30 * FLTX_EPS * fabs(a), "%s", c.spec);
        for (size_t k = 0; k < n; k++)
            cr_assert(fabs((double)g[k] - (double)h[k + 1]) <= 30 * FLTX_EPS * (fabs(a) + norm(n, g)), "%s: %zu", c.spec, k);
        cr_assert(h[0] == 0, "%s", c.spec);
        free(theta);
        free(shifted);
        free(g);
        free(h);
        flt_objective_destroy(o);
    }
}

// Executors stay bound to the vectors of the last call.
Test(tasks, read_and_write_the_vectors_of_each_call) {
    static const flt_batch batch = {1, FLTX_TRAIN, 0};
    task_case c;
    for (size_t i = 0; task_case_at(i, &c); i++) {
        flt_objective *o = make(c.spec);
        const size_t n = o->layout.total;
        flt_real *theta[2] = {initial(o, 1), initial(o, 2)}, *g[2] = {vector(n), vector(n)}, *again = vector(n);
        flt_real loss[2], test[2], other;
        for (int k = 0; k < 2; k++) {
            loss[k] = o->gradient(o->self, batch, theta[k], g[k]);
            test[k] = o->gradient(o->self, batch, theta[k], NULL);
        }
        for (int k = 0; k < 2; k++) {
            o->idle(o->self, theta[1 - k], g[1 - k]);
            cr_assert_eq(o->gradient(o->self, batch, theta[k], again), loss[k], "%s", c.spec);
            cr_assert_eq(memcmp(again, g[k], n * sizeof *again), 0, "%s", c.spec);
            cr_assert_eq(o->gradient(o->self, batch, theta[k], NULL), test[k], "%s", c.spec);
            if (o->hessian_vector == NULL) continue;
            o->hessian_vector(o->self, batch, theta[k], theta[1 - k], again);
            other = again[0];
            o->hessian_vector(o->self, batch, theta[1 - k], theta[k], again);
            o->hessian_vector(o->self, batch, theta[k], theta[1 - k], again);
            cr_assert_eq(again[0], other, "%s", c.spec);
        }
        flt_real *const all[] = {theta[0], theta[1], g[0], g[1], again};
        for (size_t k = 0; k < sizeof all / sizeof *all; k++) free(all[k]);
        flt_objective_destroy(o);
    }
}

Test(tasks, survive_failing_allocations) {
    task_case c;
    flt_objective_destroy(make("digits_mlp")); // the shared table is decoded
    for (size_t i = 0; task_case_at(i, &c); i++) {
        const size_t before = flt_live_blocks();
        flt_err err = FLTE_NOMEM;
        for (long n = 0; err != FLTE_OK; n += 1 + n / 8) { // every one of the first 8, then ever larger strides
            flt_objective *o = NULL;
            flt_fail_alloc_after(n);
            err = flt_task_create(c.spec, &o);
            flt_fail_alloc_after(-1);
            cr_assert(err == FLTE_OK || (err == FLTE_NOMEM && o == NULL), "%s, request %ld: %s", c.spec, n, flt_error());
            flt_objective_destroy(o);
            cr_assert_eq(flt_live_blocks(), before, "%s, request %ld leaks", c.spec, n);
            cr_assert_lt(n, 1000000, "%s", c.spec);
        }
    }
}

typedef struct worker {
    pthread_t thread;
    step_bits result;
} worker;

static void *work(void *self) {
    worker *w = self;
    flt_objective *o = make("digits_mlp:batch=16");
    flt_real *theta = initial(o, 3), *g = vector(o->layout.total);
    for (uint64_t k = 0; k < 20; k++) {
        w->result = step(o, (flt_batch){5, FLTX_TRAIN, k}, theta, g);
        for (size_t i = 0; i < o->layout.total; i++) theta[i] -= (flt_real)0.1 * g[i];
    }
    free(theta);
    free(g);
    flt_objective_destroy(o);
    return NULL;
}

Test(tasks, give_every_thread_the_same_bits) {
    worker w[4];
    const size_t before = flt_live_blocks();
    for (size_t i = 0; i < 4; i++) cr_assert_eq(pthread_create(&w[i].thread, NULL, work, &w[i]), 0);
    for (size_t i = 0; i < 4; i++) pthread_join(w[i].thread, NULL);
    for (size_t i = 1; i < 4; i++) cr_assert(same(w[i].result, w[0].result), "thread %zu", i);
    cr_assert_eq(flt_live_blocks(), before);
}

// ---- spec strings

Test(spec, prints_what_differs_from_the_defaults) {
    static const char *const pairs[][2] = {
        {"digits_mlp", "digits_mlp"},
        {"digits_mlp:", "digits_mlp"},
        {"digits_mlp:width=32", "digits_mlp"},
        {"digits_mlp:batch=8,width=16", "digits_mlp:width=16,batch=8"},
        {"digits_mlp:width=16,width=24", "digits_mlp:width=24"},
        {"digits_mlp:augment=false,activation=tanh", "digits_mlp:activation=tanh,augment=false"},
        {"digits_mlp:noise=5e-2", "digits_mlp:noise=5e-2"},
        {"quadratic:instance=7,dimension=3", "quadratic:dimension=3,instance=7"},
        {"rosenbrock:dimension=3", "rosenbrock:dimension=3"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        flt_objective *o = make(pairs[i][0]), *again = make(o->spec);
        cr_assert_str_eq(o->spec, pairs[i][1], "%s", pairs[i][0]);
        cr_assert_str_eq(again->spec, o->spec, "%s", pairs[i][0]);
        cr_assert_eq(again->layout.total, o->layout.total, "%s", pairs[i][0]);
        flt_objective_destroy(o);
        flt_objective_destroy(again);
    }
}

Test(spec, says_what_is_wrong) {
    static const struct {
        const char *spec;
        flt_err err;
        const char *says;
    } cases[] = {
        {"", FLTE_USAGE, "name:key=value"},
        {":width=3", FLTE_USAGE, "name:key=value"},
        {"digit_mlp", FLTE_NAME, "did you mean 'digits_mlp'?"},
        {"quadratics:dimension=3", FLTE_NAME, "did you mean 'quadratic'?"},
        {"digits_mlp:widht=3", FLTE_NAME, "did you mean 'width'?"},
        {"digits_mlp:width", FLTE_USAGE, "name=value"},
        {"@train", FLTE_USAGE, "'@train' stands for several tasks; allowed here: one"},
        {"2*quadratic", FLTE_USAGE, "several tasks"},
        {"quadratic;rosenbrock", FLTE_USAGE, "several tasks"},
        {"digits_mlp:width=abc", FLTE_USAGE, "'abc' is not a whole number"},
        {"digits_mlp:width=0", FLTE_RANGE, "1 .. 4096"},
        {"digits_mlp:depth=-1", FLTE_RANGE, "0 .. 16"},
        {"digits_mlp:activation=cosine", FLTE_RANGE, "relu|gelu|tanh"},
        {"digits_mlp:augment=maybe", FLTE_USAGE, "'maybe' is not a truth value"},
        {"digits_mlp:data=/nowhere", FLTE_IO, "/nowhere/train-images-idx3-ubyte does not exist"},
        {"quadratic:conditioning=0.5", FLTE_RANGE, "1 .. 1000000000000"},
        {"rosenbrock:dimension=1", FLTE_RANGE, "2 .. 100000"},
    };
    const size_t before = flt_live_blocks();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        flt_objective *o = NULL;
        const flt_err err = flt_task_create(cases[i].spec, &o);
        cr_assert_eq(err, cases[i].err, "'%s': %s", cases[i].spec, flt_error());
        cr_assert(o == NULL && strstr(flt_error(), cases[i].says) != NULL, "'%s': %s", cases[i].spec, flt_error());
        cr_assert_eq(flt_live_blocks(), before, "'%s' leaks", cases[i].spec);
    }
}

Test(spec, refuses_what_it_cannot_print) {
    char spec[512] = "digits_mlp:data=";
    flt_objective *o = NULL;
    memset(spec + strlen(spec), 'x', 300);
    cr_assert_eq(flt_task_create(spec, &o), FLTE_RANGE, "%s", flt_error());
    cr_assert(o == NULL && strstr(flt_error(), "longer than 255") != NULL, "%s", flt_error());
}
