"""What every frozen encoder offers: pictures or lines in, states out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Protocol

from savor.errors import EncoderError, UsageError

if TYPE_CHECKING:
    import torch
    from PIL import Image
    from torch import Tensor, nn

Description = dict[str, Any]
Grid = tuple[int, int]
View = tuple[float, float, float, float]  # left, top, right, bottom in fractions of a picture

WHOLE: View = (0.0, 0.0, 1.0, 1.0)
DTYPES = ("auto", "fp32", "bf16")
_NOT_COMPARED = ("name", "runtime")


@dataclass(frozen=True, slots=True)
class ImageStates:
    """Photos as an image encoder sees them, float32 on the CPU.

    `pooled (n, dim)` has a row a photo; `patches (n, p, dim)` has the regions of each photo row by row on
    `grid`, `(rows, columns)` with `p = rows * columns`, or is None where none were asked for (grid `(0, 0)`).
    """

    pooled: Tensor
    patches: Tensor | None = None
    grid: Grid = (0, 0)


@dataclass(frozen=True, slots=True)
class TextStates:
    """Lines as a text encoder reads them, float32 on the CPU.

    `pooled (n, dim)` has a row a line; `tokens` has for each line its token states `(w, d)` and `spans` the
    `(start, end)` of each token in the line's characters, special tokens left out; None where not asked for.
    """

    pooled: Tensor
    tokens: list[Tensor] | None = None
    spans: list[list[tuple[int, int]]] | None = None


class ImageEncoder(Protocol):
    """A frozen image encoder; equal photos give equal states, whatever else is in the call."""

    name: str
    dim: int

    def describe(self) -> Description:
        """Return all that changes the numbers, as JSON values; see `comparable`."""
        ...

    def encode(self, images: Sequence[Image.Image], *, patches: Grid | None = None) -> ImageStates:
        """Encode upright RGB pictures of any size; regions are average-pooled to the grid `patches`."""
        ...

    def view(self, width: int, height: int) -> View:
        """Return what the encoder sees of a picture of this size; the grid of regions covers just that."""
        ...


class TextEncoder(Protocol):
    """A frozen text encoder; equal lines give equal states, whatever else is in the call."""

    name: str
    dim: int

    def describe(self) -> Description:
        """Return all that changes the numbers, as JSON values; see `comparable`."""
        ...

    def encode(self, lines: Sequence[str], *, tokens: bool = False) -> TextStates:
        """Encode lines of any length, none of them blank."""
        ...


def comparable(description: Description) -> Description:
    """Return the part of a description that must be equal for two sets of features to fit together.

    Left out are the `name` (one model may lie in several places; `weights` tells models apart) and the
    `runtime` (number format, device, library versions), which moves the numbers by rounding only.

    >>> comparable({"name": "minilm", "weights": "ab12", "runtime": {"dtype": "bf16"}})
    {'weights': 'ab12'}
    """
    return {key: value for key, value in description.items() if key not in _NOT_COMPARED}


def weights_digest(model: nn.Module) -> str:
    """Return the SHA-256 of a model's weights (names, shapes, values), whatever file they came from."""
    import hashlib

    import torch

    digest = hashlib.sha256()
    for name, weight in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(weight.shape)} {weight.dtype}".encode())
        digest.update(weight.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def choose_device(device: str | None) -> torch.device:
    """Return the device asked for; a GPU where there is one, else the CPU, if none was."""
    import torch

    try:
        return torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    except RuntimeError as error:
        raise UsageError(f"device {device!r} is not known to torch; try cpu or cuda") from error


def choose_dtype(dtype: str, *, fast_bf16: bool) -> torch.dtype:
    """Return the number format for a name in `DTYPES`; "auto" takes bf16 where the caller finds it fast."""
    import torch

    if dtype not in DTYPES:
        raise UsageError(f"dtype {dtype!r} is not known; choose one of {', '.join(DTYPES)}")
    return torch.bfloat16 if dtype == "bf16" or (dtype == "auto" and fast_bf16) else torch.float32


def runtime(dtype: torch.dtype, device: torch.device, *packages: str) -> Description:
    """Return what moves the numbers by rounding only: number format, device, library versions."""
    import torch

    return {
        "dtype": "bf16" if dtype == torch.bfloat16 else "fp32",
        "device": device.type,
        **{package: version(package) for package in ("torch", "pillow", *packages)},
    }


def encode_in_groups(
    images: Sequence[Image.Image],
    dim: int,
    prepare: Callable[[Image.Image], Tensor],
    forward: Callable[[Tensor], tuple[Tensor, Tensor | None]],
    *,
    patches: Grid | None,
    batch_size: int,
) -> ImageStates:
    """Encode photos of mixed canvases, batched with those of equal shape; the order is kept.

    Args:
        images: upright RGB pictures.
        dim: length of a pooled vector.
        prepare: picture -> pixels `(3, h, w)`.
        forward: pixels `(b, 3, h, w)` -> pooled `(b, dim)` and feature maps `(b, dim, h', w')` or None.
        patches: grid to pool the feature maps to; None keeps no patches.
        batch_size: photos prepared and encoded at a time.
    """
    import torch
    from torch.nn.functional import adaptive_avg_pool2d

    rows, columns = patches or (0, 0)
    pooled = torch.empty(len(images), dim)
    regions = torch.empty(len(images), rows * columns, dim) if patches else None
    for start in range(0, len(images), batch_size):
        pixels = {start + i: prepare(image) for i, image in enumerate(images[start : start + batch_size])}
        shapes: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for index, tensor in pixels.items():
            shapes[tuple(tensor.shape)].append(index)
        for indices in shapes.values():
            with torch.inference_mode():
                vectors, maps = forward(torch.stack([pixels[index] for index in indices]))
            pooled[indices] = vectors.float().cpu()
            if regions is None:
                continue
            if maps is None:
                raise EncoderError("this image encoder has no regions; leave patches out")
            regions[indices] = adaptive_avg_pool2d(maps.float(), (rows, columns)).flatten(2).mT.cpu()
    return ImageStates(pooled, regions, (rows, columns))
