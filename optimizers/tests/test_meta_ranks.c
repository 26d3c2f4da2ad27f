// SPDX-License-Identifier: MIT
// Several ranks end in the bits of one: theta, checkpoints, resumed on another number of ranks. Ranks are threads here, so that
// this runs in every build; cli/tests/test_ranks.sh does the same with processes and MPI.
#include "../meta/engine/arms.h"
#include "flt/evaluate.h"
#include "meta_fixture.h"

#include <pthread.h>

// ---- ranks that are threads: a call is a meeting, the last one to come moves the bytes
enum { MOST = 6 };

typedef struct meeting {
    pthread_barrier_t barrier;
    int count;
    const void *from[MOST];
    void *to[MOST];
} meeting;

typedef struct member {
    meeting *m;
    int me;
    flt_ranks_state state;
    flt_ranks ranks;
} member;

static void meet(member *s, const void *from, void *to) {
    s->m->from[s->me] = from;
    s->m->to[s->me] = to;
    pthread_barrier_wait(&s->m->barrier);
}

static flt_err exchange(void *self, void *table, const size_t *offset) {
    member *s = self;
    meet(s, table, table);
    for (int r = 0; r < s->m->count; r++)
        if (r != s->me) memcpy((char *)table + offset[r], (const char *)s->m->from[r] + offset[r], offset[r + 1] - offset[r]);
    s->state.bytes += offset[s->m->count];
    pthread_barrier_wait(&s->m->barrier);
    return FLTE_OK;
}

static flt_err gather(void *self, size_t row, const size_t *offset, const void *own, void *all) {
    member *s = self;
    meet(s, own, all);
    if (offset[s->me + 1] > offset[s->me])
        memcpy((char *)s->m->to[0] + offset[s->me] * row, own, (offset[s->me + 1] - offset[s->me]) * row);
    pthread_barrier_wait(&s->m->barrier);
    return FLTE_OK;
}

static flt_err scatter(void *self, size_t row, const size_t *offset, const void *all, void *own) {
    member *s = self;
    meet(s, all, own);
    if (offset[s->me + 1] > offset[s->me])
        memcpy(own, (const char *)s->m->from[0] + offset[s->me] * row, (offset[s->me + 1] - offset[s->me]) * row);
    pthread_barrier_wait(&s->m->barrier);
    return FLTE_OK;
}

static flt_err broadcast(void *self, int from, void *data, size_t bytes) {
    member *s = self;
    meet(s, data, data);
    if (s->me != from) memcpy(data, s->m->from[from], bytes);
    pthread_barrier_wait(&s->m->barrier);
    return FLTE_OK;
}

typedef struct job { // what each rank does, and what it found
    void (*run)(struct job *j, const flt_ranks *r);
    flt_meta_config config;
    flt_sink sink;
    member who;
    flt_real theta[2];
    flt_err err;
    char sentence[512];
    double bytes, waiting, gap, stop_after, seen, asked, stop_when_asked;
    flt_eval_result eval;
} job;

static void *start(void *arg) {
    job *j = arg;
    j->run(j, &j->who.ranks);
    snprintf(j->sentence, sizeof j->sentence, "%s", flt_error());
    return NULL;
}

// `j` [count], each prepared by the caller.
static void together(job *j, int count) {
    meeting m = {.count = count};
    pthread_t thread[MOST];
    pthread_barrier_init(&m.barrier, NULL, (unsigned)count);
    for (int r = 0; r < count; r++) {
        member *s = &j[r].who;
        *s = (member){.m = &m, .me = r};
        s->ranks = (flt_ranks){.self = s,
                               .me = r,
                               .count = count,
                               .here = count,
                               .state = &s->state,
                               .exchange = exchange,
                               .gather = gather,
                               .scatter = scatter,
                               .broadcast = broadcast};
        cr_assert(eq(int, pthread_create(&thread[r], NULL, start, &j[r]), 0));
    }
    for (int r = 0; r < count; r++) pthread_join(thread[r], NULL);
    pthread_barrier_destroy(&m.barrier);
}

