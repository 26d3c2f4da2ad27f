// SPDX-License-Identifier: MIT
// The step of the lstm optimizer as a graph.
#ifndef FLTX_LSTM_GRAPH_H
#define FLTX_LSTM_GRAPH_H

#include "engine/graph_step.h"

flt_err flt_lstm_graph(const flt_params *p, flt_graph_step *s);

#endif
