// SPDX-License-Identifier: MIT
// Checkpoints: a stopped or killed run goes on to the same bits; damage and other configurations are refused.
#include "meta_fixture.h"

static const char *const two_tasks[] = {"noisy", "glitch"}; // a frozen arm must stay frozen

static flt_meta_config config(const char *estimator, const char *path) {
    flt_meta_config c = fake_config(2, two_tasks);
    c.estimator = estimator;
    c.threads = 2;
    c.checkpoint = path;
    return c;
}

// ---- a sink that asks to stop after some outer steps, or copies the checkpoint while the run goes on
typedef struct watcher {
    uint64_t stop_after, copy_at, seen;
    const char *from, *to;
} watcher;

static flt_err see(void *self, const char *name, uint64_t step, double value) {
    watcher *s = self;
    (void)value;
    if (strcmp(name, "meta_loss") != 0) return FLTE_OK;
    s->seen++;
    if (s->copy_at == 0 || step != s->copy_at) return FLTE_OK;
    const blob b = slurp(s->from);
    spill(s->to, b.bytes, b.size);
    free(b.bytes);
    return FLTE_OK;
}

static bool enough(void *self) {
    const watcher *s = self;
    return s->seen >= s->stop_after;
}

static flt_err train(const flt_meta_config *c, watcher *s, flt_real theta[2], flt_meta_report *report) {
    const flt_sink sink = {.self = s, .metric = see, .stopped = enough};
    flt_weights w = fake_weights(0.5, 0.1);
    const flt_err err = flt_meta_train(c, &w, s == NULL ? NULL : &sink, report);
    memcpy(theta, w.theta, 2 * sizeof *theta);
    fake_weights_free(&w);
    return err;
}

static void check_same(const blob *want, const char *path, const flt_real a[2], const flt_real b[2], const char *label) {
    const blob got = slurp(path);
    cr_assert(eq(int, memcmp(a, b, 2 * sizeof *a), 0), "%s: theta %.9g %.9g, want %.9g %.9g", label, (double)b[0], (double)b[1],
              (double)a[0], (double)a[1]);
    cr_assert(eq(sz, got.size, want->size), "%s", label);
    cr_assert(eq(int, memcmp(got.bytes, want->bytes, got.size), 0), "%s: the last checkpoints differ", label);
    free(got.bytes);
}

Test(meta_checkpoint, stopped_runs_go_on_to_the_same_bits) {
    static const char *const names[] = {"pes", "nres"};
    for (int e = 0; e < 2; e++) {
        char label[64];
        flt_real want[2], got[2];
        flt_meta_report whole, report;
        const char *path = scratch("whole.safetensors"), *cut = scratch("cut.safetensors");
        flt_meta_config c = config(names[e], path);
        cr_assert(eq(int, train(&c, NULL, want, &whole), FLTE_OK), "%s", flt_error());
        const blob last = slurp(path);
        for (uint64_t stop = 0; stop <= 13; stop++) {
            snprintf(label, sizeof label, "%s stopped after %d steps", names[e], (int)stop);
            watcher s = {.stop_after = stop};
            c = config(names[e], cut);
            cr_assert(eq(int, train(&c, &s, got, &report), FLTE_INTERRUPTED), "%s: %s", label, flt_error());
            cr_assert(ne(ptr, strstr(flt_error(), cut), NULL), "%s: %s", label, flt_error());
            cr_assert(eq(u64, report.outer_steps, stop), "%s", label);
            c.resume = true;
            c.threads = 1 + (int)stop % 3;
            c.checkpoint_every = stop % 4;
            cr_assert(eq(int, train(&c, NULL, got, &report), FLTE_OK), "%s: %s", label, flt_error());
            check_same(&last, cut, want, got, label);
            cr_assert(eq(u64, report.inner_steps, whole.inner_steps), "%s", label);
        }
        free(last.bytes);
        unlink(path);
        unlink(cut);
    }
}

// What kill -9 leaves behind is the last checkpoint written: a copy taken while the run goes on.
Test(meta_checkpoint, killed_runs_go_on_to_the_same_bits) {
    flt_real want[2], got[2];
    const char *path = scratch("whole.safetensors"), *copy = scratch("copy.safetensors");
    watcher s = {.stop_after = UINT64_MAX, .copy_at = 12, .from = path, .to = copy};
    flt_meta_config c = config("pes", path);
    flt_meta_report report;
    c.checkpoint_every = 4;
    cr_assert(eq(int, train(&c, &s, want, NULL), FLTE_OK), "%s", flt_error());
    const blob last = slurp(path);
    c.checkpoint = copy;
    c.resume = true;
    watcher count = {.stop_after = UINT64_MAX};
    cr_assert(eq(int, train(&c, &count, got, &report), FLTE_OK), "%s", flt_error());
    cr_assert(eq(u64, count.seen, 6), "went on from step 8");
    check_same(&last, copy, want, got, "killed after step 11");
    free(last.bytes);
    unlink(path);
    unlink(copy);
}

