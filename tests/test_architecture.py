"""Who may import whom: data flows one way, and the command line and the server are known to nobody."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import savor

ROOT = Path(savor.__file__).parent
FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
}
# What each layer must not know of; a name stands for the module and everything below it.
DATA = ("datasets", "encoders", "features")
LEARNING = ("training", "methods", "evaluation", "compare", "index", "search", "explain")
FACES = ("cli", "server")
WORDS = ("diets", "queries", "reasons", "answers")
PURE = ("batch", "generators", "layers", "losses", "metrics", "photos", "schedules")
FORBIDDEN = {
    "errors": (*DATA, *LEARNING, *PURE, *FACES, "recipe"),
    "recipe": (*DATA, *LEARNING, *PURE, *FACES),
    **dict.fromkeys(PURE, (*DATA, *LEARNING, *FACES)),
    "datasets": ("encoders", "features", *LEARNING, *FACES),
    "encoders": ("datasets", "features", *LEARNING, *FACES),
    "features": (*LEARNING, *FACES),
    "training": ("datasets", "encoders", "methods", "index", "search", *FACES),
    "methods": ("datasets", "encoders", "evaluation", "index", "search", *FACES),
    "compare": FACES,
    "tables": FACES,
    "reranking": ("datasets", "encoders", "evaluation", "methods", "index", "search", *FACES),
    "explain": ("search", *FACES),
    "grounding": FACES,
    "evaluation": ("datasets", "encoders", "index", "search", *FACES),
    "diets": (*DATA, *LEARNING, *PURE, *FACES, "recipe"),
    **dict.fromkeys(WORDS[1:], (*DATA, "training", "methods", "evaluation", "search", *PURE, *FACES)),
    "confidence": (*DATA, "training", "methods", "evaluation", "search", *PURE, *FACES),
    "index": ("search", *FACES),
    "search": FACES,
}
WITHOUT_TORCH = ("errors", "recipe", "metrics", "datasets", *WORDS, "confidence", "answering")


def below(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


class _WithoutTypes(ast.NodeTransformer):
    """Drops what only the type checker imports: a loop may name the class that calls it."""

    def visit_If(self, node: ast.If) -> ast.AST | None:
        typing_only = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        return None if typing_only else self.generic_visit(node)


def imports(path: Path) -> set[str]:
    """Return the dotted names a file imports when it runs, those of Savor without the leading `savor.`."""
    names = set()
    for node in ast.walk(_WithoutTypes().visit(ast.parse(path.read_text(encoding="utf-8")))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} line {node.lineno}: imports are absolute here"
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return {name.removeprefix("savor.") for name in names}


def test_the_files_were_found() -> None:
    assert {"recipe", "errors", "cli"} <= set(FILES)


@pytest.mark.parametrize("layer", FORBIDDEN)
def test_a_layer_knows_only_what_lies_before_it(layer: str) -> None:
    broken = {
        f"{module} imports savor.{name}"
        for module, path in FILES.items()
        if below(module, layer)
        for name in imports(path)
        if any(below(name, forbidden) for forbidden in FORBIDDEN[layer])
    }
    assert not broken


@pytest.mark.parametrize("layer", WITHOUT_TORCH)
def test_types_metrics_and_data_do_without_torch(layer: str) -> None:
    broken = {
        module
        for module, path in FILES.items()
        if below(module, layer)
        if any(below(name, "torch") or below(name, "transformers") for name in imports(path))
    }
    assert not broken


def test_nobody_but_the_faces_knows_the_faces() -> None:
    broken = {
        f"{module} imports savor.{name}"
        for module, path in FILES.items()
        if not any(below(module, face) for face in (*FACES, "__main__"))
        for name in imports(path)
        if any(below(name, face) for face in FACES)
    }
    assert not broken


def test_every_module_says_what_it_is_for() -> None:
    silent = {
        module
        for module, path in FILES.items()
        if not (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").strip()
    }
    assert not silent


def test_only_the_command_line_prints() -> None:
    printing = {
        f"{module} line {node.lineno}"
        for module, path in FILES.items()
        if not below(module, "cli")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    }
    assert not printing
