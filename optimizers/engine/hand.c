// SPDX-License-Identifier: MIT
// The common part of hand-designed optimizers.
#include "engine/hand.h"
#include "flt/memory.h"

#include <string.h>

static bool has(const flt_params *p, const char *name) {
    for (const flt_param_spec *s = flt_params_specs(p); s->name != NULL; s++)
        if (strcmp(s->name, name) == 0) return true;
    return false;
}

static flt_err read_schedule(const flt_params *p, flt_hand *s) {
    const char *name = flt_params_text(p, "schedule");
    s->schedule = flt_schedule_of(name);
    s->warmup = (double)flt_params_int(p, "warmup");
    s->total = (double)flt_params_int(p, "total");
    if (s->schedule == FLTX_CONSTANT || s->total > s->warmup) return FLTE_OK;
    return flt_fail(FLTE_RANGE, "total", "is %.0f; a %s schedule needs its last step, above warmup = %.0f", s->total, name,
                    s->warmup);
}

flt_err flt_hand_create(const flt_params *p, const flt_layout *layout, size_t size, size_t words, size_t work, void *self) {
    flt_hand *s = NULL;
    flt_err err = FLTE_OK;
    FLTX_TRY(flt_alloc(1, size, &s));
    s->P = layout->total;
    s->words = words;
    s->lr = flt_params_real(p, "lr");
    s->decay = has(p, "weight_decay") ? flt_params_real(p, "weight_decay") : 0;
    s->kernels = FLTX_ISA_PICK(flt_elementwise);
    FLTX_GO(err, fail, read_schedule(p, s));
    FLTX_GO(err, fail, flt_layout_copy(layout, &s->layout));
    FLTX_GO(err, fail, flt_alloc(work + 1, sizeof *s->work, &s->work));
    memcpy(self, &s, sizeof s); // whatever the kind calls its struct
    return FLTE_OK;
fail:
    flt_hand_destroy(s);
    return err;
}

void flt_hand_destroy(void *self) {
    flt_hand *s = self;
    if (s == NULL) return;
    flt_free(s->work);
    flt_layout_free(&s->layout);
    flt_free(s);
}

size_t flt_hand_words(const void *self) {
    return ((const flt_hand *)self)->words;
}

void flt_hand_init(void *self, flt_real *state) {
    memset(state, 0, flt_hand_words(self) * sizeof *state);
}

double flt_hand_rate(const flt_hand *s, uint64_t t) {
    return flt_rate_at(&(flt_rate){.peak = s->lr, .schedule = s->schedule, .warmup = s->warmup, .total = s->total}, t);
}
