// SPDX-License-Identifier: MIT
// flt results plot [RUN]: figures through gnuplot, as PNG, SVG or on the terminal. The script and its data go to gnuplot's
// standard input; names of runs and metrics reach it only inside quotes.
#include "results/sub.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct argp_option options[] = {
    {"figure", FLTX_SUB_TABLE, "NAME", 0, "curves (default), error-m, error-r, time, bench-time, fidelity, profile", 1},
    {"metric", FLTX_SUB_METRIC, "NAME", 0,
     "curves: this metric instead of every loss; profile: by this one, or of @SET; fidelity: on this encoding", 1},
    {"output", FLTX_SUB_OUTPUT, "FILE", 0, "FILE.png or FILE.svg (default: draw on the terminal)", 1},
    {0},
};

typedef enum device { TERMINAL, PNG, SVG } device;

static flt_err choose_device(const char *output, device *out) {
    const char *dot = output == NULL ? NULL : strrchr(output, '.');
    *out = output == NULL ? TERMINAL : dot != NULL && strcmp(dot, ".png") == 0 ? PNG : SVG;
    if (*out == SVG && (dot == NULL || strcmp(dot, ".svg") != 0))
        return flt_fail(FLTE_USAGE, "plot", "--output '%s': its name ends with .png or .svg", output);
    return FLTE_OK;
}

// In single quotes gnuplot takes everything literally, two quotes as one.
static void quoted(FILE *to, const char *text) {
    fputc('\'', to);
    for (; *text != 0; text++)
        if ((unsigned char)*text >= 0x20) fprintf(to, *text == '\'' ? "''" : "%c", *text);
    fputc('\'', to);
}

static void write_data(FILE *to, const flt_figure *f) {
    for (size_t i = 0; i < f->n_series; i++) {
        fprintf(to, "$d%zu << EOD\n", i);
        for (size_t k = 0; k < f->series[i].n; k++) {
            const flt_figure_point *p = &f->series[i].points[k];
            fprintf(to, "%.9g %.9g %.9g %.9g\n", p->x, p->y, p->low, p->high);
        }
        fprintf(to, "EOD\n");
    }
}

static void write_script(FILE *to, const flt_figure *f, device d, const char *output) {
    static const char *const terminals[] = {"dumb size 100,30", "pngcairo size 1000,650 noenhanced",
                                            "svg size 1000,650 noenhanced"};
    write_data(to, f);
    fprintf(to, "set terminal %s\n", terminals[d]);
    if (output != NULL) fprintf(to, "set output "), quoted(to, output), fputc('\n', to);
    fprintf(to, "set title "), quoted(to, f->title);
    fprintf(to, "\nset xlabel "), quoted(to, f->x);
    fprintf(to, "\nset ylabel "), quoted(to, f->y);
    fprintf(to, "\nset key below noenhanced\nset grid\n%s%splot ", f->log_x ? "set logscale x\n" : "",
            f->log_y ? "set logscale y\n" : "");
    for (size_t i = 0; i < f->n_series; i++) {
        char label[200];
        const flt_figure_series *s = &f->series[i];
        snprintf(label, sizeof label, "%s%s%s%s", s->name, s->remark[0] != 0 ? " (" : "", s->remark,
                 s->remark[0] != 0 ? ")" : "");
        if (d != TERMINAL && !f->points)
            fprintf(to, "$d%zu using 1:3:4 with filledcurves fillstyle transparent solid 0.15 noborder linecolor %zu notitle, ",
                    i, i + 1);
        fprintf(to, "$d%zu using 1:2 with %s linecolor %zu title ", i,
                f->points  ? "points"
                : f->plain ? "lines"
                           : "linespoints",
                i + 1);
        quoted(to, label);
        fputs(i + 1 < f->n_series ? ", " : "\n", to);
    }
}

