// SPDX-License-Identifier: MIT
// Relative encodings see differences of positions only: adding one vector s to every position leaves the output alone.
//
// For mechanisms that compute their mask this is an identity of the output. Random features break it at finite m, but in a known
// way: the shift turns each snippet pair (cos, sin) by 2 pi xi.s, and omega turned the same way undoes it: out(r; omega turned) =
// out(r + s; omega). The sines of spe_sine turn likewise, with z in place of omega; spe_conv reads its noise from the least
// position on. nprf takes positions in a row; fftnet takes none, but is a circular convolution up to its threshold: turning the
// sequence turns its output. (fourier is bound to the ends of the sequence.) It would fail for a cosine swapped with a sine, for
// absolute positions that slip in, for phases reduced in single precision.
#include "engine/oracle.h"

#include "flt/memory.h"

#include <math.h>
#include <string.h>

// A power of two, so that positions in [0, 1) move by at most 2^-43 in double.
static const double SHIFT = 512.0;

// Turns the snippet columns of omega [H, m, d + 2r] by the phases of the shift.
static flt_err turn_omega(const flt_problem *p, const flt_attention *plan, double **turned, flt_attention_arg *arg) {
    size_t dim[2] = {0}, freq[2] = {0};
    if (flt_oracle_draw(plan, "omega", 2, 0, dim) == NULL || flt_oracle_draw(plan, "xi", 2, 0, freq) == NULL)
        return flt_fail(FLTE_UNSUPPORTED, "translation", "%s reports no omega and xi to turn",
                        flt_attention_kind_of(plan)->kind.name);
    const size_t m = dim[0], width = dim[1], r = freq[0];
    FLTX_TRY(flt_alloc(p->H * m * width, sizeof **turned, turned));
    for (size_t h = 0; h < p->H; h++) {
        const double *omega = flt_oracle_draw(plan, "omega", 2, h, dim), *xi = flt_oracle_draw(plan, "xi", 2, h, freq);
        double *out = *turned + h * m * width;
        memcpy(out, omega, m * width * sizeof *out);
        for (size_t f = 0; f < r; f++) {
            double turns = 0.0;
            for (size_t a = 0; a < p->l; a++) turns += xi[f * p->l + a] * SHIFT;
            const double c = cos(FLTX_TWO_PI * (turns - floor(turns))), s = sin(FLTX_TWO_PI * (turns - floor(turns)));
            for (size_t i = 0; i < m; i++) {
                const double on_cos = omega[i * width + p->d + f], on_sin = omega[i * width + p->d + r + f];
                out[i * width + p->d + f] = on_cos * c + on_sin * s;
                out[i * width + p->d + r + f] = on_sin * c - on_cos * s;
            }
        }
    }
    *arg = (flt_attention_arg){"omega", 3, {p->H, m, width}, *turned};
    return FLTE_OK;
}

// The plan at the original positions; *out has the draws of the plan at the shifted ones, omega turned where there is one.
static flt_err plan_here(const flt_problem *p, const flt_attention_kind *kind, const flt_attention *there, double **turned,
                         flt_attention **out) {
    flt_attention_arg omega = {0};
    if ((kind->kind.caps & FLTX_ATT_RANDOM) == 0) return flt_problem_plan(p, kind, 1, 0, NULL, out);
    FLTX_TRY(turn_omega(p, there, turned, &omega));
    return flt_problem_plan(p, kind, 1, 1, &omega, out);
}

static void shift(flt_problem *p, double by) {
    for (size_t i = 0; i < p->N * p->l; i++) p->pos[i] += by;
}

