// SPDX-License-Identifier: MIT
// From outcomes to a gradient,
//   g = 1 / (2 sigma^2 P W) sum_i sum_k factor_ik w_ik,
// summed over particles in their order, and from the gradient to theta. P particles, W window, k parts of the window, w_ik the
// weights of difference.h: L+_ik - L-_ik unless the configuration treats them. Where windows are whole episodes, W is the length
// of particle i's; where gradients go back through the updates, g is their mean over the arms.
#include "meta/engine/outer.h"

#include "flt/memory.h"
#include "meta/engine/frozen.h"

#include <string.h>

static flt_err allocate(flt_outer *o) {
    const flt_particles *p = &o->particles;
    FLTX_TRY(flt_alloc(2 * p->count, p->most_parts * sizeof *o->outcome.loss, &o->outcome.loss));
    FLTX_TRY(flt_alloc(2 * p->count, sizeof *o->outcome.clipped, &o->outcome.clipped));
    FLTX_TRY(flt_alloc(2 * p->count, sizeof *o->outcome.moved, &o->outcome.moved));
    if (p->kind->backpropagates) FLTX_TRY(flt_alloc(2 * p->count, o->n * sizeof *o->outcome.gradient, &o->outcome.gradient));
    FLTX_TRY(flt_alloc(o->n, sizeof *o->gradient, &o->gradient));
    FLTX_TRY(flt_alloc(p->count, p->most_parts * sizeof *o->weight, &o->weight));
    FLTX_TRY(flt_meta_optimizer_create(o->config, o->n, &o->optimizer));
    o->optimizer.frozen = o->frozen;
    return flt_alloc(o->config->n_tasks, sizeof *o->task_loss, &o->task_loss);
}

// Rank r's arms, and the workers over them.
static flt_err create_workers(flt_outer *o) {
    const flt_meta_config *c = o->config;
    const int me = flt_ranks_me(c->ranks);
    const size_t first = flt_ranks_first(c->ranks, 2 * c->particles, me);
    flt_workers local;
    FLTX_TRY(flt_arms_create(c->n_tasks, first, flt_ranks_first(c->ranks, 2 * c->particles, me + 1) - first, &o->arms));
    FLTX_TRY(flt_threads_create(c, &o->particles, o->weights, &o->pool, &o->arms, &o->workers));
    if (flt_ranks_count(c->ranks) == 1) return FLTE_OK;
    local = o->workers;
    return flt_processes_create(c, &o->particles, &o->arms, &local, &o->workers);
}

flt_err flt_outer_create(const flt_meta_config *c, const flt_estimator_kind *kind, flt_weights *w, flt_outer *out) {
    *out = (flt_outer){.config = c, .weights = w, .n = w->layout.total};
    FLTX_TRY(flt_meta_loss_make(c, &out->loss_kind));
    FLTX_TRY(flt_difference_make(c, &out->difference));
    FLTX_TRY(flt_task_pool_create(c, &out->pool));
    FLTX_TRY(flt_frozen_make(c, &w->layout, &out->frozen));
    FLTX_TRY(flt_particles_create(c, kind, out->n, &out->particles));
    out->particles.frozen = out->frozen;
    FLTX_TRY(create_workers(out));
    return allocate(out);
}

void flt_outer_destroy(flt_outer *o) {
    if (o->workers.destroy != NULL) o->workers.destroy(o->workers.self);
    flt_particles_destroy(&o->particles);
    flt_arms_destroy(&o->arms);
    flt_free(o->outcome.loss);
    flt_free(o->outcome.clipped);
    flt_free(o->outcome.moved);
    flt_free(o->outcome.gradient);
    flt_free(o->gradient);
    flt_adam_curves_destroy(&o->adam);
    flt_task_pool_destroy(&o->pool);
    flt_free(o->frozen);
    flt_free(o->weight);
    flt_meta_optimizer_destroy(&o->optimizer);
    flt_free(o->task_loss);
    *o = (flt_outer){0};
}