// ---- training
static const char *const tasks[] = {"noisy", "glitch", "bowl"};

static flt_meta_config config(const char *estimator, const char *path) {
    flt_meta_config c = fake_config(3, tasks);
    c.estimator = estimator;
    c.checkpoint = path;
    return c;
}

static void train(job *j, const flt_ranks *r) {
    flt_weights w = fake_weights(0.5, 0.1);
    j->config.ranks = r;
    j->err = flt_meta_train(&j->config, &w, &j->sink, NULL);
    memcpy(j->theta, w.theta, sizeof j->theta);
    fake_weights_free(&w);
}

static flt_err note(void *self, const char *name, uint64_t step, double value) {
    job *j = self;
    (void)step;
    if (strcmp(name, "exchange_bytes") == 0) j->bytes = value;
    if (strcmp(name, "loss_minus_adam") == 0) j->gap += value;
    if (strcmp(name, "wait_share") == 0) j->waiting = value;
    if (strcmp(name, "meta_loss") == 0) j->seen++;
    return j->config.seed == 77 && j->seen == 4 ? flt_fail(FLTE_DB, "store", "the disk is full") : FLTE_OK;
}

// Stops after some outer steps, or when it was asked so often: before every inner step of the first thread.
static bool enough(void *self) {
    job *j = self;
    j->asked++;
    return (j->stop_after > 0 && j->seen >= j->stop_after) || (j->stop_when_asked > 0 && j->asked >= j->stop_when_asked);
}

static job *make(int count, flt_meta_config c) {
    job *j = calloc((size_t)count, sizeof *j);
    for (int r = 0; r < count; r++) j[r] = (job){.run = train, .config = c, .sink = {&j[r], note, NULL, NULL, enough}};
    return j;
}

static void check_files(const char *a, const char *b, const char *label) {
    const blob x = slurp(a), y = slurp(b);
    cr_assert(eq(sz, x.size, y.size), "%s", label);
    cr_assert(eq(int, memcmp(x.bytes, y.bytes, x.size), 0), "%s: the checkpoints differ", label);
    free(x.bytes);
    free(y.bytes);
}

static void check_theta(const job *want, const job *j, int count, const char *label) {
    for (int r = 0; r < count; r++) {
        cr_assert(eq(int, j[r].err, want->err), "%s, rank %d: %s", label, r, j[r].sentence);
        cr_assert(eq(int, memcmp(j[r].theta, want->theta, sizeof want->theta), 0), "%s, rank %d: theta %.9g %.9g, want %.9g %.9g",
                  label, r, (double)j[r].theta[0], (double)j[r].theta[1], (double)want->theta[0], (double)want->theta[1]);
    }
}

Test(meta_ranks, any_number_of_ranks_ends_in_the_same_bits) {
    const flt_registry *all = flt_estimator_registry();
    for (size_t e = 0; e < flt_registry_count(all); e++) {
        const char *one = scratch("one.safetensors"), *many = scratch("many.safetensors");
        job *want = make(1, config(all->kinds[e]->name, one));
        together(want, 1);
        cr_assert(eq(int, want->err, FLTE_OK), "%s: %s", all->kinds[e]->name, want->sentence);
        for (int count = 2; count <= MOST; count++) {
            char label[64];
            snprintf(label, sizeof label, "%s on %d ranks", all->kinds[e]->name, count);
            flt_meta_config c = config(all->kinds[e]->name, many);
            c.threads = 1 + count % 2;
            job *j = make(count, c);
            together(j, count);
            check_theta(want, j, count, label);
            check_files(one, many, label);
            cr_assert(j[0].waiting >= 0.0 && j[0].waiting <= 1.0, "%s: waiting %g", label, j[0].waiting);
            free(j);
        }
        free(want);
        unlink(one);
        unlink(many);
    }
}

