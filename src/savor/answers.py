"""Answers: what a search returns, as values that can be shown, sent and compared."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self

from savor.queries import Understood

if TYPE_CHECKING:
    from savor.index import Card, Match

Level = Literal["high", "medium", "low", "none"]


@dataclass(frozen=True, slots=True)
class Hit:
    """One answer: a recipe, or a photo.

    Attributes:
        id: of the recipe or of the photo, whichever was looked for.
        rank: from 1.
        score: cosine of the query and the entry; where there is a `first_stage_score`, the pair scorer's.
        title: of the recipe; empty where it has none.
        photo: id of the photo, or of the recipe's first one; None where it has none.
        recipe_id: of the recipe, for a photo of the recipe it belongs to.
        first_stage_score: the cosine, for a hit that a pair scorer has put in its place; else None.
    """

    id: str
    rank: int
    score: float
    title: str
    photo: str | None
    recipe_id: str
    first_stage_score: float | None = None

    @classmethod
    def of(cls, match: Match, card: Card, rank: int, cosine: float | None = None) -> Self:
        """Return an entry of an index as a hit; `cosine` is its first stage's score, where it had one."""
        found = match.photo_id if match.photo_id is not None else match.recipe_id
        return cls(
            found, rank, match.score, card.title, match.photo_id or card.photo, match.recipe_id, cosine
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the hit as JSON values, `photo` and `first_stage_score` only where there is one."""
        facts = {"id": self.id, "rank": self.rank, "score": round(self.score, 6), "title": self.title}
        if self.photo is not None:
            facts["photo"] = self.photo
        facts["recipe_id"] = self.recipe_id
        if self.first_stage_score is not None:
            facts["first_stage_score"] = round(self.first_stage_score, 6)
        return facts


@dataclass(frozen=True, slots=True)
class Confidence:
    """How likely it is that the index has the recipe of a photo.

    Attributes:
        probability: of photos that get it, so many have their recipe in the index, where as many photos are
            asked whose recipe is not there.
        level: `high`, `medium`, `low` or `none`, from the probability.
        message: the level in a sentence.
    """

    probability: float
    level: Level
    message: str

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"probability": round(self.probability, 4), "level": self.level, "message": self.message}


@dataclass(frozen=True, slots=True)
class Found:
    """A hit, and why it is one.

    Attributes:
        hit: the recipe or photo.
        matched: words of its ingredients that were asked for, or that the query shares.
        duplicates: ids of further entries that show the same dish again; they are no hits of their own.
        probability: that this is the recipe of the photo asked with; None where that is not known.
    """

    hit: Hit
    matched: tuple[str, ...] = ()
    duplicates: tuple[str, ...] = ()
    probability: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values: those of the hit, and the others beside them."""
        facts = {**self.hit.as_dict(), "matched": list(self.matched), "duplicates": list(self.duplicates)}
        if self.probability is not None:
            facts["probability"] = round(self.probability, 4)
        return facts


@dataclass(frozen=True, slots=True)
class Answer:
    """What an application shows for a query.

    Attributes:
        hits: the best, from `offset` on.
        total: how many entries meet the conditions.
        understood: the words searched for and the conditions that hold.
        confidence: of a photo that looks for recipes, else None.
        notes: what should be said beside the hits.
        dropped: foods to have that no recipe has, and that are therefore no condition of these hits.
    """

    hits: list[Found]
    total: int
    understood: Understood = field(default_factory=Understood)
    confidence: Confidence | None = None
    notes: list[str] = field(default_factory=list)
    dropped: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "hits": [found.as_dict() for found in self.hits],
            "total": self.total,
            "understood": self.understood.as_dict(),
            "confidence": None if self.confidence is None else self.confidence.as_dict(),
            "notes": list(self.notes),
            "dropped": list(self.dropped),
        }
