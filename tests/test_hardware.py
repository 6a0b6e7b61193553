"""What the machine can do is asked of torch and of the system."""

from __future__ import annotations

import pytest
import torch

from savor.hardware import cores, cpu_has_bf16, cpu_multiplies_bf16


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


@pytest.mark.parametrize(("wanted", "expected"), [("1", 1), ("", 6), ("0", 6), ("many", 6), ("64", 6)])
def test_cores_are_those_one_may_use(wanted: str, expected: int, monkeypatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda process: range(6), raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", wanted)
    assert cores() == expected
