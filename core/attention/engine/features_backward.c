// SPDX-License-Identifier: MIT
// Gradients through the random projection; see features_backward.h.
#include "features_backward.h"
#include "tiles.h"

#include "flt/num.h"
#include "flt/plant.h"

#include <math.h>
#include <string.h>

enum { GATHER = 4 }; // tiles of which products for omega are added up before they join the sums

typedef struct room {   // one thread's
    flt_real *snippet;  // [tile, 2r]: r^-1/2 (cos, sin) of the rows at work
    flt_real *scaled;   // [tile, 2r]: times their ratios
    flt_real *dsnippet; // [tile, 2r]
    flt_real *own;      // [F, d], [F, 2r]: products of gradients with inputs, with snippets
    flt_real *tail;
    size_t gathered; // tiles in them
    double *pos;     // [l]
    flt_real *dt;    // [tile, F]: gradient of omega [x, a] where that is not the log feature itself
    // sums over a head: keys' gradients by feature [F]; times k [d] and b [2r]; of B; gradients of the means [d], [2r]
    double *by_feature, *by_key, *by_snippet, dgain, *dmid, *dmid_snippet;
} room;

struct flt_att_features_back {
    size_t d, N, H, BH, features, r, l, heads; // heads: 1 when omega is shared
    const flt_att_array *omega;
    const flt_att_features *map; // NULL: positive or hyperbolic, nothing measured
    bool relu, sums;             // sums: something is measured, or may be
    flt_att_snippets s;
    flt_real *w, *wp;     // [heads, F, d], [heads, F, 2r]: omega, scaled as in the forward map, in panels
    flt_real *plain;      // room for one of them as it is
    double *domega, *dxi; // [B H, m, d + 2r], [B H, r, l]
    double *drho[2];      // [B H, r]: of the ratio on the keys' side, on the queries'
    bool want_omega, want_snippets;
    int threads;
    room *rooms;
    flt_ws ws;
};

static const flt_real *of_head(const flt_real *x, size_t heads, size_t head, size_t size) {
    return x + (heads == 1 ? 0 : head * size);
}

// to [count, cols] = dt [count, F] times omega, whose part of `cols` columns lies in panels
static void times_omega(const flt_att_features_back *a, flt_att_rows rows, const flt_real *panels, size_t cols,
                        const flt_real *dt, flt_real *to) {
    const size_t F = a->features;
    flt_panels_multiply(&(flt_panels_product){.m = rows.count,
                                              .n = cols,
                                              .k = F,
                                              .alpha = 1,
                                              .a = dt,
                                              .lda = F,
                                              .panels = of_head(panels, a->heads, rows.head, flt_panels_size(F, cols)),
                                              .c = to,
                                              .ldc = cols});
}

static flt_att_measured measured(const flt_att_features_back *a, size_t thread, size_t head) {
    return a->map != NULL ? flt_att_features_measured(a->map, thread, head) : (flt_att_measured){.gain = 1.0};
}

static bool measures(flt_att_measured m) {
    return m.centred || m.form == FLTX_ATT_FAVORPP;
}

// ---- sums for the plan's arguments

// domega [m, width], columns from .. from + cols - 1, += scale product [F, cols]; negated features count negatively.
static void add_product(const flt_att_features_back *a, size_t bh, size_t from, size_t cols, double scale,
                        const flt_real *product) {
    const size_t m = a->omega->dim[0], width = a->omega->dim[1];
    for (size_t f = 0; f < a->features; f++, product += cols) {
        const double by = (f < m ? scale : -scale) * (a->relu ? 1.0 / sqrt((double)m) : 1.0);
        double *row = a->domega + (bh * m + f % m) * width + from;
        for (size_t c = 0; c < cols; c++) row[c] += by * (double)product[c];
    }
}

static void settle_omega(const flt_att_features_back *a, room *w, size_t bh) {
    if (w->gathered == 0) return;
    add_product(a, bh, 0, a->d, pow((double)a->d, -0.25), w->own);
    if (a->r > 0) add_product(a, bh, a->d, 2 * a->r, 1.0, w->tail);
    w->gathered = 0;
}

// dt [count, F] times x [count, d] and the snippets of its rows
static void gather_omega(const flt_att_features_back *a, flt_att_rows rows, size_t bh, const flt_real *x, const flt_real *dt) {
    const size_t F = a->features, d = a->d, tail = 2 * a->r;
    room *w = &a->rooms[rows.thread];
    const flt_real beta = w->gathered > 0;
    flt_gemm(true, false, F, d, rows.count, 1, dt, F, x, d, beta, w->own, d);
    if (tail > 0) flt_gemm(true, false, F, tail, rows.count, 1, dt, F, w->scaled, tail, beta, w->tail, tail);
    if (++w->gathered == GATHER) settle_omega(a, w, bh);
}

