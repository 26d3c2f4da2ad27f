// SPDX-License-Identifier: MIT
// What one op of the computation graph is; private to core/graph.
#ifndef FLTX_OP_H
#define FLTX_OP_H

#include "flt/graph.h"

typedef struct flt_op_kind {
    flt_kind kind;
} flt_op_kind;

flt_err flt_op_find(const char *name, const flt_op_kind **out);

#endif
