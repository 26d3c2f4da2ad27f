// SPDX-License-Identifier: MIT
// Ranks through MPI: every collective call is begun, then waited for with an eye on the ranks of this machine. A rank whose
// process is gone would be waited for without end; here it ends the wait with its name. Ranks of other machines are watched by
// the launcher, which ends the job when one dies.
//
// Waiting: at first without rest, for exchanges take microseconds; then yielding, for ranks may share a core; then in naps.
#include "flt/memory.h"
#include "meta/mpi/flt_mpi.h"
#include "meta/mpi/launcher.h"

#include <errno.h>
#include <mpi.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char who[] = "MPI";
enum { HOST = 64 };
static const double spin_seconds = 20e-6, yield_seconds = 2e-3, look_seconds = 0.1;

typedef struct place { // of a rank
    long pid;
    int32_t watched; // its process was seen from here at the start
    char host[HOST];
} place;

typedef struct world {
    MPI_Comm comm;
    place *place;            // [count]
    int *counts, *displaced; // [count], of the call in progress
    flt_ranks ranks;
    flt_ranks_state state;
} world;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

// ---- ranks that are gone
// A process that ended and was not yet collected counts as gone.
static bool gone(long pid) {
    char path[64], line[512] = "";
    if (kill((pid_t)pid, 0) != 0) return errno == ESRCH;
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    FILE *f = fopen(path, "r");
    if (f == NULL) return false;
    const size_t n = fread(line, 1, sizeof line - 1, f);
    fclose(f);
    line[n] = '\0';
    const char *state = strrchr(line, ')'); // the name before it may hold anything
    return state != NULL && state[1] == ' ' && (state[2] == 'Z' || state[2] == 'X');
}

// The lowest rank left on this machine tells the user.
static flt_err lost(world *s, int rank) {
    s->state.broken = true;
    s->state.speaker = true;
    for (int k = 0; k < s->ranks.me; k++)
        if (s->place[k].watched && !gone(s->place[k].pid)) s->state.speaker = false;
    return flt_fail(FLTE_IO, who, "rank %d of %d (process %ld on %s) died", rank, s->ranks.count, s->place[rank].pid,
                    s->place[rank].host);
}

static flt_err look(world *s) {
    for (int k = 0; k < s->ranks.count; k++)
        if (s->place[k].watched && gone(s->place[k].pid)) return lost(s, k);
    return FLTE_OK;
}

static flt_err broken(world *s, int code) {
    char text[MPI_MAX_ERROR_STRING] = "";
    int n = 0;
    s->state.broken = s->state.speaker = true;
    MPI_Error_string(code, text, &n);
    return flt_fail(FLTE_IO, who, "rank %d lost the others: %s", s->ranks.me, text);
}

// ---- waiting
static void rest(double waited) {
    if (waited < spin_seconds) return;
    if (waited < yield_seconds)
        sched_yield();
    else
        nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
}

static flt_err wait_for(world *s, int begun, MPI_Request *request) {
    const double start = now();
    double next_look = start + look_seconds;
    if (begun != MPI_SUCCESS) return broken(s, begun);
    for (;;) {
        int done = 0;
        const int code = MPI_Test(request, &done, MPI_STATUS_IGNORE);
        if (code != MPI_SUCCESS) return broken(s, code);
        const double at = now();
        if (done) {
            s->state.waiting += at - start;
            return FLTE_OK;
        }
        if (at >= next_look) {
            FLTX_TRY(look(s));
            next_look = at + look_seconds;
        }
        rest(at - start);
    }
}

// ---- the collective calls
static flt_err ready(world *s, const size_t *offset, size_t unit) {
    if (s->state.broken) return flt_fail(FLTE_IO, who, "a rank is gone");
    s->state.calls++;
    for (int k = 0; k < s->ranks.count; k++) {
        if (offset[k + 1] > INT32_MAX)
            return flt_fail(FLTE_RANGE, who, "%zu items in one call; allowed: %d", offset[k + 1], INT32_MAX);
        s->displaced[k] = (int)offset[k];
        s->counts[k] = (int)(offset[k + 1] - offset[k]);
    }
    s->state.bytes += (offset[s->ranks.count] - (size_t)s->counts[s->ranks.me]) * unit;
    return FLTE_OK;
}

