"""The published layout of H-T, written here and read back: weights, arguments, vocabulary and embeddings."""

from __future__ import annotations

import argparse
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from savor.batch import Batch
from savor.errors import DataError, MethodError
from savor.published import convert, read_embeddings
from savor.recipe import PARTS, Recipe

WORDS = ["<pad>", "<start>", "<end>", *"abcdefgh", "<unk>"]
WIDTH, DIM, IMAGE = 16, 6, 10
RECIPE = Recipe("1", "a b", ("c d e", "f", "unheard g"), ("h a b c d e f g h a b c d e f g h", "b"))


class Encoder(nn.Module):
    """A transformer with learned places and a masked mean, padded, under the published names."""

    def __init__(self) -> None:
        super().__init__()
        self.pos_encoder = nn.ParameterDict({"weight": torch.randn(50, WIDTH)})
        layer = nn.TransformerEncoderLayer(WIDTH, 4, 24, batch_first=True)
        self.tf = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

    def forward(self, values: torch.Tensor, padding: torch.Tensor) -> torch.Tensor:
        values = values + self.pos_encoder["weight"][: values.shape[1]]
        states = self.tf(values, src_key_padding_mask=padding)
        return (states * ~padding[..., None]).sum(1) / (~padding).sum(1, keepdim=True)


