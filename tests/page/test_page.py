"""The page in a real browser: what a cook does there, with a mouse, a thumb or keys alone."""

from __future__ import annotations

import io
import json
import re
import time
from pathlib import Path

import pytest
from PIL import Image

from savor.cookbook import folder as cookbook

pytest.importorskip("playwright.sync_api")

from playwright.sync_api import expect

expect.set_options(timeout=30_000)

REFUSED = "Failed to load resource"  # what a browser says of every answer that is an error
DISH = cookbook() / "photos" / "shakshuka.webp"


def photo(kind="JPEG"):
    buffer = io.BytesIO()
    with Image.open(DISH) as drawing:
        drawing.convert("RGB").save(buffer, kind)
    return {"name": f"dish.{kind.lower()}", "mimeType": f"image/{kind.lower()}", "buffer": buffer.getvalue()}


def settled(page):
    page.wait_for_selector("main:not([aria-busy])")


def until(page, expression):
    """Wait until something holds; Playwright's own way needs an `eval`, which the page's policy forbids."""
    end = time.monotonic() + 30
    while not page.evaluate(expression):
        assert time.monotonic() < end, expression
        page.wait_for_timeout(20)


def search_by_photo(page):
    page.set_input_files("#photo-file", photo())
    page.wait_for_selector(".hits .card")
    settled(page)


def shown(page):
    """The recipes of the hits, in their order."""
    return page.locator(".hits .card").evaluate_all("all => all.map(card => card.dataset.id)")


# What is on the view once it is there, so that no check looks at a view that is still coming.
VIEWS = {
    "first": ("/", ".shelf .tile"),
    "text": ("/?text=onion+soup", ".hits .card"),
    "photos": ("/?recipe=minestrone&find=photos", ".hits.photos .card"),
    "browse": ("/browse", ".hits .card"),
    "recipe": ("/r/minestrone", ".shelf .tile"),
    "without a photo": ("/r/granola", ".shelf .tile"),
    "why": ("/r/minestrone?why=&own=photos%2Fminestrone.webp", ".correspondence .w"),
    "map": ("/map", ".map canvas"),
    "import": ("/?import=", ".import .drop"),
    "nothing": ("/r/no-such-recipe", ".notice"),
}


def test_a_photo_finds_recipes(open_page):
    page = open_page()
    search_by_photo(page)
    answer = page.request.post("/search", multipart={"photo": photo(), "k": "13"}).json()
    assert shown(page) == [hit["recipe_id"] for hit in answer["hits"]]
    first = page.locator(".hits .card").first
    expect(first).to_contain_text(answer["hits"][0]["title"])
    expect(first).to_contain_text(answer["hits"][0]["ingredients"][0])
    until(page, "document.querySelector('.hits .card img').naturalWidth > 0")
    assert re.search(r"[?&]photo=\w+$", page.url)

    page.get_by_role("button", name="More", exact=True).click()
    longer = page.request.post("/search", multipart={"photo": photo(), "k": "25"}).json()["hits"]
    assert len(longer) > 13
    expect(page.locator(".hits .card")).to_have_count(len(longer))
    assert shown(page) == [hit["recipe_id"] for hit in longer]
    assert page.locator(".hits .rank").all_inner_texts() == [str(hit["rank"]) for hit in longer]
    twin = page.locator(".folded").first
    twin.locator("summary").click()
    recipe = page.request.get(
        page.locator(".folded a").first.get_attribute("href").replace("/r/", "/recipes/")
    )
    expect(twin.locator("a").first).to_have_text(recipe.json()["title"])

    page.reload()  # the tab keeps a copy of the photo
    page.wait_for_selector(".hits .card")
    assert shown(page)[0] == answer["hits"][0]["recipe_id"]


def test_the_page_says_when_nothing_looks_like_the_photo(open_page):
    page = open_page()
    answer = page.request.post("/search", multipart={"photo": photo(), "k": "2"}).json()
    unlike = {"probability": 0.01, "level": "none", "message": "None of your recipes looks like this."}
    page.route("**/search", lambda route: route.fulfill(json={**answer, "confidence": unlike}))
    search_by_photo(page)
    expect(page.locator(".confidence")).to_contain_text("None of your recipes looks like this.")
    expect(page.get_by_role("heading", level=1)).to_have_text("Nearest to your photo")


