// SPDX-License-Identifier: MIT
// Threads over particle-arms. Each thread has an objective and an optimizer of its own for every task and a copy of theta to
// perturb; results go to places of their own, so that who ran what leaves no trace in the bits.
#include "flt/memory.h"
#include "flt/num.h"
#include "meta/engine/workers.h"

#include "engine/inner.h"

#include <math.h>
#include <omp.h>
#include <string.h>

typedef struct threads {
    int count;
    size_t tasks, n; // n meta-parameters
    uint64_t seed;
    bool log_loss;
    flt_arms *arms;
    flt_inner *inner; // [count, tasks]
    flt_real *theta;  // [count, n]
} threads;

int flt_threads_wanted(const flt_meta_config *c) {
    const int all = c->threads > 0 ? c->threads : omp_get_max_threads();
    return all > 1 ? all : 1;
}

// Losses of different tasks and scales on one footing. Known minima are subtracted under the logarithm.
static double meta_loss(const flt_objective *o, bool log_loss, double loss) {
    if (!log_loss) return loss / o->normaliser;
    const double excess = o->has_minimum ? loss - o->minimum : loss;
    return log(1e-6 + fmax(excess, 0.0) / o->normaliser);
}

// Runs one part; a loss that is not finite freezes the arm until its next reset, and counts as clip_loss as larger ones do.
static double run_part(const threads *s, flt_inner *inner, flt_arm arm, uint64_t seed, const flt_part *part, uint64_t *clipped) {
    const flt_objective *o = inner->objective;
    double sum = 0.0;
    for (size_t i = 0; i < part->steps; i++) {
        const double loss = *arm.dead ? NAN : flt_inner_step(inner, seed, part->t + i, false, arm.param, arm.state);
        if (!isfinite(loss)) *arm.dead = true;
        const bool clip = *arm.dead || loss > o->clip_loss;
        sum += meta_loss(o, s->log_loss, clip ? o->clip_loss : loss);
        *clipped += clip;
    }
    return sum;
}

static void perturb(size_t n, flt_real sign, const flt_real *theta, const flt_real *eps, flt_real *out) {
    for (size_t j = 0; j < n; j++) out[j] = theta[j] + sign * eps[j];
}

static void run_arm(const threads *s, size_t i, size_t a, const flt_real *theta, const flt_particles *p, flt_outcome *out) {
    const size_t id = (size_t)omp_get_thread_num();
    flt_inner *inner = &s->inner[id * s->tasks + i % s->tasks];
    flt_real *own = s->theta + id * s->n;
    const flt_arm arm = flt_arms_at(s->arms, i, a);
    const flt_real *bound = NULL;
    out->clipped[2 * i + a] = 0;
    for (size_t k = 0; k < p->parts[i]; k++) {
        const flt_part *part = &p->part[i * p->most_parts + k];
        const flt_real *eps = flt_particles_eps(p, i, k);
        if (eps != bound) {
            perturb(s->n, a == 0 ? 1 : -1, theta, eps, own);
            flt_optimizer_bind(inner->optimizer, own);
            bound = eps;
        }
        const uint64_t seed = flt_training_seed(s->seed, i, part->episode);
        if (part->t == 0) {
            flt_inner_begin(inner, seed, arm.param, arm.state);
            *arm.dead = false;
        }
        out->loss[(2 * i + a) * p->most_parts + k] = run_part(s, inner, arm, seed, part, &out->clipped[2 * i + a]);
    }
}

// Both arms of a particle go to one thread where there are enough of them: its objective may keep what belongs to their seed.
static void window(void *self, const flt_real *theta, const flt_particles *p, flt_outcome *out) {
    const threads *s = self;
    const int chunk = p->count >= 4 * (size_t)s->count ? 2 : 1;
#pragma omp parallel num_threads(s->count)
    {
        const unsigned saved = flt_num_ftz();
#pragma omp for schedule(dynamic, chunk)
        for (size_t u = 0; u < 2 * p->count; u++) run_arm(s, u / 2, u % 2, theta, p, out);
        flt_num_ftz_restore(saved);
    }
}

static void destroy(void *self) {
    threads *s = self;
    if (s == NULL) return;
    for (size_t i = 0; s->inner != NULL && i < (size_t)s->count * s->tasks; i++) flt_inner_destroy(&s->inner[i]);
    flt_free(s->inner);
    flt_free(s->theta);
    flt_free(s);
}

static flt_err make_inner(threads *s, const flt_meta_config *c, const flt_weights *w) {
    for (size_t id = 0; id < (size_t)s->count; id++) {
        for (size_t k = 0; k < s->tasks; k++) {
            flt_inner *inner = &s->inner[id * s->tasks + k];
            FLTX_TRY(flt_inner_create(w, NULL, c->tasks[k], c->make, inner));
            if (id == 0) FLTX_TRY(flt_arms_size(s->arms, k, inner->params, inner->state));
        }
    }
    return FLTE_OK;
}

static flt_err allocate(threads *s) {
    FLTX_TRY(flt_alloc((size_t)s->count, s->tasks * sizeof *s->inner, &s->inner));
    return flt_alloc((size_t)s->count, s->n * sizeof *s->theta, &s->theta);
}

flt_err flt_threads_create(const flt_meta_config *c, const flt_weights *w, flt_arms *arms, flt_workers *out) {
    threads *s = NULL;
    *out = (flt_workers){0};
    flt_num_init();
    FLTX_TRY(flt_alloc(1, sizeof *s, &s));
    const size_t most = 2 * c->particles;
    const int wanted = flt_num_threads(flt_threads_wanted(c));
    s->count = (size_t)wanted < most ? wanted : (int)most;
    s->tasks = c->n_tasks;
    s->n = w->layout.total;
    s->seed = c->seed;
    s->log_loss = c->log_loss;
    s->arms = arms;
    flt_err err = allocate(s);
    if (err == FLTE_OK) err = make_inner(s, c, w);
    if (err != FLTE_OK) {
        destroy(s);
        return err;
    }
    *out = (flt_workers){.self = s, .window = window, .destroy = destroy};
    return FLTE_OK;
}
