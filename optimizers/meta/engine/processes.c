// SPDX-License-Identifier: MIT
// Ranks over the arms: rank r of R runs arms 2 P r / R .. 2 P (r + 1) / R - 1, and everyone learns the outcomes of all.
//
// One exchange a window, of a table that every rank ends up with:
//     for each rank   flags, a checksum of theta, seconds that the window took it
//     for each arm    K sums of losses, steps whose loss was clipped, how far a step moved; with estimators that backpropagate,
//     its gradient
// R 16 + 2 P (K + 2) 8 bytes, with P particles and K parts of a window; meta-parameters are not in it, unless gradients travel: 2
// P n 8 bytes more. Theta is computed by all from the same table in the same order. Should that ever give two results (different
// processors, libraries), the checksum of the next window tells.
#include "flt/memory.h"
#include "flt/ranks.h"
#include "meta/engine/workers.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <zlib.h>

static const char who[] = "meta-training";

typedef struct header { // of a rank
    uint32_t stop, theta;
    double seconds;
} header;

typedef struct processes {
    const flt_ranks *ranks;
    flt_workers local;
    flt_arms *arms;
    size_t particles, K, n; // n meta-parameters
    size_t gradients;       // bytes of an arm's gradient, 0: none travels
    size_t record;          // bytes of an arm: losses, clipped, moved, gradient
    size_t *offset;         // [ranks + 1], into table
    size_t *rows;           // [ranks + 1], of one task
    unsigned char *table;
    flt_traffic traffic;
} processes;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

// ---- the exchange
static void pack(const processes *s, const flt_outcome *out, header mine) {
    unsigned char *at = s->table + s->offset[s->ranks->me];
    memcpy(at, &mine, sizeof mine);
    at += sizeof mine;
    for (size_t u = s->arms->first; u < s->arms->first + s->arms->count; u++, at += s->record) {
        memcpy(at, out->loss + u * s->K, s->K * sizeof *out->loss);
        memcpy(at + s->K * sizeof *out->loss, &out->clipped[u], sizeof *out->clipped);
        memcpy(at + (s->K + 1) * sizeof *out->loss, &out->moved[u], sizeof *out->moved);
        if (s->gradients > 0) memcpy(at + s->record - s->gradients, out->gradient + u * s->n, s->gradients);
    }
}

static void unpack(const processes *s, flt_outcome *out) {
    const int R = s->ranks->count;
    for (int r = 0; r < R; r++) {
        const unsigned char *at = s->table + s->offset[r] + sizeof(header);
        const size_t end = flt_ranks_first(s->ranks, 2 * s->particles, r + 1);
        for (size_t u = flt_ranks_first(s->ranks, 2 * s->particles, r); u < end; u++, at += s->record) {
            memcpy(out->loss + u * s->K, at, s->K * sizeof *out->loss);
            memcpy(&out->clipped[u], at + s->K * sizeof *out->loss, sizeof *out->clipped);
            memcpy(&out->moved[u], at + (s->K + 1) * sizeof *out->loss, sizeof *out->moved);
            if (s->gradients > 0) memcpy(out->gradient + u * s->n, at + s->record - s->gradients, s->gradients);
        }
    }
}

static header header_of(const processes *s, int r) {
    header h;
    memcpy(&h, s->table + s->offset[r], sizeof h);
    return h;
}

// All ranks left the last exchange together, and leave this one together: what a rank did not work of the time between, it
// waited.
static void measure(processes *s, double seconds) {
    const int R = s->ranks->count;
    double worked = 0.0, most = -1.0;
    for (int r = 0; r < R; r++) {
        const double x = header_of(s, r).seconds;
        worked += x / R;
        if (x > most) s->traffic.slowest = r;
        if (x > most) most = x;
    }
    s->traffic.bytes = (double)(s->offset[R] - (s->offset[s->ranks->me + 1] - s->offset[s->ranks->me]));
    s->traffic.waiting = seconds > worked ? 1.0 - worked / seconds : 0.0;
}

static flt_err judge(const processes *s) {
    const header first = header_of(s, 0);
    bool stop = false;
    for (int r = 0; r < s->ranks->count; r++) {
        const header h = header_of(s, r);
        stop = stop || h.stop != 0;
        if (h.theta != first.theta)
            return flt_fail(
                FLTE_NUMERIC, who,
                "rank %d holds other weights than rank 0; the same program on the same kind of processor is needed on "
                "all ranks (FLT_ISA forces one set of kernels), and the same --weights",
                r);
    }
    return stop ? flt_fail(FLTE_INTERRUPTED, who, "stopped within a window") : FLTE_OK;
}

