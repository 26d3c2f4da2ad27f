// SPDX-License-Identifier: MIT
// Pictures of two dots that a dashed path joins, or does not.
//
// Two long paths and some short ones wander over a square; all are dashed alike, and no pixel of one comes nearer than gap + 2
// pixels (rows or columns, whichever is more) to another. Joined: the dots are the two ends of one long path. Not joined: an end
// of one and an end of the other, of the four pairs the one whose distance is closest to that of the ends of one path, as
// distance would tell much otherwise. Of examples 2j and 2j + 1 exactly one is joined. D. Linsley et al., Learning long-range
// spatial dependencies with horizontal gated recurrent units, NeurIPS 2018; Y. Tay et al., Long Range Arena, ICLR 2021.
#ifndef FLTX_PATHFINDER_H
#define FLTX_PATHFINDER_H

#include "flt/error.h"
#include "flt/random.h"

enum { FLTX_PATHFINDER_PAPER, FLTX_PATHFINDER_DASH, FLTX_PATHFINDER_DOT, FLTX_PATHFINDER_SYMBOLS };

typedef struct flt_pathfinder {
    size_t size;          // pixels on a side
    size_t length;        // of the long paths in pixels, gaps included; at most size
    size_t distractors;   // short paths, half as long; one that finds no place is left out
    size_t dash, gap;     // pixels drawn and left out
    double bend;          // largest turn from pixel to pixel, radians
    unsigned char *taken; // [size, size], scratch: too near to a path
    uint32_t *path;       // [2, length]: pixels of the long paths
} flt_pathfinder;

// Takes the numbers from *s. FLTE_RANGE where the long paths cannot lie side by side.
flt_err flt_pathfinder_open(const char *who, flt_pathfinder *s);
void flt_pathfinder_close(flt_pathfinder *s);

// pixel [size, size] of the symbols above; 1 where the dots are joined, else 0.
size_t flt_pathfinder_draw(flt_pathfinder *s, flt_rng stream, uint64_t number, flt_real *pixel);

// Pixels patch by patch, rows of patches and rows in them: entry [size^2] of a table [patch^2, symbols]. patch divides size.
void flt_pathfinder_cut(const flt_pathfinder *s, size_t patch, const flt_real *pixel, flt_real *entry);

#endif
