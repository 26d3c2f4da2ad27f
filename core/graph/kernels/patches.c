// SPDX-License-Identifier: MIT
// The 3 x 3 surroundings of every pixel, gathered and added back. Of a pixel's surroundings the three of one row lie side by side
// in the image: they are one copy.
#include <stddef.h>

#include "flt/simd.h"
#include "graph/kernels/kernels.h"

// n numbers; the last vector overlaps the one before it. A loop would become a call of memcpy, which costs more than the copy.
FLTX_INLINE void copy(size_t n, const flt_real *x, flt_real *y) {
    if (n < FLTX_LANES) {
        flt_vreal_store_part(y, flt_vreal_load_part(x, n), n);
        return;
    }
    for (size_t i = 0; i + FLTX_LANES < n; i += FLTX_LANES) flt_vreal_store(y + i, flt_vreal_load(x + i));
    flt_vreal_store(y + n - FLTX_LANES, flt_vreal_load(x + n - FLTX_LANES));
}

FLTX_INLINE void clear(size_t n, flt_real *y) {
    for (size_t i = 0; i < n; i++) y[i] = 0;
}

// One row of an image, NULL: beyond its edge, as a third of the surroundings of a row of pixels.
FLTX_INLINE void gather_row(const flt_patches *p, const flt_real *x, flt_real *y) {
    const size_t c = p->channels, next = 9 * c;
    for (size_t i = 0; i < p->width; i++, y += next) {
        const size_t left = i == 0 ? c : 0, right = i + 1 == p->width ? c : 0;
        if (x == NULL) {
            clear(3 * c, y);
            continue;
        }
        if (left > 0) clear(c, y);
        copy(3 * c - left - right, x + i * c + left - c, y + left);
        if (right > 0) clear(c, y + 2 * c);
    }
}

static void gather(const flt_patches *p, const flt_real *x, flt_real *y) {
    const size_t row = p->width * p->channels;
    for (size_t r = 0; r < p->images * p->height; r++, y += 9 * row) {
        const size_t at = r % p->height;
        gather_row(p, at == 0 ? NULL : x + (r - 1) * row, y);
        gather_row(p, x + r * row, y + 3 * p->channels);
        gather_row(p, at + 1 == p->height ? NULL : x + (r + 1) * row, y + 6 * p->channels);
    }
}

// n lanes of the pixel whose own surroundings begin at x: the sum over the rows and columns first .. last of the surroundings
// that it is in, those of the pixel (1 - i, 1 - j) away.
FLTX_INLINE flt_vreal surroundings(const flt_patches *p, const flt_real *x, const size_t first[2], const size_t last[2],
                                   size_t n) {
    const ptrdiff_t next = (ptrdiff_t)(9 * p->channels), row = next * (ptrdiff_t)p->width;
    flt_vreal sum = flt_vreal_set(0);
    for (size_t i = first[0]; i <= last[0]; i++)
        for (size_t j = first[1]; j <= last[1]; j++) {
            const ptrdiff_t away = (1 - (ptrdiff_t)i) * row + (1 - (ptrdiff_t)j) * next;
            const flt_real *part = x + away + (ptrdiff_t)((3 * i + j) * p->channels);
            sum += n < FLTX_LANES ? flt_vreal_load_part(part, n) : flt_vreal_load(part);
        }
    return sum;
}

static void sum(const flt_patches *p, const flt_real *x, flt_real *y) {
    const size_t c = p->channels, h = p->height, w = p->width;
    for (size_t r = 0; r < p->images * h; r++)
        for (size_t i = 0; i < w; i++, x += 9 * c, y += c) {
            const size_t at = r % h;
            const size_t first[2] = {at + 1 == h, i + 1 == w}, last[2] = {at == 0 ? 1 : 2, i == 0 ? 1 : 2};
            if (c < FLTX_LANES) {
                flt_vreal_store_part(y, surroundings(p, x, first, last, c), c);
                continue;
            }
            for (size_t k = 0; k + FLTX_LANES < c; k += FLTX_LANES)
                flt_vreal_store(y + k, surroundings(p, x + k, first, last, FLTX_LANES));
            const size_t k = c - FLTX_LANES;
            flt_vreal_store(y + k, surroundings(p, x + k, first, last, FLTX_LANES));
        }
}

const flt_patch_kernels FLTX_ISA_TABLE(flt_patch_kernels) = {.gather = gather, .sum = sum};
