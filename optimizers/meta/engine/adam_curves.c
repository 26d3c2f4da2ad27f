// SPDX-License-Identifier: MIT
// Adam's curves.
#include "meta/engine/adam_curves.h"

#include "flt/memory.h"
#include "flt/num.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <string.h>

enum { MOST_BINS = 4096, PROBLEMS = 2 };
static const char *const rates[] = {"0.0003", "0.001", "0.003", "0.01", "0.03", "0.1"};
enum { RATES = sizeof rates / sizeof *rates };

typedef struct bench { // what the runs on one task share
    const flt_meta_config *c;
    const flt_adam_curves *r;
    flt_meta_loss loss;
    const char *spec;
    flt_watch *watch;
    flt_real *param, *state;
    double *curve; // [bins + 1]
} bench;

// Bin b holds the steps b S / B .. (b + 1) S / B - 1 of S, rounded down.
static size_t first_step(const flt_adam_curves *r, size_t bin) {
    return (size_t)((double)r->steps / (double)r->bins * (double)bin);
}

static void run_problem(const bench *b, flt_inner *inner, uint64_t problem) {
    const uint64_t seed = flt_training_seed(b->c->seed, UINT64_MAX, problem); // no particle has this number
    bool dead = false;
    const flt_arm arm = {b->param, b->state, &dead};
    double sum = 0.0;
    flt_inner_begin(inner, seed, b->param, b->state);
    for (size_t k = 0; k < b->r->bins; k++) {
        const size_t end = k + 1 == b->r->bins ? b->r->steps : first_step(b->r, k + 1);
        for (size_t t = first_step(b->r, k); t < end && !flt_watch_stopping(b->watch); t++) {
            double counted = 0.0;
            sum += flt_meta_loss_step(&b->loss, inner, NULL, arm, (flt_batch){.seed = seed, .step = t}, true, &counted);
        }
        b->curve[k + 1] += sum / PROBLEMS;
    }
}

static flt_err run_rate(bench *b, const flt_optimizer_kind *adam, const char *rate) {
    const flt_weights w = {.kind = adam};
    flt_params *params = NULL;
    flt_inner inner = {0};
    FLTX_TRY(flt_params_create("optimizer adam", adam->kind.params, &params));
    flt_err err = flt_params_set(params, "lr", rate);
    if (err == FLTE_OK) err = flt_inner_create(&w, params, b->spec, b->c->make, &inner);
    if (err == FLTE_OK) err = flt_alloc(inner.params, sizeof *b->param, &b->param);
    if (err == FLTE_OK) err = flt_alloc(inner.state, sizeof *b->state, &b->state);
    memset(b->curve, 0, (b->r->bins + 1) * sizeof *b->curve);
    for (uint64_t p = 0; p < PROBLEMS && err == FLTE_OK; p++) run_problem(b, &inner, p);
    flt_free(b->param);
    flt_free(b->state);
    flt_inner_destroy(&inner);
    flt_params_destroy(params);
    return err;
}

// The best rate's curve in `best` [bins + 1].
static flt_err run_task(bench *b, double *best) {
    const flt_optimizer_kind *adam = NULL;
    FLTX_TRY(flt_optimizer_find("adam", &adam));
    FLTX_TRY(flt_alloc(b->r->bins + 1, sizeof *b->curve, &b->curve));
    flt_err err = FLTE_OK;
    for (int k = 0; k < RATES && err == FLTE_OK; k++) {
        err = run_rate(b, adam, rates[k]);
        if (k == 0 || b->curve[b->r->bins] < best[b->r->bins]) memcpy(best, b->curve, (b->r->bins + 1) * sizeof *best);
    }
    flt_free(b->curve);
    return err;
}

typedef struct failure { // of the threads, the first that came
    flt_err err;
    char sentence[1024];
} failure;

static void run_cell(const flt_meta_config *c, const flt_task_pool *pool, flt_watch *watch, flt_adam_curves *r, size_t k,
                     failure *first) {
    bench b = {.c = c, .r = r, .spec = pool->spec[k], .watch = watch};
    char status[96];
    snprintf(status, sizeof status, "adam, for comparison: task %zu of %zu", k + 1, pool->n);
    if (omp_get_thread_num() == 0) flt_sink_progress(watch->sink, 0.0, status);
    flt_err err = flt_meta_loss_make(c, &b.loss);
    if (err == FLTE_OK) err = run_task(&b, r->sum + k * (r->bins + 1));
    if (err == FLTE_OK) return;
#pragma omp critical(flt_adam_curves)
    if (first->err == FLTE_OK) {
        first->err = err;
        snprintf(first->sentence, sizeof first->sentence, "%s", flt_error());
    }
}

static flt_err run_own(const flt_meta_config *c, const flt_task_pool *pool, flt_watch *watch, flt_adam_curves *r) {
    failure first = {FLTE_OK, ""};
    const int threads = flt_num_threads(flt_threads_wanted(c));
#pragma omp parallel num_threads(threads)
    {
        const unsigned saved = flt_num_ftz();
#pragma omp for schedule(dynamic, 1)
        for (size_t k = 0; k < pool->n; k++)
            if (c->ranks == NULL || flt_ranks_own(c->ranks, k)) run_cell(c, pool, watch, r, k, &first);
        flt_num_ftz_restore(saved);
    }
    if (atomic_load(&watch->stop))
        return flt_fail(FLTE_INTERRUPTED, "meta-training", "stopped while Adam's curves were measured");
    return first.err == FLTE_OK ? FLTE_OK : flt_error_restore(first.err, first.sentence);
}

flt_err flt_adam_curves_create(const flt_meta_config *c, const flt_task_pool *pool, flt_watch *watch, flt_adam_curves *out) {
    const size_t bins = c->unroll_max < MOST_BINS ? c->unroll_max : MOST_BINS, row = (bins + 1) * sizeof *out->sum;
    *out = (flt_adam_curves){.tasks = pool->n, .bins = bins, .steps = c->unroll_max};
    if (!c->against_adam) return FLTE_OK;
    flt_err err = flt_alloc(pool->n, row, &out->sum);
    if (err == FLTE_OK) err = run_own(c, pool, watch, out);
    return flt_ranks_cells(c->ranks, pool->n, row, out->sum, err);
}

void flt_adam_curves_destroy(flt_adam_curves *r) {
    flt_free(r->sum);
    *r = (flt_adam_curves){0};
}

// The sum over the first t steps.
static double upto(const flt_adam_curves *r, size_t task, uint64_t t) {
    const double *sum = r->sum + task * (r->bins + 1);
    size_t b = (size_t)((double)t / (double)r->steps * (double)r->bins);
    while (b > 0 && first_step(r, b) > t) b--;
    while (b + 1 < r->bins && first_step(r, b + 1) <= t) b++;
    if (b >= r->bins) return sum[r->bins];
    const size_t low = first_step(r, b), high = b + 1 == r->bins ? r->steps : first_step(r, b + 1);
    return sum[b] + (sum[b + 1] - sum[b]) * (double)(t - low) / (double)(high - low);
}

double flt_adam_curves_part(const flt_adam_curves *r, const flt_meta_loss *m, size_t task, const flt_part *part) {
    const uint64_t end = part->t + part->steps;
    if (m->reduction == FLTX_MEAN) return upto(r, task, end) - upto(r, task, part->t);
    return (double)part->steps * (upto(r, task, end) - upto(r, task, end - 1));
}
