// SPDX-License-Identifier: MIT
// Learned relative positional encodings.
//
//   gaussian_mixture  f = sum_t A_t exp(-|z|^2 / (2 s_t^2)) cos(2 pi mu_t.z): amplitude, mu, log_width = log s. FLT moves fixed
//                     normals e with the parameters: xi = mu_t + e / (2 pi s_t), rho = A_t T, so that no ratio g/p ever explodes
//   kernels           f = A k(|z| / s): amplitude, log_width. FLT: xi = xi_0 / s, rho = A rho_0, drawn once at A = s = 1
//   box, ball         f = A where |z| <= s: as a kernel for FLT; as a bias s stays at its start, having no gradient
//   window            f = A within a whole number of steps, which stays
//   alibi, exponential  f = -|z| exp(log_slope)
//   lag_table         a free table; for FLT the weights of its lowest cosines (an even table)
//   t5_buckets        a table over buckets of offsets
//
// Positive parameters are learned through their logarithms. Widths start spread between a step and the reach of the positions.
#include "engine/encoding.h"

#include "flt/memory.h"
#include "flt/random.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { BUCKETS = 32 };

typedef struct family {
    const char *name;
    flt_node (*bias)(flt_task_model *m, const char *name, const flt_encoding *e, size_t count, const double *z);
    flt_encoding_lines (*lines)(flt_task_model *m, const char *name, const flt_encoding *e, size_t r);
    flt_node (*kernel)(flt_graph *g, flt_node t); // of |z| / s
} family;

static const flt_node bad = {-1};

// ---- parameters

static flt_node parameter(flt_task_model *m, const char *name, const char *what, size_t rank, const size_t *dim,
                          flt_task_init init) {
    char tensor[64];
    snprintf(tensor, sizeof tensor, "%s.%s", name, what);
    return flt_task_tensor(m, tensor, rank, dim, init);
}

// Largest distance between positions, at least 2.
static double reach(const flt_encoding *e) {
    double span = e->pos == NULL ? (double)e->n - 1 : 0.0;
    for (size_t i = 0; e->pos != NULL && i < e->n; i++) {
        double d2 = 0.0;
        for (size_t c = 0; c < e->l; c++) d2 += pow(e->pos[i * e->l + c] - e->pos[c], 2);
        span = fmax(span, sqrt(d2));
    }
    return fmax(span, 2.0);
}

// Logarithms of widths from one step to a third of the reach, `inner` of them for each head, spread over all.
static flt_node widths(flt_task_model *m, const char *name, const flt_encoding *e, size_t inner) {
    const size_t n = e->heads * inner, dim[2] = {e->heads, inner};
    const double top = log(fmax(reach(e) / 3.0, 1.5));
    double *value = NULL;
    const flt_err err = flt_alloc(n, sizeof *value, &value);
    if (err != FLTE_OK) return flt_task_fail(m, err);
    for (size_t i = 0; i < n; i++)
        value[i] = n == 1 ? 0.5 * top : top * (double)(i % inner * e->heads + i / inner) / (double)(n - 1);
    const flt_node node = parameter(m, name, "log_width", 2, dim, (flt_task_init){.value = value});
    flt_free(value);
    return node;
}

static flt_node amplitudes(flt_task_model *m, const char *name, const flt_encoding *e, size_t inner) {
    const flt_task_init init = {.mean = 1.0 / (double)inner, .std = 0.1};
    return parameter(m, name, "amplitude", 2, (size_t[]){e->heads, inner}, init);
}

static flt_node constant(flt_task_model *m, size_t rank, const size_t *dim, const double *x) {
    flt_real *copy = NULL;
    size_t n = 1;
    for (size_t i = 0; i < rank; i++) n *= dim[i];
    const flt_err err = flt_alloc(n, sizeof *copy, &copy);
    if (err != FLTE_OK) return flt_task_fail(m, err);
    for (size_t i = 0; i < n; i++) copy[i] = (flt_real)x[i];
    const flt_node node = flt_constant(m->graph, rank, dim, copy);
    flt_free(copy);
    return node;
}

