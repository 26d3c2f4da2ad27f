// SPDX-License-Identifier: MIT
// Task distributions: what they draw, how often, and their sentences.
#include "support.h"

static const char *sample(const char *distribution, uint64_t seed) {
    static char concrete[FLTX_TASK_SPEC_SIZE];
    const flt_err err = flt_task_sample(distribution, seed, concrete);
    cr_assert_eq(err, FLTE_OK, "%s: %s", distribution, flt_error());
    return concrete;
}

// The number behind key= in a spec; `initial` where it is the default.
static double number(const char *spec, const char *key, double initial) {
    const char *at = strstr(spec, key);
    return at == NULL ? initial : strtod(at + strlen(key) + 1, NULL);
}

Test(sample, keeps_what_has_no_range) {
    static const char *const pairs[][2] = {{"quadratic", "quadratic"},
                                           {"digits_mlp:batch=8,width=16", "digits_mlp:width=16,batch=8"},
                                           {"digits_mlp:width=16..16", "digits_mlp:width=16"},
                                           {"digits_mlp:data=a..b|c", "digits_mlp:data=a..b|c"},
                                           {"0*quadratic;rosenbrock", "rosenbrock"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        for (uint64_t seed = 0; seed < 20; seed++) cr_assert_str_eq(sample(pairs[i][0], seed), pairs[i][1], "%s", pairs[i][0]);
}

Test(sample, draws_tasks_that_can_be_made) {
    for (uint64_t seed = 0; seed < 20; seed++) {
        const char *spec = sample("digits_mlp:width=8..128,depth=1..3,batch=32..256,activation=relu|gelu|tanh", seed);
        flt_objective *o = make(spec);
        const double width = number(spec, "width", 32), depth = number(spec, "depth", 1), batch = number(spec, "batch", 64);
        cr_assert(width >= 8 && width <= 128 && depth >= 1 && depth <= 3 && batch >= 32 && batch <= 256, "%s", spec);
        cr_assert_str_eq(o->spec, spec);
        flt_objective_destroy(o);
    }
}

Test(sample, follows_the_seed_and_each_parameter_its_own_stream) {
    char first[FLTX_TASK_SPEC_SIZE];
    size_t different = 0;
    for (uint64_t seed = 0; seed < 50; seed++) {
        strcpy(first, sample("digits_mlp:width=8..128,batch=32..256", seed));
        cr_assert_str_eq(sample("digits_mlp:width=8..128,batch=32..256", seed), first);
        different += strcmp(sample("digits_mlp:width=8..128,batch=32..256", seed + 1), first) != 0;
        cr_assert_eq(number(sample("digits_mlp:width=8..128", seed), "width", 32), number(first, "width", 32));
        cr_assert_eq(number(sample("digits_mlp:depth=0..9,batch=1,width=8..128", seed), "width", 32), number(first, "width", 32));
    }
    cr_assert(different > 45, "%zu", different);
}

enum { DRAWS = 4000 };
#define ERROR (5.0 / sqrt((double)DRAWS)) // five standard deviations of a share, and more

static double share_below(const char *distribution, const char *key, double initial, double limit) {
    size_t n = 0;
    for (uint64_t seed = 0; seed < DRAWS; seed++) n += number(sample(distribution, seed), key, initial) < limit;
    return (double)n / DRAWS;
}

// Whole numbers k of a log-uniform range have probability log((k + 1) / k) over the sum.
Test(sample, draws_sizes_log_uniformly_and_short_ranges_uniformly) {
    static const struct {
        const char *spec, *key;
        double initial, limit, want;
    } cases[] = {
        {"digits_mlp:width=8..127", "width", 32, 32, 0.5},   {"digits_mlp:width=1..15", "width", 32, 2, 0.25},
        {"digits_mlp:depth=1..3", "depth", 1, 2, 1.0 / 3.0}, {"digits_mlp:depth=1..3", "depth", 1, 3, 2.0 / 3.0},
        {"digits_mlp:depth=0..4", "depth", 1, 1, 0.2},       {"quadratic:conditioning=1..10000", "conditioning", 100, 100, 0.5},
        {"quadratic:noise=0..10", "noise", 0.1, 5, 0.5},     {"quadratic:noise=1..3", "noise", 0.1, 2, 0.5},
        {"digits_mlp:depth=0|7|9", "depth", 1, 7, 1.0 / 3.0}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        const double share = share_below(cases[c].spec, cases[c].key, cases[c].initial, cases[c].limit);
        cr_assert(fabs(share - cases[c].want) < ERROR, "%s: %.3f below %g, not %.3f", cases[c].spec, share, cases[c].limit,
                  cases[c].want);
    }
    cr_assert_eq(share_below("digits_mlp:width=8..127", "width", 32, 8), 0.0);
    cr_assert_eq(share_below("digits_mlp:width=8..127", "width", 32, 128), 1.0);
    cr_assert(share_below("digits_mlp:width=8..127", "width", 32, 127) < 1.0, "the high end is never drawn");
}

Test(sample, weighs_a_list) {
    size_t quadratics = 0, deep = 0;
    for (uint64_t seed = 0; seed < DRAWS; seed++) {
        const char *spec = sample("3*quadratic:dimension=4..64;rosenbrock;0.5*digits_mlp:depth=2;0.5*digits_mlp:depth=0", seed);
        quadratics += strncmp(spec, "quadratic", 9) == 0;
        deep += strcmp(spec, "digits_mlp:depth=2") == 0;
    }
    cr_assert(fabs((double)quadratics / DRAWS - 0.6) < ERROR, "%zu of %d", quadratics, DRAWS);
    cr_assert(fabs((double)deep / DRAWS - 0.1) < ERROR, "%zu of %d", deep, DRAWS);
}

Test(sample, says_what_is_wrong_whatever_the_seed) {
    static const struct {
        const char *spec;
        flt_err err;
        const char *says;
    } cases[] = {
        {"", FLTE_USAGE, "name:key=value"},
        {"quadratic;", FLTE_USAGE, "name:key=value"},
        {"digit_mlp:width=8..16", FLTE_NAME, "did you mean 'digits_mlp'?"},
        {"digits_mlp:widht=8..16", FLTE_NAME, "did you mean 'width'?"},
        {"digits_mlp:width", FLTE_USAGE, "name=value"},
        {"digits_mlp:width=0..16", FLTE_RANGE, "1 .. 4096"},
        {"digits_mlp:width=8..5000", FLTE_RANGE, "1 .. 4096"},
        {"digits_mlp:width=16..8", FLTE_RANGE, "runs downwards; allowed: low..high, for example 8..16"},
        {"digits_mlp:width=8..", FLTE_USAGE, "range of width: '8..' lacks an end; allowed: low..high"},
        {"digits_mlp:width=..8", FLTE_USAGE, "'..8' lacks an end"},
        {"digits_mlp:width=8...16", FLTE_USAGE, "not a whole number"},
        {"digits_mlp:activation=relu|cosine", FLTE_RANGE, "relu|gelu|tanh"},
        {"digits_mlp:activation=relu..tanh", FLTE_RANGE, "relu|gelu|tanh"},
        {"1e9*rosenbrock;quadratic:dimension=0..5", FLTE_RANGE, "1 .. 2048"},
        {"x*rosenbrock", FLTE_USAGE, "weight"},
        {"-1*rosenbrock", FLTE_RANGE, "weight"},
        {"0*rosenbrock", FLTE_RANGE, "no positive weight"},
    };
    const size_t before = flt_live_blocks();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (uint64_t seed = 0; seed < 5; seed++) {
            char concrete[FLTX_TASK_SPEC_SIZE];
            const flt_err err = flt_task_sample(cases[i].spec, seed, concrete);
            cr_assert_eq(err, cases[i].err, "'%s': %s", cases[i].spec, flt_error());
            cr_assert(strstr(flt_error(), cases[i].says) != NULL, "'%s': %s", cases[i].spec, flt_error());
            cr_assert_eq(flt_live_blocks(), before, "'%s' leaks", cases[i].spec);
        }
}
