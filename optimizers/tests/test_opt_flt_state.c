// SPDX-License-Identifier: MIT
// What the flt optimizer keeps for each coordinate, and what it is told about the run.
#include "opt_support.h"

static size_t words_of(const flt_weights *w, const opt_shape *shapes, size_t *count) {
    flt_layout layout = opt_layout(shapes);
    flt_optimizer *o = NULL;
    OPT_OK(flt_optimizer_create(w->kind, w->params, &layout, &o));
    const size_t words = flt_optimizer_state_words(o);
    *count = layout.total;
    flt_optimizer_destroy(o);
    flt_layout_free(&layout);
    return words;
}

// Words per coordinate of a vector of whole blocks: momenta and second moment 4, factored moments 3, then the memory.
Test(opt_flt_state, of_each_memory) {
    static const struct {
        const char *set;
        size_t words;
    } cases[] = {{"", 7 + 41},
                 {"memory=discount", 7 + 41},
                 {"memory=none", 7},
                 {"memory=window,window=6,dk=3", 7 + 6 * 7},
                 {"inputs=raw", 1 + 41},
                 {"inputs=raw,memory=none", 1},
                 {"inputs=raw,heads=2,m=3,dv=5", 1 + 2 * (1 + 3 * 6)}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        flt_weights w = opt_weights("flt", cases[i].set);
        size_t count = 0;
        const size_t words = words_of(&w, (opt_shape[]){{"x", 1, {160}}, {NULL, 0, {0}}}, &count);
        cr_assert_eq(words, count * cases[i].words, "'%s': %zu words", cases[i].set, words);
        flt_weights_free(&w);
    }
    cr_assert_eq(flt_live_blocks(), 0u);
}

// The form that ships keeps to 64 words a coordinate whatever the shape: what is left over of a block is not padded.
Test(opt_flt_state, of_every_shape) {
    static const opt_shape shapes[] = {
        {"x", 1, {1}},          {"x", 1, {2}},           {"x", 1, {7}},    {"x", 1, {17}},     {"x", 2, {1, 1}},
        {"x", 2, {3, 3}},       {"x", 2, {2, 2}},        {"x", 2, {2, 3}}, {"x", 2, {2, 16}},  {"x", 2, {8, 64}},
        {"x", 2, {64, 10}},     {"x", 2, {65, 8}},       {"x", 2, {1, 9}}, {"x", 2, {33, 17}}, {"x", 3, {3, 5, 2}},
        {"x", 4, {8, 1, 3, 3}}, {"x", 4, {17, 8, 3, 3}},
    };
    flt_weights w = opt_weights("flt", "form=adaptive,basis=eigen");
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        size_t count = 0;
        const size_t words = words_of(&w, (opt_shape[]){shapes[i], {NULL, 0, {0}}}, &count);
        cr_assert_leq(words, 64 * count, "case %zu: %zu words for %zu coordinates", i, words, count);
    }
    flt_weights_free(&w);
    cr_assert_eq(flt_live_blocks(), 0u);
}

static void run_told(const char *set, uint64_t steps, flt_real *out) {
    enum { T = 12 };
    flt_weights w = opt_weights("flt", set);
    flt_layout layout = opt_layout((opt_shape[]){{"x", 2, {6, 5}}, {NULL, 0, {0}}});
    flt_real *start = opt_normal(61, 30, 1), *grads = opt_normal(62, T * 30, 1);
    opt_run r = opt_start(&w, &layout, start);
    if (steps > 0) flt_optimizer_horizon(r.o, steps);
    opt_steps(&r, 0, T, grads);
    memcpy(out, r.param, 30 * sizeof *out);
    opt_stop(&r);
    flt_free(start);
    flt_free(grads);
    flt_layout_free(&layout);
    flt_weights_free(&w);
}

// The schedule ends with the run, or at `total`, and never where neither is known.
Test(opt_flt_state, schedule_ends_with_the_run) {
    flt_real told[30], total[30], both[30], unknown[30], constant[30];
    run_told("schedule=linear,warmup=2", 10, told);
    run_told("schedule=linear,warmup=2,total=10", 0, total);
    run_told("schedule=linear,warmup=2,total=10", 1000, both);
    run_told("schedule=linear,warmup=2", 0, unknown);
    run_told("schedule=constant,warmup=2", 10, constant);
    cr_assert_eq(memcmp(told, total, sizeof told), 0, "told of 10 steps, and total=10");
    cr_assert_eq(memcmp(told, both, sizeof told), 0, "total counts where it is given");
    cr_assert_eq(memcmp(unknown, constant, sizeof told), 0, "no end is known");
    cr_assert_neq(memcmp(told, constant, sizeof told), 0, "the end makes a difference");
    cr_assert_eq(flt_live_blocks(), 0u);
}
