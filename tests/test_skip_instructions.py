"""Skip-instruction files of Torch 7: read back from disk, found by id, and nothing else."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from savor.errors import DataError
from savor.skip_instructions import WIDTH, SkipInstructions, read_t7

NAMES = {"uint8": "Byte", "int16": "Short", "int32": "Int", "int64": "Long", "float32": "Float"}


class Writer:
    """Writes values as `torch.save` of Torch 7 does, binary and with 64 bits."""

    def __init__(self) -> None:
        self.index = 0

    def numbered(self, kind: int) -> bytes:
        self.index += 1
        return struct.pack("<ii", kind, self.index)

    def string(self, text: str) -> bytes:
        return struct.pack("<i", len(text)) + text.encode()

    def value(self, value: Any) -> bytes:
        if value is None:
            return struct.pack("<i", 0)
        if isinstance(value, bool):
            return struct.pack("<ii", 5, value)
        if isinstance(value, int | float):
            return struct.pack("<id", 1, value)
        if isinstance(value, str):
            return struct.pack("<i", 2) + self.string(value)
        if isinstance(value, np.ndarray):
            return self.tensor(value)
        entries = value.items() if isinstance(value, dict) else enumerate(value, start=1)
        head = self.numbered(3) + struct.pack("<i", len(value))
        return head + b"".join(self.value(key) + self.value(one) for key, one in entries)

    def tensor(self, values: np.ndarray) -> bytes:
        name, item = NAMES[values.dtype.name], values.dtype.itemsize
        head = self.numbered(4) + self.string("V 1") + self.string(f"torch.{name}Tensor")
        shape = [*values.shape, *(stride // item for stride in values.strides), 1]
        head += struct.pack(f"<i{len(shape)}q", values.ndim, *shape)
        head += self.numbered(4) + self.string("V 1") + self.string(f"torch.{name}Storage")
        return head + struct.pack("<q", values.size) + values.tobytes("A")


def save(path: Path, value: Any) -> Path:
    path.write_bytes(Writer().value(value))
    return path


def table(ids: list[str], counts: list[int], start: int = 0) -> dict[str, Any]:
    """Make a file's table: the rows of each recipe hold the numbers of the rows, from `start` on."""
    total = max(1, sum(counts))
    return {
        "encs": np.arange(start, start + total, dtype=np.float32)[:, None].repeat(WIDTH, 1),
        "ids": np.array([list(recipe.encode()) for recipe in ids], np.uint8),
        "rlens": np.array(counts, np.int64),
        "rbps": np.cumsum([1, *counts[:-1]]),
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save(tmp_path / "encs_train_1024.t7", table(["bb", "aa", "dd"], [2, 1, 0]))
    val = table(["cc"], [3], start=10)
    save(tmp_path / "encs_val_1024.t7", {**val, "ids": ["cc"], "rlens": [3.0], "rbps": [1.0]})
    return tmp_path


def test_values_come_back(tmp_path: Path) -> None:
    turned = np.arange(6, dtype=np.int32).reshape(2, 3).T
    value = {"a": [1.5, "b", True, None], "t": turned, "e": np.zeros(0, np.float32), "n": {"x": 2}}
    found = read_t7(save(tmp_path / "a.t7", value))
    assert found["a"] == [1.5, b"b", True, None]
    assert found["t"].tolist() == turned.tolist()
    assert found["e"].size == 0
    assert found["n"] == {"x": 2.0}


def test_what_occurs_twice_is_read_once(tmp_path: Path) -> None:
    inner = struct.pack("<ii", 3, 2) + struct.pack("<i", 0)
    again = struct.pack("<ii", 3, 2)
    value = Writer().value
    (tmp_path / "a.t7").write_bytes(struct.pack("<iii", 3, 1, 2) + value("a") + inner + value("b") + again)
    found = read_t7(tmp_path / "a.t7")
    assert found["a"] is found["b"]


def test_recipes_are_found_by_id_in_any_file(folder: Path) -> None:
    skip = SkipInstructions(folder)
    assert len(skip) == 4
    ids = ["cc", "zz", "bb", "aa", "dd", ""]
    values, mask = skip.padded(ids)
    assert values.shape == (6, 3, WIDTH)
    assert values.dtype == np.float32
    assert mask.sum(1).tolist() == [3, 0, 2, 1, 0, 0]
    assert values[:, :, 7].tolist() == [[10, 11, 12], [0] * 3, [0, 1, 0], [2, 0, 0], [0] * 3, [0] * 3]
    assert (skip.find(ids) >= 0).tolist() == [True, False, True, True, True, False]
    assert skip.padded([])[0].shape == (0, 1, WIDTH)


def test_vectors_stay_on_disk(folder: Path) -> None:
    vectors = SkipInstructions(folder)._vectors[0]
    while isinstance(vectors, np.ndarray) and not isinstance(vectors, np.memmap):
        vectors = vectors.base
    assert isinstance(vectors, np.memmap) or type(vectors).__name__ in ("memmap", "DummyArray")


def test_without_files_or_with_a_recipe_twice(folder: Path, tmp_path: Path) -> None:
    save(folder / "encs_test_1024.t7", table(["aa"], [1]))
    with pytest.raises(DataError, match="recipe 'aa' occurs twice"):
        SkipInstructions(folder)
    (empty := tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no encs_\*_1024\.t7 here"):
        SkipInstructions(empty)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"encs": None}, r"encs has to be \(n, 1024\)"),
        ({"encs": np.zeros((3, 8), np.float32)}, r"encs has to be \(n, 1024\)"),
        ({"ids": [1.0, 2.0, 3.0]}, "no skip-instructions"),
        ({"rlens": ["a", "b", "c"]}, "no skip-instructions"),
        ({"rlens": np.array([2, 1], np.int64)}, "3 ids, 3 rbps, 2 rlens"),
        ({"rlens": np.array([2, 9, 0], np.int64)}, "recipe 'aa' has rows beyond the 3"),
        ({"rbps": np.array([0, 3, 4], np.int64)}, "recipe 'bb' has rows beyond"),
    ],
)
def test_other_tables_are_refused(tmp_path: Path, change: dict, message: str) -> None:
    save(tmp_path / "encs_val_1024.t7", {**table(["bb", "aa", "dd"], [2, 1, 0]), **change})
    with pytest.raises(DataError, match=rf"encs_val_1024\.t7: .*{message}"):
        SkipInstructions(tmp_path)


