"""Schemas: what goes in and out, as pydantic models, with examples for the OpenAPI description."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import UploadFile
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

Find = Literal["recipes", "photos"]
Order = Literal["title", "id", "time"]
LONGEST = 2000  # characters of a query
LONGEST_ID = 500
# A form sends every field, the empty ones too.
_Blank = BeforeValidator(lambda value: None if isinstance(value, str) and not value.strip() else value)
_Word = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
Words = Annotated[list[_Word], Field(max_length=20)]
Minutes = Annotated[Annotated[float, Field(gt=0, le=1_000_000)] | None, _Blank]
Name = Annotated[Annotated[str, Field(max_length=200)] | None, _Blank]
Text = Annotated[Annotated[str, Field(max_length=LONGEST)] | None, _Blank]
Id = Annotated[Annotated[str, Field(max_length=LONGEST_ID)] | None, _Blank]


class Conditions(BaseModel):
    """Which recipes may answer."""

    have: Words = Field(default_factory=list, description="Ingredients that must all be there; repeat it.")
    avoid: Words = Field(
        default_factory=list,
        description="Ingredients or groups (dairy, meat, gluten, nuts) to avoid; repeat it.",
    )
    category: Name = Field(None, description="Only this category.", examples=["Soup"])
    source: Name = Field(None, description="Only from this source.")
    minutes: Minutes = Field(None, description="At most so many minutes; recipes without a time do not pass.")


class TextQuery(Conditions):
    """A search by words or by a recipe of the index."""

    text: Text = Field(
        None, description="Words, in plain language.", examples=["chickpeas and spinach, no dairy"]
    )
    recipe: Id = Field(None, description="Or the id of a recipe.")
    find: Annotated[Find | None, _Blank] = Field(
        None, description="What to look for: recipes, which is the default, or photos."
    )
    k: int = Field(10, ge=1, le=100, description="How many hits.")
    offset: int = Field(0, ge=0, le=1000, description="How many hits to pass over.")
    group: bool = Field(True, description="Show near-duplicates once.")


class PhotoQuery(TextQuery):
    """A search by a photo, by words, by both, or by a recipe."""

    photo: UploadFile | None = Field(None, description="A photo of a known kind, told by its content.")


class Listing(Conditions):
    """What to list of the collection."""

    text: Text = Field(None, description="Words that must occur; the best match comes first.")
    offset: int = Field(0, ge=0, le=10_000_000)
    limit: int = Field(50, ge=1, le=200)
    order: Order = "title"


class ErrorFacts(BaseModel):
    """What is wrong."""

    code: str = Field(examples=["bad_photo"])
    message: str = Field(examples=["photo (given as 12 bytes) is not a picture of a known kind"])


class ErrorAnswer(BaseModel):
    """The body of every error."""

    error: ErrorFacts


class IndexFacts(BaseModel):
    """The index that is served."""

    name: str = Field(examples=["my.index"])
    recipes: int = Field(examples=[150])
    photos: int = Field(examples=[150])
    backend: str = Field(examples=["exact"])
    version: str


class Health(BaseModel):
    """How the server is."""

    status: Literal["starting", "ready", "failed"]
    version: str = Field(description="Of Savor.")
    index: IndexFacts | None = Field(description="Known once the status is ready.")
    method: str | None = Field(examples=["triplet_mlp"])
    ways: list[str] = Field(description="How hits can be explained, the best way first.")
    token_required: bool
    writable: bool
    message: str | None = Field(None, description="Why it failed.")


class Hit(BaseModel):
    """One answer of a search."""

    id: str
    recipe_id: str
    rank: int = Field(examples=[1])
    score: float = Field(examples=[0.213])
    title: str = Field(examples=["Red lentil soup"])
    photo: str | None
    photo_url: str | None
    ingredients: list[str] = Field(description="The first eight lines.")
    category: str | None
    minutes: float | None
    source: str | None
    matched: list[str] = Field(description="Ingredients that were asked for or are shared with the query.")
    duplicates: list[str] = Field(description="Ids of recipes that are nearly the same.")
    probability: float | None = Field(None, description="How likely this is the dish.")
    first_stage_score: float | None = None


class Understood(BaseModel):
    """How the words of a query were read."""

    text: str
    have: list[str]
    avoid: list[str]
    category: str | None
    source: str | None
    minutes: float | None


class Confidence(BaseModel):
    """Whether any recipe is likely to be the one on the photo."""

    probability: float
    level: Literal["high", "medium", "low", "none"]
    message: str


class SearchAnswer(BaseModel):
    """The hits of a search, best first."""

    hits: list[Hit]
    total: int
    understood: Understood
    confidence: Confidence | None
    notes: list[str]
    query: str = Field(description="Names this query when feedback is given.")
    took_ms: float


class Hits(BaseModel):
    """Hits, best first."""

    hits: list[Hit]


class Card(BaseModel):
    """A recipe in a list."""

    id: str
    title: str
    category: str | None
    minutes: float | None
    photo_url: str | None
    ingredients: list[str] = Field(description="The first eight lines.")


class Facet(BaseModel):
    """A category or a source and how many recipes it has."""

    name: str
    count: int


class Facets(BaseModel):
    """Categories and sources of the whole collection."""

    categories: list[Facet]
    sources: list[Facet]


class RecipeList(BaseModel):
    """A part of the collection."""

    total: int
    recipes: list[Card]
    facets: Facets


class SectionLine(BaseModel):
    """The title of a section between lines."""

    section: str


class PhotoFacts(BaseModel):
    """A photo of a recipe."""

    id: str
    url: str


class RecipeAnswer(BaseModel):
    """A recipe, all that is known of it."""

    id: str
    title: str
    ingredients: list[str | SectionLine]
    instructions: list[str | SectionLine]
    category: str | None
    source: str | None
    servings: str | None
    times: dict[str, str]
    tags: list[str | SectionLine]
    notes: str | None
    minutes: float | None
    photos: list[PhotoFacts]


class Removed(BaseModel):
    """How many recipes were removed."""

    removed: int


class ExplainForm(BaseModel):
    """What to explain: a recipe beside a photo, uploaded or of the index."""

    photo: UploadFile | None = Field(None, description="A photo.")
    photo_id: Id = Field(None, description="Or the id of a photo of the index,")
    photo_recipe: Id = Field(None, description="and the recipe it belongs to; `recipe` if left out.")
    recipe: str = Field(max_length=LONGEST_ID, description="Id of the recipe.")
    way: Name = Field(None, description="One of the ways that /health lists; the best if left out.")


class ExplainAnswer(BaseModel):
    """Which words belong to which cells of the photo; boxes are fractions of its width and height."""

    model_config = ConfigDict(extra="allow")

    way: str
    score: float
    grid: list[int]
    boxes: list[list[float]]
    cell_weights: list[float]
    words: list[dict[str, Any]] = Field(
        description="Each with part, line and span of letters, its weight for each cell and its region."
    )
    ways: list[str]
    recipe: RecipeAnswer
    photo_url: str | None = None
    photo_data_url: str | None = None
    width: int
    height: int


class ImportStarted(BaseModel):
    """The job that was started."""

    job: str


class ImportState(BaseModel):
    """How far an import is."""

    state: Literal["running", "done", "failed"]
    stage: Literal["reading", "indexing", "opening", "done"]
    done: int
    total: int | None
    report: dict[str, Any] | None = Field(description="As `savor import --json` writes it.")
    message: str | None


class MapPoint(BaseModel):
    """A recipe on the map."""

    id: str
    title: str
    x: float
    y: float
    category: str | None
    photo_url: str | None


class Map(BaseModel):
    """The collection in the plane: near each other is what looks and reads alike."""

    kind: Literal["tsne", "pca", "pending"]
    points: list[MapPoint]
    total: int = Field(description="Recipes in the index; of many only some are on the map.")


class Feedback(BaseModel):
    """What somebody says of a hit."""

    query: str = Field(max_length=100, description="`query` of the search that the hit is of.")
    recipe_id: str = Field(max_length=LONGEST_ID)
    verdict: Literal["yes", "no"]


class Verdict(BaseModel):
    """What was said of a hit, of a search by words or by a photo, of which the file's name is given."""

    when: str
    text: str | None
    photo: str | None
    recipe_id: str
    title: str
    verdict: Literal["yes", "no"]


class Kept(BaseModel):
    """That it was kept."""

    kept: bool = True
