"""Runs: a trained method in a folder, `config.json` beside `model.safetensors`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from savor import __version__
from savor.encoders.base import comparable
from savor.errors import FeaturesError, MethodError, OptionError, UsageError
from savor.features import Dims, checksum
from savor.methods import find
from savor.training import replace

if TYPE_CHECKING:
    from savor.features import Features
    from savor.methods.base import Method

FORMAT = 1
CONFIG, WEIGHTS = "config.json", "model.safetensors"
_KEYS = ("finished", "method", "options", "dims", "data", "encoders")


@dataclass(frozen=True)
class Run:
    """A method and all that is known of its making."""

    path: Path
    config: dict[str, Any]
    method: Method

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the weights: what an index compares."""
        return "sha256:" + checksum(self.path / WEIGHTS)

    @property
    def grid(self) -> tuple[int, int] | None:
        """Rows and columns of the patches this run was trained beside; None where there were none.

        Runs made before Savor recorded the grid give None, too.
        """
        found = self.config.get("grid")
        return None if found is None else (int(found[0]), int(found[1]))

    def check(self, features: Features) -> None:
        """Make sure that features come from the encoders, and patches from the grid, of this run's training.

        Raises:
            FeaturesError: they do not; the message names what differs.
        """
        for kind, description in self.config["encoders"].items():
            found = features.manifest["encoders"][kind]
            if comparable(found) != comparable(description):
                raise FeaturesError(
                    f"{features.path}: its {kind} encoder ({found['name']}) is not what {self.path} was"
                    f" trained on ({description['name']}), or is set up differently; extract features with"
                    " the run's encoders, or train on these features"
                )
        own, given = self.grid, features.grid
        if "patches" in self.method.uses and own and given and own != given:
            raise FeaturesError(
                f"{features.path}: its patches are on a grid of {given[0]} x {given[1]}, {self.path} was"
                f" trained on {own[0]} x {own[1]}; extract features on the run's grid, or train on these"
                " features"
            )


def describe(name: str, method: Method, features: Features, **facts: Any) -> dict[str, Any]:
    """Return the configuration of a run that is about to be trained; `facts` join it as they are."""
    return {
        "format": FORMAT,
        "savor": __version__,
        "finished": False,
        "method": name,
        "options": method.options,
        "dims": asdict(method.dims),
        "data": features.fingerprint,
        "encoders": features.manifest["encoders"],
        "grid": None if features.grid is None else list(features.grid),
        **facts,
    }


def write_config(folder: Path, config: dict[str, Any]) -> None:
    """Write or replace `config.json`."""
    text = json.dumps(config, indent=1, ensure_ascii=False) + "\n"
    replace(folder / CONFIG, lambda file: file.write_text(text, "utf-8"))


def read_config(folder: Path) -> dict[str, Any] | None:
    """Return the configuration in a folder, or None where there is none.

    Raises:
        MethodError: it cannot be parsed, or a later version of Savor wrote it.
    """
    file = folder / CONFIG
    if not file.is_file():
        return None
    try:
        config = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise MethodError(f"{file}: damaged ({error}); train again into another folder") from error
    if not isinstance(config, dict) or "format" not in config:
        raise MethodError(f"{file}: not the configuration of a run; name another folder")
    if config["format"] != FORMAT:
        raise MethodError(
            f"{file}: has format {config['format']}, this version of Savor reads format {FORMAT}"
        )
    if lacking := [key for key in _KEYS if key not in config]:
        raise MethodError(f"{file}: damaged (no {lacking[0]!r}); train again into another folder")
    return config


def save_run(folder: Path, method: Method, config: dict[str, Any]) -> None:
    """Write a trained method; the configuration is written last and says that the run is finished."""
    tensors = {name: value.contiguous() for name, value in method.state_dict().items()}
    replace(folder / WEIGHTS, lambda file: save_file(tensors, file))
    write_config(folder, {**config, "finished": True})


def open_run(folder: str | Path) -> Run:
    """Open a finished run for embedding, on the CPU, in evaluation mode.

    Raises:
        MethodError: there is no run, it is unfinished, or its weights are missing or do not fit.
    """
    folder = Path(folder)
    config = read_config(folder)
    if config is None:
        raise MethodError(f"{folder}: no run here ({CONFIG} is missing); make one with `savor train`")
    if not config["finished"]:
        raise MethodError(
            f"{folder}: the training was interrupted; the same `savor train` command finishes it"
        )
    try:
        method = find(config["method"]).build(Dims(**config["dims"]), config["options"])
    except (TypeError, UsageError, OptionError) as error:
        raise MethodError(f"{folder / CONFIG}: damaged ({error}); train again") from error
    try:
        method.load_state_dict(load_file(folder / WEIGHTS))
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise MethodError(f"{folder / WEIGHTS}: missing or damaged ({reason}); train again") from error
    return Run(folder, config, method.eval())
