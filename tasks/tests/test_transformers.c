// SPDX-License-Identifier: MIT
// Transformers: learning through every attention mechanism and every learned encoding, what they refuse, and the baselines.
#include "engine/encoding.h"
#include "engine/text.h"
#include "flt/attention.h"
#include "support.h"

enum { STEPS = 50, FEW = 8 };

// Mean loss of the first and of the last few of 50 steps of Adam, on new minibatches or on one; every loss and gradient is
// finite.
static void train(const char *spec, bool one, double *first, double *last) {
    flt_objective *o = make(spec);
    const size_t n = o->layout.total;
    flt_real *theta = initial(o, 1), *g = vector(n);
    double *m = calloc(n, sizeof *m), *v = calloc(n, sizeof *v);
    *first = *last = 0.0;
    for (uint64_t t = 0; t < STEPS; t++) {
        const double loss = (double)o->gradient(o->self, (flt_batch){1, FLTX_TRAIN, one ? 0 : t}, theta, g);
        cr_assert(isfinite(loss) && isfinite(norm(n, g)), "%s, step %d: loss %g, gradient %g", spec, (int)t, loss, norm(n, g));
        *first += t < FEW ? loss / FEW : 0.0;
        *last += t >= STEPS - FEW ? loss / FEW : 0.0;
        const double c1 = 1.0 - pow(0.9, (double)t + 1), c2 = 1.0 - pow(0.99, (double)t + 1);
        for (size_t i = 0; i < n; i++) {
            m[i] = 0.9 * m[i] + 0.1 * (double)g[i];
            v[i] = 0.99 * v[i] + 0.01 * (double)g[i] * (double)g[i];
            theta[i] -= (flt_real)(1e-2 * (m[i] / c1) / (sqrt(v[i] / c2) + 1e-8));
        }
    }
    free(theta);
    free(g);
    free(m);
    free(v);
    flt_objective_destroy(o);
}

static void check_falls(const char *spec, bool one) {
    double first, last;
    train(spec, one, &first, &last);
    cr_log_info("%s: %.3f to %.3f", spec, first, last);
    cr_assert(last < 0.97 * first, "%s: the loss went from %.4f to %.4f in %d steps", spec, first, last, STEPS);
}

static void check_learns(const char *spec) {
    check_falls(spec, false);
}

static void check_refusal(const char *spec) {
    flt_objective *o = NULL;
    cr_assert(flt_task_create(spec, &o) == FLTE_UNSUPPORTED && strstr(flt_error(), "no backward pass; these have:") != NULL,
              "%s: %s", spec, flt_error());
}

// Each that has a backward pass; the others are refused with those that have one.
Test(transformers, learn_through_every_mechanism) {
    const flt_registry *r = flt_attention_registry();
    size_t learned = 0;
    char spec[256];
    for (size_t i = 0; r->kinds[i] != NULL; i++) {
        const char *name = r->kinds[i]->name;
        const char *more = strcmp(name, "fourier") == 0    ? ",settings=ratio=0.5"
                           : strncmp(name, "spe_", 4) == 0 ? ",settings=R=16" // the default is meant for wider heads
                                                           : "";
        snprintf(spec, sizeof spec, "digits_vit:width=16,depth=1,expansion=2,batch=16,hessian=false,attention=%s%s", name, more);
        const unsigned caps = r->kinds[i]->caps;
        if ((caps & FLTX_ATT_BACKWARD) == 0) check_refusal(spec);
        if ((caps & FLTX_ATT_BACKWARD) == 0) continue;
        check_learns(spec);
        learned++;
        if ((caps & FLTX_ATT_CAUSAL) == 0) continue;
        snprintf(spec, sizeof spec, "bytes_transformer:width=16,depth=1,expansion=2,length=16,hessian=false,attention=%s%s", name,
                 more);
        check_learns(spec);
    }
    cr_assert_geq(learned, 9);
}

static bool has_attention(const flt_kind *task) {
    for (const flt_param_spec *p = task->params; p != NULL && p->name != NULL; p++)
        if (strcmp(p->name, "attention") == 0) return true;
    return false;
}

