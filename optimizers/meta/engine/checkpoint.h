// SPDX-License-Identifier: MIT
// Checkpoints of meta-training: one safetensors file with theta, Adam's moments, schedules, sums of perturbations and all inner
// problems; counters, the configuration and a checksum in the metadata. Perturbations are not stored: they are regenerated.
#ifndef FLTX_CHECKPOINT_H
#define FLTX_CHECKPOINT_H

#include "outer.h"

// Replaces the file at once or not at all. Errors: FLTE_IO, FLTE_NOMEM.
flt_err flt_checkpoint_save(flt_outer *o, const char *path);
// Errors: FLTE_IO; FLTE_FORMAT (damaged, or no checkpoint); FLTE_USAGE (of another configuration, naming the first difference).
// On failure `o` is as it was.
flt_err flt_checkpoint_load(flt_outer *o, const char *path);

#endif
