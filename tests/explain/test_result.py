"""Correspondences: merged regions, ranks and what JSON says of them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from savor import Recipe
from savor.explain import Correspondence, Explanation, Word
from savor.explain.result import grid_boxes


def correspondence(weights, grid=(3, 3), word_weights=None) -> Correspondence:
    weights = np.asarray(weights, np.float32).reshape(-1, grid[0] * grid[1])
    words = tuple(Word(f"word{k}", "title", 0, 6 * k, 6 * k + 5, "word") for k in range(len(weights)))
    alone = weights.sum(1) if word_weights is None else np.array(word_weights, np.float32)
    boxes = grid_boxes(grid, (0.1, 0.0, 0.9, 1.0))
    return Correspondence("masking", words, grid, boxes, weights, alone, weights.sum(0), 0.5)


def test_neighbouring_cells_are_one_region() -> None:
    found = correspondence([[9, 8, 0], [0, 7, 0], [0, 0, 6]])
    near, corner = found.regions(0, quantile=0.6)
    assert near.cells == (0, 1, 4)
    assert near.box == pytest.approx((0.1, 0, 0.1 + 1.6 / 3, 2 / 3))
    assert near.weight == 24
    assert corner.cells == (8,)  # touches the others only at a corner
    assert [region.cells for region in found.regions(0, quantile=0.9)] == [(0,)]


def test_the_region_with_the_largest_weight_comes_first() -> None:
    first, second = correspondence([[5, 5, 0], [0, 0, 0], [0, 0, 6]]).regions(0, quantile=0.6)
    assert (first.cells, second.cells) == ((8,), (0, 1))


def test_a_word_with_equal_weights_points_nowhere() -> None:
    found = correspondence([[2] * 9, [0, 0, 0, 1, 0, 0, 0, 0, 0]])
    assert found.regions(0) == ()
    assert found.best_cells().tolist() == [-1, 3]
    assert [region.cells for region in found.regions(1, quantile=0)] == [(3,)]
    described = {one["word"]: one for one in found.as_dict()["words"]}
    assert described["word0"]["region_box"] is None
    assert described["word0"]["image_weight"] is None


@given(arrays(np.float32, 12, elements=st.floats(-1, 1, width=16)), st.floats(0, 0.99))
def test_regions_hold_the_best_cell_and_never_share_one(row, quantile: float) -> None:
    found = correspondence(row, (3, 4))
    regions = found.regions(0, quantile)
    cells = [cell for region in regions for cell in region.cells]
    assert len(cells) == len(set(cells))
    if row.max() > row.min():
        assert row[list(regions[0].cells)].max() == row.max()
        assert row[cells].min() >= np.quantile(row, quantile)


def test_cells_of_the_weightiest_words_come_first_and_of_others_not_at_all() -> None:
    rows = np.zeros((4, 9))
    rows[range(4), [5, 2, 2, 7]] = 1
    assert correspondence(rows, word_weights=[3, 2, 2, -1]).pointed_cells() == [2, 5]


def test_json_has_words_by_rank_with_text_region_and_image_weight() -> None:
    rows = np.zeros((2, 9))
    rows[0, 0], rows[1, 8] = 1, 3
    found = correspondence(rows)
    described = json.loads(json.dumps(found.as_dict()))
    assert {key: described[key] for key in ("way", "score", "grid")} == {
        "way": "masking",
        "score": 0.5,
        "grid": [3, 3],
    }
    assert described["words"][0] == {
        "word": "word1",
        "kind": "word",
        "part": "title",
        "line": 0,
        "start": 6,
        "end": 11,
        "text_weight": 3,
        "region_box": [0.633333, 0.666667, 0.9, 1],
        "image_weight": 3,
        "rank": 1,
        "weights": [0] * 8 + [3],
    }
    assert [one["rank"] for one in described["words"]] == [1, 2]
    assert len(described["boxes"]) == len(described["cell_weights"]) == 9


def test_an_explanation_says_its_rank_only_if_it_has_one() -> None:
    found = (correspondence(np.eye(9)),)
    assert "rank" not in Explanation(Recipe("7", " "), found).as_dict()
    hit = Explanation(Recipe("7", " "), found, 2)
    assert hit.title == "7"
    assert (hit.as_dict()["rank"], len(hit.as_dict()["ways"])) == (2, 1)