static uint32_t checksum(size_t n, const flt_real *theta) {
    return (uint32_t)crc32_z(crc32_z(0, NULL, 0), (const Bytef *)theta, n * sizeof *theta);
}

static flt_err window(void *self, const flt_real *theta, const flt_particles *p, flt_watch *watch, flt_outcome *out) {
    processes *s = self;
    const double start = now();
    const flt_err here = s->local.window(s->local.self, theta, p, watch, out);
    pack(s, out, (header){here != FLTE_OK, checksum(s->n, theta), now() - start});
    FLTX_TRY(s->ranks->exchange(s->ranks->self, s->table, s->offset));
    measure(s, now() - start);
    FLTX_TRY(judge(s));
    unpack(s, out);
    return FLTE_OK;
}

static void rewind_window(void *self) {
    const processes *s = self;
    s->local.rewind(s->local.self);
}

// ---- checkpoints
typedef struct block { // of one task, or the flags of all
    size_t row_bytes;
    void *own, *whole;
} block;

static flt_err move(const processes *s, bool in, block b) {
    const flt_ranks *r = s->ranks;
    if (b.row_bytes == 0) return FLTE_OK;
    return in ? r->gather(r->self, b.row_bytes, s->rows, b.own, b.whole)
              : r->scatter(r->self, b.row_bytes, s->rows, b.whole, b.own);
}

static void place_rows(const processes *s, size_t k) {
    for (int r = 0; r <= s->ranks->count; r++)
        s->rows[r] = flt_arms_before(s->arms->tasks, k, flt_ranks_first(s->ranks, 2 * s->particles, r));
}

// `whole` is {0} on all ranks but the first.
static flt_err move_all(processes *s, bool in, const flt_arms *whole) {
    const bool root = s->ranks->me == 0;
    for (size_t k = 0; k < s->arms->tasks; k++) {
        const flt_arm_block *own = &s->arms->task[k], *all = root ? &whole->task[k] : NULL;
        place_rows(s, k);
        FLTX_TRY(move(s, in, (block){own->params * sizeof *own->param, own->param, root ? all->param : NULL}));
        FLTX_TRY(move(s, in, (block){own->words * sizeof *own->state, own->state, root ? all->state : NULL}));
    }
    for (int r = 0; r <= s->ranks->count; r++) s->rows[r] = flt_ranks_first(s->ranks, 2 * s->particles, r);
    return move(s, in, (block){sizeof *s->arms->dead, s->arms->dead, root ? whole->dead : NULL});
}

static flt_err gather(void *self, flt_arms *whole) {
    return move_all(self, true, whole);
}
static flt_err scatter(void *self, const flt_arms *whole) {
    return move_all(self, false, whole);
}

// ---- life
static void destroy(void *self) {
    processes *s = self;
    if (s == NULL) return;
    if (s->local.destroy != NULL) s->local.destroy(s->local.self);
    flt_free(s->offset);
    flt_free(s->rows);
    flt_free(s->table);
    flt_free(s);
}

static flt_err allocate(processes *s) {
    const size_t R = (size_t)s->ranks->count;
    FLTX_TRY(flt_alloc(R + 1, sizeof *s->offset, &s->offset));
    FLTX_TRY(flt_alloc(R + 1, sizeof *s->rows, &s->rows));
    for (size_t r = 0; r <= R; r++)
        s->offset[r] = r * sizeof(header) + flt_ranks_first(s->ranks, 2 * s->particles, (int)r) * s->record;
    return flt_alloc(s->offset[R], 1, &s->table);
}

flt_err flt_processes_create(const flt_meta_config *c, const flt_particles *p, flt_arms *arms, flt_workers *local,
                             flt_workers *out) {
    processes *s = NULL;
    const size_t gradients = p->kind->backpropagates ? p->n * sizeof(double) : 0;
    *out = *local; // owned by someone, whatever happens
    FLTX_TRY(flt_alloc(1, sizeof *s, &s));
    *s = (processes){.ranks = c->ranks,
                     .local = *local,
                     .arms = arms,
                     .particles = c->particles,
                     .K = p->most_parts,
                     .n = p->n,
                     .gradients = gradients,
                     .record = (p->most_parts + 2) * sizeof(double) + gradients};
    *local = (flt_workers){0};
    *out = (flt_workers){.self = s,
                         .window = window,
                         .rewind = rewind_window,
                         .gather = gather,
                         .scatter = scatter,
                         .destroy = destroy,
                         .traffic = &s->traffic};
    return allocate(s);
}
