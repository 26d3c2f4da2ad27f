// SPDX-License-Identifier: MIT
// FLT over tensors: attention in space, then in time, tells every coordinate of a tensor what the tensor as a whole is doing.
// Features x [30] of every coordinate (Celo2's, each divided by its root mean square over the tensor), then per tensor:
//   space   chunks of `chunk` coordinates in a row; bidirectional FLT attention among the x of a chunk at positions (i / rows,
//           j / cols), the weight's 2-D index; a chunk's token y [dv] is the mean of what its coordinates read
//   chunks  the same among all y of the tensor, at the index of each chunk's middle; the mean w [dv] stands for the tensor
//   time    causal FLT attention of w over its own trajectory, S = e^-tau S + e^lk u^T, z = e^-tau z + e^lk, o = e^lq S / (e^lq
//   z)
//           at time position s = log(1 + t) / log(1 + t_ref)
//   [D, M] = network(x, w, o),   p -= lr exp(clip(rate o, +-5)) mean(exp(0.1 clip(M, +-10))) D (1e-9 + mean D^2)^-1/2
// Shapes, LEVEL = space (inputs 30, axes 2), chunks (dv, 2), time (dv, 1): LEVEL.wq, wk [inputs, dk], wv [inputs, dv], xi [r,
// axes], rho [r], omega [m, dk + 2 r]; tau [1]; rate [dv]; layers.0.w [30 + 2 dv, hidden]. A tensor is [first axis, the rest], a
// vector [1, count]. Reference: Jain et al., arXiv 2302.01128 (Mnemosyne: hierarchical pooling, then an associative memory over
// time); Choromanski et al., arXiv 2302.01925 (FLT). Neither has this optimizer: relative encodings, features and output rule are
// ours and Celo2's. Cost: O(30 (2 dk + dv) + m (2 dk + 4 r + dv) + network) per coordinate; state 4 + 3 (r + c) / (r c) words per
// coordinate and 1 + m (1 + dv) per tensor. Limits: one head; m, dk, dv, r at most 64.
#include "engine/lopt.h"
#include "flt/num.h"
#include "flt/random.h"
#include "kernels/pool.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { LEVELS = 3, SPACE = 0, CHUNKS, TIME, FEATURES = 30 };
static const char who[] = "flt_tensor";
static const char *const level_names[LEVELS] = {"space", "chunks", "time"};

typedef struct level {
    size_t inputs, axes;
    size_t wq, wk, wv, xi, rho, omega; // in theta
} level;

typedef struct net {
    size_t dk, dv, m, r, chunk;
    double lr, t_ref;
    level level[LEVELS];
    size_t tau, rate, layers; // in theta
} net;

typedef struct flt_tensor_opt {
    flt_lopt_base base;
    flt_lopt_form form;
    net net;
    size_t memory; // words per tensor
    const flt_pool *kernels;
    flt_ws ws;
    flt_real *theta;                                 // [net.layers]: a copy of the attention's part
    flt_real *w;                                     // [30, 2 dk + dv]
    flt_real *omega[LEVELS], *xi[2];                 // [dk, m]; [2, r]
    flt_real *on_query[2], *on_key[2];               // [2 r, m]
    flt_real *position, *tokens, *middles, *scratch; // [2, ld], [dv, tokens_ld], [2, tokens_ld]
    flt_real *mean, *q, *k, *lq, *lk;                // [dv], [dk], [dk], [m], [m]
    flt_real *shared;                                // [2 dv]: w, o
    size_t tokens_ld;
} flt_tensor_opt;

// ---- meta-parameters

static const flt_lopt_form base_form = {
    .features = FLTX_CELO2, .count = FEATURES, .outputs = 2, .pass = 7, .eps = 1e-9, .whole = true};

static size_t cut(size_t *end, size_t count) {
    const size_t start = *end;
    *end += count;
    return start;
}

static size_t padded(size_t n) {
    return (n + FLTX_POOL_ALIGN - 1) / FLTX_POOL_ALIGN * FLTX_POOL_ALIGN;
}

