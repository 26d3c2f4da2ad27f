# SPDX-License-Identifier: MIT
"""libflt.so as its headers declare it, and the store."""
import ctypes as c
import math
import os
import sys

import torch

HEADS, WIDTH = 8, 64


class Kind(c.Structure):
    _fields_ = [(n, c.c_char_p) for n in ("name", "summary", "formula", "cost", "citation")] + [("caps", c.c_uint),
                                                                                                ("params", c.c_void_p)]


class Arg(c.Structure):
    _fields_ = [("name", c.c_char_p), ("rank", c.c_size_t), ("dim", c.c_size_t * 8), ("data", c.POINTER(c.c_double))]


class Desc(c.Structure):
    _fields_ = [("mechanism", c.c_char_p), ("B", c.c_size_t), ("H", c.c_size_t), ("N", c.c_size_t), ("d", c.c_size_t),
                ("dv", c.c_size_t), ("causal", c.c_bool), ("n_args", c.c_size_t), ("args", c.POINTER(Arg)),
                ("params", c.c_void_p), ("seed", c.c_uint64), ("threads", c.c_int), ("backward", c.c_bool)]


class Pass(c.Structure):
    _fields_ = [(n, c.c_void_p) for n in ("q", "k", "v", "out", "dout", "dq", "dk", "dv")] + [("n_args", c.c_size_t),
                                                                                              ("args", c.c_void_p)]


class Tensor(c.Structure):
    _fields_ = [("name", c.c_char * 64), ("rank", c.c_size_t), ("dim", c.c_size_t * 8), ("offset", c.c_size_t),
                ("count", c.c_size_t)]


class Layout(c.Structure):
    _fields_ = [("n", c.c_size_t), ("total", c.c_size_t), ("tensor", c.POINTER(Tensor))]

    def tensors(self):
        """name -> (shape, offset, count)"""
        found = (self.tensor[i] for i in range(self.n))
        return {t.name.decode(): (list(t.dim[:t.rank]), t.offset, t.count) for t in found}


class Weights(c.Structure):
    _fields_ = [("kind", c.c_void_p), ("params", c.c_void_p), ("layout", Layout), ("theta", c.POINTER(c.c_float))]


class Batch(c.Structure):
    _fields_ = [("seed", c.c_uint64), ("split", c.c_int), ("step", c.c_uint64)]


class Objective(c.Structure):
    _fields_ = [("self", c.c_void_p), ("spec", c.c_char * 256), ("layout", Layout), ("clip_loss", c.c_double),
                ("normaliser", c.c_double), ("has_minimum", c.c_bool), ("minimum", c.c_double), ("metric", c.c_char_p),
                ("baseline_name", c.c_char_p), ("baseline", c.c_double),
                ("init", c.CFUNCTYPE(None, c.c_void_p, c.c_uint64, c.c_void_p)),
                ("gradient", c.CFUNCTYPE(c.c_float, c.c_void_p, Batch, c.c_void_p, c.c_void_p))]


class Field(c.Structure):
    _fields_ = [("name", c.c_char_p), ("is_text", c.c_bool), ("number", c.c_double), ("text", c.c_char_p)]


class RunInfo(c.Structure):
    _fields_ = [("kind", c.c_char_p), ("argc", c.c_int), ("argv", c.POINTER(c.c_char_p)), ("seed", c.c_uint64),
                ("threads", c.c_int), ("registry_hash", c.c_uint64), ("blas", c.c_char_p), ("fftw", c.c_char_p),
                ("isa", c.c_char_p), ("precision", c.c_char_p)]


def pointer(x):
    return c.c_void_p(x.data_ptr())


class Plan:
    """An attention plan; call it to run forward."""

    def __init__(self, library, mechanism, n, causal, threads, heads=HEADS, args=(), backward=False, **values):
        array = (Arg * max(1, len(args)))()
        for slot, (name, data) in zip(array, args):
            slot.name, slot.rank, slot.data = name.encode(), data.dim(), c.cast(data.data_ptr(), c.POINTER(c.c_double))
            slot.dim[:data.dim()] = data.shape
        bag = library.params(library.kind("attention", mechanism), **values)
        desc = Desc(mechanism.encode(), 1, heads, n, WIDTH, WIDTH, causal, len(args), array, bag, 0, threads, backward)
        self.library, self.lib, self.plan = library, library.lib, c.c_void_p()
        library.call("flt_attention_create", c.byref(desc), c.byref(self.plan))
        self.lib.flt_params_destroy(bag)

    def __del__(self):
        self.lib.flt_attention_destroy(self.plan)

    def forward(self, q, k, v, out):
        tensors = q, k, v, out  # pointers keep nothing alive

        def run():
            self.lib.flt_attention_forward(self.plan, *map(pointer, tensors))
        return run

    def backward(self, q, k, v, out, dout, grads):
        tensors = q, k, v, out, dout, *grads

        def run():
            self.library.call("flt_attention_backward", self.plan, c.byref(Pass(*(x.data_ptr() for x in tensors), 0, None)))
        return run

    def stream(self, q, k, v, out):
        """Runs the tokens of [N, H, d] arrays one by one; the function returned does it once."""
        step, rows = self.lib.flt_attention_step, [[x[t] for x in (q, k, v, out)] for t in range(len(q))]
        tokens = [(self.plan, *map(pointer, row)) for row in rows]

        def run():
            self.library.call("flt_attention_begin", self.plan)
            for arguments in tokens if rows else ():
                step(*arguments)
        return run

    def workspace(self):
        return self.lib.flt_attention_workspace(self.plan)

    def draws(self):
        """What the plan drew, in double, by name."""
        array, found = (Arg * 16)(), {}
        for arg in array[:self.lib.flt_attention_draws(self.plan, c.c_size_t(16), array)]:
            shape = list(arg.dim[:arg.rank])
            found[arg.name.decode()] = torch.tensor(arg.data[:math.prod(shape)], dtype=torch.float64).reshape(shape)
        return found


