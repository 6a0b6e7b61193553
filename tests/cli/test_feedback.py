"""`savor feedback` as it is typed."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from savor import Recipe, cli, index, open_dataset


class Opened:
    path = Path("index")

    def recipe(self, recipe_id):
        return Recipe("soup", "Soup") if recipe_id == "soup" else None


@pytest.fixture(autouse=True)
def work(tmp_path, monkeypatch):
    import savor.search  # noqa: F401  (or it would take the made-up index with it into other tests)

    monkeypatch.setattr(index, "open_index", lambda path: Opened())
    monkeypatch.chdir(tmp_path)
    (tmp_path / "index").mkdir()
    Image.new("RGB", (9, 9), "red").save("dinner.png")


def test_feedback_is_kept_counted_and_exported(capsys):
    assert cli.main(["feedback", "index"]) == 0
    assert capsys.readouterr().out == "index: 0 verdicts; 0 yes, 0 no\n"
    assert cli.main(["feedback", "index", "--photo", "dinner.png", "--yes", "soup"]) == 0
    assert cli.main(["feedback", "index", "--text", "cake", "--no", "soup"]) == 0
    assert cli.main(["feedback", "index"]) == 0
    assert capsys.readouterr().out.endswith("index: 2 verdicts; 1 yes, 1 no\n")
    assert cli.main(["feedback", "index", "--export", "out"]) == 0
    assert capsys.readouterr().out == "out: 1 photos of 1 recipes; 2 verdicts\n"
    assert [pair.recipe.title for pair in open_dataset("out").pairs()] == ["Soup"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--export", "out", "--yes", "soup"], 2, "stands alone"),
        (["--export", "out"], 2, "no feedback is kept"),
        (["--yes", "soup"], 2, "either --photo or --text"),
        (["--photo", "dinner.png", "--text", "x", "--yes", "soup"], 2, "either --photo or --text"),
        (["--text", "x"], 2, "name the recipe"),
        (["--text", "x", "--yes", "pie"], 2, "no recipe with the id 'pie'"),
        (["--photo", "gone.png", "--yes", "soup"], 1, "gone.png cannot be read"),
    ],
)
def test_feedback_refuses_in_words(capsys, arguments, code, message):
    assert cli.main(["feedback", "index", *arguments]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert "Traceback" not in err
