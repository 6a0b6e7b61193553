"""Frozen encoders from Hugging Face: a folder or an id of the hub, through the `Auto*` classes.

Photos: ViT, DeiT and DINOv2 give the state of the class token, ResNet and its kin the mean of the last
feature map. Words: BERT and its kin give the mean over the tokens. CLIP and SigLIP give what their towers
pool, before the projection, so that pooled vectors and patches or tokens have the same length.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.nn.utils.rnn import pad_sequence

from savor.encoders.base import (
    Description,
    Grid,
    ImageStates,
    TextStates,
    View,
    choose_device,
    choose_dtype,
    encode_in_groups,
    runtime,
    weights_digest,
)
from savor.errors import EncoderError, UsageError

BATCH_TOKENS = 8192
DEFAULT_LIMIT = 512


class HuggingFaceImageEncoder:
    """An image encoder from Hugging Face with the resizing, cropping and normalisation it was published with.

    Args:
        name: a folder or an id of the hub.
        dtype: "fp32" (also "auto") or "bf16".
        device: as torch names it; a GPU where there is one if left out.
        batch_size: photos at a time.

    Raises:
        EncoderError: the model is not here and cannot be fetched, is no image encoder, or is incomplete.
    """

    def __init__(
        self, name: str, *, dtype: str = "auto", device: str | None = None, batch_size: int = 32
    ) -> None:
        self.name = name
        self._batch_size = batch_size
        self._device = choose_device(device)
        self._dtype = choose_dtype(dtype, fast_bf16=False)
        with _loading("image", name) as source:
            from transformers import AutoImageProcessor

            self._processor = AutoImageProcessor.from_pretrained(**source)  # type: ignore[no-untyped-call]
            model = _load_tower("vision_model", name, source)
        self._weights = weights_digest(model)
        self._config: Any = model.config
        self._model = model.to(self._device, self._dtype)
        self.dim = self._try_out()

    def describe(self) -> Description:
        """Return all that changes the numbers."""
        processor = json.loads(self._processor.to_json_string())
        return {
            "name": self.name,
            "weights": self._weights,
            "options": {},
            "architecture": type(self._model).__name__,
            "processor": processor,
            "runtime": runtime(self._dtype, self._device, "transformers"),
        }

    def encode(self, images: Sequence[Image.Image], *, patches: Grid | None = None) -> ImageStates:
        """Encode upright RGB pictures: pooled `(n, dim)`, patches `(n, p, dim)` on the grid asked for.

        Raises:
            EncoderError: patches were asked of a model whose states are not on a grid.
        """
        return encode_in_groups(
            images, self.dim, self._prepare, self.forward, patches=patches, batch_size=self._batch_size
        )

    def view(self, width: int, height: int) -> View:
        """Return what the processor leaves of a picture of this size.

        It is found by trying, whatever steps the processor has: a picture whose red grows from left to right
        and whose green grows downwards is processed, and tells where the edges of the outcome come from.
        """
        ramp = np.zeros((height, width, 3), np.uint8)
        ramp[..., 0] = np.linspace(0, 255, 2 * width + 1)[1::2].round()
        ramp[..., 1] = np.linspace(0, 255, 2 * height + 1)[1::2, None].round()
        black, white = (
            self._prepare(Image.new("RGB", (64, 64), name))[:, 0, 0] for name in ("black", "white")
        )
        seen = (self._prepare(Image.fromarray(ramp)) - black[:, None, None]) / (white - black)[:, None, None]
        left, right = _edges(seen[0].mean(0))
        top, bottom = _edges(seen[1].mean(1))
        return left, top, right, bottom

    def _try_out(self) -> int:
        """Encode a grey picture, so that an unsupported model fails here; return the length of its vector."""
        try:
            with torch.inference_mode():
                vectors, _ = self.forward(self._prepare(Image.new("RGB", (64, 64), "grey"))[None])
        except Exception as error:
            reason = _first_line(error)
            raise EncoderError(f"{self.name!r} cannot be used as an image encoder: {reason}") from error
        return vectors.shape[1]

    def _prepare(self, image: Image.Image) -> Tensor:
        pixels: Tensor = self._processor(image.convert("RGB"), return_tensors="pt")["pixel_values"][0]
        return pixels

    @property
    def network(self) -> nn.Module:
        """The network, without a pooler that nothing here reads."""
        return _without_unread_pooler(self._model, self._config)

    @cached_property
    def canvas(self) -> Grid:
        """Height and width of the pictures the processor makes."""
        height, width = self._prepare(Image.new("RGB", (64, 64), "grey")).shape[1:]
        return height, width

    @property
    def training_canvas(self) -> Grid:
        """The same: many networks take one size only."""
        return self.canvas

    def normalise(self, pixels: Tensor) -> Tensor:
        """Return what the network reads for uint8 pixels on its canvas, `(b, 3, h, w)`."""
        black, white = (self._prepare(Image.new("RGB", (64, 64), name)) for name in ("black", "white"))
        black, white = black[:, :1, :1], white[:, :1, :1]
        return black + (white - black) * (pixels.float() / 255)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return pooled `(b, dim)` and maps `(b, dim, h', w')` or None; gradients flow."""
        outputs = self._model(pixels.to(self._device, self._dtype))
        states = outputs.last_hidden_state
        if states.ndim == 4:  # a convolutional network's feature map (b, d, h, w)
            return states.mean((2, 3)), states
        rows, columns = self._grid(pixels)
        extra = states.shape[1] - rows * columns  # class token and registers stand before the patches
        own = _pools_itself(self._config) or extra < 1
        pooled = outputs.pooler_output if own else states[:, 0]
        if extra < 0:
            return pooled, None
        return pooled, states[:, extra:].mT.unflatten(2, (rows, columns))

    def _grid(self, pixels: Tensor) -> Grid:
        size = self._config.patch_size
        height, width = size if isinstance(size, list | tuple) else (size, size)
        return pixels.shape[-2] // height, pixels.shape[-1] // width


