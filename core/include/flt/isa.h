// SPDX-License-Identifier: MIT
// Run-time choice of vector instructions: a kernel file is compiled once per instruction set and exports one table of functions,
// named by FLTX_ISA_TABLE; FLTX_ISA_PICK chooses the table for this machine (or the one that FLT_ISA in the environment forces).
//
//   in the kernel file (compiled by flt_isa_kernels() of the build):  const step_kernels FLTX_ISA_TABLE(step_kernels) = {..};
//   in the caller:                                                     FLTX_ISA_DECLARE(step_kernels);
//                                                                      const step_kernels *k = FLTX_ISA_PICK(step_kernels);
#ifndef FLTX_ISA_H
#define FLTX_ISA_H

#include "flt/real.h"

FLTX_BEGIN_DECLS

typedef enum flt_isa { FLTX_ISA_PORTABLE, FLTX_ISA_AVX2, FLTX_ISA_AVX512 } flt_isa;

// The set in use: the best this machine has, or what FLT_ISA=portable|avx2|avx512 asks for where the machine has it.
flt_isa flt_isa_current(void);

// False when FLT_ISA is set to something that is none of the three names: programs refuse that, libraries take the best set.
bool flt_isa_known(void);

#define FLTX_ISA_PASTE2(base, isa) base##_##isa
#define FLTX_ISA_PASTE(base, isa)  FLTX_ISA_PASTE2(base, isa)
#define FLTX_ISA_TABLE(base)       FLTX_ISA_PASTE(base, FLTX_ISA)

#if defined(FLTX_HAVE_X86_KERNELS)
#define FLTX_ISA_DECLARE(base) extern const base base##_portable, base##_avx2, base##_avx512
#define FLTX_ISA_PICK(base)                                                                                                      \
    (flt_isa_current() == FLTX_ISA_AVX512 ? &base##_avx512 : flt_isa_current() == FLTX_ISA_AVX2 ? &base##_avx2 : &base##_portable)
#else
#define FLTX_ISA_DECLARE(base) extern const base base##_portable
#define FLTX_ISA_PICK(base)    (&base##_portable)
#endif

FLTX_END_DECLS

#endif