// The other tasks that have attention, on one minibatch: listops and pathfinder take longer than 50 steps to learn.
Test(transformers, every_task_follows_its_gradient) {
    static const char *const small[][2] = {
        {"listops", ",length=16"}, {"pathfinder", ",size=8,length=5"}, {"molecules", ",most=8"}};
    const flt_registry *tasks = flt_task_registry(), *r = flt_attention_registry();
    for (size_t t = 0; tasks->kinds[t] != NULL; t++) {
        const char *task = tasks->kinds[t]->name, *sizes = "";
        size_t mechanisms = 0;
        if (!has_attention(tasks->kinds[t]) || strcmp(task, "bytes_transformer") == 0 || strcmp(task, "digits_vit") == 0)
            continue;
        for (size_t k = 0; k < sizeof small / sizeof *small; k++)
            if (strcmp(small[k][0], task) == 0) sizes = small[k][1];
        for (size_t i = 0; r->kinds[i] != NULL; i++) {
            flt_objective *o = NULL;
            char spec[256];
            snprintf(spec, sizeof spec, "%s:width=8,depth=1,expansion=1,batch=4,hessian=false,attention=%s%s", task,
                     r->kinds[i]->name, sizes);
            const flt_err err = flt_task_create(spec, &o);
            cr_assert(err == FLTE_OK || err == FLTE_UNSUPPORTED, "%s: %s", spec, flt_error());
            flt_objective_destroy(o);
            if (err != FLTE_OK) continue;
            check_falls(spec, true);
            mechanisms++;
        }
        cr_assert(mechanisms >= 4, "%s: %zu mechanisms", task, mechanisms);
    }
}

Test(transformers, learn_through_every_encoding) {
    const flt_registry *r = flt_rpe_registry();
    static const char *const mechanisms[] = {"exact", "flt", "nprf"};
    size_t learned = 0;
    for (size_t i = 0; r->kinds[i] != NULL; i++)
        for (size_t k = 0; k < 3; k++) {
            const flt_encoding e = {.kind = (const flt_rpe_kind *)r->kinds[i], .heads = 2, .components = 2, .n = 8, .l = 1};
            char spec[256];
            if (flt_encoding_check("test", &e, k == 1) != FLTE_OK) continue;
            snprintf(
                spec, sizeof spec,
                "bytes_transformer:width=8,depth=1,expansion=1,length=8,batch=8,hessian=false,attention=%s,rpe=%s,absolute=false",
                mechanisms[k], r->kinds[i]->name);
            check_learns(spec);
            learned++;
        }
    cr_assert_geq(learned, 30);
}

// FFTNet's context network and the layer around it are learned through the same node.
Test(transformers, learn_through_the_forms_of_fftnet) {
    check_learns("digits_vit:width=16,depth=1,expansion=2,batch=16,attention=fftnet,settings=form=context");
    check_learns("digits_vit:width=16,depth=1,expansion=2,batch=16,attention=fftnet,settings=form=layer");
}

// Learned parameters of an encoding move under training, whatever its mechanism: a gradient that is always zero would pass above.
Test(transformers, encodings_move) {
    static const char *const specs[] = {"digits_vit:width=8,depth=1,batch=8,attention=exact,hessian=false",
                                        "digits_vit:width=8,depth=1,batch=8,attention=flt,hessian=false",
                                        "bytes_transformer:width=8,depth=1,batch=8,attention=nprf,hessian=false",
                                        "bytes_transformer:width=8,depth=1,batch=8,attention=flt,rpe=box,hessian=false"};
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
        flt_objective *o = make(specs[i]);
        flt_real *theta = initial(o, 1), *g = vector(o->layout.total);
        size_t found = 0;
        o->gradient(o->self, (flt_batch){1, FLTX_TRAIN, 0}, theta, g);
        for (size_t t = 0; t < o->layout.n; t++) {
            const flt_tensor_spec *x = &o->layout.tensor[t];
            if (strstr(x->name, ".rpe.") == NULL) continue;
            cr_assert(norm(x->count, g + x->offset) > 0, "%s: %s has no gradient", specs[i], x->name);
            found++;
        }
        cr_assert(found >= 2, "%s: %zu learned tensors", specs[i], found);
        free(theta);
        free(g);
        flt_objective_destroy(o);
    }
}

// The taps of each side of the filters in the first layer.
static void check_taps(const char *spec, size_t rank, size_t taps) {
    flt_objective *o = make(spec);
    const flt_tensor_spec *filter = NULL;
    for (size_t t = 0; t < o->layout.n && filter == NULL; t++)
        if (strstr(o->layout.tensor[t].name, "filter_q") != NULL) filter = &o->layout.tensor[t];
    cr_assert(filter != NULL && filter->rank >= rank, "%s has no filters of %zu sides", spec, rank);
    for (size_t a = 1; a <= rank; a++)
        cr_assert(filter->dim[filter->rank - a] == taps, "%s: %zu taps", spec, filter->dim[filter->rank - a]);
    flt_objective_destroy(o);
}

