// SPDX-License-Identifier: MIT
// Schedules and perturbations of the particles: pure functions of (seed, particle, window), so that every worker holds the same
// ones without a word exchanged. Losses have no influence on them.
//
// A window of W inner steps is cut by resets into parts, each inside one episode; with estimators of whole episodes it is one
// part, of the episode's length. Letters: P particles, W window, n meta-parameters, K most parts of a window.
#ifndef FLTX_PARTICLES_H
#define FLTX_PARTICLES_H

#include "flt/meta.h"
#include "truncation.h"

typedef struct flt_place { // of the next inner step
    uint64_t episode, t, length;
} flt_place;

typedef struct flt_part { // t = 0 at the first step: it begins with fresh parameters
    size_t steps;
    uint64_t episode, t, length; // length: of the episode
} flt_part;

typedef struct flt_particles {
    const flt_estimator_kind *kind;
    uint64_t seed;
    size_t count, window, n, most_parts; // P, W, n, K
    flt_truncation truncation;
    const bool *frozen; // [n], borrowed: perturbed by 0; NULL: none
    double sigma;
    size_t slots;            // perturbations held per particle: 1, or K when a reset draws another; 0: none
    flt_place *place;        // [P], where the next window begins
    size_t *parts;           // [P], of the window in progress
    flt_part *part;          // [P, K]
    size_t *look;            // [P], the step of the window whose movement is measured, in both arms
    flt_real *eps;           // [P, slots, n], scaled by sigma
    flt_real *sum;           // [P, n], perturbations of the episode so far; NULL unless the estimator accumulates
    flt_place *place_before; // `place` and `sum` where the window began
    flt_real *sum_before;    // NULL unless both are needed: sums, and a checkpoint to stop into
} flt_particles;

flt_err flt_particles_create(const flt_meta_config *c, const flt_estimator_kind *kind, size_t n, flt_particles *out);
void flt_particles_destroy(flt_particles *p); // {0} is fine

// Cuts window `window` of particle i into parts, draws its perturbations, moves its place on. Particles are independent.
void flt_particles_window(flt_particles *p, size_t i, uint64_t window);
// Inner steps of the window in one arm.
size_t flt_particles_steps(const flt_particles *p, size_t i);
// What both arms are perturbed by in this part, [n]; not with estimators that backpropagate.
const flt_real *flt_particles_eps(const flt_particles *p, size_t i, size_t part);
// What the difference of this part is multiplied by in the gradient, [n].
const flt_real *flt_particles_factor(const flt_particles *p, size_t i, size_t part);
// After the gradient is formed: a reset inside the window leaves its perturbation alone in the sum.
void flt_particles_finish(flt_particles *p, size_t i);
// Instead of it: back to where the window of particle i began.
void flt_particles_rewind(flt_particles *p, size_t i);

#endif
