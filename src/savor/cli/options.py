"""What several verbs share: `--set` values and the shape of option errors."""

from __future__ import annotations

import ast
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from savor.errors import OptionError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from savor.methods.base import Method
    from savor.training import TrainingOptions


def parse_settings(settings: Sequence[str]) -> dict[str, Any]:
    """Read `key=value` words: numbers, true, false and none as such, anything else as text.

    Raises:
        UsageError: a word without "=", or a key given twice.

    >>> parse_settings(["margin=0.2", "text=title", "faithful=true"])
    {'margin': 0.2, 'text': 'title', 'faithful': True}
    """
    parsed: dict[str, Any] = {}
    for word in settings:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise UsageError(f"--set {word!r}: write key=value, for example --set dim=256")
        if key in parsed:
            raise UsageError(f"--set {key}: given twice")
        parsed[key] = _value(value)
    return parsed


def _value(text: str) -> Any:
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text


def split_settings(
    method: type[Method], settings: Mapping[str, Any]
) -> tuple[dict[str, Any], TrainingOptions | None]:
    """Part settings into the method's options and the training loop's, each checked against its default.

    Raises:
        OptionError: a key that neither knows, or a value of another type; the message lists the keys.
    """
    own = method.defaults()
    loop = (
        {}
        if method.trains_with is None
        else {f.name: getattr(method.trains_with, f.name) for f in fields(method.trains_with)}
    )
    options: dict[str, Any] = {}
    training = dict(loop)
    for key, value in settings.items():
        if key not in own and key not in loop:
            raise OptionError(
                f"--set {key}: no such option; there are {_listed(own)}; {_listed(loop)}".rstrip("; ")
            )
        chosen = _like(key, value, own[key] if key in own else loop[key])
        (options if key in own else training)[key] = chosen
    return options, type(method.trains_with)(**training) if method.trains_with is not None else None


def _listed(defaults: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in defaults.items())


def _like(key: str, value: Any, default: Any) -> Any:
    """Return the value in the default's type; whole numbers may stand for fractions, nothing else bends.

    For an option that takes words, `none` is one.
    """
    if isinstance(default, str) and value is None:
        return "none"
    if isinstance(default, float) and type(value) is int:
        return float(value)
    if default is not None and type(value) is not type(default):
        raise OptionError(
            f"--set {key}={value}: needs {_KINDS.get(type(default), 'another value')}, such as {default}"
        )
    return value


_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a word"}
