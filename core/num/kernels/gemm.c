// SPDX-License-Identifier: MIT
// Dense products by register tiles, for sizes at which a library call does not pay and for machines that the library does not
// know.
//
// C is computed in panels of two vectors of columns and in tiles of ROWS rows, which stay in registers while k runs. A is read
// element by element as it lies, B by vectors of a row. Where B is stored transposed, ends within a vector or has distant rows,
// its panel is first copied to the stack; so is a block of a large A that is stored transposed. Large products run in blocks of
// HEIGHT rows and DEPTH terms, whose parts of A and B stay in the caches (Goto, van de Geijn, ACM TOMS 34, 2008, in small).
//
// Every element of C is summed over k in the same order, whatever its tile: rows of a product do not depend on how many there
// are. Only a single row times a transposed B is a row of dot products.
#include "num/kernels/gemm.h"

#include "flt/simd.h"

enum {
    // their sums, a row of B and a number of A fill the registers
    ROWS = FLTX_VBYTES == 64   ? 8
           : FLTX_VBYTES == 32 ? 6
                               : 4,
    TALL_ROWS = 2 * ROWS, // of tiles that are one vector wide
    PANEL = 2 * FLTX_LANES,
    HEIGHT = ROWS == 6 ? 132 : 128,
    DEPTH = 256,
    NEAR = 288,                              // rows closer than this many elements are read where they lie
    SPREAD = HEIGHT + 64 / sizeof(flt_real), // distance of rows in the copy of A: no power of two
    CACHE = 32768,                           // bytes of the first-level cache
};

// Keeps the compiler from carrying a pointer for each row of a tile on to the next: more of them than there are registers.
#if defined(__x86_64__)
#define ANEW(index) __asm__("" : "+r"(index))
#else
#define ANEW(index) (void)(index)
#endif

// Rows i .. of C from their sums; vectors, plain, added, less are constants at every call. plain: alpha is 1 and the last vector
// whole; added, less: there may be a D, an s.
FLTX_INLINE void store_tile(const num_product *p, size_t i, int rows, int vectors, bool plain, bool added, bool less,
                            flt_vreal sum[TALL_ROWS][2]) {
    const flt_real *d = added && p->d != NULL ? p->d + i * p->ldd : NULL;
    flt_real *c = p->c + i * p->ldc;
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++) {
        const flt_vreal off = flt_vreal_set(less && p->s != NULL ? p->s[i + (size_t)r] : 0);
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) {
            const size_t at = (size_t)v * FLTX_LANES, width = plain ? FLTX_LANES : p->n - at;
            flt_vreal product = plain ? sum[r][v] : p->alpha * sum[r][v];
            FLTX_OPAQUE(product);
            if (less) product -= off;
            if (d != NULL) product += flt_vreal_load_up_to(d + at, width);
            flt_vreal_store_up_to(c + at, product, width);
        }
        if (d != NULL) d += p->ldd;
        c += p->ldc;
    }
}

// Rows i .. i + rows - 1 of a product that is one panel wide and has B as rows of whole vectors; rows, vectors, ta are constants
// at every call.
FLTX_INLINE void multiply_tile(const num_product *p, size_t i, int rows, int vectors, bool ta) {
    ANEW(i);
    const size_t down = ta ? 1 : p->lda, along = ta ? p->lda : 1, depth = p->k;
    const flt_real *a = p->a + i * down, *b = p->b;
    flt_vreal sum[TALL_ROWS][2];
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++) {
        sum[r][0] = sum[r][1] = flt_vreal_set(0);
        // a whole panel before its turn: a large D, as a table of positions, comes from memory
        if (p->d != NULL) __builtin_prefetch(p->d + (i + (size_t)r) * p->ldd + PANEL);
        if (p->next != 0) __builtin_prefetch((const void *)(p->next + (i + (size_t)r) * p->lda * sizeof *a));
    }
    for (size_t l = 0; l < depth; l++, a += along, b += p->ldb) {
        const flt_vreal b0 = flt_vreal_load(b), b1 = vectors > 1 ? flt_vreal_load(b + FLTX_LANES) : b0;
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++) {
            const flt_vreal x = flt_vreal_set(a[(size_t)r * down]);
            sum[r][0] += x * b0;
            if (vectors > 1) sum[r][1] += x * b1;
        }
    }
    if (p->n < (size_t)vectors * FLTX_LANES || p->alpha != 1)
        store_tile(p, i, rows, vectors, false, true, true, sum);
    else if (p->s != NULL)
        store_tile(p, i, rows, vectors, true, true, true, sum);
    else if (p->d != NULL)
        store_tile(p, i, rows, vectors, true, true, false, sum);
    else
        store_tile(p, i, rows, vectors, true, false, false, sum);
}

