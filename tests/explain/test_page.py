"""The page and the figure: complete in themselves, and no text in them can become anything but text."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from hashlib import sha256
from html.parser import HTMLParser
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from savor import Recipe
from savor.explain import Correspondence, Explanation, drawing, words_of
from savor.explain.drawing import draw
from savor.explain.page import COLOURS, LISTED, render
from savor.explain.result import grid_boxes

EVIL = '<script>alert("1")</script><img src=x onerror=alert(1)>\' & </style> {style}'
PHOTO = Image.new("RGB", (120, 80), "orange")
SOUP = Recipe("1", "Lentil soup", ("2 cups lentils", "1 onion"), ("Boil the lentils.",))


def explain(recipe: Recipe, way: str = "similarity", rank: int | None = None, **changed) -> Explanation:
    """Word k weighs the less the later it comes, and points to cell k."""
    words = words_of(recipe)
    weights = np.zeros((len(words), 6), np.float32)
    weights[range(len(words)), np.arange(len(words)) % 6] = 1
    facts = {
        "weights": weights,
        "word_weights": np.linspace(1, 0.1, len(words)),
        "cell_weights": weights.sum(0),
        **changed,
    }
    boxes = grid_boxes((2, 3), (0.1, 0, 0.9, 1))
    return Explanation(recipe, (Correspondence(way, words, (2, 3), boxes, score=0.25, **facts),), rank)


class Page(HTMLParser):
    """The tags with their attributes and the text inside each kind of element."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.words: list[str] = []
        self.script, self.inside = "", ""
        self.feed(html)
        self.text = " ".join("".join(self.words).split())

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.inside = tag

    def handle_endtag(self, tag):
        self.inside = ""

    def handle_data(self, data):
        if self.inside == "script":
            self.script += data
        else:
            self.words.append(data)

    def of(self, name: str) -> list[dict]:
        return [one for _, one in self.tags if name in (one.get("class") or "").split()]


def test_words_wear_the_colour_of_their_region_and_say_where_it_is() -> None:
    page = Page(render(PHOTO, [explain(SOUP)]))
    words = page.of("w")
    assert len(words) == 6
    assert [one["class"].split()[-1] for one in words] == ["r1", "r2", "r3", "r4", "r5", "r6"]
    assert [one["data-on"] for one in words] == ["0", "1", "2", "3", "4", "5"]
    assert words[1]["data-heat"] == "0 99 0 0 0 0"
    assert words[0]["data-say"] == "Lentil: row 1, column 1; weight 1, rank 1 of 6"
    assert words[5]["data-say"].startswith("lentils: row 2, column 3; weight 0.1, rank 6")
    assert "ingredient" in words[0]["class"].split()
    assert "ingredient" not in words[1]["class"].split()
    assert "Lentil soup score 0.250" in page.text
    shades = [int(re.search(r"(\d+)%", one["style"])[1]) for one in words]
    assert shades == sorted(shades, reverse=True)
    assert shades[0] > shades[-1] + 20


def test_regions_lie_over_the_photo_and_are_listed_with_their_words() -> None:
    page = Page(render(PHOTO, [explain(SOUP)]))
    cells, keys = page.of("cell"), page.of("key")
    assert len(cells) == 6
    assert cells[1]["style"].startswith("left: 36.67%; top: 0.00%; width: 26.67%; height: 50.00%")
    assert cells[5]["aria-label"] == "row 2, column 3"
    assert [one["data-cell"] for one in keys] == ["0", "1", "2", "3", "4", "5"]
    assert keys[1]["aria-label"] == "Region 2, row 1, column 2: soup"
    assert page.of("view")[0]["style"] == "inset: 0.00% 10.00% 0.00% 10.00%"


def test_words_that_speak_against_the_pair_have_no_colour_and_regions_of_none_no_number() -> None:
    page = Page(render(PHOTO, [explain(SOUP, word_weights=np.array([1, -1, 0, 0.5, -0.1, -2]))]))
    assert [one["class"].split()[-1] for one in page.of("w")] == ["r1", "r0", "r0", "r2", "r0", "r0"]
    assert [one["data-cell"] for one in page.of("key")] == ["0", "3"]


def test_a_word_that_points_nowhere_is_only_text() -> None:
    page = Page(render(PHOTO, [explain(SOUP, weights=np.zeros((6, 6), np.float32))]))
    assert page.of("w") == []
    assert "Boil the lentils." in page.text


