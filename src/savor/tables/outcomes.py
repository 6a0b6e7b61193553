"""Finished rows: one small JSON file and the ranks beside it for each row, seed and split."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from savor.compare import Difference, compare_queries
from savor.errors import MethodError, ProtocolError, UsageError
from savor.evaluation import DIRECTIONS, QueryRanks


@dataclass(frozen=True)
class Outcome:
    """What one row gave with one seed: the JSON of `savor evaluate` with the row's own facts in it."""

    path: Path
    report: dict[str, Any]

    @cached_property
    def queries(self) -> QueryRanks:
        """The rank of every query."""
        return QueryRanks.load(ranks_file(self.path))


@dataclass(frozen=True)
class Figure:
    """A mean with its 95 % interval."""

    mean: float
    low: float
    high: float


def outcome_file(folder: Path, row: str, seed: int, split: str) -> Path:
    """Name the JSON file of a row."""
    return folder / f"{row}-seed{seed}-{split}.json"


def ranks_file(path: Path) -> Path:
    """Name the ranks that lie beside a row's JSON file."""
    return path.with_suffix(".npz")


def finished_seeds(folder: Path, row: str, split: str) -> list[int]:
    """Return the seeds a row is finished with; its JSON file is written last."""
    pattern = re.compile(rf"{re.escape(row)}-seed(\d+)-{re.escape(split)}\.json")
    found = (pattern.fullmatch(path.name) for path in folder.glob(f"{row}-seed*.json"))
    seeds = sorted(int(match[1]) for match in found if match)
    return [seed for seed in seeds if ranks_file(outcome_file(folder, row, seed, split)).is_file()]


def read_outcome(
    path: Path, wanted: Mapping[str, Any], defaults: Mapping[str, Mapping[str, Any]] = {}
) -> Outcome:
    """Read a finished row and make sure that it is the one that is wanted.

    Where `defaults` has a mapping for a fact, keys that the file lacks stand at these: options that joined
    after the row was made. A default that changes what a row means needs another version of the row.

    Raises:
        MethodError: the file is damaged.
        UsageError: it was made with another value of one of the `wanted` facts; the message names it.
    """
    try:
        report = json.loads(path.read_text("utf-8"))
        complete = {*wanted, *DIRECTIONS} <= set(report)
    except (ValueError, TypeError) as error:
        raise MethodError(f"{path}: damaged ({error}); delete it to have the row made again") from error
    if not complete:
        raise MethodError(f"{path}: not a row of a table; delete it to have the row made again")
    for key, known in defaults.items():
        if isinstance(report[key], dict):
            report[key] = {**known, **report[key]}
    for key, value in json.loads(json.dumps(wanted)).items():
        if report[key] != value:
            raise UsageError(
                f"{path}: made with another {key.replace('_', ' ')} ({_changed(report[key], value)});"
                " name another --out, or delete the file and the row's folder in runs"
            )
    return Outcome(path, report)


def _changed(found: Any, wanted: Any) -> str:
    """Say how two values differ; of two mappings only the keys that do."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        keys = [key for key in {**found, **wanted} if found.get(key) != wanted.get(key)]
        return ", ".join(f"{key}: {_changed(found.get(key), wanted.get(key))}" for key in keys)
    return f"{found}, now {wanted}"


def summarise(reports: Sequence[Mapping[str, Any]], direction: str, metric: str) -> Figure:
    """Average a metric over the reports of several seeds.

    The interval of one report is its own, by bootstrap over the queries. That of n is Student's over the
    seeds, `mean ± t(0.975, n - 1) s / sqrt(n)`, cut where no figure can lie.
    """
    values = np.array([report[direction][metric] for report in reports])
    if len(values) == 1:
        return Figure(float(values[0]), *reports[0][direction]["ci95"][metric])
    mean = float(values.mean())
    half = student_quantile(len(values) - 1) * float(values.std(ddof=1)) / math.sqrt(len(values))
    lowest, highest = (1.0, math.inf) if metric == "medR" else (0.0, 1.0)
    return Figure(mean, max(mean - half, lowest), min(mean + half, highest))


def student_quantile(freedom: int) -> float:
    """Return the 97.5 % quantile of Student's distribution, to a thousandth.

    Above ten degrees of freedom by the expansion in 1 / freedom (Abramowitz and Stegun 1964, 26.7.5).

    >>> [round(student_quantile(n), 2) for n in (1, 2, 9, 1000)]
    [12.71, 4.3, 2.26, 1.96]
    """
    exact = (12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281)
    if freedom <= len(exact):
        return exact[freedom - 1]
    z = 1.959964
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return float(sum(term / freedom**power for power, term in enumerate(terms)))


def compare_outcomes(
    first: Mapping[int, Outcome], second: Mapping[int, Outcome]
) -> dict[str, dict[str, Difference]]:
    """Test one row against another, seed against seed, by the paired bootstrap over the queries.

    What does not depend on the seed (closed form) meets every seed of the other. Each resample picks the
    same queries for all seeds; the difference is averaged over them.

    Raises:
        ProtocolError: the rows share no seed, or asked different queries.
    """
    seeds = shared_seeds(first, second)
    if not seeds:
        raise ProtocolError(
            "two rows without a common seed cannot be compared; run both with the same --seeds"
        )
    a, b = (
        _stacked([row[min(row) if closed_form(row) else seed].queries for seed in seeds])
        for row in (first, second)
    )
    return compare_queries(a, b)


def shared_seeds(first: Mapping[int, Outcome], second: Mapping[int, Outcome]) -> list[int]:
    """Return the seeds on which two rows can be compared; a closed form stands for any seed."""
    if not first or not second:
        return []
    if closed_form(first):
        return sorted(second)
    return sorted(first) if closed_form(second) else sorted(set(first) & set(second))


def closed_form(row: Mapping[int, Outcome]) -> bool:
    """Tell whether a finished row is the same for every seed."""
    return all(one.report["training"] is None for one in row.values())


def _stacked(runs: Sequence[QueryRanks]) -> QueryRanks:
    """Take the draws of several runs for draws of one; the bootstrap keeps equal queries together."""
    ids = np.concatenate([run.ids for run in runs])
    ranks = {name: np.concatenate([run.ranks[name] for run in runs]) for name in DIRECTIONS}
    return QueryRanks(ids, ranks, runs[0].protocol, runs[0].tie_rule)
