// SPDX-License-Identifier: MIT
// Choices of meta-training: meta-optimizers and their schedules, treatment of loss differences, lengths of episodes, meta-losses,
// each against what the test writes down itself; and the same bits for any number of threads and across a stop under each.
#include "../meta/engine/outer.h"
#include "meta_fixture.h"

static const char *const two_tasks[] = {"noisy", "glitch"};

static flt_meta_config config(void) {
    return fake_config(2, two_tasks);
}

static flt_weights two_tensors(void) {
    flt_weights w = fake_weights(0.5, 0.1);
    flt_layout_free(&w.layout);
    cr_assert(eq(int, flt_layout_add(&w.layout, "rate", 0, NULL), FLTE_OK));
    cr_assert(eq(int, flt_layout_add(&w.layout, "push", 0, NULL), FLTE_OK));
    return w;
}

// ---- the meta-optimizer
// An account of its own: PyTorch's AdamW, in steps of known gradients.
static void adamw(const flt_meta_config *c, const double rate[], size_t steps, double grad[][2], double theta[2]) {
    double m[2] = {0}, v[2] = {0};
    for (size_t t = 0; t < steps; t++) {
        for (int j = 0; j < 2; j++) {
            m[j] += 0.1 * (grad[t][j] - m[j]);
            v[j] += 0.001 * (grad[t][j] * grad[t][j] - v[j]);
            theta[j] *= 1 - rate[t] * c->outer_weight_decay;
            theta[j] -= rate[t] * (m[j] / (1 - pow(0.9, (double)t + 1))) / (sqrt(v[j] / (1 - pow(0.999, (double)t + 1))) + 1e-8);
        }
    }
}

static void check_steps(const flt_meta_config *c, const double rate[], double grad[][2], double used[][2], const char *label) {
    flt_meta_optimizer o;
    flt_real theta[2] = {(flt_real)0.5, (flt_real)-2};
    double want[2] = {theta[0], theta[1]};
    cr_assert(eq(int, flt_meta_optimizer_create(c, 2, &o), FLTE_OK), "%s: %s", label, flt_error());
    for (uint64_t t = 0; t < 6; t++) cr_assert(flt_meta_optimizer_step(&o, t, t, grad[t], theta), "%s", label);
    adamw(c, rate, 6, used, want);
    for (int j = 0; j < 2; j++) // 6 roundings of theta, of size 2 at most
        cr_assert(fabs(theta[j] - want[j]) <= 6 * 2 * FLTX_EPS, "%s, theta %d: got %.9g, want %.9g", label, j, (double)theta[j],
                  want[j]);
    flt_meta_optimizer_destroy(&o);
}

Test(meta_options, adamw_follows_its_schedule) {
    double grad[6][2] = {{0.3, -0.1}, {-0.2, 0.4}, {0.1, 0.1}, {0.5, -0.3}, {-0.4, 0.2}, {0.2, 0.6}};
    flt_meta_config c = config();
    c.clip = 0;
    c.outer_lr = 0.1;
    check_steps(&c, (const double[]){0.1, 0.1, 0.1, 0.1, 0.1, 0.1}, grad, grad, "adam");
    c.outer_optimizer = "adamw";
    c.outer_weight_decay = 0.3;
    c.outer_warmup = 2;
    check_steps(&c, (const double[]){0.05, 0.1, 0.1, 0.1, 0.1, 0.1}, grad, grad, "warm-up");
    c.outer_schedule = "linear";
    c.outer_schedule_steps = 5;
    c.outer_final = 0.1; // 0.01, and 0.09 more in the beginning
    check_steps(&c, (const double[]){0.05, 0.1, 0.1, 0.07, 0.04, 0.01}, grad, grad, "linear");
    c.outer_schedule = "cosine"; // half of 1 + cos of 0, pi / 3, 2 pi / 3
    check_steps(&c, (const double[]){0.05, 0.1, 0.1, 0.01 + 0.09 * 0.75, 0.01 + 0.09 * 0.25, 0.01}, grad, grad, "cosine");
}

