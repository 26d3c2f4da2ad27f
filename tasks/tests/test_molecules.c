// SPDX-License-Identifier: MIT
// Clusters of atoms: energies by plain loops, the minimum of two atoms, invariance of energies and of models, clusters of
// different splits; what the task refuses, and that it learns.
#include "engine/clusters.h"
#include "flt/attention.h"
#include "flt/rpe.h"
#include "support.h"

#include <float.h>

enum { CLUSTERS = 60 };

static flt_cluster drawn(uint64_t number, flt_split split) {
    flt_cluster c;
    flt_cluster_draw(flt_rng_make(5, "test", number), split, 5, FLTX_CLUSTER_ATOMS, &c);
    return c;
}

// ---- energies

// The formula as it is written, over all ordered pairs; scale: the sum of all terms' sizes.
static double plain_energy(const flt_cluster *c, double *scale) {
    static const double table[3][3] = {{1.0, 1.0, 0.5}, {0.9, 1.5, 1.0}, {0.8, 0.5, 0.25}}; // sigma, eps, D
    double sum = 0.0;
    *scale = 0.0;
    for (size_t i = 0; i < c->n; i++)
        for (size_t j = 0; j < c->n; j++) {
            const double *t = table[c->species[i] + c->species[j]], r0 = exp2(1.0 / 6.0) * t[0];
            const double r = hypot(hypot(c->at[i][0] - c->at[j][0], c->at[i][1] - c->at[j][1]), c->at[i][2] - c->at[j][2]);
            if (i == j) continue;
            const double part[] = {4.0 * t[1] * pow(t[0] / r, 12), -4.0 * t[1] * pow(t[0] / r, 6),
                                   t[2] * pow(1.0 - exp(-4.0 / t[0] * (r - r0)), 2), -t[2]};
            for (size_t k = 0; k < 4; k++) {
                sum += part[k] / 2.0;
                *scale += fabs(part[k]) / 2.0;
            }
        }
    return sum;
}

Test(molecules, energies_are_those_of_plain_loops) {
    for (uint64_t k = 0; k < CLUSTERS; k++) {
        const flt_cluster c = drawn(k, (flt_split)(k % 3));
        double scale;
        const double want = plain_energy(&c, &scale), got = flt_cluster_energy(&c);
        cr_assert(fabs(got - want) <= 30 * DBL_EPSILON * scale, "cluster %d: %.15g, not %.15g", (int)k, got, want);
    }
}

// Two atoms: least at r0, where the energy is -(eps + D), and higher on either side, however near.
Test(molecules, two_atoms_have_their_known_minimum) {
    static const double r0[] = {1.122462048309373, 1.0102158434784357, 0.8979696386474984}, well[] = {1.5, 2.5, 0.75};
    for (size_t a = 0; a < 2; a++)
        for (size_t b = 0; b < 2; b++) {
            flt_cluster c = {.n = 2, .species = {(uint8_t)a, (uint8_t)b}, .at = {{0, 0, 0}, {0, r0[a + b], 0}}};
            const double least = flt_cluster_energy(&c);
            cr_assert(fabs(flt_cluster_rest(a, b) - r0[a + b]) <= 4 * DBL_EPSILON, "%zu, %zu", a, b);
            cr_assert(fabs(least + well[a + b]) <= 30 * DBL_EPSILON * well[a + b], "%zu, %zu: %.15g", a, b, least);
            cr_assert(fabs(flt_cluster_well(a, b) - well[a + b]) <= DBL_EPSILON, "%zu, %zu", a, b);
            for (double change = 1e-6; change < 0.5; change *= 3.0)
                for (int sign = -1; sign <= 1; sign += 2) {
                    c.at[1][1] = r0[a + b] * (1.0 + sign * change);
                    cr_assert(flt_cluster_energy(&c) > least, "%zu, %zu: lower at %.9g", a, b, c.at[1][1]);
                }
            c.at[1][1] = 50.0;
            cr_assert(fabs(flt_cluster_energy(&c)) < 1e-8, "%zu, %zu: far atoms feel each other", a, b);
        }
}

static flt_cluster shuffled(const flt_cluster *c, uint64_t number) {
    uint32_t to[FLTX_CLUSTER_ATOMS];
    flt_cluster out = {.n = c->n};
    flt_rng_permutation(flt_rng_make(number, "order", 0), c->n, to);
    for (size_t i = 0; i < c->n; i++) {
        out.species[to[i]] = c->species[i];
        memcpy(out.at[to[i]], c->at[i], sizeof c->at[i]);
    }
    return out;
}

