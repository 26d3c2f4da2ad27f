// SPDX-License-Identifier: MIT
// Values of every op against plain loops in long double, over shapes that fill vectors, leave rests, and stretch every axis.
// Growth: 1 for element-wise ops, the number of terms for sums.
#include "op_support.h"

// ---- one operand

static real neg(real x) {
    return -x;
}
static real square(real x) {
    return x * x;
}
static real sigmoid(real x) {
    return 1 / (1 + expl(-x));
}
static real relu(real x) {
    return x > 0 ? x : 0;
}
static real step(real x) {
    return x > 0 ? 1 : 0;
}
static real normal_cdf(real x) {
    return 0.5L * erfcl(-x / sqrtl(2));
}
static real normal_pdf(real x) {
    return expl(-x * x / 2) / sqrtl(2 * acosl(-1));
}
static real gelu(real x) {
    return x * normal_cdf(x);
}
static real scaled(real x) {
    return -1.5L * x;
}
static real moved(real x) {
    return x + 0.25L;
}
static flt_node scale_by(flt_graph *g, flt_node x) {
    return flt_scale(g, x, -1.5);
}
static flt_node move_by(flt_graph *g, flt_node x) {
    return flt_offset(g, x, 0.25);
}

Test(op_forward, one_operand) {
    const struct {
        const char *label;
        flt_node (*build)(flt_graph *, flt_node);
        real (*want)(real);
        double low, high, growth;
        bool absolute; // scale 1 instead of |want|
    } row[] = {
        {"neg", flt_neg, neg, -3, 3, 1, false},
        {"exp", flt_exp, expl, -20, 20, 1, false},
        {"log", flt_log, logl, 0.01, 100, 1, true},
        {"sqrt", flt_sqrt, sqrtl, 0, 100, 1, false},
        {"square", flt_square, square, -3, 3, 1, false},
        {"tanh", flt_tanh, tanhl, -6, 6, 1, false},
        {"sigmoid", flt_sigmoid, sigmoid, -30, 30, 1, false},
        {"relu", flt_relu, relu, -1, 1, 1, false},
        {"step_function", flt_step_function, step, -1, 1, 1, true},
        {"sin", flt_sin, sinl, -20, 20, 1, true},
        {"cos", flt_cos, cosl, -20, 20, 1, true},
        {"normal_cdf", flt_normal_cdf, normal_cdf, -3, 6, 1, false},
        {"normal_cdf, far left", flt_normal_cdf, normal_cdf, -9, -3, 40, false}, // conditioning: x^2 / 2
        {"normal_pdf", flt_normal_pdf, normal_pdf, -3, 3, 1, false},
        {"gelu", flt_gelu, gelu, -3, 6, 1, false},
        {"scale", scale_by, scaled, -3, 3, 1, false},
        {"offset", move_by, moved, -3, 3, 1, true},
    };
    const size_t sizes[] = {1, 2, 15, 16, 17, 63, 255, 2049, 5000};
    for (size_t k = 0; k < sizeof row / sizeof *row; k++)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            begin();
            fill(row[k].label, row[k].low, row[k].high, sizes[s], a);
            const flt_node x = input((shape){1, {sizes[s]}});
            run(row[k].build(graph, x), x, flt_none, row[k].label);
            for (size_t i = 0; i < sizes[s]; i++) {
                const real want = row[k].want((real)a[i]);
                judge(i, want, (real)row[k].growth, row[k].absolute ? 1 : fabsl(want) + 1e-30L, row[k].label);
            }
        }
}

Test(op_forward, special_values) {
    begin();
    const flt_real given[6] = {(flt_real)NAN, (flt_real)INFINITY, (flt_real)-INFINITY, 0, -1000, 1000};
    memcpy(a, given, sizeof given);
    const flt_node x = input((shape){1, {6}});
    const flt_node all[4] = {flt_relu(graph, x), flt_sigmoid(graph, x), flt_normal_cdf(graph, x), flt_step_function(graph, x)};
    run(flt_concat(graph, 4, all, 0), x, flt_none, "special");
    const double want[24] = {NAN, INFINITY, 0, 0, 0, 1000, NAN, 1, 0, 0.5, 0, 1, NAN, 1, 0, 0.5, 0, 1, 0, 1, 0, 0, 0, 1};
    for (size_t i = 0; i < 24; i++)
        cr_assert(isnan(want[i]) ? isnan((double)got[i]) : (double)got[i] == want[i], "element %zu: %g", i, (double)got[i]);
}