static const double *ratios_of(const flt_att_features_back *a, size_t head, bool query) {
    const flt_att_array *ratio = query ? a->s.rho : a->s.rho_key;
    return ratio->data != NULL ? flt_att_head(ratio, head) : NULL;
}

static void load_snippets(const flt_att_features_back *a, flt_att_rows rows, bool query) {
    const size_t r = a->r;
    const room *w = &a->rooms[rows.thread];
    const double *xi = flt_att_head(a->s.xi, rows.head), *rho = ratios_of(a, rows.head, query);
    for (size_t i = 0; i < rows.count; i++) {
        flt_real *row = w->snippet + i * 2 * r, *scaled = w->scaled + i * 2 * r;
        flt_att_position(a->s.pos, a->N, rows.first + i, w->pos);
        flt_rpe_snippets(1, a->l, w->pos, r, xi, rho, 2 * r, rho != NULL ? scaled : NULL, row);
        if (rho == NULL) memcpy(scaled, row, 2 * r * sizeof *scaled);
    }
}

// Those of a tile are formed once, whoever reads them.
static void prepare_snippets(const flt_att_features_back *a, flt_att_rows rows, bool query) {
    const bool measuring = a->map != NULL && measures(measured(a, rows.thread, rows.head));
    if (a->r > 0 && (a->want_omega || a->want_snippets || measuring)) load_snippets(a, rows, query);
}

// One row: snippet t = r^-1/2 (cos, sin), gradient dt with respect to rho t; rho NULL: ones, without a gradient.
static void add_frequencies(const flt_att_features_back *a, const double *pos, const double *rho, const flt_real *t,
                            const flt_real *dt, double *drho, double *dxi) {
    const size_t r = a->r;
    for (size_t m = 0; m < r; m++) {
        const double cosine = (double)t[m], sine = (double)t[r + m], dc = (double)dt[m], ds = (double)dt[r + m];
        if (rho != NULL) drho[m] += dc * cosine + ds * sine;
        const double phase =
            FLTX_TWO_PI * (rho != NULL ? rho[m] : 1.0) * (ds * cosine - (FLTX_BUG(BACKWARD_PHASE) ? -dc : dc) * sine);
        for (size_t k = 0; k < a->l; k++) dxi[m * a->l + k] += phase * pos[k];
    }
}

// dsnippet [count, 2r] -> sums of frequencies and ratios of one side.
static void add_rows(const flt_att_features_back *a, flt_att_rows rows, size_t bh, bool query) {
    const size_t width = 2 * a->r;
    const room *w = &a->rooms[rows.thread];
    const double *rho = ratios_of(a, rows.head, query);
    for (size_t i = 0; i < rows.count; i++) {
        flt_att_position(a->s.pos, a->N, rows.first + i, w->pos);
        add_frequencies(a, w->pos, rho, w->snippet + i * width, w->dsnippet + i * width, a->drho[query] + bh * a->r,
                        a->dxi + bh * a->r * a->l);
    }
}

// dt [count, F]; sums [count] of the keys' log gradients, NULL for queries
static void add_snippets(const flt_att_features_back *a, flt_att_rows rows, size_t bh, const flt_real *dt, const flt_real *sums) {
    const size_t width = 2 * a->r;
    const room *w = &a->rooms[rows.thread];
    const flt_att_measured m = measured(a, rows.thread, rows.head);
    times_omega(a, rows, a->wp, width, dt, w->dsnippet);
    for (size_t i = 0; m.centred && sums != NULL && i < rows.count; i++) {
        for (size_t c = 0; c < width; c++) w->dsnippet[i * width + c] += sums[i] * (flt_real)m.snippets[c];
    }
    add_rows(a, rows, bh, sums == NULL);
}

// ---- the transposed map

