// SPDX-License-Identifier: MIT
// Columns convolved with one kernel; see engine/convolve.h.
#include "attention/engine/convolve.h"

#include "flt/simd.h"

enum { WIDTH = 2 * FLTX_LANES };

typedef struct pair { // a complex number of each lane
    flt_vreal re, im;
} pair;

FLTX_INLINE pair read(const flt_real *room, size_t p) {
    return (pair){flt_vreal_load(room + p * WIDTH), flt_vreal_load(room + p * WIDTH + FLTX_LANES)};
}

FLTX_INLINE void write(flt_real *room, size_t p, pair x) {
    flt_vreal_store(room + p * WIDTH, x.re);
    flt_vreal_store(room + p * WIDTH + FLTX_LANES, x.im);
}

FLTX_INLINE pair plus(pair a, pair b) {
    return (pair){a.re + b.re, a.im + b.im};
}

FLTX_INLINE pair minus(pair a, pair b) {
    return (pair){a.re - b.re, a.im - b.im};
}

FLTX_INLINE pair plus_i(pair a, pair b) { // a + i b
    return (pair){a.re - b.im, a.im + b.re};
}

FLTX_INLINE pair minus_i(pair a, pair b) {
    return (pair){a.re + b.im, a.im - b.re};
}

FLTX_INLINE pair scaled(pair a, flt_real x) {
    return (pair){x * a.re, x * a.im};
}

FLTX_INLINE pair times(pair a, flt_real re, flt_real im) {
    return (pair){a.re * re - a.im * im, a.re * im + a.im * re};
}

// ---- ends of a row; other than in rows.h, a vector may lie beyond the row as a whole

FLTX_INLINE flt_vreal get(const flt_real *row, size_t i, size_t n) {
    if (i + FLTX_LANES <= n) return flt_vreal_load(row + i);
    return i < n ? flt_vreal_load_part(row + i, n - i) : flt_vreal_set(0);
}

FLTX_INLINE void put(flt_real *row, size_t i, size_t n, flt_vreal x) {
    if (i + FLTX_LANES <= n)
        flt_vreal_store(row + i, x);
    else if (i < n)
        flt_vreal_store_part(row + i, x, n - i);
}

// x at place p; columns: WIDTH where that many are known to be there
FLTX_INLINE pair source(const flt_att_convolution *c, size_t columns, size_t p) {
    const size_t j = p - c->from; // beyond all keys where p comes before them
    if (j >= c->keys) return (pair){flt_vreal_set(0), flt_vreal_set(0)};
    const flt_real *x = c->x + j * c->ldx;
    const pair a = {get(x, 0, columns), get(x, FLTX_LANES, columns)};
    return c->wx != NULL ? scaled(a, c->wx[j]) : a;
}

FLTX_INLINE void deliver(const flt_att_convolution *c, size_t columns, size_t p, pair z) {
    const size_t i = p - c->shift; // likewise
    if (i >= c->rows) return;
    if (c->y != NULL) {
        flt_real *y = c->y + i * c->ldy;
        const flt_real by = c->wy != NULL ? c->wy[i] : 1;
        put(y, 0, columns, get(y, 0, columns) + by * z.re);
        put(y, FLTX_LANES, columns, get(y, FLTX_LANES, columns) + by * z.im);
    }
    if (c->sum != NULL) {
        const flt_real *phi = c->phi + i * c->ldp;
        c->sum[i] += flt_vreal_sum(get(phi, 0, columns) * z.re + get(phi, FLTX_LANES, columns) * z.im);
    }
}

// ---- stages

// x becomes its transform of length `radix`; back: without the factor 1 / radix. radix and back are constants at every call.
FLTX_INLINE void transform(int radix, bool back, pair *x) {
    if (radix == 2) {
        const pair a = x[0];
        x[0] = plus(a, x[1]), x[1] = minus(a, x[1]);
    } else if (radix == 3) {
        const pair s = plus(x[1], x[2]), t = minus(x[0], scaled(s, (flt_real)0.5));
        const pair u = scaled(minus(x[1], x[2]), (flt_real)0.86602540378443864676);
        x[0] = plus(x[0], s);
        x[1] = back ? plus_i(t, u) : minus_i(t, u);
        x[2] = back ? minus_i(t, u) : plus_i(t, u);
    } else {
        const pair s = plus(x[0], x[2]), t = minus(x[0], x[2]), u = plus(x[1], x[3]), v = minus(x[1], x[3]);
        x[0] = plus(s, u), x[2] = minus(s, u);
        x[1] = back ? plus_i(t, v) : minus_i(t, v);
        x[3] = back ? minus_i(t, v) : plus_i(t, v);
    }
}