class Published(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.text_encoder = nn.ModuleDict(
            {
                "word_embedding": nn.Embedding(len(WORDS), WIDTH),
                "tfs": nn.ModuleDict({part: Encoder() for part in PARTS}),
                "merger": nn.ModuleDict({part: Encoder() for part in PARTS[1:]}),
            }
        )
        self.merger_recipe = nn.Linear(3 * WIDTH, DIM)
        self.image_encoder = nn.ModuleDict({"fc": nn.Linear(IMAGE, DIM), "backbone": nn.Conv2d(3, 4, 3)})
        self.projector_recipes = nn.ModuleDict(
            {b: nn.ModuleDict({a: nn.Linear(WIDTH, WIDTH) for a in PARTS if a != b}) for b in PARTS}
        )

    def forward(self, title: torch.Tensor, ingredients: torch.Tensor, instructions: torch.Tensor):
        embed, words = self.text_encoder["word_embedding"], self.text_encoder["tfs"]
        vectors = [words["title"](embed(title), title == 0)]
        for part, ids in (("ingredients", ingredients), ("instructions", instructions)):
            lines = words[part](embed(ids), ids == 0)[None]
            absent = torch.zeros(lines.shape[:2], dtype=torch.bool)
            vectors.append(self.text_encoder["merger"][part](lines, absent))
        return torch.tanh(self.merger_recipe(torch.cat(vectors, 1)))


@pytest.fixture
def model() -> Published:
    return Published().eval()


@pytest.fixture
def folder(tmp_path: Path, model: Published) -> Path:
    arguments = argparse.Namespace(
        output_size=DIM, hidden_recipe=WIDTH, tf_n_layers=2, tf_n_heads=4, margin=0.25, root="somewhere"
    )
    (tmp_path / "args.pkl").write_bytes(pickle.dumps(arguments))
    (tmp_path / "vocab.pkl").write_bytes(pickle.dumps(dict(enumerate(WORDS))))
    torch.save(model.state_dict(), tmp_path / "model-best.ckpt")
    return tmp_path


def padded(lines: list[list[int]]) -> torch.Tensor:
    longest = max(map(len, lines))
    return torch.tensor([line + [0] * (longest - len(line)) for line in lines])


@torch.no_grad()
def test_a_converted_checkpoint_embeds_as_the_published_model(folder: Path, model: Published) -> None:
    method = convert(folder)
    assert method.options["faithful"]
    assert (method.margin.now, method.dims.image, method.training) == (0.25, IMAGE, False)
    title, (first, second, third) = [[1, 3, 4, 2]], ([1, 5, 6, 7, 2], [1, 8, 2], [1, 11, 9, 2])
    long = [1, 10, *range(3, 11), *range(3, 8)]  # 15 ids: the rest and the end are cut off
    expected = model(padded(title), padded([first, second, third]), padded([long, [1, 4, 2]]))
    batch = Batch(("1",), image=torch.randn(1, IMAGE), **method.raw.recipes([RECIPE]))
    assert torch.allclose(method.embed_recipe(batch), nn.functional.normalize(expected), atol=1e-5)
    photo = torch.tanh(model.image_encoder["fc"](batch.image))
    assert torch.allclose(method.embed_image(batch), nn.functional.normalize(photo), atol=1e-6)
    for b in PARTS:
        for a in PARTS:
            if a != b:
                theirs = model.projector_recipes[b][a].weight
                assert torch.equal(method.projections[f"{b}_to_{a}"].weight, theirs)


def test_the_vocabulary_may_lie_elsewhere(folder: Path, tmp_path: Path) -> None:
    other = (folder / "vocab.pkl").rename(tmp_path / "words.pkl")
    assert convert(folder, other).recipe_tower.embedding.vocabulary.words == tuple(WORDS)
    with pytest.raises(DataError, match=r"vocab\.pkl: cannot be read"):
        convert(folder)


def test_what_does_not_fit_together_is_a_named_error(folder: Path, model: Published) -> None:
    (folder / "vocab.pkl").write_bytes(pickle.dumps(dict(enumerate([*WORDS[:5], "<unk>"]))))
    with pytest.raises(
        MethodError, match=r"not the weights that args\.pkl and the vocabulary of 6 words say"
    ):
        convert(folder)
    (folder / "vocab.pkl").write_bytes(pickle.dumps(dict(enumerate(WORDS))))
    state = model.state_dict()
    for changed in (
        {**state, "more.weight": torch.zeros(1)},
        {k: v for k, v in state.items() if "fc" not in k},
    ):
        torch.save(changed, folder / "model-best.ckpt")
        with pytest.raises(MethodError, match="not the weights that"):
            convert(folder)
    (folder / "args.pkl").write_bytes(pickle.dumps(argparse.Namespace(margin=0.3)))
    with pytest.raises(DataError, match=r"args\.pkl: no arguments of a training \(no 'output_size'\)"):
        convert(folder)


class Harm:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize("name", ["args.pkl", "vocab.pkl", "model-best.ckpt"])
def test_a_file_that_would_run_something_is_refused(folder: Path, name: str) -> None:
    made = folder / "made"
    if name.endswith("ckpt"):
        torch.save({"a": Harm(made)}, folder / name)
    else:
        (folder / name).write_bytes(pickle.dumps(Harm(made)))
    with pytest.raises((DataError, MethodError), match=f"{name}: no .*nothing in it was run"):
        convert(folder)
    assert not made.exists()


def test_embeddings_come_back_sorted_and_of_unit_length(tmp_path: Path) -> None:
    path = tmp_path / "feats_test.pkl"
    image, recipe = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32)
    path.write_bytes(b"".join(pickle.dumps(value) for value in (image, recipe, ["b", "c", "a"])))
    found = read_embeddings(path)
    assert found["ids"].tolist() == ["a", "b", "c"]
    for side, rows in (("image", image), ("recipe", recipe)):
        assert found[side].dtype == np.float32
        assert np.allclose(found[side], (rows / np.linalg.norm(rows, axis=1, keepdims=True))[[2, 0, 1]])
    np.savez(tmp_path / "out.npz", **found)
    with np.load(tmp_path / "out.npz", allow_pickle=False) as arrays:
        assert set(arrays) == {"ids", "image", "recipe"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((np.zeros((2, 3)), np.zeros((2, 3))), "expected image vectors, recipe vectors and a list of ids"),
        ((np.zeros((2, 3)), np.zeros((1, 3)), ["a", "b"]), "one row of two matrices for each of 2 ids"),
        ((np.zeros((2, 3)), np.zeros((2, 3)), ["a", "a"]), "an id occurs twice"),
        (([1], [2], ["a"]), "one row of two matrices"),
    ],
)
def test_other_embeddings_are_refused(tmp_path: Path, values: tuple, message: str) -> None:
    path = tmp_path / "feats.pkl"
    path.write_bytes(b"".join(pickle.dumps(value) for value in values))
    with pytest.raises(DataError, match=message):
        read_embeddings(path)