// A fixed function of every offset, as a constant [count]: by the encoding's own closed form.
static flt_node fixed(flt_task_model *m, const flt_encoding *e, const flt_rpe_args *args, size_t count, const double *z) {
    double *f = NULL;
    const flt_err err = flt_alloc(count, sizeof *f, &f);
    if (err != FLTE_OK) return flt_task_fail(m, err);
    e->kind->closed_form(args, count, z, f);
    const flt_node node = constant(m, 1, &count, f);
    flt_free(f);
    return node;
}

// |z|^2 [count]
static flt_node squares(flt_task_model *m, size_t l, size_t count, const double *z) {
    double *x = NULL;
    const flt_err err = flt_alloc(count, sizeof *x, &x);
    if (err != FLTE_OK) return flt_task_fail(m, err);
    for (size_t i = 0; i < count * l; i++) x[i / l] += z[i] * z[i];
    const flt_node node = constant(m, 1, &count, x);
    flt_free(x);
    return node;
}

// ---- the mixture

static flt_node waves_of(flt_task_model *m, const char *name, const flt_encoding *e) { // mu [heads, components, l], cycles a step
    const size_t dim[] = {e->heads, e->components, e->l};
    return parameter(m, name, "mu", 3, dim, (flt_task_init){.std = 0.25 / reach(e)});
}

static flt_node mixture_bias(flt_task_model *m, const char *name, const flt_encoding *e, size_t count, const double *z) {
    flt_graph *g = m->graph;
    const size_t column[] = {e->heads, e->components, 1};
    const flt_node amplitude = amplitudes(m, name, e, e->components), mu = waves_of(m, name, e);
    const flt_node narrow = flt_exp(g, flt_scale(g, widths(m, name, e, e->components), -2)); // 1 / s^2
    const flt_node decay = flt_mul(g, flt_reshape(g, narrow, 3, column), flt_scale(g, squares(m, e->l, count, z), -0.5));
    const flt_node turns = flt_matmul(g, mu, constant(m, 2, (size_t[]){count, e->l}, z), false, true); // [heads, T, count]
    const flt_node bumps = flt_mul(g, flt_exp(g, decay), flt_cos(g, flt_scale(g, turns, FLTX_TWO_PI)));
    return flt_reduce_sum(g, flt_mul(g, flt_reshape(g, amplitude, 3, column), bumps), 1u << 1, false);
}

// Normals [heads, each, components, l] from points of low discrepancy: frequencies of the gaussian kernel of width 1 / (2 pi).
static flt_node normals(flt_task_model *m, const flt_encoding *e, size_t each) {
    const flt_rpe_args unit = {.l = e->l, .c = 1.0, .scale = 1.0 / FLTX_TWO_PI};
    const flt_rpe_kind *gaussian = NULL;
    const size_t T = e->components, l = e->l, dim[] = {e->heads, each, T, l};
    double *all = NULL, *some = NULL;
    flt_node node = bad;
    flt_err err = flt_rpe_find("gaussian", &gaussian);
    if (err == FLTE_OK) err = flt_alloc(e->heads * each, T * l * sizeof *all, &all);
    if (err == FLTE_OK) err = flt_alloc(each, (l + 1) * sizeof *some, &some);
    for (size_t i = 0; i < e->heads * T && err == FLTE_OK; i++) {
        err = flt_rpe_draw(gaussian, &unit, FLTX_RPE_QMC, 0, flt_rng_make(i, "encoding", 0), each, some, some + each * l);
        for (size_t k = 0; k < each; k++) memcpy(all + ((i / T * each + k) * T + i % T) * l, some + k * l, l * sizeof *all);
    }
    if (err == FLTE_OK) node = constant(m, 4, dim, all);
    flt_free(all);
    flt_free(some);
    return err == FLTE_OK ? node : flt_task_fail(m, err);
}

