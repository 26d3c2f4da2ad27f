// SPDX-License-Identifier: MIT
// The font and its drawing: upright glyphs are their bitmaps, all differ, turns and shifts move the ink as they say.
#include "engine/glyphs.h"
#include "support.h"

static const flt_glyph_place upright = {.scale = 1.0, .down = -0.5, .right = -0.5}; // undoes that 8 has no middle pixel

Test(glyphs, upright_are_black_and_white_and_all_different) {
    flt_real image[FLTX_GLYPHS][64];
    for (size_t i = 0; i < FLTX_GLYPHS; i++) {
        double ink = 0.0;
        flt_glyph_draw(i, &upright, 8, image[i]);
        for (size_t k = 0; k < 64; k++) {
            cr_assert(image[i][k] == 0 || image[i][k] == 1, "glyph %zu, pixel %zu: %g", i, k, (double)image[i][k]);
            ink += (double)image[i][k];
        }
        cr_assert(ink >= 8 && ink <= 22, "glyph %zu: %g", i, ink);
        for (size_t j = 0; j < i; j++) {
            size_t different = 0;
            for (size_t k = 0; k < 64; k++) different += image[i][k] != image[j][k];
            cr_assert(different >= 2, "glyphs %zu and %zu differ in %zu pixels", i, j, different);
        }
    }
}

// 'L' has its stroke on the left and its foot at the bottom: centres of mass of its ink say where they are.
static void centre(size_t glyph, flt_glyph_place at, size_t size, double *down, double *right, double *ink) {
    flt_real *image = vector(size * size);
    *down = *right = *ink = 0.0;
    flt_glyph_draw(glyph, &at, size, image);
    for (size_t y = 0; y < size; y++)
        for (size_t x = 0; x < size; x++) {
            const double dark = (double)image[y * size + x];
            *ink += dark;
            *down += dark * ((double)y + 0.5 - 0.5 * (double)size);
            *right += dark * ((double)x + 0.5 - 0.5 * (double)size);
        }
    *down /= *ink;
    *right /= *ink;
    free(image);
}

Test(glyphs, move_turn_and_grow) {
    enum { L = 'L' - 'A' };
    double down, right, ink, d, r, k;
    centre(L, (flt_glyph_place){.scale = 0.8}, 40, &down, &right, &ink);
    cr_assert(down > 1 && right < -1, "upright: %g, %g", down, right);
    centre(L, (flt_glyph_place){.scale = 0.8, .down = 1, .right = -0.5}, 40, &d, &r, &k);
    cr_assert(fabs(d - down - 5) < 0.3 && fabs(r - right + 2.5) < 0.3, "moved by %g, %g", d - down, r - right);
    centre(L, (flt_glyph_place){.scale = 0.8, .angle = M_PI / 2}, 40, &d, &r, &k);
    cr_assert(fabs(d - right) < 0.3 && fabs(r + down) < 0.3, "a quarter turn clockwise: %g, %g from %g, %g", d, r, down, right);
    centre(L, (flt_glyph_place){.scale = 0.4}, 40, &d, &r, &k);
    cr_assert(fabs(k / ink - 0.25) < 0.02, "half the size has %g of the ink", k / ink);
}

Test(glyphs, task_draws_every_class_evenly) {
    flt_objective *o = make("glyphs:classes=3,depth=0,batch=3000");
    flt_real *theta = vector(o->layout.total), *g = vector(o->layout.total);
    o->gradient(o->self, (flt_batch){1, FLTX_VALID, 2}, theta, g);
    const flt_real *bias = g + flt_layout_find(&o->layout, "layers.0.b")->offset; // 1/3 - share
    for (size_t c = 0; c < 3; c++)
        cr_assert(fabs((double)bias[c]) < 5 * sqrt(2.0 / 9.0 / 3000), "class %zu: %g", c, (double)bias[c]);
    free(theta);
    free(g);
    flt_objective_destroy(o);
}
