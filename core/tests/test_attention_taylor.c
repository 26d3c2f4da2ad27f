// SPDX-License-Identifier: MIT
// Taylor attention: scattered positions on nodes against explicit weights, inputs that a polynomial cannot follow, refusals. More
// against its N^2 weights is in `flt verify --check taylor`.
#include "attention_support.h"

// Positions in any order, some of them shared, all on the nodes 0 .. 8 of the line; q and k with means.
Test(attention_taylor, scattered_positions_on_nodes_have_the_masks_own_values) {
    enum { N = 23, D = 4, DV = 3 };
    problem p = {.mechanism = "taylor",
                 .B = 1,
                 .H = 2,
                 .N = N,
                 .d = D,
                 .dv = DV,
                 .seed = 5,
                 .params = "order=2,nodes=8,rpe=alibi,centre=none"};
    long double weight[N * N], want[N * DV];
    inputs(&p, 1);
    double *pos = add_arg(&p, "pos", 0, 2, (size_t[]){N, 1}, 0, 0);
    const double *slope = add_arg(&p, "slope", 2, 0, NULL, 0.2, 0.9);
    for (size_t i = 0; i < N; i++) pos[i] = 100 + (double)(i * 7 % 9);
    run_problem(&p);
    for (size_t h = 0; h < 2; h++) {
        for (size_t i = 0; i < N * N; i++) {
            long double s = 0;
            for (size_t c = 0; c < D; c++) s += (long double)p.q[(h * N + i / N) * D + c] * p.k[(h * N + i % N) * D + c] / 2;
            weight[i] = (1 + s + s * s / 2) * expl(-slope[h] * fabs(pos[i / N] - pos[i % N]));
        }
        oracle_average(N, DV, false, weight, p.v + h * N * DV, want);
        const double ratio = judge_rows(N * DV, p.out + h * N * DV, want);
        cr_assert(le(dbl, ratio, PASS), "head %zu: ratio %g", h, ratio);
    }
    drop_problem(&p);
}

// Logits of tens: 1 + s says nothing, sums cancel. Rows are flagged, and then exact; nothing is ever infinite.
Test(attention_taylor, rows_beyond_the_polynomial_are_flagged_and_finite) {
    for (size_t n = 1; n <= 129; n += 32)
        for (int order = 0; order <= 2; order++)
            for (double scale = 3; scale < 1e25; scale *= 1e7) {
                char text[32];
                snprintf(text, sizeof text, "order=%d", order);
                problem p = {.mechanism = "taylor", .B = 1, .H = 1, .N = n, .d = 6, .dv = 3, .seed = n, .params = text};
                inputs(&p, scale);
                p.k[0] *= 100;
                run_problem(&p);
                for (size_t i = 0; i < n * 3; i++)
                    cr_assert(isfinite((double)p.out[i]) != 0, "%s scale %g: out[%zu]", label(&p), scale, i);
                drop_problem(&p);
            }
}

Test(attention_taylor, a_flagged_row_is_exact_attention) {
    enum { N = 40, D = 3, DV = 2 };
    problem p = {.mechanism = "taylor", .B = 1, .H = 1, .N = N, .d = D, .dv = DV, .seed = 2, .params = ""};
    long double weight[N * N], want[N * DV];
    inputs(&p, 0.1);
    for (size_t i = 0; i < N; i++) p.k[i * D] += 1;
    for (size_t c = 0; c < N; c++) p.q[c * D] -= c == 7 ? 30 : 0; // one query against all keys: 1 + s < 0 without centring
    p.params = "centre=none";
    flt_attention *a = plan_of(&p);
    flt_attention_arg drawn[MAX_ARGS];
    flt_attention_forward(a, p.q, p.k, p.v, p.out);
    cr_assert(eq(sz, flt_attention_draws(a, MAX_ARGS, drawn), 1));
    cr_assert(strcmp(drawn[0].name, "flagged") == 0, "%s", drawn[0].name);
    cr_assert(ieee_ulp_eq(dbl, drawn[0].data[0], 1.0, 0));
    oracle_exact(N, D, p.q, p.k, NULL, weight);
    oracle_average(N, DV, false, weight, p.v, want);
    cr_assert(le(dbl, judge_rows(DV, p.out + 7 * DV, want + 7 * DV), PASS));
    flt_attention_destroy(a);
    drop_problem(&p);
}

Test(attention_taylor, what_it_cannot_do_is_said) {
    problem p = {.mechanism = "taylor", .B = 1, .H = 1, .N = 9, .d = 2, .dv = 2, .params = "", .causal = true};
    flt_attention *a = NULL;
    inputs(&p, 1);
    cr_assert(eq(int, try_plan(&p, &a), FLTE_UNSUPPORTED));
    cr_assert(strstr(flt_error(), "flt") != NULL, "%s", flt_error());
    p.causal = false;
    p.backward = true;
    cr_assert(eq(int, try_plan(&p, &a), FLTE_UNSUPPORTED), "%s", flt_error());
    p.backward = false;
    add_arg(&p, "pos", 0, 2, (size_t[]){9, 2}, 0, 1);
    cr_assert(eq(int, try_plan(&p, &a), FLTE_UNSUPPORTED));
    cr_assert(strstr(flt_error(), "flt") != NULL, "%s", flt_error());
    drop_problem(&p);
}
