// SPDX-License-Identifier: MIT
// FLT optimizer: every coordinate attends causally over its own trajectory with FourierLearner-Transformer attention, in constant
// state. Per head, at time position s = log(1 + t) / log(1 + t_ref):
//     q = x Wq / dk^1/4,  k = x Wk / dk^1/4,  u = x Wv                          x [30]: normalised features of the coordinate
//     lq = log phi([q, a_t]),  lk = log phi([k, b_t])                           <a_s, b_t> estimates the relative encoding
//     S = e^-tau S + e^lk u^T,  z = e^-tau z + e^lk,  o = e^lq S / (e^lq z)     S [m, dv], z [m]
//     network on [x, o] -> direction D, magnitude M
//     p -= rate mean(exp(0.1 clip(M, +-10))) D (1e-9 + mean D^2)^-1/2           means over the tensor
// Options. memory: performer (no a, b, tau = 0), discount (no a, b), window (exact softmax over the last tokens, with the
// encoding itself), spe_sine (random codes of the positions in place of a, b), none. inputs=raw: g, clip(g), p, v, rs, g rs
// alone, no momenta. form=adam: the rate is multiplied by prod_d min(rms(m_d rs), 1)^snr_d, so that steps shrink where gradients
// are noise; form=adaptive: by that and by a rate which each tensor raises while steps and new gradients agree (flt_net_adapt).
// basis=eigen: gradients and parameters of matrices are turned into the eigenbasis of the averaged G G^T and G^T G, as in SOAP
// (arXiv 2409.11321), and steps turned back; norms, hence rates, do not feel it. warmup: the rate rises linearly over so many
// steps; schedule: and falls from there to the end of the run (flt_optimizer_horizon); settle: each tensor's rate moves ever
// slower, so that it falls as a power of time rather than exponentially.
// clock: the network sees tanh(t / tau - 1) as well. spectrum, omega=fixed: not meta-learned. engine/flt_shared.c has their
// formulas. Shapes: Wq, Wk [H, 30, dk]; Wv [H, 30, dv]; omega [H, m, dk + 2 r]; xi, rho [H, r]; engine/flt_reference.c has the
// features. Reference: Choromanski et al., AISTATS 2024, arXiv 2302.01925 (FLT); Jain et al., arXiv 2302.01128 (optimizers with
// attention); the features and the normalised output are Celo2's, arXiv 2602.19142. Neither paper has this optimizer: differences
// are the logarithmic position, the discount and the running key scale c, which keeps the exponentials in range and cancels in o.
// Cost: O(30 (H (2 dk + dv) + hidden) + H m (dk + dv)) per coordinate; state 4 + H (1 + m (1 + dv)) words per coordinate, plus 3
// per row and column of a tensor (rank below 2: 3 per coordinate); with a window window (dk + dv) in place of 1 + m (1 + dv). The
// relative encoding costs nothing per coordinate; basis=eigen O(r + c) for each of a matrix [r, c] and O((r^3 + c^3) / (r c))
// every so many steps, with 2 (r^2 + c^2) words a matrix (a side over 8 times the other, or over 1,024, does not turn). Limits:
// vectors of 16 (8 in double) neighbours along a tensor's largest axis are computed, whole or not. A negative tau counts as 0.
// Kernel features below e^-80 of the largest key's (e^-600 in double) are held there.
#include "engine/flt_graph.h"
#include "engine/flt_plan.h"
#include "engine/flt_shared.h"
#include "engine/flt_turn.h"
#include "engine/mlp.h"
#include "flt/num.h"
#include "flt/optimizer.h"

#include <math.h>
#include <string.h>

enum { RAW = FLTX_STEP_RAW, DECAYS = FLTX_STEP_DECAYS, OWN = FLTX_STEP_OWN, LINE = FLTX_STEP_LINE };

// Where the kernels' features stand among the 30.
static const size_t own_of[OWN] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 27, 28, 29};
static const size_t raw_of[RAW] = {0, 1, 2, 3, 4, 5};
static const size_t row_of[LINE] = {15, 16, 17, 21, 22, 23};
static const size_t col_of[LINE] = {18, 19, 20, 24, 25, 26};