def test_photo_and_words_together(open_page):
    page = open_page()
    search_by_photo(page)
    page.fill("#text", "soup")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("soup")
    assert page.locator(".frame img").is_visible()
    page.get_by_role("button", name="Search without the photo").click()
    expect(page.locator(".frame img")).to_have_count(0)
    assert "photo=" not in page.url
    assert "text=soup" in page.url


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_photos_are_dropped_and_pasted_anywhere(open_page, way):
    page = open_page("/browse")
    page.evaluate(
        """([way, bytes]) => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], "dish.jpg", {type: "image/jpeg"}));
            const event = way === "drop"
                ? new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true})
                : new ClipboardEvent("paste", {clipboardData: data, bubbles: true, cancelable: true});
            document.body.dispatchEvent(event);
        }""",
        [way, list(photo()["buffer"])],
    )
    page.wait_for_selector(".frame img")
    page.wait_for_selector(".hits .card")


def test_words_light_up_regions_and_regions_words(open_page):
    page = open_page()
    search_by_photo(page)
    page.locator(".hits .card").first.get_by_role("link", name="Why this one?").click()
    page.wait_for_selector(".correspondence .w")
    assert page.locator(".cell").count() == 9
    page.mouse.move(2, 2)
    expect(page.locator(".on")).to_have_count(0)

    word = page.locator(".read ul .w.ingredient").first
    text = word.evaluate("word => word.firstChild.data")
    word.hover()
    lit = page.locator(".cell.on").count()
    assert 0 < lit < 9
    assert page.locator(".w.on").count() == 1
    expect(page.locator(".said")).to_contain_text(f"“{text}”")

    which = page.locator(".cell").evaluate_all("all => all.findIndex(cell => cell.matches('.on'))")
    page.locator(".cell").nth(which).hover()
    assert page.locator(".cell.on").count() == 1
    assert text in " ".join(page.locator(".w.on").all_inner_texts())

    word.click()  # holds on when the pointer has gone
    page.mouse.move(2, 2)
    assert word.get_attribute("aria-pressed") == "true"
    assert page.locator(".cell.on").count() == lit

    # A tap on what the photo shows in one colour tells the words that point there.
    page.locator(".key").first.hover()
    assert page.locator(".cell.on").count() == 1


def test_the_way_of_explaining_is_switched(open_page):
    page = open_page(VIEWS["why"][0])
    page.wait_for_selector(".correspondence .w")
    ways = page.locator(".ways input").evaluate_all("all => all.map(one => one.value)")
    assert len(ways) > 1
    other = page.locator(".ways input:not(:checked)").first.get_attribute("value")
    page.locator(f"label[for=way-{other}]").click()
    page.wait_for_selector(f"#way-{other}:checked")
    page.wait_for_selector(".correspondence .w")
    assert f"way={other}" in page.url


def test_words_lie_where_the_recipe_has_them(open_page):
    page = open_page(VIEWS["why"][0])
    page.wait_for_selector(".correspondence .w")
    lines = page.locator(".read ul li").evaluate_all(
        """all => all.map(line => {
            const copy = line.cloneNode(true);
            copy.querySelectorAll("i").forEach(number => number.remove());
            return copy.textContent;
        })"""
    )
    recipe = json.loads(page.request.get("/recipes/minestrone").text())
    assert lines == ["For the soup", *recipe["ingredients"][1:]]


def test_filters(open_page):
    page = open_page("/browse")
    page.wait_for_selector(".hits .card")
    page.locator(".filters summary").click()
    page.fill("#filter-have", "onions")
    page.keyboard.press("Enter")
    page.wait_for_selector(".chip.have")
    settled(page)
    assert page.evaluate("document.activeElement.id") == "filter-have"  # the next one can be written at once
    with_onions = page.locator(".hits .card").count()
    assert 0 < with_onions < 24
    for card in page.locator(".hits .card").all():
        recipe = page.request.get(f"/recipes/{card.get_attribute('data-id')}").text()
        assert "onion" in recipe
    page.select_option("#choice-category", "soup")
    page.wait_for_selector(".chip.plain")
    settled(page)
    assert set(page.locator(".hits .facts").all_inner_texts()) != set()
    assert all(facts.startswith("soup") for facts in page.locator(".hits .facts").all_inner_texts())
    page.select_option("#choice-time", "60")
    page.wait_for_selector(".chip >> text=up to 1 h")
    assert page.url.endswith("have=onions&category=soup&minutes=60")
    page.get_by_role("button", name="Remove: with onions").click()
    expect(page.locator(".chip.have")).to_have_count(0)
    page.go_back()
    page.wait_for_selector(".chip.have")


