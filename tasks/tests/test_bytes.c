// SPDX-License-Identifier: MIT
// Texts, their split, and the recurrent model against plain loops.
#include "engine/text.h"
#include "support.h"

#include <unistd.h>

static void write_text(char *path /* mkstemp's */, const char *text, size_t n) {
    const int fd = mkstemp(path);
    cr_assert(fd >= 0 && write(fd, text, n) == (ssize_t)n);
    close(fd);
}

Test(text, cuts_a_file_by_position_and_numbers_its_bytes) {
    char path[] = "/tmp/flt-text-XXXXXX";
    flt_text t;
    write_text(path, "aaaaaaaabbbbbbbbdc", 18); // tenths of one byte
    cr_assert_eq(flt_text_open("test", path, 1, &t), FLTE_OK, "%s", flt_error());
    const size_t want[] = {0, 8, 9, 18};
    for (size_t s = 0; s < 4; s++) cr_assert_eq(t.first[s], want[s], "%zu: %zu", s, t.first[s]);
    cr_assert_eq(t.symbols, 4);
    cr_assert(t.symbol[0] == 0 && t.symbol[8] == 1 && t.symbol[16] == 3 && t.symbol[17] == 2);
    flt_text_close(&t);
    unlink(path);
}

Test(text, licences_have_every_split_and_no_paragraph_twice) {
    flt_text t, again;
    cr_assert_eq(flt_text_open("test", "licences", 1000, &t), FLTE_OK, "%s", flt_error());
    cr_assert_eq(flt_text_open("test", "licences", 1000, &again), FLTE_OK, "%s", flt_error());
    const double n = (double)t.first[3];
    cr_assert(n > 50000 && n < 200000 && t.symbols > 60 && t.symbols <= 256, "%g bytes, %zu symbols", n, t.symbols);
    cr_assert(fabs((double)t.first[1] / n - 0.8) < 0.01 && fabs((double)t.first[2] / n - 0.9) < 0.01);
    cr_assert_eq(memcmp(t.symbol, again.symbol, t.first[3]), 0);
    flt_text_close(&t);
    flt_text_close(&again);
}

Test(text, says_what_is_wrong) {
    char path[] = "/tmp/flt-text-XXXXXX", spec[128];
    static const struct {
        const char *where;
        flt_err err;
        const char *says;
    } cases[] = {{"/nowhere/at/all", FLTE_IO, "No such file or directory; text is 'licences'"},
                 {"/tmp", FLTE_IO, "not a regular file"},
                 {NULL, FLTE_RANGE, "' has 20 bytes; a tenth of it must hold 17"}};
    write_text(path, "exactly twenty bytes", 20);
    const size_t before = flt_live_blocks();
    for (size_t i = 0; i < 3; i++) {
        flt_objective *o = NULL;
        snprintf(spec, sizeof spec, "bytes_rnn:text=%s", cases[i].where == NULL ? path : cases[i].where);
        cr_assert_eq(flt_task_create(spec, &o), cases[i].err, "%s: %s", spec, flt_error());
        cr_assert(o == NULL && strstr(flt_error(), cases[i].says) != NULL, "%s: %s", spec, flt_error());
        cr_assert_eq(flt_live_blocks(), before, "%s leaks", spec);
    }
    unlink(path);
}

// ---- the GRU

static const flt_real *tensor(const flt_objective *o, const flt_real *theta, const char *name) {
    const flt_tensor_spec *t = flt_layout_find(&o->layout, name);
    cr_assert(t != NULL, "%s", name);
    return theta + t->offset;
}

enum { H = 3, E = 2, S = 3, L = 5 };

// b + x W, gate columns
static double affine(const flt_real *w, const flt_real *b, size_t in, const double *x, size_t column) {
    double sum = b == NULL ? 0.0 : (double)b[column];
    for (size_t i = 0; i < in; i++) sum += x[i] * (double)w[i * 3 * H + column];
    return sum;
}

static void advance(const flt_objective *o, const flt_real *theta, size_t symbol, double *h) {
    const flt_real *w = tensor(o, theta, "gru.x.w"), *b = tensor(o, theta, "gru.x.b"), *u = tensor(o, theta, "gru.u");
    double x[E], next[H];
    for (size_t i = 0; i < E; i++) x[i] = (double)tensor(o, theta, "embed")[symbol * E + i];
    for (size_t j = 0; j < H; j++) {
        const double z = 1 / (1 + exp(-affine(w, b, E, x, j) - affine(u, NULL, H, h, j)));
        const double r = 1 / (1 + exp(-affine(w, b, E, x, H + j) - affine(u, NULL, H, h, H + j)));
        const double past = affine(u, NULL, H, h, 2 * H + j) + (double)tensor(o, theta, "gru.c")[j];
        const double n = tanh(affine(w, b, E, x, 2 * H + j) + r * past);
        next[j] = (1 - z) * n + z * h[j];
    }
    memcpy(h, next, sizeof next);
}

static double nats(const flt_objective *o, const flt_real *theta, const double *h, size_t wanted) {
    double logit[S], sum = 0.0;
    for (size_t k = 0; k < S; k++) {
        logit[k] = (double)tensor(o, theta, "head.b")[k];
        for (size_t j = 0; j < H; j++) logit[k] += h[j] * (double)tensor(o, theta, "head.w")[j * S + k];
    }
    for (size_t k = 0; k < S; k++) sum += exp(logit[k] - logit[wanted]);
    return log(sum);
}

// A text in which every test window is the same, of period L, evaluated as a whole.
Test(bytes_rnn, is_a_gru) {
    char path[] = "/tmp/flt-text-XXXXXX", text[60 * L + 10], spec[128];
    static const char period[] = "abcab";
    for (size_t i = 0; i < sizeof text; i++) text[i] = period[i % L];
    write_text(path, text, sizeof text);
    snprintf(spec, sizeof spec, "bytes_rnn:width=3,embedding=2,length=5,batch=4,text=%s", path);
    flt_objective *o = make(spec);
    const size_t begin = sizeof text / 10 * 9; // of the test split
    for (uint64_t seed = 0; seed < 5; seed++) {
        flt_real *theta = initial(o, seed);
        for (size_t i = 0; i < o->layout.total; i++) theta[i] += (flt_real)0.1 * (flt_real)(i % 3); // no bias is zero
        double h[H] = {0}, want = 0.0, bits;
        for (size_t t = 0; t < L; t++) {
            advance(o, theta, (size_t)(period[(begin + t) % L] - 'a'), h);
            want += nats(o, theta, h, (size_t)(period[(begin + t + 1) % L] - 'a')) / L;
        }
        const double got = evaluate(o, 1, FLTX_TEST, theta, &bits);
        cr_assert(fabs(got - want) <= 30 * FLTX_EPS * 10 * want, "seed %d: %.9g, not %.9g", (int)seed, got, want);
        cr_assert(fabs(bits * log(2) - got) <= 30 * FLTX_EPS * got, "%g bits", bits);
        free(theta);
    }
    flt_objective_destroy(o);
    unlink(path);
}

Test(bytes_rnn, learns_the_licences) {
    flt_objective *o = make("bytes_rnn");
    flt_real *theta = initial(o, 5);
    double bits;
    cr_assert_str_eq(o->metric, "bits_per_byte");
    adam(o, 5, 400, 1e-2, theta);
    evaluate(o, 5, FLTX_VALID, theta, &bits);
    cr_log_info("bytes_rnn: %.3f bits per byte", bits);
    cr_assert(bits < 3.9, "%.3f bits per byte; single bytes have about 4.5", bits);
    free(theta);
    flt_objective_destroy(o);
}