static flt_encoding_lines mixture_lines(flt_task_model *m, const char *name, const flt_encoding *e, size_t r) {
    flt_graph *g = m->graph;
    const size_t T = e->components, each = (r + T - 1) / T, all = each * T;
    const flt_node amplitude = amplitudes(m, name, e, T), mu = waves_of(m, name, e);
    const flt_node spread = flt_scale(g, flt_exp(g, flt_neg(g, widths(m, name, e, T))), 1.0 / FLTX_TWO_PI);
    const flt_node around = flt_mul(g, normals(m, e, each), flt_reshape(g, spread, 4, (size_t[]){e->heads, 1, T, 1}));
    const flt_node xi = flt_add(g, around, flt_reshape(g, mu, 4, (size_t[]){e->heads, 1, T, e->l}));
    const flt_node one = flt_scale(g, flt_reshape(g, amplitude, 3, (size_t[]){e->heads, 1, T}), (double)T);
    return (flt_encoding_lines){
        all, flt_reshape(g, xi, 3, (size_t[]){e->heads, all, e->l}),
        flt_reshape(g, flt_broadcast(g, one, 3, (size_t[]){e->heads, each, T}), 2, (size_t[]){e->heads, all})};
}

// ---- kernels of |z| / s

static flt_node gaussian(flt_graph *g, flt_node t) {
    return flt_exp(g, flt_scale(g, flt_square(g, t), -0.5));
}
static flt_node laplace(flt_graph *g, flt_node t) {
    return flt_exp(g, flt_neg(g, t));
}
static flt_node matern32(flt_graph *g, flt_node t) {
    const flt_node x = flt_scale(g, t, sqrt(3));
    return flt_mul(g, flt_offset(g, x, 1), flt_exp(g, flt_neg(g, x)));
}
static flt_node matern52(flt_graph *g, flt_node t) {
    const flt_node x = flt_scale(g, t, sqrt(5)), poly = flt_offset(g, flt_add(g, x, flt_scale(g, flt_square(g, x), 1.0 / 3)), 1);
    return flt_mul(g, poly, flt_exp(g, flt_neg(g, x)));
}
static flt_node cauchy(flt_graph *g, flt_node t) {
    return flt_div(g, flt_scalar(g, 1), flt_offset(g, flt_square(g, t), 1));
}

static const family *family_of(const flt_rpe_kind *kind);

static flt_node kernel_bias(flt_task_model *m, const char *name, const flt_encoding *e, size_t count, const double *z) {
    flt_graph *g = m->graph;
    const flt_node amplitude = amplitudes(m, name, e, 1), narrow = flt_exp(g, flt_neg(g, widths(m, name, e, 1)));
    const flt_node t = flt_mul(g, narrow, flt_sqrt(g, squares(m, e->l, count, z))); // a constant under the root
    return flt_mul(g, amplitude, family_of(e->kind)->kernel(g, t));
}

// Lines at amplitude and width 1, the same for every head: [r, l] and [r].
static flt_err unit_lines(const flt_encoding *e, double half_width, size_t r, double *xi, double *rho) {
    const flt_rpe_args unit = {.l = e->l, .c = 1.0, .scale = 1.0, .v = half_width, .band = 8.0};
    FLTX_TRY(e->kind->check(&unit));
    return flt_rpe_draw(e->kind, &unit, FLTX_RPE_QMC, 0, flt_rng_make(0, "encoding", 0), r, xi, rho);
}

// `scaled`: frequencies are divided by a learned width, else they stay.
static flt_encoding_lines scaled_lines(flt_task_model *m, const char *name, const flt_encoding *e, size_t r, bool scaled) {
    flt_graph *g = m->graph;
    const size_t shape[] = {e->heads, r, e->l};
    double *xi = NULL;
    flt_err err = flt_alloc(r, (e->l + 1) * sizeof *xi, &xi);
    if (err == FLTE_OK) err = unit_lines(e, scaled ? 1.0 : floor(reach(e) / 8.0), r, xi, xi + r * e->l);
    const flt_node lines = err == FLTE_OK ? constant(m, 3, (size_t[]){1, r, e->l}, xi) : flt_task_fail(m, err);
    const flt_node ratio = err == FLTE_OK ? constant(m, 2, (size_t[]){1, r}, xi + r * e->l) : bad;
    flt_free(xi);
    const flt_node rho = flt_mul(g, amplitudes(m, name, e, 1), ratio);
    if (!scaled) return (flt_encoding_lines){r, flt_broadcast(g, lines, 3, shape), rho};
    const flt_node narrow = flt_exp(g, flt_neg(g, widths(m, name, e, 1)));
    return (flt_encoding_lines){r, flt_mul(g, flt_reshape(g, narrow, 3, (size_t[]){e->heads, 1, 1}), lines), rho};
}