// 16 bytes a rank, and per arm 8 for each part, 8 for the clipped steps and 8 for the movement; those of the others.
Test(meta_ranks, traffic_is_a_few_numbers_per_particle) {
    const char *path = scratch("traffic.safetensors");
    job *j = make(2, config("nres", path));
    together(j, 2);
    const double parts = 1 + (6 - 1 + 4 - 1) / 4, arms = 5; // arms of the other rank
    cr_assert(eq(dbl, j[0].bytes, 16 + arms * 8 * (parts + 2)));
    free(j);
    j = make(2, config("tbptt", path)); // and the gradient in two meta-parameters
    together(j, 2);
    cr_assert(eq(dbl, j[0].bytes, 16 + arms * 8 * (parts + 2 + 2)));
    free(j);
    j = make(2, config("full_bptt", path)); // an episode is one part
    together(j, 2);
    cr_assert(eq(dbl, j[0].bytes, 16 + arms * 8 * (1 + 2 + 2)));
    free(j);
    unlink(path);
}

static const char *const distributions[] = {"noisy|bowl|line", "glitch|bowl", "bowl"};

static const char *const variants[] = {"pes", "nres", "full_es", "full_bptt", "tbptt", "nres with options", "tbptt with options"};
enum { VARIANTS = sizeof variants / sizeof *variants, PLAIN = 5 };

static flt_meta_config variant(int which, const char *path) {
    flt_meta_config c = config(which < PLAIN ? variants[which] : which == PLAIN ? "nres" : "tbptt", path);
    if (which < PLAIN) return c;
    c.truncation = "curriculum";
    c.reduction = "last";
    c.held_out = true;
    if (which == PLAIN) c.difference = "rms";
    if (which == PLAIN) c.difference_clip = 2;
    c.outer_optimizer = "adamw";
    c.outer_weight_decay = 0.1;
    c.outer_schedule = "cosine";
    c.outer_warmup = 2;
    c.clip_by = "element";
    c.tasks = distributions;
    c.draws = 4;
    c.sample = fake_sample;
    return c;
}

// Stopped on some number of ranks, resumed on another, to the file that one process leaves.
Test(meta_ranks, checkpoints_go_on_with_other_ranks) {
    static const int counts[][2] = {{3, 1}, {1, 4}, {4, 2}, {2, 5}};
    for (int e = 0; e < VARIANTS; e++) {
        const char *one = scratch("one.safetensors"), *many = scratch("many.safetensors");
        job *want = make(1, variant(e, one));
        together(want, 1);
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
            char label[64];
            snprintf(label, sizeof label, "%s on %d, then %d ranks", variants[e], counts[i][0], counts[i][1]);
            flt_meta_config c = variant(e, many);
            job *j = make(counts[i][0], c);
            j[counts[i][0] - 1].stop_after = 5; // the wish of the last rank alone stops all
            together(j, counts[i][0]);
            for (int r = 0; r < counts[i][0]; r++) cr_assert(eq(int, j[r].err, FLTE_INTERRUPTED), "%s: %s", label, j[r].sentence);
            free(j);
            c.resume = true;
            j = make(counts[i][1], c);
            together(j, counts[i][1]);
            check_theta(want, j, counts[i][1], label);
            check_files(one, many, label);
            free(j);
        }
        free(want);
        unlink(one);
        unlink(many);
    }
}

// Adam's curves are shared out over ranks, and all end with the same.
Test(meta_ranks, adam_is_measured_once) {
    const char *one = scratch("one.safetensors"), *many = scratch("many.safetensors");
    flt_meta_config c = variant(2, one);
    c.against_adam = true;
    job *want = make(1, c);
    together(want, 1);
    cr_assert(eq(int, want->err, FLTE_OK), "%s", want->sentence);
    cr_assert(isfinite(want->gap) && want->gap != 0);
    c.checkpoint = many;
    job *j = make(4, c);
    together(j, 4);
    check_theta(want, j, 4, "four ranks");
    for (int r = 0; r < 4; r++) cr_assert(eq(dbl, j[r].gap, want->gap), "rank %d", r);
    free(j);
    j = make(3, c);
    j[2].stop_when_asked = 40; // while Adam runs
    together(j, 3);
    for (int r = 0; r < 3; r++) cr_assert(eq(int, j[r].err, FLTE_INTERRUPTED), "rank %d: %s", r, j[r].sentence);
    free(j);
    free(want);
    unlink(one);
    unlink(many);
}

