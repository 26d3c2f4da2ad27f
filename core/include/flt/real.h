// SPDX-License-Identifier: MIT
// The working precision and the few constants that everything shares.
#ifndef FLTX_REAL_H
#define FLTX_REAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Around the declarations of every header that is installed: C++ programs link with C functions.
#ifdef __cplusplus
#define FLTX_BEGIN_DECLS extern "C" {
#define FLTX_END_DECLS   }
#else
#define FLTX_BEGIN_DECLS
#define FLTX_END_DECLS
#endif

#ifdef FLTX_DOUBLE
typedef double flt_real;
#define FLTX_EPS       2.2204460492503131e-16
#define FLTX_REAL_NAME "double"
#else
typedef float flt_real;
#define FLTX_EPS       1.1920928955078125e-07
#define FLTX_REAL_NAME "float"
#endif

#define FLTX_VERSION "0.1.0"
#define FLTX_TWO_PI  6.283185307179586476925286766559
enum { FLTX_MAX_RANK = 8 };

#endif