FLTX_INLINE void multiply_rows(const num_product *p, int vectors, bool ta) {
    size_t i = 0;
    if (vectors == 1 && ta)
        for (; i + TALL_ROWS <= p->m; i += TALL_ROWS) multiply_tile(p, i, TALL_ROWS, 1, ta);
    // eight rows are two tiles of four rather than one of six and a small one
    for (; i + ROWS <= p->m && (ROWS != 6 || p->m - i != 8); i += ROWS) multiply_tile(p, i, ROWS, vectors, ta);
    for (; ROWS > 4 && i + 4 <= p->m; i += 4) multiply_tile(p, i, 4, vectors, ta);
    for (; i + 2 <= p->m; i += 2) multiply_tile(p, i, 2, vectors, ta);
    if (i < p->m) multiply_tile(p, i, 1, vectors, ta);
}

static void multiply_panel(const num_product *p) {
    if (p->n <= FLTX_LANES && p->ta)
        multiply_rows(p, 1, true);
    else if (p->n <= FLTX_LANES)
        multiply_rows(p, 1, false);
    else if (p->ta)
        multiply_rows(p, 2, true);
    else
        multiply_rows(p, 2, false);
}

// ---- copies of panels, [k, PANEL] with zeros to the right

// from b [width, k]
static void pack_transposed(size_t width, size_t k, const flt_real *b, size_t ldb, flt_real *out) {
    for (size_t j = 0; j < width; j += FLTX_LANES)
        for (size_t l = 0; l < k; l += FLTX_LANES) {
            flt_vreal rows[FLTX_LANES];
#pragma GCC unroll 16
            for (size_t r = 0; r < FLTX_LANES; r++)
                rows[r] = j + r < width ? flt_vreal_load_up_to(b + (j + r) * ldb + l, k - l) : flt_vreal_set(0);
            flt_vreal_transpose(rows);
#pragma GCC unroll 16
            for (size_t r = 0; r < FLTX_LANES; r++)
                if (l + r < k) flt_vreal_store(out + (l + r) * PANEL + j, rows[r]);
        }
}

// from b [k, width]
static void pack_rows(size_t width, size_t k, const flt_real *b, size_t ldb, flt_real *out) {
    for (size_t l = 0; l < k; l++, b += ldb, out += PANEL) {
        flt_vreal_store(out, flt_vreal_load_up_to(b, width));
        if (width > FLTX_LANES) flt_vreal_store(out + FLTX_LANES, flt_vreal_load_up_to(b + FLTX_LANES, width - FLTX_LANES));
    }
}

// from a [k, height]; rows of the copy are SPREAD apart
static void copy_rows(size_t height, size_t k, const flt_real *a, size_t lda, flt_real *out) {
    for (size_t l = 0; l < k; l++, a += lda, out += SPREAD)
        for (size_t i = 0; i < height; i += FLTX_LANES) flt_vreal_store(out + i, flt_vreal_load_up_to(a + i, height - i));
}

// ---- large products in blocks

typedef struct buffers {
    _Alignas(64) flt_real a[DEPTH * SPREAD], b[DEPTH * PANEL];
} buffers;

// Whether pieces of k rows, each `stride` elements behind the other, are better read from a copy: they lie far apart, or would
// push each other out of the cache, of which a large power of two between them leaves a part alone.
static bool scattered(size_t k, size_t stride) {
    const size_t bytes = stride * sizeof(flt_real), power = bytes & (~bytes + 1);
    return stride > NEAR || k * power > CACHE;
}

