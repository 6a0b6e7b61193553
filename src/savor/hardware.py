"""What the machine can do."""

from __future__ import annotations


def cpu_has_bf16() -> bool:
    """Tell whether the CPU multiplies bf16 in hardware; elsewhere bf16 is slower than fp32."""
    import torch

    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16"))