def _edges(positions: Tensor) -> tuple[float, float]:
    """Return where a row of pixels begins and ends, from the positions of their centres, `(n,)`.

    A line is put through the middle four fifths: resampling bends the ramp at its ends.
    """
    count = len(positions)
    inner = np.arange(count // 10, count - count // 10)
    slope, start = np.polyfit(inner, positions[inner].double().numpy(), 1)
    first, last = np.clip([start - slope / 2, start + slope * (count - 0.5)], 0, 1)
    return float(first), float(last)


@dataclass(frozen=True, slots=True)
class _Window:
    """A stretch of a line that fits the encoder: its ids, which of them are the line's own, their spans."""

    line: int
    ids: list[int]
    own: list[bool]
    spans: list[tuple[int, int]]


class HuggingFaceTextEncoder:
    """A text encoder from Hugging Face, for lines of any length.

    A line above the encoder's limit is cut into windows that do not overlap; its vector is the mean of the
    windows' vectors, weighted by their number of tokens: `sum_i n_i v_i / sum_i n_i`.

    Args:
        name: a folder or an id of the hub.
        dtype: "fp32" (also "auto") or "bf16".
        device: as torch names it; a GPU where there is one if left out.
        label: what the encoder is called in messages and manifests, if not `name`.
        unit_length: scale the pooled vectors to length 1.

    Raises:
        EncoderError: the model is not here and cannot be fetched, is no text encoder, or is incomplete.
    """

    def __init__(
        self,
        name: str,
        *,
        dtype: str = "auto",
        device: str | None = None,
        label: str | None = None,
        unit_length: bool = False,
    ) -> None:
        self.name = label or name
        self._unit_length = unit_length
        self._device = choose_device(device)
        self._dtype = choose_dtype(dtype, fast_bf16=False)
        self._tokenizer, model = self._open(name)
        self._weights = weights_digest(model)
        self._config: Any = model.config
        self._model = model.to(self._device, self._dtype)
        self._limit = _position_limit(model, self._tokenizer)
        self._tokenizer_digest = _tokenizer_digest(self._tokenizer)
        self._lock = threading.Lock()  # fast tokenizers refuse to be used by two threads at once
        self.dim = self._try_out()

    def _open(self, name: str) -> tuple[Any, nn.Module]:
        """Return the tokenizer and the network."""
        with _loading("text", name) as source:
            from transformers import AutoTokenizer

            return AutoTokenizer.from_pretrained(**source), _load_tower("text_model", name, source)

    def describe(self) -> Description:
        """Return all that changes the numbers."""
        return {
            "name": self.name,
            "weights": self._weights,
            "options": {},
            "architecture": type(self._model).__name__,
            "tokenizer": self._tokenizer_digest,
            "limit": self._limit,
            "pooling": "its own" if _pools_itself(self._config) else "mean",
            "unit_length": self._unit_length,
            "runtime": runtime(self._dtype, self._device, "transformers", "tokenizers"),
        }

    def encode(self, lines: Sequence[str], *, tokens: bool = False) -> TextStates:
        """Encode lines: pooled `(n, dim)`; with `tokens` also their token states and character spans.

        Equal lines are encoded once.

        Raises:
            UsageError: a line is blank; there is nothing in it to encode.
            EncoderError: token states were asked of a tokenizer that does not know where its tokens stand.
        """
        for number, line in enumerate(lines):
            if not line.strip():
                raise UsageError(f"line {number} is blank; leave blank lines out, as Recipe.lines does")
        if tokens and not self._tokenizer.is_fast:
            raise EncoderError(
                f"{self.name!r} has only a slow tokenizer, which cannot say where tokens stand in a line; "
                "use a model with a tokenizer.json, or leave token states out"
            )
        position = {line: i for i, line in enumerate(dict.fromkeys(lines))}
        windows = self._windows(list(position))
        vectors, states = self._run(windows, keep_states=tokens)
        pooled = _mean_by_line(vectors, windows, len(position))
        if self._unit_length:
            pooled = normalize(pooled)
        rows = [position[line] for line in lines]
        if not tokens:
            return TextStates(pooled[rows])
        per_line: list[list[int]] = [[] for _ in position]
        for i, window in enumerate(windows):
            per_line[window.line].append(i)
        joined = [torch.cat([states[i] for i in per_line[row]]) for row in rows]
        spans = [[span for i in per_line[row] for span in windows[i].spans] for row in rows]
        return TextStates(pooled[rows], joined, spans)

    def _try_out(self) -> int:
        """Encode a word, so that an unsupported model fails here; return the length of its vector."""
        try:
            with torch.inference_mode():
                vectors, _ = self._forward(self._windows(["salt"]))
        except Exception as error:
            reason = _first_line(error)
            raise EncoderError(f"{self.name!r} cannot be used as a text encoder: {reason}") from error
        return vectors.shape[1]

    def _windows(self, lines: list[str]) -> list[_Window]:
        """Tokenize lines into windows of at most `limit` ids, in the order of the lines."""
        if not lines:
            return []
        if not self._tokenizer.is_fast:
            return [window for i, line in enumerate(lines) for window in self._slow_windows(i, line)]
        with self._lock:
            encoded = self._tokenizer(
                lines,
                truncation=True,
                max_length=self._limit,
                return_overflowing_tokens=True,
                return_offsets_mapping=True,
                return_special_tokens_mask=True,
            )
        windows = []
        for line, ids, special, offsets in zip(
            encoded["overflow_to_sample_mapping"],
            encoded["input_ids"],
            encoded["special_tokens_mask"],
            encoded["offset_mapping"],
            strict=True,
        ):
            own = [not flag for flag in special]
            spans = [tuple(span) for span, keep in zip(offsets, own, strict=True) if keep]
            windows.append(_Window(line, ids, own, spans))
        return windows

    def _slow_windows(self, line: int, text: str) -> Iterator[_Window]:
        tokenizer = self._tokenizer
        ids = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        room = self._limit - tokenizer.num_special_tokens_to_add()
        for start in range(0, max(len(ids), 1), room):
            window = tokenizer.prepare_for_model(ids[start : start + room], return_special_tokens_mask=True)
            own = [not flag for flag in window["special_tokens_mask"]]
            yield _Window(line, window["input_ids"], own, [])

    def _run(self, windows: list[_Window], *, keep_states: bool) -> tuple[Tensor, list[Tensor]]:
        """Encode windows, those of like length together; their own tokens' states are empty unless kept."""
        vectors = torch.empty(len(windows), self.dim)
        states = [torch.empty(0)] * len(windows)
        for batch in _batches(windows):
            members = [windows[i] for i in batch]
            with torch.inference_mode():
                pooled, hidden = self._forward(members)
            vectors[batch] = pooled.float().cpu()
            if keep_states:
                hidden = hidden.float().cpu()
                for row, i in enumerate(batch):
                    states[i] = hidden[row, : len(windows[i].ids)][windows[i].own]
        return vectors, states

    @property
    def network(self) -> nn.Module:
        """The network, without a pooler that nothing here reads."""
        return _without_unread_pooler(self._model, self._config)

    @property
    def unit_length(self) -> bool:
        """Whether the pooled vectors are scaled to length 1."""
        return self._unit_length

    @property
    def special_ids(self) -> list[int]:
        """The ids that the tokenizer puts around a line."""
        return sorted(set(self.tokenize([""], self._limit)[0]))

    def tokenize(self, lines: Sequence[str], limit: int) -> list[list[int]]:
        """Return the ids of each line, cut at `limit` or the encoder's own limit, special ones included."""
        with self._lock:
            encoded = self._tokenizer(list(lines), truncation=True, max_length=min(limit, self._limit))
        ids: list[list[int]] = encoded["input_ids"]
        return ids

    def _forward(self, windows: list[_Window]) -> tuple[Tensor, Tensor]:
        ids = pad_sequence([torch.tensor(window.ids) for window in windows], True)
        lengths = torch.tensor([len(window.ids) for window in windows])
        return self.forward(ids, torch.arange(ids.shape[1]) < lengths[:, None])

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Run the model on ids and their mask, `(b, w)`: pooled `(b, dim)` and the states `(b, w, d)`."""
        pad = self._tokenizer.pad_token_id or 0
        ids = ids.masked_fill(~mask, pad)
        if _fixed_length(self._config):
            # SigLIP was trained on lines padded to its limit, with attention to the padding.
            ids = nn.functional.pad(ids, (0, self._limit - ids.shape[1]), value=pad)
            outputs = self._model(input_ids=ids.to(self._device))
        else:
            outputs = self._model(input_ids=ids.to(self._device), attention_mask=mask.long().to(self._device))
        hidden = outputs.last_hidden_state
        if _pools_itself(self._config):
            return outputs.pooler_output, hidden
        weights = mask[..., None].to(hidden)
        return (hidden * weights).sum(1) / weights.sum(1), hidden


def _mean_by_line(vectors: Tensor, windows: list[_Window], lines: int) -> Tensor:
    """Average the windows' vectors by line, weighted by the number of the line's own tokens in each."""
    index = torch.tensor([window.line for window in windows], dtype=torch.long)
    # A line of nothing but, say, control characters has no token of its own and still has its window.
    weights = torch.tensor([max(sum(window.own), 1) for window in windows], dtype=torch.float32)[:, None]
    sums = torch.zeros(lines, vectors.shape[1]).index_add_(0, index, vectors * weights)
    return sums / torch.zeros(lines, 1).index_add_(0, index, weights)


def _batches(windows: list[_Window]) -> Iterator[list[int]]:
    """Yield the windows' indices in batches of like length, at most `BATCH_TOKENS` ids with the padding."""
    batch: list[int] = []
    for i in sorted(range(len(windows)), key=lambda i: len(windows[i].ids)):
        if batch and (len(batch) + 1) * len(windows[i].ids) > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def _position_limit(model: nn.Module, tokenizer: Any) -> int:
    """Return the number of ids the model takes at once, special tokens included."""
    positions = getattr(model.config, "max_position_embeddings", None) or DEFAULT_LIMIT
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and getattr(module, "padding_idx", None) is not None:
            positions -= module.padding_idx + 1  # RoBERTa and MPNet count from behind the padding index
    # A tokenizer without a limit of its own says 10^30.
    return int(min(positions, tokenizer.model_max_length))


def _pools_itself(config: Any) -> bool:
    """Tell whether a model was trained through its own pooling: CLIP, SigLIP and their kin."""
    return "clip" in config.model_type or "siglip" in config.model_type


def _without_unread_pooler(model: nn.Module, config: Any) -> nn.Module:
    """Drop the pooler of BERT, ViT and their kin, whose weights no gradient would reach."""
    pooler = getattr(model, "pooler", None)
    if isinstance(pooler, nn.Module) and list(pooler.parameters()) and not _pools_itself(config):
        model.register_module("pooler", None)
    return model


def _fixed_length(config: Any) -> bool:
    return "siglip" in config.model_type


def _tokenizer_digest(tokenizer: Any) -> str:
    """Return the SHA-256 of what decides how a line becomes ids."""
    if tokenizer.is_fast:
        tokenizer.backend_tokenizer.no_truncation()  # set anew by every call, as is the padding
        tokenizer.backend_tokenizer.no_padding()
        facts = tokenizer.backend_tokenizer.to_str()
    else:
        facts = json.dumps(tokenizer.get_vocab(), sort_keys=True)
    return hashlib.sha256(f"{type(tokenizer).__name__} {facts}".encode()).hexdigest()


def _load_tower(tower: str, name: str, source: dict[str, Any]) -> nn.Module:
    """Load a model, of a two-tower model only the tower asked for; refuse one that lacks weights we use."""
    from transformers import AutoModel

    whole, info = AutoModel.from_pretrained(**source, output_loading_info=True, dtype=torch.float32)
    model: nn.Module = getattr(whole, tower, whole)
    prefix = "" if model is whole else f"{tower}."
    # The pooler of ViT and BERT is often missing from a checkpoint, and not used here.
    ours = (key for key in info["missing_keys"] if key.startswith(prefix))
    missing = sorted(key for key in ours if not key.startswith("pooler."))
    if missing:
        raise EncoderError(
            f"the weights of {name!r} are incomplete: {len(missing)} are missing, such as {missing[0]}; "
            "download the model again"
        )
    return model.eval().requires_grad_(False)


@contextmanager
def _loading(kind: str, name: str) -> Iterator[dict[str, Any]]:
    """Give the arguments for `from_pretrained`, keep transformers quiet and name what goes wrong."""
    from huggingface_hub import try_to_load_from_cache
    from transformers.utils import logging as transformers_logging

    local = Path(name).is_dir()
    if not local and (Path(name).is_absolute() or name.startswith((".", "~"))):
        raise EncoderError(f"{kind} encoder {name!r}: there is no such folder; check the path")
    # A model that was fetched once is opened without asking the network again. A download may take minutes
    # and shows its progress on standard error; loading does not.
    fetched = local or isinstance(try_to_load_from_cache(name, "config.json"), str)
    level, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity(logging.CRITICAL)
    if fetched:
        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield {"pretrained_model_name_or_path": name, "local_files_only": fetched, "trust_remote_code": False}
    except EncoderError:
        raise
    except Exception as error:  # missing files, unknown architectures, missing packages, damaged weights
        raise _explain(kind, name, local, error) from error
    finally:
        transformers_logging.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def _explain(kind: str, name: str, local: bool, error: Exception) -> EncoderError:
    reason = _first_line(error)
    if local:
        return EncoderError(
            f"the folder {name} cannot be opened as {kind} encoder: {reason}; "
            "it must hold a whole Hugging Face model (config, weights, tokenizer or image processor)"
        )
    from savor.encoders import names

    if isinstance(error, OSError):
        offline = " (HF_HUB_OFFLINE is set)" if os.environ.get("HF_HUB_OFFLINE") else ""
        return EncoderError(
            f"{kind} encoder {name!r} is neither bundled ({', '.join(names()[kind])}) nor a folder, and as a "
            f"Hugging Face model it is not on this machine and cannot be fetched{offline}: {reason} "
            f"On a machine with a network run `hf download {name} --local-dir FOLDER`, then name it here."
        )
    return EncoderError(f"{kind} encoder {name!r} cannot be opened: {reason}")


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__
