// SPDX-License-Identifier: MIT
// What the hand-designed optimizers share: sizes, a state that starts at zero, scratch, and the learning rate with its schedule.
//
// A kind's own struct begins with a flt_hand; its parameter table names "lr" and ends with FLTX_HAND_SCHEDULE.
#ifndef FLTX_OPTIMIZERS_HAND_H
#define FLTX_OPTIMIZERS_HAND_H

#include "engine/schedule.h"
#include "flt/optimizer.h"
#include "kernels/elementwise.h"

typedef struct flt_hand {
    size_t P, words;   // parameters, words of state
    flt_layout layout; // a copy
    double lr, decay;  // "lr", "weight_decay" (0 where the table has none)
    flt_schedule schedule;
    double warmup, total; // steps
    flt_real *work;       // [work]
    const flt_elementwise *kernels;
} flt_hand;

#define FLTX_HAND_SCHEDULE                                                                                                       \
    {"schedule", FLTX_ENUM, "constant", 0, 0, "constant|cosine|linear", "course of the rate behind the warm-up"},                \
        {"warmup", FLTX_INT, "0", 0, 1e15, NULL, "steps in which the rate rises linearly to lr"}, {                              \
        "total", FLTX_INT, "0", 0, 1e15, NULL, "step at which a cosine or linear schedule reaches 0; above warmup"               \
    }

// *self: a zeroed struct of `size` bytes with its flt_hand filled; `words` of state, `work` reals of scratch.
// Errors: FLTE_RANGE (a schedule without an end), FLTE_NOMEM. On failure nothing is left.
flt_err flt_hand_create(const flt_params *p, const flt_layout *layout, size_t size, size_t words, size_t work, void *self);
void flt_hand_destroy(void *self); // NULL is fine
size_t flt_hand_words(const void *self);
void flt_hand_init(void *self, flt_real *state); // zeros

// The rate of step t, 0 at the first: the course of schedule.h with lr for its peak and 0 for its end.
double flt_hand_rate(const flt_hand *s, uint64_t t);

#endif
