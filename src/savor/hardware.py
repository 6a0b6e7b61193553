"""What the machine can do."""

from __future__ import annotations

import os


def cpu_has_bf16() -> bool:
    """Tell whether the CPU multiplies bf16 in hardware; elsewhere bf16 is slower than fp32."""
    import torch

    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16"))


def cores() -> int:
    """Return how many cores this process may use: those it is bound to, or fewer if `OMP_NUM_THREADS` says so.

    >>> cores() >= 1
    True
    """
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return min(bound, int(wanted)) if wanted.isdecimal() and int(wanted) else bound