Test(meta_options, gradients_are_clipped_by_norm_or_element) {
    double grad[6][2] = {{3, -4}, {0.6, -0.8}, {-9, 12}, {0, 0.5}, {5, 0}, {-0.5, -0.5}};
    double norm[6][2] = {{0.6, -0.8}, {0.6, -0.8}, {-0.6, 0.8}, {0, 0.5}, {1, 0}, {-0.5, -0.5}};
    double element[6][2] = {{1, -1}, {0.6, -0.8}, {-1, 1}, {0, 0.5}, {1, 0}, {-0.5, -0.5}};
    const double rate[6] = {0.1, 0.1, 0.1, 0.1, 0.1, 0.1};
    flt_meta_config c = config();
    c.clip = 1;
    c.outer_lr = 0.1;
    check_steps(&c, rate, grad, norm, "by norm");
    c.clip_by = "element";
    check_steps(&c, rate, grad, element, "by element");
}

// ---- differences
// Three particles, two parts each, of 4 and 2 steps.
static void weigh(const char *kind, double clip, const double loss[12], double weight[6]) {
    size_t parts[3] = {2, 2, 2};
    flt_part part[6];
    const flt_particles p = {.count = 3, .window = 6, .most_parts = 2, .parts = parts, .part = part};
    flt_meta_config c = config();
    flt_difference d;
    for (int i = 0; i < 6; i++) part[i] = (flt_part){.steps = i % 2 == 0 ? 4 : 2};
    c.difference = kind;
    c.difference_clip = clip;
    cr_assert(eq(int, flt_difference_make(&c, &d), FLTE_OK), "%s", flt_error());
    flt_difference_weigh(&d, &p, loss, weight);
}

static void check_weights(const char *kind, double clip, const double want[6]) {
    // + + - - of each particle; differences 8, -2; 0, 4; -4, 0.5; an inner step 2, -1; 0, 2; -1, 0.25
    static const double loss[12] = {9, 1, 1, 3, 5, 5, 5, 1, 0, 1, 4, 0.5};
    double got[6];
    weigh(kind, clip, loss, got);
    for (int i = 0; i < 6; i++)
        cr_assert(fabs(got[i] - want[i]) <= 1e-14 * 8, "%s, clip %g, weight %d: got %.17g, want %.17g", kind, clip, i, got[i],
                  want[i]);
}

Test(meta_options, differences_are_treated_as_asked) {
    check_weights("plain", 0, (const double[]){8, -2, 0, 4, -4, 0.5});
    check_weights("plain", 0.5, (const double[]){2, -1, 0, 1, -2, 0.5});
    check_weights("sign", 0, (const double[]){4, -2, 0, 2, -4, 2});
    const double r = sqrt((4 * 4 + 2 * 1 + 0 + 2 * 4 + 4 * 1 + 2 * 0.0625) / 18);
    check_weights("rms", 0, (const double[]){8 / r, -2 / r, 0, 4 / r, -4 / r, 0.5 / r});
    check_weights("rms", 0.5, (const double[]){2, -1, 0, 1, -2, 0.5 / r}); // 0.5 / r is below 2 * 0.5
}

Test(meta_options, differences_of_nothing_stay) {
    const double none[12] = {3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1}, lost[12] = {NAN, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1};
    static const char *const kinds[] = {"plain", "sign", "rms"};
    double got[6];
    for (int k = 0; k < 3; k++) {
        weigh(kinds[k], 0, none, got);
        for (int i = 0; i < 6; i++) cr_assert(eq(dbl, got[i], 0.0), "%s", kinds[k]);
        weigh(kinds[k], 0, lost, got);
        cr_assert(isnan(got[0]), "%s: what is not finite must not pass for a number", kinds[k]);
    }
}

// ---- episodes
static flt_truncation truncation(const flt_meta_config *c) {
    flt_truncation t;
    cr_assert(eq(int, flt_truncation_make(c, &t), FLTE_OK), "%s", flt_error());
    return t;
}

