// SPDX-License-Identifier: MIT
// Relative positional encodings: f(z), z = r_i - r_j, is added to the logits of attention; g is its Fourier spectrum,
// f(z) = int g(xi) e^{2 pi i xi.z} dxi (AISTATS 2024, arXiv 2302.01925). One kind per file in core/rpe/.
//
// Positions and frequencies are double throughout: phases 2 pi xi.r are formed and reduced in double, so that positions up to
// 1e6 keep float accuracy.
#ifndef FLTX_RPE_H
#define FLTX_RPE_H

#include "flt/random.h"
#include "flt/registry.h"

FLTX_BEGIN_DECLS

// Arrays of one head, by the names that `flt attend` uses. Unused ones are NULL / 0.
typedef struct flt_rpe_args {
    size_t l;                  // position dimension
    size_t t;                  // mixture components
    const double *w, *mu, *s2; // gaussian_mixture: [t], [t, l], [t]
    double c, v;               // amplitude; half-width of local encodings (window: an integer)
    double scale;              // length scale of kernels
    double slope, decay;       // alibi; exponential
    double band;               // box, ball: largest frequency that is drawn, in units of 1/v
    size_t n;                  // lag_table: lags -(n-1) .. n-1
    const double *lag_bias;    // [2n - 1]: b_{j-i} at index (j - i) + n - 1
    size_t n_buckets;          // t5_buckets
    const double *buckets;     // [n_buckets]
    double max_distance;       // from here on every offset falls into the last bucket
} flt_rpe_args;

enum {                           // capability bits
    FLTX_RPE_SPECTRUM = 1u << 0, // g and a proposal p exist: FLT applies
    FLTX_RPE_GRID = 1u << 1,     // needs integer positions, l = 1
    FLTX_RPE_EVEN = 1u << 2,     // f(z) = f(-z) for every argument
};

// An argument of an encoding, by its name in flt_rpe_args. `initial`: its value when it is not given; NAN: it must be given.
typedef struct flt_rpe_arg {
    const char *name;
    double initial;
    bool setting; // has no gradient: a whole number, or what only steers the draws
} flt_rpe_arg;

// Where gradients are added up, one for each argument of the kind that is no setting, in its shape. The others are NULL.
typedef struct flt_rpe_slots {
    double *w, *mu, *s2, *c, *v, *scale, *slope, *decay, *lag_bias, *buckets;
    double *xi; // [n, l], by gaussian_mixture's spectrum; NULL: not wanted
} flt_rpe_slots;

typedef struct flt_rpe_kind {
    flt_kind kind;
    flt_rpe_arg args[6]; // ends with a name of NULL
    // FLTE_SHAPE, FLTE_RANGE, FLTE_UNSUPPORTED: are the arguments complete and sensible?
    flt_err (*check)(const flt_rpe_args *a);
    // f [n] at offsets z [n, l].
    void (*closed_form)(const flt_rpe_args *a, size_t n, const double *z, double *f);
    // Adds sum_i df_i df(z_i)/da for every argument. Where f jumps (the edge of a local encoding) it has no derivative: 0.
    void (*closed_form_back)(const flt_rpe_args *a, size_t n, const double *z, const double *df, const flt_rpe_slots *to);
    // Draws r frequencies xi [r, l] and ratios rho [r] such that (1/r) sum rho cos(2 pi xi.z) estimates f: Monte Carlo from the
    // kind's proposal (rho = g/p), or a quadrature rule (rho = r weight g). FLTE_UNSUPPORTED (asymmetric lag table), FLTE_RANGE.
    flt_err (*draw)(const flt_rpe_args *a, flt_rng rng, size_t r, double *xi, double *rho);
    // g [n] at frequencies xi [n, l].
    void (*spectrum)(const flt_rpe_args *a, size_t n, const double *xi, double *g);
    // Adds sum_i dg_i dg(xi_i)/da for every argument.
    void (*spectrum_back)(const flt_rpe_args *a, size_t n, const double *xi, const double *dg, const flt_rpe_slots *to);
    // The proposal as a map of the unit cube, so that it can be fed with points other than random ones: u [r, coordinates] -> xi
    // [r, l], rho [r]; uniform points give xi ~ p. 0 and NULL where draw is a rule.
    size_t (*coordinates)(const flt_rpe_args *a);
    void (*place)(const flt_rpe_args *a, size_t r, const double *u, double *xi, double *rho);
    // weight [r] of frequencies that draw or place chose with these arguments: rho = weight g(xi). With the frequencies kept,
    // weight g of other arguments estimates their f (importance sampling from the proposal that was drawn from).
    void (*weigh)(const flt_rpe_args *a, size_t r, const double *xi, const double *rho, double *weight);
    // Optional. FLTE_UNSUPPORTED where arguments have no real spectrum after all.
    flt_err (*spectral)(const flt_rpe_args *a);
} flt_rpe_kind; // draw, spectrum, its gradient and weigh are NULL exactly when the capability bit is clear