Test(molecules, energies_and_fingerprints_are_invariant) {
    for (uint64_t k = 0; k < CLUSTERS; k++) {
        const flt_cluster c = drawn(k, FLTX_TRAIN), other = shuffled(&c, k);
        flt_cluster turned, nudged = c;
        double scale, unused;
        const double energy = plain_energy(&c, &scale);
        flt_cluster_rotate(flt_rng_make(k, "turn", 0), &other, &turned);
        cr_assert(fabs(turned.at[0][0] - other.at[0][0]) > 1e-6, "cluster %d was not turned", (int)k);
        // distances move by rounding, and energies with the slope of r^-12 where atoms are near
        cr_assert(fabs(flt_cluster_energy(&turned) - energy) <= 30 * DBL_EPSILON * 12 * scale, "cluster %d", (int)k);
        cr_assert(fabs(plain_energy(&other, &unused) - energy) <= 30 * DBL_EPSILON * scale, "cluster %d", (int)k);
        cr_assert_eq(flt_cluster_fingerprint(&turned), flt_cluster_fingerprint(&c), "cluster %d", (int)k);
        nudged.at[0][0] += 0.2;
        cr_assert_neq(flt_cluster_fingerprint(&nudged), flt_cluster_fingerprint(&c), "cluster %d", (int)k);
        nudged = c;
        nudged.species[0] ^= 1;
        cr_assert_neq(flt_cluster_fingerprint(&nudged), flt_cluster_fingerprint(&c), "cluster %d", (int)k);
    }
}

// ---- clusters

static void check_cluster(const flt_cluster *c, uint64_t number) {
    double mean[3] = {0};
    for (size_t i = 0; i < c->n; i++) {
        double nearest = INFINITY;
        for (size_t j = 0; j < c->n; j++) {
            if (i == j) continue;
            const double r = hypot(hypot(c->at[i][0] - c->at[j][0], c->at[i][1] - c->at[j][1]), c->at[i][2] - c->at[j][2]);
            const double share = r / flt_cluster_rest(c->species[i], c->species[j]);
            cr_assert(share >= 0.9 - 1e-12, "cluster %d: atoms %zu and %zu are at %.3g r0", (int)number, i, j, share);
            nearest = share < nearest ? share : nearest;
        }
        cr_assert(nearest < 1.6, "cluster %d: atom %zu is alone, at %.3g r0", (int)number, i, nearest);
        for (size_t k = 0; k < 3; k++) mean[k] += c->at[i][k];
    }
    for (size_t k = 0; k < 3; k++) cr_assert(fabs(mean[k]) < 1e-12, "cluster %d is not about its mean", (int)number);
}

Test(molecules, clusters_are_compact_and_of_every_size) {
    size_t sizes[FLTX_CLUSTER_ATOMS + 1] = {0}, second = 0, atoms = 0;
    for (uint64_t k = 0; k < 20 * CLUSTERS; k++) {
        const flt_cluster c = drawn(k, (flt_split)(k % 3)), again = drawn(k, (flt_split)(k % 3));
        cr_assert(c.n == again.n && memcmp(c.species, again.species, c.n) == 0, "cluster %d", (int)k);
        cr_assert_eq(memcmp(c.at, again.at, c.n * sizeof *c.at), 0, "cluster %d", (int)k);
        check_cluster(&c, k);
        sizes[c.n]++;
        atoms += c.n;
        for (size_t i = 0; i < c.n; i++) second += c.species[i];
    }
    for (size_t n = 0; n <= FLTX_CLUSTER_ATOMS; n++)
        cr_assert((n < 5 && sizes[n] == 0) || (sizes[n] > 20 && sizes[n] < 80), "%zu clusters of %zu", sizes[n], n);
    cr_assert(second > atoms * 2 / 5 && second < atoms * 3 / 5, "%zu of %zu", second, atoms);
}