// ---- two operands

static real add(real x, real y) {
    return x + y;
}
static real sub(real x, real y) {
    return x - y;
}
static real mul(real x, real y) {
    return x * y;
}
static real quotient(real x, real y) {
    return x / y;
}
static real gate(real x, real y) {
    return y > 0 ? x : 0;
}
static real add_relu(real x, real y) {
    return relu(x + y);
}
static real tanh_gradient(real x, real y) {
    return x * (1 - y * y);
}
static real sigmoid_gradient(real x, real y) {
    return x * y * (1 - y);
}

static size_t length(shape s, size_t rank, size_t i) {
    return i + s.rank < rank ? 1 : s.dim[i + s.rank - rank];
}

// The element of an operand that meets element `flat` of the result.
static size_t meets(shape s, shape out, size_t flat) {
    size_t at = 0, stride = 1;
    for (size_t i = out.rank; i-- > 0; flat /= out.dim[i]) {
        const size_t n = length(s, out.rank, i);
        at += n == 1 ? 0 : flat % out.dim[i] * stride;
        stride *= n;
    }
    return at;
}

Test(op_forward, two_operands) {
    const struct {
        const char *label;
        flt_node (*build)(flt_graph *, flt_node, flt_node);
        real (*want)(real, real);
    } row[] = {{"add", flt_add, add},
               {"sub", flt_sub, sub},
               {"mul", flt_mul, mul},
               {"div", flt_div, quotient},
               {"gate", flt_gate, gate},
               {"add_relu", flt_add_relu, add_relu},
               {"tanh_gradient", flt_tanh_gradient, tanh_gradient},
               {"sigmoid_gradient", flt_sigmoid_gradient, sigmoid_gradient}};
    const shape pair[][2] = {
        {{0, {0}}, {0, {0}}},
        {{1, {37}}, {1, {37}}},
        {{2, {5, 33}}, {1, {33}}},
        {{1, {33}}, {2, {5, 33}}},
        {{2, {5, 33}}, {2, {5, 1}}},
        {{2, {5, 1}}, {2, {5, 33}}},
        {{2, {4, 6}}, {0, {0}}},
        {{1, {1}}, {3, {2, 3, 4}}},
        {{2, {7, 1}}, {2, {1, 9}}},
        {{1, {9}}, {2, {7, 1}}},
        {{3, {2, 1, 5}}, {3, {2, 3, 5}}},
        {{3, {2, 3, 5}}, {2, {3, 1}}},
        {{4, {2, 1, 3, 1}}, {4, {1, 4, 1, 5}}},
        {{5, {2, 1, 3, 1, 2}}, {3, {3, 4, 2}}},
        {{3, {1, 1, 1}}, {1, {1}}},
    };
    for (size_t k = 0; k < sizeof row / sizeof *row; k++)
        for (size_t p = 0; p < sizeof pair / sizeof *pair; p++) {
            const shape sa = pair[p][0], sb = pair[p][1];
            begin();
            fill("left", -1, 1, count(sa), a);
            fill("right", 0.25, 1, count(sb), b);
            if (row[k].want == gate || row[k].want == add_relu)
                for (size_t i = 0; i < count(sb); i += 2) b[i] = -b[i];
            const flt_node x = input(sa), y = input(sb), z = row[k].build(graph, x, y);
            shape out = {flt_node_rank(graph, z), {0}};
            memcpy(out.dim, flt_node_dim(graph, z), out.rank * sizeof *out.dim);
            const size_t n = run(z, x, y, row[k].label);
            cr_assert(eq(sz, n, count(out)), "%s, pair %zu", row[k].label, p);
            for (size_t i = 0; i < n; i++) {
                const real left = (real)a[meets(sa, out, i)], right = (real)b[meets(sb, out, i)];
                judge(i, row[k].want(left, right), 1, 1 + fabsl(row[k].want(left, right)), row[k].label);
            }
        }
}

