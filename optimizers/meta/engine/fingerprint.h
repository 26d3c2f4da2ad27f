// SPDX-License-Identifier: MIT
// What decides the bits of a training run, as text: a resumed run must agree in all of it. The number of outer steps, threads,
// and when to write checkpoints are not in it.
#ifndef FLTX_FINGERPRINT_H
#define FLTX_FINGERPRINT_H

#include "flt/fit.h"
#include "flt/meta.h"

// Lines "name=value"; freed with flt_free. Errors: FLTE_NOMEM.
flt_err flt_fingerprint(const flt_meta_config *c, const flt_weights *w, char **out);
// The same for the training of a task: steps and reports are not in it.
flt_err flt_fingerprint_fit(const flt_fit_config *c, const flt_weights *w, char **out);
// FLTE_USAGE naming the first line in which the two differ; `who` is the file that holds `there`.
flt_err flt_fingerprint_match(const char *who, const char *there, const char *here);

#endif
