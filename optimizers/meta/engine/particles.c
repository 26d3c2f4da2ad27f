// SPDX-License-Identifier: MIT
// Cutting windows at resets, perturbations and their sums.
#include "meta/engine/particles.h"

#include "flt/memory.h"
#include "flt/random.h"

#include <string.h>

enum { ALIGNED_DRAWS = 64, PIECE = 512 }; // flt_rng_normal_fast starts at multiples of 64

static flt_err allocate(flt_particles *p, bool rewinds) {
    FLTX_TRY(flt_alloc(p->count, sizeof *p->place, &p->place));
    FLTX_TRY(flt_alloc(p->count, sizeof *p->place_before, &p->place_before));
    FLTX_TRY(flt_alloc(p->count, sizeof *p->parts, &p->parts));
    FLTX_TRY(flt_alloc(p->count, p->most_parts * sizeof *p->part, &p->part));
    FLTX_TRY(flt_alloc(p->count, sizeof *p->look, &p->look));
    size_t per_particle = 0;
    if (!flt_mul_ok(p->slots * sizeof *p->eps, p->n, &per_particle)) per_particle = SIZE_MAX;
    FLTX_TRY(flt_alloc(p->count, per_particle, &p->eps));
    if (!p->kind->accumulates) return FLTE_OK;
    FLTX_TRY(flt_alloc(p->count, p->n * sizeof *p->sum, &p->sum));
    return rewinds ? flt_alloc(p->count, p->n * sizeof *p->sum_before, &p->sum_before) : FLTE_OK;
}

flt_err flt_particles_create(const flt_meta_config *c, const flt_estimator_kind *kind, size_t n, flt_particles *out) {
    *out = (flt_particles){.kind = kind, .seed = c->seed, .count = c->particles, .window = c->window, .n = n, .sigma = c->sigma};
    FLTX_TRY(flt_truncation_make(c, &out->truncation));
    // one episode under way, then new ones of at least unroll_min steps each
    out->most_parts = kind->whole_episodes ? 1 : 1 + (c->window - 1 + c->unroll_min - 1) / c->unroll_min;
    out->slots = kind->backpropagates ? 0 : kind->fresh_per_window ? 1 : out->most_parts;
    const flt_err err = allocate(out, c->checkpoint != NULL);
    if (err != FLTE_OK) {
        flt_particles_destroy(out);
        return err;
    }
    if (kind->whole_episodes) out->truncation.in_phase = true; // no episode is cut
    for (size_t i = 0; i < out->count; i++) out->place[i] = (flt_place){.length = flt_truncation_first(&out->truncation, i)};
    return FLTE_OK;
}

void flt_particles_destroy(flt_particles *p) {
    flt_free(p->place);
    flt_free(p->parts);
    flt_free(p->part);
    flt_free(p->look);
    flt_free(p->eps);
    flt_free(p->sum);
    flt_free(p->place_before);
    flt_free(p->sum_before);
    *p = (flt_particles){0};
}

static void cut(flt_particles *p, size_t i, uint64_t window) {
    flt_place *at = &p->place[i];
    size_t left = p->kind->whole_episodes ? (size_t)at->length : p->window, n = 0;
    while (left > 0) {
        const uint64_t to_reset = at->length - at->t;
        const size_t steps = to_reset < left ? (size_t)to_reset : left;
        p->part[i * p->most_parts + n++] = (flt_part){steps, at->episode, at->t, at->length};
        left -= steps;
        at->t += steps;
        if (at->t < at->length) continue;
        const uint64_t next = at->episode + 1;
        *at = (flt_place){.episode = next, .length = flt_truncation_length(&p->truncation, i, next, window)};
    }
    p->parts[i] = n;
}

// Perturbation number `draw` of a particle, in pieces: the generator is single precision in either build.
static void draw_eps(const flt_particles *p, size_t i, uint64_t draw, flt_real *eps) {
    float piece[PIECE];
    const flt_rng r = flt_rng_make(p->seed, "meta/perturbation", i);
    const uint64_t stride = ((uint64_t)p->n + ALIGNED_DRAWS - 1) / ALIGNED_DRAWS * ALIGNED_DRAWS;
    for (size_t j = 0; j < p->n; j += PIECE) {
        const size_t n = p->n - j < PIECE ? p->n - j : PIECE;
        flt_rng_normal_fast(r, draw * stride + j, n, piece);
        for (size_t q = 0; q < n; q++) eps[j + q] = (flt_real)(p->sigma * (double)piece[q]);
    }
    for (size_t j = 0; p->frozen != NULL && j < p->n; j++)
        if (p->frozen[j]) eps[j] = 0;
}

static flt_real *slot(const flt_particles *p, size_t i, size_t k) {
    return p->eps + (i * p->slots + k) * p->n;
}

void flt_particles_window(flt_particles *p, size_t i, uint64_t window) {
    p->place_before[i] = p->place[i];
    if (p->sum_before != NULL) memcpy(p->sum_before + i * p->n, p->sum + i * p->n, p->n * sizeof *p->sum);
    cut(p, i, window);
    p->look[i] = (size_t)(flt_rng_bits(flt_rng_make(p->seed, "meta/look", i), window) % flt_particles_steps(p, i));
    const flt_part *part = p->part + i * p->most_parts;
    const size_t draws = p->slots < p->parts[i] ? p->slots : p->parts[i];
    for (size_t k = 0; k < draws; k++) draw_eps(p, i, p->kind->fresh_per_window ? window : part[k].episode, slot(p, i, k));
    if (p->sum == NULL) return;
    flt_real *sum = p->sum + i * p->n;
    const flt_real *eps = slot(p, i, 0);
    if (part[0].t == 0) memset(sum, 0, p->n * sizeof *sum);
    for (size_t j = 0; j < p->n; j++) sum[j] += eps[j];
}

size_t flt_particles_steps(const flt_particles *p, size_t i) {
    return p->kind->whole_episodes ? p->part[i * p->most_parts].steps : p->window;
}

const flt_real *flt_particles_eps(const flt_particles *p, size_t i, size_t part) {
    return slot(p, i, p->kind->fresh_per_window ? 0 : part);
}

const flt_real *flt_particles_factor(const flt_particles *p, size_t i, size_t part) {
    return p->sum != NULL && part == 0 ? p->sum + i * p->n : flt_particles_eps(p, i, part);
}

void flt_particles_finish(flt_particles *p, size_t i) {
    if (p->sum != NULL && p->parts[i] > 1) memcpy(p->sum + i * p->n, slot(p, i, 0), p->n * sizeof *p->sum);
}

void flt_particles_rewind(flt_particles *p, size_t i) {
    p->place[i] = p->place_before[i];
    if (p->sum_before != NULL) memcpy(p->sum + i * p->n, p->sum_before + i * p->n, p->n * sizeof *p->sum);
}
