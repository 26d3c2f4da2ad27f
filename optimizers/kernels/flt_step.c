// SPDX-License-Identifier: MIT
// The fused flt step. Three tricks make it cheap:
//   - what a whole step shares (snippets, biases) or a row or column shares (factored moments) enters the first product as its
//     starting value; only 18 of the 30 features cost anything per coordinate
//   - the features' normalisers are folded into the weights, which takes a pass for the sums of squares (`moments`) and one that
//     computes the features again (`update`): nothing of them is stored
//   - a vector holds one number of FLTX_LANES coordinates: no shuffles, every weight is a broadcast
// The state of a block is contiguous, so that a step streams through it once.
#include "kernels/flt_features.h"

// ---- between tensors and blocks

// Where lane 0 of a block lies in the tensor.
static size_t start_of(const flt_step_tensor *t, size_t o, size_t group, size_t r) {
    return t->outer_offset[o] + group * FLTX_BLOCK * t->col_stride + r * t->row_stride;
}

static void pack(const flt_step_tensor *t, const flt_real *tensor, flt_real *blocks) {
    for (size_t o = 0; o < t->outer; o++)
        for (size_t group = 0; group < t->groups; group++) {
            const size_t n = flt_step_width(t, group);
            for (size_t r = 0; r < t->rows; r++, blocks += FLTX_BLOCK) {
                const flt_real *from = tensor + start_of(t, o, group, r);
                for (size_t i = 0; i < n; i++) blocks[i] = from[i * t->col_stride];
                for (size_t i = n; i < FLTX_BLOCK; i++) blocks[i] = 0;
            }
        }
}

static void subtract(const flt_step_tensor *t, flt_real factor, const flt_real *blocks, flt_real *tensor) {
    for (size_t o = 0; o < t->outer; o++)
        for (size_t group = 0; group < t->groups; group++) {
            const size_t n = flt_step_width(t, group);
            for (size_t r = 0; r < t->rows; r++, blocks += FLTX_BLOCK) {
                flt_real *to = tensor + start_of(t, o, group, r);
                for (size_t i = 0; i < n; i++) to[i * t->col_stride] -= factor * blocks[i];
            }
        }
}

// ---- factored second moments

// (mean over cols of row's moments, over the rows of one outer index) -> row_factor
static void row_factors(const flt_step_args *a, size_t o) {
    const flt_step_tensor *t = &a->tensor;
    flt_real *factor = a->row_factor + o * t->rows * DECAYS;
    for (int d = 0; d < DECAYS; d++) {
        const flt_real *row = a->row + ((size_t)d * t->outer + o) * t->rows;
        double sum = 0;
        for (size_t r = 0; r < t->rows; r++) sum += (double)row[r];
        const flt_real scale = REAL(1 / (sum / (double)t->rows + 1e-9));
        for (size_t r = 0; r < t->rows; r++) {
            const flt_real x = row[r] * scale;
            factor[r * DECAYS + (size_t)d] = REAL(1 / sqrt((double)(x < REAL(1e-9) ? REAL(1e-9) : x)));
        }
    }
}

// Column moments of one group of lanes; adds g^2 to the rows' sums.
FLTX_INLINE void column_moments(const flt_step_tensor *t, const panel *n, flt_real *row_sums) {
    flt_vreal sum = set(0);
    for (size_t r = 0; r < t->rows; r++) {
        const flt_vreal x = load(n->g + r * FLTX_BLOCK), square = x * x;
        sum += square;
        store(row_sums + r * FLTX_BLOCK, load(row_sums + r * FLTX_BLOCK) + square);
    }
    const flt_vreal mean = sum * REAL(1 / (double)t->rows) + REAL(1e-30);
    for (int d = 0; d < DECAYS; d++) {
        flt_real *col = n->col + (size_t)d * n->width;
        flt_vreal_store_up_to(col, keep_m[d] * flt_vreal_load_up_to(col, n->here) + write_m[d] * mean, n->here);
    }
}

static void row_moments(const flt_step_args *a, size_t o) {
    const flt_step_tensor *t = &a->tensor;
    for (size_t r = 0; r < t->rows; r++) {
        double sum = 0;
        for (size_t lane = 0; lane < FLTX_BLOCK; lane += FLTX_LANES)
            sum += (double)flt_vreal_sum(load(a->lanes + r * FLTX_BLOCK + lane));
        const flt_real mean = REAL(sum / (double)t->cols + 1e-30);
        for (int d = 0; d < DECAYS; d++) {
            flt_real *row = &a->row[((size_t)d * t->outer + o) * t->rows + r];
            *row = keep_m[d] * *row + write_m[d] * mean;
        }
    }
}

