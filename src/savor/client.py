"""A client of `savor serve`, with types: searching from another program or another machine.

Example:
    ```
    from savor.client import Client

    with Client("http://127.0.0.1:8080") as savor:
        answer = savor.search(photo="dinner.jpg", avoid=["nuts"], k=5)
        for hit in answer.hits:
            print(hit.rank, hit.title, hit.ingredients)
        print(savor.import_(["mealie.zip"]).counts)
    ```
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar
from urllib.parse import quote

from savor.errors import ServiceError

if TYPE_CHECKING:
    import httpx2

    from savor.index import Find

T = TypeVar("T")
Photo = str | Path | bytes
PAUSE = 0.3  # seconds between two looks at an import
PART = 200  # recipes that are listed at a time


@dataclass(frozen=True)
class Health:
    """How the server is; see `GET /health` in its OpenAPI description."""

    status: Literal["starting", "ready", "failed"]
    version: str
    index: Mapping[str, Any] | None
    method: str | None
    ways: Sequence[str]
    token_required: bool
    writable: bool
    message: str | None = None


@dataclass(frozen=True)
class Hit:
    """One answer of a search; `photo_url` is a path on the server."""

    id: str
    recipe_id: str
    rank: int
    score: float
    title: str
    photo: str | None = None
    photo_url: str | None = None
    ingredients: Sequence[str] = ()
    category: str | None = None
    minutes: float | None = None
    source: str | None = None
    matched: Sequence[str] = ()
    duplicates: Sequence[str] = ()
    probability: float | None = None
    first_stage_score: float | None = None


@dataclass(frozen=True)
class Understood:
    """How the words of a query were read."""

    text: str
    have: Sequence[str] = ()
    avoid: Sequence[str] = ()
    category: str | None = None
    source: str | None = None
    minutes: float | None = None


@dataclass(frozen=True)
class Confidence:
    """Whether any recipe is likely to be the one on the photo."""

    probability: float
    level: str
    message: str


@dataclass(frozen=True)
class Answer:
    """The hits of a search, best first; `query` names it when feedback is given."""

    hits: Sequence[Hit]
    total: int
    understood: Understood
    confidence: Confidence | None
    notes: Sequence[str]
    query: str
    took_ms: float


@dataclass(frozen=True)
class Card:
    """A recipe in a list."""

    id: str
    title: str
    category: str | None = None
    minutes: float | None = None
    photo_url: str | None = None
    ingredients: Sequence[str] = ()


@dataclass(frozen=True)
class Listing:
    """A part of the collection; facets are names and numbers of recipes, of the whole collection."""

    total: int
    recipes: Sequence[Card]
    categories: Mapping[str, int]
    sources: Mapping[str, int]


@dataclass(frozen=True)
class RecipeFacts:
    """All that is known of a recipe; the title of a section is `{"section": title}` between lines."""

    id: str
    title: str
    ingredients: Sequence[str | Mapping[str, str]] = ()
    instructions: Sequence[str | Mapping[str, str]] = ()
    category: str | None = None
    source: str | None = None
    servings: str | None = None
    times: Mapping[str, str] = field(default_factory=dict)
    tags: Sequence[str] = ()
    notes: str | None = None
    minutes: float | None = None
    photos: Sequence[Mapping[str, str]] = ()


@dataclass(frozen=True)
class Explanation:
    """Which words belong to which cells of a photo; boxes are fractions of its width and height."""

    way: str
    score: float
    grid: Sequence[int]
    boxes: Sequence[Sequence[float]]
    cell_weights: Sequence[float]
    words: Sequence[Mapping[str, Any]]
    ways: Sequence[str]
    recipe: RecipeFacts
    width: int
    height: int


@dataclass(frozen=True)
class Imported:
    """What became of an import: numbers by status, and every recipe's outcome."""

    counts: Mapping[str, int]
    recipes: Sequence[Mapping[str, Any]]
    message: str | None = None