def test_no_hits_say_how_to_go_on(open_page):
    page = open_page("/browse?have=unobtainium")
    expect(page.locator(".notice")).to_contain_text("No recipe fits")
    page.get_by_role("button", name="Show all recipes").click()
    page.wait_for_selector(".hits .card")
    assert "have=" not in page.url

    nothing = {**page.request.get("/search?text=soup").json(), "hits": [], "total": 0}
    page.route("**/search?*", lambda route: route.fulfill(json=nothing))
    page.goto("/?text=soup")
    expect(page.locator(".notice")).to_contain_text("No recipe fits")
    assert page.get_by_role("link", name="Start anew").get_attribute("href") == "/"


def test_what_was_understood_becomes_filters(open_page):
    page = open_page("/?text=onion+soup,+no+celery")
    page.wait_for_selector(".hits .card")
    assert page.locator(".chip.avoid").inner_text() == "without celery"
    page.get_by_role("button", name="Remove: without celery").click()
    expect(page.locator(".chip.avoid")).to_have_count(0)
    assert "celery" not in page.url
    page.wait_for_selector(".hits .card")


def test_deep_links_and_the_way_back(open_page):
    page = open_page("/?text=onion+soup", height=600)
    page.wait_for_selector(".hits .card")
    page.locator(".hits .card").nth(9).scroll_into_view_if_needed()
    down = page.evaluate("scrollY")
    assert down > 300
    link = page.locator(".hits .card").nth(9).get_by_role("link").first
    title = link.inner_text()
    link.click()
    expect(page.get_by_role("heading", level=1)).to_have_text(title)
    assert "/r/" in page.url
    assert page.evaluate("scrollY") == 0
    page.go_back()
    page.wait_for_selector(".hits .card")
    until(page, f"Math.abs(scrollY - {down}) < 40")
    page.go_forward()
    expect(page.get_by_role("heading", level=1)).to_have_text(title)


def test_a_recipe_is_shown_as_text(open_page):
    page = open_page("/r/buttermilk-pancakes")
    heading = page.get_by_role("heading", level=1)
    expect(heading).to_contain_text("<img src=x onerror=")
    page.goto("/browse?text=pancakes")
    page.wait_for_selector(".hits .card")
    assert page.locator("img[src=x]").count() == 0
    assert "broken" not in page.title()


def test_a_recipe_leads_on(open_page):
    page = open_page("/r/minestrone")
    page.wait_for_selector(".shelf .tile")
    expect(page.locator(".recipe h3")).to_have_text(["For the soup"])
    assert page.locator(".steps li").count() >= 3
    source = page.get_by_role("link", name="example.org/minestrone")
    assert "noreferrer" in source.get_attribute("rel")
    page.get_by_role("link", name="Find photos of this").click()
    page.wait_for_selector(".hits.photos .card")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Photos like Minestrone")
    page.get_by_role("link", name="Show recipes").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Recipes like Minestrone")


EXPORT = """<!doctype html><title>Fig toast</title><script type="application/ld+json">{"@context":
"https://schema.org", "@type": "Recipe", "name": "Fig toast", "recipeIngredient": ["2 slices bread",
"3 figs"], "recipeInstructions": "Toast the bread. Slice the figs on to it."}</script>"""


def test_an_export_is_imported(open_page):
    page = open_page("/?import=")
    files = [
        {"name": "fig-toast.html", "mimeType": "text/html", "buffer": EXPORT.encode()},
        {"name": "notes.bin", "mimeType": "application/octet-stream", "buffer": b"\x00\x01"},
    ]
    page.set_input_files("#import-files", files)
    page.get_by_role("button", name="Only look first").click()
    expect(page.get_by_role("heading", name="1 recipe would come into your book")).to_be_visible()
    assert page.locator(".counts .read dd").inner_text() == "1"
    assert page.locator("tr.skipped").count() == 1
    assert page.request.get("/recipes?text=figs").json()["total"] == 0

    page.get_by_role("button", name="Import").click()
    expect(page.get_by_role("heading", name="1 recipe in your book")).to_be_visible()
    page.locator("tr.read a").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Fig toast")
    expect(page.locator(".ingredients")).to_contain_text("3 figs")


