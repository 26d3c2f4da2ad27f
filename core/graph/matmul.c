// SPDX-License-Identifier: MIT
// C = op(A) op(B), [.., m, k] [.., k, n] -> [.., m, n]; op transposes the last two axes where asked. The leading axes are equal,
// or one side has rank 2 and is shared by the batch. Gradients, for no transposes: dA = dC B^T, dB = A^T dC.
// Cost: 2 m n k operations per product, by BLAS. A batch over a shared, rank-2 B is one tall product.
#include "flt/num.h"
#include "graph/engine/op.h"

extern const flt_op_kind flt_op_kind_matmul;

typedef struct product {
    bool ta, tb;
    size_t m, n, k, lda, ldb; // of one product
    size_t batch, a, b;       // products, and what A and B move by between them
} product;

static size_t last(const flt_shape *s, size_t back) {
    return s->dim[s->rank - back];
}

static product product_of(const flt_shape *a, const flt_shape *b, const flt_op_attr *attr) {
    product p = {.ta = (attr->flags & FLTX_MATMUL_TA) != 0, .tb = (attr->flags & FLTX_MATMUL_TB) != 0};
    p.lda = last(a, 1);
    p.ldb = last(b, 1);
    p.m = last(a, p.ta ? 1 : 2);
    p.k = last(a, p.ta ? 2 : 1);
    p.n = last(b, p.tb ? 2 : 1);
    const size_t na = flt_shape_product(a, 0, a->rank - 2), nb = flt_shape_product(b, 0, b->rank - 2);
    p.batch = na > nb ? na : nb;
    p.a = a->rank > 2 ? last(a, 1) * last(a, 2) : 0;
    p.b = b->rank > 2 ? last(b, 1) * last(b, 2) : 0;
    if (b->rank == 2 && !p.ta) { // rows of all products follow each other
        p.m *= p.batch;
        p.batch = 1;
    }
    return p;
}

static flt_err refuse(const flt_op_use *u, const char *why) {
    return flt_fail(FLTE_SHAPE, u->name, "%s%s times %s%s: %s", flt_shape_text(u->in[0]).text,
                    (u->attr->flags & FLTX_MATMUL_TA) != 0 ? " transposed" : "", flt_shape_text(u->in[1]).text,
                    (u->attr->flags & FLTX_MATMUL_TB) != 0 ? " transposed" : "", why);
}

static flt_err shape(const flt_op_use *u, flt_shape *out) {
    const flt_shape *a = u->in[0], *b = u->in[1], *wide = a->rank >= b->rank ? a : b;
    if (a->rank < 2 || b->rank < 2) return refuse(u, "allowed: rank 2 or more on both sides");
    for (size_t i = 0; a->rank > 2 && b->rank > 2 && i + 2 < wide->rank; i++)
        if (a->rank != b->rank || a->dim[i] != b->dim[i])
            return refuse(u, "allowed: equal leading axes, or one side of rank 2, shared by the batch");
    const product p = product_of(a, b, u->attr);
    if (p.k != last(b, p.tb ? 1 : 2)) return refuse(u, "allowed: equal inner lengths, [.., m, k] times [.., k, n]");
    FLTX_TRY(flt_gemm_check(u->name, p.m, p.n, p.k));
    flt_shape s = *wide;
    s.dim[s.rank - 2] = last(a, p.ta ? 1 : 2);
    s.dim[s.rank - 1] = p.n;
    return flt_shape_set(u->name, s.rank, s.dim, out);
}

static void run_one(const flt_step *s) {
    flt_gemm(s->n[0] & 1, s->n[0] & 2, s->n[1], s->n[2], s->n[3], 1, s->in[0], s->n[4], s->in[1], s->n[5], 0, s->out, s->n[2]);
}

static void run_batch(const flt_step *s) {
    const size_t size = s->n[1] * s->n[2];
    for (size_t i = 0; i < s->loop.dim[0]; i++)
        flt_gemm(s->n[0] & 1, s->n[0] & 2, s->n[1], s->n[2], s->n[3], 1, s->in[0] + i * s->loop.a[0], s->n[4],
                 s->in[1] + i * s->loop.b[0], s->n[5], 0, s->out + i * size, s->n[2]);
}

static void plan(const flt_op_use *u, flt_step *s) {
    const product p = product_of(u->in[0], u->in[1], u->attr);
    const size_t n[6] = {(p.ta ? 1u : 0u) | (p.tb ? 2u : 0u), p.m, p.n, p.k, p.lda, p.ldb};
    for (size_t i = 0; i < 6; i++) s->n[i] = n[i];
    s->loop = (flt_loop){.rank = 1, .dim = {p.batch}, .a = {p.a}, .b = {p.b}};
    s->run = p.batch == 1 ? run_one : run_batch;
    flt_num_init();
}

static double flops(const flt_op_use *u) {
    const product p = product_of(u->in[0], u->in[1], u->attr);
    return 2.0 * (double)p.batch * (double)p.m * (double)p.n * (double)p.k;
}

// [.., m, k] as [rows, k].
static flt_node flat(flt_graph *g, flt_node x) {
    const flt_shape *s = flt_node_shape(g, x);
    return s->rank <= 2 ? x : flt_reshape(g, x, 2, (size_t[]){s->count / last(s, 1), last(s, 1)});
}

// Sum over the batch for the side that the batch shares.
static flt_node shared(flt_graph *g, flt_node d, flt_node like) {
    if (!flt_node_ok(g, d)) return d;
    const size_t extra = flt_node_rank(g, d) - flt_node_rank(g, like);
    return extra == 0 ? d : flt_reduce_sum(g, d, (1u << extra) - 1, false);
}

