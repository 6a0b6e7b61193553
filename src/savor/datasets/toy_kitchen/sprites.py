"""Single pieces of food, drawn once per look and kept: colour, outline and thickness."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from savor.datasets.toy_kitchen.pantry import Food, Look

Array = NDArray[np.float64]
Texture = tuple[Image.Image, Image.Image]  # colour and height
N_VARIANTS = 8  # pieces drawn per food and state; a picture picks among them
TILE = 352  # side of a texture tile in scene units
_DARK = np.array((0.20, 0.11, 0.06))
_GOLD = np.array((0.72, 0.44, 0.16))


@dataclass(frozen=True, slots=True)
class Sprite:
    """One piece: `rgb` with its soft outline `alpha`, its sharp outline `solid`, and its `height` map."""

    rgb: Image.Image
    alpha: Image.Image
    solid: Image.Image
    height: Image.Image


@dataclass(frozen=True, slots=True)
class _Grid:
    """Coordinates of a piece, each (side, side): u along, v across, `rho` 0 in the middle, 1 at the edge."""

    u: Array
    v: Array
    rho: Array
    theta: Array
    noise: Array
    colours: tuple[Array, ...]


def rgb(colour: str) -> Array:
    """Turn `rrggbb` into red, green and blue between 0 and 1."""
    return np.array(list(bytes.fromhex(colour))) / 255


def _mix(a: Array, b: Array, share: Array) -> Array:
    return a + (b - a) * np.clip(share, 0, 1)[..., None]


def _step(x: Array, edge: float, soft: float = 0.08) -> Array:
    return np.clip((x - edge) / soft + 0.5, 0, 1)


def _plain(g: _Grid) -> Array:
    return _mix(g.colours[0] * np.ones((*g.rho.shape, 1)), g.colours[-1], 0.25 * g.noise)


def _rim(g: _Grid) -> Array:
    return _mix(_plain(g), g.colours[1], _step(g.rho, 0.86))


def _seeded(g: _Grid) -> Array:
    flesh = _mix(_plain(g), g.colours[1], _step(0.72 - np.abs(g.rho - 0.3), 0.42, 0.3))
    seeds = _step(np.cos(9 * g.theta) * (1 - 4 * np.abs(g.rho - 0.5)), 0.55, 0.3)
    return _mix(
        _mix(flesh, g.colours[2], seeds),
        g.colours[0 if g.colours[1].sum() > g.colours[0].sum() else 1],
        _step(g.rho, 0.85),
    )


def _citrus(g: _Grid) -> Array:
    spokes = _step(np.abs(np.cos(4.5 * g.theta)) * g.rho, 0.1, 0.1)
    flesh = _mix(g.colours[2] * np.ones((*g.rho.shape, 1)), g.colours[0], spokes)
    return _mix(_mix(flesh, g.colours[2], _step(g.rho, 0.8)), g.colours[1], _step(g.rho, 0.9))


def _ring(g: _Grid) -> Array:
    return _mix(_plain(g), g.colours[-1], _step(0.78 - g.rho, 0, 0.2))


def _yolk(g: _Grid) -> Array:
    return _mix(_plain(g), g.colours[1], _step(0.48 - np.hypot(g.u - 0.08, g.v), 0, 0.06))


def _marbled(g: _Grid) -> Array:
    lines = np.cos(15 * (g.u + 0.5 * g.v * g.v + 0.1 * g.noise))
    return _mix(_plain(g), g.colours[1], 0.8 * _step(lines, 0.72, 0.3))


def _streaky(g: _Grid) -> Array:
    return _mix(_plain(g), g.colours[1], _step(np.cos(26 * g.v + 2 * g.noise + 3 * g.u), 0.2, 0.5))


def _bands(g: _Grid) -> Array:
    return _mix(_plain(g), g.colours[1], 0.8 * _step(np.cos(14 * g.u), 0.3, 0.5))


def _layers(g: _Grid) -> Array:
    return _mix(_plain(g), g.colours[1], 0.8 * _step(np.cos(16 * g.rho + 2 * g.noise), 0.4, 0.5))


def _floret(g: _Grid) -> Array:
    bumps = np.cos(9 * g.u + 3 * g.noise) * np.cos(9 * g.v + 3 * g.noise)
    return _mix(_plain(g), g.colours[1], 0.6 * _step(bumps, 0.3, 0.6))


def _leaf(g: _Grid) -> Array:
    veins = np.maximum(
        _step(0.06 - np.abs(g.v), 0, 0.05), 0.5 * _step(np.cos(14 * (g.u - np.abs(g.v))), 0.8, 0.3)
    )
    return _mix(_plain(g), g.colours[-1], veins)


def _tip(g: _Grid) -> Array:
    return _mix(_plain(g), g.colours[1], _step(g.u, 0.55, 0.3))


def _speckle(g: _Grid) -> Array:
    return _mix(_plain(g), g.colours[1], 0.8 * _step(g.noise, 0.75, 0.3))


def _mushroom(g: _Grid) -> Array:
    gills = _step(0.18 - np.abs(g.u + 0.02), 0, 0.05) * _step(0.8 - np.abs(g.v), 0, 0.1)
    return _mix(_mix(_plain(g), g.colours[1], 0.7 * gills), g.colours[1], _step(g.rho, 0.88))


_PATTERNS: dict[str, Callable[[_Grid], Array]] = {
    "plain": _plain, "rim": _rim, "seeded": _seeded, "citrus": _citrus, "ring": _ring, "yolk": _yolk,
    "marbled": _marbled, "streaky": _streaky, "bands": _bands, "layers": _layers, "floret": _floret,
    "leaf": _leaf, "tip": _tip, "speckle": _speckle, "mushroom": _mushroom,
}  # fmt: skip


def _noise(side: int, grain: float, rng: np.random.Generator) -> Array:
    """Smooth noise between 0 and 1, `grain` scene units from hill to hill, shape (side, side)."""
    coarse = rng.integers(0, 256, size=(max(3, round(side / grain)),) * 2, dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)) / 255


def _grid(look: Look, rng: np.random.Generator) -> _Grid:
    side = 2 * round(look.size * (1.2 + 0.25 * look.bend)) + 3
    axis = (np.arange(side) - (side - 1) / 2) / look.size
    x, y = np.meshgrid(axis, axis)
    turn = rng.random() * 2 * np.pi
    u, v = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    v = v + look.bend * (u * u - 0.35) * (0.8 + 0.4 * rng.random())
    rho = (np.abs(u) ** look.power + np.abs(v / look.aspect) ** look.power) ** (1 / look.power)
    theta = np.arctan2(v / look.aspect, u)
    phases = rng.random(3) * 2 * np.pi
    wave = sum(np.cos(k * theta + phase) for k, phase in zip((2, 3, 5), phases, strict=True))
    if look.pattern == "mushroom":
        stem = np.maximum(np.abs(v) / 0.32, np.abs(u - 0.45) / 0.6)
        rho = np.minimum(np.hypot((u + 0.25) / 0.7, v), stem)
    if look.pattern == "floret":
        wave = wave + 1.2 * np.cos(8 * theta + phases[0])
    colours = tuple(rgb(c) * (0.93 + 0.14 * rng.random()) for c in look.colours)
    return _Grid(u, v, rho / (1 + look.wobble * 0.6 * wave), theta, _noise(side, 5, rng), colours)


def _cooked(colour: Array, g: _Grid, state: str) -> Array:
    """Cook a piece: browned edges and patches, or char marks in stripes."""
    if state == "raw":
        return colour
    brown = _mix(colour, _GOLD, (0.3 if state == "grilled" else 0.5) * (0.35 + g.noise) * (0.3 + 0.9 * g.rho))
    if state == "grilled":
        stripes = _step(np.cos(11 * (g.u + 0.3 * g.v)), 0.55, 0.3)
        return _mix(brown * 0.86, _DARK, 0.8 * stripes * (0.6 + 0.4 * g.noise))
    patches = _step(g.noise, 0.78 if state == "fried" else 0.7, 0.25)
    return _mix(brown, _DARK, (0.25 if state == "fried" else 0.5) * patches)


@lru_cache(maxsize=4096)
def sprite(look: Look, state: str, variant: int, size_percent: int = 100) -> Sprite:
    """Draw one piece; the same arguments give the same piece with the same Pillow and numpy."""
    if size_percent != 100:
        return _resized(sprite(look, state, variant), size_percent)
    key = zlib.crc32(f"{look.colours} {look.size} {look.aspect} {state}".encode())
    g = _grid(look, np.random.default_rng([key, variant]))
    inside = (1 - g.rho) * look.size * min(1.0, 1.6 * look.aspect)
    if look.pattern == "ring":
        inside = np.minimum(inside, (g.rho - 0.5) * look.size)
    alpha = np.clip(inside + 0.5, 0, 1)
    dome = np.sqrt(np.clip(1 - g.rho**2, 0, 1)) if look.power < 2.5 else 1 - np.clip(g.rho, 0, 1) ** 8
    bumps = 0.25 * g.noise if look.pattern in ("floret", "leaf", "layers") else 0.06 * g.noise
    height = 90 + look.height * (0.75 * dome + bumps)
    colour = _cooked(_PATTERNS[look.pattern](g), g, state)
    return Sprite(
        Image.fromarray(np.clip(colour * 255 + 0.5, 0, 255).astype(np.uint8)),
        Image.fromarray((alpha * 255 + 0.5).astype(np.uint8)),
        Image.fromarray(np.where(alpha >= 0.5, 255, 0).astype(np.uint8)),
        Image.fromarray(np.clip(height, 0, 255).astype(np.uint8)),
    )


def _resized(piece: Sprite, percent: int) -> Sprite:
    width, height = piece.rgb.size
    size = (max(3, width * percent // 100), max(3, height * percent // 100))
    alpha = piece.alpha.resize(size, Image.Resampling.BILINEAR)
    return Sprite(
        piece.rgb.resize(size, Image.Resampling.BILINEAR),
        alpha,
        alpha.point([0] * 128 + [255] * 128),
        piece.height.resize(size, Image.Resampling.BILINEAR),
    )


@cache
def heaped(look: Look) -> Texture:
    """Draw a square of many pieces side by side, as rice or leaves lie in a heap."""
    rng = np.random.default_rng(zlib.crc32(f"{look.colours} {look.size}".encode()))
    colour, height = smooth(tuple(0.72 * rgb(look.colours[0])))
    colour, height = colour.copy(), height.copy()
    area = (1.6 * look.size) ** 2 * max(look.aspect, 0.15)
    for x, y in rng.integers(-look.size, TILE, size=(int(1.5 * TILE**2 / area), 2)).tolist():
        piece = sprite(look, "raw", int(rng.integers(N_VARIANTS)))
        colour.paste(piece.rgb, (x, y), piece.alpha)
        height.paste(piece.height, (x, y), piece.alpha)
    return colour, height


@cache
def _ripples() -> Texture:
    rng = np.random.default_rng(0)
    hills, fine = _noise(TILE, 40, rng), _noise(TILE, 5, rng)
    shade = 0.93 + 0.08 * hills + 0.04 * fine
    return Image.fromarray((240 * shade).astype(np.uint8)), Image.fromarray(
        (88 + 14 * hills).astype(np.uint8)
    )


@lru_cache(maxsize=64)
def smooth(colour: tuple[float, ...], lift: int = 0) -> Texture:
    """Draw a square of one smooth mass, `lift` higher than usual: sauce, mash, dough."""
    shade, height = _ripples()
    levels = np.arange(256) * 255 / 240
    channels = [shade.point(np.clip(levels * c + 0.5, 0, 255).astype(int).tolist()) for c in colour]
    return Image.merge("RGB", channels), raised(height, lift)


def raised(height: Image.Image, lift: int) -> Image.Image:
    """Lift a height map."""
    return height.point([min(255, level + lift) for level in range(256)]) if lift else height


def mixed(foods: list[Food]) -> tuple[float, ...]:
    """Mix the colours of a sauce as paints mix, light being swallowed: the weighted geometric mean.

    The first food counts twice; a touch of the paler one is what makes cream of tomato pink.
    """
    shares = np.array([2.0] + [1.0] * (len(foods) - 1))
    logs = np.log(np.stack([rgb(food.look.colours[0]) for food in foods]) + 0.04)
    return tuple((np.exp(shares @ logs / shares.sum()) - 0.04).tolist())