Test(meta_checkpoint, more_steps_may_be_asked_for) {
    flt_real want[2], got[2];
    const char *path = scratch("short.safetensors"), *other = scratch("long.safetensors");
    flt_meta_config c = config("nres", other);
    cr_assert(eq(int, train(&c, NULL, want, NULL), FLTE_OK), "%s", flt_error());
    const blob last = slurp(other);
    c = config("nres", path);
    c.outer_steps = 6;
    cr_assert(eq(int, train(&c, NULL, got, NULL), FLTE_OK), "%s", flt_error());
    c.outer_steps = 14;
    c.resume = true;
    cr_assert(eq(int, train(&c, NULL, got, NULL), FLTE_OK), "%s", flt_error());
    check_same(&last, path, want, got, "6 steps, then 8 more");
    cr_assert(eq(int, train(&c, NULL, got, NULL), FLTE_OK), "a finished run resumes to itself: %s", flt_error());
    check_same(&last, path, want, got, "nothing left to do");
    c.outer_steps = 13;
    cr_assert(eq(int, train(&c, NULL, got, NULL), FLTE_USAGE));
    cr_assert(ne(ptr, strstr(flt_error(), "outer step 14, beyond the 13"), NULL), "%s", flt_error());
    free(last.bytes);
    unlink(path);
    unlink(other);
}

// ---- damage
static void refuse(const flt_meta_config *c, const unsigned char *bytes, size_t size, const char *label) {
    flt_real theta[2];
    spill(c->checkpoint, bytes, size);
    const flt_err err = train(c, NULL, theta, NULL);
    cr_assert(eq(int, err, FLTE_FORMAT), "%s: %s (%s)", label, flt_err_name(err), flt_error());
    cr_assert(theta[0] == (flt_real)0.5 && theta[1] == (flt_real)0.1, "%s: theta was touched", label);
}

Test(meta_checkpoint, damage_is_refused) {
    flt_real theta[2];
    char label[64];
    const char *path = scratch("damaged.safetensors");
    flt_meta_config c = config("pes", path);
    c.outer_steps = 3;
    cr_assert(eq(int, train(&c, NULL, theta, NULL), FLTE_OK), "%s", flt_error());
    blob b = slurp(path);
    c.resume = true;
    for (size_t at = 0; at < b.size; at += 1 + b.size / 400) {
        snprintf(label, sizeof label, "byte %zu of %zu flipped", at, b.size);
        b.bytes[at] ^= 1;
        refuse(&c, b.bytes, b.size, label);
        b.bytes[at] ^= 1;
    }
    for (size_t keep = 0; keep < b.size; keep += 1 + b.size / 60) {
        snprintf(label, sizeof label, "cut to %zu of %zu bytes", keep, b.size);
        refuse(&c, b.bytes, keep, label);
    }
    spill(path, b.bytes, b.size);
    cr_assert(eq(int, train(&c, NULL, theta, NULL), FLTE_OK), "the whole file still resumes: %s", flt_error());
    free(b.bytes);
    unlink(path);
}

Test(meta_checkpoint, other_files_are_refused) {
    const char *path = scratch("other.safetensors");
    const flt_real x[2] = {1, 2};
    flt_real theta[2];
    flt_tensor_writer *w = NULL;
    flt_meta_config c = config("pes", path);
    cr_assert(eq(int, flt_tensor_writer_create(&w), FLTE_OK));
    cr_assert(eq(int, flt_tensor_writer_real(w, "theta", 1, (size_t[]){2}, x), FLTE_OK));
    cr_assert(eq(int, flt_tensor_writer_save(w, path), FLTE_OK), "%s", flt_error());
    flt_tensor_writer_destroy(w);
    c.resume = true;
    cr_assert(eq(int, train(&c, NULL, theta, NULL), FLTE_FORMAT), "%s", flt_error());
    cr_assert(ne(ptr, strstr(flt_error(), "not a checkpoint"), NULL), "%s", flt_error());
    unlink(path);
}