static net make_net(const flt_params *p) {
    net n = {.dk = flt_params_size(p, "dk"),
             .dv = flt_params_size(p, "dv"),
             .m = flt_params_size(p, "m"),
             .r = flt_params_size(p, "r"),
             .chunk = padded(flt_params_size(p, "chunk")),
             .lr = flt_params_real(p, "lr"),
             .t_ref = flt_params_real(p, "t_ref")};
    size_t end = 0;
    for (int i = 0; i < LEVELS; i++) {
        level *l = &n.level[i];
        l->inputs = i == SPACE ? FEATURES : n.dv;
        l->axes = i == TIME ? 1 : 2;
        l->wq = cut(&end, l->inputs * n.dk);
        l->wk = cut(&end, l->inputs * n.dk);
        l->wv = cut(&end, l->inputs * n.dv);
        l->xi = cut(&end, n.r * l->axes);
        l->rho = cut(&end, n.r);
        l->omega = cut(&end, n.m * (n.dk + 2 * n.r));
    }
    n.tau = cut(&end, 1);
    n.rate = cut(&end, n.dv);
    n.layers = end;
    return n;
}

static flt_mlp mlp_of(const flt_params *p, const net *n) {
    return flt_mlp_make(p, FEATURES + 2 * n->dv, 2);
}

static flt_err add(flt_layout *theta, int at, const char *name, size_t rank, const size_t *dim) {
    char full[32];
    snprintf(full, sizeof full, "%s.%s", level_names[at], name);
    return flt_layout_add(theta, full, rank, dim);
}

static flt_err add_level(const net *n, int at, flt_layout *theta) {
    const level *l = &n->level[at];
    FLTX_TRY(add(theta, at, "wq", 2, (size_t[]){l->inputs, n->dk}));
    FLTX_TRY(add(theta, at, "wk", 2, (size_t[]){l->inputs, n->dk}));
    FLTX_TRY(add(theta, at, "wv", 2, (size_t[]){l->inputs, n->dv}));
    FLTX_TRY(add(theta, at, "xi", 2, (size_t[]){n->r, l->axes}));
    FLTX_TRY(add(theta, at, "rho", 1, (size_t[]){n->r}));
    return add(theta, at, "omega", 2, (size_t[]){n->m, n->dk + 2 * n->r});
}

static flt_err add_all(const flt_params *p, const net *n, flt_layout *theta) {
    const flt_mlp mlp = mlp_of(p, n);
    for (int i = 0; i < LEVELS; i++) FLTX_TRY(add_level(n, i, theta));
    FLTX_TRY(flt_layout_add(theta, "tau", 1, (size_t[]){1}));
    FLTX_TRY(flt_layout_add(theta, "rate", 1, (size_t[]){n->dv}));
    return flt_mlp_add(&mlp, theta);
}

static flt_err meta(const flt_params *p, flt_layout *theta) {
    const net n = make_net(p);
    *theta = (flt_layout){0};
    const flt_err err = add_all(p, &n, theta);
    if (err != FLTE_OK) flt_layout_free(theta);
    return err;
}

static void fill(flt_rng rng, const char *tag, double std, size_t n, flt_real *out) {
    const flt_rng stream = flt_rng_child(rng, tag, 0);
    for (size_t i = 0; i < n; i++) out[i] = (flt_real)(std * flt_rng_normal_at(stream, i));
}

static void meta_init(const flt_params *p, uint64_t seed, flt_real *theta) {
    const net n = make_net(p);
    const flt_mlp mlp = mlp_of(p, &n);
    const flt_rng rng = flt_rng_make(seed, "flt_tensor meta_init", 0);
    for (int i = 0; i < LEVELS; i++) {
        const level *l = &n.level[i];
        const flt_rng own = flt_rng_child(rng, level_names[i], 0);
        const double input = 1 / sqrt((double)l->inputs);
        fill(own, "wq", input, l->inputs * n.dk, theta + l->wq);
        fill(own, "wk", input, l->inputs * n.dk, theta + l->wk);
        fill(own, "wv", input, l->inputs * n.dv, theta + l->wv);
        fill(own, "xi", 1, n.r * l->axes, theta + l->xi);
        fill(own, "omega", 1, n.m * (n.dk + 2 * n.r), theta + l->omega);
        for (size_t k = 0; k < n.r; k++) theta[l->rho + k] = 1;
    }
    theta[n.tau] = (flt_real)0.02;
    for (size_t k = 0; k < n.dv; k++) theta[n.rate + k] = 0;
    flt_mlp_init(&mlp, base_form.pass, seed, theta + n.layers);
}