typedef struct flt_opt {
    flt_net net;
    flt_step_sizes sizes;
    flt_layout layout;
    flt_plan *plans;       // [layout.n]
    size_t *outer_offsets; // of all tensors
    size_t padded, rows;   // largest over the tensors: blocked coordinates, outer * rows
    size_t longest;        // largest rows
    size_t words;
    uint64_t horizon; // steps of the run; 0: not known
    const flt_step *kernels;
    flt_ws ws;
    // bound to theta
    flt_real *theta;  // [net.full]: a copy, and what is fixed; w, b, tau are used in place
    flt_real *inputs; // [features, n_out]: the features' rows of Wq, Wk, Wv (scaled) and of the first layer
    flt_real *bias;   // [n_out]
    flt_real *tau;    // [heads], not negative
    // made by each step
    flt_shared shared;
    flt_real *clocked;               // [n_out]: bias with the clock's share
    flt_real *own_w, *row_w, *col_w; // [OWN, n_out], [LINE, n_out] twice
    flt_real *row_factor, *row_out;  // [rows, DECAYS], [rows, n_out]
    flt_real *g, *p, *lanes;         // [padded] twice; scratch blocks
    flt_basis basis;
    size_t turned;                               // coordinates of the largest matrix that turns
    flt_real *turned_g, *turned_p, *half, *back; // [turned] each
} flt_opt;

// ---- planning

static void need_room(flt_opt *o, const flt_plan *p) {
    const flt_step_tensor *s = &p->shape;
    const size_t padded = flt_plan_blocks(p) * FLTX_BLOCK;
    if (padded > o->padded) o->padded = padded;
    if (s->outer * s->rows > o->rows) o->rows = s->outer * s->rows;
    if (s->rows > o->longest) o->longest = s->rows;
    if (flt_turn_any(&p->turn) && p->count > o->turned) o->turned = p->count;
}

static flt_err plan_all(flt_opt *o) {
    const size_t words = flt_step_words(&o->sizes);
    FLTX_TRY(flt_alloc(o->layout.n, sizeof *o->plans, &o->plans));
    FLTX_TRY(flt_alloc(o->layout.total, sizeof *o->outer_offsets, &o->outer_offsets)); // more than enough
    size_t *offsets = o->outer_offsets;
    for (size_t i = 0; i < o->layout.n; i++) {
        const flt_tensor_spec *t = &o->layout.tensor[i];
        flt_plan *p = &o->plans[i];
        if (!flt_plan_make(&o->net, words, t, offsets, &o->words, p))
            return flt_fail(FLTE_RANGE, "flt", "the state of tensor %.63s does not fit in the address space", t->name);
        offsets += p->shape.outer;
        need_room(o, p);
    }
    return FLTE_OK;
}

static flt_step_sizes sizes_of(const flt_net *n) {
    flt_step_sizes s = {.heads = n->heads, .m = n->m, .dk = n->dk, .dv = n->dv, .n_layers = n->n_layers, .raw = n->raw};
    s.window = n->memory == FLTX_MEMORY_WINDOW ? n->window : 0;
    s.gram = n->memory == FLTX_MEMORY_SPE_SINE;
    s.n_out = n->heads * (2 * n->dk + n->dv) + n->width[1];
    for (size_t i = 0; i < n->n_layers; i++) s.width[i + 1] = n->width[i + 1];
    return s;
}

