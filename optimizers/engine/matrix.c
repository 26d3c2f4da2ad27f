// SPDX-License-Identifier: MIT
// Preconditioners on the rows and columns of matrices: sizes, second moments, products.
#include "engine/matrix.h"
#include "flt/memory.h"
#include "flt/num.h"

#include <math.h>
#include <string.h>

adam_rates flt_adam_rates(uint64_t t, double lr, double beta1, double beta2, double eps, double decay) {
    const double n = (double)t + 1;
    return (adam_rates){.keep_m = (flt_real)beta1,
                        .keep_v = (flt_real)beta2,
                        .write_m = (flt_real)(1 - beta1),
                        .write_v = (flt_real)(1 - beta2),
                        .step = (flt_real)(lr / (1 - pow(beta1, n))),
                        .scale = (flt_real)(1 / sqrt(1 - pow(beta2, n))),
                        .eps = (flt_real)eps,
                        .shrink = (flt_real)(1 - lr * decay)};
}

static flt_err measure(const flt_layout *layout, flt_sides *s, size_t *words) {
    for (size_t i = 0; i < layout->n; i++) {
        const flt_tensor_spec *a = &layout->tensor[i];
        *words += flt_sides_words(s->most, a);
        if (!flt_is_matrix(a)) continue;
        const flt_matrix d = flt_matrix_of(a);
        FLTX_TRY(flt_gemm_check("preconditioned matrices", d.r, d.c, d.r > d.c ? d.r : d.c));
        if (a->count > s->largest) s->largest = a->count;
        if (d.r <= s->most && d.r > s->longest) s->longest = d.r;
        if (d.c <= s->most && d.c > s->longest) s->longest = d.c;
    }
    return FLTE_OK;
}

flt_err flt_sides_create(const flt_params *p, const flt_layout *layout, size_t size, void *self) {
    flt_sides *s = NULL, sizes = {.most = flt_params_size(p, "max_dim")};
    size_t words = 0;
    FLTX_TRY(measure(layout, &sizes, &words));
    FLTX_TRY(flt_hand_create(p, layout, size, words, 3 * sizes.largest, &s));
    s->most = sizes.most;
    s->longest = sizes.longest;
    s->largest = sizes.largest;
    for (int i = 0; i < 3; i++) s->x[i] = s->base.work + (size_t)i * s->largest;
    s->beta1 = flt_params_real(p, "beta1");
    s->beta2 = flt_params_real(p, "beta2");
    s->eps = flt_params_real(p, "eps");
    s->every = (uint64_t)flt_params_int(p, "frequency");
    const flt_err err = flt_basis_create(s->longest, &s->basis);
    if (err != FLTE_OK) {
        flt_sides_destroy(s);
        return err;
    }
    memcpy(self, &s, sizeof s); // whatever the kind calls its struct
    return FLTE_OK;
}

void flt_sides_destroy(void *self) {
    flt_sides *s = self;
    if (s == NULL) return;
    flt_basis_drop(&s->basis);
    flt_hand_destroy(s);
}

void flt_sides_at(const flt_sides *s, const flt_tensor_spec *a, flt_real *state, flt_side side[2]) {
    const flt_matrix d = flt_matrix_of(a);
    flt_real *at = state + 2 * a->count;
    for (int i = 0; i < 2; i++) {
        const size_t n = i == 0 ? d.r : d.c, square = n * n;
        side[i] = (flt_side){0};
        if (n > s->most) continue;
        side[i] = (flt_side){n, at, at + square};
        at += 2 * square;
    }
}

void flt_sides_update(const flt_sides *s, int which, flt_matrix d, const flt_real *g, const flt_side *side) {
    flt_side_update((flt_real)s->beta2, (flt_real)(1 - s->beta2), which, d, g, side);
}

const flt_real *flt_sides_apply(const flt_sides *s, flt_matrix d, bool back, const flt_side side[2], const flt_real *x) {
    flt_sides_turn(d, back, side, x, s->x[1], s->x[2]);
    return s->x[2];
}