class Client:
    """Talks to a server that `savor serve` started.

    Every method raises `ServiceError` where the server cannot be reached or refuses; its `code` and
    `status` are the server's.

    Args:
        url: the address that the server printed.
        token: its token; needed for what writes if it has one.
        timeout: seconds to wait for an answer.
        transport: how requests travel; None = over the network.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8080",
        token: str | None = None,
        *,
        timeout: float = 60.0,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        import httpx2

        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._http = httpx2.Client(base_url=url, headers=headers, timeout=timeout, transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def health(self) -> Health:
        """Return how the server is and what it serves."""
        return _made(Health, self._ask("GET", "/health"))

    def wait(self, seconds: float = 60.0) -> Health:
        """Wait until the server has loaded its model.

        Raises:
            ServiceError: it cannot be reached, has failed, or is not ready in time.
        """
        until = time.monotonic() + seconds
        while (health := self.health()).status == "starting" and time.monotonic() < until:
            time.sleep(PAUSE)
        if health.status != "ready":
            raise ServiceError(health.message or f"not ready after {seconds:g} s", health.status, 503)
        return health

    def search(
        self,
        *,
        photo: Photo | None = None,
        text: str | None = None,
        recipe: str | None = None,
        find: Find | None = None,
        k: int = 10,
        offset: int = 0,
        have: Sequence[str] = (),
        avoid: Sequence[str] = (),
        category: str | None = None,
        source: str | None = None,
        minutes: float | None = None,
        group: bool = True,
    ) -> Answer:
        """Search by a photo, by words, by both, or by the id of a recipe.

        Args:
            photo: a file, or its bytes.
            text: words, in plain language.
            recipe: the id of a recipe of the index.
            find: recipes, the default, or photos.
            k: how many hits.
            offset: how many hits to pass over.
            have: ingredients that must all be there.
            avoid: ingredients or groups of them of which none may be there.
            category: only this category.
            source: only from this source.
            minutes: at most so many minutes.
            group: show near-duplicates once.
        """
        form = {**_conditions(have, avoid, category, source, minutes), "text": text, "recipe": recipe}
        form |= {"find": find, "k": k, "offset": offset, "group": group}
        body = self._form("/search", form, {} if photo is None else {"photo": photo})
        confidence = body["confidence"]
        return _made(
            Answer,
            body,
            hits=_all(Hit, body["hits"]),
            understood=_made(Understood, body["understood"]),
            confidence=None if confidence is None else _made(Confidence, confidence),
        )

    def recipes(
        self,
        *,
        text: str | None = None,
        have: Sequence[str] = (),
        avoid: Sequence[str] = (),
        category: str | None = None,
        source: str | None = None,
        minutes: float | None = None,
        offset: int = 0,
        limit: int = 50,
        order: Literal["title", "id", "time"] = "title",
    ) -> Listing:
        """List a part of the collection; for the conditions see `search`."""
        asked = {**_conditions(have, avoid, category, source, minutes), "text": text}
        asked |= {"offset": offset, "limit": limit, "order": order}
        body = self._ask("GET", "/recipes", params=_given(asked))
        counts = {name: {one["name"]: one["count"] for one in some} for name, some in body["facets"].items()}
        return _made(Listing, {**body, **counts}, recipes=_all(Card, body["recipes"]))

    def all_recipes(self, **conditions: Any) -> Iterator[Card]:
        """List the whole collection, or what of it meets some conditions, part by part."""
        offset = 0
        while part := self.recipes(offset=offset, limit=PART, **conditions).recipes:
            yield from part
            offset += len(part)

    def recipe(self, recipe_id: str) -> RecipeFacts:
        """Return all that is known of a recipe."""
        return _made(RecipeFacts, self._ask("GET", f"/recipes/{quote(recipe_id, safe='')}"))

    def similar(self, recipe_id: str, k: int = 6) -> Sequence[Hit]:
        """Return the recipes that are most like one."""
        body = self._ask("GET", f"/recipes/{quote(recipe_id, safe='')}/similar", params={"k": k})
        return _all(Hit, body["hits"])

    def remove(self, recipe_id: str) -> None:
        """Remove a recipe and its photos."""
        self._ask("DELETE", f"/recipes/{quote(recipe_id, safe='')}")

    def photo(self, recipe_id: str, photo_id: str, width: int = 320) -> bytes:
        """Return a photo as JPEG, about so wide and at most 320 pixels."""
        path = f"/photos/{quote(photo_id, safe='')}"
        return self._send("GET", path, params={"recipe": recipe_id, "width": width}).content

    def explain(
        self,
        recipe: str,
        *,
        photo: Photo | None = None,
        photo_id: str | None = None,
        photo_recipe: str | None = None,
        way: str | None = None,
    ) -> Explanation:
        """Explain why a recipe is near a photo.

        Args:
            recipe: the id of the recipe.
            photo: a file, or its bytes.
            photo_id: or the id of a photo of the index,
            photo_recipe: and of the recipe it belongs to; `recipe` if left out.
            way: one of `health().ways`; the best if left out.
        """
        form = {"recipe": recipe, "photo_id": photo_id, "photo_recipe": photo_recipe, "way": way}
        body = self._form("/explain", form, {} if photo is None else {"photo": photo})
        return _made(Explanation, body, recipe=_made(RecipeFacts, body["recipe"]))

    def import_(
        self,
        sources: Sequence[str | Path],
        *,
        dry_run: bool = False,
        on_progress: Callable[[str, int, int | None], None] = lambda stage, done, total: None,
    ) -> Imported:
        """Import files as other applications exported them, and wait until they are in the index.

        Args:
            sources: the files.
            dry_run: change nothing; only report what would be done.
            on_progress: called with the stage, the recipes done and, where it is known, their total.
        """
        with ExitStack() as stack:
            files = [("files", (Path(one).name, stack.enter_context(_opened(Path(one))))) for one in sources]
            started = self._ask("POST", "/import", files=files, data=_form({"dry_run": dry_run}))
        while (state := self._ask("GET", f"/import/{started['job']}"))["state"] == "running":
            on_progress(state["stage"], state["done"], state["total"])
            time.sleep(PAUSE)
        if state["state"] == "failed":
            raise ServiceError(state["message"] or "the import failed", "import_failed", 422)
        return _made(Imported, state["report"], message=state["message"])

    def feedback(self, query: str, recipe_id: str, verdict: Literal["yes", "no"]) -> None:
        """Say of a hit whether that was it; `query` is that of the answer."""
        self._ask("POST", "/feedback", json={"query": query, "recipe_id": recipe_id, "verdict": verdict})

    def _form(self, path: str, form: Mapping[str, Any], photos: Mapping[str, Photo]) -> dict[str, Any]:
        with ExitStack() as stack:
            # A part that is a file makes the form multipart, which servers expect even without a photo.
            files = {
                name: (
                    "photo",
                    photo if isinstance(photo, bytes) else stack.enter_context(_opened(Path(photo))),
                )
                for name, photo in photos.items()
            } or {"photo": ("", b"")}
            return self._ask("POST", path, data=_form(form), files=files)

    def _ask(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        body: dict[str, Any] = self._send(method, path, **request).json()
        return body

    def _send(self, method: str, path: str, **request: Any) -> httpx2.Response:
        import httpx2

        try:
            answer = self._http.request(method, path, **request)
        except httpx2.HTTPError as error:
            raise ServiceError(
                f"{self._http.base_url}: no answer ({str(error) or type(error).__name__}); is `savor serve`"
                " running there?",
                "unreachable",
                0,
            ) from error
        if answer.is_success:
            return answer
        code, message = "error", f"{self._http.base_url}: status {answer.status_code}"
        with contextlib.suppress(ValueError, KeyError, TypeError):
            facts = answer.json()["error"]
            code, message = facts["code"], facts["message"]
        raise ServiceError(message, code, answer.status_code)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise ServiceError(f"{path} cannot be read ({error.strerror or error})", "unreadable", 0) from error
    with file:
        yield file


def _conditions(
    have: Sequence[str], avoid: Sequence[str], category: str | None, source: str | None, minutes: float | None
) -> dict[str, Any]:
    given = {"have": list(have), "avoid": list(avoid)}
    return {**given, "category": category, "source": source, "minutes": minutes}


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None and value != []}


def _form(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values as a form sends them."""
    return {
        name: value
        if isinstance(value, list)
        else str(value).lower()
        if isinstance(value, bool)
        else str(value)
        for name, value in _given(values).items()
    }


def _made(kind: type[T], values: Mapping[str, Any], **more: Any) -> T:
    """Make a dataclass of the values it knows; a later server may send more."""
    known = {one.name for one in fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: value for name, value in {**values, **more}.items() if name in known})


def _all(kind: type[T], rows: Sequence[Mapping[str, Any]]) -> Sequence[T]:
    return tuple(_made(kind, row) for row in rows)