static flt_encoding_lines kernel_lines(flt_task_model *m, const char *name, const flt_encoding *e, size_t r) {
    return scaled_lines(m, name, e, r, true);
}

// ---- local encodings: a width that a bias cannot learn

static flt_node local_bias(flt_task_model *m, const char *name, const flt_encoding *e, size_t count, const double *z) {
    const flt_rpe_args args = {.l = e->l, .c = 1.0, .v = floor(reach(e) / 8.0), .band = 8.0};
    return flt_mul(m->graph, amplitudes(m, name, e, 1), fixed(m, e, &args, count, z));
}

static flt_encoding_lines window_lines(flt_task_model *m, const char *name, const flt_encoding *e, size_t r) {
    return scaled_lines(m, name, e, r, false);
}

// ---- slopes and tables

// Slopes 2^(-8 h / heads), h = 1 .. heads, as ALiBi has them.
static flt_node slope_bias(flt_task_model *m, const char *name, const flt_encoding *e, size_t count, const double *z) {
    flt_graph *g = m->graph;
    double *value = NULL;
    const flt_err err = flt_alloc(e->heads, sizeof *value, &value);
    if (err != FLTE_OK) return flt_task_fail(m, err);
    for (size_t h = 0; h < e->heads; h++) value[h] = -8.0 * log(2) * (double)(h + 1) / (double)e->heads;
    const flt_node slope = parameter(m, name, "log_slope", 2, (size_t[]){e->heads, 1}, (flt_task_init){.value = value});
    flt_free(value);
    return flt_mul(g, flt_neg(g, flt_exp(g, slope)), flt_sqrt(g, squares(m, e->l, count, z)));
}

// Rows of a table [entries, heads] for each offset, as [heads, count].
static flt_node look_up(flt_task_model *m, const char *name, const flt_encoding *e, const flt_rpe_args *numbers, size_t count,
                        const double *z) {
    flt_graph *g = m->graph;
    const size_t entries = numbers->n > 0 ? 2 * numbers->n - 1 : numbers->n_buckets;
    const flt_node table = parameter(m, name, "table", 2, (size_t[]){entries, e->heads}, (flt_task_init){.std = 0.02});
    const flt_node rows = flt_gather(g, table, fixed(m, e, numbers, count, z));
    return flt_transpose(g, rows, (size_t[]){1, 0});
}

// The closed form over a table that holds its own indices says which entry an offset reads.
static flt_node table_bias(flt_task_model *m, const char *name, const flt_encoding *e, size_t count, const double *z) {
    const bool lags = strcmp(e->kind->kind.name, "lag_table") == 0;
    const size_t n = lags ? 2 * e->n - 1 : BUCKETS;
    double *index = NULL;
    const flt_err err = flt_alloc(n, sizeof *index, &index);
    if (err != FLTE_OK) return flt_task_fail(m, err);
    for (size_t i = 0; i < n; i++) index[i] = (double)i;
    flt_rpe_args numbers = {.l = 1, .max_distance = 128.0};
    if (lags)
        numbers.n = e->n, numbers.lag_bias = index;
    else
        numbers.n_buckets = BUCKETS, numbers.buckets = index;
    const flt_node bias = look_up(m, name, e, &numbers, count, z);
    flt_free(index);
    return bias;
}