// ---- sums

Test(op_forward, sums_over_axes) {
    const shape s[] = {{4, {3, 1, 4, 5}}, {3, {7, 3, 70}}, {2, {130, 9}}, {1, {1000}}, {5, {2, 3, 2, 3, 2}}, {0, {0}}};
    char label[64];
    for (size_t k = 0; k < sizeof s / sizeof *s; k++)
        for (unsigned axes = 0; axes < 1u << s[k].rank; axes++)
            for (int mean = 0; mean < 2; mean++) {
                static real want[MOST];
                shape kept = s[k];
                size_t terms = 1;
                for (size_t i = 0; i < s[k].rank; i++)
                    if ((axes >> i & 1) != 0) {
                        kept.dim[i] = 1;
                        terms *= s[k].dim[i];
                    }
                begin();
                snprintf(label, sizeof label, "shape %zu, axes %#x, mean %d", k, axes, mean);
                fill("sum", -1, 1, count(s[k]), a);
                const flt_node x = input(s[k]);
                const flt_node y = mean != 0 ? flt_reduce_mean(graph, x, axes, true) : flt_reduce_sum(graph, x, axes, false);
                const size_t rank = flt_node_rank(graph, y), n = run(y, x, flt_none, label);
                cr_assert(eq(sz, n, count(kept)), "%s", label);
                cr_assert(eq(sz, rank, mean != 0 ? s[k].rank : s[k].rank - (size_t)__builtin_popcount(axes)), "%s", label);
                memset(want, 0, n * sizeof *want);
                for (size_t i = 0; i < count(s[k]); i++) want[meets(kept, s[k], i)] += (real)a[i];
                for (size_t i = 0; i < n; i++) judge(i, mean != 0 ? want[i] / (real)terms : want[i], 1, (real)terms, label);
            }
}

// ---- products

static void check_product(shape sa, shape sb, bool ta, bool tb) {
    char label[64];
    const size_t m = sa.dim[sa.rank - (ta ? 1 : 2)], depth = sa.dim[sa.rank - (ta ? 2 : 1)], n = sb.dim[sb.rank - (tb ? 2 : 1)];
    const size_t batch_a = count(sa) / (m * depth), batch_b = count(sb) / (n * depth),
                 batch = batch_a > batch_b ? batch_a : batch_b;
    snprintf(label, sizeof label, "[%zu, %zu, %zu] batch %zu %zu %d%d", m, depth, n, batch_a, batch_b, ta, tb);
    begin();
    fill("A", -1, 1, count(sa), a);
    fill("B", -1, 1, count(sb), b);
    const flt_node x = input(sa), y = input(sb);
    cr_assert(eq(sz, run(flt_matmul(graph, x, y, ta, tb), x, y, label), batch * m * n), "%s", label);
    for (size_t q = 0; q < batch; q++)
        for (size_t i = 0; i < m; i++)
            for (size_t j = 0; j < n; j++) {
                const flt_real *pa = a + (batch_a == 1 ? 0 : q) * m * depth, *pb = b + (batch_b == 1 ? 0 : q) * n * depth;
                real sum = 0;
                for (size_t k = 0; k < depth; k++)
                    sum += (real)pa[ta ? k * m + i : i * depth + k] * (real)pb[tb ? j * depth + k : k * n + j];
                judge((q * m + i) * n + j, sum, (real)depth, 1, label);
            }
}

Test(op_forward, products) {
    const size_t size[][3] = {{1, 1, 1}, {3, 5, 2}, {17, 9, 33}, {1, 40, 7}, {12, 1, 5}};
    for (size_t k = 0; k < sizeof size / sizeof *size; k++)
        for (int flags = 0; flags < 4; flags++) {
            const size_t *d = size[k];
            const bool ta = (flags & 1) != 0, tb = (flags & 2) != 0;
            const size_t r = ta ? d[1] : d[0], c = ta ? d[0] : d[1], r2 = tb ? d[2] : d[1], c2 = tb ? d[1] : d[2];
            check_product((shape){2, {r, c}}, (shape){2, {r2, c2}}, ta, tb);
            check_product((shape){3, {3, r, c}}, (shape){3, {3, r2, c2}}, ta, tb);
            check_product((shape){4, {2, 3, r, c}}, (shape){2, {r2, c2}}, ta, tb);
            check_product((shape){2, {r, c}}, (shape){4, {2, 2, r2, c2}}, ta, tb);
        }
}

