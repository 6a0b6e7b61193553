"""The training loop: players in turn, validation by retrieval, early stopping, resume to the bit."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from savor.distributed import average_buffers, average_gradients, is_main, own_share, wait_for_all, world_size
from savor.errors import MethodError, OptionError, UsageError
from savor.evaluation import evaluate
from savor.hardware import cpu_multiplies_bf16
from savor.reranking import CALMER, PairScorer
from savor.schedules import warm_cosine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from savor.features import Features
    from savor.methods.base import Method

Array = np.ndarray[Any, np.dtype[Any]]
LOG, STATE, SAMPLES = "log.jsonl", "state.safetensors", "samples"


@dataclass(frozen=True)
class TrainingOptions:
    """How the shared loop trains; a method may bring its own defaults."""

    epochs: int = 40
    batch_size: int = 512
    min_batches: int = 1  # an epoch; a small data set then gets smaller batches, but of 16 pairs or more
    learning_rate: float = 1e-3  # peak; see savor.schedules.warm_cosine
    weight_decay: float = 0.01  # AdamW's, decoupled
    warmup: float = 0.1  # share of all steps
    clip: float = 0.0  # largest gradient norm of a player, 0 = not clipped
    patience: int = 0  # validations without a better one before training stops, 0 = never
    validate_every: int = 1  # epochs
    # fp32, bf16 (matrix products of the training steps; weights and validation stay in fp32) or auto: bf16
    # where the hardware multiplies it
    precision: str = "auto"

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "min_batches", "validate_every"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name}={getattr(self, name)}: must be at least 1")
        if self.batch_size < 2:
            raise OptionError(
                "batch_size=1: a pair is learned against the others of its batch; take 2 or more"
            )
        for name in ("weight_decay", "clip", "patience"):
            if getattr(self, name) < 0:
                raise OptionError(f"{name}={getattr(self, name)}: must not be negative")
        if not self.learning_rate > 0:
            raise OptionError(f"learning_rate={self.learning_rate}: must be above 0")
        if not 0 <= self.warmup <= 1:
            raise OptionError(f"warmup={self.warmup}: is a share of all steps, from 0 to 1")
        if self.precision not in ("auto", "bf16", "fp32"):
            raise OptionError(f"precision={self.precision!r}: choose one of auto, bf16, fp32")


Scores = dict[str, dict[str, float]]  # direction -> metric -> value


def retrieval_scores(
    image: Array, recipe: Array, scorer: PairScorer | None = None, rerank: int = 0
) -> Scores:
    """Score both directions of n pairs in one pool, `(n, dim)` unit rows each, with the `mean` tie rule.

    Where a pair scorer is given, it orders the best `rerank` again.
    """
    report = evaluate(image, recipe, bootstrap=1, score=scorer, rerank=rerank)
    return {direction: dict(result.values) for direction, result in report.results.items()}


def validation_scores(method: Method, features: Features, rows: Array) -> dict[str, Scores]:
    """Score a method on some rows: `val`, and for one that re-ranks `val_first_stage`, before it does.

    Raises:
        MethodError: an embedding or a pair score is not finite.
    """
    scorer = PairScorer(method, features, rows) if method.reranks else None
    image, recipe = method.embed(features, rows) if scorer is None else scorer.embeddings
    if not (np.isfinite(image).all() and np.isfinite(recipe).all()):
        raise MethodError(f"the validation embeddings are not finite; {CALMER}")
    first_stage = retrieval_scores(image, recipe)
    if scorer is None:
        return {"val": first_stage}
    return {
        "val": retrieval_scores(image, recipe, scorer, method.reranks),
        "val_first_stage": first_stage,
    }


def selection_score(scores: Scores) -> float:
    """Return what training selects by: MRR averaged over both directions."""
    return (scores["image_to_recipe"]["MRR"] + scores["recipe_to_image"]["MRR"]) / 2


def train(
    method: Method,
    features: Features,
    *,
    options: TrainingOptions | None = None,
    seed: int = 0,
    folder: Path | None = None,
    splits: Sequence[str] = ("train",),
    val_split: str | None = "val",
    complete: bool = False,
    on_epoch: Callable[[dict[str, Any]], None] | None = None,
) -> list[dict[str, Any]]:
    """Train a method's players on all recipes of some splits that have a photo and any text.

    With `complete` only recipes that have a title, ingredients and instructions count.

    The weights with the best validation score (`selection_score` on `val_split`, one pool) stay in the
    method; without a validation split the last ones do. Of a method that re-ranks it is the re-ranked list
    that is scored. Where `folder` is given, the state is saved after
    every epoch, and a later call with the same arguments goes on from there as if never interrupted.

    Returns:
        the log, one entry an epoch.

    Raises:
        UsageError: a split does not occur, or leaves fewer than two pairs; the folder holds the state of
            another training.
        MethodError: a loss or an embedding stopped being finite, or the saved state is damaged.
    """
    options = options or method.trains_with or TrainingOptions()
    rows = features.rows(splits, photo=True, text=True, complete=complete)
    if len(rows) < 2:
        raise UsageError(
            f"{features.path}: {len(rows)} recipes of {', '.join(splits)} have a photo and text; training"
            " needs at least 2"
        )
    val_rows = None if val_split is None else features.rows(val_split, photo=True, text=True)
    if val_rows is not None and len(val_rows) < 2:
        raise UsageError(
            f"{features.path}: {len(val_rows)} recipes of {val_split!r} have a photo and text; validation"
            " needs at least 2"
        )
    session = _Session(method, features, rows, val_rows, options, seed, folder)
    session.begin()
    with _scalars(folder) as scalars:
        while not session.over:
            entry = session.run_epoch()
            session.save()
            scalars(entry, session.samples())
            if on_epoch is not None:
                on_epoch(entry)
    session.finish()
    return session.log


def train_rows(
    method: Method, features: Features, rows: Array, options: TrainingOptions, seed: int = 0
) -> list[dict[str, Any]]:
    """Train on some rows without validation or saved state; the last weights stay. Return the log."""
    session = _Session(method, features, rows, None, options, seed, None)
    session.begin()
    while not session.over:
        session.run_epoch()
    session.finish()
    return session.log


class _Session:
    """One training in progress: everything that has to survive an interruption, and nothing else."""

    def __init__(
        self,
        method: Method,
        features: Features,
        rows: Array,
        val_rows: Array | None,
        options: TrainingOptions,
        seed: int,
        folder: Path | None,
    ) -> None:
        self.method, self.features, self.rows, self.val_rows = method, features, rows, val_rows
        self.options, self.seed, self.folder = options, seed, folder
        self.device = next(method.parameters()).device
        self.players = method.players()
        self.optimisers = {
            name: torch.optim.AdamW(owned, lr=options.learning_rate, weight_decay=options.weight_decay)
            for name, owned in self.players.items()
        }
        wanted = max(round(len(rows) / options.batch_size), min(options.min_batches, len(rows) // 16))
        # No share of one: it has no negatives, and batch norm refuses it.
        self.batches = max(1, min(wanted, len(rows) // (2 * world_size())))
        self.log: list[dict[str, Any]] = []
        self.best: dict[str, Tensor] = {}
        method.look_at(features, rows)

    def begin(self) -> None:
        """Prepare the method, if no saved state is there to go on from."""
        if not self.restore():
            torch.manual_seed(self.seed)
            self.method.prepare(self.features, self.rows)
        wait_for_all()

    @property
    def best_epoch(self) -> int:
        """The epoch with the best validation score so far, from 1; 0 before the first."""
        scored = [entry for entry in self.log if "selection" in entry]
        return max(scored, key=lambda entry: float(entry["selection"]))["epoch"] if scored else 0

    @property
    def over(self) -> bool:
        """Whether all epochs are done or patience has run out."""
        done = len(self.log)
        waited = (done - self.best_epoch) / self.options.validate_every
        out_of_patience = bool(self.options.patience and self.best_epoch and waited >= self.options.patience)
        return done >= self.options.epochs or out_of_patience

    def run_epoch(self) -> dict[str, Any]:
        """Train one epoch, validate where it is due, and log both."""
        epoch, start = len(self.log) + 1, time.perf_counter()
        # Seeded by the epoch, so that the order needs no saved state.
        order = np.random.default_rng([self.seed, epoch])
        sums: dict[str, list[float]] = {name: [] for name in self.players}
        self.method.train()
        self.method.start_epoch(epoch, self.options.epochs)
        batches = self.method.batches(self.features, self.rows, order, self.batches)
        for number, rows in enumerate(batches):
            rate = self._set_rate((epoch - 1) * self.batches + number)
            self._step(rows, order, sums, epoch)
        average_buffers(self.method)
        self.method.end_epoch(self.features, self.rows)
        entry: dict[str, Any] = {
            "epoch": epoch,
            "loss": {name: float(np.mean(values)) for name, values in sums.items() if values},
            "learning_rate": rate,
            **self.method.logged(),
        }
        if self.val_rows is not None and (
            epoch % self.options.validate_every == 0 or epoch == self.options.epochs
        ):
            try:
                entry |= validation_scores(self.method, self.features, self.val_rows)
            except MethodError as error:
                raise MethodError(f"epoch {epoch}: {error}") from error
            entry["selection"] = selection_score(entry["val"])
        entry["seconds"] = round(time.perf_counter() - start, 3)
        self.log.append(entry)
        if self.val_rows is None or self.best_epoch == epoch:
            self.best = {name: value.clone() for name, value in self.method.state_dict().items()}
        return entry

    def _step(
        self, rows: Array, order: np.random.Generator, sums: dict[str, list[float]], epoch: int
    ) -> None:
        method = self.method
        shared = own_share(rows)
        batch = self.features.batch(shared, method.uses, words=method.words, rng=order, raw=method.raw)
        batch = batch.to(self.device)
        losses = method.losses(batch)
        while True:
            # The steps between two losses run in it, too; the loop's own do not.
            with self.precision():
                player, loss = next(losses, (None, None))
            if player is None or loss is None:
                return
            if not torch.isfinite(loss):
                raise MethodError(f"the loss of {player!r} became {loss.item()} in epoch {epoch}; {CALMER}")
            self.optimisers[player].zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            groups = self.optimisers[player].param_groups
            owned = [parameter for group in groups for parameter in group["params"]]
            average_gradients(owned)
            if self.options.clip:
                torch.nn.utils.clip_grad_norm_(owned, self.options.clip)
            self.optimisers[player].step()
            sums[player].append(loss.item())

    def precision(self) -> torch.autocast:
        """Return the context in which losses are computed."""
        device, wanted = self.device.type, self.options.precision
        fast = device == "cuda" or (device == "cpu" and cpu_multiplies_bf16())
        return torch.autocast(device, torch.bfloat16, wanted == "bf16" or (wanted == "auto" and fast))

    def _set_rate(self, step: int) -> float:
        share = warm_cosine(step, self.options.epochs * self.batches, self.options.warmup)
        rate = self.options.learning_rate * share
        for optimiser in self.optimisers.values():
            for group in optimiser.param_groups:
                group["lr"] = rate * group.get("factor", 1.0)
        return rate

    def samples(self) -> Array | None:
        """Write what the method shows of itself after an epoch, `samples/epoch-NN.png`, and return it."""
        if self.folder is None or not is_main():
            return None
        picture = self.method.samples(self.features, self.rows if self.val_rows is None else self.val_rows)
        if picture is not None:
            from PIL import Image

            file = self.folder / SAMPLES / f"epoch-{len(self.log):02d}.png"
            file.parent.mkdir(exist_ok=True)
            replace(file, lambda part: Image.fromarray(picture).save(part, "PNG"))
        return picture

    def save(self) -> None:
        """Write the best weights, the log and the state; each file is replaced whole."""
        if self.folder is None or not is_main():
            return
        tensors = {"random": torch.get_rng_state()}
        tensors |= {f"model.{name}": value for name, value in self.method.state_dict().items()}
        tensors |= {f"best.{name}": value for name, value in self.best.items()}
        for player, optimiser in self.optimisers.items():
            for index, moments in optimiser.state_dict()["state"].items():
                tensors |= {f"optimiser.{player}.{index}.{key}": value for key, value in moments.items()}
        # The state names its log entries itself, so that a kill between two writes cannot mix two epochs.
        facts = {"log": json.dumps(self.log), "run": json.dumps(self._identity())}
        tensors = {name: value.contiguous() for name, value in tensors.items()}
        replace(self.folder / STATE, lambda file: save_file(tensors, file, metadata=facts))
        self._write_log()

    def _identity(self) -> dict[str, Any]:
        return {
            "method": self.method.options,
            "options": asdict(self.options),
            "seed": self.seed,
            "data": self.features.fingerprint,
            "rows": [len(self.rows), None if self.val_rows is None else len(self.val_rows)],
        }

    def _write_log(self) -> None:
        assert self.folder is not None
        text = "".join(json.dumps(entry) + "\n" for entry in self.log)
        replace(self.folder / LOG, lambda file: file.write_text(text, "utf-8"))

    def restore(self) -> bool:
        """Go on from a saved state, if the folder holds one of this very training; tell whether it does."""
        file = None if self.folder is None else self.folder / STATE
        if file is None or not file.is_file():
            return False
        try:
            with safe_open(file, framework="pt") as opened:
                facts = opened.metadata()
            tensors = load_file(file)
        except SafetensorError as error:
            raise MethodError(f"{file}: damaged ({error}); delete it to train from the start") from error
        if json.loads(facts["run"]) != self._identity():
            raise UsageError(
                f"{self.folder}: holds an unfinished training with other options, seed or data;"
                " name another --out, or delete the folder"
            )
        self.log = json.loads(facts["log"])
        self.best = _below("best.", tensors)
        self.method.load_state_dict(_below("model.", tensors))
        for player, optimiser in self.optimisers.items():
            moments: dict[int, dict[str, Tensor]] = {}
            for name, value in _below(f"optimiser.{player}.", tensors).items():
                index, key = name.split(".")
                moments.setdefault(int(index), {})[key] = value
            optimiser.load_state_dict({**optimiser.state_dict(), "state": moments})
        torch.set_rng_state(tensors["random"])
        return True

    def finish(self) -> None:
        """Leave the best weights in the method and remove the state."""
        self.method.load_state_dict(self.best)
        self.method.eval()
        if self.folder is not None and is_main():
            self._write_log()


def discard_state(folder: Path) -> None:
    """Remove the state of a training that is finished and saved."""
    (folder / STATE).unlink(missing_ok=True)


def replace(file: Path, write: Callable[[Path], object]) -> None:
    """Write a file under another name and rename it, so that a kill never leaves half of it."""
    temporary = file.with_name(file.name + ".part")
    write(temporary)
    temporary.replace(file)


@contextmanager
def _scalars(folder: Path | None) -> Iterator[Callable[[dict[str, Any], Array | None], None]]:
    """Offer a function that writes a log entry's numbers, and a picture, for TensorBoard.

    They lie under `folder/tensorboard`.
    """
    if folder is None or not is_main():
        yield lambda entry, picture: None
        return
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder / "tensorboard")) as writer:

        def write(entry: dict[str, Any], picture: Array | None) -> None:
            for player, loss in entry["loss"].items():
                writer.add_scalar(f"loss/{player}", loss, entry["epoch"])
            if picture is not None:
                writer.add_image("samples", picture, entry["epoch"], dataformats="HWC")
            for name, value in entry.items():
                if isinstance(value, float) and name not in ("selection", "seconds"):
                    writer.add_scalar(name, value, entry["epoch"])
            for kind in ("val", "val_first_stage"):
                for direction, scores in entry.get(kind, {}).items():
                    for name, value in scores.items():
                        tag = f"{kind}_{direction}/{name.replace('@', '_')}"
                        writer.add_scalar(tag, value, entry["epoch"])

        yield write


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