static flt_encoding_lines table_lines(flt_task_model *m, const char *name, const flt_encoding *e, size_t r) {
    double *xi = NULL;
    const flt_err err = flt_alloc(e->heads, r * sizeof *xi, &xi);
    if (err != FLTE_OK) return (flt_encoding_lines){r, flt_task_fail(m, err), bad};
    for (size_t i = 0; i < e->heads * r; i++) xi[i] = (double)(i % r) / (double)(2 * e->n - 1);
    const flt_node lines = constant(m, 3, (size_t[]){e->heads, r, 1}, xi);
    flt_free(xi);
    return (flt_encoding_lines){r, lines, parameter(m, name, "rho", 2, (size_t[]){e->heads, r}, (flt_task_init){.std = 0.1})};
}

// ---- the encodings that can be learned

static const family families[] = {
    {"gaussian_mixture", mixture_bias, mixture_lines, NULL},
    {"gaussian", kernel_bias, kernel_lines, gaussian},
    {"laplace", kernel_bias, kernel_lines, laplace},
    {"matern32", kernel_bias, kernel_lines, matern32},
    {"matern52", kernel_bias, kernel_lines, matern52},
    {"cauchy", kernel_bias, kernel_lines, cauchy},
    {"box", local_bias, kernel_lines, NULL},
    {"ball", local_bias, kernel_lines, NULL},
    {"window", local_bias, window_lines, NULL},
    {"alibi", slope_bias, NULL, NULL},
    {"exponential", slope_bias, NULL, NULL},
    {"lag_table", table_bias, table_lines, NULL},
    {"t5_buckets", table_bias, NULL, NULL},
};
enum { FAMILIES = sizeof families / sizeof *families };

static const family *family_of(const flt_rpe_kind *kind) {
    for (size_t i = 0; i < FAMILIES; i++)
        if (strcmp(families[i].name, kind->kind.name) == 0) return &families[i];
    return NULL;
}

static void list_families(bool spectrum, char *text, size_t size) {
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < FAMILIES; i++)
        if (!spectrum || families[i].lines != NULL)
            used += (size_t)snprintf(text + used, size - used, "%s%s", used > 0 ? ", " : "", families[i].name);
}

flt_err flt_encoding_check(const char *who, const flt_encoding *e, bool spectrum) {
    const family *f = family_of(e->kind);
    const char *name = e->kind->kind.name;
    char names[256];
    list_families(spectrum, names, sizeof names);
    if (f == NULL || (spectrum && f->lines == NULL))
        return flt_fail(
            FLTE_UNSUPPORTED, who, "the encoding %s %s; allowed: %s", name,
            f == NULL ? "has nothing to learn" : "has no spectrum for flt to learn (the mechanism 'exact' can use it)", names);
    if ((e->kind->kind.caps & FLTX_RPE_GRID) != 0 && e->pos != NULL)
        return flt_fail(FLTE_UNSUPPORTED, who,
                        "the encoding %s lives on sequences, but positions have l = %zu; try gaussian_mixture", name, e->l);
    return FLTE_OK;
}

// z [count, l]: r_i - r_j of all pairs, or of all lags.
static void offsets(const flt_encoding *e, bool lags, double *z) {
    const size_t n = e->n, l = e->l;
    for (size_t i = 0; lags && i < 2 * n - 1; i++) z[i] = (double)(n - 1) - (double)i;
    for (size_t i = 0; !lags && i < n * n * l; i++) {
        const size_t a = i / l / n, b = i / l % n, c = i % l;
        z[i] = e->pos == NULL ? (double)a - (double)b : e->pos[a * l + c] - e->pos[b * l + c];
    }
}

flt_node flt_encoding_bias(flt_task_model *m, const char *name, const flt_encoding *e, bool lags) {
    const size_t count = lags ? 2 * e->n - 1 : e->n * e->n;
    double *z = NULL;
    const flt_err err = flt_alloc(count, e->l * sizeof *z, &z);
    if (err != FLTE_OK) return flt_task_fail(m, err);
    offsets(e, lags, z);
    const flt_node f = family_of(e->kind)->bias(m, name, e, count, z);
    flt_free(z);
    return lags ? f : flt_reshape(m->graph, f, 3, (size_t[]){e->heads, e->n, e->n});
}

