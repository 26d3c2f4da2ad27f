// SPDX-License-Identifier: MIT
// Meta-parameters that training leaves alone.
#ifndef FLTX_FROZEN_H
#define FLTX_FROZEN_H

#include "flt/meta.h"

// *out [layout->total]: the tensor's name matches one of c->freeze; NULL when there are none. Freed with flt_free.
// Errors: FLTE_NAME (a pattern that matches nothing, with the names there are), FLTE_RANGE (all are frozen), FLTE_NOMEM.
flt_err flt_frozen_make(const flt_meta_config *c, const flt_layout *layout, bool **out);

#endif