// Half way in the logarithm from 8 to 128 stands 32, up to the rounding of whole numbers: 9^(1/2) 129^(1/2) = 34.07.
Test(meta_options, a_curriculum_raises_the_longest_episode) {
    flt_meta_config c = config();
    c.unroll_min = 8;
    c.unroll_max = 128;
    const flt_truncation plain = truncation(&c);
    c.truncation = "curriculum";
    c.curriculum_steps = 100;
    const flt_truncation t = truncation(&c);
    uint64_t longest[3] = {0};
    for (uint64_t e = 0; e < 2000; e++) {
        for (uint64_t s = 0; s < 3; s++) {
            const uint64_t n = flt_truncation_length(&t, 3, e, 50 * s);
            cr_assert(n >= 8, "%zu steps", (size_t)n);
            if (n > longest[s]) longest[s] = n;
        }
        for (uint64_t s = 100; s < 1000; s += 300)
            cr_assert(eq(u64, flt_truncation_length(&t, 3, e, s), flt_truncation_length(&plain, 3, e, 0)), "grown up");
    }
    cr_assert(eq(u64, longest[0], 8));
    cr_assert(eq(u64, longest[1], 34));
    cr_assert(eq(u64, longest[2], 128));
    c.curriculum_steps = 0;
    c.outer_steps = 100;
    const flt_truncation whole = truncation(&c);
    cr_assert(eq(u64, flt_truncation_length(&whole, 3, 5, 50), flt_truncation_length(&t, 3, 5, 50)), "over all outer steps");
}

Test(meta_options, phases_may_agree) {
    flt_meta_config c = config();
    c.truncation = "constant";
    c.unroll_min = c.unroll_max = 1000;
    size_t whole = 0;
    flt_truncation t = truncation(&c);
    for (size_t i = 0; i < 100; i++) whole += flt_truncation_first(&t, i) == 1000;
    cr_assert(whole < 5, "%zu first episodes of 100 are whole", whole);
    c.in_phase = true;
    t = truncation(&c);
    for (size_t i = 0; i < 100; i++) cr_assert(eq(u64, flt_truncation_first(&t, i), 1000));
}

// ---- meta-losses: of an episode that is one window, by hand
enum { STEPS = 12 };

static double judged_by(const char *task, const char *reduction, double power, bool held_out) {
    flt_weights w = fake_weights(1.7, 0.3); // overshoots: the least loss is neither the first nor the last
    flt_meta_report report;
    flt_meta_config c = config();
    c.n_tasks = 1;
    c.tasks = &task;
    c.outer_steps = 1;
    c.window = c.unroll_min = c.unroll_max = STEPS;
    c.outer_lr = 0;
    c.sigma = 1e-12;
    c.log_loss = false;
    c.in_phase = true;
    c.reduction = reduction;
    c.loss_power = power;
    c.held_out = held_out;
    cr_assert(eq(int, flt_meta_train(&c, &w, NULL, &report), FLTE_OK), "%s", flt_error());
    fake_weights_free(&w);
    return report.last_loss;
}

static double judged(const char *task, const char *reduction, bool held_out) {
    return judged_by(task, reduction, 0, held_out);
}