// One stage down a row of length s. columns: 0 where it is not the first stage of all.
FLTX_INLINE void descend(const flt_att_convolution *c, size_t columns, int radix, size_t s, const flt_real *twiddle,
                         flt_real *room) {
    const size_t part = s / (size_t)radix;
    for (size_t k = 0; k < part; k++, twiddle += 2 * (radix - 1)) {
        pair x[4];
#pragma GCC unroll 4
        for (int r = 0; r < radix; r++)
            x[r] = columns > 0 ? source(c, columns, k + (size_t)r * part) : read(room, k + (size_t)r * part);
        transform(radix, false, x);
        write(room, k, x[0]);
#pragma GCC unroll 4
        for (int r = 1; r < radix; r++) write(room, k + (size_t)r * part, times(x[r], twiddle[2 * r - 2], twiddle[2 * r - 1]));
    }
}

// The inverse of that. columns: 0 where it is not the last stage of all.
FLTX_INLINE void ascend(const flt_att_convolution *c, size_t columns, int radix, size_t s, const flt_real *twiddle,
                        flt_real *room) {
    const size_t part = s / (size_t)radix;
    for (size_t k = 0; k < part; k++, twiddle += 2 * (radix - 1)) {
        pair x[4] = {read(room, k)};
#pragma GCC unroll 4
        for (int r = 1; r < radix; r++) x[r] = times(read(room, k + (size_t)r * part), twiddle[2 * r - 2], -twiddle[2 * r - 1]);
        transform(radix, true, x);
#pragma GCC unroll 4
        for (int r = 0; r < radix; r++) {
            if (columns > 0)
                deliver(c, columns, k + (size_t)r * part, x[r]);
            else
                write(room, k + (size_t)r * part, x[r]);
        }
    }
}

// The last stage down, the product and the first stage up, for `count` rows of length radix. sign: of the spectrum's imaginary
// part.
FLTX_INLINE void turn(size_t count, int radix, flt_real sign, const flt_real *spectrum, flt_real *room) {
    for (size_t i = 0; i < count; i++, room += radix * WIDTH, spectrum += 2 * radix) {
        pair x[4];
#pragma GCC unroll 4
        for (int r = 0; r < radix; r++) x[r] = read(room, (size_t)r);
        transform(radix, false, x);
#pragma GCC unroll 4
        for (int r = 0; r < radix; r++) x[r] = times(x[r], spectrum[2 * r], sign * spectrum[2 * r + 1]);
        transform(radix, true, x);
#pragma GCC unroll 4
        for (int r = 0; r < radix; r++) write(room, (size_t)r, x[r]);
    }
}

// `count` rows of length s.
static void inner(size_t count, size_t s, flt_real sign, const flt_real *twiddle, const flt_real *spectrum, flt_real *room) {
    if (s <= 4) {
        if (s == 4)
            turn(count, 4, sign, spectrum, room);
        else
            turn(count, 2, sign, spectrum, room);
        return;
    }
    for (size_t i = 0; i < count; i++, room += s * WIDTH, spectrum += 2 * s) {
        descend(NULL, 0, 4, s, twiddle, room);
        inner(4, s / 4, sign, twiddle + 6 * (s / 4), spectrum, room);
        ascend(NULL, 0, 4, s, twiddle, room);
    }
}

FLTX_INLINE void outer(const flt_att_convolution *c, size_t columns, int radix) {
    const size_t part = c->n / (size_t)radix;
    descend(c, columns, radix, c->n, c->twiddles, c->room);
    inner((size_t)radix, part, c->flip ? -1 : 1, c->twiddles + 2 * (size_t)(radix - 1) * part, c->spectrum, c->room);
    ascend(c, columns, radix, c->n, c->twiddles, c->room);
}

static void convolve(const flt_att_convolution *c) {
    const bool three = c->n % 3 == 0;
    if (c->columns == WIDTH && three)
        outer(c, WIDTH, 3);
    else if (c->columns == WIDTH)
        outer(c, WIDTH, 4);
    else if (three)
        outer(c, c->columns, 3);
    else
        outer(c, c->columns, 4);
}

const flt_att_convolver FLTX_ISA_TABLE(flt_att_convolver) = {.width = WIDTH, .convolve = convolve};
