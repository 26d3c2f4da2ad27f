// SPDX-License-Identifier: MIT
// Gradients of every form of features, with what they measure on a sequence, through performer and flt; see
// attention_difference.h.
#include "attention_difference.h"

static const size_t sizes[] = {1, 2, 5, 33, 70};
enum { SIZES = sizeof sizes / sizeof *sizes };

static scene start(const char *mechanism, const char *params, size_t N, bool causal) {
    scene s = {.p = {.mechanism = mechanism, .params = params, .B = 2, .H = 2, .N = N, .d = 3, .dv = 2, .causal = causal}};
    s.p.seed = N, s.p.threads = 2;
    inputs(&s.p, 0.7);
    return s;
}

static void check(scene *s) {
    flt_attention_arg used[MAX_ARGS];
    plan(s);
    check_input(s, 0, "q");
    check_input(s, 1, "k");
    check_input(s, 2, "v");
    const size_t n = flt_attention_draws(s->a, MAX_ARGS, used);
    for (size_t i = 0; i < n; i++) {
        bool given = false; // ratios that follow from a mixture are not
        for (size_t k = 0; k < s->p.n_args; k++) given |= strcmp(s->p.args[k].name, used[i].name) == 0;
        if (given) check_argument(s, &used[i]);
    }
    drop(s);
}

// Without causal: relu cannot be centred.
static const char *const forms[] = {"features=positive,centre=mean", "features=hyperbolic,centre=mean", "features=favor++",
                                    "features=favor++,centre=mean",  "features=favor++,spread=2",       "features=relu"};
enum { FORMS = sizeof forms / sizeof *forms };

// Keeps omega x away from relu's kink: positive numbers throughout.
static void make_positive(scene *s) {
    const size_t n = s->p.B * s->p.H * s->p.N * s->p.d;
    for (size_t i = 0; i < n; i++)
        s->p.q[i] = (flt_real)fabs((double)s->p.q[i]) + 1, s->p.k[i] = (flt_real)fabs((double)s->p.k[i]) + 1;
}

Test(attention_backward_features, performer) {
    for (size_t i = 0; i < SIZES; i++)
        for (size_t f = 0; f < FORMS; f++)
            for (int causal = 0; causal <= (strstr(forms[f], "centre") == NULL); causal++) {
                scene s = start("performer", forms[f], sizes[i], causal);
                const bool relu = strstr(forms[f], "relu") != NULL;
                if (relu) make_positive(&s);
                add_arg(&s.p, "omega", i % 2 ? 2 : 0, 2, (size_t[]){6, 3}, relu ? 0.2 : -1.2, 1.2);
                check(&s);
            }
    cr_assert(eq(sz, flt_live_blocks(), 0));
}

// rho on one side, shared out, on both; its own argument or a mixture's; positions by table and tile by tile.
Test(attention_backward_features, fourier) {
    static const char *const splits[] = {"one_sided", "balanced", "squared,table_mib=0"};
    for (size_t i = 0; i < SIZES; i++)
        for (size_t f = 0; f < FORMS; f++)
            for (int causal = 0; causal <= (strstr(forms[f], "centre") == NULL); causal++) {
                char params[96];
                const size_t heads = i % 2 ? 2 : 0, k = i + f;
                const bool relu = strstr(forms[f], "relu") != NULL;
                snprintf(params, sizeof params, "%s,split=%s", forms[f], splits[k % 3]);
                scene s = start("flt", params, sizes[i], causal);
                if (relu) make_positive(&s);
                // relu: q and k outweigh the snippets
                double *omega = add_arg(&s.p, "omega", heads, 2, (size_t[]){6, 3 + 4}, relu ? 0.6 : -1, 1);
                for (size_t x = 0; relu && x < 6 * 7 * (heads == 0 ? 1 : heads); x++)
                    if (x % 7 >= 3) omega[x] *= 0.1;
                add_arg(&s.p, "xi", k % 2 ? 2 : 0, 2, (size_t[]){2, 1}, -0.5, 0.5);
                double *pos = add_arg(&s.p, "pos", 0, 2, (size_t[]){sizes[i], 1}, -1, 1);
                pos[0] = 0.3;
                if (k % 2) {
                    add_arg(&s.p, "rho", heads, 1, (size_t[]){2}, 0.4, 1);
                } else {
                    add_arg(&s.p, "w", heads, 1, (size_t[]){3}, 0.1, 0.3);
                    add_arg(&s.p, "mu", 0, 2, (size_t[]){3, 1}, -0.5, 0.5);
                    add_arg(&s.p, "s2", 0, 1, (size_t[]){3}, 0.3, 1.0);
                }
                check(&s);
            }
    cr_assert(eq(sz, flt_live_blocks(), 0));
}
