// SPDX-License-Identifier: MIT
// The ranks that this process is one of, when a launcher (mpirun, srun) started several.
#ifndef FLTX_CLI_RANKS_H
#define FLTX_CLI_RANKS_H

#include "flt/ranks.h"

// Joins the job, once, at the start of the program. Ranks other than 0 are silent from then on: all they have to say reaches the
// user through rank 0.
flt_err flt_program_join(int *argc, char ***argv);
void flt_program_alone(void);       // for what rank 0 does while the others wait at the end
void flt_program_leave(int status); // does not return where a rank is gone

const flt_ranks *flt_program_ranks(void); // NULL: alone
bool flt_program_first(void);             // rank 0, or alone
// Threads of this process unless the user says otherwise: the cores, shared among the ranks of this machine.
int flt_program_threads(void);
const char *flt_program_launcher(void); // "Open MPI 4.1.4"; "none" in a build without MPI
// FLTE_USAGE unless all ranks are the same program with the same kernels, on all ranks.
flt_err flt_program_alike(void);

#endif
