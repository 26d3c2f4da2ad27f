// SPDX-License-Identifier: MIT
// The skeleton of stochastic positional encodings: everything but the code itself. Private to core/attention.
//
//     qhat_ir = sum_d q_id code_q[i, d, r],  khat likewise;   then softmax attention of qhat and khat, scale 1/sqrt R, either
//     exact or by positive features (FAVOR+, omega [m, R])
//     gated: sqrt(1 - share_d) code + sqrt(share_d) eps_dr / (d R)^(1/4), the same eps for q, k and every position
//
// No code is materialised: a tile of rows [n, d] becomes [n, R] by matrix products on the way into the feature map. The gate
// scales the rows before they are coded, so that a code knows nothing of it. Backward: d rows = their gradient's way back through
// the same products; the draws z, noise and eps have no gradient, the arrays that training changes have one. Where share is 0 or
// 1, one of the two square roots has no derivative and counts as constant.
#ifndef FLTX_ATTENTION_SPE_H
#define FLTX_ATTENTION_SPE_H

#include "features_backward.h"

#define FLTX_ATT_SPE_PARAMS                                                                                                      \
    FLTX_ATT_M_PARAM, FLTX_ATT_FEATURES_PARAM, {"R", FLTX_INT, "64", 1, 1 << 16, NULL, "realisations, when they are drawn"},     \
        {"kernel",                                                                                                               \
         FLTX_ENUM,                                                                                                              \
         "favor",                                                                                                                \
         0,                                                                                                                      \
         0,                                                                                                                      \
         "favor|exact",                                                                                                          \
         "what attends over qhat and khat: positive features in linear time, or exact softmax in quadratic"},                    \
    {                                                                                                                            \
        "keep_codes", FLTX_BOOL, "false", 0, 0, NULL, "keep qhat and khat [B, H, N, R] to report them (flt attend does)"         \
    }
#define FLTX_ATT_SPE_ARGS "share", "eps", "omega", "pos"
#define FLTX_ATT_SPE_CAPS (FLTX_ATT_CAUSAL | FLTX_ATT_STREAM | FLTX_ATT_LINEAR | FLTX_ATT_NORMALISED | FLTX_ATT_BACKWARD)

// One kind of code; `self` is its state, `size` bytes that start as zeros.
typedef struct flt_att_code {
    size_t size;
    const char *const *names;   // of all arguments of the mechanism; ends with NULL
    const char *const *trained; // of those of the code that have gradients; ends with NULL
    // Reads its arrays, draws those that are missing, allocates its tables; *R: columns of the code.
    flt_err (*read)(const flt_attention_desc *desc, void *self, size_t *R);
    void (*bind)(void *self, flt_ws *ws);
    void (*load)(void *self); // tables from the arrays, at creation and when these have new values
    void (*drop)(void *self);
    void (*arrays)(void *self, flt_att_arrays *to);
    // hat [rows.count, R] = the coded rows of x [rows.count, d], but for (d R)^(-1/4)
    void (*encode)(const void *self, flt_att_rows rows, bool query, const flt_real *x, flt_real *hat);
    // dx from dhat; what the code's arrays get is added to the sums of head `bh` of B H
    void (*decode)(void *self, flt_att_rows rows, size_t bh, bool query, const flt_real *x, const flt_real *dhat, flt_real *dx);
    void (*clear)(void *self, bool wanted);                             // the sums; wanted: decode shall add to them
    void (*gather)(const void *self, const flt_attention_gradient *to); // one of `trained`
} flt_att_code;

typedef struct flt_att_gate {
    flt_att_array share, eps; // [d], [d, R]; without data: no gate
    size_t d, R;
    flt_real *keep, *open; // [share heads, d]: sqrt(1 - share) (d R)^(-1/4); sqrt(share), NULL without a gate
    flt_real *e;           // [eps heads, d, R]: eps (d R)^(-1/4)
    double *dkeep, *dopen; // [B H, d]: sums over rows of x times the gradient of what it is scaled to
    bool wanted;           // these sums
} flt_att_gate;

typedef struct flt_att_spe_room { // one thread's
    flt_real *hat, *dhat;         // [tile, R]
    flt_real *x, *dx;             // [tile, d]: scaled by the gate
    size_t coded;                 // rows of `codes` that are those of the head at work
} flt_att_spe_room;

typedef struct flt_att_spe {
    const char *who;
    size_t B, H, N, d, dv, R;
    int threads;
    bool backward;
    const flt_att_code *code;
    void *self; // of the code
    flt_att_gate gate;
    flt_att_array omega;
    flt_att_features *features; // kernel=favor
    flt_att_map map;            // of coded rows
    flt_att_linear *linear;
    flt_att_features_back *features_back;
    flt_att_back_map back_map;
    flt_att_linear_back *linear_back;
    flt_real *codes;        // [threads, N, R]: coded keys of a head
    flt_attention *exact;   // kernel=exact
    flt_real *hat[2];       // [B, H, N, R]: kept codes of q and k, or what `exact` reads
    flt_real *dhat[2];      // their gradients (exact)
    double *kept[2];        // hat, to report
    const char *trained[8]; // arguments with a gradient
    flt_att_spe_room *rooms;
    flt_ws ws;
} flt_att_spe;

// ---- what the descriptors of such mechanisms hold; create is one line around flt_att_spe_create
flt_err flt_att_spe_create(const flt_attention_desc *desc, const flt_att_code *code, void **out);
void flt_att_spe_destroy(void *self);
void flt_att_spe_forward(void *self, const flt_real *q, const flt_real *k, const flt_real *v, flt_real *out);
bool flt_att_spe_streams(const void *self);
void flt_att_spe_begin(void *self);
void flt_att_spe_step(void *self, const flt_real *q, const flt_real *k, const flt_real *v, flt_real *out);
size_t flt_att_spe_workspace(const void *self);
size_t flt_att_spe_flagged(const void *self);
size_t flt_att_spe_draws(const void *self, size_t max, flt_attention_arg *out); // the code's, omega, share, eps, qhat, khat
flt_err flt_att_spe_backward(void *self, const flt_attention_pass *pass);
flt_err flt_att_spe_update(void *self, size_t n_args, const flt_attention_arg *args);

// ---- for codes
// R from dimension `axis`, counted from the end, of argument `first`, from eps or omega, or from the parameter.
flt_err flt_att_spe_width(const flt_attention_desc *desc, const char *first, size_t axis, size_t *R);
// A standard normal array with H leading.
flt_err flt_att_draw_normal(const flt_attention_desc *desc, const char *name, size_t rank, const size_t *dim, flt_att_array *out);

// ---- between the files
flt_err flt_att_gate_read(const flt_attention_desc *desc, size_t R, flt_att_gate *out);
void flt_att_gate_load(flt_att_gate *g);
void flt_att_gate_drop(flt_att_gate *g);
void flt_att_spe_encode(const flt_att_spe *a, flt_att_rows rows, bool query, const flt_real *x, flt_real *hat);
void flt_att_spe_encode_all(const flt_att_spe *a, bool query, const flt_real *x, flt_real *hat);
flt_err flt_att_spe_back_create(const flt_attention_desc *desc, flt_att_map map, flt_att_spe *a); // nothing unless asked for
void flt_att_spe_back_destroy(flt_att_spe *a);

#endif