static flt_err infer(const flt_tensors *weights, flt_params *p) {
    static const struct {
        const char *tensor, *size;
        size_t axis;
    } shapes[] = {{"space.wq", "dk", 1}, {"space.wv", "dv", 1}, {"space.xi", "r", 0}, {"space.omega", "m", 0}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const flt_tensor *t = flt_tensors_find(weights, shapes[i].tensor);
        if (t == NULL) return flt_fail(FLTE_FORMAT, who, "the weight file has no tensor %s", shapes[i].tensor);
        FLTX_TRY(flt_tensor_expect(who, t, 2, (size_t[]){SIZE_MAX, SIZE_MAX}));
        FLTX_TRY(flt_set_size(p, shapes[i].size, t->dim[shapes[i].axis]));
    }
    return flt_mlp_infer(who, weights, p);
}

// ---- planning

static void bind_ws(void *self, flt_ws *ws) {
    flt_tensor_opt *o = self;
    const net *n = &o->net;
    const size_t size = sizeof(flt_real), longest = n->chunk > o->tokens_ld ? n->chunk : o->tokens_ld;
    o->theta = flt_ws_take(ws, n->layers, size);
    o->w = flt_ws_take(ws, (FEATURES > n->dv ? FEATURES : n->dv) * (2 * n->dk + n->dv), size);
    for (int i = 0; i < LEVELS; i++) o->omega[i] = flt_ws_take(ws, n->dk * n->m, size);
    for (int i = 0; i < 2; i++) {
        o->xi[i] = flt_ws_take(ws, 2 * n->r, size);
        o->on_query[i] = flt_ws_take(ws, 2 * n->r * n->m, size);
        o->on_key[i] = flt_ws_take(ws, 2 * n->r * n->m, size);
    }
    o->position = flt_ws_take(ws, 2 * o->base.ld, size);
    o->tokens = flt_ws_take(ws, n->dv * o->tokens_ld, size);
    o->middles = flt_ws_take(ws, 2 * o->tokens_ld, size);
    o->scratch = flt_ws_take(ws, flt_pool_scratch(n->dv, n->m, longest), size);
    o->mean = flt_ws_take(ws, n->dv, size);
    o->q = flt_ws_take(ws, n->dk, size);
    o->k = flt_ws_take(ws, n->dk, size);
    o->lq = flt_ws_take(ws, n->m, size);
    o->lk = flt_ws_take(ws, n->m, size);
    o->shared = flt_ws_take(ws, 2 * n->dv, size);
}

static void destroy(void *self) {
    flt_tensor_opt *o = self;
    if (o == NULL) return;
    flt_ws_destroy(&o->ws);
    flt_lopt_destroy(o);
}

static flt_err create(const flt_params *p, const flt_layout *layout, void **self) {
    flt_tensor_opt *o = NULL;
    const net n = make_net(p);
    flt_lopt_form form = base_form;
    form.shared = 2 * n.dv;
    FLTX_TRY(flt_lopt_create(&form, p, layout, sizeof *o, &o));
    o->form = form;
    o->base.form = &o->form;
    o->net = n;
    o->memory = 1 + n.m * (1 + n.dv);
    o->kernels = FLTX_ISA_PICK(flt_pool);
    o->tokens_ld = padded((o->base.ld + n.chunk - 1) / n.chunk);
    const flt_err err = flt_ws_create(bind_ws, o, &o->ws);
    if (err != FLTE_OK) {
        destroy(o);
        return err;
    }
    *self = o;
    return FLTE_OK;
}

// ---- state: that of the features, then per tensor the memory c, z [m], S [m, dv]

static size_t state_words(const void *self) {
    const flt_tensor_opt *o = self;
    return o->base.words + o->base.layout.n * o->memory;
}

static void init(void *self, flt_real *state) {
    const flt_tensor_opt *o = self;
    memset(state, 0, state_words(o) * sizeof *state);
    for (size_t i = 0; i < o->base.layout.n; i++)
        state[o->base.words + i * o->memory] = (flt_real)-1e30; // finite, below all keys
}

