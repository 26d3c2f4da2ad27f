// SPDX-License-Identifier: MIT
// Which matrices of the flt optimizer turn, and the second moments that their bases follow.
#include "engine/flt_turn.h"
#include "flt/num.h"

enum { LONGEST = 1024, RATIO = 8 };

static size_t turning(size_t n, size_t other) {
    return n >= 2 && n <= LONGEST && n <= RATIO * other ? n : 0;
}

flt_turn flt_turn_of(const flt_tensor_spec *t) {
    if (!flt_is_matrix(t)) return (flt_turn){0};
    const flt_matrix d = flt_matrix_of(t);
    return (flt_turn){d, {turning(d.r, d.c), turning(d.c, d.r)}};
}

void flt_turn_sides(const flt_turn *p, flt_real *state, flt_side side[2]) {
    for (int i = 0; i < 2; i++) {
        const size_t square = p->n[i] * p->n[i];
        side[i] = (flt_side){p->n[i], state, state + square};
        state += 2 * square;
    }
}

bool flt_turn_gradient(const flt_turn *p, const flt_basis *b, uint64_t t, uint64_t every, const flt_real *g,
                       const flt_side side[2]) {
    const double squares = flt_sum_squares(p->d.r * p->d.c, g);
    const bool counts = squares > 1e-30; // of less the products vanish
    for (int i = 0; counts && i < 2; i++) flt_side_update((flt_real)0.95, (flt_real)(0.05 / squares), i, p->d, g, &side[i]);
    for (int i = 0; t == 0 && i < 2; i++) flt_basis_start(b, &side[i]);
    return t > 0 && t % every == 0;
}
