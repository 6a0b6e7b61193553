"""A table as Markdown: our figures with intervals, those of others beside them, tests and facts below."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from savor.compare import Difference
from savor.evaluation import DIRECTIONS
from savor.metrics import METRICS
from savor.tables.base import Comparison, Published, Row, Section, Table
from savor.tables.outcomes import Figure, Outcome, closed_form, compare_outcomes, shared_seeds, summarise

Outcomes = Mapping[str, Mapping[int, Outcome]]  # row -> seed -> what it gave
_COMPARED = ("MRR", "R@10")
_PUBLISHED = ("medR", "R@1", "R@5", "R@10")
_NONE = "–"

INTERVALS = """\
Ours: in brackets the 95 % interval. With several seeds it is the mean over them and Student's interval, which
says what another seed might give; otherwise a bootstrap over the queries: what other queries might give."""
PUBLISHED = "The last column holds medR, R@1 %, R@5 % and R@10 % as published elsewhere."
DIFFERENCES = """\
First minus second on the same queries, R@10 in points, averaged over their common seeds; in brackets the 95 %
paired bootstrap interval over the queries. *ahead*: it lies above 0; *behind*: below 0; *open*: neither."""


def render(table: Table, outcomes: Outcomes, *, failures: Mapping[str, str], command: str) -> str:
    """Lay a table out.

    Args:
        table: the table.
        outcomes: its finished rows; the others are shown without figures.
        failures: what stopped a row of this call, by its name and seed.
        command: what makes the page again.
    """
    published = any(row.published for row in table.rows)
    blocks = [f"# {table.title}", INTERVALS, *([f"{PUBLISHED} {table.note}".strip()] if published else [])]
    blocks += [_section(one, outcomes, table.source) for one in table.sections]
    tests = [text for one in table.comparisons if (text := _comparison(one, outcomes))]
    if tests:
        blocks += ["## Which is ahead?", DIFFERENCES, *tests]
    if failures:
        blocks += ["## Failed", "\n".join(f"- {name}: {reason}" for name, reason in failures.items())]
    blocks += [
        "## Cost",
        _costs(table.rows, outcomes),
        *_budget(table.rows, outcomes),
        "## How it was made",
        _facts(table, outcomes),
    ]
    blocks.append(f"```\n{command}\n```")
    return "\n\n".join(blocks) + "\n"


def _section(section: Section, outcomes: Outcomes, source: str) -> str:
    published = any(row.published for row in section.rows)
    head = ["row", "direction", *(_unit(name) for name in METRICS), *([source] if published else [])]
    lines = [
        [
            first,
            direction.replace("_", " "),
            *_ours(outcomes.get(row.name, {}), direction),
            *([_theirs(row.published, direction)] if published else []),
        ]
        for row in section.rows
        for direction, first in zip(DIRECTIONS, (row.label, _runs(outcomes.get(row.name, {}))), strict=True)
    ]
    remarks = {row.label: row.published.note for row in section.rows if row.published}
    notes = [section.note, *(f"{label}: {note}." for label, note in remarks.items() if note)]
    return "\n\n".join([f"## {section.title}", _markdown(head, lines), *filter(None, notes)])


def _runs(row: Mapping[int, Outcome]) -> str:
    """Say how many seeds a row's figures are made of; a closed form needs no seed."""
    if row and closed_form(row):
        return ""
    return {0: "(not finished)", 1: "(1 seed)"}.get(len(row), f"({len(row)} seeds)")


def _ours(row: Mapping[int, Outcome], direction: str) -> list[str]:
    reports = [outcome.report for outcome in row.values()]
    return [_figure(name, summarise(reports, direction, name)) if row else _NONE for name in METRICS]


def _theirs(published: Published | None, direction: str) -> str:
    figures = published.figures.get(direction) if published else None
    if figures is None:
        return _NONE
    return ", ".join(_as_printed(name, figures[name]) if name in figures else _NONE for name in _PUBLISHED)


def _as_printed(metric: str, value: float) -> str:
    return f"{value if metric == 'medR' else 100 * value:g}"


def _comparison(comparison: Comparison, outcomes: Outcomes) -> str:
    """Lay out the tests between rows that are finished; nothing where there are none."""
    head = [
        "first over second",
        *(f"{one.replace('_', ' ')}, {_points(name)}" for one in DIRECTIONS for name in _COMPARED),
        "seeds",
    ]
    lines = []
    for first, second in comparison.pairs:
        rows = outcomes.get(first, {}), outcomes.get(second, {})
        if seeds := shared_seeds(*rows):
            found = compare_outcomes(*rows)
            cells = [_difference(name, found[one][name]) for one in DIRECTIONS for name in _COMPARED]
            lines.append([f"`{first}` over `{second}`", *cells, str(len(seeds))])
    return f"### {comparison.title}\n\n{_markdown(head, lines)}" if lines else ""