// ---- moving elements

Test(op_forward, transposes) {
    const shape s = {4, {3, 2, 5, 4}}, tall = {2, {33, 19}};
    for (size_t code = 0; code < 256; code++) {
        const size_t axes[4] = {code & 3, code >> 2 & 3, code >> 4 & 3, code >> 6};
        if ((1u << axes[0] | 1u << axes[1] | 1u << axes[2] | 1u << axes[3]) != 15) continue;
        begin();
        fill("transpose", -1, 1, count(s), a);
        const flt_node x = input(s);
        run(flt_transpose(graph, x, axes), x, flt_none, "transpose");
        for (size_t i = 0; i < count(s); i++) {
            const size_t at[4] = {i / 40, i / 20 % 2, i / 4 % 5, i % 4};
            size_t to = 0;
            for (size_t k = 0; k < 4; k++) to = to * s.dim[axes[k]] + at[axes[k]];
            cr_assert(got[to] == a[i], "axes %zu %zu %zu %zu, element %zu", axes[0], axes[1], axes[2], axes[3], i);
        }
    }
    begin();
    fill("transpose", -1, 1, count(tall), a);
    const flt_node x = input(tall);
    run(flt_transpose(graph, x, (size_t[]){1, 0}), x, flt_none, "tall");
    for (size_t i = 0; i < count(tall); i++) cr_assert(got[i % 19 * 33 + i / 19] == a[i], "element %zu", i);
}

// One number of the surroundings of pixel (i, j); k: which of the 9 and of the channels.
static real surrounding(const size_t dim[4], size_t image, size_t i, size_t j, size_t k) {
    const size_t p = i + k / dim[3] / 3, q = j + k / dim[3] % 3; // one too far down and right
    if (p < 1 || p > dim[1] || q < 1 || q > dim[2]) return 0;
    return (real)a[((image * dim[1] + p - 1) * dim[2] + q - 1) * dim[3] + k % dim[3]];
}

static const size_t images[][4] = {{2, 3, 4, 1}, {1, 1, 1, 3},  {3, 1, 5, 2}, {2, 4, 1, 5},
                                   {1, 8, 8, 8}, {2, 2, 3, 16}, {1, 3, 2, 21}};

Test(op, patches_are_surroundings) {
    for (size_t c = 0; c < sizeof images / sizeof *images; c++) {
        const size_t *dim = images[c], width = 9 * dim[3];
        fill("patches", -1, 1, MOST, a);
        begin();
        const flt_node x = input((shape){4, {dim[0], dim[1], dim[2], dim[3]}});
        const size_t n = run(flt_patches_of(graph, x), x, (flt_node){-1}, "patches");
        cr_assert(eq(sz, n, dim[0] * dim[1] * dim[2] * width));
        for (size_t i = 0; i < n; i++) {
            const size_t pixel = i / width, row = pixel / dim[2];
            const real want = surrounding(dim, row / dim[1], row % dim[1], pixel % dim[2], i % width);
            cr_assert(got[i] == (flt_real)want, "case %zu, number %zu", c, i);
        }
    }
}

// <patches(x), z> = <x, patches_sum(z)>, pixel by pixel: every number of x appears in the sum where it was copied to.
Test(op, patches_sum_adds_each_copy) {
    static real want[MOST];
    for (size_t c = 0; c < sizeof images / sizeof *images; c++) {
        const size_t *dim = images[c], pixels = dim[0] * dim[1] * dim[2], width = 9 * dim[3];
        for (size_t i = 0; i < MOST; i++) a[i] = (flt_real)(i + 1); // which number it was
        memset(want, 0, sizeof want);
        fill("patches_sum", -1, 1, MOST, b);
        for (size_t i = 0; i < pixels * width; i++) {
            const size_t pixel = i / width, row = pixel / dim[2];
            const size_t from = (size_t)surrounding(dim, row / dim[1], row % dim[1], pixel % dim[2], i % width);
            if (from > 0) want[from - 1] += (real)b[i];
        }
        begin();
        const flt_node x = input((shape){4, {dim[0], dim[1], dim[2], width}});
        const size_t n = run(flt_patches_sum(graph, x), (flt_node){-1}, x, "patches_sum");
        cr_assert(eq(sz, n, pixels * dim[3]));
        for (size_t i = 0; i < n; i++) cr_assert(fabsl((real)got[i] - want[i]) <= 9 * FLTX_EPS * 9, "case %zu, number %zu", c, i);
    }
}