def tensor(sizes: list[int], strides: list[int], offset: int, count: int) -> bytes:
    """Write a tensor of bytes that may claim more than its storage holds."""
    writer = Writer()
    head = writer.numbered(4) + writer.string("V 1") + writer.string("torch.ByteTensor")
    head += struct.pack(f"<i{2 * len(sizes) + 1}q", len(sizes), *sizes, *strides, offset)
    head += writer.numbered(4) + writer.string("V 1") + writer.string("torch.ByteStorage")
    return head + struct.pack("<q", count) + bytes(4)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "cut off at byte 0"),
        (b"PK\x03\x04 and so on", "a value of kind"),
        (struct.pack("<iii", 6, 1, 3) + b"abc", "a value of kind 6"),  # a function
        (struct.pack("<ii", 4, 1) + Writer().string("nn.Linear"), "an object of class 'nn.Linear'"),
        (struct.pack("<ii", 2, 2**30), "cut off"),
        (struct.pack("<iii", 3, 1, 2**30), "cut off"),
        (b"".join(struct.pack("<iiiid", 3, n, 1, 1, 1.0) for n in range(1, 9000)), "recursion"),
        (tensor([5], [1], 1, 4), "larger than its numbers"),
        (tensor([2, 2], [2, 1], 2, 4), "larger than its numbers"),
        (tensor([2**40], [0], 1, 4), "larger than its numbers"),
        (tensor([2], [-1], 2, 4), "larger than its numbers"),
        (tensor([4], [1], 1, 2**40), "cut off"),
    ],
)
def test_damaged_files_and_programs_are_refused(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "encs_train_1024.t7").write_bytes(data)
    with pytest.raises(DataError, match=rf"encs_train_1024\.t7: damaged.*{message}"):
        read_t7(tmp_path / "encs_train_1024.t7")


def test_a_file_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    whole = Writer().value({"a": np.arange(4, dtype=np.int64), "b": ["x", 1.0]})
    path = tmp_path / "encs_train_1024.t7"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match="damaged"):
            read_t7(path)
