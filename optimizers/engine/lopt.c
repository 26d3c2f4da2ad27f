// SPDX-License-Identifier: MIT
// Plans, accumulators and features of the per-coordinate learned optimizers.
//
// Second moments over the two largest axes (Adafactor's): v_row is averaged over the largest axis, v_col over the second largest;
// of equal axes the later counts as larger. Tensors of rank below 2 have one moment per coordinate instead.
#include "engine/lopt.h"
#include "engine/axes.h"
#include "flt/num.h"

#include <math.h>
#include <string.h>

enum { D = FLTX_LOPT_DECAYS, MEANS = 6 };
// Coordinates of a tensor whose features are kept between the two passes, and of a tile of a larger one; features at most.
enum { KEPT = 16384, TILE = 2048, MOST = 32 };

static const double keep[D] = {0.9, 0.99, 0.999};
static const double mean_keep[MEANS] = {0.1, 0.5, 0.9, 0.99, 0.999, 0.9999};

// ---- meta-parameters

static size_t inputs_of(const flt_lopt_form *form) {
    return form->count + form->shared;
}

flt_err flt_lopt_meta(const flt_lopt_form *form, const flt_params *p, flt_layout *theta) {
    const flt_mlp m = flt_mlp_make(p, inputs_of(form), form->outputs);
    return flt_mlp_layout(&m, theta);
}

void flt_lopt_meta_init(const flt_lopt_form *form, const flt_params *p, uint64_t seed, flt_real *theta) {
    const flt_mlp m = flt_mlp_make(p, inputs_of(form), form->outputs);
    flt_mlp_init(&m, form->pass, seed, theta);
}

// ---- planning

// Flat index of coordinate i in the tensor without axes a and b.
static size_t without(const flt_tensor_spec *t, size_t i, size_t a, size_t b) {
    size_t flat = 0, stride = 1;
    for (size_t k = t->rank; k-- > 0; i /= t->dim[k]) {
        if (k == a || k == b) continue;
        flat += i % t->dim[k] * stride;
        stride *= t->dim[k];
    }
    return flat;
}

static size_t *plan_factored(const flt_tensor_spec *t, flt_lopt_plan *p, size_t *index) {
    size_t a[2], *row_at = index, *col_at;
    flt_lopt_shape *s = &p->shape;
    flt_largest_axes(t, a);
    s->run = t->dim[t->rank - 1];
    s->runs = t->count / s->run;
    s->row_step = a[0] != t->rank - 1;
    s->col_step = a[1] != t->rank - 1;
    p->row_count = t->dim[a[0]];
    p->col_count = t->dim[a[1]];
    s->rows = t->count / p->row_count;
    s->cols = t->count / p->col_count;
    p->groups = s->rows / p->col_count;
    col_at = row_at + s->runs;
    p->row_group = col_at + s->runs;
    for (size_t k = 0; k < s->runs; k++) {
        row_at[k] = without(t, k * s->run, a[0], a[0]);
        col_at[k] = without(t, k * s->run, a[1], a[1]);
    }
    for (size_t i = 0; i < t->count; i++) p->row_group[without(t, i, a[0], a[0])] = without(t, i, a[0], a[1]);
    s->row_at = row_at;
    s->col_at = col_at;
    return p->row_group + s->rows;
}

static size_t *plan_tensor(const flt_tensor_spec *t, flt_lopt_plan *p, size_t *index) {
    p->offset = t->offset;
    p->shape.n = t->count;
    p->factored = t->rank >= 2 && t->count > 0;
    if (p->factored) return plan_factored(t, p, index);
    p->shape = (flt_lopt_shape){t->count, t->count, 1, t->count, t->count, 1, 1, index, index};
    index[0] = 0;
    return index + 1;
}

static flt_err plan_all(flt_lopt_base *o) {
    size_t room = 1;
    for (size_t i = 0; i < o->layout.n; i++) room += 3 * o->layout.tensor[i].count + 1;
    FLTX_TRY(flt_alloc(o->layout.n, sizeof *o->plans, &o->plans));
    FLTX_TRY(flt_alloc(room, sizeof *o->index, &o->index));
    size_t *index = o->index;
    for (size_t i = 0; i < o->layout.n; i++) {
        flt_lopt_plan *p = &o->plans[i];
        index = plan_tensor(&o->layout.tensor[i], p, index);
        const flt_lopt_shape *s = &p->shape;
        const size_t own = s->n * (o->form->features == FLTX_MEANS ? MEANS : D + 1), ld = (s->n + 15) / 16 * 16;
        p->state = o->words;
        p->lines = own;
        o->words += own;
        if (o->form->features != FLTX_MEANS) o->words += D * (p->factored ? s->rows + s->cols : s->n);
        if (ld > o->ld) o->ld = ld;
        if (s->rows + s->cols > o->longest) o->longest = s->rows + s->cols;
    }
    return FLTE_OK;
}

