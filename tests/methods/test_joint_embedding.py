"""JE: its loss by hand, the published towers with words and skip-instructions, and what a run needs later."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from savor.batch import Batch
from savor.errors import DataError, MethodError, OptionError
from savor.features import Dims, Features
from savor.methods import joint_embedding
from savor.methods.joint_embedding import JointEmbedding, RecipeLSTMs
from savor.recipe import PARTS, Recipe
from savor.runs import describe, open_run, save_run
from savor.skip_instructions import WIDTH
from savor.training import TrainingOptions, train
from savor.vocabulary import SPECIAL, UNKNOWN, Vocabulary

SMALL = {"dim": 8, "hidden": 16, "word_width": 4, "min_count": 1}
OPTIONS = TrainingOptions(epochs=2, batch_size=42, learning_rate=3e-3)


@pytest.fixture(scope="module")
def features(toy_features: Path) -> Features:
    return Features.open(toy_features)


def make(dims: Dims | None = None, **options) -> JointEmbedding:
    torch.manual_seed(0)
    return JointEmbedding.build(dims or Dims(12, 16, 5), {**SMALL, **options})


def write_word2vec(path: Path, vectors: dict[str, list[float]]) -> str:
    width = len(next(iter(vectors.values())))
    rows = [f"{word} ".encode() + np.array(one, "<f4").tobytes() for word, one in vectors.items()]
    path.write_bytes(f"{len(vectors)} {width}\n".encode() + b"".join(rows))
    return str(path)


class FakeSkipInstructions:
    """Vectors of the recipes whose ids are in `known`, two each, that hold the id's place in it."""

    known: tuple[str, ...] = ()

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def find(self, ids: list[str]) -> np.ndarray:
        return np.array([self.known.index(one) if one in self.known else -1 for one in ids])

    def padded(self, ids: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
        found = self.find(list(ids))
        values = np.zeros((len(ids), 2, WIDTH)) + found[:, None, None] / 10
        return values.astype(np.float32), np.stack([found >= 0, found >= 0], 1)


@pytest.fixture
def skip(monkeypatch: pytest.MonkeyPatch) -> type[FakeSkipInstructions]:
    monkeypatch.setattr(joint_embedding, "SkipInstructions", FakeSkipInstructions)
    monkeypatch.setattr(FakeSkipInstructions, "known", ())
    return FakeSkipInstructions


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"words": "none"}, "words='none': choose one of encoder, learned"),
        ({"words": "learned"}, "words='learned': only the published towers read them; add faithful=true"),
        ({"skip_instructions": "x"}, "skip_instructions='x': only the published towers"),
        ({"word2vec": "x"}, "word2vec='x': word vectors go with faithful=true words=learned"),
        ({"word2vec": "x", "faithful": True, "words": "encoder"}, "word2vec='x'"),
        ({"margin": 1.5}, "margin=1.5, class_weight=0.01"),
        ({"class_weight": 0.6}, "class_weight=0.6"),
        ({"class_weight": -0.1}, "class_weight=-0.1: must be at least 0"),
        ({"word_width": 0}, "word_width=0: must be at least 1"),
    ],
)
def test_options_out_of_range(options: dict, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        make(**options)


def test_the_loss_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    method = make(margin=0.1, class_weight=0.2, dim=2)
    image = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    recipe = torch.tensor([[0.8, 0.6], [0.0, 1.0], [0.0, 1.0]])

    def other(image: torch.Tensor, recipe: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return image[[0, 2, 0]], recipe, torch.tensor([True, False, False])

    monkeypatch.setattr(joint_embedding, "mismatched", other)
    with torch.no_grad():
        method.classifier.weight.copy_(torch.arange(10.0).view(5, 2))
    batch = Batch(("a", "b", "c"), category=torch.tensor([0, 3, 1]))
    found = method.pair_loss(image, recipe, batch).item()
    # Matched at 0.8: 0.2. Mismatched at 0.8 and 0: 0.7 and nothing.
    pairs = (0.2 + 0.7 + 0) / 3
    classes = 0.0
    for side in (image, recipe):
        logits = (side @ method.classifier.weight.T + method.classifier.bias).tolist()
        logs = [np.log(np.exp(logits[row]).sum()) - logits[row][kind] for row, kind in ((1, 3), (2, 1))]
        classes += sum(logs) / 2  # each photo keeps its own class, the first item has none
    assert found == pytest.approx(0.6 * pairs + 0.2 * classes, rel=1e-5)


def test_the_loss_is_that_of_torch_with_a_weight_of_0_for_class_0() -> None:
    method = make(class_weight=0.01)
    image, recipe = torch.nn.functional.normalize(torch.randn(2, 30, 8), dim=-1)
    category = torch.arange(30) % 5
    torch.manual_seed(3)
    found = method.pair_loss(image, recipe, Batch(("",) * 30, category=category))
    torch.manual_seed(3)
    photos, recipes, matched = joint_embedding.mismatched(image, recipe)
    cosine = torch.nn.CosineEmbeddingLoss(0.1)(photos, recipes, 2 * matched.long() - 1)
    weights = torch.tensor([0.0, 1, 1, 1, 1])
    entropy = torch.nn.CrossEntropyLoss(weights)
    classes = entropy(method.classifier(image), category) + entropy(method.classifier(recipe), category)
    assert torch.allclose(found, 0.98 * cosine + 0.01 * classes)


def test_without_a_class_the_loss_is_that_of_the_pairs() -> None:
    method = make(Dims(12, 16, 1), class_weight=0.5)
    rows = torch.eye(4, 8)
    assert method.pair_loss(rows, rows, Batch(("",) * 4, category=torch.zeros(4).long())).item() == 0
    with pytest.raises(MethodError, match="this batch holds no category"):
        method.pair_loss(rows, rows, Batch(("",) * 4))


def with_words(**options) -> JointEmbedding:
    method = make(faithful=True, **options)
    method.lstms.embedding.learn(Vocabulary((*SPECIAL, *"abcdefgh", UNKNOWN)))
    return method.eval()


RECIPES = [
    Recipe("1", "x", ("a b", "c"), ("d", "e f")),
    Recipe("2", "y", ("h g f e d c b a",), ()),
    Recipe("3", "z", (), ("a",)),
]


def batch_of(method: JointEmbedding, **others) -> Batch:
    fields = method.raw.recipes(RECIPES)
    return Batch(("1", "2", "3"), **{**fields, "instructions": torch.randn(3, 2, 16), **others})


@torch.no_grad()
def test_the_published_recipe_tower_beside_a_slow_twin() -> None:
    method = with_words()
    batch = batch_of(method)
    lstms: RecipeLSTMs = method.lstms
    linear = method.recipe_tower[1]
    for row, recipe in enumerate(RECIPES):
        states = [torch.zeros(1024), torch.zeros(600)]
        if recipe.instructions:
            steps = batch.instructions[row, : len(recipe.instructions)]
            states[0] = lstms.instructions.lstm(steps[None])[1][0][0, 0]
        if recipe.ingredients:
            ids = [one for line in recipe.ingredients for one in lstms.embedding.vocabulary.ids(line)]
            states[1] = lstms.ingredients.lstm(lstms.embedding.weight[ids][None])[1][0][:, 0].flatten()
        expected = torch.nn.functional.normalize(linear(torch.cat(states)).tanh(), dim=0)
        assert torch.allclose(method.embed_recipe(batch)[row], expected, atol=1e-5)


@torch.no_grad()
def test_the_published_tower_reads_only_what_it_says() -> None:
    method = with_words()
    batch = batch_of(method)
    vectors = method.embed_recipe(batch)
    others = replace(
        batch,
        title_ids=batch.title_ids + 1,
        instructions_ids=torch.ones(3, 2, 4).long(),
        instructions=torch.where(batch.instructions_mask[..., None], batch.instructions, 77.0),
    )
    assert torch.equal(method.embed_recipe(others), vectors)
    hidden = replace(batch, ingredients_mask=torch.zeros_like(batch.ingredients_mask))
    gone = replace(batch, ingredients_ids=torch.full_like(batch.ingredients_ids, -1))
    assert torch.equal(method.embed_recipe(hidden), method.embed_recipe(gone))
    with pytest.raises(MethodError, match="this batch holds no lines"):
        method.embed_recipe(replace(batch, instructions=None))
    with pytest.raises(MethodError, match="this batch holds no word ids"):
        method.embed_recipe(replace(batch, ingredients_ids=None))
    with pytest.raises(MethodError, match="this batch holds no image"):
        method.embed_image(batch)


def test_only_ingredients_are_read_as_words(features: Features) -> None:
    method = with_words()
    batch = batch_of(method)
    assert not (batch.instructions_ids >= 0).any()
    assert batch.instructions_mask.sum(1).tolist() == [2, 0, 1]
    stored = features.batch(np.arange(8), method.uses, raw=method.raw)
    lines = features.batch(np.arange(8), ("lines",))
    for part in PARTS:
        assert torch.equal(getattr(stored, f"{part}_mask"), getattr(lines, f"{part}_mask"))


@pytest.mark.parametrize("words", ["learned", "encoder"])
def test_the_published_towers_learn_stop_and_go_on(words: str, features: Features, tmp_path: Path) -> None:
    def build() -> JointEmbedding:
        return make(features.dims, faithful=True, words=words)

    def stop(entry: dict) -> None:
        raise KeyboardInterrupt

    whole, resumed = build(), build()
    train(whole, features, options=OPTIONS, val_split=None)
    with pytest.raises(KeyboardInterrupt):
        train(build(), features, options=OPTIONS, val_split=None, folder=tmp_path, on_epoch=stop)
    train(resumed, features, options=OPTIONS, val_split=None, folder=tmp_path)
    state = resumed.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in whole.state_dict().items())
    start = dict(build().named_parameters())
    changed = [name for name, value in whole.named_parameters() if not torch.equal(value, start[name])]
    assert len(changed) == len(start)


def test_words_start_from_a_file_that_a_run_does_not_need_again(features: Features, tmp_path: Path) -> None:
    rows = features.rows("train", photo=True, text=True)
    lines = [line for row in rows for line in features.recipe(int(row)).lines("ingredients")]
    words = Vocabulary.of(lines, min_count=1).words
    file = write_word2vec(tmp_path / "vocab.bin", {words[3]: [3.0, 0, 4, 0], "zzz": [1.0] * 4})
    method = make(features.dims, faithful=True, word2vec=file)
    method.prepare(features, rows)
    embedding = method.lstms.embedding
    assert embedding.vocabulary.words == words
    assert torch.allclose(embedding.weight[3], torch.tensor([0.6, 0, 0.8, 0]))
    assert torch.allclose(embedding.weight.norm(dim=1), torch.ones(len(words)))
    save_run(tmp_path, method, describe("joint_embedding", method, features))
    Path(file).unlink()
    again = open_run(tmp_path).method
    assert again.lstms.embedding.vocabulary.words == words
    for one, two in zip(method.embed(features, [0, 1]), again.embed(features, [0, 1]), strict=True):
        assert np.array_equal(one, two)


@pytest.mark.parametrize(
    ("vectors", "message"),
    [({"zzz": [1.0] * 4}, "has none of the"), (None, "vectors of width 3; set word_width=3")],
)
def test_word_vectors_that_do_not_fit(features: Features, tmp_path: Path, vectors, message: str) -> None:
    rows = features.rows("train", photo=True, text=True)
    word = features.recipe(int(rows[0])).lines("ingredients")[0].split()[-1].lower()
    file = write_word2vec(tmp_path / "vocab.bin", vectors or {word: [1.0] * 3})
    with pytest.raises(MethodError, match=message):
        make(features.dims, faithful=True, word2vec=file).prepare(features, rows)
    with pytest.raises(DataError, match="cannot be read"):
        make(features.dims, faithful=True, word2vec="nowhere").prepare(features, rows)


@torch.no_grad()
@pytest.mark.parametrize("words", ["learned", "encoder"])
def test_skip_instructions_stand_for_the_steps(words: str, skip, features: Features) -> None:
    method = make(features.dims, faithful=True, words=words, skip_instructions="files").eval()
    rows = np.array([k for k in range(len(features)) if features.recipe(k).lines("instructions")])[:3]
    ids = features.ids[rows].tolist()
    skip.known = ("", ids[2], ids[0])
    batch = features.batch(rows, method.uses, raw=method.raw)
    values, mask = method.lstms._skip_instructions(batch)
    assert values[:, 0, 0].tolist() == pytest.approx([0.2, -0.1, 0.1])
    assert mask.tolist() == [[True] * 2, [False] * 2, [True] * 2]
    vectors = method.embed_recipe(batch)
    unwritten = replace(batch, instructions_mask=torch.zeros_like(batch.instructions_mask))
    assert torch.allclose(method.embed_recipe(unwritten)[1], vectors[1], atol=1e-6)
    assert not torch.allclose(method.embed_recipe(unwritten)[0], vectors[0], atol=1e-4)
    outside = replace(batch, ids=("", *batch.ids[1:]))
    with pytest.raises(MethodError, match="no skip-instructions of a recipe from outside the data set"):
        method.embed_recipe(outside)
    assert torch.isfinite(method.embed_recipe(replace(unwritten, ids=("",) * 3))).all()


def test_skip_instructions_of_other_recipes_are_refused(skip, features: Features) -> None:
    method = make(features.dims, faithful=True, skip_instructions="files")
    assert "lines" not in method.uses
    rows = features.rows("train", photo=True, text=True)
    with pytest.raises(MethodError, match=f"files: holds none of the {len(rows)} training recipes"):
        method.look_at(features, rows)
    skip.known = (features.ids[rows[4]],)
    method.look_at(features, rows)


def test_a_folder_without_files_is_named_before_training(features: Features, tmp_path: Path) -> None:
    method = make(features.dims, faithful=True, skip_instructions=str(tmp_path))
    with pytest.raises(DataError, match=r"no encs_\*_1024\.t7 here"):
        train(method, features, options=OPTIONS)
