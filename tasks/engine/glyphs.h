// SPDX-License-Identifier: MIT
// A bitmap font of 8 x 8 cells drawn for this project: A .. Z, 0 .. 9.
#ifndef FLTX_GLYPHS_H
#define FLTX_GLYPHS_H

#include "flt/real.h"

enum { FLTX_GLYPHS = 36 };

typedef struct flt_glyph_place {
    double angle;       // radians, clockwise as seen
    double scale;       // 1: the cell fills the image
    double down, right; // in pixels of the cell
} flt_glyph_place;

// image [size, size], 0 paper .. 1 ink.
void flt_glyph_draw(size_t glyph, const flt_glyph_place *at, size_t size, flt_real *image);

#endif