static int ascending(const void *a, const void *b) {
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

// Of the smallest clusters, too.
Test(molecules, no_cluster_comes_twice_nor_in_two_splits) {
    enum { EACH = 1000 };
    static uint64_t mark[3 * EACH];
    for (size_t i = 0; i < 3 * EACH; i++) {
        flt_cluster c;
        flt_cluster_draw(flt_rng_make(i / EACH, "test", i), (flt_split)(i / EACH), 5, 8, &c);
        mark[i] = flt_cluster_fingerprint(&c);
        cr_assert_eq(mark[i] % 4 < 2 ? FLTX_TRAIN : mark[i] % 4 == 2 ? FLTX_VALID : FLTX_TEST, (flt_split)(i / EACH));
    }
    qsort(mark, 3 * EACH, sizeof *mark, ascending);
    for (size_t i = 1; i < 3 * EACH; i++) cr_assert(mark[i] != mark[i - 1], "a cluster occurs twice");
}

// ---- models

#define SMALL "molecules:width=8,depth=2,expansion=2,batch=4,most=9,examples=4,"

// How much the loss changes when clusters are shown otherwise, in roundings.
static double change(const char *model, const char *shown) {
    char spec[256];
    snprintf(spec, sizeof spec, SMALL "%s", model);
    flt_objective *a = make(spec);
    snprintf(spec, sizeof spec, SMALL "%s,%s", model, shown);
    flt_objective *b = make(spec);
    flt_real *theta = initial(a, 4);
    double most = 0.0;
    for (uint64_t step = 0; step < 3; step++) {
        const flt_batch which = {1, FLTX_TRAIN, step};
        const double first = (double)a->gradient(a->self, which, theta, NULL);
        const double second = (double)b->gradient(b->self, which, theta, NULL);
        most = fmax(most, fabs(first - second) / (FLTX_EPS * (1.0 + fabs(first))));
    }
    free(theta);
    flt_objective_destroy(a);
    flt_objective_destroy(b);
    return most;
}

Test(molecules, say_which_models_are_invariant) {
    static const struct {
        const char *model;
        bool rotation; // to it; all are invariant to order
    } cases[] = {
        {"attention=exact,rpe=none", true},
        {"attention=exact,rpe=gaussian", true},
        {"attention=exact,rpe=laplace", true},
        {"attention=exact,rpe=matern32", true},
        {"attention=exact,rpe=matern52", true},
        {"attention=exact,rpe=cauchy", true},
        {"attention=exact,rpe=gaussian_mixture", false},
        {"attention=exact,rpe=gaussian,coordinates=true", false},
        {"attention=flt,rpe=none", true},
        {"attention=flt,rpe=gaussian", false},
        {"attention=flt,rpe=gaussian_mixture", false},
        {"attention=performer", true},
        {"attention=performer,coordinates=true", false},
        {"attention=linear", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const double order = change(cases[i].model, "order=3"), rotation = change(cases[i].model, "rotation=2");
        cr_assert(order <= 300, "%s: the order of atoms changes the loss, ratio %.3g", cases[i].model, order);
        cr_assert(cases[i].rotation ? rotation <= 300 : rotation > 1e3, "%s: under rotation ratio %.3g", cases[i].model,
                  rotation);
    }
}

static bool goes_over_points(const char *model) {
    char spec[256];
    flt_objective *o = NULL;
    snprintf(spec, sizeof spec, SMALL "%s", model);
    const flt_err err = flt_task_create(spec, &o);
    cr_assert(err == FLTE_OK || err == FLTE_UNSUPPORTED, "%s: %s", spec, flt_error());
    flt_objective_destroy(o);
    return err == FLTE_OK;
}

// To rotations: what has no encoding, and exact attention with a kernel of distance.
static bool is_rotated_away(const char *mechanism, const char *rpe) {
    return strcmp(rpe, "none") == 0 || (strcmp(mechanism, "exact") == 0 && strcmp(rpe, "gaussian_mixture") != 0);
}

// The same of every mechanism with every encoding that the task takes.
Test(molecules, say_which_pairs_are_invariant) {
    const flt_registry *mechanisms = flt_attention_registry(), *encodings = flt_rpe_registry();
    size_t pairs = 0;
    for (size_t i = 0; mechanisms->kinds[i] != NULL; i++)
        for (size_t k = 0; encodings->kinds[k] != NULL; k++) {
            const char *mechanism = mechanisms->kinds[i]->name, *rpe = encodings->kinds[k]->name;
            char model[128];
            snprintf(model, sizeof model, "hessian=false,attention=%s,rpe=%s", mechanism, rpe);
            if (!goes_over_points(model)) continue;
            const double order = change(model, "order=3"), rotation = change(model, "rotation=2");
            cr_assert(order <= 300, "%s: the order of atoms changes the loss, ratio %.3g", model, order);
            cr_assert(is_rotated_away(mechanism, rpe) ? rotation <= 300 : rotation > 1e3, "%s: under rotation ratio %.3g", model,
                      rotation);
            pairs++;
        }
    cr_assert_geq(pairs, 18);
}

// What stands in the places of absent atoms reaches nothing.
Test(molecules, absent_atoms_are_not_seen) {
    static const char *const models[] = {"attention=exact,rpe=gaussian", "attention=flt,rpe=gaussian", "attention=performer",
                                         "attention=linear"};
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        char spec[256];
        snprintf(spec, sizeof spec, SMALL "%s", models[i]);
        flt_objective *o = make(spec);
        flt_real *theta = initial(o, 4), *g = vector(o->layout.total);
        const flt_tensor_spec *embed = flt_layout_find(&o->layout, "embed");
        cr_assert(embed != NULL && embed->dim[0] == FLTX_CLUSTER_SPECIES + 1, "%s", models[i]);
        o->gradient(o->self, (flt_batch){1, FLTX_TRAIN, 0}, theta, g);
        const double seen = norm(embed->dim[1], g + embed->offset);
        const double unseen = norm(embed->dim[1], g + embed->offset + FLTX_CLUSTER_SPECIES * embed->dim[1]);
        cr_assert(seen > 0 && unseen <= FLTX_EPS * seen, "%s: gradient %.3g, of atoms %.3g", models[i], unseen, seen);
        free(theta);
        free(g);
        flt_objective_destroy(o);
    }
}

// ---- the task

Test(molecules, say_what_is_wrong) {
    static const struct {
        const char *spec;
        flt_err err;
        const char *says;
    } cases[] = {
        {"molecules:fewest=20,most=10", FLTE_RANGE, "fewest 20 is above most 10"},
        {"molecules:absolute=true", FLTE_USAGE, "coordinates=true"},
        {"molecules:attention=spe_conv", FLTE_UNSUPPORTED, "these mechanisms do: exact, flt, linear, performer"},
        {"molecules:attention=exact,rpe=box", FLTE_UNSUPPORTED, "allowed: gaussian_mixture, gaussian"},
        {"molecules:most=31", FLTE_RANGE, "2 .. 30"},
    };
    const size_t before = flt_live_blocks();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        flt_objective *o = NULL;
        const flt_err err = flt_task_create(cases[i].spec, &o);
        cr_assert(err == cases[i].err && o == NULL, "%s: %s", cases[i].spec, flt_error());
        cr_assert(strstr(flt_error(), cases[i].says) != NULL, "%s: %s", cases[i].spec, flt_error());
        cr_assert_eq(flt_live_blocks(), before, "%s leaks", cases[i].spec);
    }
}

