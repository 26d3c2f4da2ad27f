// SPDX-License-Identifier: MIT
// Which sides of a matrix turn under basis=eigen.
#include "../engine/flt_turn.h"
#include "opt_support.h"

// The reference asks the same function which sides turn: its limits are held here.
Test(opt_turn, which_sides_turn) {
    static const struct {
        size_t dim[3], rank, turns[2];
    } cases[] = {
        {{5, 4}, 2, {5, 4}},           {{32, 4}, 2, {32, 4}},      {{33, 4}, 2, {0, 4}},       {{4, 33}, 2, {4, 0}},
        {{1024, 200}, 2, {1024, 200}}, {{1025, 200}, 2, {0, 200}}, {{200, 1025}, 2, {200, 0}}, {{20, 1}, 2, {0, 0}},
        {{2, 2}, 2, {2, 2}},           {{4, 2, 2}, 3, {4, 4}},     {{64}, 1, {0, 0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        flt_layout l = {0};
        OPT_OK(flt_layout_add(&l, "w", cases[i].rank, cases[i].dim));
        const flt_turn turn = flt_turn_of(&l.tensor[0]);
        cr_assert_eq(turn.n[0], cases[i].turns[0], "case %zu: rows: %zu", i, turn.n[0]);
        cr_assert_eq(turn.n[1], cases[i].turns[1], "case %zu: columns: %zu", i, turn.n[1]);
        cr_assert_leq(flt_turn_words(&turn), 17 * l.total);
        flt_layout_free(&l);
    }
}
