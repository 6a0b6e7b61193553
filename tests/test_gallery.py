"""The gallery: complete in itself, and no text in it can become anything but text."""

from __future__ import annotations

import re
from base64 import b64decode
from html.parser import HTMLParser
from io import BytesIO

from PIL import Image

from savor import Recipe
from savor.gallery import render
from savor.index.thumbnails import jpeg
from savor.search import Hit

EVIL = '<script>alert("1")</script><img src=x onerror=alert(1)>\' & </style>'
SOUP = Recipe("1", "Lentil soup", tuple(f"{n} lentils" for n in range(1, 10)))
HITS = [Hit("1", 1, 0.51, "Lentil soup", "a.jpg", "1"), Hit("2", 2, 0.4, EVIL, "b.jpg", "2")]


class Kitchen:
    """An index with two recipes and a photo."""

    def recipe(self, recipe_id):
        return {"1": SOUP, "2": Recipe("2", EVIL, (EVIL,))}.get(recipe_id)

    def thumbnail(self, recipe_id, photo_id):
        return jpeg(Image.new("RGB", (40, 30), "red")) if photo_id == "a.jpg" else None


class Page(HTMLParser):
    """The tags with their attributes, and the text, of a page."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.words = [], []
        self.feed(html)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.words.append(data)


def pictures(page):
    return [attributes for tag, attributes in page.tags if tag == "img"]


def test_it_shows_query_and_hits_with_rank_score_title_and_first_ingredients():
    page = Page(render(HITS, Kitchen(), photo=Image.new("RGB", (1000, 500), "blue")))
    assert "1 score 0.510 Lentil soup 1 lentils 2 lentils" in page.text
    assert "6 lentils and 3 more" in page.text
    assert "7 lentils" not in page.text
    assert "no photo" in page.text
    query, small = (Image.open(BytesIO(b64decode(one["src"].partition(",")[2]))) for one in pictures(page))
    assert query.size == (640, 320)
    assert small.size == (40, 30)
    assert [one["alt"] for one in pictures(page)] == [
        "The photo that was searched with",
        "Photo of Lentil soup",
    ]


def test_a_score_says_what_it_is():
    reranked = Hit("1", 1, 7.25, "Lentil soup", "a.jpg", "1", first_stage_score=0.51)
    page = Page(render([reranked, HITS[1]], Kitchen(), recipe=SOUP))
    assert [attributes["title"] for tag, attributes in page.tags if tag == "span"] == [
        "score of query and answer as a pair; their cosine is 0.510",
        "cosine of query and answer",
    ]
    assert "score 7.250" in page.text


def test_nothing_is_fetched_from_anywhere():
    html = render(HITS, Kitchen(), photo=Image.new("RGB", (10, 10)))
    page = Page(html)
    assert all(one["src"].startswith("data:image/jpeg;base64,") for one in pictures(page))
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in page.tags}
    assert not re.search(r"https?:|url\(|@import", html)
    policy = next(one["content"] for tag, one in page.tags if "http-equiv" in one)
    assert policy.startswith("default-src 'none'")


def test_every_text_is_escaped():
    evil_hit = Hit(EVIL, 1, 0.4, EVIL, "a.jpg", "2")
    page = Page(render([*HITS, evil_hit], Kitchen(), recipe=Recipe("", EVIL, (EVIL,))))
    assert page.text.count(EVIL) == 2 + 2 + 3  # query, second hit, third hit with its id
    assert {tag for tag, _ in page.tags} & {"script"} == set()
    assert all("onerror" not in attributes for _, attributes in page.tags)
    assert pictures(page)[-1]["alt"] == f"Photo of {EVIL}"


def test_a_photo_without_title_goes_by_its_id_and_braces_stay():
    page = Page(
        render([Hit("{x}.jpg", 1, 0.1, "", "{x}.jpg", "{x}")], Kitchen(), recipe=Recipe("", "{soup}"))
    )
    assert "{soup}" in page.text
    assert "{x}.jpg" in page.text


def test_no_hits_and_no_ingredients_are_a_page_too():
    page = Page(render([], Kitchen(), recipe=Recipe("", "soup")))
    assert ("li", {"class": "card"}) not in page.tags
    assert "soup" in page.text


def test_it_reads_on_telephones_and_in_the_dark():
    html = render(HITS, Kitchen(), recipe=SOUP)
    assert 'name="viewport" content="width=device-width' in html
    assert "prefers-color-scheme: dark" in html
