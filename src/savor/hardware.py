"""What the machine can do."""

from __future__ import annotations

import os


def cpu_has_bf16() -> bool:
    """Tell whether the CPU has instructions for bf16: convolutions, which wait for memory, are then faster.

    Matrix products need more, see `cpu_multiplies_bf16`.
    """
    return _any_of("avx512_bf16", "amx_bf16")


def cpu_multiplies_bf16() -> bool:
    """Tell whether the CPU has a matrix unit for bf16; without one such products are slower than in fp32."""
    return _any_of("amx_bf16")


def _any_of(*names: str) -> bool:
    import torch

    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name) for name in names)


def cores() -> int:
    """Return how many cores this process may use: those it is bound to; fewer if `OMP_NUM_THREADS` says so.

    >>> cores() >= 1
    True
    """
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return min(bound, int(wanted)) if wanted.isdecimal() and int(wanted) else bound
