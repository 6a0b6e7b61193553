"""Gallery: the hits of a search as one HTML page with its photos inside, to keep or to send."""

from __future__ import annotations

from base64 import b64encode
from html import escape
from typing import TYPE_CHECKING

from savor.index.thumbnails import jpeg

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image

    from savor.index import Index
    from savor.recipe import Recipe
    from savor.search import Hit

INGREDIENTS = 6
QUERY_SIDE = 640
COSINE = "cosine of query and answer"
PAIR_SCORE = "score of query and answer as a pair; their cosine is"


def render(
    hits: Sequence[Hit], index: Index, *, photo: Image.Image | None = None, recipe: Recipe | None = None
) -> str:
    """Return a page that needs nothing beside it: no script, no font, no request to anywhere.

    Args:
        hits: in the order of their ranks.
        index: where their thumbnails and ingredients come from.
        photo: the query, an upright RGB picture.
        recipe: or the query, a recipe; words are a recipe with only a title.
    """
    query = "".join([_query_photo(photo) if photo else "", _query_recipe(recipe) if recipe else ""])
    cards = "".join(_card(hit, index) for hit in hits)
    return _PAGE.format(style=_STYLE, query=query, cards=cards)


def _query_photo(photo: Image.Image) -> str:
    return f'<img src="{_data_uri(jpeg(photo, QUERY_SIDE))}" alt="The photo that was searched with">'


def _query_recipe(recipe: Recipe) -> str:
    title = f'<p class="title">{escape(recipe.title)}</p>' if recipe.title.strip() else ""
    return f"{title}{_ingredients(recipe)}"


def _card(hit: Hit, index: Index) -> str:
    recipe = index.recipe(hit.recipe_id)
    title = hit.title if hit.title.strip() else hit.id
    meaning = COSINE if hit.first_stage_score is None else f"{PAIR_SCORE} {hit.first_stage_score:.3f}"
    return f"""
<li class="card">
  {_picture(hit, index, title)}
  <div class="text">
    <p class="rank"><b>{hit.rank}</b><span title="{meaning}">score {hit.score:.3f}</span></p>
    <h3>{escape(title)}</h3>
    {_ingredients(recipe) if recipe else ""}
    <p class="id">{escape(hit.id)}</p>
  </div>
</li>"""


def _picture(hit: Hit, index: Index, title: str) -> str:
    small = None if hit.photo is None else index.thumbnail(hit.recipe_id, hit.photo)
    if small is None:
        return '<div class="none">no photo</div>'
    return f'<img src="{_data_uri(small)}" alt="{escape(f"Photo of {title}")}" loading="lazy">'


def _ingredients(recipe: Recipe) -> str:
    lines = recipe.lines("ingredients")
    if not lines:
        return ""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines[:INGREDIENTS])
    more = len(lines) - INGREDIENTS
    rest = f'<li class="more">and {more} more</li>' if more > 0 else ""
    return f'<ul class="ingredients">{items}{rest}</ul>'


def _data_uri(data: bytes) -> str:
    return f"data:image/jpeg;base64,{b64encode(data).decode()}"


_STYLE = """
:root { color-scheme: light dark; --paper: #faf6ef; --card: #fffdf9; --ink: #2b2420; --soft: #75685d;
  --line: #e6dccd; --accent: #a8431f; }
@media (prefers-color-scheme: dark) { :root { --paper: #1c1815; --card: #27211d; --ink: #f1e8dc;
  --soft: #ab9c8d; --line: #3b332c; --accent: #f0986f; } }
* { box-sizing: border-box; margin: 0; }
body { background: var(--paper); color: var(--ink); padding: 2rem 1rem 3rem;
  font: 1rem/1.5 "Iowan Old Style", Palatino, "Palatino Linotype", Georgia, serif; }
main { max-width: 68rem; margin: auto; }
h1, h2 { color: var(--accent); font-size: .8rem; font-weight: 400; letter-spacing: .12em;
  text-transform: uppercase; margin-bottom: .75rem; }
.query { border-bottom: 1px solid var(--line); padding-bottom: 2rem; margin-bottom: 2rem; }
.query img { display: block; max-width: 100%; max-height: 22rem; border-radius: .5rem; }
.title { font-size: clamp(1.6rem, 5vw, 2.4rem); line-height: 1.2; font-weight: 600;
  overflow-wrap: anywhere; }
.cards { list-style: none; padding: 0; display: grid; gap: 1.25rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 15rem), 1fr)); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; overflow: hidden;
  display: flex; flex-direction: column; }
.card > img, .none { width: 100%; aspect-ratio: 4 / 3; object-fit: cover; display: block; }
.none { background: var(--line); color: var(--soft); display: grid; place-items: center; font-style: italic; }
.text { padding: .9rem 1rem 1rem; display: flex; flex-direction: column; gap: .5rem; flex: 1; }
.rank { display: flex; justify-content: space-between; align-items: baseline; color: var(--soft);
  font-size: .85rem; font-variant-numeric: tabular-nums; }
.rank b { color: var(--accent); font-size: 1.3rem; line-height: 1; }
h3 { font-size: 1.15rem; line-height: 1.3; font-weight: 600; overflow-wrap: anywhere; }
.ingredients { list-style: disc; padding-left: 1.1rem; font-size: .9rem; line-height: 1.4;
  overflow-wrap: anywhere; }
.ingredients ::marker { color: var(--accent); }
.query .ingredients { margin-top: .75rem; }
.more { list-style: none; color: var(--soft); font-style: italic; }
.id { margin-top: auto; color: var(--soft); font: .75rem/1.4 ui-monospace, monospace;
  overflow-wrap: anywhere; }
"""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>Savor: search results</title>
<style>{style}</style>
</head>
<body>
<main>
<header class="query">
<h1>You searched with</h1>
{query}
</header>
<section>
<h2>Nearest first</h2>
<ol class="cards">{cards}
</ol>
</section>
</main>
</body>
</html>
"""