const flt_registry *flt_rpe_registry(void);
flt_err flt_rpe_find(const char *name, const flt_rpe_kind **out);

// xi [r, l] -> rho [r] with rho_m = g(xi_m) / p(xi_m), p = N(0, I_l); of kinds with a spectrum. What `flt attend` uses when xi
// and a mixture are given without rho.
void flt_rpe_gaussian_ratio(const flt_rpe_kind *kind, const flt_rpe_args *a, size_t r, const double *xi, double *rho);

// Chooses r frequencies xi [r, l] and their ratios rho [r]: independent draws, or rules and points that vary less (see
// core/rpe/engine/sampling.c). Kinds whose draw is a rule already keep it. span: largest offset between positions, for
// quadrature. The arguments are taken as checked. FLTE_UNSUPPORTED: a kind without a spectrum, quadrature with l > 1; FLTE_NOMEM;
// those of the kind's draw.
typedef enum flt_rpe_sampling { FLTX_RPE_MC, FLTX_RPE_ORTHOGONAL, FLTX_RPE_QMC, FLTX_RPE_QUADRATURE } flt_rpe_sampling;
flt_err flt_rpe_draw(const flt_rpe_kind *kind, const flt_rpe_args *a, flt_rpe_sampling how, double span, flt_rng rng, size_t r,
                     double *xi, double *rho);

// weight [r] of xi [r, l] and rho [r] as flt_rpe_draw chose them in this way; and the ratios of arguments at weighted
// frequencies: rho = weight g(xi); even: of g's even part, which is what a rule on the axis takes (l = 1).
void flt_rpe_weigh(const flt_rpe_kind *kind, const flt_rpe_args *a, flt_rpe_sampling how, size_t r, const double *xi,
                   const double *rho, double *weight);
void flt_rpe_ratio(const flt_rpe_kind *kind, const flt_rpe_args *a, bool even, size_t r, const double *xi, const double *weight,
                   double *rho);

// Snippets of positions pos [n, l] at frequencies xi [r, l]: a [n, 2r] = (1/sqrt r) [rho cos, rho sin], b [n, 2r] = (1/sqrt r)
// [cos, sin] of 2 pi xi.r; <a_i, b_j> is the estimate of f(r_i - r_j). Either output may be NULL. Phases in double. `ld` >= 2r:
// how far apart rows of a and b are.
void flt_rpe_snippets(size_t n, size_t l, const double *pos, size_t r, const double *xi, const double *rho, size_t ld,
                      flt_real *a, flt_real *b);

// f on a sequence: bias [2n - 1] at index (j - i) + n - 1 holds f(r_i - r_j) for positions 0 .. n-1, i.e. f(-(lag)). Errors:
// those of the kind's check; FLTE_SHAPE (l is not 1), FLTE_RANGE (n = 0), FLTE_NOMEM.
flt_err flt_rpe_lag_bias(const flt_rpe_kind *kind, const flt_rpe_args *a, size_t n, flt_real *bias);

FLTX_END_DECLS

#endif
