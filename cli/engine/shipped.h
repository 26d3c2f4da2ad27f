// SPDX-License-Identifier: MIT
// The weights that come with the program.
#ifndef FLTX_CLI_SHIPPED_H
#define FLTX_CLI_SHIPPED_H

// Where a file of weights lies: that of the shipped flt optimizer for "shipped", beside an installed program or in the sources
// that it was built from; any other text as it is (./shipped is a file of that name). The first place where none is there. NULL
// stays NULL. Lives as long as `file`, or the program.
const char *flt_shipped_weights(const char *file);

#endif
