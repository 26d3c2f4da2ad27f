// SPDX-License-Identifier: MIT
// Threads over particle-arms. Each thread has an objective and an optimizer of its own for every task and a copy of theta to
// perturb; results go to places of their own, so that who ran what leaves no trace in the bits.
#include "flt/memory.h"
#include "flt/num.h"
#include "meta/engine/loss.h"
#include "meta/engine/unroll.h"
#include "meta/engine/workers.h"

#include <math.h>
#include <omp.h>
#include <string.h>

// What a thread runs the arms of a task with.
typedef struct seat {
    flt_inner inner;
    flt_unroll *unroll; // takes the steps where gradients go back through them, else NULL
} seat;

typedef struct threads {
    int count;
    const flt_task_pool *pool;
    size_t n;       // meta-parameters
    size_t longest; // part of a window
    uint64_t seed;
    flt_meta_loss loss;
    flt_arms *arms;
    flt_arms before; // the arms at the window's beginning, where they may be needed
    bool *kept;      // [arms here]: `before` holds it; NULL where nothing is kept
    seat *seats;     // [count, tasks of the pool]
    flt_real *theta; // [count, n]
    size_t most;     // parameters of the largest task
    flt_real *last;  // [count, most], parameters before the step whose movement is measured
    double *losses;  // [count, longest], where gradients go back: of a part, then the slopes in them
} threads;

int flt_threads_wanted(const flt_meta_config *c) {
    const int all = c->threads > 0 ? c->threads : omp_get_max_threads();
    return all > 1 ? all : 1;
}

bool flt_watch_stopping(flt_watch *watch) {
    if (omp_get_thread_num() == 0 && flt_sink_stopped(watch->sink))
        atomic_store_explicit(&watch->stop, true, memory_order_relaxed);
    return atomic_load_explicit(&watch->stop, memory_order_relaxed);
}

typedef struct task { // what all arms of a window share
    const flt_real *theta;
    const flt_particles *p;
    flt_watch *watch;
    flt_outcome *out;
} task;

typedef struct run { // of an arm through a window
    flt_arm arm;
    flt_watch *watch;
    uint64_t *clipped;
    double *moved;
    double *losses; // [steps of the part], or NULL: those that counted, NaN where clipped
    size_t look;    // steps of the window before the one whose movement is measured, from the part's first; SIZE_MAX: behind us
} run;

static run run_of(const threads *s, size_t u, const task *w) {
    w->out->clipped[u] = 0;
    w->out->moved[u] = NAN;
    return (run){.arm = flt_arms_at(s->arms, u / 2, u % 2),
                 .watch = w->watch,
                 .clipped = &w->out->clipped[u],
                 .moved = &w->out->moved[u],
                 .losses = s->losses == NULL ? NULL : s->losses + (size_t)omp_get_thread_num() * s->longest,
                 .look = w->p->look[u / 2]};
}

static flt_real *last_of(const threads *s) {
    return s->last + (size_t)omp_get_thread_num() * s->most;
}

// |now - last| / |now|; an arm that stands still has not moved.
static double movement(size_t n, const flt_real *last, const flt_real *now, bool dead) {
    double change = 0.0, size = 0.0;
    for (size_t j = 0; j < n; j++) {
        const double d = (double)now[j] - (double)last[j];
        change += d * d;
        size += (double)now[j] * (double)now[j];
    }
    return dead ? NAN : sqrt(change / size);
}

static double run_part(const threads *s, seat *own, uint64_t seed, const flt_part *part, run *r) {
    double sum = 0.0, x = 0.0, loss = 0.0;
    const size_t n = own->inner.params;
    for (size_t i = 0; i < part->steps && !flt_watch_stopping(r->watch); i++) {
        const bool counts = s->loss.reduction != FLTX_LAST || i + 1 == part->steps;
        const flt_batch batch = {.seed = seed, .step = part->t + i};
        if (i == r->look) memcpy(last_of(s), r->arm.param, n * sizeof *s->last);
        x = flt_meta_loss_weight(&s->loss, batch.step, part->length) *
            flt_meta_loss_step(&s->loss, &own->inner, own->unroll, r->arm, batch, counts, &loss);
        if (i == r->look) *r->moved = movement(n, last_of(s), r->arm.param, *r->arm.dead);
        sum = flt_meta_loss_add(&s->loss, sum, x, i);
        *r->clipped += isnan(loss);
        if (r->losses != NULL) r->losses[i] = loss;
    }
    r->look = r->look >= part->steps && r->look != SIZE_MAX ? r->look - part->steps : SIZE_MAX;
    return flt_meta_loss_part(&s->loss, sum, x, *r->arm.dead, part->steps);
}

