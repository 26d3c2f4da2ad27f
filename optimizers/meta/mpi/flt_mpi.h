// SPDX-License-Identifier: MIT
// Ranks through MPI. The calls of MPI are in this folder and nowhere else; a build without MPI has the same functions.
#ifndef FLTX_MPI_H
#define FLTX_MPI_H

#include "flt/ranks.h"

// "Open MPI 4.1.4", "MPICH 4.0.2", "none" in a build without MPI.
const char *flt_mpi_library(void);
// Joins the job when a launcher (mpirun, srun) started this process, or $FLT_MPI is 1; otherwise *out is NULL, the process is
// alone, and MPI is never started. Errors: FLTE_USAGE: a launcher started several processes of a program that was built without
// MPI, or with another one; FLTE_IO.
flt_err flt_mpi_begin(int *argc, char ***argv, flt_ranks **out);
// Leaves the job; NULL is fine. Where a rank is gone it ends the whole job with `status` instead, and does not return.
void flt_mpi_end(flt_ranks *r, int status);

#endif
