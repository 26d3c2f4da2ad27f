// SPDX-License-Identifier: MIT
// NULL at every public function of tasks, optimizers and verify that returns flt_err, one row an argument; what is freed.
#include "core/tests/refused.h"

#include "flt/bench.h"
#include "flt/estimators.h"
#include "flt/evaluate.h"
#include "flt/fidelity.h"
#include "flt/fit.h"
#include "flt/meta.h"
#include "flt/task_cost.h"
#include "flt/tasks.h"
#include "flt/verify.h"

Test(null, tasks) {
    const flt_task_kind *kind = NULL;
    const flt_task_set *set = NULL;
    flt_objective *o = NULL;
    char concrete[FLTX_TASK_SPEC_SIZE];
    REFUSED("out", flt_task_find("quadratic", NULL));
    cr_assert(flt_task_find("quadratic", &kind) == FLTE_OK);
    REFUSED("spec", flt_task_of(NULL, &kind));
    REFUSED("out", flt_task_of("quadratic", NULL));
    REFUSED("spec", flt_task_create(NULL, &o));
    REFUSED("out", flt_task_create("quadratic", NULL));
    REFUSED("distribution", flt_task_sample(NULL, 1, concrete));
    REFUSED("concrete", flt_task_sample("quadratic", 1, NULL));
    REFUSED("name", flt_task_set_find(NULL, &set));
    REFUSED("out", flt_task_set_find("train", NULL));
}

Test(null, optimizers) {
    const flt_optimizer_kind *kind = NULL;
    flt_optimizer *o = NULL;
    flt_weights w = {0};
    uint64_t t = 0;
    flt_real state[1] = {0};
    REFUSED("out", flt_optimizer_find("sgd", NULL));
    cr_assert(flt_optimizer_find("sgd", &kind) == FLTE_OK);
    REFUSED("w->kind", flt_weights_save(&w, "a")); // weights that were never loaded
    REFUSED("w->kind", flt_state_save(&w, &w.layout, 0, 0, NULL, "a"));
    w.kind = kind;
    REFUSED("kind", flt_optimizer_create(NULL, NULL, &w.layout, &o));
    REFUSED("layout", flt_optimizer_create(kind, NULL, NULL, &o));
    REFUSED("out", flt_optimizer_create(kind, NULL, &w.layout, NULL));
    REFUSED("kind", flt_weights_load(NULL, NULL, NULL, 0, &w));
    REFUSED("out", flt_weights_load(kind, NULL, NULL, 0, NULL));
    REFUSED("w", flt_weights_save(NULL, "a"));
    REFUSED("path", flt_weights_save(&w, NULL));
    REFUSED("w", flt_state_save(NULL, &w.layout, 1, 0, state, "a"));
    REFUSED("layout", flt_state_save(&w, NULL, 1, 0, state, "a"));
    REFUSED("state", flt_state_save(&w, &w.layout, 1, 0, NULL, "a"));
    REFUSED("path", flt_state_save(&w, &w.layout, 1, 0, state, NULL));
    REFUSED("w", flt_state_load(NULL, &w.layout, 1, "a", &t, state));
    REFUSED("layout", flt_state_load(&w, NULL, 1, "a", &t, state));
    REFUSED("path", flt_state_load(&w, &w.layout, 1, NULL, &t, state));
    REFUSED("t", flt_state_load(&w, &w.layout, 1, "a", NULL, state));
    REFUSED("state", flt_state_load(&w, &w.layout, 1, "a", &t, NULL));
}

static const flt_optimizer_kind *kind_of(const char *name) {
    const flt_optimizer_kind *kind = NULL;
    cr_assert(flt_optimizer_find(name, &kind) == FLTE_OK);
    return kind;
}

