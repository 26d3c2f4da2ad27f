// SPDX-License-Identifier: MIT
// Learning curves, tuning over the 15 rates, steps to a loss, records; the same bits for any number of threads.
#include "../engine/inner.h"
#include "flt/evaluate.h"
#include "meta_fixture.h"

static flt_weights plain(const char *name) {
    flt_weights w = {0};
    cr_assert(eq(int, flt_optimizer_find(name, &w.kind), FLTE_OK), "%s", flt_error());
    return w;
}

static flt_eval_config config(const char *task) {
    return (flt_eval_config){.task = task,
                             .make = fake_make,
                             .steps = 40,
                             .seeds = 3,
                             .first_seed = 1,
                             .tune = FLTX_TUNE_LR,
                             .ema = 0.95,
                             .threads = 2};
}

// ---- steps to a loss
typedef struct crossing {
    const char *label;
    double curve[5], target, want;
} crossing;

Test(evaluate, steps_to_a_loss_are_interpolated) {
    static const crossing cases[] = {
        {"halfway", {4, 3, 2, 1, 0}, 2.5, 2.5},
        {"on a step", {4, 3, 2, 1, 0}, 3.0, 2.0},
        {"at once", {4, 3, 2, 1, 0}, 5.0, 1.0},
        {"first step itself", {4, 3, 2, 1, 0}, 4.0, 1.0},
        {"last step", {4, 3, 2, 1, 0}, 0.0, 5.0},
        {"never", {4, 3, 2, 1, 0.5}, 0.0, INFINITY},
        {"the first crossing counts", {4, 1, 4, 1, 0}, 2.5, 1.5},
        {"plateau", {4, 4, 4, 0, 0}, 3.0, 3.25},
        {"NaN before", {NAN, NAN, 1, 1, 0}, 2.0, 3.0},
        {"infinity before", {4, INFINITY, 1, 1, 0}, 2.0, 3.0},
        {"NaN after", {4, 3, NAN, NAN, NAN}, 2.0, INFINITY},
        {"target NaN", {4, 3, 2, 1, 0}, NAN, INFINITY},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const double got = flt_steps_to_loss(cases[i].curve, 5, cases[i].target);
        cr_assert(got == cases[i].want, "%s: got %g, want %g", cases[i].label, got, cases[i].want);
    }
    cr_assert(isinf(flt_steps_to_loss(NULL, 0, 1.0)));
}

typedef struct race {
    const char *label;
    double baseline[5], curve[5], want;
} race;