static void perturb(size_t n, flt_real sign, const flt_real *theta, const flt_real *eps, flt_real *out) {
    for (size_t j = 0; j < n; j++) out[j] = theta[j] + sign * eps[j];
}

static seat *seat_of(const threads *s, size_t i, const flt_part *part) {
    const size_t id = (size_t)omp_get_thread_num();
    return &s->seats[id * s->pool->n + flt_task_pool_pick(s->pool, i, part->episode)];
}

static void run_arm(const threads *s, size_t i, size_t a, const task *w) {
    const flt_particles *p = w->p;
    seat *mine = NULL;
    flt_real *own = s->theta + (size_t)omp_get_thread_num() * s->n;
    const flt_real *bound = NULL;
    run r = run_of(s, 2 * i + a, w);
    for (size_t k = 0; k < p->parts[i]; k++) {
        const flt_part *part = &p->part[i * p->most_parts + k];
        const flt_real *eps = flt_particles_eps(p, i, k);
        seat *next = seat_of(s, i, part);
        if (eps != bound || next != mine) {
            mine = next;
            perturb(s->n, a == 0 ? 1 : -1, w->theta, eps, own);
            flt_optimizer_bind(mine->inner.optimizer, own);
            bound = eps;
        }
        const uint64_t seed = flt_training_seed(s->seed, i, part->episode);
        flt_optimizer_horizon(mine->inner.optimizer, part->length);
        if (part->t == 0) {
            flt_inner_begin(&mine->inner, seed, r.arm.param, r.arm.state);
            *r.arm.dead = false;
        }
        w->out->loss[(2 * i + a) * p->most_parts + k] = run_part(s, mine, seed, part, &r);
    }
}

static bool stop_going_back(void *watch) {
    return flt_watch_stopping(watch);
}

// Each part forward, and then back. Arm u, numbered over all particles, is a problem of its own.
static void run_back(const threads *s, size_t u, const task *w) {
    const flt_particles *p = w->p;
    double *gradient = w->out->gradient + u * s->n;
    run r = run_of(s, u, w);
    const flt_unroll_sum sum = {r.losses, s->loss.held_out, stop_going_back, w->watch};
    memset(gradient, 0, s->n * sizeof *gradient);
    for (size_t k = 0; k < p->parts[u / 2]; k++) {
        const flt_part *part = &p->part[u / 2 * p->most_parts + k];
        const uint64_t seed = flt_training_seed(s->seed, u, part->episode);
        seat *own = seat_of(s, u / 2, part);
        flt_unroll_bind(own->unroll, w->theta);
        if (part->t == 0) {
            flt_unroll_start(own->unroll, seed, r.arm.param, r.arm.state);
            *r.arm.dead = false;
        }
        flt_unroll_open(own->unroll, seed, part->t);
        w->out->loss[u * p->most_parts + k] = run_part(s, own, seed, part, &r);
        if (atomic_load(&w->watch->stop)) return;
        flt_meta_loss_slopes(&s->loss, own->inner.objective, *r.arm.dead, part->steps, r.losses);
        for (size_t i = 0; i < part->steps; i++) r.losses[i] *= flt_meta_loss_weight(&s->loss, part->t + i, part->length);
        if (!flt_unroll_gradient(own->unroll, &sum, gradient)) return;
    }
}

static void run_one(threads *s, size_t u, const task *w) {
    const size_t number = s->arms->first + u;
    if (flt_watch_stopping(w->watch)) return;
    if (s->kept != NULL) {
        flt_arms_copy(s->arms, &s->before, number);
        s->kept[u] = true;
    }
    if (s->losses != NULL)
        run_back(s, number, w);
    else
        run_arm(s, number / 2, number % 2, w);
}

// Both arms of a particle go to one thread where there are enough of them: its objective may keep what belongs to their seed.
static flt_err window(void *self, const flt_real *theta, const flt_particles *p, flt_watch *watch, flt_outcome *out) {
    threads *s = self;
    const task w = {theta, p, watch, out};
    const size_t count = s->arms->count;
    const int chunk = count >= 8 * (size_t)s->count ? 2 : 1;
    if (s->kept != NULL) memset(s->kept, 0, count * sizeof *s->kept);
    (void)flt_watch_stopping(watch); // this thread may come too late for any arm
#pragma omp parallel num_threads(s->count)
    {
        const unsigned saved = flt_num_ftz();
#pragma omp for schedule(dynamic, chunk)
        for (size_t u = 0; u < count; u++) run_one(s, u, &w);
        flt_num_ftz_restore(saved);
    }
    return atomic_load(&watch->stop) ? flt_fail(FLTE_INTERRUPTED, "meta-training", "stopped within a window") : FLTE_OK;
}

