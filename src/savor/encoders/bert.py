"""BERT in plain PyTorch, for the text encoder that comes with Savor.

Transformers gives the same numbers, but importing its modules for one network takes longer than everything
else of a search together. Weights, their names and the tokenizer are those of the published files, so that a
description of the encoder does not change (a test compares both).

Source: Devlin et al., BERT (NAACL 2019).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch


@dataclass(frozen=True)
class Config:
    """Sizes of the network, as `config.json` names them."""

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    max_position_embeddings: int
    type_vocab_size: int
    layer_norm_eps: float
    model_type: str = "bert"


class BertModel(nn.Module):
    """The network with the parameters' names of transformers, `(b, w) -> (b, w, d)`; no dropout."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        width = config.hidden_size
        self.embeddings = nn.Module()
        self.embeddings.word_embeddings = nn.Embedding(config.vocab_size, width, padding_idx=0)
        self.embeddings.position_embeddings = nn.Embedding(config.max_position_embeddings, width)
        self.embeddings.token_type_embeddings = nn.Embedding(config.type_vocab_size, width)
        self.embeddings.LayerNorm = nn.LayerNorm(width, config.layer_norm_eps)
        self.encoder = nn.Module()
        self.encoder.layer = nn.ModuleList(_Layer(config) for _ in range(config.num_hidden_layers))
        self.pooler = nn.Module()
        self.pooler.dense = nn.Linear(width, width)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> SimpleNamespace:
        """Return the last states; `attention_mask (b, w)` is 1 where something is."""
        parts: Any = self.embeddings
        positions = parts.position_embeddings.weight[: input_ids.shape[1]]
        states = parts.word_embeddings(input_ids) + parts.token_type_embeddings.weight[0] + positions
        states = parts.LayerNorm(states)
        mask = attention_mask.bool()[:, None, None, :]
        layers: Any = self.encoder.layer
        for layer in layers:
            states = layer(states, mask)
        return SimpleNamespace(last_hidden_state=states)


class _Layer(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        width, inner = config.hidden_size, config.intermediate_size
        self.heads = config.num_attention_heads
        self.attention = nn.Module()
        self.attention.self = nn.Module()
        for name in ("query", "key", "value"):
            setattr(self.attention.self, name, nn.Linear(width, width))
        self.attention.output = _output(width, width, config)
        self.intermediate = nn.Module()
        self.intermediate.dense = nn.Linear(width, inner)
        self.output = _output(inner, width, config)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        own: Any = self.attention.self
        outputs: tuple[Any, Any] = (self.attention.output, self.output)
        query, key, value = (
            part(states).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for part in (own.query, own.key, own.value)
        )
        seen = F.scaled_dot_product_attention(query, key, value, attn_mask=mask).transpose(1, 2).flatten(2)
        states = outputs[0].LayerNorm(outputs[0].dense(seen) + states)
        inner: Any = self.intermediate
        return outputs[1].LayerNorm(outputs[1].dense(F.gelu(inner.dense(states))) + states)  # type: ignore[no-any-return]


def _output(before: int, after: int, config: Config) -> nn.Module:
    module = nn.Module()
    module.dense = nn.Linear(before, after)
    module.LayerNorm = nn.LayerNorm(after, config.layer_norm_eps)
    return module


class BertTokenizer:
    """The published tokenizer, called as those of transformers are.

    The name is part of an encoder's description; `is_fast` says that it knows where its tokens stand.
    """

    is_fast = True

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer

        facts = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
        self.backend_tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.model_max_length = int(facts["model_max_length"])
        self.pad_token_id = self.backend_tokenizer.token_to_id(facts["pad_token"])

    def __call__(self, lines: Sequence[str], *, max_length: int, **wanted: bool) -> dict[str, list[Any]]:
        """Return the ids of lines cut at a length; the cut-off parts follow where asked for."""
        backend = self.backend_tokenizer
        backend.no_padding()
        backend.enable_truncation(max_length)
        windows = []
        for number, encoded in enumerate(backend.encode_batch(list(lines))):
            more = encoded.overflowing if wanted.get("return_overflowing_tokens") else []
            windows += [(number, window) for window in (encoded, *more)]
        return {
            "overflow_to_sample_mapping": [number for number, _ in windows],
            "input_ids": [window.ids for _, window in windows],
            "special_tokens_mask": [window.special_tokens_mask for _, window in windows],
            "offset_mapping": [window.offsets for _, window in windows],
        }


def open_bert(folder: Path) -> tuple[BertTokenizer, BertModel]:
    """Open the tokenizer and the network in a folder as Hugging Face has them."""
    from safetensors.torch import load_file

    facts = json.loads((folder / "config.json").read_text("utf-8"))
    config = Config(**{name: facts[name] for name in Config.__dataclass_fields__})
    weights: dict[str, torch.Tensor] = load_file(folder / "model.safetensors")
    weights.pop("embeddings.position_ids", None)  # 0, 1, 2, ...
    network = BertModel(config)
    network.load_state_dict(weights)
    return BertTokenizer(folder), network.eval().requires_grad_(False)
