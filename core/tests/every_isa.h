// SPDX-License-Identifier: MIT
// Tests of kernels, run once for each instruction set; those that this processor has not got show as skipped.
#ifndef EVERY_ISA_H
#define EVERY_ISA_H

#include "flt/num.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

// Runs the rest of this test, a process of its own in which nothing has asked for kernels yet, with those of one instruction set.
static inline void force_isa(const char *isa) {
    setenv("FLT_ISA", isa, 1);
    if (strcmp(flt_num_isa(), isa) == 0) return;
    cr_assert_str_neq(isa, "portable");
    cr_skip_test("the processor has no %s", isa);
}

// Three tests of `body`, a function without arguments.
#define TEST_EVERY_ISA(suite, name, body)                                                                                        \
    Test(suite, name##_portable) {                                                                                               \
        force_isa("portable");                                                                                                   \
        body();                                                                                                                  \
    }                                                                                                                            \
    Test(suite, name##_avx2) {                                                                                                   \
        force_isa("avx2");                                                                                                       \
        body();                                                                                                                  \
    }                                                                                                                            \
    Test(suite, name##_avx512) {                                                                                                 \
        force_isa("avx512");                                                                                                     \
        body();                                                                                                                  \
    }

#endif
