"""The loop: the same numbers with and without interruption, the best weights kept, the test unseen."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from savor.errors import MethodError, OptionError, UsageError
from savor.features import Features
from savor.layers import given, part_vectors
from savor.losses import triplet
from savor.methods.base import Method
from savor.methods.triplet_mlp import TripletMLP
from savor.training import (
    LOG,
    STATE,
    TrainingOptions,
    discard_state,
    retrieval_scores,
    selection_score,
    train,
)

OPTIONS = TrainingOptions(epochs=5, batch_size=64, learning_rate=3e-3)


class Linear(Method):
    """Two linear maps; the smallest method there is."""

    def __init__(self, dims, *, dim: int = 8, dropout: float = 0.2) -> None:
        super().__init__(dims)
        self.image_tower = nn.Sequential(nn.Dropout(dropout), nn.Linear(dims.image, dim))
        self.recipe_tower = nn.Linear(3 * dims.text, dim)

    def embed_image(self, batch):
        return nn.functional.normalize(self.image_tower(given(batch.image, "image")), dim=-1)

    def embed_recipe(self, batch):
        return nn.functional.normalize(self.recipe_tower(part_vectors(batch)[0].flatten(1)), dim=-1)

    def losses(self, batch):
        yield "towers", triplet(self.embed_image(batch), self.embed_recipe(batch), 0.3)


class Adversarial(Linear):
    """A critic tells photos from recipes; the towers match them and fool it."""

    def __init__(self, dims, *, dim: int = 8, dropout: float = 0.2) -> None:
        super().__init__(dims, dim=dim, dropout=dropout)
        self.critic = nn.Linear(dim, 1, bias=False)
        self.moved: list[tuple[str, ...]] = []

    def players(self):
        towers = [*self.image_tower.parameters(), *self.recipe_tower.parameters()]
        return {"critic": list(self.critic.parameters()), "towers": towers}

    def values(self) -> dict[str, torch.Tensor]:
        return {
            name: torch.cat([p.detach().flatten().clone() for p in own])
            for name, own in self.players().items()
        }

    def losses(self, batch):
        image, recipe = self.embed_image(batch), self.embed_recipe(batch)
        before = self.values()
        yield "critic", self.critic(recipe.detach() - image.detach()).mean()
        after = self.values()
        yield "towers", triplet(image, recipe, 0.3) + self.critic(image - recipe).mean()
        last = self.values()
        for one, two in ((before, after), (after, last)):
            self.moved.append(tuple(name for name in one if not torch.equal(one[name], two[name])))


class Broken(Linear):
    """Its loss stops being finite in the third step."""

    def losses(self, batch):
        self.steps = getattr(self, "steps", 0) + 1
        (loss,) = (loss for _, loss in super().losses(batch))
        yield "towers", loss if self.steps < 3 else loss * float("nan")


@pytest.fixture(scope="module")
def features(pairs_features: Path) -> Features:
    return Features.open(pairs_features)


def build(method: type[Method], features: Features, seed: int = 0, **options) -> Method:
    torch.manual_seed(seed)
    return method.build(features.dims, options)


def without_seconds(log: list[dict]) -> list[dict]:
    return [{key: value for key, value in entry.items() if key != "seconds"} for entry in log]


def same(one: Method, two: Method) -> bool:
    first, second = one.state_dict(), two.state_dict()
    return all(torch.equal(first[name], second[name]) for name in first)


def interrupt_at(epoch: int):
    def on_epoch(entry: dict) -> None:
        if entry["epoch"] == epoch:
            raise KeyboardInterrupt

    return on_epoch


@pytest.mark.parametrize("method", [Linear, TripletMLP, Adversarial])
@pytest.mark.parametrize("epochs", [(1,), (2, 4), (5,)])
def test_resumed_equals_uninterrupted_to_the_bit(method, epochs, features, tmp_path: Path) -> None:
    small = {"dim": 8, "hidden": 16} if method is TripletMLP else {"dim": 8}
    whole = build(method, features, **small)
    log = train(whole, features, options=OPTIONS, folder=tmp_path / "whole")
    for number, epoch in enumerate(epochs):
        torch.manual_seed(99)  # whatever happened to the generator in the meantime
        with pytest.raises(KeyboardInterrupt):
            train(
                build(method, features, number, **small),  # the state replaces a later one's weights
                features,
                options=OPTIONS,
                folder=tmp_path / "run",
                on_epoch=interrupt_at(epoch),
            )
    resumed = build(method, features, 8, **small)
    again = train(resumed, features, options=OPTIONS, folder=tmp_path / "run")
    assert without_seconds(again) == without_seconds(log)
    assert same(whole, resumed)


@pytest.mark.parametrize("schedule", ["linear", "cosine", "adaptive"])
def test_a_margin_that_changes_is_resumed_to_the_bit(schedule, features, tmp_path: Path) -> None:
    small = {"dim": 8, "hidden": 16, "margin_schedule": schedule, "margin_step": 0.02}
    whole = build(TripletMLP, features, **small)
    log = train(whole, features, options=OPTIONS)
    with pytest.raises(KeyboardInterrupt):
        train(
            build(TripletMLP, features, **small),
            features,
            options=OPTIONS,
            folder=tmp_path / "run",
            on_epoch=interrupt_at(3),
        )
    margins = [entry["margin"] for entry in log]
    state = load_file(tmp_path / "run" / STATE)
    assert state["model.margin.value"].item() == pytest.approx(margins[2], abs=1e-6)
    resumed = build(TripletMLP, features, 8, **small)
    again = train(resumed, features, options=OPTIONS, folder=tmp_path / "run")
    assert without_seconds(again) == without_seconds(log)
    assert same(whole, resumed)
    assert len(set(margins)) > 1
    best = max(log, key=lambda entry: entry["selection"])
    assert resumed.margin.now == pytest.approx(best["margin"], abs=1e-6)  # that of the weights that stay


def test_the_log_tells_the_margin_of_methods_that_have_one(features) -> None:
    options = TrainingOptions(epochs=1, batch_size=64)
    (entry,) = train(build(TripletMLP, features, dim=8, hidden=16, margin=0.25), features, options=options)
    assert entry["margin"] == 0.25
    (entry,) = train(build(Linear, features), features, options=options)
    assert "margin" not in entry


class Drawing(Linear):
    """It draws its own batches: the first rows, three at a time."""

    def batches(self, features, rows, rng, count):
        self.asked = (len(rows), count)
        return [rows[:3], rows[3:6]]

    def losses(self, batch):
        self.read = [*getattr(self, "read", []), batch.ids]
        return super().losses(batch)


def test_a_method_may_draw_its_own_batches(features) -> None:
    method = build(Drawing, features)
    train(method, features, options=TrainingOptions(epochs=2, batch_size=64), val_split=None)
    rows = features.rows("train", photo=True, text=True)
    ids = [tuple(features.ids[rows[k : k + 3]].tolist()) for k in (0, 3)]
    assert method.read == ids * 2
    assert method.asked == (len(rows), round(len(rows) / 64))


def test_every_row_is_in_one_batch_of_the_default_ones(features) -> None:
    rows = features.rows("train")
    batches = build(Linear, features).batches(features, rows, np.random.default_rng(0), 7)
    assert len(batches) == 7
    assert sorted(np.concatenate(batches).tolist()) == sorted(rows.tolist())


@pytest.fixture(autouse=True)
def _folders(tmp_path: Path) -> None:
    for name in ("whole", "run"):
        (tmp_path / name).mkdir()


def test_killed_between_the_writes_of_an_epoch(features, tmp_path: Path, monkeypatch) -> None:
    whole = build(Linear, features)
    log = train(whole, features, options=OPTIONS)
    original, calls = Path.replace, 0

    def dying(self, target):
        nonlocal calls
        calls += 1
        if calls == 4:  # the log of the second epoch, its state written already
            raise KeyboardInterrupt
        return original(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", dying)
        with pytest.raises(KeyboardInterrupt):
            train(build(Linear, features), features, options=OPTIONS, folder=tmp_path / "run")
    resumed = build(Linear, features)
    assert without_seconds(
        train(resumed, features, options=OPTIONS, folder=tmp_path / "run")
    ) == without_seconds(log)
    assert same(whole, resumed)


def test_a_player_moves_only_in_its_turn(features) -> None:
    method = build(Adversarial, features)
    log = train(method, features, options=TrainingOptions(epochs=2, batch_size=64), val_split=None)
    assert set(log[0]["loss"]) == {"critic", "towers"}
    # The last step of the schedule has learning rate 0.
    assert method.moved[:-2] == [("critic",), ("towers",)] * (len(method.moved) // 2 - 1)


def test_equal_seeds_give_equal_weights(features) -> None:
    runs = [build(Linear, features, seed) for seed in (0, 0, 1)]
    for method, seed in zip(runs, (0, 0, 1), strict=True):
        train(method, features, options=OPTIONS, seed=seed, val_split=None)
    assert same(runs[0], runs[1])
    assert not same(runs[0], runs[2])


def test_the_best_weights_are_kept_not_the_last(features, monkeypatch) -> None:
    scripted = iter([0.1, 0.5, 0.3, 0.5, 0.2])
    seen = []

    def score(scores):
        seen.append({name: value.clone() for name, value in method.state_dict().items()})
        return next(scripted)

    monkeypatch.setattr("savor.training.selection_score", score)
    method = build(Linear, features)
    log = train(method, features, options=OPTIONS)
    assert [entry["selection"] for entry in log] == [0.1, 0.5, 0.3, 0.5, 0.2]
    weights = method.state_dict()
    assert all(torch.equal(weights[name], seen[1][name]) for name in weights)
    assert not method.training


@pytest.mark.parametrize(
    ("patience", "every", "scores", "epochs"),
    [
        (0, 1, [0.5, 0.4, 0.3, 0.2, 0.1], 5),
        (1, 1, [0.5, 0.4], 2),
        (2, 1, [0.1, 0.5, 0.4, 0.3], 4),
        (2, 1, [0.1, 0.2, 0.3, 0.4, 0.5], 5),
        (1, 2, [0.5, 0.4], 4),
        (1, 2, [0.1, 0.2, 0.3], 5),
    ],
)
def test_patience_counts_validations(patience, every, scores, epochs, features, monkeypatch) -> None:
    scripted = iter(scores)
    monkeypatch.setattr("savor.training.selection_score", lambda result: next(scripted))
    options = TrainingOptions(epochs=5, batch_size=128, patience=patience, validate_every=every)
    log = train(build(Linear, features), features, options=options)
    assert len(log) == epochs
    assert [entry["epoch"] for entry in log if "selection" in entry][: len(scores) - 1] == list(
        range(every, 6, every)
    )[: len(scores) - 1]


def test_without_validation_the_last_weights_stay(features) -> None:
    method = build(Linear, features)
    log = train(method, features, options=OPTIONS, val_split=None)
    assert len(log) == 5
    assert not any("val" in entry for entry in log)


def test_training_learns_and_logs_what_it_did(features, tmp_path: Path) -> None:
    method = build(Linear, features, dropout=0.0)
    options = TrainingOptions(epochs=20, batch_size=64, learning_rate=1e-2)
    log = train(method, features, options=options, folder=tmp_path / "run")
    assert log[-1]["loss"]["towers"] < 0.5 * log[0]["loss"]["towers"]
    assert max(entry["learning_rate"] for entry in log) <= 1e-2
    assert log[-1]["learning_rate"] == 0
    on_disk = [json.loads(line) for line in (tmp_path / "run" / LOG).read_text().splitlines()]
    assert on_disk == log
    best = max(log, key=lambda entry: entry["selection"])
    scores = retrieval_scores(*method.embed(features, features.rows("val", photo=True, text=True)))
    assert scores == best["val"]
    assert selection_score(scores) == best["selection"]


def test_selection_is_the_mean_of_both_reciprocal_ranks() -> None:
    # S = [[1, 0, 0.8], [0.6, 0.8, 0.96], [0.8, 0.6, 1]]: only photo 1 finds another recipe first.
    image = np.array([[1, 0], [0.6, 0.8], [0.8, 0.6]], np.float32)
    recipe = np.array([[1, 0], [0, 1], [0.8, 0.6]], np.float32)
    scores = retrieval_scores(image, recipe)
    ranks = {"image_to_recipe": [1, 2, 1], "recipe_to_image": [1, 1, 1]}
    for direction, found in ranks.items():
        assert scores[direction]["MRR"] == pytest.approx(np.mean(1 / np.array(found)))
    assert selection_score(scores) == pytest.approx((5 / 6 + 1) / 2)


def test_tensorboard_gets_every_epoch(features, tmp_path: Path) -> None:
    train(build(Linear, features), features, options=OPTIONS, folder=tmp_path / "run")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    assert {"loss/towers", "learning_rate", "val_image_to_recipe/MRR"} <= set(events.Tags()["scalars"])
    assert [event.step for event in events.Scalars("loss/towers")] == [1, 2, 3, 4, 5]


def test_nothing_reads_the_test_split(features, monkeypatch) -> None:
    read: set[str] = set()
    original = Features.batch

    def spy(self, rows, uses, **options):
        read.update(self.splits[rows].tolist())
        return original(self, rows, uses, **options)

    monkeypatch.setattr(Features, "batch", spy)
    train(
        build(TripletMLP, features, dim=4, hidden=8),
        features,
        options=TrainingOptions(epochs=2, batch_size=64),
    )
    assert read == {"train", "val"}


def test_every_pair_is_seen_once_an_epoch(features, monkeypatch) -> None:
    seen: list[str] = []
    original = Linear.losses

    def spy(self, batch):
        seen.extend(batch.ids)
        return original(self, batch)

    monkeypatch.setattr(Linear, "losses", spy)
    train(build(Linear, features), features, options=TrainingOptions(epochs=1, batch_size=47), val_split=None)
    assert sorted(seen) == features.ids[features.rows("train", photo=True, text=True)].tolist()


@pytest.mark.parametrize(("least", "batches"), [(1, 1), (8, 8), (100, 300 // 16)])
def test_a_small_data_set_gets_smaller_batches(least: int, batches: int, features, monkeypatch) -> None:
    sizes: list[int] = []
    original = Linear.losses

    def spy(self, batch):
        sizes.append(len(batch))
        return original(self, batch)

    monkeypatch.setattr(Linear, "losses", spy)
    options = TrainingOptions(epochs=1, batch_size=1000, min_batches=least)
    train(build(Linear, features), features, options=options, val_split=None)
    assert len(sizes) == batches
    assert sum(sizes) == 300


@pytest.mark.parametrize("n", [2, 3, 7])
def test_no_batch_of_one(n: int, write_features, tmp_path: Path) -> None:
    vectors = [np.random.default_rng(k).standard_normal((1, 4)) for k in range(n)]
    parts = dict.fromkeys(("title", "ingredients", "instructions"), vectors)
    few = Features.open(write_features(tmp_path / "few", vectors, parts))
    method = build(TripletMLP, few, dim=2, hidden=4)
    log = train(method, few, options=TrainingOptions(epochs=1, batch_size=2), val_split=None)
    assert np.isfinite(log[0]["loss"]["towers"])


@pytest.mark.parametrize("found", [{"train": 1, "val": 4}, {"train": 4, "val": 1}])
def test_a_single_pair_is_too_few(found, write_features, tmp_path: Path) -> None:
    splits = [name for name, count in found.items() for _ in range(count)]
    vectors = [np.eye(4)[:1]] * 5
    parts = dict.fromkeys(("title", "ingredients", "instructions"), vectors)
    few = Features.open(write_features(tmp_path / "few", vectors, parts, splits=splits))
    with pytest.raises(UsageError, match=r"1 recipes of .* needs at least 2"):
        train(build(Linear, few), few)


def test_a_split_that_does_not_occur(features) -> None:
    with pytest.raises(UsageError, match="no split 'dev'; it has test, train, val"):
        train(build(Linear, features), features, val_split="dev")
    with pytest.raises(UsageError, match="no split 'trian'"):
        train(build(Linear, features), features, splits=("trian",))


def test_a_loss_that_is_not_finite_stops_training(features, tmp_path: Path) -> None:
    with pytest.raises(MethodError, match=r"loss of 'towers' became nan in epoch 1; .*smaller learning_rate"):
        train(build(Broken, features), features, options=OPTIONS, folder=tmp_path / "run")


@pytest.mark.parametrize("change", ["options", "seed", "data", "method", "validation"])
def test_the_state_of_another_training_is_refused(change, features, toy_features, tmp_path: Path) -> None:
    started = {"options": OPTIONS, "folder": tmp_path / "run"}
    with pytest.raises(KeyboardInterrupt):
        train(build(Linear, features), features, **started, on_epoch=interrupt_at(2))
    before = (tmp_path / "run" / STATE).read_bytes()
    other = Features.open(toy_features) if change == "data" else features
    options = {
        "options": {"options": TrainingOptions(epochs=6, batch_size=64)},
        "seed": {"seed": 1},
        "validation": {"val_split": None},
    }
    with pytest.raises(UsageError, match="unfinished training with other options, seed or data"):
        train(
            build(Linear, other, dim=5 if change == "method" else 8),
            other,
            **{**started, **options.get(change, {})},
        )
    assert (tmp_path / "run" / STATE).read_bytes() == before


def test_a_damaged_state_is_named(features, tmp_path: Path) -> None:
    (tmp_path / "run" / STATE).write_bytes(b"\x08" * 99)
    with pytest.raises(MethodError, match=r"state\.safetensors: damaged .*delete it"):
        train(build(Linear, features), features, options=OPTIONS, folder=tmp_path / "run")


def test_a_state_is_discarded_once(tmp_path: Path) -> None:
    (tmp_path / STATE).write_bytes(b"")
    discard_state(tmp_path)
    discard_state(tmp_path)
    assert not (tmp_path / STATE).exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs=0: must be at least 1"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"batch_size": 1}, "against the others of its batch"),
        ({"validate_every": -1}, "validate_every=-1"),
        ({"weight_decay": -0.1}, "weight_decay=-0.1: must not be negative"),
        ({"clip": -1.0}, "clip"),
        ({"patience": -1}, "patience"),
        ({"learning_rate": 0.0}, "learning_rate=0.0: must be above 0"),
        ({"learning_rate": float("nan")}, "learning_rate=nan"),
        ({"warmup": 1.5}, "from 0 to 1"),
        ({"precision": "fp16"}, "precision='fp16': choose one of auto, bf16, fp32"),
    ],
)
def test_options_out_of_range(options: dict, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        TrainingOptions(**options)


@pytest.mark.parametrize(
    ("precision", "fast", "kind"),
    [
        ("auto", True, torch.bfloat16),
        ("auto", False, torch.float32),
        ("bf16", False, torch.bfloat16),
        ("fp32", True, torch.float32),
    ],
)
def test_only_the_losses_are_computed_in_bf16(precision, fast, kind, features, monkeypatch) -> None:
    monkeypatch.setattr("savor.training.cpu_multiplies_bf16", lambda: fast)
    seen = []

    class Watched(Adversarial):
        def embed_image(self, batch):
            seen.append((self.training, torch.mm(torch.ones(1, 1), torch.ones(1, 1)).dtype))
            return super().embed_image(batch)

    method = build(Watched, features)
    train(method, features, options=TrainingOptions(epochs=1, batch_size=64, precision=precision))
    assert set(seen) == {(True, kind), (False, torch.float32)}
    assert all(p.dtype == torch.float32 for p in method.parameters())
    assert len(method.moved) > 1


def test_clipping_bounds_the_step(features) -> None:
    wild = TrainingOptions(epochs=1, batch_size=300, clip=1e-12)
    method = build(Linear, features)
    norms = []
    original = torch.optim.AdamW.step

    def spy(self, *arguments, **options):
        gradients = [p.grad.flatten() for group in self.param_groups for p in group["params"]]
        norms.append(float(torch.cat(gradients).norm()))
        return original(self, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", spy)
        train(method, features, options=wild, val_split=None)
    assert norms == [pytest.approx(0, abs=1.1e-12)]


def test_complete_leaves_out_recipes_that_lack_a_part(features, monkeypatch) -> None:
    complete: list[bool] = []
    original = Features.batch

    def spy(self, rows, uses, **options):
        complete.append(int(self.is_complete[rows].sum()) == len(rows))
        return original(self, rows, uses, **options)

    monkeypatch.setattr(Features, "batch", spy)
    options = TrainingOptions(epochs=1, batch_size=64)
    train(build(Linear, features), features, options=options, complete=True, val_split=None)
    assert all(complete)
    complete.clear()
    train(build(Linear, features), features, options=options, val_split=None)
    assert not any(complete)
