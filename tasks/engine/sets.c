// SPDX-License-Identifier: MIT
// The sets of tasks on which optimizers are compared. Plain data: a line is a task and the steps of a run on it.
//
// train is what optimizers are meta-trained on, from seeds that meta-training never uses; checkpoints are chosen on valid; no
// task of the others is used for either. The horizon of meta-training is its longest episode: long runs 5 and 25 times as many
// steps, wide takes 8 and 32 times the usual width of 32. Small versions of large models keep every set within minutes.
#include "flt/tasks.h"

#include <string.h>

enum { HORIZON = 1000, SHORT = HORIZON / 2 };

static const flt_task_of_set train[] = {
    {"digits_mlp", SHORT},
    {"digits_mlp:width=16", SHORT},
    {"digits_mlp:width=64", SHORT},
    {"digits_mlp:depth=2", SHORT},
    {"digits_mlp:width=16,activation=tanh,batch=32", SHORT},
    {"glyphs", SHORT},
    {"glyphs:width=16,classes=10", SHORT},
    {"softmax_regression", SHORT},
    {"digits_mlp:depth=2,norm=true", SHORT},
    {"teacher_student", SHORT},
    {"matrix_factorisation", SHORT},
    {"noisy_linear_regression", SHORT},
    {0},
};

static const flt_task_of_set valid[] = {
    {"digits_mlp:width=24", SHORT},
    {"digits_mlp:width=48,activation=silu", SHORT},
    {"digits_mlp:width=24,depth=2,batch=48", SHORT},
    {"digits_mlp:width=40", 2 * HORIZON},
    {"glyphs:width=24,classes=20", SHORT},
    {"softmax_regression:batch=32", SHORT},
    {"teacher_student:width=16", SHORT},
    {0},
};

static const flt_task_of_set near[] = {
    {"digits_mlp:width=8", SHORT},
    {"digits_mlp:width=128", SHORT},
    {"digits_mlp:depth=3", SHORT},
    {"digits_mlp:depth=4,norm=true", SHORT},
    {"digits_mlp:batch=8", SHORT},
    {"digits_mlp:batch=256", SHORT},
    {"digits_mlp:activation=gelu,batch=32", SHORT},
    {"digits_mlp:activation=sigmoid", SHORT},
    {"digits_mlp:augment=false", SHORT},
    {"glyphs:depth=2,norm=true", SHORT},
    {"glyphs:size=12,width=64", SHORT},
    {0},
};

static const flt_task_of_set far[] = {
    {"digits_conv:channels=8", SHORT},
    {"digits_autoencoder", SHORT},
    {"digits_vit:width=16,depth=1,m=16,batch=16", SHORT},
    {"bytes_rnn:batch=8", SHORT},
    {"bytes_transformer:width=16,depth=1,m=16,length=16,batch=8", SHORT},
    {"molecules:width=16,depth=1,m=16,batch=4", SHORT},
    {"quadratic", SHORT},
    {"dependency_chain", SHORT},
    {"outward_snake", SHORT},
    {"logsumexp", SHORT},
    {"rosenbrock", SHORT},
    {"beale", SHORT},
    {"ackley", SHORT},
    {"rastrigin", SHORT},
    {"styblinski_tang", SHORT},
    {0},
};

static const flt_task_of_set longer[] = {
    {"digits_mlp", 5 * HORIZON}, {"digits_mlp:depth=2", 5 * HORIZON},
    {"glyphs", 5 * HORIZON},     {"digits_mlp", 25 * HORIZON},
    {"glyphs", 25 * HORIZON},    {0},
};

static const flt_task_of_set wide[] = {
    {"digits_mlp:width=256", SHORT},  {"digits_mlp:width=256,depth=2", SHORT},
    {"digits_mlp:width=1024", SHORT}, {"glyphs:width=256", SHORT},
    {"glyphs:width=1024", SHORT},     {0},
};

const flt_task_set flt_task_sets[] = {
    {"train", "the kind of task that optimizers are meta-trained on, seeds that they never saw", train},
    {"valid", "for choosing among checkpoints and settings; nothing else is judged on it", valid},
    {"near", "other widths, depths, batches, activations; layer norm", near},
    {"far", "convolution, autoencoder, recurrent and attention models, molecules, test functions", far},
    {"long", "5 and 25 times the horizon of meta-training", longer},
    {"wide", "8 and 32 times the width", wide},
    {0},
};

flt_err flt_task_set_find(const char *name, const flt_task_set **out) {
    FLTX_GIVEN(name, out);
    const char *names[sizeof flt_task_sets / sizeof *flt_task_sets] = {NULL};
    for (size_t i = 0; flt_task_sets[i].name != NULL; i++) {
        names[i] = flt_task_sets[i].name;
        if (strcmp(name, names[i]) != 0) continue;
        *out = &flt_task_sets[i];
        return FLTE_OK;
    }
    const char *nearest = flt_nearest(name, names);
    return flt_fail(FLTE_NAME, "task set", "'@%s' is unknown%s%s%s valid sets: @train, @valid, @near, @far, @long, @wide", name,
                    nearest == NULL ? "" : "; did you mean '@", nearest == NULL ? "" : nearest, nearest == NULL ? ";" : "'?");
}