static flt_err on_problem(flt_check_context *c, const flt_attention_kind *kind, flt_problem *p) {
    flt_attention *here = NULL, *there = NULL;
    flt_real *want = NULL;
    double *turned = NULL;
    for (size_t i = 0; i < p->N * p->l; i++) p->pos[i] = floor(p->pos[i] * 1024.0) / 1024.0; // exact at both places
    shift(p, SHIFT);
    flt_err err = flt_problem_plan(p, kind, 1, 0, NULL, &there);
    shift(p, -SHIFT);
    if (err == FLTE_OK) err = plan_here(p, kind, there, &turned, &here);
    if (err == FLTE_OK) err = flt_alloc(flt_problem_rows(p) * p->dv, sizeof *want, &want);
    if (err == FLTE_OK) {
        // the phases xi.(r + s) and xi.s carry a rounding of their own, in double: far below float, several digits of double
        const double slack = SHIFT * 2.2e-16 * 40.0 / FLTX_EPS, exponent = (kind->kind.caps & FLTX_ATT_RANDOM) != 0 ? 40.0 : 8.0;
        flt_attention_forward(here, p->q, p->k, p->v, want);
        flt_attention_forward(there, p->q, p->k, p->v, p->out);
        err = flt_check_case(c, kind->kind.name, flt_problem_label(p, "positions + 512"),
                             flt_output_ratio(p, p->out, want, exponent + slack));
    }
    flt_free(want);
    flt_free(turned);
    flt_attention_destroy(here);
    flt_attention_destroy(there);
    return err;
}

// ---- positions in a row; token numbers

static flt_err row_plan(const flt_problem *p, const flt_attention_kind *kind, double from, double *pos, flt_attention **out) {
    for (size_t i = 0; i < p->N; i++) pos[i] = from + 0.125 * (double)i;
    const flt_attention_arg args[] = {
        {"pos", 2, {p->N, 1}, pos}, {"w", 1, {2}, p->w}, {"mu", 2, {2, 1}, p->mu}, {"s2", 1, {2}, p->s2}};
    return flt_problem_plan(p, kind, 1, sizeof args / sizeof *args, args, out);
}

static flt_err on_row(flt_check_context *c, const flt_attention_kind *kind, flt_problem *p) {
    flt_attention *here = NULL, *there = NULL;
    flt_real *want = NULL;
    double *pos = NULL;
    p->options = "rpe=gaussian_mixture,crossover=64";
    flt_err err = flt_alloc(p->N, sizeof *pos, &pos);
    if (err == FLTE_OK) err = row_plan(p, kind, 0.0, pos, &here);
    if (err == FLTE_OK) err = row_plan(p, kind, SHIFT, pos, &there);
    if (err == FLTE_OK) err = flt_alloc(flt_problem_rows(p) * p->dv, sizeof *want, &want);
    if (err == FLTE_OK) {
        flt_attention_forward(here, p->q, p->k, p->v, want);
        flt_attention_forward(there, p->q, p->k, p->v, p->out);
        err = flt_check_case(c, kind->kind.name, flt_problem_label(p, "positions in a row + 512"),
                             flt_output_ratio(p, p->out, want, 8.0));
    }
    flt_free(want);
    flt_free(pos);
    flt_attention_destroy(here);
    flt_attention_destroy(there);
    return err;
}

// z [H, d, 2K, R] of the plan, every pair of waves turned by the shift: what a plan needs to code r as this one codes r + s.
static flt_err turn_waves(const flt_problem *p, const flt_attention *plan, double **turned, flt_attention_arg *arg) {
    size_t dim[3] = {0}, pair[2] = {0};
    if (flt_oracle_draw(plan, "freqs", 2, 0, pair) == NULL) return FLTE_OK; // spe_conv: the noise stays
    flt_oracle_draw(plan, "z", 3, 0, dim);
    const size_t K = pair[1], R = dim[2], count = dim[0] * dim[1] * R;
    FLTX_TRY(flt_alloc(p->H * count, sizeof **turned, turned));
    for (size_t h = 0; h < p->H; h++) {
        const double *z = flt_oracle_draw(plan, "z", 3, h, dim), *f = flt_oracle_draw(plan, "freqs", 2, h, pair);
        for (size_t w = 0; w < dim[0] * K; w++) {
            const double turns = f[w] * SHIFT, c = cos(FLTX_TWO_PI * (turns - floor(turns))),
                         s = sin(FLTX_TWO_PI * (turns - floor(turns)));
            for (size_t r = 0; r < R; r++) {
                const double on_cos = z[2 * w * R + r], on_sin = z[(2 * w + 1) * R + r];
                (*turned)[h * count + 2 * w * R + r] = on_cos * c + on_sin * s;
                (*turned)[h * count + (2 * w + 1) * R + r] = on_sin * c - on_cos * s;
            }
        }
    }
    *arg = (flt_attention_arg){"z", 4, {p->H, dim[0], dim[1], R}, *turned};
    return FLTE_OK;
}