// Each byte comes from one rank, and is 0 on all others: a sum of bits is what each of them said, and takes log2(ranks) rounds.
// The non-blocking gathers of today's libraries send from everyone to everyone.
static flt_err exchange(void *self, void *table, const size_t *offset) {
    world *s = self;
    const int me = s->ranks.me;
    unsigned char *bytes = table;
    const size_t end = offset[s->ranks.count];
    MPI_Request request;
    FLTX_TRY(ready(s, offset, 1));
    memset(bytes, 0, offset[me]);
    memset(bytes + offset[me + 1], 0, end - offset[me + 1]);
    const int begun = MPI_Iallreduce(MPI_IN_PLACE, bytes, (int)end, MPI_BYTE, MPI_BOR, s->comm, &request);
    return wait_for(s, begun, &request);
}

// Rows are a type of their own: counts of bytes would not fit into int.
static flt_err move_rows(world *s, bool in, size_t row_bytes, const size_t *offset, void *own, void *all) {
    const int me = s->ranks.me;
    MPI_Request request;
    MPI_Datatype row;
    FLTX_TRY(ready(s, offset, 0));
    if (row_bytes > INT32_MAX) return flt_fail(FLTE_RANGE, who, "a row of %zu bytes; allowed: %d", row_bytes, INT32_MAX);
    MPI_Type_contiguous((int)row_bytes, MPI_BYTE, &row);
    MPI_Type_commit(&row);
    const int begun = in ? MPI_Igatherv(own, s->counts[me], row, all, s->counts, s->displaced, row, 0, s->comm, &request)
                         : MPI_Iscatterv(all, s->counts, s->displaced, row, own, s->counts[me], row, 0, s->comm, &request);
    const flt_err err = wait_for(s, begun, &request);
    const size_t here = (size_t)s->counts[me], total = offset[s->ranks.count];
    if (in && me == 0) s->state.bytes += (total - here) * row_bytes;
    if (!in && me != 0) s->state.bytes += here * row_bytes;
    MPI_Type_free(&row);
    return err;
}

static flt_err gather(void *self, size_t row_bytes, const size_t *offset, const void *own, void *all) {
    void *from = NULL;
    memcpy(&from, &own, sizeof from); // only read
    return move_rows(self, true, row_bytes, offset, from, all);
}

static flt_err scatter(void *self, size_t row_bytes, const size_t *offset, const void *all, void *own) {
    void *from = NULL;
    memcpy(&from, &all, sizeof from); // only read
    return move_rows(self, false, row_bytes, offset, own, from);
}

static flt_err broadcast(void *self, int from, void *data, size_t bytes) {
    world *s = self;
    if (s->state.broken) return flt_fail(FLTE_IO, who, "a rank is gone");
    s->state.calls++;
    if (s->ranks.me != from) s->state.bytes += bytes;
    for (size_t at = 0; at < bytes;) {
        const size_t n = bytes - at < INT32_MAX ? bytes - at : INT32_MAX;
        MPI_Request request;
        FLTX_TRY(wait_for(s, MPI_Ibcast((char *)data + at, (int)n, MPI_BYTE, from, s->comm, &request), &request));
        at += n;
    }
    return FLTE_OK;
}

// ---- joining and leaving
const char *flt_mpi_library(void) {
    static char text[64];
    char version[MPI_MAX_LIBRARY_VERSION_STRING] = "";
    int n = 0, i = 0;
    MPI_Get_library_version(version, &n); // allowed before MPI_Init
    if (strncmp(version, "Open MPI v", 10) == 0) {
        snprintf(text, sizeof text, "Open MPI %.*s", (int)strcspn(version + 10, ", \n"), version + 10);
        return text;
    }
    for (const char *c = version; *c != '\0' && *c != '\n' && i < (int)sizeof text - 1; c++) // "MPICH Version:\t4.0.2"
        if (*c != ':') text[i++] = *c == '\t' ? ' ' : *c;
    text[i] = '\0';
    return text;
}

