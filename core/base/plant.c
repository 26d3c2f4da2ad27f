// SPDX-License-Identifier: MIT
#include "flt/plant.h"

#ifdef FLTX_PLANTED
flt_bug flt_planted = FLTX_BUG_NONE;
#endif
