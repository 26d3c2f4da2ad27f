// SPDX-License-Identifier: MIT
// Meta-training of the flt optimizer on real tasks: objectives that keep problems and data inside, vector kernels, mixed shapes.
#include "flt/tasks.h"
#include "meta_fixture.h"

static const char *const tasks[] = {"quadratic:dimension=7", "digits_mlp:width=8,batch=16", "rosenbrock"};

static flt_meta_config config(const char *path) {
    flt_meta_config c;
    flt_meta_defaults(&c);
    c.n_tasks = sizeof tasks / sizeof *tasks;
    c.tasks = tasks;
    c.make = flt_task_create;
    c.outer_steps = 4;
    c.particles = 8;
    c.window = 6;
    c.unroll_min = 5;
    c.unroll_max = 40;
    c.checkpoint = path;
    return c;
}

typedef struct stopper {
    uint64_t after, seen;
} stopper;

static flt_err count(void *self, const char *name, uint64_t step, double value) {
    (void)step, (void)value;
    if (strcmp(name, "meta_loss") == 0) ((stopper *)self)->seen++;
    return FLTE_OK;
}

static bool stopped(void *self) {
    const stopper *s = self;
    return s->seen >= s->after;
}

// Trains from the kind's start; returns the bytes of the last checkpoint, which hold all that there is.
static blob train(flt_meta_config c, uint64_t stop_after, flt_err want) {
    const flt_optimizer_kind *kind = NULL;
    flt_weights w;
    stopper s = {.after = stop_after};
    const flt_sink sink = {.self = &s, .metric = count, .stopped = stopped};
    cr_assert(eq(int, flt_optimizer_find("flt", &kind), FLTE_OK), "%s", flt_error());
    cr_assert(eq(int, flt_weights_load(kind, NULL, NULL, 1, &w), FLTE_OK), "%s", flt_error());
    cr_assert(eq(int, flt_meta_train(&c, &w, &sink, NULL), want), "%s", flt_error());
    for (size_t j = 0; j < w.layout.total; j++) cr_assert(isfinite(w.theta[j]), "theta %zu", j);
    flt_weights_free(&w);
    return slurp(c.checkpoint);
}

Test(meta_tasks, the_same_bits_for_any_threads_and_across_a_stop) {
    const char *path = scratch("tasks.safetensors");
    flt_meta_config c = config(path);
    c.threads = 1;
    const blob want = train(c, UINT64_MAX, FLTE_OK);
    for (int threads = 2; threads <= 3; threads++) {
        c.threads = threads;
        const blob got = train(c, UINT64_MAX, FLTE_OK);
        cr_assert(eq(sz, got.size, want.size));
        cr_assert(eq(int, memcmp(got.bytes, want.bytes, got.size), 0), "%d threads", threads);
        free(got.bytes);
    }
    free(train(c, 2, FLTE_INTERRUPTED).bytes);
    c.resume = true;
    c.threads = 2;
    const blob got = train(c, UINT64_MAX, FLTE_OK);
    cr_assert(eq(int, memcmp(got.bytes, want.bytes, got.size), 0), "stopped after 2 steps of 4");
    free(got.bytes);
    free(want.bytes);
    unlink(path);
}
