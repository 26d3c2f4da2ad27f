// SPDX-License-Identifier: MIT
// Growing clusters, O(atoms^2) for each of a few tries.
#include "engine/clusters.h"

#include <math.h>

enum { TRIES = 100, REDRAWS = 1000 };

// By the number of atoms of the second species in the pair.
static const double sigma[] = {1.0, 0.9, 0.8}, epsilon[] = {1.0, 1.5, 0.5}, morse[] = {0.5, 1.0, 0.25};

typedef struct source {
    flt_rng rng;
    uint64_t drawn;
} source;

// ---- energies

double flt_cluster_rest(size_t a, size_t b) {
    return pow(2.0, 1.0 / 6.0) * sigma[a + b];
}

double flt_cluster_well(size_t a, size_t b) {
    return epsilon[a + b] + morse[a + b];
}

double flt_cluster_pair(size_t a, size_t b, double r) {
    const double s2 = sigma[a + b] * sigma[a + b] / (r * r), s6 = s2 * s2 * s2;
    const double far = 1.0 - exp(-4.0 / sigma[a + b] * (r - flt_cluster_rest(a, b)));
    return 4.0 * epsilon[a + b] * (s6 * s6 - s6) + morse[a + b] * (far * far - 1.0);
}

static double distance(const double *a, const double *b) {
    const double x = a[0] - b[0], y = a[1] - b[1], z = a[2] - b[2];
    return sqrt(x * x + y * y + z * z);
}

double flt_cluster_energy(const flt_cluster *c) {
    double sum = 0.0;
    for (size_t i = 0; i < c->n; i++)
        for (size_t j = 0; j < i; j++) sum += flt_cluster_pair(c->species[i], c->species[j], distance(c->at[i], c->at[j]));
    return sum;
}

// ---- fingerprints

static uint64_t mixed(uint64_t x) { // splitmix64's
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

// A sum over pairs: the same in every order.
uint64_t flt_cluster_fingerprint(const flt_cluster *c) {
    uint64_t sum = mixed(c->n);
    for (size_t i = 0; i < c->n; i++)
        for (size_t j = 0; j < i; j++) {
            const uint64_t step = (uint64_t)llround(20.0 * distance(c->at[i], c->at[j]));
            sum += mixed(1000 * (1 + step) + (uint64_t)c->species[i] + c->species[j]);
        }
    return mixed(sum);
}

static bool belongs(uint64_t fingerprint, flt_split split) {
    static const flt_split quarter[] = {FLTX_TRAIN, FLTX_TRAIN, FLTX_VALID, FLTX_TEST};
    return quarter[fingerprint % 4] == split;
}

// ---- growing

static double uniform(source *s) {
    return flt_rng_uniform_at(s->rng, s->drawn++);
}

static void direction(source *s, double *x) {
    const double z = 2.0 * uniform(s) - 1.0, turn = FLTX_TWO_PI * uniform(s), flat = sqrt(1.0 - z * z);
    x[0] = flat * cos(turn);
    x[1] = flat * sin(turn);
    x[2] = z;
}

// Where the last atom may go: next to another, clear of all.
static bool fits(const flt_cluster *c, const double *x) {
    const size_t kind = c->species[c->n];
    for (size_t i = 0; i < c->n; i++)
        if (distance(c->at[i], x) < 0.9 * flt_cluster_rest(kind, c->species[i])) return false;
    return true;
}

static void step_from(const double *from, double length, const double *along, double *to) {
    for (size_t k = 0; k < 3; k++) to[k] = from[k] + length * along[k];
}

static bool attach(source *s, flt_cluster *c) {
    double *x = c->at[c->n], along[3];
    const size_t to = (size_t)(uniform(s) * (double)c->n);
    const double rest = flt_cluster_rest(c->species[c->n], c->species[to]);
    direction(s, along);
    step_from(c->at[to], rest * (0.9 + 0.5 * uniform(s)), along, x);
    return fits(c, x);
}

// Farther out than all: clear of them whatever there is.
static void attach_outside(source *s, flt_cluster *c) {
    double along[3], most = 0.0;
    direction(s, along);
    for (size_t i = 0; i < c->n; i++) {
        const double out = c->at[i][0] * along[0] + c->at[i][1] * along[1] + c->at[i][2] * along[2];
        most = out > most ? out : most;
    }
    step_from((const double[3]){0.0, 0.0, 0.0}, most + flt_cluster_rest(0, 0), along, c->at[c->n]);
}

static void centre(flt_cluster *c) {
    for (size_t k = 0; k < 3; k++) {
        double mean = 0.0;
        for (size_t i = 0; i < c->n; i++) mean += c->at[i][k] / (double)c->n;
        for (size_t i = 0; i < c->n; i++) c->at[i][k] -= mean;
    }
}

static void grow(source *s, size_t n, flt_cluster *c) {
    const double share = uniform(s); // of the second species
    *c = (flt_cluster){0};
    for (; c->n < n; c->n++) {
        bool placed = c->n == 0;
        c->species[c->n] = uniform(s) < share;
        for (size_t i = 0; i < TRIES && !placed; i++) placed = attach(s, c);
        if (!placed) attach_outside(s, c);
    }
    centre(c);
}

void flt_cluster_draw(flt_rng r, flt_split split, size_t fewest, size_t most, flt_cluster *out) {
    for (uint64_t i = 0; i < REDRAWS; i++) {
        source s = {.rng = flt_rng_child(r, "cluster", i)};
        grow(&s, fewest + (size_t)(uniform(&s) * (double)(most - fewest + 1)), out);
        if (belongs(flt_cluster_fingerprint(out), split)) return;
    }
}

// ---- rotations

// By a unit quaternion that is uniform on its sphere.
void flt_cluster_rotate(flt_rng r, const flt_cluster *c, flt_cluster *out) {
    double q[4];
    flt_rng_normal_double(r, 0, 4, q);
    const double unit = 1.0 / sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3]);
    const double w = q[0] * unit, x = q[1] * unit, y = q[2] * unit, z = q[3] * unit;
    const double turn[3][3] = {{1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)},
                               {2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)},
                               {2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)}};
    const flt_cluster from = *c;
    *out = from;
    for (size_t i = 0; i < from.n; i++)
        for (size_t k = 0; k < 3; k++)
            out->at[i][k] = turn[k][0] * from.at[i][0] + turn[k][1] * from.at[i][1] + turn[k][2] * from.at[i][2];
}
