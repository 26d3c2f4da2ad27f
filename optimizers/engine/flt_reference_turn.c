// SPDX-License-Identifier: MIT
// S = 0.95 S + 0.05 G G^T / |G|^2 (columns: G^T G), B = eigenvectors of the first S, every so many steps B = Gram-Schmidt of S B.
#include "engine/flt_reference_turn.h"
#include "flt/num.h"

#include <math.h>
#include <string.h>

void flt_reference_turn_bind(flt_ws *ws, flt_reference_turn *p) {
    const size_t longest = p->turn.n[0] > p->turn.n[1] ? p->turn.n[0] : p->turn.n[1];
    for (int i = 0; i < 2; i++) {
        p->S[i] = flt_ws_take(ws, p->turn.n[i] * p->turn.n[i], sizeof(long double));
        p->B[i] = flt_ws_take(ws, p->turn.n[i] * p->turn.n[i], sizeof(long double));
    }
    p->half = flt_ws_take(ws, p->turn.d.r * p->turn.d.c, sizeof(long double));
    p->column = flt_ws_take(ws, longest, sizeof(long double));
    p->a = flt_ws_take(ws, longest * longest, sizeof(double));
    p->v = flt_ws_take(ws, longest * longest, sizeof(double));
    p->w = flt_ws_take(ws, 4 * longest, sizeof(double));
}

static void start(flt_reference_turn *p, int side) {
    const size_t n = p->turn.n[side];
    for (size_t i = 0; i < n * n; i++) p->a[i] = (double)p->S[side][i];
    if (n == 0 || !flt_eigen_symmetric(n, p->a, p->w, p->v, p->w + n)) return;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) p->B[side][i * n + j] = p->v[(n - 1 - j) * n + i];
}

bool flt_reference_turn_gradient(flt_reference_turn *p, uint64_t t, uint64_t every, const double *g) {
    const size_t r = p->turn.d.r, c = p->turn.d.c;
    long double squares = 0;
    for (size_t i = 0; i < r * c; i++) squares += (long double)g[i] * g[i];
    for (int side = 0; side < 2; side++) {
        const size_t n = p->turn.n[side], other = side == 0 ? c : r;
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++) {
                long double sum = 0;
                for (size_t k = 0; k < other; k++)
                    sum += side == 0 ? (long double)g[i * c + k] * g[j * c + k] : (long double)g[k * c + i] * g[k * c + j];
                p->S[side][i * n + j] = 0.95L * p->S[side][i * n + j] + 0.05L * sum / squares;
            }
        if (t == 0) start(p, side);
    }
    return t > 0 && t % every == 0;
}

// B [n, n] = S B with columns made orthonormal one after the other
void flt_reference_turn_iterate(flt_reference_turn *p) {
    for (int side = 0; side < 2; side++) {
        const size_t n = p->turn.n[side];
        long double *B = p->B[side], *column = p->column;
        for (size_t j = 0; j < n; j++) {
            long double length = 0;
            for (size_t i = 0; i < n; i++) {
                column[i] = 0;
                for (size_t k = 0; k < n; k++) column[i] += p->S[side][i * n + k] * B[k * n + j];
            }
            for (size_t before = 0; before < j; before++) {
                long double along = 0;
                for (size_t i = 0; i < n; i++) along += column[i] * B[i * n + before];
                for (size_t i = 0; i < n; i++) column[i] -= along * B[i * n + before];
            }
            for (size_t i = 0; i < n; i++) length += column[i] * column[i];
            for (size_t i = 0; i < n; i++) B[i * n + j] = column[i] / sqrtl(length);
        }
    }
}

// x = B^T x over rows (side 0), x B over columns (1), or back
static void apply_side(const flt_reference_turn *p, int side, bool back, long double *x) {
    const size_t r = p->turn.d.r, c = p->turn.d.c, n = p->turn.n[side];
    const long double *B = p->B[side];
    memcpy(p->half, x, r * c * sizeof *x);
    for (size_t i = 0; i < r; i++)
        for (size_t j = 0; j < c; j++) {
            const size_t at = side == 0 ? i : j;
            x[i * c + j] = 0;
            for (size_t k = 0; k < n; k++)
                x[i * c + j] += (back ? B[at * n + k] : B[k * n + at]) * p->half[side == 0 ? k * c + j : i * c + k];
        }
}

void flt_reference_turn_apply(const flt_reference_turn *p, bool back, long double *x) {
    for (int side = 0; side < 2; side++)
        if (p->turn.n[side] > 0) apply_side(p, side, back, x);
}