Test(meta_options, meta_losses_are_mean_last_or_least) {
    double x = 0, m = 0, sum = 0, late = 0, least = INFINITY, last = 0;
    for (int t = 0; t < STEPS; t++) {
        last = (0.25 + 0.5 * (x - 1) * (x - 1)) / 2;
        sum += last;
        late += 3.5 * pow((t + 0.5) / STEPS, 2.5) * last;
        least = fmin(least, last);
        m = 0.5 * m + (x - 1);
        x -= 0.3 * 1.7 * m - 0.1 * 0.3;
    }
    cr_assert(least < last - 1e-4 && last < sum / STEPS - 1e-4, "a case that tells the three apart: %g %g %g", least, last, sum);
    const double bound = 30 * FLTX_EPS * STEPS;
    for (int held = 0; held < 2; held++) { // 1 more, over the normaliser
        const char *task = held ? "held" : "line";
        cr_assert(fabs(judged(task, "mean", held) - sum / STEPS - 0.5 * held) <= bound, "%.9g", judged(task, "mean", held));
        cr_assert(fabs(judged(task, "last", held) - last - 0.5 * held) <= bound, "%.9g", judged(task, "last", held));
        cr_assert(fabs(judged(task, "min", held) - least - 0.5 * held) <= bound, "%.9g", judged(task, "min", held));
    }
    cr_assert(fabs(judged_by("line", "mean", 2.5, false) - late / STEPS) <= bound, "late losses count more");
    cr_assert(fabs(judged("held", "mean", false) - sum / STEPS) <= bound, "training batches");
    // NaN from step 7 on: a least loss of before does not count
    cr_assert(fabs(judged("bomb", "min", false) - 1e6 / 2) <= 1e6 * bound, "%.9g", judged("bomb", "min", false));
    cr_assert(fabs(judged("bomb", "last", true) - 1e6 / 2) <= 1e6 * bound, "%.9g", judged("bomb", "last", true));
}

// ---- the same bits for any number of threads and across a stop
typedef struct watcher {
    uint64_t stop_after, seen;
} watcher;

static flt_err see(void *self, const char *name, uint64_t step, double value) {
    (void)step, (void)value;
    if (strcmp(name, "meta_loss") == 0) ((watcher *)self)->seen++;
    return FLTE_OK;
}

static bool enough(void *self) {
    const watcher *s = self;
    return s->seen >= s->stop_after;
}

static void train(flt_meta_config c, uint64_t stop_after, flt_real theta[2], const char *label) {
    watcher s = {.stop_after = stop_after};
    const flt_sink sink = {.self = &s, .metric = see, .stopped = enough};
    flt_weights w = two_tensors();
    const flt_err err = flt_meta_train(&c, &w, &sink, NULL);
    cr_assert(eq(int, err, stop_after < c.outer_steps ? FLTE_INTERRUPTED : FLTE_OK), "%s: %s", label, flt_error());
    memcpy(theta, w.theta, 2 * sizeof *theta);
    fake_weights_free(&w);
}

static void check_bits(flt_meta_config c, const flt_real plain[2], const char *label) {
    flt_real want[2], got[2];
    c.checkpoint = scratch("options.safetensors");
    train(c, UINT64_MAX, want, label);
    cr_assert(ne(int, memcmp(want, plain, sizeof want), 0), "%s changes nothing", label);
    c.threads = 3;
    train(c, UINT64_MAX, got, label);
    cr_assert(eq(int, memcmp(want, got, sizeof want), 0), "%s: threads", label);
    train(c, 6, got, label);
    c.resume = true;
    c.threads = 2;
    train(c, UINT64_MAX, got, label);
    cr_assert(eq(int, memcmp(want, got, sizeof want), 0), "%s: stopped after 6 steps", label);
    unlink(c.checkpoint);
}

Test(meta_options, each_keeps_the_bits) {
    static const char *const drawn[] = {"noisy|line|bowl", "bowl|glitch"}, *const frozen = "push";
    flt_real plain[2];
    train(config(), UINT64_MAX, plain, "defaults");
    struct {
        const char *label;
        flt_meta_config c;
    } r[] = {{.label = "adamw"}, {.label = "cosine"},     {.label = "element"},  {.label = "sign"},
             {.label = "rms"},   {.label = "curriculum"}, {.label = "in phase"}, {.label = "last"},
             {.label = "min"},   {.label = "draws"},      {.label = "freeze"},   {.label = "power"}};
    const size_t n = sizeof r / sizeof *r;
    for (size_t i = 0; i < n; i++) r[i].c = config();
    r[0].c.outer_optimizer = "adamw", r[0].c.outer_weight_decay = 0.1;
    r[1].c.outer_schedule = "cosine", r[1].c.outer_warmup = 3, r[1].c.outer_final = 0.1;
    r[2].c.clip_by = "element", r[2].c.clip = 0.2;
    r[3].c.difference = "sign", r[4].c.difference = "rms", r[4].c.difference_clip = 1.5;
    r[5].c.truncation = "curriculum", r[6].c.in_phase = true, r[7].c.reduction = "last", r[8].c.reduction = "min";
    r[9].c.draws = 4, r[9].c.sample = fake_sample, r[9].c.tasks = drawn, r[10].c.freeze = &frozen, r[10].c.n_freeze = 1;
    r[11].c.loss_power = 1;
    for (size_t i = 0; i < n; i++) check_bits(r[i].c, plain, r[i].label);
}

