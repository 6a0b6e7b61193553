"""Photos a second through the bundled image encoder: bf16 against fp32, and both against the plain network.

    python benchmarks/extraction.py [--photos FOLDER|FILE.tar] [--count 64] [--rounds 5] [--threads N]

Without --photos the pictures are drawn here. The formats take turns within each round, so that whatever else
the machine does meets all of them; the ratio is the thing to read, not the rates.
"""

from __future__ import annotations

import argparse
import itertools
import os
import platform
import statistics
import tarfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import cosine_similarity

from savor.encoders.bundled import EfficientNetLite2, _load_network
from savor.photos import open_photo

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


class Plain(EfficientNetLite2):
    """The network as its package has it: fp32, rows before channels, batch normalisation on its own."""

    def __init__(self) -> None:
        super().__init__(dtype="fp32")
        self._network = _load_network()

    def _forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        maps = self._network.extract_features((pixels.contiguous().float() - 127) / 128)
        return maps.mean((2, 3)), maps


def draw(count: int) -> list[Image.Image]:
    """Draw blobs of colour in the size that web photos have most often."""
    cells = np.random.default_rng(0).integers(0, 256, (count, 11, 17, 3), dtype=np.uint8)
    return [Image.fromarray(cell).resize((274, 169), Image.Resampling.BICUBIC) for cell in cells]


def read(source: Path, count: int) -> tuple[list[Image.Image], float]:
    """Read the first photos of a folder or a tar file; return them and the photos decoded per second."""
    if source.is_dir():
        paths = sorted(path for path in source.rglob("*") if path.suffix.lower() in SUFFIXES)[:count]
        data = [path.read_bytes() for path in paths]
    else:
        with tarfile.open(source) as tar:
            members = itertools.islice(filter(tarfile.TarInfo.isfile, tar), count)
            files = [tar.extractfile(member) for member in members]
            data = [file.read() for file in files if file is not None]
    start = time.perf_counter()
    photos = [open_photo(photo) for photo in data]
    return photos, len(photos) / (time.perf_counter() - start)


def cpu_name() -> str:
    """Return the CPU's name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown")


def header() -> str:
    """Say what the numbers depend on."""
    found = torch.cpu.get_capabilities()
    bf16 = [name for name in ("avx512_bf16", "amx_bf16") if found.get(name)]
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return (
        f"{cpu_name()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, "
        f"bf16 instructions: {', '.join(bf16) or 'none'}{load}\n"
        f"torch {torch.__version__}, OPENBLAS_CORETYPE={os.environ.get('OPENBLAS_CORETYPE', '(not set)')}"
    )


def spread(values: list[float]) -> str:
    """Write the median and the range."""
    return f"{statistics.median(values):6.2f}  ({min(values):.2f} to {max(values):.2f})"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--photos", type=Path, help="a folder or a tar file of photos; drawn ones if left out"
    )
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(header())
    if arguments.photos is None:
        photos = draw(arguments.count)
    else:
        photos, rate = read(arguments.photos, arguments.count)
        print(f"decoding: {rate:.0f} photos/s on one core")
    encoders: dict[str, EfficientNetLite2] = {
        "plain": Plain(),
        "fp32": EfficientNetLite2(dtype="fp32"),
        "bf16": EfficientNetLite2(dtype="bf16"),
    }
    vectors = {name: encoder.encode(photos).pooled for name, encoder in encoders.items()}  # also warms up
    rates: dict[str, list[float]] = {name: [] for name in encoders}
    for _ in range(arguments.rounds):
        for name, encoder in encoders.items():
            start = time.perf_counter()
            encoder.encode(photos, patches=(5, 5))
            rates[name].append(len(photos) / (time.perf_counter() - start))
    print(f"{arguments.rounds} rounds of {len(photos)} photos, median (range)")
    for name, values in rates.items():
        print(f"{name:14} photos/s {spread(values)}")
    for name, other in (("bf16", "fp32"), ("fp32", "plain"), ("bf16", "plain")):
        ratios = [a / b for a, b in zip(rates[name], rates[other], strict=True)]
        print(f"{name + ' / ' + other:14} ratio    {spread(ratios)}")
    for name in ("fp32", "bf16"):
        cosine = cosine_similarity(vectors[name], vectors["plain"])
        print(f"cosine of {name} and plain vectors: mean {cosine.mean():.5f}, smallest {cosine.min():.5f}")


if __name__ == "__main__":
    main()
