// SPDX-License-Identifier: MIT
// Sets of tasks: every task can be made; what one set has, no other one has.
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "flt/tasks.h"

Test(sets, every_task_can_be_made) {
    for (const flt_task_set *s = flt_task_sets; s->name != NULL; s++) {
        cr_assert(s->tasks[0].spec != NULL, "@%s is empty", s->name);
        for (const flt_task_of_set *t = s->tasks; t->spec != NULL; t++) {
            flt_objective *o = NULL;
            cr_assert(eq(int, flt_task_create(t->spec, &o), FLTE_OK), "@%s: %s", s->name, flt_error());
            cr_assert(t->steps > 0, "@%s: %s", s->name, t->spec);
            flt_objective_destroy(o);
        }
    }
}

// The same task in two sets would be trained on and judged on; long alone shares tasks with train, at other lengths.
Test(sets, no_task_is_in_two_sets) {
    for (const flt_task_set *a = flt_task_sets; a->name != NULL; a++)
        for (const flt_task_set *b = flt_task_sets; b->name != NULL; b++)
            for (const flt_task_of_set *x = a->tasks; x->spec != NULL; x++)
                for (const flt_task_of_set *y = b->tasks; y->spec != NULL; y++) {
                    const bool lasts = strcmp(a->name, "long") == 0 || strcmp(b->name, "long") == 0;
                    if (x == y || strcmp(x->spec, y->spec) != 0) continue;
                    cr_assert(lasts && x->steps != y->steps, "%s is in @%s and @%s", x->spec, a->name, b->name);
                }
}

Test(sets, names) {
    const flt_task_set *s = NULL;
    for (size_t i = 0; flt_task_sets[i].name != NULL; i++) {
        cr_assert(eq(int, flt_task_set_find(flt_task_sets[i].name, &s), FLTE_OK), "%s", flt_error());
        cr_assert(s == &flt_task_sets[i], "%s", s->name);
    }
    cr_assert(eq(int, flt_task_set_find("tran", &s), FLTE_NAME));
    cr_assert(strstr(flt_error(), "did you mean '@train'") != NULL, "%s", flt_error());
    cr_assert(eq(int, flt_task_set_find("everything", &s), FLTE_NAME));
    for (size_t i = 0; flt_task_sets[i].name != NULL; i++)
        cr_assert(strstr(flt_error(), flt_task_sets[i].name) != NULL, "%s is not told: %s", flt_task_sets[i].name, flt_error());
}
