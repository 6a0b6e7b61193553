"""Re-ranking by a pair scorer: from its states to training, evaluation and search."""

from __future__ import annotations

import json
import sys
import types
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from savor import Searcher, methods, metrics, reranking
from savor.batch import Encoded
from savor.cli import main
from savor.datasets import open_dataset
from savor.errors import FeaturesError, MethodError, UsageError, VectorIndexError
from savor.evaluation import DIRECTIONS, evaluate
from savor.extraction import extract
from savor.features import Features
from savor.index import embedding, open_index
from savor.index.building import build
from savor.methods.base import Method
from savor.reranking import PairScorer, Side
from savor.runs import open_run
from savor.training import TrainingOptions, selection_score, train, validation_scores


class Matcher(Method):
    """Scores a pair by the best word of each patch."""

    __module__ = "savor.methods.matcher"
    paper = "these tests"
    uses = ("image", "patches", "lines", "tokens")
    trains_with = TrainingOptions(epochs=2, batch_size=100, learning_rate=3e-3)

    def __init__(self, dims, *, dim: int = 8, reranks: int = 5, words: int = 0) -> None:
        super().__init__(dims)
        self.reranks, self.words = reranks, words
        self.image_tower, self.recipe_tower = nn.Linear(dims.image, dim), nn.Linear(dims.text, dim)
        self.drop = nn.Dropout(0.5)

    def embed_image(self, batch):
        return F.normalize(self.image_tower(self.drop(batch.image)), dim=-1)

    def embed_recipe(self, batch):
        return self.encode_recipes(batch).vectors

    def encode_images(self, batch):
        return Encoded(self.embed_image(batch), self.image_tower(batch.patches))

    def encode_recipes(self, batch):
        states = self.recipe_tower(batch.words)
        mean = (states * batch.words_mask[..., None]).sum(1) + 1e-3
        return Encoded(F.normalize(mean, dim=-1), states, batch.words_mask)

    def pair_scores(self, images, recipes):
        table = torch.einsum("npd,nwd->npw", images.states, recipes.states)
        best = table.masked_fill(~recipes.mask[:, None], -9.0).amax(2)
        return best.mean(1) + (images.vectors * recipes.vectors).sum(-1)

    def losses(self, batch):
        images, recipes = self.encode_images(batch), self.encode_recipes(batch)
        yield "towers", F.cross_entropy(10 * images.vectors @ recipes.vectors.T, torch.arange(len(batch)))


@pytest.fixture(autouse=True)
def _installed(monkeypatch):
    """Make the method one of those that commands and runs know."""
    module = types.ModuleType(Matcher.__module__)
    module.Matcher = Matcher
    monkeypatch.setitem(sys.modules, module.__name__, module)
    names = [*methods.available(), "matcher"]
    monkeypatch.setattr(methods, "available", lambda: names)


@pytest.fixture(scope="module")
def features(pairs_features: Path) -> Features:
    return Features.open(pairs_features)


@pytest.fixture(scope="module")
def rows(features):
    return features.rows("test", photo=True, text=True)


def build_matcher(features, **options) -> Matcher:
    torch.manual_seed(0)
    return Matcher.build(features.dims, options).eval()


def table_of(method, features, rows):
    """Score all pairs of some rows at once, `(n, n)`, without any of the machinery."""
    batch = features.batch(rows, method.uses, words=method.words)
    with torch.no_grad():
        return method.score(batch, batch).numpy()


# Sides


def test_a_side_keeps_the_unmasked_states_of_each_item() -> None:
    states = torch.arange(24.0).reshape(3, 4, 2)
    mask = torch.tensor([[True, False, True, False], [False] * 4, [True] * 4])
    side = Side.of(Encoded(torch.eye(3), states, mask))
    assert side.counts.tolist() == [2, 0, 4]
    found = side.encoded(np.array([2, 0, 1]), torch.device("cpu"))
    assert torch.equal(found.vectors, torch.eye(3)[[2, 0, 1]])
    assert found.mask.tolist() == [[True] * 4, [True, True, False, False], [False] * 4]
    assert torch.equal(found.states[0], states[2])
    assert torch.equal(found.states[1, :2], states[0, [0, 2]])