// The next product with the same B is likely to have the rows of A that follow: tiles of panel j ask for a line of each.
static uintptr_t next_rows(const num_product *p, size_t i, size_t j) {
    const size_t line = j / PANEL * (64 / sizeof(flt_real));
    return p->ldb == 0 && line < p->k ? (uintptr_t)p->a + ((p->m + i) * p->lda + line) * sizeof *p->a : 0;
}

// Rows i .. and terms l .. of p, not more than HEIGHT and DEPTH of them, over all panels.
static void multiply_block(const num_product *p, size_t i, size_t l, buffers *copy) {
    const size_t m = p->m - i < HEIGHT ? p->m - i : HEIGHT, k = p->k - l < DEPTH ? p->k - l : DEPTH;
    const flt_real *a = p->a + (p->ta ? l * p->lda + i : i * p->lda + l), *b = p->b + (p->tb ? l : l * p->ldb);
    const flt_real *d = l > 0 ? p->c : p->d;
    const size_t ldd = l > 0 ? p->ldc : p->ldd;
    const bool panels = p->ldb == 0;
    const bool far_a = p->ta && p->n > PANEL && scattered(k, p->lda); // to be read again for each panel
    const bool far_b = m >= 2 * ROWS && scattered(k, p->ldb);
    if (far_a) copy_rows(m, k, a, p->lda, copy->a);
    for (size_t j = 0; j < p->n; j += PANEL) {
        const size_t n = p->n - j < PANEL ? p->n - j : PANEL;
        const bool packed = !panels && (p->tb || far_b || n % FLTX_LANES != 0);
        if (p->tb)
            pack_transposed(n, k, b + j * p->ldb, p->ldb, copy->b);
        else if (packed)
            pack_rows(n, k, b + j, p->ldb, copy->b);
        multiply_panel(&(num_product){.ta = p->ta,
                                      .m = m,
                                      .n = n,
                                      .k = k,
                                      .alpha = p->alpha,
                                      .a = far_a ? copy->a : a,
                                      .lda = far_a ? SPREAD : p->lda,
                                      .b = packed   ? copy->b
                                           : panels ? b + j * p->k + l * PANEL
                                                    : b + j,
                                      .ldb = packed || panels ? PANEL : p->ldb,
                                      .d = d == NULL ? NULL : d + i * ldd + j,
                                      .ldd = ldd,
                                      .s = l > 0 || p->s == NULL ? NULL : p->s + i,
                                      .c = p->c + i * p->ldc + j,
                                      .ldc = p->ldc,
                                      .next = next_rows(p, i, j)});
    }
}

static void multiply_blocks(const num_product *p) {
    buffers copy;
    for (size_t l = 0; l < p->k; l += DEPTH)
        for (size_t i = 0; i < p->m; i += HEIGHT) multiply_block(p, i, l, &copy);
}

// ---- narrow products of a transposed A, whose vectors would be half empty: C' = B' A, turned afterwards

enum { TURNED = 128 }; // rows of C at once

static bool is_narrow(const num_product *p) {
    const size_t vectors = (p->n + FLTX_LANES - 1) / FLTX_LANES, columns = (p->m + FLTX_LANES - 1) / FLTX_LANES;
    return p->ta && !p->tb && p->ldb != 0 && p->d == NULL && p->s == NULL && p->m >= PANEL && p->n > ROWS && vectors <= 2 &&
           5 * p->n * columns < 4 * p->m * vectors;
}

// Columns j .. of `height` rows of C from the rows of x, TURNED apart; width is at most FLTX_LANES.
FLTX_INLINE void turn_columns(size_t height, size_t j, size_t width, const flt_real *x, flt_real *c, size_t ldc) {
    for (size_t i = 0; i < height; i += FLTX_LANES) {
        flt_vreal rows[FLTX_LANES];
#pragma GCC unroll 16
        for (size_t r = 0; r < FLTX_LANES; r++)
            rows[r] = r < width ? flt_vreal_load_up_to(x + (j + r) * TURNED + i, height - i) : flt_vreal_set(0);
        flt_vreal_transpose(rows);
#pragma GCC unroll 16
        for (size_t r = 0; r < FLTX_LANES; r++) {
            if (i + r < height) flt_vreal_store_up_to(c + (i + r) * ldc + j, rows[r], width);
        }
    }
}