static void bind_ws(void *self, flt_ws *ws) {
    flt_lopt_base *o = self;
    const size_t size = sizeof(flt_real);
    o->theta = flt_ws_take(ws, o->mlp.total, size);
    o->f = flt_ws_take(ws, o->form->count * (o->form->whole || o->ld < KEPT ? o->ld : KEPT), size);
    o->out = flt_ws_take(ws, 2 * o->ld, size);
    o->inverse = flt_ws_take(ws, o->form->count, sizeof(double));
    o->w0 = flt_ws_take(ws, o->form->count * o->mlp.width[1], size);
    o->b0 = flt_ws_take(ws, o->mlp.width[1], size);
    o->lines = flt_ws_take(ws, D * 4 * o->longest, size);
    o->sums = flt_ws_take(ws, o->longest, size);
}

flt_err flt_lopt_create(const flt_lopt_form *form, const flt_params *p, const flt_layout *layout, size_t size, void *self) {
    flt_lopt_base *o = NULL;
    flt_err err = FLTE_OK;
    FLTX_TRY(flt_alloc(1, size, &o));
    o->form = form;
    o->kernels = FLTX_ISA_PICK(flt_lopt);
    o->mlp = flt_mlp_make(p, inputs_of(form), form->outputs);
    FLTX_GO(err, fail, flt_layout_copy(layout, &o->layout));
    FLTX_GO(err, fail, plan_all(o));
    FLTX_GO(err, fail, flt_ws_create(bind_ws, o, &o->ws));
    memcpy(self, &o, sizeof o);
    return FLTE_OK;
fail:
    flt_lopt_destroy(o);
    return err;
}

void flt_lopt_destroy(void *self) {
    flt_lopt_base *o = self;
    if (o == NULL) return;
    flt_ws_destroy(&o->ws);
    flt_free(o->plans);
    flt_free(o->index);
    flt_layout_free(&o->layout);
    flt_free(o);
}

size_t flt_lopt_words(const void *self) {
    return ((const flt_lopt_base *)self)->words;
}

void flt_lopt_init(void *self, flt_real *state) {
    memset(state, 0, flt_lopt_words(self) * sizeof *state);
}

void flt_lopt_bind(void *self, const flt_real *theta) {
    flt_lopt_base *o = self;
    memcpy(o->theta, theta, o->mlp.total * sizeof *theta);
}

// ---- moments of rows and columns

static const flt_real floor_of_root = (flt_real)1e-9; // under srs(x) = max(x, 1e-9)^-1/2

static void mix(size_t n, double b, const flt_real *sums, double count, flt_real *moment) {
    for (size_t i = 0; i < n; i++) moment[i] = (flt_real)b * moment[i] + (flt_real)((1 - b) / count) * sums[i];
}

typedef struct lines {
    flt_real *rsqrt, *on_g, *on_m; // [rows] then [cols]
} lines;

static lines lines_at(const flt_lopt_base *o, size_t d) {
    flt_real *at = o->lines + d * 4 * o->longest;
    return (lines){at, at + o->longest, at + 2 * o->longest};
}

// srs(row / (mean of its group + 1e-9)) for rows, srs(col) for columns; moment: [rows] then [cols].
static void factors(const flt_lopt_base *o, const flt_lopt_plan *p, const flt_real *moment, lines l) {
    const size_t rows = p->shape.rows;
    flt_real *mean = o->sums; // [groups], free again
    memset(mean, 0, p->groups * sizeof *mean);
    for (size_t i = 0; i < rows; i++) mean[p->row_group[i]] += moment[i] / (flt_real)p->col_count;
    for (size_t i = 0; i < rows; i++) l.on_m[i] = moment[i] / (mean[p->row_group[i]] + (flt_real)1e-9);
    o->kernels->rsqrt(rows, l.on_m, 0, floor_of_root, l.on_g);
    o->kernels->rsqrt(p->shape.cols, moment + rows, 0, floor_of_root, l.on_g + rows);
}