def test_a_side_comes_apart_and_together_again() -> None:
    states = torch.arange(24.0).reshape(3, 4, 2)
    mask = torch.tensor([[True, True, True, False], [True] + [False] * 3, [True] * 4])
    side = Side.of(Encoded(torch.eye(3), states, mask))
    joined = Side.join([side, side])
    again = Side.collect(list(joined.items()))
    assert again.counts.tolist() == [3, 1, 4] * 2
    for one, two in zip(joined.items(), [*side.items(), *side.items()], strict=True):
        assert np.array_equal(one[0], two[0])
        assert np.array_equal(one[1], two[1])
        assert one[1].dtype == np.float16


def test_a_side_without_states_has_vectors_only() -> None:
    side = Side.join([Side.of(Encoded(torch.eye(2))), Side.of(Encoded(torch.eye(2)))])
    assert len(side) == 4
    assert all(states is None for _, states in side.items())
    found = Side.collect(list(side.items())).encoded(np.array([3]), torch.device("cpu"))
    assert found.states is found.mask is None
    assert found.vectors.tolist() == [[0, 1]]


# The scorer


@pytest.mark.parametrize("chunk", [1, 4000, reranking.CHUNK_BYTES])
def test_pairs_score_as_in_one_table(features, rows, monkeypatch, chunk) -> None:
    monkeypatch.setattr(reranking, "CHUNK_BYTES", chunk)
    method = build_matcher(features)
    scorer = PairScorer(method, features, rows)
    image, recipe = np.random.default_rng(0).integers(0, len(rows), (2, 400))
    expected = table_of(method, features, rows)[image, recipe]
    assert np.allclose(scorer(image, recipe), expected, atol=2e-3)
    assert scorer.__name__ == "matcher"


def test_a_score_is_the_same_alone_and_in_company(features, rows) -> None:
    scorer = PairScorer(build_matcher(features), features, rows)
    image, recipe = np.divmod(np.arange(len(rows) ** 2), len(rows))
    together = scorer(image, recipe)
    alone = [scorer(image[k : k + 1], recipe[k : k + 1])[0] for k in range(0, len(image), 97)]
    assert np.allclose(together[::97], alone, atol=1e-6)


def test_each_item_is_encoded_once_and_the_first_stage_comes_with_it(features, rows, monkeypatch) -> None:
    method, seen = build_matcher(features), {"encode_images": [], "encode_recipes": []}
    monkeypatch.setattr(Matcher, "chunk", 16)
    for name, ids in seen.items():
        encode = getattr(method, name)
        monkeypatch.setattr(method, name, lambda b, e=encode, i=ids: (i.extend(b.ids), e(b))[1])
    scorer = PairScorer(method, features, rows)
    scorer(np.arange(9), np.arange(9))
    assert seen["encode_images"] == seen["encode_recipes"] == features.ids[rows].tolist()
    for one, two in zip(scorer.embeddings, build_matcher(features).embed(features, rows), strict=True):
        assert np.allclose(one, two, atol=1e-6)
        assert one.dtype == np.float32


def test_the_pairs_of_a_call_are_bounded_and_cover_all(features, rows, monkeypatch) -> None:
    method = build_matcher(features)
    scorer, sizes = PairScorer(method, features, rows), []

    def spy(images, recipes):
        sizes.append(
            4 * sum(one.numel() for side in (images, recipes) for one in (side.vectors, side.states))
        )
        return torch.zeros(len(images.vectors))

    monkeypatch.setattr(reranking, "CHUNK_BYTES", 20_000)
    monkeypatch.setattr(method, "pair_scores", spy)
    scorer(*np.divmod(np.arange(len(rows) ** 2), len(rows)))
    assert len(sizes) > 10
    assert max(sizes) <= 20_000


def test_scoring_leaves_mode_and_random_numbers_alone(features, rows) -> None:
    method = build_matcher(features).train()
    before = torch.get_rng_state()
    scorer = PairScorer(method, features, rows)
    first = scorer(np.arange(60), np.arange(60))
    assert method.training
    assert np.array_equal(first, scorer(np.arange(60), np.arange(60)))  # no dropout
    assert torch.equal(torch.get_rng_state(), before)