// ---- theta

static void bind_level(flt_tensor_opt *o, int at) {
    const net *n = &o->net;
    const level *l = &n->level[at];
    const flt_real *omega = o->theta + l->omega, root = (flt_real)(1 / sqrt((double)n->r));
    for (size_t f = 0; f < n->m; f++, omega += n->dk + 2 * n->r) {
        for (size_t i = 0; i < n->dk; i++) o->omega[at][i * n->m + f] = omega[i];
        for (size_t i = 0; i < 2 * n->r && at != TIME; i++) {
            o->on_key[at][i * n->m + f] = omega[n->dk + i] * root;
            o->on_query[at][i * n->m + f] = omega[n->dk + i] * root * o->theta[l->rho + i % n->r];
        }
    }
    for (size_t i = 0; i < 2 * n->r && at != TIME; i++) o->xi[at][i] = o->theta[l->xi + i % n->r * 2 + i / n->r];
}

static void bind(void *self, const flt_real *theta) {
    flt_tensor_opt *o = self;
    memcpy(o->theta, theta, o->net.layers * sizeof *theta);
    for (int i = 0; i < LEVELS; i++) bind_level(o, i);
    flt_lopt_bind(&o->base, theta + o->net.layers);
}

// ---- space

// Wq, Wk, Wv side by side, rows times `scale` (NULL: 1), queries and keys times dk^-1/4.
static void make_weights(flt_tensor_opt *o, int at, const double *scale) {
    const net *n = &o->net;
    const level *l = &n->level[at];
    const double root4 = 1 / sqrt(sqrt((double)n->dk));
    flt_real *w = o->w;
    for (size_t i = 0; i < l->inputs; i++, w += 2 * n->dk + n->dv) {
        const double row = scale == NULL ? 1 : scale[i];
        for (size_t j = 0; j < n->dk; j++) {
            w[j] = (flt_real)(row * root4 * (double)o->theta[l->wq + i * n->dk + j]);
            w[n->dk + j] = (flt_real)(row * root4 * (double)o->theta[l->wk + i * n->dk + j]);
        }
        for (size_t j = 0; j < n->dv; j++) w[2 * n->dk + j] = (flt_real)(row * (double)o->theta[l->wv + i * n->dv + j]);
    }
}

// Coordinate e of [rows, cols] lies at (i / rows, j / cols).
static void position_of(const flt_tensor_spec *t, size_t e, flt_real *down, flt_real *along) {
    const size_t rows = t->rank < 2 ? 1 : t->dim[0], cols = t->count / rows;
    *down = (flt_real)((double)(e / cols) / (double)rows);
    *along = (flt_real)((double)(e % cols) / (double)cols);
}

static void fill_positions(const flt_tensor_spec *t, flt_real *down, flt_real *along) {
    const size_t rows = t->rank < 2 ? 1 : t->dim[0], cols = t->count / rows;
    for (size_t i = 0, e = 0; i < rows; i++)
        for (size_t j = 0; j < cols; j++, e++) {
            down[e] = (flt_real)((double)i / (double)rows);
            along[e] = (flt_real)((double)j / (double)cols);
        }
}

static void pool_level(flt_tensor_opt *o, int at, size_t n, size_t chunk, const flt_real *x, size_t ld, const flt_real *position,
                       flt_real *out, size_t out_ld) {
    const net *sizes = &o->net;
    flt_pool_args a = {.n = n, .ld = ld, .chunk = chunk, .inputs = sizes->level[at].inputs, .x = x, .position = position};
    a.dk = sizes->dk;
    a.dv = sizes->dv;
    a.m = sizes->m;
    a.r = sizes->r;
    a.w = o->w;
    a.omega = o->omega[at];
    a.xi = o->xi[at];
    a.on_query = o->on_query[at];
    a.on_key = o->on_key[at];
    a.scratch = o->scratch;
    o->kernels->pool(&a, out, out_ld);
}

