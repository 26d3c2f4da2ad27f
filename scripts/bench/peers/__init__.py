# SPDX-License-Identifier: MIT
"""What peers.py measures: ours through libflt.so beside PyTorch and JAX, in turn, in one process."""