// dt [count, F] of omega [x, a] from du of the log features.
static const flt_real *before_log(const flt_att_features_back *a, flt_att_rows rows, bool query, const flt_real *x,
                                  const flt_real *du) {
    const size_t n = rows.count * a->features;
    flt_real *dt = a->rooms[rows.thread].dt;
    const flt_att_measured m = measured(a, rows.thread, rows.head);
    if (a->relu) {
        const flt_att_map map = flt_att_features_map(a->map);
        (query ? map.queries : map.keys)(map.self, rows, x, dt);
        flt_vexp(n, dt, dt);
        const flt_real closed = (flt_real)(1e-3 * (1.0 + 16.0 * FLTX_EPS)); // max(t, 0) + 1e-3 with t <= 0, up to rounding
        for (size_t i = 0; i < n; i++) dt[i] = dt[i] > closed ? du[i] / dt[i] : 0;
        return dt;
    }
    if (m.gain == 1.0) return du;
    for (size_t i = 0; i < n; i++) dt[i] = (flt_real)m.gain * du[i];
    return dt;
}

// B's gradient: sum of du o (omega [x, a]) = (dx.x + (dt omega).a) / B, dx before anything else is added
static void add_gain(const flt_att_features_back *a, flt_att_rows rows, const flt_real *x, const flt_real *dt,
                     const flt_real *dx) {
    const size_t width = 2 * a->r;
    room *w = &a->rooms[rows.thread];
    const flt_att_measured m = measured(a, rows.thread, rows.head);
    double sum = 0.0;
    for (size_t i = 0; i < rows.count * a->d; i++) sum += (double)x[i] * (double)dx[i];
    if (width > 0) {
        times_omega(a, rows, a->wp, width, dt, w->dsnippet);
        for (size_t i = 0; i < rows.count * width; i++) sum += (double)w->scaled[i] * (double)w->dsnippet[i];
    }
    w->dgain += sum / m.gain;
}

static void transpose(const flt_att_features_back *a, flt_att_rows rows, size_t bh, const flt_real *x, const flt_real *dt,
                      flt_real *dx) {
    times_omega(a, rows, a->w, a->d, dt, dx);
    if (a->want_omega) gather_omega(a, rows, bh, x, dt);
}

static void queries(void *self, flt_att_rows rows, size_t bh, const flt_real *q, const flt_real *du, flt_real *dq) {
    const flt_att_features_back *a = self;
    const flt_real *dt = before_log(a, rows, true, q, du);
    prepare_snippets(a, rows, true);
    transpose(a, rows, bh, q, dt, dq);
    if (measured(a, rows.thread, rows.head).form == FLTX_ATT_FAVORPP) add_gain(a, rows, q, dt, dq);
    if (a->want_snippets) add_snippets(a, rows, bh, dt, NULL);
}

// What the means and A take from this tile of keys. sums [count]: of du by row.
static void add_measures(const flt_att_features_back *a, flt_att_rows rows, const flt_real *k, const flt_real *du,
                         const flt_real *sums) {
    const size_t F = a->features, width = 2 * a->r;
    const room *w = &a->rooms[rows.thread];
    for (size_t i = 0; i < rows.count; i++) {
        const double sum = (double)sums[i];
        for (size_t f = 0; f < F; f++) w->by_feature[f] += (double)du[i * F + f];
        for (size_t c = 0; c < a->d; c++) w->by_key[c] += sum * (double)k[i * a->d + c];
        for (size_t c = 0; c < width; c++) w->by_snippet[c] += sum * (double)w->scaled[i * width + c];
    }
}

static void keys(void *self, flt_att_rows rows, size_t bh, const flt_real *k, const flt_real *du, flt_real *dk) {
    const flt_att_features_back *a = self;
    const double scale = FLTX_BUG(BACKWARD_NO_KEY_NORM) || a->relu ? 0.0 : 1.0 / sqrt((double)a->d);
    const flt_att_measured m = measured(a, rows.thread, rows.head);
    const flt_real *dt = before_log(a, rows, false, k, du);
    flt_real sums[FLTX_ATT_MAX_TILE];
    prepare_snippets(a, rows, false);
    transpose(a, rows, bh, k, dt, dk);
    if (m.form == FLTX_ATT_FAVORPP) add_gain(a, rows, k, dt, dk);
    FLTX_ISA_PICK(flt_att_tiles)->row_sums(rows.count, a->features, du, sums);
    for (size_t i = 0; i < rows.count; i++) {
        flt_axpy(a->d, (flt_real)(-scale * (double)sums[i]), k + i * a->d, dk + i * a->d);
        for (size_t c = 0; m.centred && c < a->d; c++) dk[i * a->d + c] += (flt_real)(scale * (double)sums[i] * m.middle[c]);
    }
    if (measures(m)) add_measures(a, rows, k, du, sums);
    if (a->want_snippets) add_snippets(a, rows, bh, dt, sums);
}

