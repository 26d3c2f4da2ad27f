// SPDX-License-Identifier: MIT
// Metrics of an outer step.
#include "meta/engine/report.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

static flt_err report_tasks(const flt_outer *o, const flt_sink *sink) {
    char name[288];
    for (size_t k = 0; o->config->n_tasks > 1 && k < o->config->n_tasks; k++) {
        snprintf(name, sizeof name, "meta_loss/%s", o->config->tasks[k]);
        FLTX_TRY(flt_sink_metric(sink, name, o->counts.steps, o->task_loss[k]));
    }
    return FLTE_OK;
}

static flt_err report_traffic(const flt_outer *o, const flt_sink *sink) {
    const flt_traffic *t = o->workers.traffic;
    if (t == NULL) return FLTE_OK;
    FLTX_TRY(flt_sink_metric(sink, "exchange_bytes", o->counts.steps, t->bytes));
    FLTX_TRY(flt_sink_metric(sink, "wait_share", o->counts.steps, t->waiting));
    return flt_sink_metric(sink, "slowest_rank", o->counts.steps, t->slowest);
}

// Share of particles of which an arm's loss was clipped in the window.
static double diverged(const flt_outer *o) {
    size_t n = 0;
    for (size_t i = 0; i < o->particles.count; i++) n += o->outcome.clipped[2 * i] + o->outcome.clipped[2 * i + 1] > 0;
    return (double)n / (double)o->particles.count;
}

// (sum_i |w_i|)^2 / sum_i w_i^2 with w_i = sum_k |w_ik|, 0 where all are 0.
static double effective_sample_size(const flt_outer *o) {
    const flt_particles *p = &o->particles;
    double sum = 0.0, squares = 0.0;
    for (size_t i = 0; i < p->count; i++) {
        double w = 0.0;
        for (size_t k = 0; k < p->parts[i]; k++) w += fabs(o->weight[i * p->most_parts + k]);
        sum += w;
        squares += w * w;
    }
    return squares > 0.0 ? sum * sum / squares : 0.0;
}

// Mean over the arms that moved in the step that was looked at, 0 where none did.
static double inner_update_ratio(const flt_outer *o) {
    double sum = 0.0;
    size_t n = 0;
    for (size_t u = 0; u < 2 * o->particles.count; u++) {
        if (!isfinite(o->outcome.moved[u])) continue;
        sum += o->outcome.moved[u];
        n++;
    }
    return n > 0 ? sum / (double)n : 0.0;
}

static double size_of_theta(const flt_outer *o) {
    double sum = 0.0;
    for (size_t j = 0; j < o->n; j++) sum += (double)o->weights->theta[j] * (double)o->weights->theta[j];
    return sqrt(sum);
}

static flt_err report_health(const flt_outer *o, const flt_sink *sink) {
    const uint64_t step = o->counts.steps;
    const double size = size_of_theta(o);
    FLTX_TRY(flt_sink_metric(sink, "update_ratio", step, size > 0.0 ? o->optimizer.update_norm / size : 0.0));
    FLTX_TRY(flt_sink_metric(sink, "inner_update_ratio", step, inner_update_ratio(o)));
    FLTX_TRY(flt_sink_metric(sink, "diverged", step, diverged(o)));
    if (o->particles.kind->backpropagates) return FLTE_OK;
    return flt_sink_metric(sink, "effective_sample_size", step, effective_sample_size(o));
}

// Meta-loss of a particle's window in Adam's hands.
static double adam_loss(const flt_outer *o, size_t i) {
    const flt_particles *p = &o->particles;
    double sum = 0.0;
    for (size_t k = 0; k < p->parts[i]; k++) {
        const flt_part *part = &p->part[i * p->most_parts + k];
        sum += flt_adam_curves_part(&o->adam, &o->loss_kind, flt_task_pool_pick(&o->pool, i, part->episode), part);
    }
    return sum / (double)flt_particles_steps(p, i);
}

static flt_err report_adam(const flt_outer *o, const flt_sink *sink) {
    const size_t P = o->particles.count, groups = o->pool.groups;
    char name[300];
    double all = 0.0;
    if (o->adam.sum == NULL) return FLTE_OK;
    for (size_t g = 0; g < groups; g++) {
        double sum = 0.0;
        size_t n = 0;
        for (size_t i = g; i < P; i += groups, n++) sum += adam_loss(o, i);
        all += sum;
        snprintf(name, sizeof name, "loss_minus_adam/%s", o->config->tasks[g]);
        if (groups > 1) FLTX_TRY(flt_sink_metric(sink, name, o->counts.steps, o->task_loss[g] - sum / (double)n));
    }
    return flt_sink_metric(sink, "loss_minus_adam", o->counts.steps, o->loss - all / (double)P);
}

flt_err flt_report_step(const flt_outer *o, const flt_sink *sink, double seconds) {
    const uint64_t step = o->counts.steps;
    const double inner = (double)o->inner_steps;
    char status[96];
    FLTX_TRY(flt_sink_metric(sink, "meta_loss", step, o->loss));
    FLTX_TRY(report_tasks(o, sink));
    FLTX_TRY(flt_sink_metric(sink, "grad_norm", step, o->optimizer.grad_norm));
    FLTX_TRY(flt_sink_metric(sink, "update_norm", step, o->optimizer.update_norm));
    FLTX_TRY(flt_sink_metric(sink, "clipped", step, (double)o->clipped));
    FLTX_TRY(report_health(o, sink));
    FLTX_TRY(report_adam(o, sink));
    FLTX_TRY(flt_sink_metric(sink, "inner_steps_per_s", step, inner / seconds));
    FLTX_TRY(report_traffic(o, sink));
    snprintf(status, sizeof status, "step %" PRIu64 "/%" PRIu64 " meta-loss %.4g", step, o->config->outer_steps, o->loss);
    flt_sink_progress(sink, (double)step / (double)o->config->outer_steps, status);
    return FLTE_OK;
}