// ---- tasks of distributions
Test(meta_options, episodes_take_each_of_the_tasks_drawn) {
    static const char *const drawn[] = {"noisy|line|bowl|bomb|glitch|low", "line"};
    flt_meta_config c = config();
    flt_task_pool p, q;
    size_t times[2][8] = {{0}};
    c.tasks = drawn;
    c.draws = 6;
    c.sample = fake_sample;
    cr_assert(eq(int, flt_task_pool_create(&c, &p), FLTE_OK), "%s", flt_error());
    cr_assert(p.n >= 3 && p.n <= 6, "%zu different tasks", p.n);
    for (size_t i = 0; i < 4; i++)
        for (uint64_t e = 0; e < 600; e++) times[i % 2][flt_task_pool_pick(&p, i, e)]++;
    for (size_t k = 0; k < p.n; k++) { // a sixth for each time that it was drawn; 6 standard deviations of the binomial are 78
        size_t weight[2] = {0};
        for (size_t d = 0; d < 12; d++) weight[d / 6] += p.task[d] == k;
        for (int g = 0; g < 2; g++)
            cr_assert(fabs((double)times[g][k] - 200.0 * (double)weight[g]) <= 78 * (weight[g] % 6 != 0),
                      "%s: %zu of 1200, weight %zu", p.spec[k], times[g][k], weight[g]);
    }
    cr_assert(eq(int, flt_task_pool_create(&c, &q), FLTE_OK));
    for (uint64_t e = 0; e < 50; e++) cr_assert(eq(sz, flt_task_pool_pick(&p, 3, e), flt_task_pool_pick(&q, 3, e)));
    flt_task_pool_destroy(&p);
    flt_task_pool_destroy(&q);
}

// ---- frozen meta-parameters
Test(meta_options, frozen_meta_parameters_stay) {
    static const char *const names[] = {"pes", "nres"}, *const patterns[] = {"pu*", "[r]ate"};
    for (int e = 0; e < 2; e++) {
        for (int f = 0; f < 2; f++) {
            flt_meta_config c = config();
            flt_weights w = two_tensors();
            c.estimator = names[e];
            c.outer_optimizer = "adamw";
            c.outer_weight_decay = 0.5; // would shrink it
            c.n_freeze = 1;
            c.freeze = &patterns[f];
            cr_assert(eq(int, flt_meta_train(&c, &w, NULL, NULL), FLTE_OK), "%s", flt_error());
            cr_assert(eq(int, w.theta[0] == (flt_real)0.5, f == 1), "%s, %s: rate %g", names[e], patterns[f], (double)w.theta[0]);
            cr_assert(eq(int, w.theta[1] == (flt_real)0.1, f == 0), "%s, %s: push %g", names[e], patterns[f], (double)w.theta[1]);
            fake_weights_free(&w);
        }
    }
}