// The baseline is what the mean reaches: the error of a model that says 0.
Test(molecules, the_baseline_is_the_error_of_the_mean) {
    flt_objective *o = make("molecules:width=4,depth=1,examples=2000,attention=linear,hessian=false");
    flt_real *theta = initial(o, 1);
    double error;
    const flt_tensor_spec *w = flt_layout_find(&o->layout, "head.w");
    cr_assert(w != NULL);
    for (size_t i = 0; i < w->count; i++) theta[w->offset + i] = 0;
    const double loss = evaluate(o, 1, FLTX_TEST, theta, &error);
    cr_assert(loss > 0.8 && loss < 1.25, "normalised energies have mean square %.3f", loss);
    cr_assert(fabs(error - o->baseline) < 0.15 * o->baseline, "%.3f, baseline %.3f", error, o->baseline);
    free(theta);
    flt_objective_destroy(o);
}

Test(molecules, learns_energies) {
    flt_objective *o = make("molecules:width=16,depth=1,expansion=2,batch=16,most=12,attention=exact,rpe=gaussian,hessian=false");
    flt_real *theta = initial(o, 2);
    double error;
    cr_assert_str_eq(o->metric, "mean_absolute_error");
    adam(o, 2, 600, 5e-3, theta);
    evaluate(o, 2, FLTX_TEST, theta, &error);
    cr_log_info("molecules: %.3f, the mean %.3f", error, o->baseline);
    cr_assert(error < o->baseline / 2.0, "%.3f, the mean has %.3f", error, o->baseline);
    free(theta);
    flt_objective_destroy(o);
}
