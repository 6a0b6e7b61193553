"""Published files of hierarchical transformers (H-T): checkpoints and embeddings, read and never run.

Source of the layouts: the code of Salvador et al. (CVPR 2021), github.com/amzn/image-to-recipe-transformers.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from savor.errors import DataError, MethodError, OptionError
from savor.features import Dims
from savor.methods.hierarchical_transformer import HierarchicalTransformer
from savor.pickles import load_all
from savor.vocabulary import read_published

if TYPE_CHECKING:
    from torch import Tensor

    from savor.batch import Array

ARGS, WEIGHTS, VOCABULARY = "args.pkl", "model-best.ckpt", "vocab.pkl"
_OPTIONS = {
    "dim": "output_size",
    "width": "hidden_recipe",
    "layers": "tf_n_layers",
    "heads": "tf_n_heads",
    "margin": "margin",
}
_RENAMED = (
    (r"^text_encoder\.word_embedding\.", "recipe_tower.embedding."),
    (r"^text_encoder\.tfs\.", "recipe_tower.lines."),
    (r"^text_encoder\.merger\.", "recipe_tower.parts."),
    (r"\.pos_encoder\.weight$", ".places"),
    (r"\.tf\.layers\.", ".encoder.layers."),
    (r"^merger_recipe\.", "recipe_head.0."),
    (r"^image_encoder\.fc\.", "image_tower.0."),
    (r"^projector_recipes\.(\w+)\.(\w+)\.", r"projections.\1_to_\2."),
)
_BACKBONE = "image_encoder.backbone."
# What the published model does not have: its photos are not standardised, its recipes have every part, and
# its vocabulary is a file of its own.
_OURS = ("standardise.mean", "standardise.spread", "recipe_tower.missing", "recipe_tower.embedding.letters")


def convert(folder: str | Path, vocabulary: str | Path | None = None) -> HierarchicalTransformer:
    """Make a method of a published checkpoint, a folder with `args.pkl` and `model-best.ckpt`.

    The weights of the photo network in it are left out: the method reads the vectors that network gives
    before its last layer (2,048 for ResNet-50, 768 for ViT-B/16), so photos have to be encoded with it.

    Args:
        folder: the unpacked checkpoint.
        vocabulary: the published `vocab.pkl`; None: the one in the folder.

    Raises:
        DataError: the arguments or the vocabulary are missing or something else.
        MethodError: the weights are missing, damaged, or not those of this method.
    """
    folder = Path(folder)
    arguments = load_all(folder / ARGS, classes=("Namespace",))
    words = read_published(folder / VOCABULARY if vocabulary is None else vocabulary)
    weights = _weights(folder / WEIGHTS)
    found = vars(arguments[0]) if arguments and hasattr(arguments[0], "__dict__") else {}
    if lacking := [name for name in _OPTIONS.values() if not isinstance(found.get(name), int | float)]:
        raise DataError(f"{folder / ARGS}: no arguments of a training (no {lacking[0]!r})")
    try:
        image, inner = (
            weights["image_tower.0.weight"],
            weights["recipe_tower.lines.title.encoder.layers.0.linear1.weight"],
        )
        options = {name: found[theirs] for name, theirs in _OPTIONS.items()}
        method = HierarchicalTransformer.build(
            Dims(image=image.shape[1], text=0), {**options, "inner": len(inner), "faithful": True}
        )
        assert method.recipe_tower.embedding is not None
        method.recipe_tower.embedding.learn(words)
        own = method.state_dict()
        method.load_state_dict({**{name: own[name] for name in _OURS}, **weights})
    except (KeyError, RuntimeError, OptionError) as error:
        reason = " ".join(str(error).split())
        raise MethodError(
            f"{folder / WEIGHTS}: not the weights that {ARGS} and the vocabulary of {len(words)} words say"
            f" ({reason}); name the folder and the vocabulary of one training"
        ) from error
    return method.eval()


def _weights(path: Path) -> dict[str, Tensor]:
    """Read the weights under our names, without those of the photo network."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise MethodError(f"{path}: cannot be read ({error.strerror or error})") from error
    except Exception as error:  # a damaged file fails in the archive, the pickle or the shapes
        reason = str(error).split("\n")[0]
        raise MethodError(f"{path}: no file of weights alone ({reason}); nothing in it was run") from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise MethodError(f"{path}: no weights by name; name the folder of a published checkpoint")
    return {_renamed(name): value.float() for name, value in state.items() if not name.startswith(_BACKBONE)}


def _renamed(name: str) -> str:
    for theirs, ours in _RENAMED:
        name = re.sub(theirs, ours, name)
    return name


def read_embeddings(path: str | Path) -> dict[str, Array]:
    """Read the embeddings that the public code's `test.py` writes, `feats_<split>.pkl`.

    Three pickles stand one after the other: image vectors `(n, dim)`, recipe vectors `(n, dim)`, the list of
    ids. They come back as `savor embed` writes them, so that `np.savez(out, **read_embeddings(path))` makes
    such a file: `ids` sorted, `image` and `recipe` with unit rows in float32.

    Raises:
        DataError: the file is missing or something else.
    """
    values: list[Any] = load_all(path, arrays=True)
    if (
        len(values) != 3
        or not isinstance(values[2], list)
        or not all(isinstance(one, str) for one in values[2])
    ):
        raise DataError(f"{path}: no embeddings; expected image vectors, recipe vectors and a list of ids")
    image, recipe, ids = values[0], values[1], np.array(values[2], np.str_)
    if not all(
        isinstance(side, np.ndarray) and side.ndim == 2 and len(side) == len(ids) for side in (image, recipe)
    ):
        raise DataError(f"{path}: no embeddings; expected one row of two matrices for each of {len(ids)} ids")
    if len(set(ids.tolist())) < len(ids):
        raise DataError(f"{path}: an id occurs twice; each recipe is embedded once")
    order = np.argsort(ids, kind="stable")
    return {"ids": ids[order], "image": _unit(image[order]), "recipe": _unit(recipe[order])}


def _unit(rows: Array) -> Array:
    rows = rows.astype(np.float32)
    unit: Array = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return unit
