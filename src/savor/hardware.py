"""What the machine can do."""

from __future__ import annotations


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