static flt_err on_codes(flt_check_context *c, const flt_attention_kind *kind, flt_problem *p) {
    flt_attention *here = NULL, *there = NULL;
    flt_real *want = NULL;
    double *pos = NULL, *turned = NULL;
    flt_attention_arg args[2];
    flt_err err = flt_alloc(p->N, sizeof *pos, &pos);
    for (size_t i = 0; err == FLTE_OK && i < p->N; i++) pos[i] = SHIFT + (double)(i + i / 5); // with gaps
    args[0] = (flt_attention_arg){"pos", 2, {p->N, 1}, pos}, args[1].name = NULL;
    if (err == FLTE_OK) err = flt_problem_plan(p, kind, 1, 1, args, &there);
    if (err == FLTE_OK) err = turn_waves(p, there, &turned, &args[1]);
    for (size_t i = 0; err == FLTE_OK && i < p->N; i++) pos[i] -= SHIFT;
    if (err == FLTE_OK) err = flt_problem_plan(p, kind, 1, args[1].name == NULL ? 1 : 2, args, &here);
    if (err == FLTE_OK) err = flt_alloc(flt_problem_rows(p) * p->dv, sizeof *want, &want);
    if (err == FLTE_OK) {
        flt_attention_forward(here, p->q, p->k, p->v, want);
        flt_attention_forward(there, p->q, p->k, p->v, p->out);
        err = flt_check_case(c, kind->kind.name, flt_problem_label(p, "token numbers + 512"),
                             flt_output_ratio(p, p->out, want, 40.0));
    }
    flt_free(want);
    flt_free(turned);
    flt_free(pos);
    flt_attention_destroy(here);
    flt_attention_destroy(there);
    return err;
}

// y [B H, N, d] = x turned by `by` tokens
static void turn(const flt_problem *p, size_t by, const flt_real *x, flt_real *y) {
    for (size_t row = 0; row < flt_problem_rows(p); row++) {
        const size_t to = row - row % p->N + (row + by) % p->N;
        memcpy(y + to * p->d, x + row * p->d, p->d * sizeof *y);
    }
}

static flt_err on_ring(flt_check_context *c, const flt_attention_kind *kind, flt_problem *p) {
    flt_attention *plan = NULL;
    flt_real *want = NULL;
    const size_t by = 1 + p->N / 3;
    flt_err err = flt_problem_plan(p, kind, 1, 0, NULL, &plan);
    if (err == FLTE_OK) err = flt_alloc(flt_problem_rows(p) * p->d, sizeof *want, &want);
    if (err == FLTE_OK) {
        flt_attention_forward(plan, p->q, NULL, NULL, p->out);
        turn(p, by, p->out, want);
        turn(p, by, p->q, p->k);
        flt_attention_forward(plan, p->k, NULL, NULL, p->out);
        err =
            flt_check_case(c, kind->kind.name, flt_problem_label(p, "turned by a third"), flt_output_ratio(p, p->out, want, 8.0));
    }
    flt_free(want);
    flt_attention_destroy(plan);
    return err;
}

static flt_err on_mechanism(flt_check_context *c, const flt_attention_kind *kind) {
    if ((kind->kind.caps & FLTX_ATT_RPE) != 0) return flt_each_problem(c, kind, on_problem);
    if ((kind->kind.caps & FLTX_ATT_MIXING) != 0) return flt_each_problem(c, kind, on_ring);
    if (strncmp(kind->kind.name, "spe_", 4) == 0) return flt_each_problem(c, kind, on_codes);
    return strcmp(kind->kind.name, "nprf") == 0 ? flt_each_problem(c, kind, on_row) : FLTE_OK;
}
static flt_err run(flt_check_context *c) {
    return flt_each_mechanism(c, 0, on_mechanism);
}

const flt_check_kind flt_check_kind_translation = {
    .kind = {.name = "translation",
             .summary = "a shift of all positions leaves the output alone",
             .formula = "out(r + s) = out(r); with random features, omega turned by 2 pi xi.s",
             .caps = FLTX_CHECK_QUICK | FLTX_CHECK_FULL},
    .run = run};