def test_feedback_is_kept(open_page, small_index):
    page = open_page()
    search_by_photo(page)
    yes = page.locator(".hits .card").first.get_by_role("button", name="That was it")
    yes.click()
    expect(yes).to_have_attribute("aria-pressed", "true")
    kept = (small_index / "feedback.jsonl").read_text("utf-8").splitlines()
    assert json.loads(kept[-1])["recipe"]["id"] == shown(page)[0]


def test_keys_alone_are_enough(open_page):
    page = open_page()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.keyboard.press("/")
    page.keyboard.type("onion soup")
    page.keyboard.press("Enter")
    page.wait_for_selector(".hits .card")
    settled(page)
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Show photos")).to_be_focused()
    page.keyboard.press("Tab")
    focused = page.evaluate("document.activeElement.closest('.card')?.dataset.id")
    assert focused == page.locator(".hits .card").first.get_attribute("data-id")
    page.keyboard.press("Enter")
    page.wait_for_selector(".recipe")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("g")
    page.keyboard.press("m")
    page.wait_for_selector(".map canvas")
    assert page.url.endswith("/map")
    page.focus(".map canvas")
    page.keyboard.press("ArrowRight")
    chosen = page.locator(".map-card a").inner_text()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("+")
    page.keyboard.press("0")
    page.keyboard.press("ArrowRight")
    assert page.locator(".map-card a").inner_text() != ""
    page.keyboard.press("Enter")
    page.wait_for_selector(".recipe")
    assert chosen


def test_an_explanation_is_read_with_keys(open_page):
    page = open_page(VIEWS["why"][0])
    page.wait_for_selector(".correspondence .w")
    page.focus(".cell >> nth=0")
    page.keyboard.press("ArrowDown")
    expect(page.locator(".cell").nth(3)).to_be_focused()
    assert page.locator(".cell").nth(3).evaluate("cell => cell.matches('.on')")
    page.focus(".w >> nth=0")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert page.locator(".w").nth(1).get_attribute("aria-pressed") == "true"
    page.keyboard.press("Escape")
    assert page.locator(".w").nth(1).get_attribute("aria-pressed") == "false"


def test_the_map_has_the_recipes_and_a_list_of_them(open_page):
    page = open_page("/map")
    page.wait_for_selector(".map canvas")
    page.locator(".map-list summary").click()
    total = page.request.get("/recipes").json()["total"]
    assert page.locator(".map-list a").count() == total
    page.locator(".map-list a").nth(4).focus()
    expect(page.locator(".map-card")).to_be_visible()
    assert page.locator(".map-card a").inner_text() == page.locator(".map-list a").nth(4).inner_text()
    page.locator(".map-card a").click()
    page.wait_for_selector(".recipe")


def test_a_dot_of_the_map_is_clicked(open_page):
    page = open_page("/map")
    canvas = page.locator(".map canvas")
    canvas.hover(position={"x": 40, "y": 40})
    points = page.request.get("/map", headers={"Accept": "application/json"}).json()["points"]
    box = canvas.bounding_box()
    point = points[3]
    position = {axis: 44 + point[axis] * (box[side] - 88) for axis, side in (("x", "width"), ("y", "height"))}
    canvas.click(position=position)
    expect(page.locator(".map-card a")).to_have_text(point["title"])
    canvas.hover(position=position)
    page.mouse.wheel(0, -300)
    page.mouse.down()
    page.mouse.move(box["x"] + 100, box["y"] + 100, steps=3)
    page.mouse.up()
    expect(page.locator(".map-card a")).to_have_text(point["title"])  # moving the map chooses nothing


def test_a_phone_never_scrolls_sideways(open_page):
    page = open_page(width=390, height=844, is_mobile=True, has_touch=True, expected=[REFUSED])
    long_title = {
        "long title": ("/r/poha", ".recipe"),
        "card of it": ("/browse?text=potatoes", ".hits .card"),
    }
    for name, (path, selector) in {**VIEWS, **long_title}.items():
        page.goto(path)
        page.wait_for_selector(selector)
        settled(page)
        for width in (390, 320):
            page.set_viewport_size({"width": width, "height": 844})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (name, width)


def test_dark_and_light(open_page):
    page = open_page(theme="dark")
    dark = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(dark) == "rgb(27, 23, 20)"
    button = page.locator("#theme")
    button.click()
    assert page.evaluate(dark) == "rgb(250, 245, 234)"
    expect(button).to_have_attribute("aria-label", "Colours: light")
    page.reload()
    page.wait_for_selector("#theme")
    assert page.evaluate(dark) == "rgb(250, 245, 234)"
    page.keyboard.press("t")
    assert page.evaluate(dark) == "rgb(27, 23, 20)"