Test(meta_options, frozen_meta_parameters_are_not_perturbed) {
    static const char *const pattern = "push";
    const flt_estimator_kind *kind = NULL;
    flt_meta_config c = config();
    flt_weights w = two_tensors();
    flt_outer o;
    c.n_freeze = 1;
    c.freeze = &pattern;
    cr_assert(eq(int, flt_estimator_find("pes", &kind), FLTE_OK));
    cr_assert(eq(int, flt_outer_create(&c, kind, &w, &o), FLTE_OK), "%s", flt_error());
    cr_assert(eq(int, flt_outer_gradient(&o), FLTE_OK));
    for (size_t i = 0; i < c.particles; i++) {
        const flt_real *eps = flt_particles_eps(&o.particles, i, 0);
        cr_assert(eps[0] != 0 && eps[1] == 0, "particle %zu: %g %g", i, (double)eps[0], (double)eps[1]);
    }
    flt_outer_destroy(&o);
    fake_weights_free(&w);
}

// Estimators of exact gradients have one for what is frozen as well.
Test(meta_options, gradients_of_what_is_frozen_do_not_count) {
    const bool frozen[2] = {false, true};
    flt_meta_config c = config();
    flt_meta_optimizer o;
    flt_real theta[2] = {1, 1};
    c.outer_optimizer = "adamw";
    c.outer_weight_decay = 0.1;
    cr_assert(eq(int, flt_meta_optimizer_create(&c, 2, &o), FLTE_OK), "%s", flt_error());
    o.frozen = frozen;
    cr_assert(flt_meta_optimizer_step(&o, 0, 0, (const double[]){3, 4}, theta));
    cr_assert(eq(dbl, o.grad_norm, 3.0));
    cr_assert(theta[0] != 1 && theta[1] == 1, "%g %g", (double)theta[0], (double)theta[1]);
    flt_meta_optimizer_destroy(&o);
}

Test(meta_options, patterns_that_freeze_nothing_or_all_are_refused) {
    static const char *const bad[] = {"mlp.*", "*"},
                             *const says[] = {"no meta-parameters match 'mlp.*' of those to freeze; there are rate, push",
                                              "all meta-parameters are frozen"};
    for (int f = 0; f < 2; f++) {
        flt_meta_config c = config();
        flt_weights w = two_tensors();
        c.n_freeze = 1;
        c.freeze = &bad[f];
        cr_assert(eq(int, flt_meta_train(&c, &w, NULL, NULL), f == 0 ? FLTE_NAME : FLTE_RANGE));
        cr_assert(ne(ptr, strstr(flt_error(), says[f]), NULL), "%s", flt_error());
        fake_weights_free(&w);
    }
}

Test(meta_options, a_resumed_run_freezes_the_same) {
    static const char *const frozen[] = {"rate", "push"};
    flt_meta_config c = config();
    flt_weights w = two_tensors();
    c.outer_steps = 2;
    c.checkpoint = scratch("frozen.safetensors");
    c.n_freeze = 1;
    c.freeze = frozen;
    cr_assert(eq(int, flt_meta_train(&c, &w, NULL, NULL), FLTE_OK), "%s", flt_error());
    c.resume = true;
    c.freeze = frozen + 1;
    cr_assert(eq(int, flt_meta_train(&c, &w, NULL, NULL), FLTE_USAGE));
    cr_assert(ne(ptr, strstr(flt_error(), "frozen=rate, this run has frozen=push"), NULL), "%s", flt_error());
    c.n_freeze = 0;
    cr_assert(eq(int, flt_meta_train(&c, &w, NULL, NULL), FLTE_USAGE));
    cr_assert(ne(ptr, strstr(flt_error(), "frozen=rate, this run has frozen=nothing"), NULL), "%s", flt_error());
    unlink(c.checkpoint);
    fake_weights_free(&w);
}

Test(meta_options, measuring_adam_leaves_the_bits) {
    static const char *const drawn[] = {"noisy|line|bowl", "bowl|glitch"};
    flt_real want[2], got[2];
    flt_meta_config c = config();
    c.tasks = drawn;
    c.draws = 4;
    c.sample = fake_sample;
    train(c, UINT64_MAX, want, "without");
    c.against_adam = true;
    c.unroll_max = 5000; // more than there are bins
    c.unroll_min = 30;
    train(c, UINT64_MAX, got, "longer");
    c.unroll_max = 30;
    c.unroll_min = 4;
    train(c, UINT64_MAX, got, "with");
    cr_assert(eq(int, memcmp(want, got, sizeof want), 0));
    train(c, 0, got, "stopped before it began");
}

