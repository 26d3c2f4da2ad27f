// SPDX-License-Identifier: MIT
// Softmax, its loss with the gradient, and accuracy, against plain loops in long double; logits and labels that are hard.
#include "op_support.h"

static void softmax_of(size_t n, const flt_real *x, real *p, real *log_sum) {
    real most = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++) most = fmaxl(most, (real)x[i]);
    for (size_t i = 0; i < n; i++) sum += p[i] = expl((real)x[i] - most);
    for (size_t i = 0; i < n; i++) p[i] /= sum;
    *log_sum = most + logl(sum);
}

Test(op_softmax, softmax_and_its_loss) {
    const shape s[] = {{2, {1, 1}}, {2, {64, 10}}, {2, {3, 17}}, {2, {300, 20}}, {2, {2, 3000}}};
    for (size_t k = 0; k < sizeof s / sizeof *s; k++)
        for (int op = 0; op < 3; op++) {
            static real p[MOST];
            const size_t rows = s[k].dim[0], cols = s[k].dim[1];
            real loss = 0, log_sum = 0;
            begin();
            fill("logits", -30, 30, rows * cols, a);
            whole_numbers(cols, rows, b);
            const flt_node x = input(s[k]), y = input((shape){1, {rows}});
            const flt_node all[] = {flt_softmax(graph, x), flt_softmax_cross_entropy(graph, x, y),
                                    flt_softmax_cross_entropy_gradient(graph, x, y, flt_scalar(graph, 2))};
            run(all[op], x, y, "softmax");
            for (size_t r = 0; r < rows; r++) {
                softmax_of(cols, a + r * cols, p + r * cols, &log_sum);
                loss += (log_sum - (real)a[r * cols + (size_t)b[r]]) / (real)rows;
            }
            if (op == 1) judge(0, loss, 1, 60, "softmax_cross_entropy");
            for (size_t i = 0; op != 1 && i < rows * cols; i++) {
                const real hot = i % cols == (size_t)b[i / cols] ? 1 : 0;
                judge(i, op == 0 ? p[i] : 2 * (p[i] - hot) / (real)rows, 1, op == 0 ? 60 * p[i] + 1e-30L : 60 / (real)rows,
                      "softmax");
            }
        }
}

Test(op_softmax, softmax_of_large_logits) {
    for (int k = 0; k < 2; k++) {
        const size_t cols = k == 0 ? 3 : 40;
        begin();
        for (size_t i = 0; i < cols; i++) a[i] = (flt_real)(i == 1 ? 2000 : -2000);
        b[0] = 0;
        const flt_node x = input((shape){2, {1, cols}}), y = input((shape){1, {1}});
        const flt_node loss = flt_reshape(graph, flt_softmax_cross_entropy(graph, x, y), 2, (size_t[]){1, 1});
        run(flt_concat(graph, 2, (flt_node[]){loss, flt_softmax(graph, x)}, 1), x, y, "large logits");
        cr_assert(got[0] == 4000, "loss %g", (double)got[0]);
        for (size_t i = 0; i < cols; i++) cr_assert(got[1 + i] == (i == 1), "class %zu: %g", i, (double)got[1 + i]);
    }
}

Test(op_softmax, labels_that_are_no_class_give_nan) {
    for (int k = 0; k < 3; k++) {
        begin();
        fill("logits", -1, 1, 6, a);
        b[0] = 1;
        b[1] = k == 0 ? 3 : k == 1 ? -1 : (flt_real)NAN;
        const flt_node x = input((shape){2, {2, 3}}), y = input((shape){1, {2}});
        const flt_node loss = flt_reshape(graph, flt_softmax_cross_entropy(graph, x, y), 2, (size_t[]){1, 1});
        const flt_node grad = flt_softmax_cross_entropy_gradient(graph, x, y, flt_scalar(graph, 1));
        const flt_node wide = flt_broadcast(graph, loss, 2, (size_t[]){1, 3}), parts[2] = {wide, grad};
        run(flt_concat(graph, 2, parts, 0), x, y, "labels");
        for (size_t i = 0; i < 9; i++)
            cr_assert(eq(int, isnan((double)got[i]) != 0, i < 3 || i >= 6), "label %d, element %zu", k, i);
    }
}

Test(op_softmax, accuracy) {
    begin();
    const flt_real logits[15] = {1, 2, 3, 3, 2, 1, 2, 2, 1, (flt_real)NAN, 1, 0, 0, 5, 0}, label[5] = {2, 1, 0, 1, 1};
    memcpy(a, logits, sizeof logits);
    memcpy(b, label, sizeof label);
    const flt_node x = input((shape){2, {5, 3}}), y = input((shape){1, {5}});
    run(flt_accuracy(graph, x, y), x, y, "accuracy");
    cr_assert(got[0] == (flt_real)0.6, "%g", (double)got[0]);
}