static void factor(const flt_step_args *a) {
    const flt_step_tensor *t = &a->tensor;
    for (size_t o = 0; o < t->outer; o++) {
        memset(a->lanes, 0, t->rows * FLTX_BLOCK * sizeof *a->lanes);
        for (size_t group = 0; group < t->groups; group++)
            for (size_t lane = 0; lane < FLTX_BLOCK; lane += FLTX_LANES) {
                const panel n = panel_at(a, o, group, lane, 0);
                column_moments(t, &n, a->lanes + lane);
            }
        if (t->factored) {
            row_moments(a, o);
            row_factors(a, o);
        }
    }
}

// ---- moments and sums of squares

FLTX_INLINE void panel_moments(const flt_step_args *a, const panel *n, const column *c, flt_vreal *sums) {
    enum { WORDS = DECAYS + 1 };
    _Alignas(64) flt_real scratch[WORDS * FLTX_BLOCK];
    flt_vreal x[OWN], sum[OWN + 1];
    for (int i = 0; i < OWN + 1; i++) sum[i] = set(0);
    for (size_t r = n->first; r < n->end; r++) {
        flt_real *block = take_block(n, r, WORDS, scratch);
        const flt_vreal g = load(n->g + r * FLTX_BLOCK);
        moment s = read_moment(block);
#pragma GCC unroll 3
        for (int d = 0; d < DECAYS; d++) {
            s.m[d] = keep_m[d] * s.m[d] + write_m[d] * g;
            store(block + d * FLTX_BLOCK, s.m[d]);
        }
        s.v = REAL(0.95) * s.v + REAL(1 - 0.95) * (g * g);
        store(block + DECAYS * FLTX_BLOCK, s.v);
        keep_block(n, r, WORDS, block);
        own_features(g, load(n->p + r * FLTX_BLOCK), &s, c, factor_of(a, n->o, r), x);
#pragma GCC unroll 18
        for (int i = 0; i < OWN; i++) sum[i] += x[i] * x[i];
        sum[OWN] += x[7] * x[14];
    }
    for (int i = 0; i < OWN + 1; i++) sums[i] += only(n->mask, sum[i]);
}

static void row_squares(const flt_step_args *a, double *out) {
    const size_t n = a->tensor.outer * a->tensor.rows;
    for (int d = 0; d < DECAYS; d++)
        for (size_t i = 0; i < n; i++) {
            const double x = (double)a->row[(size_t)d * n + i];
            out[d] += x * x;
            out[DECAYS + d] += 1 / (x + 1e-8);
        }
}

// Raw inputs: v alone, rows = 1.
static void raw_moments(const flt_step_args *a, flt_step_squares *out) {
    const flt_step_tensor *t = &a->tensor;
    _Alignas(64) flt_real scratch[FLTX_BLOCK];
    flt_vreal own[RAW];
    for (int i = 0; i < RAW; i++) own[i] = set(0);
    for (size_t group = 0; group < t->groups; group++) {
        for (size_t lane = 0; lane < FLTX_BLOCK; lane += FLTX_LANES) {
            const panel n = panel_at(a, 0, group, lane, 0);
            flt_real *block = take_block(&n, 0, 1, scratch);
            const flt_vreal g = load(n.g), v = REAL(0.95) * load(block) + REAL(1 - 0.95) * (g * g);
            flt_vreal x[RAW];
            store(block, v);
            keep_block(&n, 0, 1, block);
            raw_features(g, load(n.p), v, x);
            for (int i = 0; i < RAW; i++) own[i] += only(n.mask, x[i] * x[i]);
        }
        if (group % FLUSH == FLUSH - 1) flush(own, RAW, out->own);
    }
    flush(own, RAW, out->own);
}

static void moments(const flt_step_args *a, flt_step_squares *out) {
    const flt_step_tensor *t = &a->tensor;
    flt_vreal own[OWN + 1], col[LINE];
    size_t pending = 0;
    *out = (flt_step_squares){0};
    if (a->sizes->raw) {
        raw_moments(a, out);
        return;
    }
    for (int i = 0; i < OWN + 1; i++) own[i] = set(0);
    for (int i = 0; i < LINE; i++) col[i] = set(0);
    for (size_t line = 0; line < t->outer * t->groups; line++)
        for (size_t lane = 0; lane < FLTX_BLOCK; lane += FLTX_LANES) {
            const panel top = panel_at(a, line / t->groups, line % t->groups, lane, 0);
            const column c = read_column(&top, t->factored);
            for (size_t first = 0; first < t->rows; first += FLUSH) {
                const panel n = panel_at(a, line / t->groups, line % t->groups, lane, first);
                panel_moments(a, &n, &c, own);
                for (int d = 0; d < DECAYS && first == 0; d++) {
                    col[d] += only(n.mask, c.moment[d] * c.moment[d]);
                    col[DECAYS + d] += only(n.mask, REAL(1) / (c.moment[d] + REAL(1e-8)));
                }
                pending += n.end - n.first;
                if (pending < FLUSH) continue;
                flush(own, OWN, out->own);
                flush(own + OWN, 1, &out->cross);
                flush(col, LINE, out->col);
                pending = 0;
            }
        }
    flush(own, OWN, out->own);
    flush(own + OWN, 1, &out->cross);
    flush(col, LINE, out->col);
    if (t->factored) row_squares(a, out->row);
}