class Optimizer:
    """An optimizer on a layout of (name, shape); learned ones with meta-parameters moved off their start at random."""

    def __init__(self, library, name, shapes, **values):
        self.library, self.lib, self.layout, self.optimizer = library, library.lib, Layout(), c.c_void_p()
        kind = library.kind("optimizer", name)
        for label, shape in shapes:
            library.call("flt_layout_add", c.byref(self.layout), label.encode(), c.c_size_t(len(shape)),
                         (c.c_size_t * 8)(*shape))
        bag = library.params(kind, **values)
        library.call("flt_optimizer_create", kind, bag, c.byref(self.layout), c.byref(self.optimizer))
        self.theta = {}
        if kind.contents.caps & 1:
            self.bind(kind, bag)
        self.lib.flt_params_destroy(bag)
        self.state = torch.zeros(self.lib.flt_optimizer_state_words(self.optimizer))
        self.lib.flt_optimizer_init(self.optimizer, pointer(self.state))

    def bind(self, kind, bag):
        weights = Weights()
        self.library.call("flt_weights_load", kind, bag, None, c.c_uint64(0), c.byref(weights))
        total, layout = weights.layout.total, weights.layout.tensors()
        noise = torch.randn(total, generator=torch.Generator().manual_seed(1))
        self.flat = torch.tensor(weights.theta[:total]) + 0.1 * noise
        self.lib.flt_optimizer_bind(self.optimizer, pointer(self.flat))
        self.theta = {name: self.flat[at:at + count].reshape(shape) for name, (shape, at, count) in layout.items()}
        self.lib.flt_weights_free(c.byref(weights))

    def __del__(self):
        self.lib.flt_optimizer_destroy(self.optimizer)
        self.lib.flt_layout_free(c.byref(self.layout))

    def stepper(self, param, grad):
        """A function that makes one step; time advances with each call."""
        step, tensors = self.lib.flt_optimizer_step, (grad, param, self.state)
        time, loss, rest = c.c_uint64(0), c.c_float(1), [pointer(x) for x in tensors]
        arguments = self.optimizer, time, loss, *rest
        self.t = 0

        def run():
            time.value = self.t
            step(*arguments if tensors else ())
            self.t += 1
        return run


class Library:
    def __init__(self, path):
        self.path = os.path.abspath(path)
        self.lib = c.CDLL(self.path)
        for name in ("flt_error", "flt_num_blas", "flt_num_fftw", "flt_num_isa"):
            getattr(self.lib, name).restype = c.c_char_p
        self.lib.flt_sum.restype = c.c_float
        for name in ("flt_optimizer_state_words", "flt_attention_draws", "flt_attention_workspace"):
            getattr(self.lib, name).restype = c.c_size_t
        self.lib.flt_store_sink.restype = c.c_void_p
        if self.lib.flt_sum(c.c_size_t(3), (c.c_float * 3)(1, 2, 3)) != 6.0:
            sys.exit(f"peers.py: {path} computes in double; build it in float")
        self.lib.flt_num_init()

    def call(self, name, *args):
        if getattr(self.lib, name)(*args) != 0:
            raise RuntimeError(self.lib.flt_error().decode())

    def params(self, kind, **values):
        bag = c.c_void_p()
        self.call("flt_params_create", kind.contents.name, c.c_void_p(kind.contents.params), c.byref(bag))
        for name, value in values.items():
            self.call("flt_params_set", bag, name.encode(), str(value).encode())
        return bag

    def kind(self, family, name):
        kind = c.POINTER(Kind)()
        self.call(f"flt_{family}_find", name.encode(), c.byref(kind))
        return kind


class Store:
    """Rows of the table timing, under a run of kind `peers`."""

    def __init__(self, library, path, threads, mode):
        self.library, self.store = library, c.c_void_p()
        argv = (c.c_char_p * len(sys.argv))(*[a.encode() for a in sys.argv])
        n = library.lib
        info = RunInfo(b"peers", len(sys.argv), argv, 0, threads, 0, n.flt_num_blas(), n.flt_num_fftw(), n.flt_num_isa(),
                       b"float")
        library.call("flt_store_open", path.encode(), 1, c.byref(self.store))
        library.call("flt_store_begin", self.store, c.byref(info), None)
        for name, value in (("torch", torch.__version__), ("mode", mode)):
            library.call("flt_store_param", self.store, name.encode(), value.encode())

    def sample(self, subject, phase, n, threads, rep, seconds):
        fields = (Field * 6)(Field(b"subject", True, 0, subject.encode()), Field(b"phase", True, 0, phase.encode()),
                             Field(b"n", False, n), Field(b"threads", False, threads), Field(b"rep", False, rep),
                             Field(b"seconds", False, seconds))
        self.library.call("flt_sink_record", c.c_void_p(self.library.lib.flt_store_sink(self.store)), b"timing", c.c_size_t(6),
                          fields)

    def close(self):
        self.library.call("flt_store_end", self.store, b"done", 0, None)
        self.library.lib.flt_store_close(self.store)
