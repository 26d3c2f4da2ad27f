// SPDX-License-Identifier: MIT
// What is counted as arithmetic: by hand for small cases, a number for every mechanism.
#include "flt/attend.h"
#include "flt/attention.h"
#include "flt/graph.h"

#include <criterion/criterion.h>
#include <math.h>

static flt_attention_desc desc_of(const char *mechanism, bool causal) {
    return (flt_attention_desc){.mechanism = mechanism, .B = 2, .H = 3, .N = 10, .d = 4, .dv = 6, .causal = causal};
}

Test(flops, every_mechanism_counts) {
    const flt_registry *r = flt_attention_registry();
    for (size_t i = 0; r->kinds[i] != NULL; i++) {
        const flt_attention_desc desc = desc_of(r->kinds[i]->name, false);
        const double forward = flt_attention_flops(&desc, false), backward = flt_attention_flops(&desc, true);
        cr_assert(forward > 0 && backward >= 2.0 * forward && backward <= 3.0 * forward, "%s: %g forward, %g backward",
                  desc.mechanism, forward, backward);
    }
    const flt_attention_desc unknown = desc_of("nosuch", false);
    cr_assert(isnan(flt_attention_flops(&unknown, false)));
}

Test(flops, exact_and_linear_by_hand) {
    const flt_attention_desc exact = desc_of("exact", false), causal = desc_of("exact", true), linear = desc_of("linear", false);
    cr_assert_eq(flt_attention_flops(&exact, false), 6.0 * 2 * 100 * 10);
    cr_assert_eq(flt_attention_flops(&causal, false), 6.0 * 2 * 55 * 10);
    cr_assert_eq(flt_attention_flops(&exact, true), 6.0 * 2 * 100 * (3 * 4 + 2 * 6));
    cr_assert_eq(flt_attention_flops(&linear, false), 6.0 * 4 * 10 * 4 * 6);
    const flt_attention_kind *kind = NULL;
    flt_params *p = NULL;
    flt_attention_desc flt = desc_of("flt", false);
    cr_assert_eq(flt_attention_find("flt", &kind), FLTE_OK);
    cr_assert_eq(flt_params_create("flt", kind->kind.params, &p), FLTE_OK);
    cr_assert_eq(flt_params_set(p, "m", "5"), FLTE_OK);
    flt.params = p;
    cr_assert_eq(flt_attention_flops(&flt, false), 6.0 * 4 * 10 * 5 * (4 + 6));
    flt_params_destroy(p);
}

static double flops_of(const flt_graph *g, flt_node y) {
    flt_exec *e = NULL;
    cr_assert_eq(flt_exec_create(g, 1, &y, &e), FLTE_OK, "%s", flt_error());
    const double flops = flt_exec_flops(e);
    flt_exec_destroy(e);
    return flops;
}

Test(flops, graphs_by_hand) {
    flt_graph *g = NULL;
    cr_assert_eq(flt_graph_create(&g), FLTE_OK);
    const flt_node a = flt_input(g, "a", 2, (size_t[]){3, 5}), b = flt_input(g, "b", 2, (size_t[]){7, 5});
    const flt_node c = flt_input(g, "c", 3, (size_t[]){2, 3, 5}), q = flt_input(g, "q", 4, (size_t[]){2, 3, 10, 4});
    const flt_node product = flt_matmul(g, a, b, false, true);
    cr_assert_eq(flops_of(g, product), 2.0 * 3 * 5 * 7);
    cr_assert_eq(flops_of(g, flt_tanh(g, product)), 2.0 * 3 * 5 * 7 + 3 * 7);
    cr_assert_eq(flops_of(g, flt_matmul(g, c, b, false, true)), 2.0 * 2 * 3 * 5 * 7);
    cr_assert_eq(flops_of(g, flt_sum_all(g, flt_exp(g, a))), 15.0 + 15.0);
    cr_assert_eq(flops_of(g, flt_slice(g, a, 1, 1, 3)), 0.0); // moves
    const flt_attend_desc desc = {.mechanism = "exact"};
    cr_assert_eq(flops_of(g, flt_attend(g, &desc, (flt_node[]){q, q, q}, NULL)), 6.0 * 2 * 100 * 8);
    flt_graph_destroy(g);
}
