// SPDX-License-Identifier: MIT
// Clusters of atoms of two species in three dimensions, and their energies.
//
//   E = sum_{i<j} 4 eps [(sigma/r)^12 - (sigma/r)^6] + D [(1 - exp(-a (r - r0)))^2 - 1],   r0 = 2^(1/6) sigma,   a = 4 / sigma
//
// with sigma = 1, 0.9, 0.8, eps = 1, 1.5, 0.5 and D = 0.5, 1, 0.25 for pairs of the first species, unlike pairs and pairs of the
// second. Both parts are least at r0: two atoms have their minimum -(eps + D) there. Numbers as in the mixture of W. Kob, H. C.
// Andersen, Phys. Rev. E 51 (1995), the Morse part and the middle sigma our own.
//
// A cluster grows atom by atom, each at 0.9 .. 1.4 r0 from one that is there and at 0.9 r0 or more from all, so that no energy
// explodes. What a cluster is but for rotation and order, its species and distances rounded to 1/20, gives a fingerprint, which
// decides the split it belongs to: no two splits share one.
#ifndef FLTX_CLUSTERS_H
#define FLTX_CLUSTERS_H

#include "flt/objective.h"
#include "flt/random.h"

enum { FLTX_CLUSTER_ATOMS = 30, FLTX_CLUSTER_SPECIES = 2 };

typedef struct flt_cluster {
    size_t n;
    uint8_t species[FLTX_CLUSTER_ATOMS];
    double at[FLTX_CLUSTER_ATOMS][3]; // about the mean
} flt_cluster;

double flt_cluster_rest(size_t a, size_t b); // r0 of species a and b
double flt_cluster_well(size_t a, size_t b); // eps + D
double flt_cluster_pair(size_t a, size_t b, double r);
double flt_cluster_energy(const flt_cluster *c);

uint64_t flt_cluster_fingerprint(const flt_cluster *c);

// fewest .. most atoms, uniform; of the split's own. Each species may be absent.
void flt_cluster_draw(flt_rng r, flt_split split, size_t fewest, size_t most, flt_cluster *out);

// Turned by a random rotation; out may be c.
void flt_cluster_rotate(flt_rng r, const flt_cluster *c, flt_cluster *out);

#endif
