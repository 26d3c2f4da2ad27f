// SPDX-License-Identifier: MIT
// Schedules and perturbations: what every worker computes for itself.
#include "../meta/engine/particles.h"
#include "meta_fixture.h"

static const flt_estimator_kind *estimator(const char *name) {
    const flt_estimator_kind *kind = NULL;
    cr_assert(eq(int, flt_estimator_find(name, &kind), FLTE_OK), "%s: %s", name, flt_error());
    return kind;
}

static flt_meta_config config(size_t particles, size_t window, size_t low, size_t high) {
    flt_meta_config c;
    flt_meta_defaults(&c);
    c.particles = particles;
    c.window = window;
    c.unroll_min = low;
    c.unroll_max = high;
    return c;
}

static void check_window(const flt_particles *p, size_t i, flt_place before, const char *label) {
    size_t steps = 0;
    cr_assert(p->parts[i] >= 1 && p->parts[i] <= p->most_parts, "%s: %zu parts, room for %zu", label, p->parts[i], p->most_parts);
    for (size_t k = 0; k < p->parts[i]; k++) {
        const flt_part *part = &p->part[i * p->most_parts + k];
        cr_assert(part->steps > 0, "%s: an empty part", label);
        cr_assert(eq(u64, part->episode, before.episode + k), "%s: part %zu", label, k);
        cr_assert(eq(u64, part->t, k == 0 ? before.t : 0), "%s: part %zu", label, k);
        steps += part->steps;
    }
    cr_assert(eq(sz, steps, p->window), "%s", label);
    cr_assert(p->place[i].t < p->place[i].length, "%s: the next step lies inside its episode", label);
}

Test(meta_particles, windows_are_cut_at_resets) {
    static const size_t cases[][3] = {{1, 1, 1}, {7, 1, 1},    {7, 2, 2},     {7, 3, 9},
                                      {7, 7, 7}, {20, 19, 21}, {20, 20, 400}, {5, 1, 1000}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        char label[64];
        snprintf(label, sizeof label, "window %zu, unroll %zu to %zu", cases[c][0], cases[c][1], cases[c][2]);
        const flt_meta_config m = config(6, cases[c][0], cases[c][1], cases[c][2]);
        flt_particles p;
        cr_assert(eq(int, flt_particles_create(&m, estimator("nres"), 3, &p), FLTE_OK));
        for (uint64_t w = 0; w < 50; w++) {
            for (size_t i = 0; i < p.count; i++) {
                const flt_place before = p.place[i];
                flt_particles_window(&p, i, w);
                check_window(&p, i, before, label);
                flt_particles_finish(&p, i);
            }
        }
        flt_particles_destroy(&p);
    }
}

// floor(exp(U(log 8, log 64))): each octave of 8 .. 63 holds a third of the episodes.
Test(meta_particles, episode_lengths_are_log_uniform) {
    enum { P = 4, EPISODES = 3000 };
    const flt_meta_config m = config(P, 1, 8, 63);
    flt_particles p;
    size_t octave[3] = {0}, shortest = SIZE_MAX, longest = 0, n = 0;
    cr_assert(eq(int, flt_particles_create(&m, estimator("pes"), 1, &p), FLTE_OK));
    for (uint64_t w = 0; n < EPISODES; w++) {
        for (size_t i = 0; i < P; i++) {
            flt_particles_window(&p, i, w);
            if (p.place[i].t != 0) continue; // a window of one step: t = 0 follows each reset
            const size_t length = (size_t)p.place[i].length;
            octave[length < 16 ? 0 : length < 32 ? 1 : 2]++;
            shortest = length < shortest ? length : shortest;
            longest = length > longest ? length : longest;
            n++;
        }
    }
    cr_assert(eq(sz, shortest, 8));
    cr_assert(eq(sz, longest, 63));
    for (int k = 0; k < 3; k++) // 1000 expected; 6 standard deviations of the binomial are 155
        cr_assert(octave[k] > 845 && octave[k] < 1155, "octave %d: %zu of %zu", k, octave[k], n);
    flt_particles_destroy(&p);
}

Test(meta_particles, first_episodes_are_out_of_phase) {
    const flt_meta_config m = config(400, 10, 1000, 1000);
    flt_particles p;
    size_t quarter[4] = {0};
    cr_assert(eq(int, flt_particles_create(&m, estimator("pes"), 1, &p), FLTE_OK));
    for (size_t i = 0; i < p.count; i++) {
        cr_assert(p.place[i].length >= 1 && p.place[i].length <= 1000, "particle %zu", i);
        quarter[(p.place[i].length - 1) / 250]++;
    }
    for (int k = 0; k < 4; k++) // 100 expected; 6 standard deviations of the binomial are 52
        cr_assert(quarter[k] > 48 && quarter[k] < 152, "quarter %d: %zu of 400", k, quarter[k]);
    flt_particles_destroy(&p);
}

// An independent account of the contract: perturbation `draw` of particle i from the generator itself.
static void expected_eps(const flt_meta_config *m, size_t i, uint64_t draw, size_t n, flt_real *out) {
    float *x = malloc(n * sizeof *x);
    flt_rng_normal_fast(flt_rng_make(m->seed, "meta/perturbation", i), draw * ((n + 63) / 64 * 64), n, x);
    for (size_t j = 0; j < n; j++) out[j] = (flt_real)(m->sigma * (double)x[j]);
    free(x);
}

Test(meta_particles, perturbations_follow_from_seed_particle_and_window) {
    enum { N = 700 };
    flt_real want[N], sum[N];
    const flt_meta_config m = config(3, 10, 17, 40);
    flt_particles pes, nres;
    cr_assert(eq(int, flt_particles_create(&m, estimator("pes"), N, &pes), FLTE_OK));
    cr_assert(eq(int, flt_particles_create(&m, estimator("nres"), N, &nres), FLTE_OK));
    for (size_t i = 0; i < m.particles; i++) {
        memset(sum, 0, sizeof sum);
        for (uint64_t w = 0; w < 30; w++) {
            flt_particles_window(&pes, i, w);
            flt_particles_window(&nres, i, w);
            expected_eps(&m, i, w, N, want);
            for (size_t k = 0; k < pes.parts[i]; k++)
                cr_assert(eq(int, memcmp(flt_particles_eps(&pes, i, k), want, sizeof want), 0),
                          "pes: particle %zu window %zu part %zu", i, (size_t)w, k);
            if (pes.part[i * pes.most_parts].t == 0) memset(sum, 0, sizeof sum);
            for (size_t j = 0; j < N; j++) sum[j] += want[j];
            cr_assert(eq(int, memcmp(flt_particles_factor(&pes, i, 0), sum, sizeof sum), 0), "pes: sum, particle %zu window %zu",
                      i, (size_t)w);
            if (pes.parts[i] > 1) {
                memcpy(sum, want, sizeof sum);
                cr_assert(eq(int, memcmp(flt_particles_factor(&pes, i, 1), want, sizeof want), 0), "pes: after a reset");
            }
            for (size_t k = 0; k < nres.parts[i]; k++) {
                expected_eps(&m, i, nres.part[i * nres.most_parts + k].episode, N, want);
                cr_assert(eq(int, memcmp(flt_particles_factor(&nres, i, k), want, sizeof want), 0),
                          "nres: particle %zu window %zu part %zu", i, (size_t)w, k);
            }
            flt_particles_finish(&pes, i);
            flt_particles_finish(&nres, i);
        }
    }
    flt_particles_destroy(&pes);
    flt_particles_destroy(&nres);
}