static void bind_ws(void *self, flt_ws *ws) {
    flt_opt *o = self;
    const flt_net *n = &o->net;
    const size_t n_out = o->sizes.n_out, size = sizeof(flt_real);
    o->theta = flt_ws_take(ws, n->full, size);
    o->inputs = flt_ws_take(ws, n->features * n_out, size);
    o->bias = flt_ws_take(ws, n_out, size);
    o->tau = flt_ws_take(ws, n->heads, size);
    o->clocked = flt_ws_take(ws, n_out, size);
    flt_shared_bind_ws(n, ws, &o->shared);
    o->own_w = flt_ws_take(ws, OWN * n_out, size);
    o->row_w = flt_ws_take(ws, LINE * n_out, size);
    o->col_w = flt_ws_take(ws, LINE * n_out, size);
    o->row_factor = flt_ws_take(ws, o->rows * DECAYS, size);
    o->row_out = flt_ws_take(ws, o->rows * n_out, size);
    o->g = flt_ws_take(ws, o->padded, size);
    o->p = flt_ws_take(ws, o->padded, size);
    flt_real **const turned[] = {&o->turned_g, &o->turned_p, &o->half, &o->back};
    for (int i = 0; i < 4; i++) *turned[i] = flt_ws_take(ws, o->turned, size);
    o->lanes = flt_ws_take(ws, flt_step_lanes(&o->sizes, o->longest) * FLTX_BLOCK, size);
}

static void destroy(void *self) {
    flt_opt *o = self;
    if (o == NULL) return;
    flt_ws_destroy(&o->ws);
    flt_basis_drop(&o->basis);
    flt_free(o->plans);
    flt_free(o->outer_offsets);
    flt_layout_free(&o->layout);
    flt_free(o);
}

static flt_err create_basis(flt_opt *o) {
    size_t longest = 0;
    for (size_t i = 0; i < o->layout.n; i++)
        for (int k = 0; k < 2; k++)
            if (o->plans[i].turn.n[k] > longest) longest = o->plans[i].turn.n[k];
    return longest > 0 ? flt_basis_create(longest, &o->basis) : FLTE_OK;
}

static flt_err create(const flt_params *p, const flt_layout *layout, void **self) {
    flt_opt *o = NULL;
    flt_err err = FLTE_OK;
    FLTX_TRY(flt_alloc(1, sizeof *o, &o));
    o->kernels = FLTX_ISA_PICK(flt_step);
    FLTX_GO(err, fail, flt_net_make(p, &o->net));
    FLTX_GO(err, fail, flt_layout_copy(layout, &o->layout));
    o->sizes = sizes_of(&o->net);
    FLTX_GO(err, fail, plan_all(o));
    FLTX_GO(err, fail, create_basis(o));
    FLTX_GO(err, fail, flt_ws_create(bind_ws, o, &o->ws));
    FLTX_GO(err, fail, flt_net_fix(&o->net, o->theta));
    *self = o;
    return FLTE_OK;
fail:
    destroy(o);
    return err;
}

// ---- state

static size_t state_words(const void *self) {
    return ((const flt_opt *)self)->words;
}

static void init(void *self, flt_real *state) {
    const flt_opt *o = self;
    const size_t head = 1 + o->sizes.m * (1 + o->sizes.dv), first = o->net.raw ? 1 : DECAYS + 1; // of the heads' memories
    memset(state, 0, o->words * sizeof *state);
    if (!flt_net_kernel(&o->net)) return;
    for (size_t i = 0; i < o->layout.n; i++) {
        for (size_t k = 0; k < flt_plan_blocks(&o->plans[i]); k++) {
            size_t width = 0, at = flt_plan_block(&o->plans[i], k, &width);
            for (size_t h = 0; h < o->sizes.heads; h++) {
                flt_real *c = state + at + (first + h * head) * width;
                for (size_t l = 0; l < width; l++) c[l] = (flt_real)-1e30; // below every key, and finite
            }
        }
    }
}

// ---- theta

// Columns at .. at + n - 1 of `inputs` from w [F, n] scale.
static void place(flt_opt *o, size_t at, size_t n, const flt_real *w, flt_real scale) {
    for (size_t i = 0; i < o->net.features; i++)
        for (size_t j = 0; j < n; j++) o->inputs[i * o->sizes.n_out + at + j] = scale * w[i * n + j];
}

