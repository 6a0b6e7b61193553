"""Composing a dish and putting it into words: title, ingredient lines and steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from savor.datasets.toy_kitchen.pantry import FOODS, KINDS, Food, Role
from savor.datasets.toy_kitchen.phrases import ANY, COOK, STEPS

T = TypeVar("T")
N_BASES = 160  # basic recipes per seed that other recipes vary: they share all but one or two foods


@dataclass(frozen=True, slots=True)
class Item:
    """A food with a part to play: `state` is how it was cooked, `amount` 0 (few), 1 (some) or 2 (many)."""

    role: Role
    food: Food
    state: str
    amount: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What a dish is made of, for the words and for the picture alike."""

    kind: str
    style: str
    vessel: str
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Words:
    """The text of a recipe; `line_of[k]` is the index of the ingredient line that names item k."""

    title: str
    ingredients: tuple[str, ...]
    instructions: tuple[str, ...]
    line_of: tuple[int, ...]


def pick(rng: np.random.Generator, choices: Sequence[T]) -> T:
    """Choose one element."""
    return choices[int(rng.integers(len(choices)))]


def compose(seed: int, rng: np.random.Generator) -> Plan:
    """Compose a dish: half of them from scratch, half as a basic recipe with one or two foods exchanged."""
    if rng.random() < 0.5:
        return _basic(rng)
    plan = _basic(np.random.default_rng([seed, 1, int(rng.integers(N_BASES))]))
    items = list(plan.items)
    for _ in range(int(rng.integers(1, 3))):
        at = int(rng.integers(len(items)))
        slots = [slot for slot in KINDS[plan.kind].slots if items[at].food.name in slot.choices]
        taken = {item.food.name for item in items}
        names = [name for slot in slots if slot.role == items[at].role for name in slot.choices]
        free = [name for name in names if name not in taken]
        if free:
            items[at] = _item(rng, items[at].role, pick(rng, free))
    items = [replace(item, amount=int(rng.integers(3))) for item in items]
    kind = KINDS[plan.kind]
    return Plan(plan.kind, pick(rng, kind.styles), pick(rng, kind.vessels), tuple(items))


def _basic(rng: np.random.Generator) -> Plan:
    name = pick(rng, list(KINDS))
    kind = KINDS[name]
    items: list[Item] = []
    for slot in kind.slots:
        taken = {item.food.name for item in items}
        free = [choice for choice in dict.fromkeys(slot.choices) if choice not in taken]
        count = min(len(free), int(rng.integers(slot.least, slot.most + 1)))
        chosen = rng.permutation(len(free))[:count]
        items += [_item(rng, slot.role, free[i]) for i in chosen]
    return Plan(name, pick(rng, kind.styles), pick(rng, kind.vessels), tuple(items))


def _item(rng: np.random.Generator, role: Role, name: str) -> Item:
    food = FOODS[name]
    state = "raw" if role in ("sauce", "crust") else pick(rng, food.states)
    return Item(role, food, state, int(rng.integers(3)))


def describe(plan: Plan, rng: np.random.Generator) -> Words:
    """Put a dish into words; the same dish is worded differently from one generator state to the next."""
    names = [pick(rng, item.food.forms) for item in plan.items]
    lines = [_line(rng, item, form) for item, form in zip(plan.items, names, strict=True)]
    unseen = KINDS[plan.kind].unseen
    extra = [unseen[i] for i in rng.permutation(len(unseen))[: int(rng.integers(2, len(unseen) + 1))]]
    order = [int(i) for i in rng.permutation(len(lines))] if rng.random() < 0.5 else list(range(len(lines)))
    line_of = tuple(order.index(k) for k in range(len(lines)))
    steps = _steps(rng, plan, [form[1] for form in names])
    return Words(
        _title(rng, plan, names), tuple(lines[k] for k in order) + tuple(extra), tuple(steps), line_of
    )