static void rewind_window(void *self) {
    threads *s = self;
    for (size_t u = 0; s->kept != NULL && u < s->arms->count; u++)
        if (s->kept[u]) flt_arms_copy(&s->before, s->arms, s->arms->first + u);
}

static void destroy(void *self) {
    threads *s = self;
    if (s == NULL) return;
    for (size_t i = 0; s->seats != NULL && i < (size_t)s->count * s->pool->n; i++) {
        flt_unroll_destroy(s->seats[i].unroll);
        flt_inner_destroy(&s->seats[i].inner);
    }
    flt_free(s->seats);
    flt_free(s->theta);
    flt_free(s->last);
    flt_free(s->losses);
    flt_free(s->kept);
    flt_arms_destroy(&s->before);
    flt_free(s);
}

static flt_err make_seat(const threads *s, const flt_meta_config *c, const flt_weights *w, size_t k, seat *out) {
    FLTX_TRY(flt_inner_create(w, NULL, s->pool->spec[k], c->make, &out->inner));
    return s->losses == NULL ? FLTE_OK : flt_unroll_create(w, out->inner.objective, s->longest, &out->unroll);
}

static flt_err make_seats(threads *s, const flt_meta_config *c, const flt_weights *w) {
    for (size_t id = 0; id < (size_t)s->count; id++)
        for (size_t k = 0; k < s->pool->n; k++) FLTX_TRY(make_seat(s, c, w, k, &s->seats[id * s->pool->n + k]));
    return FLTE_OK;
}

// A row of a group holds the largest of its tasks.
static flt_err size_arms(threads *s) {
    for (size_t g = 0; g < s->pool->groups; g++) {
        size_t params = 0, words = 0;
        for (size_t d = 0; d < s->pool->draws; d++) {
            const seat *x = &s->seats[s->pool->task[g * s->pool->draws + d]];
            const size_t state = x->unroll != NULL ? flt_unroll_words(x->unroll) : x->inner.state;
            if (x->inner.params > params) params = x->inner.params;
            if (state > words) words = state;
        }
        if (params > s->most) s->most = params;
        FLTX_TRY(flt_arms_size(s->arms, g, params, words));
    }
    return flt_alloc((size_t)s->count, s->most * sizeof *s->last, &s->last);
}

static flt_err allocate(threads *s, bool back) {
    FLTX_TRY(flt_alloc((size_t)s->count, s->pool->n * sizeof *s->seats, &s->seats));
    if (back) FLTX_TRY(flt_alloc((size_t)s->count, s->longest * sizeof *s->losses, &s->losses));
    return flt_alloc((size_t)s->count, s->n * sizeof *s->theta, &s->theta);
}

static flt_err keep(threads *s) {
    FLTX_TRY(flt_alloc(s->arms->count, sizeof *s->kept, &s->kept));
    return flt_arms_like(s->arms, s->arms->first, s->arms->count, &s->before);
}

flt_err flt_threads_create(const flt_meta_config *c, const flt_particles *p, const flt_weights *w, const flt_task_pool *pool,
                           flt_arms *arms, flt_workers *out) {
    threads *s = NULL;
    *out = (flt_workers){0};
    flt_num_init();
    FLTX_TRY(flt_alloc(1, sizeof *s, &s));
    const size_t most = arms->count > 0 ? arms->count : 1;
    const int wanted = flt_num_threads(flt_threads_wanted(c));
    s->count = (size_t)wanted < most ? wanted : (int)most;
    s->pool = pool;
    s->n = w->layout.total;
    s->longest = p->kind->whole_episodes ? c->unroll_max : c->window;
    s->seed = c->seed;
    s->arms = arms;
    flt_err err = flt_meta_loss_make(c, &s->loss);
    if (err == FLTE_OK) err = allocate(s, p->kind->backpropagates);
    if (err == FLTE_OK) err = make_seats(s, c, w);
    if (err == FLTE_OK) err = size_arms(s);
    if (err == FLTE_OK && c->checkpoint != NULL) err = keep(s);
    if (err != FLTE_OK) {
        destroy(s);
        return err;
    }
    *out = (flt_workers){.self = s, .window = window, .rewind = rewind_window, .destroy = destroy};
    return FLTE_OK;
}