// ---- what a whole head has through its means and spread

// dmid = sum_j S_j [y_j, b_j] - B sum_f U_f omega_f; the gradient of B along the way
static void mean_gradients(const flt_att_features_back *a, room *w, flt_att_measured m, size_t head) {
    const size_t rows = a->omega->dim[0], d = a->d, width = 2 * a->r;
    const double *omega = flt_att_head(a->omega, head), quarter = pow((double)d, -0.25);
    for (size_t c = 0; c < d + width; c++) {
        const bool own = c < d;
        double sum = 0.0;
        for (size_t f = 0; f < a->features; f++)
            sum += (f < rows ? 1.0 : -1.0) * w->by_feature[f] * omega[f % rows * (d + width) + c];
        sum *= own ? quarter : 1.0;
        w->dgain -= sum * (own ? m.middle[c] : m.snippets[c - d]);
        *(own ? &w->dmid[c] : &w->dmid_snippet[c - d]) =
            (own ? w->by_key[c] / sqrt((double)d) : w->by_snippet[c - d]) - m.gain * sum;
    }
}

// Returns the gradient of A by |omega|^2, and adds what the keys' features have of omega directly.
static double omega_terms(const flt_att_features_back *a, const room *w, flt_att_measured m, size_t head, size_t bh) {
    const size_t rows = a->omega->dim[0], width = a->omega->dim[1];
    const double *omega = flt_att_head(a->omega, head), quarter = pow((double)a->d, -0.25);
    double da = 0.0;
    for (size_t f = 0; f < a->features; f++) {
        const double u = w->by_feature[f], sign = f < rows ? 1.0 : -1.0;
        for (size_t c = 0; c < width; c++) {
            const double x = omega[f % rows * width + c], mid = !m.centred ? 0.0
                                                                : c < a->d ? quarter * m.middle[c]
                                                                           : m.snippets[c - a->d];
            da += 2.0 * u * x * x;
            if (a->want_omega) a->domega[(bh * rows + f % rows) * width + c] += u * (4.0 * m.a * x - sign * m.gain * mid);
        }
    }
    return m.form == FLTX_ATT_FAVORPP ? da : 0.0;
}

// Rows of dx += dmid / N + 2 by (x + other mean, or x - its own mean) / N
static void spread_rows(size_t n, size_t d, const flt_real *x, const double *dmid, double by, const double *mean, double sign,
                        flt_real *dx) {
    for (size_t i = 0; i < n; i++, x += d, dx += d) {
        for (size_t c = 0; c < d; c++) dx[c] += (flt_real)((dmid[c] + 2.0 * by * ((double)x[c] + sign * mean[c])) / (double)n);
    }
}

// The same for snippets, tile by tile, on to their frequencies and ratios.
static void spread_snippets(const flt_att_features_back *a, flt_att_rows all, size_t bh, bool query, double by,
                            flt_att_measured m) {
    const size_t width = 2 * a->r;
    const room *w = &a->rooms[all.thread];
    for (size_t first = 0; first < a->N; first += FLTX_ATT_MAX_TILE) {
        flt_att_rows rows = all;
        rows.first = first, rows.count = a->N - first < FLTX_ATT_MAX_TILE ? a->N - first : FLTX_ATT_MAX_TILE;
        load_snippets(a, rows, query);
        for (size_t i = 0; i < rows.count * width; i++) {
            const size_t c = i % width;
            const double key = m.snippets[width + c], other = m.snippets[c] - key; // means of b and a
            const double off = m.centred ? -(query ? other : key) : (query ? key : other);
            const double dmid = m.centred ? w->dmid_snippet[c] : 0.0;
            w->dsnippet[i] = (flt_real)((dmid + 2.0 * by * ((double)w->scaled[i] + off)) / (double)a->N);
        }
        add_rows(a, rows, bh, query);
    }
}

static void clear_measures(const flt_att_features_back *a, room *w) {
    if (w->by_feature == NULL) return;
    w->dgain = 0.0;
    memset(w->by_feature, 0, a->features * sizeof *w->by_feature);
    memset(w->by_key, 0, a->d * sizeof *w->by_key);
    memset(w->dmid, 0, a->d * sizeof *w->dmid);
    memset(w->by_snippet, 0, 2 * a->r * sizeof *w->by_snippet);
}