def test_a_region_lists_its_first_words_and_counts_the_rest() -> None:
    title = " ".join(f"word{chr(97 + k)}" for k in range(LISTED + 3))
    weights = np.zeros((LISTED + 3, 6), np.float32)
    weights[:, 2] = 1
    page = Page(render(PHOTO, [explain(Recipe("1", title), weights=weights)]))
    assert "and 3 more" in page.text
    assert len(page.of("key")) == 1


def test_several_ways_and_several_hits_share_one_page_and_one_photo() -> None:
    one = explain(SOUP, rank=1)
    both = Explanation(SOUP, (*one.found, *explain(SOUP, "masking").found), 1)
    html = render(PHOTO, [both, explain(Recipe("2", "Rice"), rank=2)])
    page = Page(html)
    switches = [one for tag, one in page.tags if tag == "input"]
    assert [one["id"] for one in switches] == ["way-1-similarity", "way-1-masking", "way-2-similarity"]
    assert ["checked" in one for one in switches] == [True, False, True]
    assert len(page.of("panel")) == 3
    assert html.count("data:image/jpeg;base64,") == 1
    assert "1 Lentil soup" in page.text
    assert "2 Rice" in page.text


def test_nothing_is_fetched_and_only_our_script_may_run() -> None:
    html = render(PHOTO, [explain(SOUP)])
    page = Page(html)
    policy = next(one["content"] for _, one in page.tags if "http-equiv" in one)
    ours = b64encode(sha256(page.script.encode()).digest()).decode()
    assert policy == (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; " + f"script-src 'sha256-{ours}'"
    )
    assert page.script.strip()
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert not {"img", "link", "iframe", "object"} & {tag for tag, _ in page.tags}
    assert not any(name.startswith("on") for _, one in page.tags for name in one)
    assert not re.search(r"https?:|@import", html)
    data = re.search(r'url\("data:image/jpeg;base64,([^"]+)"\)', html)
    assert Image.open(BytesIO(b64decode(data[1]))).size == (120, 80)


def test_every_text_is_escaped() -> None:
    recipe = Recipe(EVIL, EVIL, (EVIL,), (EVIL,))
    html = render(PHOTO, [explain(recipe)])
    page = Page(html)
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert not any("onerror" in one for _, one in page.tags)
    assert page.text.count(EVIL) >= 1  # the heading; in the lines numbers follow the words
    assert html.count("</style>") == 1


def test_it_reads_on_telephones_in_the_dark_and_by_keyboard() -> None:
    html = render(PHOTO, [explain(SOUP)])
    page = Page(html)
    assert 'name="viewport" content="width=device-width' in html
    assert "prefers-color-scheme: dark" in html
    assert "focus-visible" in html
    # One stop of the tabulator for the words and one for the photo; arrows lead on from there.
    for name in ("w", "cell"):
        assert [one["tabindex"] for one in page.of(name)].count("0") == 1
    assert all(one["role"] == "button" for one in page.of("w"))
    assert page.of("status")[0]["role"] == "status"


def test_the_figure_shows_each_way_of_each_hit_with_outlines_in_their_colours() -> None:
    one = explain(SOUP, rank=1)
    single = draw(PHOTO, [one])
    assert (single.mode, single.width) == ("RGB", drawing.WIDTH)
    colours = {colour for _, colour in single.getcolors(10**6)}
    drawn = [tuple(bytes.fromhex(colour[1:])) in colours for colour in COLOURS]
    assert drawn == [True] * 6 + [False] * (len(COLOURS) - 6)
    assert draw(PHOTO, [one, one]).height > 1.9 * single.height


@pytest.mark.parametrize("fonts", [drawing.FONTS, ()])
def test_the_figure_has_letters_with_any_font(fonts, monkeypatch) -> None:
    for cached in (drawing._font, drawing._font_name):
        cached.cache_clear()
    monkeypatch.setattr(drawing, "FONTS", fonts)
    drawn = draw(PHOTO.rotate(90, expand=True), [explain(Recipe("1", "Jalapeño 麻婆豆腐 " + "soup " * 40))])
    assert drawn.height > 800
    if not fonts:
        assert drawing._drawable("Jalapeño 麻") == "Jalapeno ?"
    for cached in (drawing._font, drawing._font_name):
        cached.cache_clear()
