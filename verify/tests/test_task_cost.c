// SPDX-License-Identifier: MIT
// What tasks cost: which numbers there are, never how large a time is.
#include "flt/task_cost.h"

#include "flt/memory.h"
#include "flt/tasks.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static flt_task_cost cost_of(const char *spec) {
    flt_task_cost c;
    const size_t blocks = flt_live_blocks(), bytes = flt_live_bytes();
    cr_assert_eq(flt_task_cost_of(spec, 1, 1e-4, &c), FLTE_OK, "%s: %s", spec, flt_error());
    cr_assert(flt_live_blocks() == blocks && flt_live_bytes() == bytes, "%s leaves memory behind", spec);
    return c;
}

Test(task_cost, has_every_part) {
    static const char *const specs[] = {"quadratic", "digits_mlp:width=64,batch=16", "digits_mlp:reparam=tensor", "rosenbrock"};
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
        const flt_task_cost c = cost_of(specs[i]);
        cr_assert(c.parameters > 0 && c.bytes > c.parameters * sizeof(flt_real), "%s", specs[i]);
        cr_assert(c.gradient > 0 && c.minibatch >= 0 && c.minibatch < c.gradient && c.hessian > 0, "%s", specs[i]);
        cr_assert(c.idle > 0 && c.idle < c.gradient, "%s: idle %g of %g", specs[i], c.idle, c.gradient);
    }
    cr_assert_eq(cost_of("digits_mlp").parameters, 2410u);
}

Test(task_cost, leaves_out_what_a_task_has_not) {
    const flt_task_cost c = cost_of("listops:hessian=false,width=4,depth=1,length=9,batch=2,examples=5");
    cr_assert(isnan(c.hessian));
    cr_assert(c.gradient > 0);
}

Test(task_cost, passes_the_sentence_on) {
    flt_task_cost c;
    const size_t blocks = flt_live_blocks();
    cr_assert_eq(flt_task_cost_of("digit_mlp", 1, 1e-4, &c), FLTE_NAME);
    cr_assert(strstr(flt_error(), "digits_mlp") != NULL, "%s", flt_error());
    for (long n = 0; n < 3; n++) {
        flt_fail_alloc_after(n);
        cr_assert_eq(flt_task_cost_of("quadratic", 1, 1e-4, &c), FLTE_NOMEM);
        flt_fail_alloc_after(-1);
    }
    cr_assert_eq(flt_live_blocks(), blocks);
}