static flt_node gradient(flt_graph *g, const flt_op_site *at, size_t k) {
    const bool ta = (at->attr->flags & FLTX_MATMUL_TA) != 0, tb = (at->attr->flags & FLTX_MATMUL_TB) != 0;
    flt_node a = at->in[0], b = at->in[1], dc = at->dy;
    if (k == 0) return shared(g, ta ? flt_matmul(g, b, dc, tb, true) : flt_matmul(g, dc, b, false, !tb), a);
    if (flt_node_rank(g, b) == 2 && !ta) {
        a = flat(g, a);
        dc = flat(g, dc);
    }
    return shared(g, tb ? flt_matmul(g, dc, a, true, ta) : flt_matmul(g, a, dc, !ta, false), b);
}

// A transpose of the last two axes alone is a flag of the product.
static bool is_transposed(const flt_graph *g, flt_node x) {
    const size_t rank = flt_node_rank(g, x);
    if (!flt_node_is(g, x, &flt_op_kind_transpose)) return false;
    for (size_t i = 0; i + 2 < rank; i++)
        if (flt_node_attr(g, x)->dim[i] != i) return false;
    return rank >= 2 && flt_node_attr(g, x)->dim[rank - 1] == rank - 2;
}

static flt_node simplify(flt_graph *g, const flt_op_site *at) {
    flt_op_attr attr = *at->attr;
    flt_node in[2] = {at->in[0], at->in[1]};
    for (size_t i = 0; i < 2; i++) {
        if (!is_transposed(g, in[i])) continue;
        in[i] = flt_node_input(g, in[i], 0);
        attr.flags ^= i == 0 ? FLTX_MATMUL_TA : FLTX_MATMUL_TB;
    }
    return attr.flags == at->attr->flags ? flt_none : flt_op_apply(g, &flt_op_kind_matmul, 2, in, &attr);
}

static flt_node nn(flt_graph *g, const flt_node *in) {
    return flt_matmul(g, in[0], in[1], false, false);
}
static flt_node nt(flt_graph *g, const flt_node *in) {
    return flt_matmul(g, in[0], in[1], false, true);
}
static flt_node tn(flt_graph *g, const flt_node *in) {
    return flt_matmul(g, in[0], in[1], true, false);
}
static flt_node tt(flt_graph *g, const flt_node *in) {
    return flt_matmul(g, in[0], in[1], true, true);
}

#define SIDE(r, ...)                                                                                                             \
    { .rank = r, .dim = {__VA_ARGS__}, .low = -1, .high = 1 }
static const flt_op_example examples[] = {
    {.label = "nn", .n = 2, .in = {SIDE(2, 2, 3), SIDE(2, 3, 4)}, .build = nn},
    {.label = "nt", .n = 2, .in = {SIDE(2, 2, 3), SIDE(2, 4, 3)}, .build = nt},
    {.label = "tn", .n = 2, .in = {SIDE(2, 3, 2), SIDE(2, 3, 4)}, .build = tn},
    {.label = "tt", .n = 2, .in = {SIDE(2, 3, 2), SIDE(2, 4, 3)}, .build = tt},
    {.label = "batch nn", .n = 2, .in = {SIDE(3, 2, 2, 3), SIDE(3, 2, 3, 2)}, .build = nn},
    {.label = "batch tt", .n = 2, .in = {SIDE(3, 2, 3, 2), SIDE(3, 2, 2, 3)}, .build = tt},
    {.label = "right side shared, nn", .n = 2, .in = {SIDE(3, 2, 2, 3), SIDE(2, 3, 2)}, .build = nn},
    {.label = "right side shared, nt", .n = 2, .in = {SIDE(4, 2, 1, 2, 3), SIDE(2, 2, 3)}, .build = nt},
    {.label = "right side shared, tn", .n = 2, .in = {SIDE(3, 2, 3, 2), SIDE(2, 3, 2)}, .build = tn},
    {.label = "right side shared, tt", .n = 2, .in = {SIDE(3, 2, 3, 2), SIDE(2, 2, 3)}, .build = tt},
    {.label = "left side shared, nn", .n = 2, .in = {SIDE(2, 2, 3), SIDE(3, 2, 3, 2)}, .build = nn},
    {.label = "left side shared, nt", .n = 2, .in = {SIDE(2, 2, 3), SIDE(3, 2, 2, 3)}, .build = nt},
    {.label = "left side shared, tn", .n = 2, .in = {SIDE(2, 3, 2), SIDE(3, 2, 3, 2)}, .build = tn},
    {.label = "inner length 1", .n = 2, .in = {SIDE(2, 3, 1), SIDE(2, 1, 2)}, .build = nn},
    {0},
};

const flt_op_kind flt_op_kind_matmul = {
    .kind =
        {
            .name = "matmul",
            .summary = "matrix product, transposed or batched as asked",
            .formula = "C = op(A) op(B)",
            .cost = "time 2 m n k per product",
            .caps = FLTX_OP_SMOOTH,
        },
    .inputs = 2,
    .shape = shape,
    .plan = plan,
    .flops = flops,
    .gradient = gradient,
    .simplify = simplify,
    .examples = examples,
};

flt_node flt_matmul(flt_graph *g, flt_node a, flt_node b, bool ta, bool tb) {
    const flt_op_attr attr = {.flags = (ta ? FLTX_MATMUL_TA : 0u) | (tb ? FLTX_MATMUL_TB : 0u)};
    return flt_op_apply(g, &flt_op_kind_matmul, 2, (flt_node[]){a, b}, &attr);
}