// ---- another configuration
typedef struct difference {
    const char *says;
    flt_meta_config c;
} difference;

Test(meta_checkpoint, other_configurations_are_refused_by_name) {
    static const char *const other_tasks[] = {"noisy", "bowl"};
    const char *path = scratch("config.safetensors");
    flt_real theta[2];
    flt_meta_config c = config("pes", path);
    c.outer_steps = 2;
    c.outer_schedule = "linear";
    cr_assert(eq(int, train(&c, NULL, theta, NULL), FLTE_OK), "%s", flt_error());
    c.resume = true;
    difference d[] = {{.says = "estimator=pes, this run has estimator=nres"},
                      {.says = "task 2=glitch, this run has task 2=bowl"},
                      {.says = "number of tasks=2, this run has number of tasks=1"},
                      {.says = "particles=5, this run has particles=6"},
                      {.says = "window=6, this run has window=7"},
                      {.says = "shortest unroll=4, this run has shortest unroll=5"},
                      {.says = "longest unroll=30, this run has longest unroll=31"},
                      {.says = "sigma=0.01, this run has sigma=0.02"},
                      {.says = "outer learning rate="},
                      {.says = "clip=1, this run has clip=2"},
                      {.says = "log loss=true, this run has log loss=false"},
                      {.says = "seed=1, this run has seed=2"},
                      {.says = "truncation=log-uniform, this run has truncation=curriculum"},
                      {.says = "in phase=false, this run has in phase=true"},
                      {.says = "difference=plain, this run has difference=rms"},
                      {.says = "clip of differences=0, this run has clip of differences=3"},
                      {.says = "reduction=mean, this run has reduction=last"},
                      {.says = "held out=false, this run has held out=true"},
                      {.says = "outer optimizer=adam, this run has outer optimizer=adamw"},
                      {.says = "outer schedule=linear, this run has outer schedule=cosine"},
                      {.says = "outer warm-up=0, this run has outer warm-up=1"},
                      {.says = "last share of the outer rate=0, this run has last share of the outer rate=1"},
                      {.says = "outer optimizer=adam, this run has outer optimizer=adamw"},
                      {.says = "draws of each task=0, this run has draws of each task=2"},
                      {.says = "clip by=norm, this run has clip by=element"},
                      {.says = "power of the loss's weights=0, this run has power of the loss's weights=2"}};
    const size_t n = sizeof d / sizeof *d;
    for (size_t i = 0; i < n; i++) d[i].c = c;
    d[0].c.estimator = "nres", d[1].c.tasks = other_tasks, d[2].c.n_tasks = 1, d[3].c.particles = 6, d[4].c.window = 7;
    d[5].c.unroll_min = 5, d[6].c.unroll_max = 31, d[7].c.sigma = 0.02, d[8].c.outer_lr = 0.5, d[9].c.clip = 2;
    d[10].c.log_loss = false, d[11].c.seed = 2, d[12].c.truncation = "curriculum", d[13].c.in_phase = true;
    d[14].c.difference = "rms", d[15].c.difference_clip = 3, d[16].c.reduction = "last", d[17].c.held_out = true;
    d[18].c.outer_optimizer = "adamw", d[19].c.outer_schedule = "cosine", d[20].c.outer_warmup = 1, d[21].c.outer_final = 1;
    d[22].c.outer_optimizer = "adamw", d[22].c.outer_weight_decay = 0.25, d[24].c.clip_by = "element";
    d[25].c.loss_power = 2;
    d[23].c.draws = 2, d[23].c.sample = fake_sample;
    for (size_t i = 0; i < n; i++) {
        cr_assert(eq(int, train(&d[i].c, NULL, theta, NULL), FLTE_USAGE), "%s: %s", d[i].says, flt_error());
        cr_assert(ne(ptr, strstr(flt_error(), d[i].says), NULL), "want '%s' in: %s", d[i].says, flt_error());
        cr_assert(theta[0] == (flt_real)0.5, "%s: theta was touched", d[i].says);
    }
    unlink(path);
}

Test(meta_checkpoint, unwritable_places_are_reported) {
    flt_real theta[2];
    flt_meta_config c = config("pes", "/nonexistent/folder/checkpoint.safetensors");
    cr_assert(eq(int, train(&c, NULL, theta, NULL), FLTE_IO), "%s", flt_error());
    cr_assert(ne(ptr, strstr(flt_error(), "/nonexistent/folder"), NULL), "%s", flt_error());
}