static flt_err start(pid_t *child, FILE **to) {
    int ends[2], note[2];
    char failed = 0;
    if (pipe2(ends, O_CLOEXEC) != 0) return flt_fail(FLTE_IO, "plot", "no pipe: %s", strerror(errno));
    if (pipe2(note, O_CLOEXEC) != 0) return flt_fail(FLTE_IO, "plot", "no pipe: %s", strerror(errno));
    fflush(NULL);
    *child = fork();
    if (*child == 0) {
        dup2(ends[0], STDIN_FILENO);
        signal(SIGPIPE, SIG_DFL);
        execlp("gnuplot", "gnuplot", "-", (char *)NULL);
        (void)!write(note[1], "x", 1);
        _exit(127);
    }
    close(ends[0]);
    close(note[1]);
    const bool missing = *child < 0 || read(note[0], &failed, 1) == 1;
    close(note[0]);
    *to = missing ? NULL : fdopen(ends[1], "w");
    if (*to != NULL) return FLTE_OK;
    close(ends[1]);
    if (*child > 0) waitpid(*child, NULL, 0);
    return flt_fail(
        FLTE_UNSUPPORTED, "plot",
        "gnuplot is not installed (Debian: apt install gnuplot-nox); `flt results report -o report.html` draws without it");
}

static flt_err draw(const flt_figure *f, device d, const char *output) {
    pid_t child = 0;
    FILE *to = NULL;
    int status = 0;
    FLTX_TRY(start(&child, &to));
    write_script(to, f, d, output);
    const bool written = fclose(to) == 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (written && WIFEXITED(status) && WEXITSTATUS(status) == 0) return FLTE_OK;
    return flt_fail(FLTE_IO, "plot", "gnuplot ended with status %d", WIFEXITED(status) ? WEXITSTATUS(status) : 128);
}

// Who records what a figure shows.
static const char *source(const char *figure) {
    if (strcmp(figure, "curves") == 0) return "`flt train`, `flt fit` and `flt eval` record curves";
    if (strcmp(figure, "profile") == 0) return "`flt eval` records speed-ups";
    if (strcmp(figure, "bench-time") == 0) return "`flt bench attention` records times";
    if (strcmp(figure, "fidelity") == 0) return "`flt verify --fidelity` records errors and times";
    return "`flt verify` records errors and times";
}

static flt_err nothing(const char *figure, const char *metric) {
    if (metric != NULL)
        return flt_fail(FLTE_USAGE, "plot", "there is nothing to draw of '%s' in figure '%s'; %s", metric, figure,
                        source(figure));
    return flt_fail(FLTE_USAGE, "plot", "there is nothing to draw in figure '%s' yet; %s", figure, source(figure));
}

static flt_err run(const flt_sub_input *in, flt_store *store) {
    long long number = 0;
    device d = TERMINAL;
    flt_figure *f = NULL;
    const char *name = in->table == NULL ? "curves" : in->table;
    FLTX_TRY(choose_device(in->output, &d));
    if (in->n_words > 0) FLTX_TRY(flt_store_run_of(store, "plot", in->words[0], &number));
    FLTX_TRY(flt_figure_create(store, name, number, in->metric, &f));
    flt_err err = f->n_series > 0 ? draw(f, d, in->output) : nothing(name, in->metric);
    if (f->left_out && !in->common.quiet && err == FLTE_OK)
        fprintf(stderr, "only the first %d series are drawn; name a run\n", FLTX_FIGURE_SERIES);
    flt_figure_destroy(f);
    return err;
}

const flt_sub flt_sub_plot = {.name = "plot",
                              .arguments = "[RUN]",
                              .summary = "Draws figures through gnuplot: PNG, SVG or on the terminal",
                              .example = "flt results plot                               losses of the latest run\n"
                                         "  flt results plot 3 --metric meta_loss -o loss.png\n"
                                         "  flt results plot --figure error-m -o error.svg\n"
                                         "  flt results plot --figure profile              performance profile of optimizers",
                              .options = options,
                              .max_words = 1,
                              .run = run};