def _difference(metric: str, found: Difference) -> str:
    mean, low, high = (
        f"{value:+.3f}" if metric == "MRR" else f"{100 * value:+.1f}"
        for value in (found.mean, found.low, found.high)
    )
    verdict = "ahead" if found.ahead else "behind" if found.high < 0 else "open"
    return f"{mean} [{low}, {high}] {verdict}"


def _costs(rows: Sequence[Row], outcomes: Outcomes) -> str:
    head = ["row", "name", "seeds", "training, s", "evaluation, s", "peak memory, MB", "best epoch", "scorer"]
    lines = []
    for row in rows:
        reports = [one.report for one in outcomes.get(row.name, {}).values()]
        if reports:
            seeds = ", ".join(str(seed) for seed in outcomes[row.name])
            lines.append(
                [
                    row.label,
                    f"`{row.name}`",
                    _NONE if closed_form(outcomes[row.name]) else seeds,
                    _mean(reports, "train_seconds"),
                    _mean(reports, "evaluate_seconds"),
                    _peak(reports),
                    ", ".join(str(report["best_epoch"] or _NONE) for report in reports),
                    _distinct(report["scorer"] for report in reports),
                ]
            )
    return _markdown(head, lines) if lines else "No row is finished."


def _budget(rows: Sequence[Row], outcomes: Outcomes) -> list[str]:
    """State the rule of a table whose rows have a budget, and which trainings took longer."""
    allowed: dict[float, list[str]] = {}
    for row in rows:
        if row.minutes is not None:
            allowed.setdefault(row.minutes, []).append(f"`{row.name}`")
    if not allowed:
        return []
    most = max(allowed, key=lambda minutes: len(allowed[minutes]))
    rule = [f"{most:g} minutes"] + [
        f"{minutes:g} minutes for {', '.join(names)}" for minutes, names in allowed.items() if minutes != most
    ]
    over = [
        f"`{row.name}`, seed {seed}: {seconds / 60:.0f} minutes"
        for row in rows
        for seed, one in outcomes.get(row.name, {}).items()
        if row.minutes and (seconds := one.report.get("train_seconds") or 0) > 60 * row.minutes
    ]
    found = "OVER IT: " + "; ".join(over) if over else "No finished row is over it"
    return [f"The same budget for all: a training takes at most {', '.join(rule)}. {found}."]


def _mean(reports: Sequence[Mapping[str, Any]], key: str) -> str:
    known = [report[key] for report in reports if report.get(key) is not None]
    return f"{np.mean(known):.0f}" if known else _NONE


def _peak(reports: Sequence[Mapping[str, Any]]) -> str:
    known = [report["peak_memory"] for report in reports if report.get("peak_memory")]
    return f"{max(known) / 1e6:.0f}" if known else _NONE


def _facts(table: Table, outcomes: Outcomes) -> str:
    reports = [one.report for row in table.rows for one in outcomes.get(row.name, {}).values()]
    keys = ("split", "protocol", "draws", "pool", "tie_rule", "data", "encoders", "seed", "savor")
    names = {"seed": "bootstrap seed", "pool": "pairs in a draw", "savor": "version of Savor"}
    facts = [
        f"{names.get(key, key.replace('_', ' '))}: {_distinct(_words(report[key]) for report in reports)}"
        for key in keys
        if reports
    ]
    missing = [f"`{row.name}`" for row in table.rows if not outcomes.get(row.name)]
    if missing:
        facts.append(f"not finished: {', '.join(missing)}")
    facts += [
        f"ALARM, `{report['row']}`, seed {report['train_seed']}: {alarm}"
        for report in reports
        for alarm in report["alarms"]
    ]
    facts.append("the commands of a single row stand in its JSON file; made by:")
    return "\n".join(f"- {fact}" for fact in facts)


def _words(value: Any) -> str:
    return ", ".join(f"{key} {one}" for key, one in value.items()) if isinstance(value, dict) else str(value)


def _distinct(values: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(values))


def _unit(metric: str) -> str:
    return f"{metric} %" if metric.startswith("R@") else metric


def _points(metric: str) -> str:
    return f"{metric} points" if metric.startswith("R@") else metric


def _shown(metric: str, value: float) -> str:
    if metric == "MRR":
        return f"{value:.3f}"
    return f"{value if metric == 'medR' else 100 * value:.1f}"


def _figure(metric: str, figure: Figure) -> str:
    mean, low, high = (_shown(metric, value) for value in (figure.mean, figure.low, figure.high))
    return f"{mean} [{low}, {high}]"


def _markdown(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Lay out a Markdown table whose columns stand under each other in a terminal too."""
    widths = [max(len(row[column]) for row in (head, *lines)) for column in range(len(head))]
    rule = ["-" * width for width in widths]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in (head, rule, *lines)
    )
