// SPDX-License-Identifier: MIT
// Metrics of an outer step.
#ifndef FLTX_REPORT_H
#define FLTX_REPORT_H

#include "outer.h"

// Everything that flt/meta.h lists, of the step that has just ended and took `seconds`. Errors: those of the sink.
flt_err flt_report_step(const flt_outer *o, const flt_sink *sink, double seconds);

#endif