static void bind(void *self, const flt_real *theta) {
    flt_opt *o = self;
    const flt_net *n = &o->net;
    const flt_real scale = (flt_real)(1 / sqrt(sqrt((double)n->dk)));
    size_t at = 0;
    memcpy(o->theta, theta, n->total * sizeof *theta);
    for (size_t h = 0; h < n->heads; h++) {
        place(o, at, n->dk, theta + n->wq + h * n->features * n->dk, scale);
        place(o, at + n->dk, n->dk, theta + n->wk + h * n->features * n->dk, scale);
        place(o, at + 2 * n->dk, n->dv, theta + n->wv + h * n->features * n->dv, 1);
        at += 2 * n->dk + n->dv;
        if (flt_net_discounts(n) && o->theta[n->tau + h] < 0) o->theta[n->tau + h] = 0;
        o->tau[h] = flt_net_discounts(n) ? o->theta[n->tau + h] : 0;
    }
    flt_shared_bind(n, o->theta, &o->shared);
    place(o, at, n->width[1], theta + n->w[0], 1);
    memset(o->bias, 0, at * sizeof *o->bias);
    memcpy(o->bias + at, theta + n->b[0], n->width[1] * sizeof *o->bias);
}

static void horizon(void *self, uint64_t steps) {
    ((flt_opt *)self)->horizon = steps;
}

// ---- a step

// The clock's features are the same for all coordinates: they belong to the bias of the first layer.
static void make_bias(flt_opt *o, uint64_t t) {
    const flt_net *n = &o->net;
    const size_t wide = n->width[1];
    double times[FLTX_TIMES];
    memcpy(o->clocked, o->bias, o->sizes.n_out * sizeof *o->bias);
    if (!n->clock) return;
    const flt_real *w = o->theta + n->w[0] + (n->width[0] - FLTX_TIMES) * wide;
    flt_real *bias = o->clocked + o->sizes.n_out - wide;
    flt_time_features(t, times);
    for (size_t i = 0; i < FLTX_TIMES; i++)
        for (size_t j = 0; j < wide; j++) bias[j] += (flt_real)times[i] * w[i * wide + j];
}

// out [n, n_out] += rows `of` of inputs, each divided by its feature's root mean square
static void fold(const flt_opt *o, size_t n, const size_t *of, const double *squares, double count, flt_real *out) {
    const size_t n_out = o->sizes.n_out;
    for (size_t i = 0; i < n; i++) {
        const flt_real scale = (flt_real)(1 / sqrt(1e-9 + squares[i] / count));
        const flt_real *from = o->inputs + of[i] * n_out;
        for (size_t j = 0; j < n_out; j++) out[i * n_out + j] += scale * from[j];
    }
}

static void fold_all(flt_opt *o, const flt_plan *p, const flt_step_squares *sums) {
    const flt_step_tensor *s = &p->shape;
    const size_t bytes = o->sizes.n_out * sizeof(flt_real);
    if (o->net.raw) {
        memset(o->own_w, 0, RAW * bytes);
        fold(o, RAW, raw_of, sums->own, (double)p->count, o->own_w);
        return;
    }
    memset(o->own_w, 0, OWN * bytes);
    memset(o->row_w, 0, LINE * bytes);
    memset(o->col_w, 0, LINE * bytes);
    fold(o, OWN, own_of, sums->own, (double)p->count, o->own_w);
    fold(o, LINE, col_of, sums->col, (double)(s->outer * s->cols), o->col_w);
    if (s->factored)
        fold(o, LINE, row_of, sums->row, (double)(s->outer * s->rows), o->row_w);
    else // rows and columns are the same numbers
        fold(o, LINE, row_of, sums->col, (double)s->cols, o->col_w);
}

static flt_step_args make_args(const flt_opt *o, const flt_plan *p, uint64_t t, flt_real *state) {
    const flt_net *n = &o->net;
    flt_step_args a = {.sizes = &o->sizes, .tensor = p->shape, .g = o->g, .p = o->p};
    a.row = state + p->row;
    a.col = state + p->col;
    a.blocks = state + p->blocks;
    a.row_factor = o->row_factor;
    a.row_out = o->row_out;
    a.lanes = o->lanes;
    a.own_w = o->own_w;
    a.row_w = o->row_w;
    a.col_w = o->col_w;
    a.bias = o->clocked;
    flt_shared_args(n, &o->shared, t, &a);
    a.tau = o->tau;
    a.read_w = o->theta + n->w[0] + n->features * n->width[1];
    for (size_t i = 0; i < n->n_layers; i++) {
        a.w[i] = o->theta + n->w[i];
        a.b[i] = o->theta + n->b[i];
    }
    return a;
}