static void rows(const flt_step_args *a) {
    const size_t n = a->tensor.outer * a->tensor.rows, n_out = a->sizes->n_out;
    for (size_t i = 0; i < n; i++) {
        flt_real x[LINE] = {0};
        for (size_t d = 0; d < DECAYS && a->tensor.factored; d++) {
            x[d] = a->row[d * n + i];
            x[DECAYS + d] = REAL(1 / sqrt((double)x[d] + 1e-8));
        }
        flt_real *restrict out = a->row_out + i * n_out;
        for (size_t j = 0; j < n_out; j++) {
            flt_real sum = a->bias[j];
            for (size_t k = 0; k < LINE; k++) sum += x[k] * a->row_w[k * n_out + j];
            out[j] = sum;
        }
    }
}

// ---- attention and network

typedef struct lanes {
    flt_vreal *column;  // [n_out]: the column's share of the first product
    flt_vreal *out;     // [n_out]
    flt_vreal *lq, *lk; // [m]
    flt_vreal *read;    // [heads dv]
    flt_vreal *sum;     // [dv]
    flt_vreal *act[2];  // [widest layer]
    flt_vreal *logit;   // [window]
    flt_real *block;    // [words, FLTX_BLOCK]
} lanes;

FLTX_INLINE lanes cut_lanes(const flt_step_sizes *s, flt_real *scratch) {
    lanes l;
    l.column = (flt_vreal *)(void *)scratch;
    l.out = l.column + s->n_out;
    l.lq = l.out + s->n_out;
    l.lk = l.lq + s->m;
    l.read = l.lk + s->m;
    l.sum = l.read + s->heads * s->dv;
    l.act[0] = l.sum + s->dv;
    l.act[1] = l.act[0] + flt_step_widest(s);
    l.logit = l.act[1] + flt_step_widest(s);
    l.block = (flt_real *)(void *)(l.logit + s->window);
    return l;
}

FLTX_INLINE flt_vreal most(size_t n, const flt_vreal *x) {
    flt_vreal y = x[0];
#pragma GCC unroll 8
    for (size_t i = 1; i < n; i++) y = flt_vreal_max(x[i], y);
    return y;
}

// Writes the token into the head's memory (c, z, S), then reads it: out [dv] = sum_f e^lq_f S_f / sum_f e^lq_f z_f.
// `square`: |k|^2 / 2, which every log key carries.
FLTX_INLINE void write_and_read(size_t m, size_t dv, const lanes *l, flt_vreal square, flt_real tau, const flt_vreal *u,
                                flt_real *memory, flt_vreal *out) {
    // the two maxima: no exponent is above 0, however the difference of a large key and its larger square is rounded
    const flt_vreal old = load(memory), peak = most(m, l->lk), grown = flt_vreal_max(old, peak - square);
    const flt_vreal shift = flt_vreal_max(peak, grown + square);
    const flt_vreal keep = exp_low(old - grown - tau), top = most(m, l->lq);
    flt_real *z = memory + FLTX_BLOCK, *S = z + m * FLTX_BLOCK;
    flt_vreal *sum = l->sum, denominator = set(0);
    store(memory, grown);
#pragma GCC unroll 4
    for (size_t j = 0; j < dv; j++) sum[j] = set(0);
#pragma GCC unroll 8
    for (size_t f = 0; f < m; f++) {
        const flt_vreal key = exp_low(l->lk[f] - shift), query = exp_low(l->lq[f] - top);
        const flt_vreal z_new = keep * load(z + f * FLTX_BLOCK) + key;
        store(z + f * FLTX_BLOCK, z_new);
        denominator += query * z_new;
#pragma GCC unroll 4
        for (size_t j = 0; j < dv; j++) {
            flt_real *at = S + (f * dv + j) * FLTX_BLOCK;
            const flt_vreal s_new = keep * load(at) + key * u[j];
            store(at, s_new);
            sum[j] += query * s_new;
        }
    }
    const flt_vreal inverse = REAL(1) / denominator;
#pragma GCC unroll 4
    for (size_t j = 0; j < dv; j++) out[j] = sum[j] * inverse;
}