// ---- between points

static flt_node pairs(flt_graph *g, flt_node x /* [rows, k, n] */, bool second) { // [rows, k, n, 1] or [rows, k, 1, n]
    const size_t *d = flt_node_dim(g, x);
    return flt_reshape(g, x, 4, second ? (size_t[]){d[0], d[1], 1, d[2]} : (size_t[]){d[0], d[1], d[2], 1});
}

static flt_node outer(flt_graph *g, flt_node (*op)(flt_graph *, flt_node, flt_node), flt_node x) {
    return op(g, pairs(g, x, false), pairs(g, x, true));
}

// |r_i - r_j|^2 [rows, 1, n, n], from differences: a point is at distance 0 from itself, not at the root of a rounding.
static flt_node squared_distances(flt_graph *g, flt_node pos) {
    const flt_node apart = outer(g, flt_sub, flt_transpose(g, pos, (size_t[]){0, 2, 1}));
    return flt_reduce_sum(g, flt_square(g, apart), 1u << 1, true);
}

// sum over components of A exp(-r2 / (2 s^2)) cos(2 pi mu.(r_i - r_j))
static flt_node mixture_between(flt_task_model *m, const char *name, const flt_encoding *e, flt_node pos) {
    flt_graph *g = m->graph;
    const size_t *d = flt_node_dim(g, pos), rows = d[0], n = d[1], H = e->heads, T = e->components, all[] = {1, H * T, 1, 1};
    const flt_node amplitude = flt_reshape(g, amplitudes(m, name, e, T), 4, all), mu = waves_of(m, name, e);
    const flt_node narrow = flt_reshape(g, flt_exp(g, flt_scale(g, widths(m, name, e, T), -2)), 4, all);
    const flt_node along = flt_matmul(g, pos, flt_reshape(g, mu, 2, (size_t[]){H * T, e->l}), false, true); // [rows, n, H T]
    const flt_node turns = outer(g, flt_sub, flt_transpose(g, along, (size_t[]){0, 2, 1}));
    const flt_node decay = flt_exp(g, flt_mul(g, flt_scale(g, squared_distances(g, pos), -0.5), narrow));
    const flt_node bumps = flt_mul(g, flt_mul(g, decay, flt_cos(g, flt_scale(g, turns, FLTX_TWO_PI))), amplitude);
    return flt_reduce_sum(g, flt_reshape(g, bumps, 5, (size_t[]){rows, H, T, n, n}), 1u << 2, false);
}

flt_node flt_encoding_bias_between(flt_task_model *m, const char *name, const flt_encoding *e, flt_node pos) {
    flt_graph *g = m->graph;
    const size_t heads[] = {1, e->heads, 1, 1};
    if (flt_node_rank(g, pos) != 3) return bad;
    if (family_of(e->kind)->kernel == NULL) return mixture_between(m, name, e, pos);
    const flt_node amplitude = flt_reshape(g, amplitudes(m, name, e, 1), 4, heads);
    const flt_node narrow = flt_reshape(g, flt_exp(g, flt_neg(g, widths(m, name, e, 1))), 4, heads);
    const flt_node t = flt_mul(g, flt_sqrt(g, squared_distances(g, pos)), narrow);
    return flt_mul(g, amplitude, family_of(e->kind)->kernel(g, t));
}

flt_err flt_encoding_check_points(const char *who, const flt_encoding *e) {
    const family *f = family_of(e->kind);
    if (f != NULL && (f->kernel != NULL || f->bias == mixture_bias)) return FLTE_OK;
    return flt_fail(
        FLTE_UNSUPPORTED, who,
        "the encoding %s is not learned between points; allowed: gaussian_mixture, gaussian, laplace, matern32, matern52, "
        "cauchy",
        e->kind->kind.name);
}

flt_encoding_lines flt_encoding_spectrum(flt_task_model *m, const char *name, const flt_encoding *e, size_t at_least) {
    return family_of(e->kind)->lines(m, name, e, at_least);
}