static void multiply_turned(const num_product *p) {
    _Alignas(64) flt_real x[PANEL * TURNED];
    for (size_t i = 0; i < p->m; i += TURNED) {
        const size_t height = p->m - i < TURNED ? p->m - i : TURNED;
        flt_real *c = p->c + i * p->ldc;
        multiply_blocks(&(num_product){.ta = true,
                                       .m = p->n,
                                       .n = height,
                                       .k = p->k,
                                       .alpha = p->alpha,
                                       .a = p->b,
                                       .lda = p->ldb,
                                       .b = p->a + i,
                                       .ldb = p->lda,
                                       .c = x,
                                       .ldc = TURNED});
        if (p->n < FLTX_LANES) {
            turn_columns(height, 0, p->n, x, c, p->ldc);
            continue;
        }
        turn_columns(height, 0, FLTX_LANES, x, c, p->ldc);
        // the last columns come with some before them, to be a whole vector
        if (p->n > FLTX_LANES) turn_columns(height, p->n - FLTX_LANES, FLTX_LANES, x, c, p->ldc);
    }
}

// ---- one row of C, [1, k] times b [n, k] transposed

FLTX_INLINE void multiply_dots(const num_product *p, size_t j, int count) {
    flt_vreal sum[4];
#pragma GCC unroll 4
    for (int r = 0; r < count; r++) sum[r] = flt_vreal_set(0);
    for (size_t l = 0; l < p->k; l += FLTX_LANES) {
        const flt_vreal x = flt_vreal_load_up_to(p->a + l, p->k - l);
#pragma GCC unroll 4
        for (int r = 0; r < count; r++) sum[r] += x * flt_vreal_load_up_to(p->b + (j + (size_t)r) * p->ldb + l, p->k - l);
    }
#pragma GCC unroll 4
    for (int r = 0; r < count; r++) {
        flt_real *c = p->c + j + r;
        flt_real product = p->alpha * flt_vreal_sum(sum[r]);
        FLTX_OPAQUE(product);
        if (p->s != NULL) product -= *p->s;
        *c = p->d == NULL ? product : product + p->d[j + r];
    }
}

static void multiply(const num_product *p) {
    size_t j = 0;
    if (is_narrow(p)) {
        multiply_turned(p);
        return;
    }
    if (p->m > 1 || !p->tb || (p->ta && p->lda != 1)) {
        multiply_blocks(p);
        return;
    }
    for (; j + 4 <= p->n; j += 4) multiply_dots(p, j, 4);
    for (; j < p->n; j++) multiply_dots(p, j, 1);
}

static void fill_panels(size_t k, size_t n, const flt_real *b, size_t ldb, flt_real *panels) {
    for (size_t j = 0; j < n; j += PANEL, panels += k * PANEL) pack_rows(n - j < PANEL ? n - j : PANEL, k, b + j, ldb, panels);
}

static void turn_panels(size_t k, size_t n, const flt_real *cosine, const flt_real *sine, const flt_real *x, const flt_real *y,
                        flt_real *to_x, flt_real *to_y) {
    for (size_t j = 0; j < n; j += PANEL) {
        for (size_t l = 0; l < k; l++, x += PANEL, y += PANEL, to_x += PANEL, to_y += PANEL) {
            const flt_vreal c = flt_vreal_set(cosine[l]), s = flt_vreal_set(sine[l]);
#pragma GCC unroll 2
            for (size_t v = 0; v < PANEL; v += FLTX_LANES) {
                const flt_vreal from_x = flt_vreal_load(x + v), from_y = flt_vreal_load(y + v);
                flt_vreal_store(to_x + v, c * from_x + s * from_y);
                flt_vreal_store(to_y + v, c * from_y - s * from_x);
            }
        }
    }
}

const num_gemm FLTX_ISA_TABLE(num_gemm) = {
    .vector_bytes = FLTX_VBYTES, .panel = PANEL, .multiply = multiply, .fill_panels = fill_panels, .turn_panels = turn_panels};
