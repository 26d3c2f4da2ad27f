// SPDX-License-Identifier: MIT
// Expressions of nested lists: MIN, MAX, MED (median, halves rounded down) and SM (sum modulo 10) over digits, "[MAX 2 9 [MIN 4 7
// ] 0 ]". A token is an operator with its bracket, a digit, or a closing bracket.
//
// Grown to an exact length, where the Long Range Arena draws trees until one has an allowed length: a root with two digits; then
// a random digit becomes a list of two (3 tokens more), or a random list gets a digit more at a random place (1 token), so that
// lists have (2 + arguments) / 2 members on average. N. Nangia, S. Bowman, ListOps, NAACL-SRW 2018; Y. Tay et al., Long Range
// Arena, ICLR 2021.
#ifndef FLTX_LISTOPS_H
#define FLTX_LISTOPS_H

#include "flt/error.h"
#include "flt/random.h"

enum { FLTX_LISTOPS_MIN = 10, FLTX_LISTOPS_MAX, FLTX_LISTOPS_MED, FLTX_LISTOPS_SM, FLTX_LISTOPS_END, FLTX_LISTOPS_PAD };
enum { FLTX_LISTOPS_SYMBOLS = 16, FLTX_LISTOPS_CLASSES = 10, FLTX_LISTOPS_ARGUMENTS = 16 };

typedef struct flt_listops_node flt_listops_node;
typedef struct flt_listops {
    size_t shortest, longest; // tokens; both 4 or more
    size_t nesting;           // lists within lists at most
    size_t arguments;         // members of a list at most: 4 .. FLTX_LISTOPS_ARGUMENTS
    flt_listops_node *node;   // [longest], scratch
    uint32_t *open, *roomy;   // [longest]
} flt_listops;

// Takes the four numbers from *s. FLTE_RANGE where lengths cannot be reached with them.
flt_err flt_listops_open(const char *who, flt_listops *s);
void flt_listops_close(flt_listops *s);

typedef struct flt_expression {
    size_t length, value;
} flt_expression;
// token [longest], padded; the length is uniform in shortest .. longest.
flt_expression flt_listops_draw(flt_listops *s, flt_rng r, flt_real *token);

// Lists around each token, 0 .. nesting: members of the root are at 1, an operator and its end where the list is a member; 0 for
// padding.
void flt_listops_levels(size_t n, const flt_real *token, flt_real *level);

const char *flt_listops_symbol(size_t token); // "7", "[MED", "]", "_"

#endif