static void update_factored(flt_lopt_base *o, const flt_lopt_plan *p, const flt_real *g, flt_real *moments) {
    const flt_lopt_shape *s = &p->shape;
    const size_t both = s->rows + s->cols;
    memset(o->sums, 0, both * sizeof *o->sums);
    o->kernels->sum_lines(s, g, o->sums, o->sums + s->rows);
    for (size_t d = 0; d < D; d++) {
        mix(s->rows, keep[d], o->sums, (double)p->row_count, moments + d * both);
        mix(s->cols, keep[d], o->sums + s->rows, (double)p->col_count, moments + d * both + s->rows);
    }
    for (size_t d = 0; d < D; d++) {
        const lines l = lines_at(o, d);
        o->kernels->rsqrt(both, moments + d * both, (flt_real)1e-8, 0, l.rsqrt);
        factors(o, p, moments + d * both, l);
    }
}

// Rank below 2: the one moment serves as row and column; its factors lie with the columns, those of the rows are 1.
static void update_plain(flt_lopt_base *o, const flt_lopt_plan *p, const flt_real *g, flt_real *moments) {
    const size_t n = p->shape.n;
    for (size_t d = 0; d < D; d++) {
        const lines l = lines_at(o, d);
        flt_real *moment = moments + d * n;
        for (size_t i = 0; i < n; i++) {
            const flt_real square = g[i] * g[i] + (flt_real)1e-30;
            moment[i] = (flt_real)keep[d] * moment[i] + (flt_real)(1 - keep[d]) * square;
            l.on_g[i] = l.on_m[i] = 1;
        }
        o->kernels->rsqrt(n, moment, (flt_real)1e-9, floor_of_root, l.on_g + n);
        o->kernels->rsqrt(n, moment, (flt_real)1e-8, 0, l.rsqrt);
        o->kernels->rsqrt(n, moment, (flt_real)1e-6, 0, l.on_m + n);
    }
}

// ---- features

// Coordinates first .. first + n - 1 of a tensor, and what their features are made of; ld: n rounded up to whole vectors.
typedef struct tile {
    size_t first, n, ld;
    const flt_real *g, *p; // of the whole tensor, as its state
    flt_real *state;
    bool update; // the state first
} tile;

static size_t padded(size_t n) {
    return (n + 15) / 16 * 16;
}

// Six features of a decay, for `runs` stretches of `run` coordinates from number k on; a single one may start at `offset`.
typedef struct decayed {
    const flt_lopt *kernels;
    const flt_lopt_shape *s;
    const flt_real *g, *m; // at the tile
    flt_lopt_line row, col;
    flt_lopt_factored out;
} decayed;

static void stretch(const decayed *a, size_t k, size_t offset, size_t run, size_t runs, size_t at) {
    const flt_lopt_shape *s = a->s;
    const size_t row = s->row_at[k] + offset * s->row_step, col = s->col_at[k] + offset * s->col_step;
    flt_lopt_shape part = *s;
    part.n = run * runs;
    part.run = run;
    part.runs = runs;
    part.row_at = runs == 1 ? &row : s->row_at + k;
    part.col_at = runs == 1 ? &col : s->col_at + k;
    const flt_lopt_factored out = {a->out.g + at,         a->out.row + at,       a->out.col + at,
                                   a->out.row_rsqrt + at, a->out.col_rsqrt + at, a->out.m + at};
    a->kernels->factored(&part, a->g + at, a->m + at, &a->row, &a->col, &out);
}

// A tile begins and ends where it likes: the rest of a stretch, whole ones, the beginning of one.
static void stretches(const decayed *a, const tile *t) {
    const size_t run = a->s->run, offset = t->first % run;
    size_t k = t->first / run, at = 0;
    if (offset > 0) {
        at = run - offset < t->n ? run - offset : t->n;
        stretch(a, k++, offset, at, 1, 0);
    }
    const size_t runs = (t->n - at) / run, rest = (t->n - at) % run;
    if (runs > 0) stretch(a, k, 0, run, runs, at);
    if (rest > 0) stretch(a, k + runs, 0, rest, 1, at + runs * run);
}

