"""Photos as training tensors: one canvas, the same randomness whatever the threads, lines as padded ids."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from savor.errors import MethodError, PhotoError
from savor.pixels import ASPECT, RawInput, augmented, on_canvas, random_box
from savor.recipe import Photo, Recipe, Section

CANVAS = (20, 32)


def tokenize(lines):
    return [[7, *(len(word) for word in line.split()), 8] for line in lines]


RAW = RawInput(CANVAS, tokenize)


@pytest.fixture
def photos(tmp_path: Path) -> list[Photo]:
    found = []
    for number, colour in enumerate(["tomato", "khaki", "olive", "navy"]):
        path = tmp_path / f"{number}.png"
        image = Image.linear_gradient("L").resize((60 + 7 * number, 50)).convert("RGB")
        image.paste(Image.new("RGB", (20, 30), colour), (5, 5))
        image.save(path)
        found.append(Photo(str(number), path))
    return found


def test_a_photo_covers_the_canvas_and_keeps_its_middle() -> None:
    wide = Image.new("RGB", (96, 20), "black")
    wide.paste("red", (32, 0, 64, 20))
    assert (on_canvas(wide, CANVAS)[0] > 200).mean() > 0.9
    tall = wide.rotate(90, expand=True)
    assert on_canvas(tall, CANVAS).shape == (3, *CANVAS)
    assert (on_canvas(tall, CANVAS)[0] > 200).mean() > 0.9


def test_evaluation_is_the_plain_crop_and_training_is_not(photos: list[Photo]) -> None:
    plain = RAW.photos(photos)
    assert plain["pixels"].shape == (4, 3, *CANVAS)
    assert plain["pixels"].dtype == torch.uint8
    for photo, pixels in zip(photos, plain["pixels"], strict=True):
        assert np.array_equal(pixels.numpy(), on_canvas(Image.open(photo.path).convert("RGB"), CANVAS))
    images = [Image.open(photo.path).convert("RGB") for photo in photos]
    assert torch.equal(RAW.images(images)["pixels"], plain["pixels"])
    varied = RAW.photos(photos, np.random.default_rng(0))["pixels"]
    assert not any(torch.equal(one, two) for one, two in zip(varied, plain["pixels"], strict=True))


def test_the_same_generator_gives_the_same_pixels(photos: list[Photo]) -> None:
    one, two, other = (RAW.photos(photos * 5, np.random.default_rng(k))["pixels"] for k in (0, 0, 1))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
    assert not torch.equal(one[0], one[4])  # the same photo, drawn twice


def test_training_may_have_a_canvas_of_its_own(photos: list[Photo]) -> None:
    raw = RawInput(CANVAS, tokenize, (16, 24))
    assert raw.photos([photos[0], None])["pixels"].shape == (2, 3, *CANVAS)
    rng = np.random.default_rng(0)
    assert raw.photos([photos[0], None], rng)["pixels"].shape == (2, 3, 16, 24)


def test_a_missing_photo_is_zeros_under_the_mask(photos: list[Photo]) -> None:
    fields = RAW.photos([photos[0], None])
    assert fields["image_mask"].tolist() == [True, False]
    assert fields["pixels"][0].any()
    assert not fields["pixels"][1].any()
    assert RAW.photos([])["pixels"].shape == (0, 3, *CANVAS)


def test_a_photo_that_vanished_is_a_named_error(photos: list[Photo], tmp_path: Path) -> None:
    photos[1].path.unlink()
    with pytest.raises(PhotoError, match="photo '1'"):
        RAW.photos(photos)


@given(
    width=st.integers(1, 400),
    height=st.integers(1, 400),
    aspect=st.floats(0.4, 2.5),
    seed=st.integers(0, 2**32),
)
def test_a_random_part_lies_within_the_photo(width: int, height: int, aspect: float, seed: int) -> None:
    left, top, right, bottom = random_box(width, height, aspect, np.random.default_rng(seed))
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    found = (right - left) / (bottom - top)
    assert aspect / ASPECT - 1e-6 <= found <= aspect * ASPECT + 1e-6


def test_augmentation_mirrors_half_of_the_photos_and_moves_the_colours() -> None:
    half = Image.new("RGB", (64, 40), "black")
    half.paste("white", (48, 0, 64, 40))
    drawn = [augmented(half, CANVAS, np.random.default_rng(k)).mean(0).mean(0) for k in range(200)]
    right = [row[16:].mean() > row[:16].mean() for row in drawn if row.max() > 100]
    assert 0.35 < np.mean(right) < 0.65
    grey = Image.new("RGB", (64, 40), (120, 120, 120))
    levels = {int(augmented(grey, CANVAS, np.random.default_rng(k)).mean()) for k in range(50)}
    assert len(levels) > 10
    assert min(levels) > 90
    assert max(levels) < 150


def test_lines_become_ids_with_masks() -> None:
    recipes = [
        Recipe("a", "Fig tart", ingredients=("2 figs", Section("Top"), "some sugar now")),
        Recipe("b", "", instructions=("Bake it",)),
    ]
    fields = RAW.recipes(recipes)
    assert fields["title_ids"].tolist() == [[7, 3, 4, 8], [-1, -1, -1, -1]]
    assert fields["title_mask"].tolist() == [True, False]
    assert fields["ingredients_ids"].tolist() == [
        [[7, 1, 4, 8, -1], [7, 4, 5, 3, 8]],
        [[-1] * 5, [-1] * 5],
    ]
    assert fields["ingredients_mask"].tolist() == [[True, True], [False, False]]
    assert fields["instructions_ids"].tolist() == [[[-1] * 4], [[7, 4, 2, 8]]]
    assert fields["instructions_mask"].tolist() == [[False], [True]]


def test_a_method_may_choose_its_lines_and_need_no_photos() -> None:
    raw = RawInput(None, tokenize, lines_of=lambda recipe, part: recipe.lines(part)[:1] * 2)
    fields = raw.recipes([Recipe("a", "Fig", ingredients=("one fig", "salt"))])
    assert fields["title_ids"].tolist() == [[7, 3, 8]]
    assert fields["ingredients_ids"].tolist() == [[[7, 3, 3, 8]] * 2]
    assert not fields["instructions_mask"].any()
    for read in (raw.photos, raw.images):
        with pytest.raises(MethodError, match="reads photos as vectors of an encoder"):
            read([None])


def test_no_recipe_and_no_line_are_no_special_case() -> None:
    assert RAW.recipes([])["ingredients_ids"].shape == (0, 1, 1)
    assert not RAW.recipes([Recipe("a")])["title_mask"].any()


def test_a_photo_of_another_mode_is_read(tmp_path: Path) -> None:
    file = BytesIO()
    Image.new("LA", (30, 30), (200, 255)).save(file, "PNG")
    (tmp_path / "a.png").write_bytes(file.getvalue())
    rng = np.random.default_rng(0)
    assert RAW.photos([Photo("a", tmp_path / "a.png")], rng)["pixels"].float().mean() > 120
