"""What the machine can do is asked of torch."""

from __future__ import annotations

import pytest
import torch

from savor.hardware import cpu_has_bf16, cpu_multiplies_bf16


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [({}, False), ({"avx512_f": True}, False), ({"amx_bf16": True}, True), ({"avx512_bf16": True}, True)],
)
def test_bf16_needs_instructions_for_it(capabilities: dict, expected: bool, monkeypatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert cpu_has_bf16() is expected


@pytest.mark.parametrize(
    ("capabilities", "expected"), [({}, False), ({"amx_bf16": True}, True), ({"avx512_bf16": True}, False)]
)
def test_products_in_bf16_need_a_matrix_unit(capabilities: dict, expected: bool, monkeypatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert cpu_multiplies_bf16() is expected