static void finish(void *self, flt_att_rows all, size_t bh, const flt_real *q, const flt_real *k, flt_real *dq, flt_real *dk) {
    const flt_att_features_back *a = self;
    const flt_att_measured m = measured(a, all.thread, all.head);
    room *w = &a->rooms[all.thread];
    settle_omega(a, w, bh);
    if (!measures(m)) return;
    if (m.centred) mean_gradients(a, w, m, all.head);
    double da = omega_terms(a, w, m, all.head, bh);
    if (m.form == FLTX_ATT_FAVORPP) da -= 2.0 * w->dgain / m.gain; // B^2 = 1 - 4A
    const double by = da * m.slope, own = by / sqrt((double)a->d), *mean_k = m.middle + a->d;
    double *mean_q = w->by_key; // its sum is spent
    for (size_t c = 0; c < a->d; c++) mean_q[c] = m.middle[c] - mean_k[c];
    spread_rows(a->N, a->d, q, w->dmid, own, m.centred ? mean_q : mean_k, m.centred ? -1.0 : 1.0, dq);
    spread_rows(a->N, a->d, k, w->dmid, own, m.centred ? mean_k : mean_q, m.centred ? -1.0 : 1.0, dk);
    for (int query = 0; a->want_snippets && query < 2; query++) spread_snippets(a, all, bh, query != 0, by, m);
    clear_measures(a, w);
}

flt_att_back_map flt_att_features_back_map(flt_att_features_back *a) {
    return (flt_att_back_map){.self = a, .queries = queries, .keys = keys, .finish = finish};
}

// ---- one pass

void flt_att_features_back_begin(flt_att_features_back *a, bool omega, bool snippets) {
    a->want_omega = omega;
    a->want_snippets = snippets && a->r > 0;
    for (int t = 0; t < a->threads; t++) clear_measures(a, &a->rooms[t]);
    if (omega) memset(a->domega, 0, a->BH * a->omega->count * sizeof *a->domega);
    if (!a->want_snippets) return;
    memset(a->dxi, 0, a->BH * a->r * a->l * sizeof *a->dxi);
    for (size_t side = 0; side < 2; side++) memset(a->drho[side], 0, a->BH * a->r * sizeof **a->drho);
}

void flt_att_features_back_omega(const flt_att_features_back *a, double *domega) {
    flt_att_gather(a->omega, a->BH, a->H, a->domega, domega);
}

void flt_att_features_back_rho(const flt_att_features_back *a, bool query, double *drho) {
    const flt_att_array shape = {.heads = a->H, .count = a->r};
    flt_att_gather(&shape, a->BH, a->H, a->drho[query], drho);
}

void flt_att_features_back_xi(const flt_att_features_back *a, const flt_att_array *shape, double *dxi) {
    flt_att_gather(shape, a->BH, a->H, a->dxi, dxi);
}

// ---- plan

static void bind_measures(const flt_att_features_back *a, flt_ws *ws, room *w, size_t tile) {
    if (!a->relu && !a->sums) return;
    w->dt = flt_ws_take(ws, tile * a->features, sizeof(flt_real));
    if (!a->sums) return;
    w->by_feature = flt_ws_take(ws, a->features, sizeof(double));
    w->by_key = flt_ws_take(ws, a->d, sizeof(double));
    w->dmid = flt_ws_take(ws, a->d, sizeof(double));
    w->by_snippet = flt_ws_take(ws, 2 * a->r + 1, sizeof(double));
    w->dmid_snippet = flt_ws_take(ws, 2 * a->r + 1, sizeof(double));
}

static void bind(void *self, flt_ws *ws) {
    flt_att_features_back *a = self;
    const size_t tile = a->N < FLTX_ATT_MAX_TILE ? a->N : FLTX_ATT_MAX_TILE, real = sizeof(flt_real), tail = 2 * a->r;
    a->domega = flt_ws_take(ws, a->BH * a->omega->count, sizeof(double));
    a->dxi = flt_ws_take(ws, a->BH * a->r * a->l + 1, sizeof(double));
    for (size_t side = 0; side < 2; side++) a->drho[side] = flt_ws_take(ws, a->BH * a->r + 1, sizeof(double));
    for (int t = 0; t < a->threads; t++) {
        room *w = &a->rooms[t];
        w->own = flt_ws_take(ws, a->features * a->d, real);
        w->tail = tail > 0 ? flt_ws_take(ws, a->features * tail, real) : NULL;
        w->snippet = tail > 0 ? flt_ws_take(ws, tile * tail, real) : NULL;
        w->scaled = tail > 0 ? flt_ws_take(ws, tile * tail, real) : NULL;
        w->dsnippet = tail > 0 ? flt_ws_take(ws, tile * tail, real) : NULL;
        w->pos = tail > 0 ? flt_ws_take(ws, a->l, sizeof(double)) : NULL;
        bind_measures(a, ws, w, tile);
    }
}

