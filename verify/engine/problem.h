// SPDX-License-Identifier: MIT
// Random inputs of attention, plans over them, and what checks do with them again and again.
#ifndef FLTX_PROBLEM_H
#define FLTX_PROBLEM_H

#include "engine/encodings.h"
#include "flt/attention.h"
#include "flt/verify.h"

// Shape and arrays of one case. The first group is given, the second is filled by flt_problem_create.
typedef struct flt_problem {
    size_t B, H, N, d, dv, l, m, r;
    bool causal;
    double scale; // standard deviation of q and k
    uint64_t seed;
    bool backward;       // plans have a backward pass
    const char *options; // further parameters of the mechanism, "features=relu"; NULL: none
    bool plain;          // plans get no encoding and no positions
    // In place of the mixture, for mechanisms that take an encoding; borrowed, l = 1, tokens evenly spaced. NULL: the mixture.
    const flt_encoding_case *encoding;

    flt_real *q, *k, *v, *out; // [B, H, N, d], .., [B, H, N, dv]
    double *pos;               // [N, l], in [0, 1)
    double w[2], mu[6], s2[2]; // a mixture of two components, for mechanisms that take an encoding
} flt_problem;

flt_err flt_problem_create(const flt_problem *shape, flt_problem **out);
void flt_problem_destroy(flt_problem *p);      // NULL is fine
size_t flt_problem_rows(const flt_problem *p); // B H N
size_t flt_problem_keep(const flt_problem *p); // rows that a mechanism which shortens is asked to keep

// "causal B=1 H=2 N=33 d=8": the label of a case. The text lives until the next call of this thread.
const char *flt_problem_label(const flt_problem *p, const char *extra);

// A plan of `kind` over the problem: m and r are set where the mechanism has them, encodings are the problem's mixture, positions
// are the problem's. Extra arguments are appended. threads as in flt_attention_desc.
flt_err flt_problem_plan(const flt_problem *p, const flt_attention_kind *kind, int threads, size_t n_extra,
                         const flt_attention_arg *extra, flt_attention **out);

// Does the configuration ask for this mechanism?
bool flt_problem_selected(const flt_verify_config *c, const char *name);

// Runs `body` for every mechanism that the configuration selects and that has all bits of `caps`; stops at the first error
// that flt_check_unable does not take.
typedef flt_err (*flt_mechanism_body)(flt_check_context *c, const flt_attention_kind *kind);
flt_err flt_each_mechanism(flt_check_context *c, unsigned caps, flt_mechanism_body body);

// Runs `body` on problems of the level's sizes, bidirectional and (where the mechanism can) causal.
typedef flt_err (*flt_problem_body)(flt_check_context *c, const flt_attention_kind *kind, flt_problem *p);
flt_err flt_each_problem(flt_check_context *c, const flt_attention_kind *kind, flt_problem_body body);

// The same with a backward pass, for differences, which know no kinks: where magnitudes are held against a threshold, all of them
// pass it, far below the bound of its division. A `bias` among the arguments gives way to that. Writes p->options and
// p->backward.
flt_err flt_problem_plan_smooth(flt_problem *p, const flt_attention_kind *kind, size_t n_extra, const flt_attention_arg *extra,
                                flt_attention **out);

// Least time of three forward passes: the others were disturbed. Writes p->out.
double flt_problem_seconds(const flt_problem *p, flt_attention *plan);

// ratio of two outputs of the same problem in units of eps times the growth of `exponent` (largest argument of exp) and of sums
// over N keys; scale is the largest |v|.
double flt_output_ratio(const flt_problem *p, const flt_real *got, const flt_real *want, double exponent);

#endif