// The features in base.f -> mean [dv]
static void summarise(flt_tensor_opt *o, const flt_tensor_spec *t) {
    const size_t ld = padded(t->count), chunk = o->net.chunk, chunks = (t->count + chunk - 1) / chunk, wide = padded(chunks);
    make_weights(o, SPACE, o->base.inverse);
    fill_positions(t, o->position, o->position + ld);
    pool_level(o, SPACE, t->count, chunk, o->base.f, ld, o->position, o->tokens, wide);
    for (size_t j = 0; j < o->net.dv; j++)
        for (size_t c = chunks; c < wide; c++) o->tokens[j * wide + c] = 0;
    make_weights(o, CHUNKS, NULL);
    for (size_t c = 0; c < chunks; c++) {
        const size_t first = c * chunk, left = t->count - first;
        position_of(t, first + (left < chunk ? left : chunk) / 2, &o->middles[c], &o->middles[wide + c]);
    }
    pool_level(o, CHUNKS, chunks, wide, o->tokens, wide, o->middles, o->mean, 1);
}

// ---- time

// lq, lk [m] of the token w, which `shared` begins with, at step t, and its value in u.
static void time_token(flt_tensor_opt *o, uint64_t t, flt_real *u) {
    const net *n = &o->net;
    const level *l = &n->level[TIME];
    const double s = log1p((double)t) / log1p(n->t_ref), root4 = sqrt(sqrt((double)n->dk)), root = sqrt((double)n->r);
    double square = 0;
    for (size_t j = 0; j < n->dk; j++) {
        double q = 0, k = 0;
        for (size_t i = 0; i < n->dv; i++) {
            q += (double)o->shared[i] * (double)o->theta[l->wq + i * n->dk + j];
            k += (double)o->shared[i] * (double)o->theta[l->wk + i * n->dk + j];
        }
        o->q[j] = (flt_real)(q / root4);
        o->k[j] = (flt_real)(k / root4);
        square += k / root4 * k / root4;
    }
    for (size_t f = 0; f < n->m; f++) {
        const flt_real *omega = o->theta + l->omega + f * (n->dk + 2 * n->r);
        double lq = 0, lk = -square / 2;
        for (size_t j = 0; j < n->dk; j++) {
            lq += (double)omega[j] * (double)o->q[j];
            lk += (double)omega[j] * (double)o->k[j];
        }
        for (size_t i = 0; i < n->r; i++) {
            const double turns = (double)o->theta[l->xi + i] * s, phase = FLTX_TWO_PI * (turns - rint(turns));
            const double term = (cos(phase) * (double)omega[n->dk + i] + sin(phase) * (double)omega[n->dk + n->r + i]) / root;
            lq += (double)o->theta[l->rho + i] * term;
            lk += term;
        }
        o->lq[f] = (flt_real)lq;
        o->lk[f] = (flt_real)lk;
    }
    for (size_t j = 0; j < n->dv; j++) {
        double sum = 0;
        for (size_t i = 0; i < n->dv; i++) sum += (double)o->shared[i] * (double)o->theta[l->wv + i * n->dv + j];
        u[j] = (flt_real)sum;
    }
}

// Writes the token into the tensor's memory and reads it: out [dv]. Exponents have a floor, so that nothing divides zero by zero.
static void remember(flt_tensor_opt *o, const flt_real *u, flt_real *memory, flt_real *out) {
    const net *n = &o->net;
    const double tau = fmax((double)o->theta[n->tau], 0), least = -80;
    flt_real *z = memory + 1, *S = z + n->m;
    const double old = (double)memory[0], grown = fmax(old, (double)flt_max(n->m, o->lk)), top = (double)flt_max(n->m, o->lq);
    const flt_real keep = (flt_real)exp(fmax(old - grown - tau, least));
    flt_real denominator = 0;
    memory[0] = (flt_real)grown;
    memset(out, 0, n->dv * sizeof *out);
    for (size_t f = 0; f < n->m; f++) {
        const flt_real key = (flt_real)exp(fmax((double)o->lk[f] - grown, least));
        const flt_real query = (flt_real)exp(fmax((double)o->lq[f] - top, least));
        z[f] = keep * z[f] + key;
        denominator += query * z[f];
        for (size_t j = 0; j < n->dv; j++) {
            S[f * n->dv + j] = keep * S[f * n->dv + j] + key * u[j];
            out[j] += query * S[f * n->dv + j];
        }
    }
    for (size_t j = 0; j < n->dv; j++) out[j] /= denominator;
}

