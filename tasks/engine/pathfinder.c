// SPDX-License-Identifier: MIT
// Drawing dashed paths: random walks of unit steps whose heading turns a little, begun again until they keep their distance.
#include "engine/pathfinder.h"
#include "flt/memory.h"

#include <math.h>
#include <string.h>

enum { PICTURES = 50, WALKS = 40, IN_PLACE = 4 /* steps for a pixel */ };

typedef struct pen {
    flt_pathfinder *s;
    flt_rng rng;
    uint64_t drawn;
} pen;

// ---- life

flt_err flt_pathfinder_open(const char *who, flt_pathfinder *s) {
    if (s->length > s->size)
        return flt_fail(FLTE_RANGE, who, "a path of %zu pixels; at most the %zu of a side", s->length, s->size);
    if (s->gap + 3 > s->size)
        return flt_fail(FLTE_RANGE, who, "gaps of %zu pixels keep paths %zu rows apart; there are %zu", s->gap, s->gap + 2,
                        s->size);
    FLTX_TRY(flt_alloc(s->size * s->size, sizeof *s->taken, &s->taken));
    return flt_alloc(2 * s->length, sizeof *s->path, &s->path);
}

void flt_pathfinder_close(flt_pathfinder *s) {
    flt_free(s->taken);
    flt_free(s->path);
    *s = (flt_pathfinder){0};
}

// ---- walks

static double uniform(pen *p) {
    return flt_rng_uniform_at(p->rng, p->drawn++);
}

static bool contains(const uint32_t *path, size_t n, uint32_t pixel) {
    while (n > 0 && path[n - 1] != pixel) n--;
    return n > 0;
}

// Pixels of a free walk; false where it leaves the square, comes too near to another path or meets itself.
static bool walk(pen *p, size_t length, uint32_t *path) {
    const double side = (double)p->s->size;
    double row = side * uniform(p), column = side * uniform(p), heading = FLTX_TWO_PI * uniform(p);
    size_t n = 0;
    for (size_t step = 0; step < IN_PLACE * length && n < length; step++) {
        if (row < 0.0 || row >= side || column < 0.0 || column >= side) return false;
        const uint32_t pixel = (uint32_t)row * (uint32_t)p->s->size + (uint32_t)column;
        const bool stays = n > 0 && path[n - 1] == pixel;
        if (p->s->taken[pixel] || (!stays && contains(path, n, pixel))) return false;
        if (!stays) path[n++] = pixel;
        heading += p->s->bend * (2.0 * uniform(p) - 1.0);
        row += sin(heading);
        column += cos(heading);
    }
    return n == length;
}

// A path may come near to itself: that joins nothing new.
static void keep_clear(flt_pathfinder *s, size_t length, const uint32_t *path) {
    const size_t reach = s->gap + 1, n = s->size;
    for (size_t i = 0; i < length; i++) {
        const size_t row = path[i] / n, column = path[i] % n;
        for (size_t r = row > reach ? row - reach : 0; r <= row + reach && r < n; r++)
            for (size_t c = column > reach ? column - reach : 0; c <= column + reach && c < n; c++) s->taken[r * n + c] = 1;
    }
}

static bool find(pen *p, size_t length, uint32_t *path) {
    for (size_t i = 0; i < WALKS; i++)
        if (walk(p, length, path)) {
            keep_clear(p->s, length, path);
            return true;
        }
    return false;
}

// Straight lines on the first and the last row.
static void rule(pen *p) {
    flt_pathfinder *s = p->s;
    for (size_t i = 0; i < s->length; i++) {
        s->path[i] = (uint32_t)i;
        s->path[s->length + i] = (uint32_t)((s->size - 1) * s->size + i);
    }
    keep_clear(s, 2 * s->length, s->path);
}

static void place_long(pen *p) {
    flt_pathfinder *s = p->s;
    for (size_t i = 0; i < PICTURES; i++) {
        memset(s->taken, 0, s->size * s->size);
        if (find(p, s->length, s->path) && find(p, s->length, s->path + s->length)) return;
    }
    memset(s->taken, 0, s->size * s->size);
    rule(p);
}

// ---- ink

// Both ends are drawn, whether the dashes end there or not.
static void ink(const flt_pathfinder *s, size_t length, const uint32_t *path, flt_real *pixel) {
    for (size_t i = 0; i < length; i++)
        if (i % (s->dash + s->gap) < s->dash || i + 1 == length) pixel[path[i]] = FLTX_PATHFINDER_DASH;
}

static double distance(const flt_pathfinder *s, uint32_t a, uint32_t b) {
    const double down = (double)(a / s->size) - (double)(b / s->size), right = (double)(a % s->size) - (double)(b % s->size);
    return sqrt(down * down + right * right);
}

static void put_dots(const flt_pathfinder *s, size_t joined, flt_real *pixel) {
    const uint32_t *p = s->path, *q = s->path + s->length, end[] = {p[0], p[s->length - 1], q[0], q[s->length - 1]};
    const double wanted = distance(s, end[0], end[1]);
    size_t from = 0, to = joined ? 1 : 2;
    for (size_t i = 0; !joined && i < 4; i++) {
        const double other = distance(s, end[i / 2], end[2 + i % 2]), best = distance(s, end[from], end[to]);
        if (fabs(other - wanted) >= fabs(best - wanted)) continue;
        from = i / 2;
        to = 2 + i % 2;
    }
    pixel[end[from]] = pixel[end[to]] = FLTX_PATHFINDER_DOT;
}

size_t flt_pathfinder_draw(flt_pathfinder *s, flt_rng stream, uint64_t number, flt_real *pixel) {
    const size_t joined = (number ^ flt_rng_bits(flt_rng_child(stream, "pair", 0), number / 2)) & 1, half = (s->length + 1) / 2;
    pen p = {.s = s, .rng = flt_rng_child(stream, "picture", number)};
    for (size_t i = 0; i < s->size * s->size; i++) pixel[i] = FLTX_PATHFINDER_PAPER;
    place_long(&p);
    ink(s, s->length, s->path, pixel);
    ink(s, s->length, s->path + s->length, pixel);
    put_dots(s, joined, pixel);
    for (size_t i = 0; i < s->distractors; i++)
        if (find(&p, half, s->path)) ink(s, half, s->path, pixel);
    return joined;
}

void flt_pathfinder_cut(const flt_pathfinder *s, size_t patch, const flt_real *pixel, flt_real *entry) {
    const size_t area = patch * patch, right = s->size / patch;
    for (size_t i = 0; i < s->size * s->size; i++) {
        const size_t token = i / area, place = i % area;
        const size_t row = token / right * patch + place / patch, column = token % right * patch + place % patch;
        entry[i] = (flt_real)(FLTX_PATHFINDER_SYMBOLS * place) + pixel[row * s->size + column];
    }
}
