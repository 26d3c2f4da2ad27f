// SPDX-License-Identifier: MIT
// Options of meta-training: a child parser whose input is a flt_meta_config *, and what of it a run records.
#ifndef FLTX_META_OPTIONS_H
#define FLTX_META_OPTIONS_H

#include "engine/session.h"
#include "flt/meta.h"

#include <argp.h>

extern const struct argp flt_meta_argp;

void flt_meta_describe(const flt_meta_config *c, flt_session *s);

#endif