// ---- a step

static double rate_of(const flt_tensor_opt *o) {
    const net *n = &o->net;
    double log_rate = 0;
    for (size_t j = 0; j < n->dv; j++) log_rate += (double)o->theta[n->rate + j] * (double)o->shared[n->dv + j];
    return n->lr * exp(fmax(fmin(log_rate, 5), -5));
}

static void step_tensor(flt_tensor_opt *o, size_t i, uint64_t t, const flt_real *grad, flt_real *param, flt_real *state) {
    const flt_tensor_spec *spec = &o->base.layout.tensor[i];
    const net *n = &o->net;
    const size_t count = spec->count, ld = padded(count);
    flt_lopt_inputs(&o->base, i, grad, param, state);
    summarise(o, spec);
    memcpy(o->shared, o->mean, n->dv * sizeof *o->mean);
    time_token(o, t, o->mean);
    remember(o, o->mean, state + o->base.words + i * o->memory, o->shared + n->dv);
    const flt_real *out = flt_lopt_network(&o->base, i, o->shared);
    flt_real *gain = o->base.f; // its features have been used
    for (size_t k = 0; k < count; k++) {
        const flt_real m = out[ld + k];
        gain[k] = (flt_real)0.1 * (m > 10 ? 10 : m < -10 ? -10 : m);
    }
    flt_vexp(count, gain, gain);
    const double mean = (double)flt_sum(count, gain) / (double)count, squares = flt_sum_squares(count, out) / (double)count;
    flt_axpy(count, (flt_real)(-rate_of(o) * mean / sqrt(1e-9 + squares)), out, param + spec->offset);
}

static void step(void *self, uint64_t t, flt_real loss, const flt_real *grad, flt_real *param, flt_real *state) {
    flt_tensor_opt *o = self;
    (void)loss;
    for (size_t i = 0; i < o->base.layout.n; i++)
        if (o->base.layout.tensor[i].count > 0) step_tensor(o, i, t, grad, param, state);
}

static const flt_param_spec params[] = {
    {"m", FLTX_INT, "8", 1, FLTX_POOL_WIDTH, NULL, "kernel features of each attention"},
    {"dk", FLTX_INT, "4", 1, FLTX_POOL_WIDTH, NULL, "width of queries and keys"},
    {"dv", FLTX_INT, "4", 1, FLTX_POOL_WIDTH, NULL, "width of values and of tokens"},
    {"r", FLTX_INT, "4", 1, FLTX_POOL_WIDTH, NULL, "frequencies of each relative encoding"},
    {"chunk", FLTX_INT, "256", 1, 65536, NULL, "coordinates of a chunk, rounded up to a multiple of 16"},
    FLTX_MLP_PARAMS("8"),
    {"lr", FLTX_REAL, "0.001", 0.0, 1e6, NULL, "rate that multiplies the rms-normalised direction"},
    {"t_ref", FLTX_REAL, "1000", 1e-6, 1e12, NULL, "steps at which the time position reaches 1"},
    {0},
};

const flt_optimizer_kind flt_optimizer_kind_flt_tensor = {
    .kind = {.name = "flt_tensor",
             .summary = "learned: attention over the coordinates of a tensor, its chunks, then over time, tells the network",
             .formula = "w = pool(attend(pool(attend(x, ij)), ij)); o = causal(w, t); p -= rate(o) gain D / rms(D), (D, gain) = "
                        "network([x, w, o])",
             .cost =
                 "4 + 3 (r + c) / (r c) state words per parameter, 1 + m (1 + dv) per tensor; time O(30 (2 dk + dv + hidden) + m "
                 "(2 dk + 4 r + dv))",
             .citation = "Jain et al., arXiv 2302.01128; Choromanski et al., AISTATS 2024, arXiv 2302.01925",
             .caps = FLTX_OPT_LEARNED | FLTX_OPT_LR,
             .params = params},
    .meta = meta,
    .meta_init = meta_init,
    .infer = infer,
    .create = create,
    .destroy = destroy,
    .state_words = state_words,
    .init = init,
    .bind = bind,
    .step = step,
};