// ---- refusals
Test(meta_options, what_makes_no_sense_is_refused) {
    struct {
        const char *says;
        flt_meta_config c;
    } r[] = {{.says = "the outer optimizer 'sgd' is unknown; allowed: adam, adamw"},
             {.says = "the schedule of the outer rate 'step' is unknown; allowed: constant, cosine, linear"},
             {.says = "the way to clip 'x' is unknown; allowed: norm, element"},
             {.says = "the treatment of loss differences 'abs' is unknown; allowed: plain, sign, rms"},
             {.says = "the truncation 'long' is unknown; allowed: log-uniform, constant, curriculum"},
             {.says = "the reduction of the meta-loss 'max' is unknown; allowed: mean, last, min"},
             {.says = "a weight decay of 0.5 with outer optimizer adam; decay needs adamw"},
             {.says = "a cosine schedule that ends at outer step 14 with a warm-up of 14; the end must be later"},
             {.says = "the outer rate ends at 2 of its peak; allowed: 0 to 1"},
             {.says = "constant truncation with unrolls of 4 to 30 steps; give one length"},
             {.says = "a curriculum over 9 outer steps with log-uniform truncation"},
             {.says = "a clip of 2 beside difference sign"},
             {.says = "the clip of differences is -1"},
             {.says = "Adam's curve beside a meta-loss of least losses; allowed: mean, last"},
             {.says = "3 draws of each task without a function that draws"},
             {.says = "ends at 0.5 of its peak under schedule constant; it needs cosine or linear"},
             {.says = "ends at outer step 7 under schedule constant; it needs cosine or linear"},
             {.says = "the power of the meta-loss's weights is -1; allowed: 0 to 100"},
             {.says = "weights are those of a mean; the reduction of the meta-loss is last"},
             {.says = "Adam's curve beside a meta-loss whose steps have weights (power 1); allowed: 0"}};
    const size_t n = sizeof r / sizeof *r;
    for (size_t i = 0; i < n; i++) r[i].c = config();
    r[0].c.outer_optimizer = "sgd", r[1].c.outer_schedule = "step", r[2].c.clip_by = "x", r[3].c.difference = "abs";
    r[4].c.truncation = "long", r[5].c.reduction = "max", r[6].c.outer_weight_decay = 0.5;
    r[7].c.outer_schedule = "cosine", r[7].c.outer_warmup = 14, r[8].c.outer_final = 2, r[9].c.truncation = "constant";
    r[10].c.curriculum_steps = 9, r[11].c.difference = "sign", r[11].c.difference_clip = 2, r[12].c.difference_clip = -1;
    r[13].c.against_adam = true, r[13].c.reduction = "min", r[14].c.draws = 3;
    r[15].c.outer_final = 0.5, r[16].c.outer_schedule_steps = 7;
    r[17].c.loss_power = -1, r[18].c.loss_power = 1, r[18].c.reduction = "last";
    r[19].c.loss_power = 1, r[19].c.against_adam = true;
    flt_weights w = fake_weights(0.5, 0.1);
    for (size_t i = 0; i < n; i++) {
        const flt_err err = flt_meta_train(&r[i].c, &w, NULL, NULL);
        cr_assert(err == FLTE_USAGE || err == FLTE_RANGE || err == FLTE_UNSUPPORTED, "%s: %s", r[i].says, flt_err_name(err));
        cr_assert(ne(ptr, strstr(flt_error(), r[i].says), NULL), "want '%s' in: %s", r[i].says, flt_error());
    }
    fake_weights_free(&w);
    w = (flt_weights){0};
    cr_assert(eq(int, flt_meta_train(&r[0].c, &w, NULL, NULL), FLTE_USAGE), "%s", flt_error());
}