def test_scores_that_are_not_finite_are_an_error(features, rows) -> None:
    method = build_matcher(features)
    scorer = PairScorer(method, features, rows)
    scorer.images.vectors[3] = np.nan
    with pytest.raises(MethodError, match="1 of 2 pair scores are not finite; train again with"):
        scorer(np.array([3, 2]), np.array([0, 0]))


def test_no_more_words_are_read_than_the_method_takes(features, rows) -> None:
    scorer = PairScorer(build_matcher(features, words=3), features, rows)
    assert scorer.recipes.counts.max() == 3
    assert PairScorer(build_matcher(features), features, rows).recipes.counts.max() > 3


def test_features_without_words_are_refused(write_features, tmp_path: Path) -> None:
    lines = {part: [np.ones((1, 4))] * 6 for part in ("title", "ingredients", "instructions")}
    bare = Features.open(write_features(tmp_path / "f", [np.ones((1, 2))] * 6, lines))
    with pytest.raises(FeaturesError, match="holds no patches"):
        PairScorer(build_matcher(bare), bare, np.arange(6))


# Evaluation


def test_with_every_pair_scored_the_ranks_are_those_of_the_table(features, rows) -> None:
    method = build_matcher(features)
    scorer = PairScorer(method, features, rows)
    report = evaluate(*scorer.embeddings, score=scorer, rerank=1000)
    assert report.scorer == "matcher, top 60"
    every = scorer(*np.divmod(np.arange(3600), 60)).reshape(60, 60)
    for direction, scores in zip(DIRECTIONS, (every, every.T), strict=True):
        assert np.array_equal(report.ranks[direction][0], metrics.ranks(scores))


# Training


def test_validation_is_that_of_the_ranked_again_and_of_the_first_stage(features) -> None:
    method = build_matcher(features)
    log = train(method, features, options=TrainingOptions(epochs=3, batch_size=100, learning_rate=1e-2))
    assert all(entry["selection"] == selection_score(entry["val"]) for entry in log)
    assert all(entry["val"] != entry["val_first_stage"] for entry in log)
    best = max(log, key=lambda entry: entry["selection"])
    found = validation_scores(method, features, features.rows("val", photo=True, text=True))
    assert found == {key: best[key] for key in ("val", "val_first_stage")}


def test_a_pair_scorer_that_diverges_stops_the_training_in_words(features, monkeypatch) -> None:
    method = build_matcher(features)
    monkeypatch.setattr(
        method, "pair_scores", lambda images, recipes: torch.full((len(images.vectors),), torch.nan)
    )
    with pytest.raises(MethodError, match=r"epoch 1: .* pair scores are not finite; train again"):
        train(method, features, options=TrainingOptions(epochs=2, batch_size=100))


def test_training_and_embedding_read_the_methods_number_of_words(features, monkeypatch) -> None:
    asked, original = [], Features.batch

    def spy(self, rows, uses, **options):
        asked.append((options["words"], options.get("rng") is not None))
        return original(self, rows, uses, **options)

    monkeypatch.setattr(Features, "batch", spy)
    method = build_matcher(features, words=3, reranks=0)
    train(method, features, options=TrainingOptions(epochs=1, batch_size=100))
    assert set(asked) == {(3, True), (3, False)}


# The command line


@pytest.fixture
def trained(pairs_features: Path, tmp_path: Path) -> list[str]:
    """Train a run; return the arguments that name it and its features."""
    run = [str(tmp_path / "run"), "--features", str(pairs_features)]
    assert main(["train", "matcher", "--features", str(pairs_features), "--out", run[0]]) == 0
    return run


def report_of(capsys, *arguments: str):
    capsys.readouterr()
    assert main(["evaluate", *arguments, "--json", "-"]) == 0
    return json.loads(capsys.readouterr().out)


def test_evaluate_ranks_again_as_the_method_does_or_as_it_is_told(trained, capsys) -> None:
    config = json.loads((Path(trained[0]) / "config.json").read_text())
    own, first, every = (
        report_of(capsys, *trained, *more) for more in ((), ("--rerank", "0"), ("--rerank", "999"))
    )
    assert [own["scorer"], first["scorer"], every["scorer"]] == [
        "matcher, top 5",
        "cosine",
        "matcher, top 60",
    ]
    for key, report in (("val", own), ("val_first_stage", first)):
        for direction in DIRECTIONS:
            found = {name: report[direction][name] for name in metrics.METRICS}
            assert found == pytest.approx(config[key][direction])
    assert own["image_to_recipe"]["MRR"] != first["image_to_recipe"]["MRR"]