// Writes the token (k, u) into its slot, then attends to all slots in use: out [dv] = softmax(<q, k_w> + logits_w) u_w.
FLTX_INLINE void window_read(const flt_step_args *a, const flt_step_sizes *s, const lanes *l, size_t h, const flt_vreal *q,
                             const flt_vreal *token, flt_real *memory, flt_vreal *out) {
    const size_t words = s->dk + s->dv;
    const flt_real *logits = a->logits + h * s->window;
    flt_vreal top = set(-INFINITY), denominator = set(0);
    for (size_t i = 0; i < words; i++) store(memory + (a->slot * words + i) * FLTX_BLOCK, token[i]);
    for (size_t w = 0; w < a->filled; w++) {
        flt_vreal sum = set(logits[w]);
        for (size_t i = 0; i < s->dk; i++) sum += q[i] * load(memory + (w * words + i) * FLTX_BLOCK);
        l->logit[w] = sum;
        top = flt_vreal_max(sum, top);
    }
    for (size_t j = 0; j < s->dv; j++) l->sum[j] = set(0);
    for (size_t w = 0; w < a->filled; w++) {
        const flt_vreal weight = exp_low(l->logit[w] - top);
        const flt_real *u = memory + (w * words + s->dk) * FLTX_BLOCK;
        denominator += weight;
        for (size_t j = 0; j < s->dv; j++) l->sum[j] += weight * load(u + j * FLTX_BLOCK);
    }
    const flt_vreal inverse = REAL(1) / denominator;
    for (size_t j = 0; j < s->dv; j++) out[j] = l->sum[j] * inverse;
}

// x^T gram x, or |x|^2
FLTX_INLINE flt_vreal square_of(const flt_step_sizes *s, const flt_real *gram, const flt_vreal *x) {
    flt_vreal square = set(0);
#pragma GCC unroll 4
    for (size_t i = 0; i < s->dk; i++) {
        flt_vreal y = x[i];
        if (s->gram) {
            y = set(0);
            for (size_t j = 0; j < s->dk; j++) y += gram[i * s->dk + j] * x[j];
        }
        square += x[i] * y;
    }
    return square;
}

FLTX_INLINE void attend(const flt_step_args *a, const flt_step_sizes *s, const lanes *l, flt_real *memory) {
    const size_t words = s->window > 0 ? s->window * (s->dk + s->dv) : 1 + s->m * (1 + s->dv);
    for (size_t h = 0; h < s->heads; h++, memory += words * FLTX_BLOCK) {
        const flt_vreal *q = l->out + h * (2 * s->dk + s->dv), *k = q + s->dk, *u = k + s->dk;
        if (s->window > 0) {
            window_read(a, s, l, h, q, k, memory, l->read + h * s->dv);
            continue;
        }
        const flt_vreal square = square_of(s, a->gram + h * s->dk * s->dk, k);
        spread(s->m, a->query + h * s->m, l->lq);
        spread(s->m, a->key + h * s->m, l->lk);
        product(s->dk, s->m, q, a->omega_q + h * s->dk * s->m, l->lq);
        product(s->dk, s->m, k, a->omega_k + h * s->dk * s->m, l->lk);
        write_and_read(s->m, s->dv, l, square * REAL(0.5), a->tau[h], u, memory, l->read + h * s->dv);
    }
}

// The layers behind the first product; returns direction and magnitude.
FLTX_INLINE const flt_vreal *network(const flt_step_args *a, const flt_step_sizes *s, const lanes *l) {
    flt_vreal *in = l->out + s->heads * (2 * s->dk + s->dv);
    product(s->heads * s->dv, s->width[1], l->read, a->read_w, in);
#pragma GCC unroll 2
    for (size_t i = 1; i < s->n_layers; i++) {
#pragma GCC unroll 8
        for (size_t j = 0; j < s->width[i]; j++) in[j] = flt_vreal_max(set(0), in[j]);
        spread(s->width[i + 1], a->b[i], l->act[i % 2]);
        product(s->width[i], s->width[i + 1], in, a->w[i], l->act[i % 2]);
        in = l->act[i % 2];
    }
    return in;
}