// form=adam: how clear of noise the momenta are sets the rate, prod_d min(rms(m_d rs), 1)^snr_d.
static double clearness(const flt_opt *o, const flt_step_squares *sums, double count) {
    enum { MOMENTUM = 7 }; // m rs among own features
    double log_rate = 0;
    for (size_t d = 0; o->net.adam && d < DECAYS; d++)
        log_rate += 0.5 * (double)o->theta[o->net.snr + d] * log(fmin(1e-9 + sums->own[MOMENTUM + d] / count, 1));
    return exp(log_rate);
}

// cos of the angle between g rs and the momentum m rs before it took g in: m = 0.9 old + 0.1 g, from the sums that hold m.
static double agreement(const flt_step_squares *s, double count) {
    enum { MOMENTUM = 7, GRADIENT = 14 };
    const double keep = 0.9, write = 1 - keep, gradient = s->own[GRADIENT];
    const double both = (s->cross - write * gradient) / keep;
    const double old = (s->own[MOMENTUM] - 2 * write * s->cross + write * write * gradient) / (keep * keep);
    const double scale = sqrt(fmax(old, 0) * gradient);
    return scale > 1e-12 * count ? fmin(fmax(both / scale, -1), 1) : 0;
}

// form=adaptive: the rate that the tensor has found so far; `all`: mean p^2 over all tensors.
static double adapted(const flt_opt *o, const flt_plan *p, uint64_t t, const flt_step_squares *s, double all, flt_real *state) {
    enum { PARAM = 2 };
    if (!o->net.adaptive) return 1;
    const double count = (double)p->count, size = sqrt(s->own[PARAM] / count + 0.01 * all + 1e-12);
    const double agrees = t > 0 ? agreement(s, count) : 0; // there was no momentum before the first gradient
    double adapt[FLTX_NET_ADAPT], log_rate = (double)state[p->rate];
    for (size_t i = 0; i < FLTX_NET_ADAPT; i++) adapt[i] = (double)o->theta[o->net.adapt + i];
    const double factor = flt_net_adapt(&o->net, adapt, t, agrees, size, &log_rate);
    state[p->rate] = (flt_real)log_rate;
    return factor;
}

// ---- basis=eigen

// Word `word` of every block as a tensor.
static void read_word(const flt_opt *o, const flt_plan *p, const flt_real *state, size_t word, flt_real *tensor) {
    for (size_t k = 0; k < flt_plan_blocks(p); k++) {
        size_t width = 0, at = flt_plan_block(p, k, &width);
        memcpy(o->g + k * FLTX_BLOCK, state + at + word * width, width * sizeof *state);
    }
    memset(tensor, 0, p->count * sizeof *tensor);
    o->kernels->subtract(&p->shape, -1, o->g, tensor);
}

static void write_word(const flt_opt *o, const flt_plan *p, const flt_real *tensor, size_t word, flt_real *state) {
    o->kernels->pack(&p->shape, tensor, o->g);
    for (size_t k = 0; k < flt_plan_blocks(p); k++) {
        size_t width = 0, at = flt_plan_block(p, k, &width);
        memcpy(state + at + word * width, o->g + k * FLTX_BLOCK, width * sizeof *state);
    }
}

static void turn_momenta(const flt_opt *o, const flt_plan *p, bool back, const flt_side side[2], flt_real *state) {
    for (size_t d = 0; d < DECAYS && !o->net.raw; d++) {
        read_word(o, p, state, d, o->turned_g);
        flt_sides_turn(p->turn.d, back, side, o->turned_g, o->half, o->back);
        write_word(o, p, o->back, d, state);
    }
}