def test_embeddings_are_of_the_first_stage(trained, features, tmp_path: Path) -> None:
    assert main(["embed", *trained, "--split", "val", "--out", str(tmp_path / "e.npz")]) == 0
    method = open_run(trained[0]).method
    expected = method.embed(features, features.rows("val", photo=True, text=True))
    with np.load(tmp_path / "e.npz") as found:
        assert np.array_equal(found["image"], expected[0])
        assert np.array_equal(found["recipe"], expected[1])


def test_a_method_without_a_pair_scorer_cannot_rank_again(
    pairs_features: Path, tmp_path: Path, capsys
) -> None:
    run = str(tmp_path / "run")
    assert main(["train", "cca", "--features", str(pairs_features), "--out", run]) == 0
    arguments = ["evaluate", run, "--features", str(pairs_features), "--rerank"]
    capsys.readouterr()
    assert main([*arguments, "5"]) == 2
    assert "--rerank 5: cca has no pair scorer; leave it out" in capsys.readouterr().err
    assert main([*arguments, "0"]) == 0
    assert main([*arguments, "-1"]) == 2


# Search


@pytest.fixture
def toy(toy_folder: Path, tmp_path: Path, monkeypatch, fake_image, fake_text):
    """A run on the toy kitchen, its features, and which of the small encoders have been opened since."""
    opened, encoders = [], {}
    for kind, encoder in (("image", fake_image), ("text", fake_text)):
        told = {**encoder().describe(), "options": {}}
        encoders[kind] = type(encoder.__name__, (encoder,), {"describe": lambda self, told=told: told})()
        monkeypatch.setattr(
            embedding,
            f"open_{kind}_encoder",
            lambda name, kind=kind: (opened.append(kind), encoders[kind])[1],
        )
    extract(open_dataset(toy_folder), tmp_path / "f", *encoders.values(), grid=(4, 4), tokens=True)
    arguments = ["--features", str(tmp_path / "f"), "--out", str(tmp_path / "run")]
    assert main(["train", "matcher", *arguments, "--set", "words=20", "--set", "batch_size=16"]) == 0
    return open_run(tmp_path / "run"), Features.open(tmp_path / "f"), opened


def picture(toy_folder: Path, features: Features, row: int) -> Path:
    return toy_folder / features.photo_ids(row)[0]


@pytest.mark.parametrize("source", ["features", "data"])
def test_search_ranks_the_nearest_again_whatever_is_asked(toy, toy_folder, tmp_path, source) -> None:
    run, features, _ = toy
    index = tmp_path / "index"
    build(features if source == "features" else open_dataset(toy_folder), run, index, splits=["train"])
    rows = features.rows("train", photo=True, text=True)
    table = dict(zip(features.ids[rows].tolist(), table_of(run.method, features, rows), strict=True))
    row, ids = int(rows[7]), features.ids[rows].tolist()
    plain, five = Searcher(index, rerank=0), Searcher(index)
    recipe = features.recipe(row)
    for question, k, answers in (
        (lambda one, k: one.by_photo(picture(toy_folder, features, row), k), 8, table[ids[7]]),
        (lambda one, k: one.by_recipe(ids[7], k), 8, np.array([table[one][7] for one in ids])),
        (lambda one, k: one.by_recipe(recipe, k), 8, np.array([table[one][7] for one in ids])),
        (lambda one, k: one.by_text(recipe.title, k, find="photos"), 8, None),
    ):
        before, after = question(plain, k), question(five, k)
        assert all(hit.first_stage_score is None for hit in (*before, *after[5:]))
        assert {hit.recipe_id for hit in after[:5]} == {hit.recipe_id for hit in before[:5]}
        assert [hit.recipe_id for hit in after[5:]] == [hit.recipe_id for hit in before[5:]]
        cosines = {hit.recipe_id: hit.score for hit in before}
        assert all(hit.first_stage_score == cosines[hit.recipe_id] for hit in after[:5])
        assert all(one.score >= two.score for one, two in pairwise(after[:5]))
        assert [hit.rank for hit in after] == list(range(1, 9))
        if answers is not None:
            expected = [answers[ids.index(hit.recipe_id)] for hit in after[:5]]
            assert np.allclose([hit.score for hit in after[:5]], expected, atol=1e-2)
        for j in (1, 3, 5, 6):
            assert question(five, j) == after[:j]


