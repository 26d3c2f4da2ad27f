// SPDX-License-Identifier: MIT
// Printing of `flt verify --fidelity`.
#ifndef FLTX_CLI_FIDELITY_H
#define FLTX_CLI_FIDELITY_H

#include "engine/session.h"
#include "flt/fidelity.h"

// Runs the table and prints each group as it is done; with json, one array at the end.
flt_err flt_fidelity_print(const flt_fidelity_config *c, const flt_common *common, flt_session *s);

#endif