// A wish to stop is heard at any inner step, and what is saved is the last complete outer step.
Test(meta_ranks, stops_within_windows_lose_nothing_else) {
    static const char *const names[] = {"pes", "nres", "full_es", "tbptt", "full_bptt"};
    const char *one = scratch("one.safetensors"), *many = scratch("many.safetensors");
    for (int e = 0; e < 5; e++) {
        job *want = make(1, config(names[e], one));
        together(want, 1);
        for (int count = 1; count <= 3; count++) {
            for (int asked = 1; asked < 150; asked += e < 2 ? 11 : 37) {
                char label[64];
                snprintf(label, sizeof label, "%s, %d ranks, stopped at request %d", names[e], count, asked);
                job *j = make(count, config(names[e], many));
                j[count - 1].stop_when_asked = asked;
                together(j, count);
                for (int r = 0; r < count; r++) cr_assert(eq(int, j[r].err, FLTE_INTERRUPTED), "%s: %s", label, j[r].sentence);
                for (int r = 0; r < count; r++) j[r].config.resume = true, j[r].stop_when_asked = 0;
                together(j, count);
                check_theta(want, j, count, label);
                check_files(one, many, label);
                free(j);
            }
        }
        free(want);
    }
    unlink(one);
    unlink(many);
}

// ---- failures of one are failures of all, with its number
Test(meta_ranks, a_failure_of_one_is_told_by_all) {
    const char *path = scratch("failed.safetensors");
    flt_meta_config c = config("nres", path);
    c.seed = 77; // rank 0's sink fails at the fourth step; other ranks have none
    job *j = make(3, c);
    for (int r = 1; r < 3; r++) j[r].sink = (flt_sink){0};
    together(j, 3);
    for (int r = 0; r < 3; r++) {
        cr_assert(eq(int, j[r].err, FLTE_DB), "rank %d: %s", r, j[r].sentence);
        cr_assert(ne(ptr, strstr(j[r].sentence, "disk is full"), NULL), "rank %d: %s", r, j[r].sentence);
    }
    free(j);

    static const char *const wrong[] = {"noisy", "absent", "bowl"};
    j = make(3, config("nres", path));
    j[1].config.tasks = wrong;
    together(j, 3);
    for (int r = 0; r < 3; r++) {
        cr_assert(eq(int, j[r].err, FLTE_NAME), "rank %d: %s", r, j[r].sentence);
        cr_assert(eq(int, strncmp(j[r].sentence, "rank 1: ", 8), 0), "rank %d: %s", r, j[r].sentence);
    }
    free(j);
    unlink(path);
}

static void other_weights(job *j, const flt_ranks *r) {
    flt_weights w = fake_weights(r->me == 2 ? 0.4 : 0.5, 0.1);
    j->config.ranks = r;
    j->err = flt_meta_train(&j->config, &w, NULL, NULL);
    fake_weights_free(&w);
}

Test(meta_ranks, weights_that_differ_are_noticed) {
    job *j = make(3, config("nres", NULL));
    for (int r = 0; r < 3; r++) j[r].run = other_weights;
    together(j, 3);
    for (int r = 0; r < 3; r++) {
        cr_assert(eq(int, j[r].err, FLTE_NUMERIC), "rank %d: %s", r, j[r].sentence);
        cr_assert(ne(ptr, strstr(j[r].sentence, "rank 2 holds other weights"), NULL), "rank %d: %s", r, j[r].sentence);
    }
    free(j);
}