// panels: of columns from .. of omega, scaled; hyperbolic features append the negated.
static void load_omega(const flt_att_features_back *a, size_t head, size_t from, size_t cols, flt_real *panels) {
    const size_t m = a->omega->dim[0], width = a->omega->dim[1];
    const double unit = a->relu ? 1.0 / sqrt((double)m) : 1.0, *omega = flt_att_head(a->omega, head);
    const double scale = unit * (from == 0 ? pow((double)a->d, -0.25) : 1.0);
    for (size_t f = 0; f < a->features; f++) {
        for (size_t k = 0; k < cols; k++) {
            const double x = scale * omega[(f % m) * width + from + k];
            a->plain[f * cols + k] = (flt_real)(f < m ? x : -x);
        }
    }
    flt_panels_fill(a->features, cols, a->plain, cols, panels + head * flt_panels_size(a->features, cols));
}

void flt_att_features_back_update(flt_att_features_back *a) {
    if (a == NULL) return;
    const size_t tail = 2 * a->r;
    for (size_t h = 0; h < a->heads; h++) {
        load_omega(a, h, 0, a->d, a->w);
        if (tail > 0) load_omega(a, h, a->d, tail, a->wp);
    }
}

static flt_err make_omega(flt_att_features_back *a) {
    const size_t tail = 2 * a->r;
    FLTX_TRY(flt_alloc(a->heads, flt_panels_size(a->features, a->d) * sizeof *a->w, &a->w));
    if (tail > 0) FLTX_TRY(flt_alloc(a->heads, flt_panels_size(a->features, tail) * sizeof *a->wp, &a->wp));
    FLTX_TRY(flt_alloc(a->d > tail ? a->d : tail, a->features * sizeof *a->plain, &a->plain));
    flt_att_features_back_update(a);
    return FLTE_OK;
}

static bool is_set(const flt_attention_desc *desc, const char *name, const char *usual) {
    for (const flt_param_spec *s = flt_params_specs(desc->params); s != NULL && s->name != NULL; s++) {
        if (strcmp(s->name, name) == 0) return strcmp(flt_params_text(desc->params, name), usual) != 0;
    }
    return false;
}

void flt_att_features_back_follow(flt_att_features_back *a, const flt_att_features *map) {
    a->map = map;
}

flt_err flt_att_features_back_create(const flt_attention_desc *desc, const flt_att_array *omega, const flt_att_snippets *snippets,
                                     flt_att_features_back **out) {
    flt_att_features_back *a = NULL;
    flt_err err = FLTE_OK;
    *out = NULL;
    FLTX_TRY(flt_alloc(1, sizeof *a, &a));
    a->d = desc->d, a->N = desc->N, a->H = desc->H, a->BH = desc->B * desc->H;
    a->threads = desc->threads;
    a->omega = omega;
    a->heads = omega->heads == 0 ? 1 : omega->heads;
    a->features = (strcmp(flt_params_text(desc->params, "features"), "hyperbolic") == 0 ? 2 : 1) * omega->dim[0];
    a->relu = strcmp(flt_params_text(desc->params, "features"), "relu") == 0;
    a->sums = strcmp(flt_params_text(desc->params, "features"), "favor++") == 0 || is_set(desc, "centre", "none");
    if (snippets != NULL) a->s = *snippets, a->r = snippets->xi->dim[0], a->l = snippets->pos->l;
    FLTX_GO(err, failed, make_omega(a));
    FLTX_GO(err, failed, flt_alloc((size_t)a->threads, sizeof *a->rooms, &a->rooms));
    FLTX_GO(err, failed, flt_ws_create(bind, a, &a->ws));
    *out = a;
    return FLTE_OK;
failed:
    flt_att_features_back_destroy(a);
    return err;
}

void flt_att_features_back_destroy(flt_att_features_back *a) {
    if (a == NULL) return;
    flt_ws_destroy(&a->ws);
    flt_free(a->rooms);
    flt_free(a->plain);
    flt_free(a->wp);
    flt_free(a->w);
    flt_free(a);
}

size_t flt_att_features_back_workspace(const flt_att_features_back *a) {
    return a == NULL ? 0 : a->ws.size;
}