Test(evaluate, speed_is_measured_at_the_baselines_loss_or_at_ones_own) {
    static const race cases[] = {
        {"itself", {4, 3, 2, 1, 0}, {4, 3, 2, 1, 0}, 1.0},
        {"twice as fast", {8, 7, 6, 5, 4}, {8, 6, 4, 2, 0}, 5.0 / 3.0},
        {"the baseline was there before the end", {8, 4, 6, 5, 4}, {8, 7, 6, 5, 4}, 2.0 / 5.0},
        {"never there: the baseline's steps to 6 over all", {8, 7, 6, 5, 4}, {8, 8, 7, 7, 6}, 3.0 / 5.0},
        {"between two steps of the baseline", {8, 7, 6, 5, 4}, {8, 8, 8, 8, 6.5}, 2.5 / 5.0},
        {"just above the baseline counts just below 1", {8, 7, 6, 5, 4}, {8, 8, 8, 8, 4.0625}, 4.9375 / 5.0},
        {"it went up", {8, 7, 6, 5, 4}, {8, 9, 9, 9, 9}, 1.0 / 5.0},
        {"there, but then lost", {8, 7, 6, 5, 4}, {8, 4, 0, NAN, NAN}, 0.0},
        {"there, but then far away", {8, 7, 6, 5, 4}, {8, 4, 0, 16, 17}, 0.0},
        {"infinity", {8, 7, 6, 5, 4}, {8, 9, 10, INFINITY, INFINITY}, 0.0},
        {"no baseline", {8, 7, NAN, NAN, NAN}, {8, 7, 6, 5, 4}, NAN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const double got = flt_speedup(cases[i].baseline, cases[i].curve, 5), want = cases[i].want;
        cr_assert(isnan(want) ? isnan(got) : fabs(got - want) <= 1e-15, "%s: got %g, want %g", cases[i].label, got, want);
    }
}

Test(evaluate, divergence_is_what_ends_high_or_not_at_all) {
    cr_assert(flt_diverged((double[]){1, 2, NAN}, 3));
    cr_assert(flt_diverged((double[]){1, 2, INFINITY}, 3));
    cr_assert(flt_diverged((double[]){1, 0.5, 2.5}, 3));
    cr_assert(not(flt_diverged((double[]){1, 9, 1.5}, 3)), "it came back");
    cr_assert(not(flt_diverged((double[]){-1, -2, 0}, 3)), "nothing is twice a negative loss");
}

// ---- one curve
// sgd on (x - 1)^2 / 2 + 1/4 from 0: 1 - x shrinks by 1 - lr each step.
Test(evaluate, curves_hold_losses_from_before_each_step) {
    flt_weights w = plain("sgd");
    double loss[30];
    flt_real x = 0;
    cr_assert(eq(int, flt_params_create("sgd", w.kind->kind.params, &w.params), FLTE_OK));
    cr_assert(eq(int, flt_params_set(w.params, "lr", "0.25"), FLTE_OK));
    cr_assert(eq(int, flt_run_curve(&w, "line", fake_make, 7, 30, loss, &x), FLTE_OK), "%s", flt_error());
    double gap = 1.0;
    for (int t = 0; t < 30; t++, gap *= 0.75) {
        const double want = 0.25 + 0.5 * gap * gap, ratio = fabs(loss[t] - want) / (FLTX_EPS * (t + 2));
        cr_assert(ratio <= 30, "step %d: got %.9g, want %.9g, ratio %g", t, loss[t], want, ratio);
    }
    cr_assert(fabs(1.0 - (double)x - gap) <= 30 * 31 * FLTX_EPS, "parameters after the last step: %g", (double)x);
    flt_params_destroy(w.params);
}

// What diverges stays in the curve as it comes.
Test(evaluate, curves_keep_infinities_and_nans) {
    flt_weights w = plain("sgd");
    double loss[400];
    cr_assert(eq(int, flt_params_create("sgd", w.kind->kind.params, &w.params), FLTE_OK));
    cr_assert(eq(int, flt_params_set(w.params, "lr", "1"), FLTE_OK));
    cr_assert(eq(int, flt_run_curve(&w, "bowl", fake_make, 7, 400, loss, NULL), FLTE_OK), "%s", flt_error());
    cr_assert(isfinite(loss[5]) && loss[5] > loss[0]);
    cr_assert(isfinite(loss[399]) == 0, "%g", loss[399]);
    flt_params_destroy(w.params);
}

// Rates of 0 leave x alone: what is left is the initialisation and the order of data.
Test(evaluate, optimizers_meet_the_same_data) {
    static const char *const names[] = {"sgd", "momentum", "adam"};
    double first[20], other[20];
    for (int i = 0; i < 3; i++) {
        flt_weights w = plain(names[i]);
        cr_assert(eq(int, flt_params_create(names[i], w.kind->kind.params, &w.params), FLTE_OK));
        cr_assert(eq(int, flt_params_set(w.params, "lr", "0"), FLTE_OK), "%s", flt_error());
        cr_assert(eq(int, flt_run_curve(&w, "noisy", fake_make, 3, 20, i == 0 ? first : other, NULL), FLTE_OK));
        if (i > 0) cr_assert(eq(int, memcmp(first, other, sizeof first), 0), "%s", names[i]);
        flt_params_destroy(w.params);
    }
    flt_weights w = fake_weights(0, 0);
    cr_assert(eq(int, flt_run_curve(&w, "noisy", fake_make, 3, 20, other, NULL), FLTE_OK));
    cr_assert(eq(int, memcmp(first, other, sizeof first), 0), "a learned optimizer");
    cr_assert(eq(int, flt_run_curve(&w, "noisy", fake_make, 4, 20, other, NULL), FLTE_OK));
    cr_assert(ne(int, memcmp(first, other, sizeof first), 0), "another seed");
    fake_weights_free(&w);
}

Test(evaluate, seeds_of_meta_training_are_never_used) {
    for (uint64_t s = 0; s < 1000; s++) {
        cr_assert(flt_evaluation_seed(s) >> 63 == 1, "seed %d", (int)s);
        cr_assert(flt_training_seed(s, s % 7, s / 7) >> 63 == 0, "seed %d", (int)s);
    }
}

// ---- tuning
// Curvature 10: sgd is exact at 0.1, diverges from 0.3 on.
Test(evaluate, tuning_finds_the_best_rate) {
    const flt_weights w = plain("sgd");
    flt_eval_config c = config("bowl");
    flt_eval_result r;
    cr_assert(eq(int, flt_eval_optimizer(&c, &w, NULL, &r, NULL), FLTE_OK), "%s", flt_error());
    cr_assert(eq(dbl, r.lr, 0.1));
    cr_assert(r.final_loss < 1e-3 * r.curve[0] + 30 * 40 * FLTX_EPS * 15 + 5, "%g", r.final_loss);
    cr_assert(eq(dbl, r.final_loss, r.curve[39]));
    cr_assert(r.ns_per_step > 0 && isfinite(r.ns_per_step), "%g ns", r.ns_per_step);
    cr_assert(r.seconds > 0);
    cr_assert(eq(dbl, r.state_words, 0.0));
    flt_eval_free(&r);
    cr_assert(eq(ptr, r.curve, NULL));
}

// Every rate from 0.3 on overflows in 400 steps; with 0.1 the least, not a NaN, wins.
Test(evaluate, divergence_never_wins) {
    const flt_weights w = plain("sgd");
    flt_eval_config c = config("bowl");
    flt_eval_result r;
    c.steps = 400;
    cr_assert(eq(int, flt_eval_optimizer(&c, &w, NULL, &r, NULL), FLTE_OK), "%s", flt_error());
    cr_assert(eq(dbl, r.lr, 0.1));
    cr_assert(isfinite(r.final_loss));
    flt_eval_free(&r);
    c.task = "bomb"; // every rate ends in NaN
    cr_assert(eq(int, flt_eval_optimizer(&c, &w, NULL, &r, NULL), FLTE_OK), "%s", flt_error());
    cr_assert(isnan(r.final_loss));
    flt_eval_free(&r);
}

// The rates at default settings are a part of the whole grid: the first result is what tuning the rate alone finds, bit for bit.
Test(evaluate, the_whole_grid_finds_more) {
    const flt_weights w = plain("adam");
    flt_eval_config c = config("noisy");
    flt_eval_result rates, first, full;
    c.steps = 150;
    cr_assert(eq(int, flt_eval_optimizer(&c, &w, NULL, &rates, &full), FLTE_OK), "%s", flt_error());
    cr_assert(eq(sz, rates.tried, 15));
    cr_assert(eq(ptr, full.curve, NULL), "nothing but rates was run");
    c.tune = FLTX_TUNE_FULL;
    cr_assert(eq(int, flt_eval_optimizer(&c, &w, NULL, &first, &full), FLTE_OK), "%s", flt_error());
    cr_assert(eq(dbl, first.lr, rates.lr));
    cr_assert(strcmp(first.settings, "") == 0, "%s", first.settings);
    cr_assert(eq(int, memcmp(first.curve, rates.curve, c.steps * sizeof *rates.curve), 0));
    cr_assert(eq(sz, full.tried, 15 * 4 * 3), "%zu", full.tried);
    cr_assert(full.final_loss < first.final_loss, "%g is not below %g", full.final_loss, first.final_loss);
    cr_assert(strlen(full.settings) > 0);
    cr_assert(eq(sz, full.diverged, 0));
    flt_eval_free(&first);
    flt_eval_free(&full);
    cr_assert(eq(int, flt_eval_optimizer(&c, &w, NULL, &first, NULL), FLTE_OK), "%s", flt_error());
    flt_eval_free(&first);
    flt_eval_free(&rates);
}

// What won is what a run by hand with these settings gives.
Test(evaluate, what_won_can_be_run_again) {
    flt_weights w = plain("momentum");
    flt_eval_config c = config("bowl");
    flt_eval_result first, full, again;
    char rate[40], text[sizeof full.settings];
    c.tune = FLTX_TUNE_FULL;
    cr_assert(eq(int, flt_eval_optimizer(&c, &w, NULL, &first, &full), FLTE_OK), "%s", flt_error());
    cr_assert(eq(int, flt_params_create("momentum", w.kind->kind.params, &w.params), FLTE_OK));
    snprintf(rate, sizeof rate, "%.17g", full.lr);
    cr_assert(eq(int, flt_params_set(w.params, "lr", rate), FLTE_OK));
    snprintf(text, sizeof text, "%s", full.settings);
    for (char *item = strtok(text, ","); item != NULL; item = strtok(NULL, ",")) {
        char *value = strchr(item, '=');
        *value++ = '\0';
        cr_assert(eq(int, flt_params_set(w.params, item, value), FLTE_OK), "%s: %s", full.settings, flt_error());
    }
    c.tune = FLTX_TUNE_NOTHING;
    cr_assert(eq(int, flt_eval_optimizer(&c, &w, NULL, &again, NULL), FLTE_OK), "%s", flt_error());
    cr_assert(eq(int, memcmp(full.curve, again.curve, c.steps * sizeof *full.curve), 0), "%s", full.settings);
    flt_params_destroy(w.params);
    flt_eval_free(&first);
    flt_eval_free(&full);
    flt_eval_free(&again);
}

// A new hand-designed optimizer says what is tuned of it; every setting of the table works.
Test(evaluate, the_table_of_settings_covers_every_hand_designed_kind) {
    const flt_registry *r = flt_optimizer_registry();
    for (size_t i = 0; r->kinds[i] != NULL; i++) {
        if ((r->kinds[i]->caps & FLTX_OPT_LEARNED) != 0) continue;
        const flt_tuned_kind *t = flt_tuned_kinds;
        while (t->kind != NULL && strcmp(t->kind, r->kinds[i]->name) != 0) t++;
        cr_assert(t->kind != NULL, "%s is not in flt_tuned_kinds", r->kinds[i]->name);
        cr_assert(strcmp(t->settings[0], "") == 0, "%s: the first settings are its defaults", t->kind);
        cr_assert(t->settings[FLTX_TUNED_SETTINGS - 1] == NULL, "%s: no room for the end", t->kind);
        const flt_weights w = plain(t->kind);
        flt_eval_config c = config("line");
        flt_eval_result first, full;
        c.steps = 20, c.seeds = 1, c.tune = FLTX_TUNE_FULL;
        cr_assert(eq(int, flt_eval_optimizer(&c, &w, NULL, &first, &full), FLTE_OK), "%s: %s", t->kind, flt_error());
        cr_assert(isfinite(full.final_loss) && full.final_loss <= first.final_loss, "%s", t->kind);
        flt_eval_free(&first);
        flt_eval_free(&full);
    }
}

Test(evaluate, without_tuning_optimizers_keep_their_own_settings) {
    flt_weights w = plain("adam"), learned = fake_weights(0.5, 0.0);
    flt_eval_config c = config("line");
    flt_eval_result r;
    cr_assert(eq(int, flt_params_create("adam", w.kind->kind.params, &w.params), FLTE_OK));
    cr_assert(eq(int, flt_params_set(w.params, "lr", "0.07"), FLTE_OK));
    c.tune = FLTX_TUNE_NOTHING;
    cr_assert(eq(int, flt_eval_optimizer(&c, &w, NULL, &r, NULL), FLTE_OK), "%s", flt_error());
    cr_assert(eq(dbl, r.lr, 0.07));
    cr_assert(eq(dbl, r.state_words, 2.0));
    flt_eval_free(&r);
    flt_params_destroy(w.params);
    c.tune = FLTX_TUNE_LR;
    cr_assert(eq(int, flt_eval_optimizer(&c, &learned, NULL, &r, NULL), FLTE_OK), "%s", flt_error());
    cr_assert(isnan(r.lr), "a learned optimizer has no rate to tune: %g", r.lr);
    flt_eval_free(&r);
    fake_weights_free(&learned);
}

// The curve is the mean over seeds; smoothing weighs the last values by powers of ema and their sum is one.
Test(evaluate, curves_are_averaged_and_smoothed) {
    enum { STEPS = 40, SEEDS = 3 };
    flt_weights w = fake_weights(0.5, 0.0);
    flt_eval_config c = config("noisy");
    flt_eval_result raw, smooth;
    double one[STEPS], mean[STEPS] = {0};
    for (uint64_t s = 0; s < SEEDS; s++) {
        cr_assert(eq(int, flt_run_curve(&w, "noisy", fake_make, 1 + s, STEPS, one, NULL), FLTE_OK));
        for (int t = 0; t < STEPS; t++) mean[t] += one[t] / SEEDS;
    }
    c.ema = 0.0;
    cr_assert(eq(int, flt_eval_optimizer(&c, &w, NULL, &raw, NULL), FLTE_OK));
    c.ema = 0.95;
    cr_assert(eq(int, flt_eval_optimizer(&c, &w, NULL, &smooth, NULL), FLTE_OK));
    for (int t = 0; t < STEPS; t++) {
        double sum = 0.0, weight = 0.0;
        for (int i = 0; i <= t; i++) sum += pow(0.95, t - i) * mean[i], weight += pow(0.95, t - i);
        cr_assert(fabs(raw.curve[t] - mean[t]) <= 30 * 4 * 2.3e-16 * fabs(mean[t]), "mean at step %d", t);
        cr_assert(fabs(smooth.curve[t] - sum / weight) <= 30 * 4 * (t + 1) * 2.3e-16 * fabs(mean[0]), "smoothed at step %d", t);
    }
    flt_eval_free(&raw);
    flt_eval_free(&smooth);
    fake_weights_free(&w);
}

Test(evaluate, threads_leave_no_trace) {
    const flt_weights w = plain("adam");
    flt_eval_config c = config("noisy");
    flt_eval_result first, other;
    c.threads = 1;
    cr_assert(eq(int, flt_eval_optimizer(&c, &w, NULL, &first, NULL), FLTE_OK));
    for (int threads = 2; threads <= 3; threads++) {
        c.threads = threads;
        cr_assert(eq(int, flt_eval_optimizer(&c, &w, NULL, &other, NULL), FLTE_OK));
        cr_assert(eq(dbl, first.lr, other.lr), "%d threads", threads);
        cr_assert(eq(int, memcmp(first.curve, other.curve, c.steps * sizeof *first.curve), 0), "%d threads", threads);
        cr_assert(eq(dbl, first.test_loss, other.test_loss), "%d threads", threads);
        flt_eval_free(&other);
    }
    flt_eval_free(&first);
}

// ---- metrics
typedef struct notebook {
    size_t points, rates, stops_after, asked;
    double at[8], value[64];
} notebook;

static flt_err note_metric(void *self, const char *name, uint64_t step, double value) {
    notebook *n = self;
    if (strcmp(name, "loss/sgd/accurate") == 0) {
        if (n->points < 64) n->value[n->points] = value;
        n->at[n->points++ % 8] = (double)step;
    }
    return FLTE_OK;
}

static flt_err note_rate(void *self, const char *kind, size_t n, const flt_field *fields) {
    notebook *book = self;
    if (strcmp(kind, "curve") != 0 || strcmp(fields[0].text, "final_loss_by_rate") != 0) return FLTE_OK;
    cr_assert(n == 5 && strcmp(fields[1].text, "sgd") == 0 && strcmp(fields[2].text, "accurate") == 0);
    cr_assert(eq(dbl, fields[3].number, (double)book->rates++));
    return FLTE_OK;
}

static bool note_stopped(void *self) {
    notebook *n = self;
    return n->stops_after > 0 && ++n->asked >= n->stops_after;
}

Test(evaluate, curves_go_to_the_sink) {
    const flt_weights w = plain("sgd");
    notebook n = {0};
    const flt_sink sink = {.self = &n, .metric = note_metric, .record = note_rate, .stopped = note_stopped};
    const flt_eval_config c = config("accurate");
    flt_eval_result r;
    cr_assert(eq(int, flt_eval_optimizer(&c, &w, &sink, &r, NULL), FLTE_OK), "%s", flt_error());
    cr_assert(eq(sz, n.points, 40));
    cr_assert(eq(dbl, n.at[39 % 8], 40.0), "steps count from 1");
    cr_assert(eq(int, memcmp(n.value, r.curve, 40 * sizeof *r.curve), 0));
    cr_assert(eq(sz, n.rates, 15));
    flt_eval_free(&r);
}

typedef struct seed_notes {
    size_t points[8], others;
    double last[8];
} seed_notes;

static flt_err note_seed(void *self, const char *kind, size_t n, const flt_field *fields) {
    seed_notes *x = self;
    const bool ours = strcmp(kind, "curve") == 0 && n == 4 && strcmp(fields[0].text, "loss/sgd/noisy") == 0;
    if (!ours || fields[1].number >= 8) {
        x->others++;
        return FLTE_OK;
    }
    const size_t seed = (size_t)fields[1].number;
    x->points[seed]++;
    x->last[seed] = fields[3].number;
    return FLTE_OK;
}

// Each seed has its own curve and numbers; smoothing is linear, so that their means are those of the mean curve.
Test(evaluate, seeds_are_told_one_by_one) {
    const flt_weights w = plain("sgd");
    seed_notes notes = {0};
    const flt_sink sink = {.self = &notes, .record = note_seed};
    flt_eval_config c = config("noisy");
    flt_eval_result r;
    double final = 0.0, test = 0.0, metric = 0.0;
    c.steps = 450; // beyond 200 points the curve is thinned
    c.tune = FLTX_TUNE_NOTHING;
    cr_assert(eq(int, flt_eval_optimizer(&c, &w, &sink, &r, NULL), FLTE_OK), "%s", flt_error());
    for (size_t s = 0; s < c.seeds; s++) {
        const flt_eval_seed *x = &r.seed[s];
        cr_assert(eq(u64, x->seed, c.first_seed + s), "seed %zu", s);
        cr_assert(eq(dbl, x->final_loss, x->curve[c.steps - 1]), "seed %zu", s);
        cr_assert(x->best_loss <= x->final_loss, "seed %zu", s);
        cr_assert(notes.points[x->seed] >= 150 && notes.points[x->seed] <= 202, "seed %zu: %zu points", s, notes.points[x->seed]);
        cr_assert(eq(dbl, notes.last[x->seed], x->final_loss), "seed %zu: the last step is there", s);
        final += x->final_loss / (double)c.seeds, test += x->test_loss / (double)c.seeds;
        metric += x->test_metric / (double)c.seeds;
    }
    cr_assert(eq(sz, notes.others, 0));
    cr_assert(ne(dbl, r.seed[0].final_loss, r.seed[1].final_loss), "seeds differ");
    cr_assert(fabs(final - r.final_loss) <= 30 * 450 * 2.3e-16 * fabs(r.final_loss), "%.17g is not %.17g", final, r.final_loss);
    cr_assert(eq(dbl, test, r.test_loss));
    cr_assert(isnan(metric) == isnan(r.test_metric));
    flt_eval_free(&r);
    cr_assert(eq(ptr, r.seed, NULL));
}

// The test split is judged at the last parameters, the metric only where the task has one.
Test(evaluate, tests_are_means_over_seeds) {
    const flt_weights w = plain("sgd");
    flt_eval_config c = config("accurate");
    flt_eval_result r;
    cr_assert(eq(int, flt_eval_optimizer(&c, &w, NULL, &r, NULL), FLTE_OK), "%s", flt_error());
    cr_assert(fabs(r.test_metric - 0.5) <= 30 * 3 * 2.3e-16, "%.17g", r.test_metric);
    cr_assert(fabs(r.test_loss - 0.25) <= 30 * 40 * FLTX_EPS, "test loss %g", r.test_loss);
    flt_eval_free(&r);
    c.task = "line";
    cr_assert(eq(int, flt_eval_optimizer(&c, &w, NULL, &r, NULL), FLTE_OK), "%s", flt_error());
    cr_assert(isnan(r.test_metric), "%g", r.test_metric);
    flt_eval_free(&r);
}

Test(evaluate, long_curves_are_thinned) {
    const flt_weights w = plain("sgd");
    notebook n = {0};
    const flt_sink sink = {.self = &n, .metric = note_metric};
    flt_eval_config c = config("accurate");
    flt_eval_result r;
    c.steps = 5001;
    c.seeds = 1;
    c.tune = FLTX_TUNE_NOTHING;
    cr_assert(eq(int, flt_eval_optimizer(&c, &w, &sink, &r, NULL), FLTE_OK), "%s", flt_error());
    cr_assert(n.points <= 2002 && n.points >= 1600, "%zu points", n.points);
    cr_assert(eq(dbl, n.at[(n.points - 1) % 8], 5001.0), "the last step is there");
    flt_eval_free(&r);
}

Test(evaluate, a_stop_is_obeyed) {
    const flt_weights w = plain("sgd");
    notebook n = {.stops_after = 2};
    const flt_sink sink = {.self = &n, .metric = note_metric, .stopped = note_stopped};
    flt_eval_config c = config("accurate");
    flt_eval_result r;
    c.threads = 1;
    cr_assert(eq(int, flt_eval_optimizer(&c, &w, &sink, &r, NULL), FLTE_INTERRUPTED));
    cr_assert(eq(ptr, r.curve, NULL));
    cr_assert(eq(sz, n.points, 0));
}

// ---- refusals
Test(evaluate, what_makes_no_sense_is_refused) {
    const flt_weights w = plain("sgd");
    const size_t blocks = flt_live_blocks();
    flt_eval_result r;
    flt_eval_config c = config("line");
    c.steps = 0;
    cr_assert(eq(int, flt_eval_optimizer(&c, &w, NULL, &r, NULL), FLTE_RANGE), "no steps");
    c = config("line");
    c.seeds = 0;
    cr_assert(eq(int, flt_eval_optimizer(&c, &w, NULL, &r, NULL), FLTE_RANGE), "no seeds");
    c = config("line");
    c.ema = 1.0;
    cr_assert(eq(int, flt_eval_optimizer(&c, &w, NULL, &r, NULL), FLTE_RANGE), "ema 1");
    c = config("absent");
    cr_assert(eq(int, flt_eval_optimizer(&c, &w, NULL, &r, NULL), FLTE_NAME), "%s", flt_error());
    cr_assert(eq(sz, flt_live_blocks(), blocks));
}

Test(evaluate, running_out_of_memory_is_an_error) {
    const flt_weights w = plain("adam");
    flt_eval_config c = config("line");
    flt_eval_result r;
    flt_err err = FLTE_NOMEM;
    c.steps = 3;
    const size_t blocks = flt_live_blocks();
    for (long n = 0; err != FLTE_OK; n++) {
        cr_assert(n < 2000, "never succeeded");
        flt_fail_alloc_after(n);
        err = flt_eval_optimizer(&c, &w, NULL, &r, NULL);
        flt_fail_alloc_after(-1);
        cr_assert(err == FLTE_OK || err == FLTE_NOMEM, "request %ld: %s", n, flt_error());
        if (err == FLTE_OK) flt_eval_free(&r);
        cr_assert(eq(sz, flt_live_blocks(), blocks), "request %ld", n);
    }
}