Test(transformers, filters_reach_no_further_than_the_tokens) {
    check_taps("digits_vit:attention=spe_conv,settings=R=2", 2, 4);
    check_taps("digits_vit:attention=spe_conv,settings=R=2,patch=1", 2, 8);
    check_taps("digits_vit:attention=spe_conv,settings=width=5/R=2", 2, 5);
    check_taps("digits_vit:attention=spe_conv,settings=R=2,positions=sequence", 1, 16);
    check_taps("bytes_transformer:attention=spe_conv,settings=R=2,length=9", 1, 9);
    check_taps("bytes_transformer:attention=spe_conv,settings=R=2,length=64", 1, 16);
}

Test(transformers, say_what_is_wrong) {
    static const struct {
        const char *spec;
        flt_err err;
        const char *says;
    } cases[] = {
        {"bytes_transformer:attention=exakt", FLTE_NAME, "did you mean 'exact'?"},
        {"bytes_transformer:attention=fftnet", FLTE_UNSUPPORTED, "no causal form; these have"},
        {"bytes_transformer:attention=performer,rpe=alibi", FLTE_UNSUPPORTED, "one of these mechanisms: exact, nprf, flt"},
        {"bytes_transformer:attention=flt,rpe=alibi", FLTE_UNSUPPORTED, "no spectrum for flt"},
        {"bytes_transformer:rpe=gausian", FLTE_NAME, "did you mean 'gaussian'?"},
        {"bytes_transformer:width=30,heads=4", FLTE_RANGE, "30 does not share out among 4 heads"},
        {"bytes_transformer:attention=exact,m=8", FLTE_USAGE, "exact has no random features"},
        {"bytes_transformer:attention=performer,r=8", FLTE_USAGE, "performer draws no frequencies"},
        {"bytes_transformer:rpe=gaussian,components=8", FLTE_USAGE, "the encoding is gaussian"},
        {"bytes_transformer:settings=fetures=hyperbolic", FLTE_NAME, "did you mean 'features'?"},
        {"bytes_transformer:settings=split=balanced/m=4", FLTE_USAGE, "the task's own parameter m"},
        {"bytes_transformer:text=/nowhere/at/all", FLTE_IO, "No such file"},
        {"digits_vit:patch=3", FLTE_RANGE, "do not tile images of 8 x 8"},
        {"digits_vit:attention=nprf,rpe=gaussian", FLTE_UNSUPPORTED, "exact and flt take any"},
        {"digits_vit:attention=exact,rpe=t5_buckets", FLTE_UNSUPPORTED, "lives on sequences"},
    };
    const size_t before = flt_live_blocks();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        flt_objective *o = NULL;
        const flt_err err = flt_task_create(cases[i].spec, &o);
        cr_assert(err == cases[i].err && strstr(flt_error(), cases[i].says) != NULL, "%s: %s", cases[i].spec, flt_error());
        cr_assert(o == NULL, "%s", cases[i].spec);
    }
    // the shared table of digits may have been decoded on the way
    cr_assert(flt_live_blocks() <= before + 4, "%zu blocks before, %zu after", before, flt_live_blocks());
}

// ---- the order-2 model

static double order2_of(const char *text, size_t n) {
    char path[] = "/tmp/flt-order2-XXXXXX";
    const int fd = mkstemp(path);
    FILE *f = fdopen(fd, "wb");
    double bits = 0.0;
    flt_text t;
    cr_assert(f != NULL && fwrite(text, 1, n, f) == n);
    fclose(f);
    cr_assert_eq(flt_text_open("test", path, 1, &t), FLTE_OK, "%s", flt_error());
    cr_assert_eq(flt_text_order2(&t, &bits), FLTE_OK, "%s", flt_error());
    flt_text_close(&t);
    remove(path);
    return bits;
}

Test(order2, knows_what_two_symbols_tell) {
    char text[4000];
    for (size_t i = 0; i < sizeof text; i++) text[i] = "abcab"[i % 5]; // after ab: c or a, and nothing else is open
    const double cyclic = order2_of(text, sizeof text);
    cr_assert(cyclic > 0.35 && cyclic < 0.45, "%g bits: two of five symbols after ab, one bit each", cyclic);
    for (size_t i = 0; i < sizeof text; i++) text[i] = (char)('a' + flt_rng_below(flt_rng_make(1, "text", 0), i, 4));
    const double noise = order2_of(text, sizeof text);
    cr_assert(noise > 2.0 && noise < 2.05, "%g bits for 2 bits of noise", noise);
}

Test(order2, is_the_baseline_of_language_tasks) {
    flt_objective *a = make("bytes_rnn"), *b = make("bytes_transformer");
    cr_assert_str_eq(a->baseline_name, "order-2 byte model");
    cr_assert(a->baseline == b->baseline && a->baseline > 2.5 && a->baseline < 3.5, "%g", a->baseline);
    flt_objective_destroy(a);
    flt_objective_destroy(b);
}