Test(null, training) {
    const flt_estimator_kind *kind = NULL;
    flt_weights w = {0}; // never loaded
    flt_eval_config eval = {.task = "quadratic"};
    flt_eval_result result;
    flt_fit_config fit = {.task = "quadratic"};
    flt_fit_report report = {0};
    flt_meta_config meta = {.n_tasks = 1, .make = flt_task_create};
    flt_estimators_config estimators = {.repetitions = 3};
    flt_estimator_row *rows = NULL;
    double loss[1];
    size_t n = 0;
    REFUSED("w", flt_run_curve(NULL, "quadratic", flt_task_create, 0, 1, loss, NULL));
    REFUSED("task", flt_run_curve(&w, NULL, flt_task_create, 0, 1, loss, NULL));
    REFUSED("make", flt_run_curve(&w, "quadratic", NULL, 0, 1, loss, NULL));
    REFUSED("w->kind", flt_run_curve(&w, "quadratic", flt_task_create, 0, 1, loss, NULL));
    REFUSED("c", flt_eval_optimizer(NULL, &w, NULL, &result, NULL));
    REFUSED("w", flt_eval_optimizer(&eval, NULL, NULL, &result, NULL));
    REFUSED("out", flt_eval_optimizer(&eval, &w, NULL, NULL, NULL));
    REFUSED("c->make", flt_eval_optimizer(&eval, &w, NULL, &result, NULL));
    eval.make = fit.make = flt_task_create;
    REFUSED("w->kind", flt_eval_optimizer(&eval, &w, NULL, &result, NULL));
    REFUSED("w->kind", flt_fit(&fit, &w, NULL, &report));
    fit.make = NULL;
    REFUSED("w->kind", flt_fit_save(&fit, &w, &report, "a"));
    w.kind = kind_of("sgd");
    REFUSED("loss", flt_run_curve(&w, "quadratic", flt_task_create, 0, 1, NULL, NULL));
    REFUSED("c", flt_fit(NULL, &w, NULL, &report));
    REFUSED("w", flt_fit(&fit, NULL, NULL, &report));
    REFUSED("out", flt_fit(&fit, &w, NULL, NULL));
    REFUSED("c->make", flt_fit(&fit, &w, NULL, &report));
    REFUSED("c", flt_fit_save(NULL, &w, &report, "a"));
    REFUSED("w", flt_fit_save(&fit, NULL, &report, "a"));
    REFUSED("r", flt_fit_save(&fit, &w, NULL, "a"));
    REFUSED("path", flt_fit_save(&fit, &w, &report, NULL));
    REFUSED("out", flt_estimator_find("pes", NULL));
    cr_assert(flt_estimator_find("pes", &kind) == FLTE_OK);
    REFUSED("c", flt_meta_train(NULL, &w, NULL, NULL));
    REFUSED("w", flt_meta_train(&meta, NULL, NULL, NULL));
    REFUSED("c->tasks", flt_meta_train(&meta, &w, NULL, NULL));
    meta.make = NULL;
    REFUSED("c->make", flt_meta_train(&meta, &w, NULL, NULL));
    REFUSED("c", flt_estimators_compare(NULL, &w, NULL, &n, &rows));
    REFUSED("w", flt_estimators_compare(&estimators, NULL, NULL, &n, &rows));
    REFUSED("n", flt_estimators_compare(&estimators, &w, NULL, NULL, &rows));
    REFUSED("rows", flt_estimators_compare(&estimators, &w, NULL, &n, NULL));
}

Test(null, verification) {
    const flt_check_kind *kind = NULL;
    flt_verify_config config = {0};
    flt_verify_report report = {0};
    flt_check_context c = {.config = &config, .report = &report};
    flt_bench_group group;
    flt_task_cost cost;
    REFUSED("out", flt_check_find("oracle", NULL));
    cr_assert(flt_check_find("oracle", &kind) == FLTE_OK);
    REFUSED("c", flt_check_case(NULL, "exact", "a", 0));
    REFUSED("mechanism", flt_check_case(&c, NULL, "a", 0));
    REFUSED("label", flt_check_case(&c, "exact", NULL, 0));
    REFUSED("c", flt_check_claim(NULL, "exact", "a", true, 0));
    REFUSED("mechanism", flt_check_claim(&c, NULL, "a", true, 0));
    REFUSED("label", flt_check_claim(&c, "exact", NULL, true, 0));
    REFUSED("c", flt_check_statistic(NULL, "exact", "a", &(flt_statistic){0}));
    REFUSED("s", flt_check_statistic(&c, "exact", "a", NULL));
    REFUSED("c", flt_check_unable(NULL, "exact", FLTE_UNSUPPORTED));
    REFUSED("mechanism", flt_check_unable(&c, NULL, FLTE_UNSUPPORTED));
    REFUSED("c", flt_verify_run(NULL, NULL, &report));
    REFUSED("out", flt_verify_run(&config, NULL, NULL));
    REFUSED("name", flt_bench_find(NULL, &group));
    REFUSED("out", flt_bench_find("task", NULL));
    REFUSED("c", flt_bench_check(NULL));
    REFUSED("c", flt_bench_run(NULL, NULL, NULL, NULL));
    REFUSED("c", flt_fidelity_run(NULL, NULL, NULL, NULL));
    REFUSED("spec", flt_task_cost_of(NULL, 0, 0, &cost));
    REFUSED("out", flt_task_cost_of("quadratic", 0, 0, NULL));
}

Test(null, what_is_freed) {
    flt_optimizer_destroy(NULL);
    flt_weights_free(NULL);
    flt_eval_free(NULL);
    flt_fit_free(NULL);
    cr_assert_eq(flt_ranks_count(NULL), 1);
}