// Six features of decay d, of three rows each, from row fac_g of f on; `m` with its factors three rows behind them.
static void line_features(flt_lopt_base *o, const flt_lopt_plan *p, size_t d, const tile *t, flt_real *fac_g, flt_real *rest) {
    const flt_lopt_shape *s = &p->shape;
    const lines l = lines_at(o, d);
    const size_t ld = t->ld, cols = p->factored ? s->rows : 0; // where columns start among moments
    const flt_real *moment = t->state + p->lines + d * (p->factored ? s->rows + s->cols : s->n);
    const flt_real *on_m = p->factored ? l.on_g : l.on_m;
    const decayed a = {.kernels = o->kernels,
                       .s = s,
                       .g = t->g + t->first,
                       .m = t->state + d * s->n + t->first,
                       .row = {moment, l.rsqrt, l.on_g, on_m},
                       .col = {moment + cols, l.rsqrt + cols, l.on_g + s->rows, on_m + s->rows},
                       .out = {fac_g + d * ld, rest + d * ld, rest + (3 + d) * ld, rest + (6 + d) * ld, rest + (9 + d) * ld,
                               rest + (12 + d) * ld}};
    stretches(&a, t);
}

static void adafac_features(flt_lopt_base *o, const flt_lopt_plan *p, const tile *t) {
    const bool celo2 = o->form->features == FLTX_CELO2;
    const size_t n = p->shape.n, first = celo2 ? 11 : 10; // of fac_g
    const double b = celo2 ? 0.95 : 0.999;
    flt_real *m = t->state + t->first, *fac_g = o->f + first * t->ld;
    const flt_lopt_own own = {.n = t->n,
                              .ld = t->ld,
                              .stride = n,
                              .celo2 = celo2,
                              .update = t->update,
                              .keep_v = (flt_real)b,
                              .write_v = (flt_real)(1 - b),
                              .eps = (flt_real)(celo2 ? 1e-8 : 1e-6),
                              .g = t->g + t->first,
                              .p = t->p + t->first,
                              .m = m,
                              .v = m + D * n};
    o->kernels->own(&own, o->f);
    for (size_t d = 0; d < D; d++) line_features(o, p, d, t, fac_g, fac_g + (celo2 ? 4 : 3) * t->ld);
}

static void mean_features(flt_lopt_base *o, size_t total, const tile *t) {
    const size_t size = t->n * sizeof *t->g;
    flt_real *m = t->state + t->first;
    if (t->update) o->kernels->means(t->n, MEANS, mean_keep, t->g + t->first, total, m);
    memcpy(o->f, t->g + t->first, size);
    memcpy(o->f + t->ld, t->p + t->first, size);
    for (size_t k = 0; k < MEANS; k++) memcpy(o->f + (2 + k) * t->ld, m + k * total, size);
}

static void features(flt_lopt_base *o, const flt_lopt_plan *p, const tile *t) {
    if (o->form->features == FLTX_MEANS)
        mean_features(o, p->shape.n, t);
    else
        adafac_features(o, p, t);
}

// Tile number i of n coordinates; false behind the last.
static bool cut(size_t i, size_t size, size_t n, tile *t) {
    t->first = i * size;
    if (t->first >= n) return false;
    t->n = n - t->first < size ? n - t->first : size;
    t->ld = padded(t->n);
    return true;
}

// Updates the state; leaves the last tile's features in f, the normalisers of all in inverse.
static void normalisers(flt_lopt_base *o, const flt_lopt_plan *p, size_t size, const tile *from) {
    const size_t n = p->shape.n, count = o->form->count;
    flt_real *moments = from->state + p->lines;
    tile t = *from;
    t.update = true;
    for (size_t k = 0; k < count; k++) o->inverse[k] = 0;
    if (o->form->features != FLTX_MEANS && p->factored) update_factored(o, p, t.g, moments);
    if (o->form->features != FLTX_MEANS && !p->factored) update_plain(o, p, t.g, moments);
    for (size_t i = 0; cut(i, size, n, &t); i++) {
        double part[MOST];
        features(o, p, &t);
        o->kernels->squares(t.n, t.ld, count, o->f, part);
        for (size_t k = 0; k < count; k++) o->inverse[k] += part[k];
    }
    for (size_t k = 0; k < count; k++) o->inverse[k] = 1 / sqrt(o->form->eps + o->inverse[k] / (double)n);
}

// ---- the network, with what is the same for all coordinates of a tensor folded into its first layer