def _line(rng: np.random.Generator, item: Item, form: tuple[str, str]) -> str:
    food, amount = item.food, item.amount
    singular, plural = form
    scale = (0.5, 1.0, 2.0)[amount]
    if food.each:
        number = max(1, round(food.each * scale))
        measure = f"{number} {singular if number == 1 else plural}"
        if singular == plural and food.each < 3:  # "1 lettuce", "2 naan", but never "2 lettuce"
            measure = f"{number} {singular}" if number == 1 else f"{number} portions of {singular}"
    else:
        small = food.grams <= 30
        spoons = ("1 teaspoon", "1 tablespoon", "3 tablespoons")[amount]
        cups = ("1/4 cup", "1/2 cup", "1 1/2 cups")[amount]
        loose = (
            ("a little", "some", "plenty of")
            if singular == plural
            else ("a few", "a handful of", "plenty of")
        )
        grams = f"{max(5, round(food.grams * scale / 5) * 5)} g"
        measure = f"{pick(rng, (spoons if small else cups, grams, loose[amount]))} {plural}"
    prep = pick(rng, food.prep) if food.prep and rng.random() < 0.75 else ""
    return f"{measure}, {prep}" if prep else measure


def _title(rng: np.random.Generator, plan: Plan, names: list[tuple[str, str]]) -> str:
    noun = pick(rng, KINDS[plan.kind].nouns)
    rank: dict[Role, int] = {"main": 0, "piece": 1, "sauce": 2, "crumble": 3, "dollop": 3, "bed": 4}
    if plan.kind in ("soup", "curry"):
        rank["sauce"] = 0
    said = sorted(
        (k for k, item in enumerate(plan.items) if item.role in rank), key=lambda k: rank[plan.items[k].role]
    )
    words = [_title_word(plan.items[k], names[k], rng) for k in said]
    style = f"{plan.style} " if rng.random() < 0.6 else ""
    lead = words[0]
    second = words[1 + int(rng.integers(len(words) - 1))] if len(words) > 1 else "herbs"
    body = pick(
        rng,
        (
            f"{lead} {noun}",
            f"{lead} {noun} with {second}",
            f"{lead} and {second} {noun}",
            f"{noun} with {second}",
        ),
    )
    title = style + body
    return title[0].upper() + (title[1:].lower() if not style else style[1:] + body)


def _title_word(item: Item, form: tuple[str, str], rng: np.random.Generator) -> str:
    word = form[0].removeprefix("chopped ").removeprefix("plain ") if item.role != "piece" else form[0]
    if item.state in ("grilled", "roasted", "fried") and rng.random() < 0.4 and "fried" not in word:
        return f"{item.state} {word}"
    return word


def _join(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]


def _steps(rng: np.random.Generator, plan: Plan, names: list[str]) -> list[str]:
    templates = ANY | STEPS[plan.kind]

    def say(choices: Sequence[str], foods: Sequence[str] = ()) -> str:
        sentence, minutes = pick(rng, choices), int(rng.integers(2, 9))
        return sentence.format(x=_join(foods) if foods else "", m=5 * minutes, q=minutes + 2)

    steps = [say(templates[""])]
    for state in ("roasted", "grilled", "fried"):
        foods = [n for n, item in zip(names, plan.items, strict=True) if item.state == state]
        if foods:
            steps.append(say(COOK[state], [n.removeprefix("fried ") for n in foods]))
    roles = dict.fromkeys(item.role for item in plan.items)
    for role in roles:
        foods = [n for n, item in zip(names, plan.items, strict=True) if item.role == role]
        steps.append(say(templates[role], foods))
    steps.append(say(templates["end"]))
    return steps if rng.random() < 0.6 else _merge(rng, steps)


def _merge(rng: np.random.Generator, steps: list[str]) -> list[str]:
    """Run some neighbouring steps together, as cooks who write long paragraphs do."""
    merged = steps[:1]
    for step in steps[1:]:
        if rng.random() < 0.5:
            merged[-1] += " " + step
        else:
            merged.append(step)
    return merged
