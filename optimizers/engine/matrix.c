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

static flt_err measure(const flt_layout *layout, flt_sides *s, size_t *longest, size_t *words) {
    for (size_t i = 0; i < layout->n; i++) {
        const flt_tensor_spec *a = &layout->tensor[i];
        *words += flt_sides_words(s->most, a);
        if (!flt_is_matrix(a)) continue;
        const flt_matrix d = flt_matrix_of(a);
        FLTX_TRY(flt_gemm_check("preconditioned matrices", d.r, d.c, d.r > d.c ? d.r : d.c));
        if (a->count > s->largest) s->largest = a->count;
        if (d.r <= s->most && d.r > *longest) *longest = d.r;
        if (d.c <= s->most && d.c > *longest) *longest = d.c;
    }
    return FLTE_OK;
}

static flt_err allocate(flt_sides *s, size_t longest) {
    const size_t square = longest * longest + 1;
    FLTX_TRY(flt_alloc(2 * square + 4 * longest, sizeof *s->a, &s->a));
    s->v = s->a + square;
    s->w = s->v + square;
    return FLTE_OK;
}

flt_err flt_sides_create(const flt_params *p, const flt_layout *layout, size_t size, void *self) {
    flt_sides *s = NULL, sizes = {.most = flt_params_size(p, "max_dim")};
    size_t longest = 0, words = 0;
    FLTX_TRY(measure(layout, &sizes, &longest, &words));
    FLTX_TRY(flt_hand_create(p, layout, size, words, 3 * sizes.largest + longest * longest, &s));
    flt_num_init();
    s->most = sizes.most;
    s->largest = sizes.largest;
    for (int i = 0; i < 3; i++) s->x[i] = s->base.work + (size_t)i * s->largest;
    s->y = s->base.work + 3 * s->largest;
    s->beta1 = flt_params_real(p, "beta1");
    s->beta2 = flt_params_real(p, "beta2");
    s->eps = flt_params_real(p, "eps");
    s->every = (uint64_t)flt_params_int(p, "frequency");
    const flt_err err = allocate(s, longest);
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
    flt_free(s->a);
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

void flt_side_update(const flt_sides *s, int which, flt_matrix d, const flt_real *g, const flt_side *side) {
    const flt_real keep = (flt_real)s->beta2, write = (flt_real)(1 - s->beta2);
    if (side->n == 0) return;
    if (which == 0)
        flt_gemm(false, true, d.r, d.r, d.c, write, g, d.c, g, d.c, keep, side->S, d.r);
    else
        flt_gemm(true, false, d.c, d.c, d.r, write, g, d.c, g, d.c, keep, side->S, d.c);
}

const flt_real *flt_sides_apply(const flt_sides *s, flt_matrix d, bool back, const flt_side side[2], const flt_real *x) {
    flt_real *half = s->x[1], *out = s->x[2];
    if (side[0].n > 0) {
        flt_gemm(!back, false, d.r, d.c, d.r, 1, side[0].B, d.r, x, d.c, 0, half, d.c);
        x = half;
    }
    if (side[1].n == 0) {
        memcpy(out, x, d.r * d.c * sizeof *out);
        return out;
    }
    flt_gemm(false, back, d.r, d.c, d.c, 1, x, d.c, side[1].B, d.c, 0, out, d.c);
    return out;
}