// Moves the basis on, and leaves gradient and parameters in it. Momenta turn with it; second moments and what attention remembers
// stay with their direction, which turns slowly.
static void enter_basis(const flt_opt *o, const flt_plan *p, uint64_t t, const flt_real *grad, const flt_real *param,
                        const flt_side side[2], flt_real *state) {
    if (flt_turn_gradient(&p->turn, &o->basis, t, o->net.turn, grad, side)) {
        turn_momenta(o, p, true, side, state);
        for (int i = 0; i < 2; i++) flt_basis_iterate(&o->basis, &side[i], NULL);
        turn_momenta(o, p, false, side, state);
    }
    flt_sides_turn(p->turn.d, false, side, grad, o->half, o->turned_g);
    flt_sides_turn(p->turn.d, false, side, param, o->half, o->turned_p);
}

// param -= factor times the direction of the basis
static void leave_basis(const flt_opt *o, const flt_plan *p, double factor, const flt_side side[2], flt_real *param) {
    memset(o->turned_p, 0, p->count * sizeof *param);
    o->kernels->subtract(&p->shape, (flt_real)factor, o->g, o->turned_p);
    flt_sides_turn(p->turn.d, true, side, o->turned_p, o->half, o->back);
    flt_axpy(p->count, 1, o->back, param);
}

static void step_tensor(flt_opt *o, const flt_plan *p, uint64_t t, double rate, double all, const flt_real *grad, flt_real *param,
                        flt_real *state) {
    const flt_step *k = o->kernels;
    const flt_step_args a = make_args(o, p, t, state);
    const double count = (double)p->count;
    const bool turns = flt_turn_any(&p->turn);
    flt_side side[2];
    flt_step_squares sums;
    double squares = 0, gains = 0;
    grad += p->offset, param += p->offset;
    flt_turn_sides(&p->turn, state + p->sides, side);
    if (turns) enter_basis(o, p, t, grad, param, side, state);
    k->pack(&p->shape, turns ? o->turned_g : grad, o->g);
    k->pack(&p->shape, turns ? o->turned_p : param, o->p);
    if (!o->net.raw) k->factor(&a);
    k->moments(&a, &sums);
    fold_all(o, p, &sums);
    k->rows(&a);
    k->update(&a, &squares, &gains);
    rate *= clearness(o, &sums, count) * adapted(o, p, t, &sums, all, state);
    const double factor = rate * (gains / count) / sqrt(1e-9 + squares / count);
    if (turns)
        leave_basis(o, p, factor, side, param);
    else
        k->subtract(&p->shape, (flt_real)factor, o->g, param);
}

static void step(void *self, uint64_t t, flt_real loss, const flt_real *grad, flt_real *param, flt_real *state) {
    flt_opt *o = self;
    (void)loss;
    make_bias(o, t);
    flt_shared_step(&o->net, o->theta, t, &o->shared);
    const double rate = flt_net_rate(&o->net, o->theta, o->horizon, t);
    const double all = o->net.adaptive ? flt_sum_squares(o->layout.total, param) / (double)o->layout.total : 0;
    for (size_t i = 0; i < o->layout.n; i++)
        if (o->plans[i].count > 0) step_tensor(o, &o->plans[i], t, rate, all, grad, param, state);
}

const flt_optimizer_kind flt_optimizer_kind_flt = {
    .kind = {.name = "flt",
             .summary = "learned: each coordinate attends over its own trajectory with FLT, in constant state",
             .formula = "o = e^lq S / (e^lq z), S = e^-tau S + e^lk u^T; p -= lr gain D / rms(D), (D, gain) = network([x, o])",
             .cost = "4 + H (1 + m (1 + dv)) state words per parameter; time O(30 (H (2 dk + dv) + hidden) + H m (dk + dv))",
             .citation =
                 "Choromanski et al., AISTATS 2024, arXiv 2302.01925; Jain et al., arXiv 2302.01128; Celo2, arXiv 2602.19142",
             .caps = FLTX_OPT_LEARNED | FLTX_OPT_LR,
             .params = flt_net_params},
    .meta = flt_net_layout,
    .meta_init = flt_net_init,
    .infer = flt_net_infer,
    .graph = flt_net_graph,
    .create = create,
    .destroy = destroy,
    .state_words = state_words,
    .init = init,
    .bind = bind,
    .horizon = horizon,
    .step = step,
};