Test(meta_ranks, more_ranks_than_arms_are_refused) {
    flt_meta_config c = config("nres", NULL);
    c.n_tasks = 1;
    c.particles = 1;
    job *j = make(3, c);
    together(j, 3);
    for (int r = 0; r < 3; r++) cr_assert(eq(int, j[r].err, FLTE_RANGE), "rank %d: %s", r, j[r].sentence);
    free(j);
}

// ---- cells
static void fill_cells(job *j, const flt_ranks *r) {
    uint64_t cell[11] = {0};
    for (size_t i = 0; i < 11; i++)
        if (flt_ranks_own(r, i)) cell[i] = 100 + i;
    j->err = flt_ranks_cells(r, 11, sizeof *cell, cell, FLTE_OK);
    for (size_t i = 0; i < 11; i++)
        if (cell[i] != 100 + i) j->err = FLTE_INTERNAL;
}

static void fail_cells(job *j, const flt_ranks *r) {
    uint64_t cell[3] = {0};
    j->err = flt_ranks_cells(r, 3, sizeof *cell, cell, r->me == 1 ? flt_fail(FLTE_NUMERIC, "cell", "burst") : FLTE_OK);
}

Test(meta_ranks, cells_reach_everyone) {
    for (int count = 1; count <= MOST; count++) {
        job *j = make(count, config("nres", NULL));
        for (int r = 0; r < count; r++) j[r].run = fill_cells;
        together(j, count);
        for (int r = 0; r < count; r++) cr_assert(eq(int, j[r].err, FLTE_OK), "%d ranks, rank %d: %s", count, r, j[r].sentence);
        for (int r = 0; r < count; r++) j[r].run = fail_cells;
        if (count > 1) together(j, count);
        for (int r = 0; count > 1 && r < count; r++) {
            cr_assert(eq(int, j[r].err, FLTE_NUMERIC), "%d ranks, rank %d", count, r);
            cr_assert(ne(ptr, strstr(j[r].sentence, "rank 1: cell: burst"), NULL), "%s", j[r].sentence);
        }
        free(j);
    }
}

Test(meta_ranks, shares_cover_all_without_overlap) {
    for (int count = 1; count <= 9; count++) {
        const flt_ranks r = {.count = count};
        for (size_t n = 0; n < 40; n++) {
            cr_assert(eq(sz, flt_ranks_first(&r, n, 0), 0));
            cr_assert(eq(sz, flt_ranks_first(&r, n, count), n));
            for (int k = 0; k < count; k++) {
                const size_t share = flt_ranks_first(&r, n, k + 1) - flt_ranks_first(&r, n, k);
                cr_assert(share == n / (size_t)count || share == n / (size_t)count + 1, "%zu over %d: %zu", n, count, share);
            }
        }
    }
}

// Any range of arms has its place in the blocks of its tasks, and nowhere else.
Test(meta_ranks, ranges_of_arms_are_rows_of_blocks) {
    enum { P = 7, TASKS = 3 };
    for (size_t first = 0; first <= 2 * P; first++) {
        for (size_t count = 0; first + count <= 2 * P; count++) {
            flt_arms a;
            size_t rows[TASKS] = {0};
            cr_assert(eq(int, flt_arms_create(TASKS, first, count, &a), FLTE_OK));
            for (size_t k = 0; k < TASKS; k++) cr_assert(eq(int, flt_arms_size(&a, k, 2, 1), FLTE_OK));
            for (size_t u = first; u < first + count; u++) {
                const size_t k = u / 2 % TASKS;
                const flt_arm x = flt_arms_at(&a, u / 2, u % 2);
                cr_assert(x.param == a.task[k].param + 2 * rows[k] && x.state == a.task[k].state + rows[k], "arm %zu of %zu..", u,
                          first);
                rows[k]++;
            }
            for (size_t k = 0; k < TASKS; k++) cr_assert(eq(sz, rows[k], a.task[k].rows), "task %zu from %zu", k, first);
            flt_arms_destroy(&a);
        }
    }
}