// Attention and network of coordinates whose own features are x: leaves the direction in *g.
FLTX_INLINE void coordinates(const flt_step_args *a, const flt_step_sizes *s, const lanes *l, const flt_real *row, size_t own,
                             const flt_vreal *x, flt_real *memory, flt_real *g, flt_vreal *square, flt_vreal *gain) {
#pragma GCC unroll 8
    for (size_t j = 0; j < s->n_out; j++) l->out[j] = l->column[j] + row[j];
    product(own, s->n_out, x, a->own_w, l->out);
    attend(a, s, l, memory);
    const flt_vreal *out = network(a, s, l);
    store(g, out[0]);
    *square += out[0] * out[0];
    *gain += exp_low(REAL(0.1) * clip(out[1], REAL(10)));
}

FLTX_INLINE void panel_update(const flt_step_args *a, const flt_step_sizes *s, const panel *n, const column *c, const lanes *l,
                              flt_vreal *sums) {
    const size_t words = flt_step_words(s);
    flt_vreal x[OWN], square = set(0), gain = set(0);
    for (size_t r = n->first; r < n->end; r++) {
        flt_real *block = take_block(n, r, words, l->block), *g = n->g + r * FLTX_BLOCK;
        const flt_real *row = a->row_out + (n->o * a->tensor.rows + r) * s->n_out;
        if (s->raw) {
            raw_features(load(g), load(n->p + r * FLTX_BLOCK), load(block), x);
            coordinates(a, s, l, row, RAW, x, block + FLTX_BLOCK, g, &square, &gain);
        } else {
            const moment state = read_moment(block);
            own_features(load(g), load(n->p + r * FLTX_BLOCK), &state, c, factor_of(a, n->o, r), x);
            coordinates(a, s, l, row, OWN, x, block + (DECAYS + 1) * FLTX_BLOCK, g, &square, &gain);
        }
        keep_block(n, r, words, block);
    }
    sums[0] += only(n->mask, square);
    sums[1] += only(n->mask, gain);
}

// The column's share of the first product; nothing with raw inputs.
FLTX_INLINE column start_column(const flt_step_args *a, const flt_step_sizes *s, const lanes *l, const panel *n) {
    flt_vreal x[LINE];
    column c = {.moment = {set(0)}};
    for (size_t j = 0; j < s->n_out; j++) l->column[j] = set(0);
    if (s->raw) return c;
    c = read_column(n, a->tensor.factored);
    for (int d = 0; d < DECAYS; d++) {
        x[d] = c.moment[d];
        x[DECAYS + d] = flt_vreal_rsqrt(c.moment[d] + REAL(1e-8));
    }
    product(LINE, s->n_out, x, a->col_w, l->column);
    return c;
}

// Inlined twice: with sizes known to the compiler and with any.
FLTX_INLINE void update_sized(const flt_step_args *a, const flt_step_sizes *s, double *totals) {
    const flt_step_tensor *t = &a->tensor;
    const lanes l = cut_lanes(s, a->lanes);
    flt_vreal sums[2] = {set(0), set(0)};
    for (size_t line = 0; line < t->outer * t->groups; line++)
        for (size_t lane = 0; lane < FLTX_BLOCK; lane += FLTX_LANES) {
            const panel top = panel_at(a, line / t->groups, line % t->groups, lane, 0);
            if (top.here == 0) continue;
            const column c = start_column(a, s, &l, &top);
            for (size_t first = 0; first < t->rows; first += FLUSH) {
                const panel n = panel_at(a, line / t->groups, line % t->groups, lane, first);
                panel_update(a, s, &n, &c, &l, sums);
                flush(sums, 2, totals);
            }
        }
}

// The sizes of the quickstart: loops over them unroll, which saves an eighth of the time.
static const flt_step_sizes usual = {.heads = 1, .m = 8, .dk = 4, .dv = 4, .n_out = 20, .n_layers = 3, .width = {0, 8, 8, 2}};

static bool is_usual(const flt_step_sizes *s) {
    bool same = s->heads == usual.heads && s->m == usual.m && s->dk == usual.dk && s->dv == usual.dv &&
                s->n_layers == usual.n_layers && s->window == 0 && !s->raw && !s->gram;
    for (size_t i = 1; same && i <= usual.n_layers; i++) same = s->width[i] == usual.width[i];
    return same;
}

static void update(const flt_step_args *a, double *squares, double *gains) {
    double totals[2] = {0, 0};
    if (is_usual(a->sizes))
        update_sized(a, &usual, totals);
    else
        update_sized(a, a->sizes, totals);
    *squares = totals[0];
    *gains = totals[1];
}

const flt_step FLTX_ISA_TABLE(flt_step) = {
    .pack = pack, .subtract = subtract, .factor = factor, .moments = moments, .rows = rows, .update = update};
