// SPDX-License-Identifier: MIT
// What the verbs that read and write tensor files share.
#ifndef FLTX_CLI_TENSORS_H
#define FLTX_CLI_TENSORS_H

#include "flt/tensorfile.h"

// The tensor of this name; FLTE_FORMAT naming file and tensor when it is missing, FLTE_NUMERIC when it holds a NaN or infinity.
flt_err flt_need_tensor(const char *who, const char *path, const flt_tensors *in, const char *name, const flt_tensor **out);

// A copy in the working precision; freed with flt_free.
flt_err flt_copy_real(const flt_tensor *t, flt_real **out);

#endif