static bool asked(void) {
    static const char *const names[] = {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK", "PMI_FD", "PMI_PORT",
                                        "MV2_COMM_WORLD_RANK"};
    const char *own = getenv("FLT_MPI");
    if (own != NULL && own[0] != '\0') return strcmp(own, "1") == 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (getenv(names[i]) != NULL) return true;
    return false;
}

static world *joined; // left behind by exit() in the middle of the command line: every rank reads the same one

static void leave(void) {
    if (joined == NULL) return;
    world *s = joined;
    joined = NULL;
    MPI_Comm_free(&s->comm);
    MPI_Finalize();
    flt_free(s->place);
    flt_free(s->counts);
    flt_free(s->displaced);
    flt_free(s);
}

// Everyone's process and host. A process that cannot be seen from here (another machine, another container) is not watched.
static flt_err introduce(world *s) {
    place mine = {.pid = (long)getpid()};
    if (gethostname(mine.host, sizeof mine.host - 1) != 0) snprintf(mine.host, sizeof mine.host, "unknown");
    if (MPI_Allgather(&mine, sizeof mine, MPI_BYTE, s->place, sizeof mine, MPI_BYTE, s->comm) != MPI_SUCCESS)
        return flt_fail(FLTE_IO, who, "the ranks cannot reach each other");
    for (int k = 0; k < s->ranks.count; k++) {
        place *p = &s->place[k];
        const bool same = strcmp(p->host, mine.host) == 0;
        s->ranks.here += same;
        p->watched = same && k != s->ranks.me && !gone(p->pid);
    }
    MPI_Barrier(s->comm); // nobody ends before everyone has looked
    return FLTE_OK;
}

static flt_err join(world *s) {
    MPI_Comm_dup(MPI_COMM_WORLD, &s->comm);
    MPI_Comm_set_errhandler(s->comm, MPI_ERRORS_RETURN);
    MPI_Comm_rank(s->comm, &s->ranks.me);
    MPI_Comm_size(s->comm, &s->ranks.count);
    const long promised = flt_launcher_ranks();
    if (promised > 1 && s->ranks.count == 1)
        return flt_fail(
            FLTE_USAGE, who,
            "the launcher started %ld processes, but %s does not see the others; start flt with the mpirun of that library",
            promised, flt_mpi_library());
    const size_t count = (size_t)s->ranks.count;
    FLTX_TRY(flt_alloc(count, sizeof *s->place, &s->place));
    FLTX_TRY(flt_alloc(count, sizeof *s->counts, &s->counts));
    FLTX_TRY(flt_alloc(count, sizeof *s->displaced, &s->displaced));
    return introduce(s);
}

flt_err flt_mpi_begin(int *argc, char ***argv, flt_ranks **out) {
    world *s = NULL;
    int provided = 0;
    *out = NULL;
    if (!asked()) return FLTE_OK;
    FLTX_TRY(flt_alloc(1, sizeof *s, &s));
    if (MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS) {
        flt_free(s);
        return flt_fail(FLTE_IO, who, "%s cannot start", flt_mpi_library());
    }
    joined = s;
    atexit(leave);
    FLTX_TRY(join(s));
    s->ranks.self = s;
    s->ranks.state = &s->state;
    s->ranks.exchange = exchange;
    s->ranks.gather = gather;
    s->ranks.scatter = scatter;
    s->ranks.broadcast = broadcast;
    *out = &s->ranks;
    return FLTE_OK;
}

void flt_mpi_end(flt_ranks *r, int status) {
    if (r == NULL) return;
    fflush(NULL);
    if (r->state->broken) MPI_Abort(MPI_COMM_WORLD, status);
    leave();
}