// Episodes of any length count alike where windows are episodes; else the window's steps, the same for all, divide the sum.
static double episode_steps(const flt_particles *p, size_t i) {
    return p->kind->whole_episodes ? (double)flt_particles_steps(p, i) : 1.0;
}

static void combine(flt_outer *o) {
    const flt_particles *p = &o->particles;
    flt_difference_weigh(&o->difference, p, o->outcome.loss, o->weight);
    for (size_t i = 0; i < p->count; i++) {
        for (size_t k = 0; k < p->parts[i]; k++) {
            const flt_real *factor = flt_particles_factor(p, i, k);
            const double d = o->weight[i * p->most_parts + k] / episode_steps(p, i);
            for (size_t j = 0; j < o->n; j++) o->gradient[j] += (double)factor[j] * d;
        }
    }
    const double steps = p->kind->whole_episodes ? 1.0 : (double)p->window;
    const double scale = 1.0 / (2.0 * p->sigma * p->sigma * (double)p->count * steps);
    for (size_t j = 0; j < o->n; j++) o->gradient[j] *= scale;
}

// The mean of the arms' gradients, each divided by its steps.
static void average(flt_outer *o) {
    const flt_particles *p = &o->particles;
    for (size_t u = 0; u < 2 * p->count; u++) {
        const double share = 1.0 / (2.0 * (double)p->count * (double)flt_particles_steps(p, u / 2));
        for (size_t j = 0; j < o->n; j++)
            if (o->frozen == NULL || !o->frozen[j]) o->gradient[j] += share * o->outcome.gradient[u * o->n + j];
    }
}

// Losses of particle i over both arms and all parts, divided by their steps.
static double particle_loss(const flt_outer *o, size_t i) {
    const flt_particles *p = &o->particles;
    double sum = 0.0;
    for (size_t a = 0; a < 2; a++)
        for (size_t k = 0; k < p->parts[i]; k++) sum += o->outcome.loss[(2 * i + a) * p->most_parts + k];
    return sum / (2.0 * (double)flt_particles_steps(p, i));
}

static void tally(flt_outer *o) {
    const size_t P = o->particles.count, tasks = o->config->n_tasks;
    memset(o->task_loss, 0, tasks * sizeof *o->task_loss);
    o->loss = 0.0;
    o->clipped = o->inner_steps = 0;
    for (size_t i = 0; i < P; i++) {
        const double loss = particle_loss(o, i);
        o->loss += loss / (double)P;
        o->task_loss[i % tasks] += loss / (double)(flt_arms_before(tasks, i % tasks, 2 * P) / 2);
        o->clipped += o->outcome.clipped[2 * i] + o->outcome.clipped[2 * i + 1];
        o->inner_steps += 2 * flt_particles_steps(&o->particles, i);
    }
    o->counts.clipped += o->clipped;
    o->counts.inner_steps += o->inner_steps;
}

static void take_back(flt_outer *o) {
    o->workers.rewind(o->workers.self);
    for (size_t i = 0; i < o->particles.count; i++) flt_particles_rewind(&o->particles, i);
}

flt_err flt_outer_gradient(flt_outer *o) {
    flt_particles *p = &o->particles;
    const int threads = flt_threads_wanted(o->config);
#pragma omp parallel for num_threads(threads) schedule(static)
    for (size_t i = 0; i < p->count; i++) flt_particles_window(p, i, o->counts.steps);
    const flt_err err = o->workers.window(o->workers.self, o->weights->theta, p, &o->watch, &o->outcome);
    if (err != FLTE_OK) {
        take_back(o);
        return err;
    }
    memset(o->gradient, 0, o->n * sizeof *o->gradient);
    if (p->kind->backpropagates)
        average(o);
    else
        combine(o);
    tally(o);
    for (size_t i = 0; i < p->count; i++) flt_particles_finish(p, i);
    return FLTE_OK;
}

void flt_outer_update(flt_outer *o) {
    const uint64_t updates = o->counts.steps - o->counts.skipped;
    if (!flt_meta_optimizer_step(&o->optimizer, o->counts.steps, updates, o->gradient, o->weights->theta)) o->counts.skipped++;
    o->counts.steps++;
}
