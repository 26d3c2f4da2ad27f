// SPDX-License-Identifier: MIT
// The configuration of a training run as text, and where two of them part.
#include "meta/engine/fingerprint.h"

#include "flt/memory.h"
#include "meta/engine/choice.h"
#include "meta/engine/meta_optimizer.h"
#include "meta/engine/truncation.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

typedef struct text { // measured in a first pass (at NULL), written in a second
    char *at;
    size_t used, size;
} text;

static void line(text *t, const char *format, ...) FLTX_PRINTF(2, 3);
static void line(text *t, const char *format, ...) {
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(t->at == NULL ? NULL : t->at + t->used, t->at == NULL ? 0 : t->size - t->used, format, args);
    va_end(args);
    if (n > 0) t->used += (size_t)n;
}

static void optimizer(const flt_weights *w, text *t) {
    line(t, "optimizer=%s\n", w->kind->kind.name);
    const flt_param_spec *p = w->params == NULL ? NULL : flt_params_specs(w->params);
    for (; p != NULL && p->name != NULL; p++)
        if (flt_params_has(w->params, p->name)) line(t, "%s of the optimizer=%s\n", p->name, flt_params_text(w->params, p->name));
    line(t, "meta-parameters=%zu\n", w->layout.total);
}

static void describe_optimizer(const flt_meta_config *c, text *t) {
    line(t, "outer optimizer=%s\n", flt_choice_name(c->outer_optimizer, "adam"));
    line(t, "outer learning rate=%.17g\n", c->outer_lr);
    line(t, "outer schedule=%s\n", flt_choice_name(c->outer_schedule, "constant"));
    line(t, "end of the outer schedule=%llu\n", (unsigned long long)flt_meta_optimizer_end(c));
    line(t, "outer warm-up=%llu\n", (unsigned long long)c->outer_warmup);
    line(t, "last share of the outer rate=%.17g\n", c->outer_final);
    line(t, "outer weight decay=%.17g\n", c->outer_weight_decay);
    line(t, "clip=%.17g\n", c->clip);
    line(t, "clip by=%s\n", flt_choice_name(c->clip_by, "norm"));
}

static void describe(const flt_meta_config *c, const flt_weights *w, text *t) {
    line(t, "precision=%s\n", FLTX_REAL_NAME);
    optimizer(w, t);
    line(t, "number of tasks=%zu\n", c->n_tasks);
    for (size_t k = 0; k < c->n_tasks; k++) line(t, "task %zu=%s\n", k + 1, c->tasks[k]);
    line(t, "draws of each task=%zu\n", c->draws);
    line(t, "frozen=%s", c->n_freeze == 0 ? "nothing" : c->freeze[0]);
    for (size_t k = 1; k < c->n_freeze; k++) line(t, ",%s", c->freeze[k]);
    line(t, "\n");
    line(t, "estimator=%s\n", c->estimator);
    line(t, "particles=%zu\n", c->particles);
    line(t, "window=%zu\n", c->window);
    line(t, "shortest unroll=%zu\nlongest unroll=%zu\n", c->unroll_min, c->unroll_max);
    line(t, "truncation=%s\n", flt_choice_name(c->truncation, "log-uniform"));
    line(t, "curriculum=%llu steps\n", (unsigned long long)flt_truncation_growth(c));
    line(t, "in phase=%s\n", c->in_phase ? "true" : "false");
    line(t, "sigma=%.17g\n", c->sigma);
    line(t, "difference=%s\n", flt_choice_name(c->difference, "plain"));
    line(t, "clip of differences=%.17g\n", c->difference_clip);
    line(t, "log loss=%s\n", c->log_loss ? "true" : "false");
    line(t, "reduction=%s\n", flt_choice_name(c->reduction, "mean"));
    line(t, "power of the loss's weights=%.17g\n", c->loss_power);
    line(t, "held out=%s\n", c->held_out ? "true" : "false");
    describe_optimizer(c, t);
    line(t, "seed=%llu\n", (unsigned long long)c->seed);
}

static void describe_fit(const flt_fit_config *c, const flt_weights *w, text *t) {
    const uLong none = crc32_z(0, NULL, 0);
    line(t, "precision=%s\n", FLTX_REAL_NAME);
    optimizer(w, t);
    if (w->theta != NULL) line(t, "weights=%08lx\n", crc32_z(none, (const Bytef *)w->theta, w->layout.total * sizeof *w->theta));
    line(t, "task=%s\n", c->task);
    line(t, "seed=%llu\n", (unsigned long long)c->seed);
}

static void write_text(const flt_meta_config *meta, const flt_fit_config *fit, const flt_weights *w, text *t) {
    if (meta != NULL)
        describe(meta, w, t);
    else
        describe_fit(fit, w, t);
}

static flt_err make(const flt_meta_config *meta, const flt_fit_config *fit, const flt_weights *w, char **out) {
    text t = {0};
    write_text(meta, fit, w, &t);
    t.size = t.used + 1;
    t.used = 0;
    FLTX_TRY(flt_alloc(t.size, 1, &t.at));
    write_text(meta, fit, w, &t);
    *out = t.at;
    return FLTE_OK;
}

flt_err flt_fingerprint(const flt_meta_config *c, const flt_weights *w, char **out) {
    return make(c, NULL, w, out);
}

flt_err flt_fingerprint_fit(const flt_fit_config *c, const flt_weights *w, char **out) {
    return make(NULL, c, w, out);
}

flt_err flt_fingerprint_match(const char *who, const char *there, const char *here) {
    while (*there != '\0' || *here != '\0') {
        const int a = (int)strcspn(there, "\n"), b = (int)strcspn(here, "\n");
        if (a != b || strncmp(there, here, (size_t)a) != 0)
            return flt_fail(FLTE_USAGE, who,
                            "the checkpoint was made with %.*s, this run has %.*s; give the same, or do not resume", a, there, b,
                            here);
        there += a + (there[a] == '\n');
        here += b + (here[b] == '\n');
    }
    return FLTE_OK;
}