// slice(concat(x, y, x)) and pad(x), at every axis.
Test(op_forward, pieces) {
    const shape s = {3, {3, 4, 5}};
    for (size_t axis = 0; axis < 3; axis++) {
        const size_t n = s.dim[axis], inner = axis == 2 ? 1 : axis == 1 ? 5 : 20;
        begin();
        fill("a", -1, 1, 60, a);
        fill("b", -1, 1, 60, b);
        const flt_node x = input(s), y = input(s), parts[3] = {x, y, x};
        const flt_node part = flt_slice(graph, flt_concat(graph, 3, parts, axis), axis, n - 1, n + 2);
        cr_assert(eq(sz, run(flt_pad(graph, part, axis, 1, 2), x, y, "pieces"), 60 / n * (n + 5)));
        for (size_t i = 0; i < 60 / n * (n + 5); i++) {
            const size_t at = i / inner % (n + 5), outer = i / inner / (n + 5), rest = i % inner;
            const flt_real *from = at == 1 || at == n + 2 ? a : b;
            const size_t place = at == 1 ? n - 1 : at == n + 2 ? 0 : at - 2;
            const flt_real want = at == 0 || at > n + 2 ? 0 : from[(outer * n + place) * inner + rest];
            cr_assert(got[i] == want, "axis %zu, element %zu: %g, not %g", axis, i, (double)got[i], (double)want);
        }
    }
}

Test(op_forward, broadcast) {
    const shape to = {4, {2, 3, 4, 5}},
                from[] = {{0, {0}}, {1, {5}}, {2, {4, 1}}, {3, {3, 1, 5}}, {4, {2, 1, 4, 1}}, {4, {2, 3, 4, 5}}};
    for (size_t k = 0; k < sizeof from / sizeof *from; k++) {
        begin();
        fill("broadcast", -1, 1, count(from[k]), a);
        const flt_node x = input(from[k]);
        cr_assert(eq(sz, run(flt_broadcast(graph, x, 4, to.dim), x, flt_none, "broadcast"), 120));
        for (size_t i = 0; i < 120; i++) cr_assert(got[i] == a[meets(from[k], to, i)], "shape %zu, element %zu", k, i);
    }
}

Test(op_forward, rows_by_index) {
    begin();
    fill("table", -1, 1, 7 * 3, a);
    whole_numbers(7, 20, b);
    b[4] = 7;
    b[5] = -1;
    flt_node x = input((shape){2, {7, 3}}), y = input((shape){1, {20}});
    run(flt_gather(graph, x, y), x, y, "gather");
    for (size_t i = 0; i < 60; i++) {
        if (i / 3 == 4 || i / 3 == 5)
            cr_assert(isnan((double)got[i]), "no such row: %g", (double)got[i]);
        else
            cr_assert(got[i] == a[(size_t)b[i / 3] * 3 + i % 3], "gather, element %zu", i);
    }
    begin();
    real want[7 * 3] = {0};
    fill("rows", -1, 1, 20 * 3, a);
    b[4] = (flt_real)1e9;
    x = input((shape){2, {20, 3}}), y = input((shape){1, {20}});
    run(flt_scatter_add(graph, x, y, 7), x, y, "scatter_add");
    for (size_t i = 0; i < 60; i++)
        if (i / 3 != 4 && i / 3 != 5) want[(size_t)b[i / 3] * 3 + i % 3] += (real)a[i];
    for (size_t i = 0; i < 21; i++) judge(i, want[i], 1, 3, "scatter_add");
}