def test_a_server_that_is_gone(open_page):
    page = open_page(expected=[REFUSED])
    page.context.route("**/search*", lambda route: route.abort())
    page.fill("#text", "soup")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("Savor does not answer")
    page.context.unroute("**/search*")
    page.get_by_role("button", name="Try again").click()
    page.wait_for_selector(".hits .card")

    page.goto("/browse")
    page.context.route("**/recipes?*", lambda route: route.abort())
    page.get_by_role("button", name="More", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("Savor does not answer")
    assert page.locator(".hits .card").count() == 24
    page.context.unroute("**/recipes?*")
    page.get_by_role("button", name="More", exact=True).click()
    until(page, "document.querySelectorAll('.hits .card').length > 24")
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_photo_that_cannot_be_read(open_page):
    page = open_page(expected=[REFUSED])
    broken = {"name": "dish.jpg", "mimeType": "image/jpeg", "buffer": b"this is no picture"}
    page.set_input_files("#photo-file", broken)
    expect(page.get_by_role("alert")).to_contain_text("This photo cannot be read")
    page.set_input_files("#photo-file", {**broken, "name": "a.txt", "mimeType": "text/plain"})
    expect(page.get_by_role("alert")).to_contain_text("This is not a photo")
    page.set_input_files("#photo-file", photo("PNG"))
    page.wait_for_selector(".hits .card")


def test_a_photo_of_another_tab(open_page):
    page = open_page("/?photo=elsewhere")
    expect(page.locator(".notice")).to_contain_text("The photo is no longer here")


def test_an_address_that_leads_nowhere(open_page):
    page = open_page("/r/no-such-recipe", expected=[REFUSED])
    expect(page.get_by_role("alert")).to_contain_text("no-such-recipe")


def test_an_empty_book_asks_for_recipes(open_page):
    empty = {"total": 0, "recipes": [], "facets": {"categories": [], "sources": []}}
    page = open_page(before=lambda page: page.route("**/recipes?*", lambda route: route.fulfill(json=empty)))
    page.get_by_role("link", name="Add recipes").click()
    page.wait_for_selector(".import .drop")


def test_a_token_is_asked_for_and_kept_for_the_tab(open_page):
    asked = []

    def guard(route):
        asked.append(route.request.headers.get("authorization"))
        if asked[-1] == "Bearer open sesame":
            route.fulfill(json={"kept": True})
        else:
            error = {"code": "token_needed", "message": "this needs the token"}
            route.fulfill(status=401, json={"error": error})

    page = open_page(expected=[REFUSED])
    page.route("**/feedback", guard)
    search_by_photo(page)
    first = page.locator(".hits .card").first
    verdict = first.get_by_role("button", name="That was it")
    verdict.click()
    expect(page.get_by_role("dialog")).to_contain_text("this needs the token")
    page.fill("#token", "open sesame")
    page.keyboard.press("Enter")
    expect(verdict).to_have_attribute("aria-pressed", "true")
    first.get_by_role("button", name="Not this").click()
    expect(verdict).to_have_attribute("aria-pressed", "false")
    assert asked == [None, "Bearer open sesame", "Bearer open sesame"]
    assert page.evaluate("localStorage.length + document.cookie.length") == 0


@pytest.fixture(scope="module")
def axe():
    package = pytest.importorskip("axe_core_python")
    return (Path(package.__file__).parent / "axe.min.js").read_text("utf-8")


def test_nothing_stands_in_anyones_way(open_page, axe):
    page = open_page(expected=[REFUSED])

    def check(name):
        page.evaluate(axe)
        for theme in ("dark", "light"):
            page.emulate_media(color_scheme=theme, reduced_motion="reduce")
            found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
            serious = [
                (name, theme, one["id"], [node["html"][:200] for node in one["nodes"]])
                for one in found["violations"]
                if one["impact"] in ("serious", "critical")
            ]
            assert serious == []

    for name, (path, selector) in VIEWS.items():
        page.goto(path)
        page.wait_for_selector(selector)
        settled(page)
        check(name)
    page.goto("/")
    search_by_photo(page)
    page.locator(".filters summary").click()
    check("photo and filters")
    page.locator("h1").click()
    page.keyboard.press("?")
    check("keys")
