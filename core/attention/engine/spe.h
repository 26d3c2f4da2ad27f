// SPDX-License-Identifier: MIT
// What the stochastic positional encodings share: gate, kernel behind the code, codes for inspection. Private to core/attention.
//
//     qhat_ir = sum_d q_id code_q[i, d, r],  khat likewise;   then softmax attention of qhat and khat, scale 1/sqrt R, either
//     exact or by positive features (FAVOR+, omega [m, R]) gated: sqrt(1 - share_d) code + sqrt(share_d) eps_dr / (d R)^(1/4),
//     the same eps for q, k and every position
//
// No code is materialised: a coder turns a tile of rows [n, d] into [n, R] by matrix products, on the way into the feature map.
#ifndef FLTX_ATTENTION_SPE_H
#define FLTX_ATTENTION_SPE_H

#include "features.h"
#include "linear.h"

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
#define FLTX_ATT_SPE_ARGS "share", "eps", "omega"

typedef struct flt_att_gate {
    flt_att_array share, eps; // [d], [d, R]; without data: no gate
    size_t d, R;
} flt_att_gate;

// R from the last axis of argument `first`, of eps or of omega, or from the parameter.
flt_err flt_att_spe_width(const flt_attention_desc *desc, const char *first, size_t axis, size_t *R);
flt_err flt_att_gate_read(const flt_attention_desc *desc, size_t R, flt_att_gate *out);
void flt_att_gate_drop(flt_att_gate *g);
// What the code of feature c is multiplied with: sqrt(1 - share) / (d R)^(1/4).
double flt_att_gate_factor(const flt_att_gate *g, size_t head, size_t c);

// hat [rows.count, R] = the coded rows of x [rows.count, d], without the gate's constant part.
typedef struct flt_att_coder {
    const void *self;
    void (*encode)(const void *self, flt_att_rows rows, bool query, const flt_real *x, flt_real *hat);
} flt_att_coder;

typedef struct flt_att_spe flt_att_spe;
flt_err flt_att_spe_create(const flt_attention_desc *desc, const flt_att_gate *gate, flt_att_coder coder, flt_att_spe **out);
void flt_att_spe_destroy(flt_att_spe *a);
void flt_att_spe_forward(flt_att_spe *a, const flt_real *q, const flt_real *k, const flt_real *v, flt_real *out);
bool flt_att_spe_streams(const flt_att_spe *a);
void flt_att_spe_begin(flt_att_spe *a);
void flt_att_spe_step(flt_att_spe *a, const flt_real *q, const flt_real *k, const flt_real *v, flt_real *out);
size_t flt_att_spe_workspace(const flt_att_spe *a);
size_t flt_att_spe_flagged(const flt_att_spe *a);
void flt_att_spe_list(const flt_att_spe *a, size_t max, flt_attention_arg *out, size_t *n); // omega, share, eps, qhat, khat

// A standard normal array with H leading.
flt_err flt_att_draw_normal(const flt_attention_desc *desc, const char *name, size_t rank, const size_t *dim, flt_att_array *out);

#endif