static void fold(flt_lopt_base *o, const flt_real *shared) {
    const size_t wide = o->mlp.width[1];
    const flt_real *w = o->theta + o->mlp.w[0];
    memcpy(o->b0, o->theta + o->mlp.b[0], wide * sizeof *o->b0);
    for (size_t k = 0; k < o->form->count; k++)
        for (size_t j = 0; j < wide; j++) o->w0[k * wide + j] = (flt_real)((double)w[k * wide + j] * o->inverse[k]);
    w += o->form->count * wide;
    for (size_t k = 0; k < o->form->shared; k++, w += wide)
        for (size_t j = 0; j < wide; j++) o->b0[j] += shared[k] * w[j];
}

static flt_lopt_net net_of(const flt_lopt_base *o, size_t out_ld) {
    flt_lopt_net net = {.n_layers = o->mlp.n_layers, .ld = out_ld, .out_ld = out_ld, .outputs = 2};
    for (size_t i = 0; i < net.n_layers; i++) {
        net.width[i + 1] = o->mlp.width[i + 1];
        net.w[i] = i == 0 ? o->w0 : o->theta + o->mlp.w[i];
        net.b[i] = i == 0 ? o->b0 : o->theta + o->mlp.b[i];
    }
    net.width[0] = o->form->count;
    return net;
}

static tile tile_of(const flt_lopt_plan *p, const flt_real *grad, const flt_real *param, flt_real *state) {
    return (tile){.g = grad + p->offset, .p = param + p->offset, .state = state + p->state};
}

void flt_lopt_inputs(flt_lopt_base *o, size_t i, const flt_real *grad, const flt_real *param, flt_real *state) {
    const flt_lopt_plan *p = &o->plans[i];
    const tile from = tile_of(p, grad, param, state);
    normalisers(o, p, p->shape.n, &from);
}

const flt_real *flt_lopt_network(flt_lopt_base *o, size_t i, const flt_real *shared) {
    fold(o, shared);
    const flt_lopt_net net = net_of(o, padded(o->plans[i].shape.n));
    o->kernels->network(&net, o->f, o->out);
    return o->out;
}

const flt_real *flt_lopt_outputs(flt_lopt_base *o, size_t i, uint64_t t, const flt_real *grad, const flt_real *param,
                                 flt_real *state) {
    const flt_lopt_plan *p = &o->plans[i];
    const size_t n = p->shape.n;
    double exact[FLTX_TIMES];
    flt_real times[FLTX_TIMES];
    if (n == 0) return NULL;
    flt_time_features(t, exact);
    for (size_t k = 0; k < FLTX_TIMES; k++) times[k] = (flt_real)exact[k];
    const size_t size = n <= KEPT ? n : TILE;
    tile part = tile_of(p, grad, param, state);
    normalisers(o, p, size, &part);
    fold(o, times);
    flt_lopt_net net = net_of(o, padded(n));
    for (size_t k = 0; cut(k, size, n, &part); k++) {
        if (size < n) features(o, p, &part);
        net.ld = part.ld;
        o->kernels->network(&net, o->f, o->out + part.first);
    }
    return o->out;
}

// ---- the classic rule

flt_err flt_lopt_classic_create(const flt_lopt_form *form, const flt_params *p, const flt_layout *layout, void **self) {
    flt_lopt_classic *s = NULL;
    FLTX_TRY(flt_lopt_create(form, p, layout, sizeof *s, &s));
    s->rate = flt_params_real(p, "lr") * flt_params_real(p, "step_mult");
    *self = s;
    return FLTE_OK;
}

void flt_lopt_classic_step(void *self, uint64_t t, flt_real loss, const flt_real *grad, flt_real *param, flt_real *state) {
    flt_lopt_classic *s = self;
    flt_lopt_base *o = &s->base;
    const flt_real rate = (flt_real)s->rate, exp_mult = (flt_real)1e-3;
    (void)loss;
    for (size_t i = 0; i < o->layout.n; i++) {
        const flt_lopt_plan *p = &o->plans[i];
        const flt_real *out = flt_lopt_outputs(o, i, t, grad, param, state);
        if (out == NULL) continue;
        const size_t n = p->shape.n, ld = (n + 15) / 16 * 16;
        flt_real *gain = o->out + ld; // in place
        for (size_t k = 0; k < n; k++) gain[k] *= exp_mult;
        flt_vexp(n, gain, gain);
        for (size_t k = 0; k < n; k++) param[p->offset + k] -= rate * out[k] * gain[k];
    }
}