def test_search_with_more_ranked_again_than_there_is(toy, toy_folder, tmp_path) -> None:
    run, features, _ = toy
    build(features, run, tmp_path / "index", splits=["train"])
    searcher = Searcher(tmp_path / "index", rerank=1000)
    hits = searcher.by_recipe(features.ids[features.rows("train")][0], 1000)
    assert len(hits) == searcher.index.count("photos")
    assert all(hit.first_stage_score is not None for hit in hits)
    assert "first_stage_score" in hits[0].as_dict()


def test_what_needs_no_second_stage_has_none(toy, toy_folder, tmp_path) -> None:
    run, features, opened = toy
    build(features, run, tmp_path / "index", splits=["train"])
    one = str(features.ids[features.rows("train")][0])
    for rerank in (None, 0):
        searcher = Searcher(tmp_path / "index", rerank)
        hits = searcher.by_recipe(one, 3, find="recipes")
        assert [hit.first_stage_score for hit in hits] == [None] * 3
        assert hits[0].id == one
        assert opened == []
        photos = searcher.by_photo(picture(toy_folder, features, 0), 3, find="photos")
        assert [hit.first_stage_score for hit in photos] == [None] * 3
        opened.clear()
    Searcher(tmp_path / "index").by_recipe(one)
    assert opened == []  # the stored states of both sides are enough


def test_states_that_have_changed_are_refused(toy, tmp_path) -> None:
    run, features, _ = toy
    build(features, run, tmp_path / "index", splits=["train"])
    index = open_index(tmp_path / "index")
    one = str(features.ids[features.rows("train", photo=True)][0])
    photo = index.photos(one)[0]
    assert index.states(one).shape == (20, 8)
    assert index.states(one, photo).shape == (16, 8)
    assert index.states("gone") is index.states(one, "gone") is None
    for file in (tmp_path / "index" / "states").rglob("*.npy"):
        file.write_bytes(b"x")
    with pytest.raises(VectorIndexError, match=r"states/.* is missing or has changed; delete the folder"):
        Searcher(index).by_recipe(one)


def test_an_index_without_a_pair_scorer_cannot_rank_again(toy, pairs_features, tmp_path, capsys) -> None:
    _, features, _ = toy
    run = str(tmp_path / "cca")
    assert main(["train", "cca", "--features", str(features.path), "--out", run]) == 0
    build(features, open_run(run), tmp_path / "index", splits=["train"])
    assert not (tmp_path / "index" / "states").exists()
    one = str(features.ids[features.rows("train")][0])
    manifest = json.loads((tmp_path / "index" / "manifest.json").read_text())
    del manifest["reranks"]  # as in an index that an earlier version made
    (tmp_path / "index" / "manifest.json").write_text(json.dumps(manifest))
    assert Searcher(tmp_path / "index").by_recipe(one)[0].first_stage_score is None
    for rerank, message in ((5, "has no pair scorer; leave it out"), (-1, "must not be negative")):
        with pytest.raises(UsageError, match=f"rerank={rerank}: .*{message}"):
            Searcher(tmp_path / "index", rerank)
    assert main(["search", str(tmp_path / "index"), "--recipe", one, "--rerank", "5"]) == 2


def test_the_search_command_shows_both_scores(toy, tmp_path, capsys) -> None:
    run, features, _ = toy
    build(features, run, tmp_path / "index", splits=["train"])
    arguments = ["search", str(tmp_path / "index"), "--recipe", str(features.ids[features.rows("train")][0])]
    capsys.readouterr()
    assert main([*arguments, "--json", "-", "-k", "6"]) == 0
    hits = json.loads(capsys.readouterr().out)
    assert ["first_stage_score" in hit for hit in hits] == [True] * 5 + [False]
    assert main([*arguments, "--rerank", "2"]) == 0
    assert "first stage" in capsys.readouterr().out
    assert main([*arguments, "--rerank", "0"]) == 0
    assert "first stage" not in capsys.readouterr().out
