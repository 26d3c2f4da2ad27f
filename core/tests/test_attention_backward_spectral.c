// SPDX-License-Identifier: MIT
// Gradients of fftnet in all its forms and of fourier; see attention_difference.h.
#include "attention_difference.h"

// ---- cases

static const size_t sizes[] = {1, 2, 3, 8, 17, 33, 64};
enum { SIZES = sizeof sizes / sizeof *sizes };

// The threshold's kinks stay out of reach: with these biases no magnitude comes near them (eps is tiny), or every frequency is
// open.
static scene fftnet(const char *params, size_t N, size_t heads) {
    scene s = {.p = {.mechanism = "fftnet", .params = params, .B = 2, .H = 2, .N = N, .d = 3, .dv = 3, .seed = N, .threads = 2}};
    inputs(&s.p, 1.0);
    add_arg(&s.p, "base_filter", heads, 1, (size_t[]){N / 2 + 1}, 1.5, 2);
    add_arg(&s.p, "bias", heads, 1, (size_t[]){N / 2 + 1}, 0.01, 0.2);
    return s;
}

Test(attention_backward_spectral, fftnet) {
    static const char *const forms[] = {"form=mixing,eps=1e-30", "form=context,eps=1e-30", "form=layer,eps=1e-30",
                                        "form=mixing,eps=100"};
    for (size_t i = 0; i < SIZES; i++)
        for (size_t f = 0; f < 4; f++) {
            scene s = fftnet(forms[f], sizes[i], i % 2 ? 2 : 0);
            flt_attention_arg used[16];
            plan(&s);
            check_input(&s, 0, "x");
            const size_t n = flt_attention_draws(s.a, 16, used);
            cr_assert(eq(sz, n, f == 1 ? 6 : f == 2 ? 8 : 3));
            for (size_t k = 0; k < n; k++) check_argument(&s, &used[k]);
            drop(&s);
        }
    cr_assert(eq(sz, flt_live_blocks(), 0));
}

// Closed frequencies pass nothing, not even to the bias that closes them.
Test(attention_backward_spectral, closed_frequencies) {
    scene s = {.p = {.mechanism = "fftnet", .params = "", .B = 1, .H = 1, .N = 9, .d = 2, .dv = 2, .seed = 4}};
    inputs(&s.p, 1.0);
    add_arg(&s.p, "bias", 0, 1, (size_t[]){5}, -100, -99);
    plan(&s);
    double got[5];
    differentiate(&s, "bias", got);
    for (size_t i = 0; i < 5; i++) cr_assert(eq(dbl, got[i], 0));
    for (size_t i = 0; i < 18; i++) cr_assert(le(dbl, fabs((double)s.d[0][i]), 0));
    drop(&s);
}

Test(attention_backward_spectral, layer_takes_and_refuses) {
    const flt_attention_arg bad[] = {{"w0", 2, {6, 5}, NULL}, {"w2", 2, {2, 6}, NULL}, {"gain", 1, {3}, NULL}};
    double ones[64];
    for (size_t i = 0; i < 64; i++) ones[i] = 1;
    for (size_t i = 0; i < 3; i++) {
        problem p = {.mechanism = "fftnet", .params = "form=layer", .B = 1, .H = 2, .N = 4, .d = 3, .dv = 3, .n_args = 1};
        flt_attention *a = NULL;
        p.args[0] = bad[i];
        p.args[0].data = ones;
        cr_assert(eq(int, try_plan(&p, &a), FLTE_SHAPE), "%s", bad[i].name);
        p.params = "form=mixing";
        cr_assert(eq(int, try_plan(&p, &a), FLTE_NAME), "%s", bad[i].name);
    }
    cr_assert(eq(sz, flt_live_blocks(), 0));
}

Test(attention_backward_spectral, fourier) {
    for (size_t i = 0; i < SIZES; i++)
        for (size_t f = 0; f < 4; f++) {
            static const char *const forms[] = {"ratio=0.4", "ratio=1", "ratio=0.5,lengthen=false", "keep=1"};
            scene s = {.p = {.mechanism = "fourier", .params = forms[f], .B = 2, .H = 2, .N = sizes[i], .d = 3, .dv = 2}};
            s.p.seed = i, s.p.threads = 1 + (int)(i % 2);
            inputs(&s.p, 1.0);
            plan(&s);
            check_input(&s, 0, "q");
            check_input(&s, 1, "k");
            check_input(&s, 2, "v");
            const flt_attention_arg keep = {"keep", 0, {0}, &step};
            cr_assert(eq(int, flt_attention_update(s.a, 1, &keep), FLTE_NAME));
            drop(&s);
        }
    cr_assert(eq(sz, flt_live_blocks(), 0));
}
