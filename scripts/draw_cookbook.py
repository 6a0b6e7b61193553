"""Draw the illustrations of the starter cookbook: `python scripts/draw_cookbook.py [--out DIR] [ID ...]`.

A picture is a line of commands in `PICTURES`: what the dish is served in, then what lies in it, from below
upwards. Lengths are shares of the room in the vessel (1 is from the middle to its rim), angles are degrees,
colours `rrggbb`; single pieces of food are the sprites of the toy kitchen. The seed is the recipe's id, so
the same Pillow and numpy draw the same bytes each time.
"""

from __future__ import annotations

import argparse
import json
import math
import zlib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from cookbook_pictures import LOOKS, PICTURES
from savor.cookbook import folder
from savor.datasets.toy_kitchen.pantry import FOODS, Look
from savor.datasets.toy_kitchen.pictures import CENTRE, SCENE, Scene
from savor.datasets.toy_kitchen.sprites import N_VARIANTS, heaped, raised, rgb, smooth, sprite

SIDE = 320
QUALITY = 80
Point = tuple[float, float]
_SHADOW = (40, 24, 12, 70)
_STATES = ("grilled", "fried", "roasted")
# Cloth and pattern colours that go together; the crockery must stand out against both.
_CLOTHS = (
    "d9c3a0 c4a678", "9db4ab 86a096", "e7d9c8 c96f53", "7f93ad 94a7be", "efe6d6 8fa8c0", "b98a63 a67850",
    "c9d3c0 9fb48e", "e8c9b8 d6a28c", "5f7470 6f8783", "dcc9d6 c4a4ba", "e9dfb8 d3bd74", "8c6a4f 7a5a42",
    "c3cfd9 a3b4c4", "b65f4a c57562", "e4e0d4 b9b3a0", "6b7f5c 7f9370",
)  # fmt: skip


def look_of(name: str) -> Look:
    """Return how a food looks: one of the cookbook's own, or one of the toy kitchen's."""
    if name in LOOKS:
        colours, size, options = LOOKS[name]
        return Look(tuple(colours.split()), size, **options)
    return FOODS[name.replace("-", " ")].look


def _blob(x: float, y: float, rx: float, ry: float, turn: float = 0, power: float = 2) -> list[Point]:
    """Return the outline of a superellipse, turned by degrees."""
    c, s = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    points = []
    for angle in np.linspace(0, 2 * math.pi, 72, endpoint=False):
        ca, sa = math.cos(angle), math.sin(angle)
        u = rx * math.copysign(abs(ca) ** (2 / power), ca)
        v = ry * math.copysign(abs(sa) ** (2 / power), sa)
        points.append((x + c * u - s * v, y + s * u + c * v))
    return points


class Canvas(Scene):
    """A scene in which every piece has its own number, so that each can be given an ink outline."""

    def __init__(self, rng: np.random.Generator) -> None:
        super().__init__(rng)
        self.count = 0
        self.side_view = False

    def number(self) -> int:
        """Count one more piece; the numbers start again after 250."""
        self.count = self.count % 250 + 1
        return self.count

    def at(self, x: float, y: float) -> Point:
        """Return the scene point of a place given in shares of the vessel's room."""
        return CENTRE[0] + x * self.radius, CENTRE[1] + y * self.radius

    def shadow(self, outline: list[Point], reach: float = 7) -> None:
        """Let an outline throw a soft shadow to the lower right."""
        mask = Image.new("L", SCENE)
        ImageDraw.Draw(mask).polygon([(x + reach, y + 1.2 * reach) for x, y in outline], fill=_SHADOW[3])
        self.rgb.paste(_SHADOW[:3], (0, 0), mask.filter(ImageFilter.GaussianBlur(0.7 * reach)))

    def body(
        self,
        outline: list[Point],
        colour: str,
        dome: int = 40,
        soft: float = 12,
        lift: int = 80,
        crust: float = 0.0,
        shadow: float = 6,
    ) -> None:
        """Draw a solid body: puffed up by `dome`, its edge `soft` pixels round, browned there by `crust`."""
        if shadow:
            self.shadow(outline, shadow)
        mask = Image.new("L", SCENE)
        ImageDraw.Draw(mask).polygon(outline, fill=255)
        depth = np.asarray(ImageChops.multiply(mask, mask.filter(ImageFilter.GaussianBlur(soft))), np.float32)
        depth = np.clip(depth / 127.5 - 1, 0, 1)
        base = rgb(colour)
        brown = np.array((0.42, 0.22, 0.08))
        share = crust * (1 - depth)[..., None]
        tone = 255 * (base + (brown - base) * share) * _mottle()[..., None]
        self.rgb.paste(Image.fromarray(np.clip(tone, 0, 255).astype(np.uint8)), (0, 0), mask)
        height = lift + dome * np.sqrt(depth)
        self.height.paste(Image.fromarray(np.clip(height, 0, 255).astype(np.uint8)), (0, 0), mask)
        self.labels.paste(self.number(), (0, 0), mask)

    def lay(self, name: str, at: Point, percent: float = 100, state: str = "raw", lift: int = 10) -> None:
        """Lay down one piece of a food."""
        piece = sprite(look_of(name), state, int(self.rng.integers(N_VARIANTS)), round(percent))
        self.rgb.paste((60, 35, 20), self._corner(piece.rgb, at, 3), piece.alpha.point(lambda a: a * 0.3))
        self.paste(piece, at, self.number(), lift)

    @staticmethod
    def _corner(image: Image.Image, at: Point, reach: int) -> tuple[int, int]:
        return round(at[0] - image.width / 2) + reach, round(at[1] - image.height / 2) + reach


_MOTTLE: list[NDArray[np.float32]] = []


def _mottle() -> NDArray[np.float32]:
    """Return the grain of paint: brightness around 1, (height, width) of a scene."""
    if not _MOTTLE:
        rng = np.random.default_rng(7)
        grain = np.ones(SCENE[::-1], np.float32)
        for cells, depth in ((12, 0.10), (60, 0.07)):
            coarse = Image.fromarray(rng.integers(0, 256, (cells, cells), dtype=np.uint8))
            wide = np.asarray(coarse.resize(SCENE, Image.Resampling.BICUBIC), np.float32)
            grain += depth * (wide / 255 - 0.5)
        _MOTTLE.append(grain)
    return _MOTTLE[0]


# ---- cloth, vessels and what lies beside them --------------------------------------------------------


def _cloth(canvas: Canvas) -> None:
    """Cover the table with a cloth: plain, striped, checked, dotted or boards."""
    rng = canvas.rng
    ground, other = _CLOTHS[int(rng.integers(len(_CLOTHS)))].split()
    canvas.rgb.paste(f"#{ground}", (0, 0, *SCENE))
    draw = ImageDraw.Draw(canvas.rgb, "RGBA")
    line = (*(round(255 * c) for c in rgb(other)), 150)
    pattern, step = int(rng.integers(6)), int(rng.integers(34, 60))
    if pattern in (1, 2):
        for x in range(-20, SCENE[0], step):
            draw.rectangle((x, 0, x + step // 2, SCENE[1]), fill=line)
    if pattern == 2:
        for y in range(-20, SCENE[1], step):
            draw.rectangle((0, y, SCENE[0], y + step // 2), fill=line)
    if pattern == 3:
        for row, y in enumerate(range(0, SCENE[1], step)):
            for x in range(row % 2 * step // 2, SCENE[0], step):
                draw.ellipse((x, y, x + step // 4, y + step // 4), fill=line)
    if pattern == 4:
        for y in range(0, SCENE[1], 2 * step):
            draw.rectangle((0, y, SCENE[0], y + step), fill=(*line[:3], 70))
            draw.line((0, y, SCENE[0], y), fill=(60, 35, 20, 130), width=3)
    if pattern == 5:
        for x in range(0, SCENE[0], 7):
            draw.line((x, 0, x, SCENE[1]), fill=(*line[:3], 70), width=2)
        for y in range(0, SCENE[1], 7):
            draw.line((0, y, SCENE[0], y), fill=(*line[:3], 60), width=2)


def _round(canvas: Canvas, glaze: str, r: float, rim: float, depth: int) -> None:
    canvas.body(_blob(*CENTRE, r, r), glaze, 26, 6, 70, shadow=12)
    canvas.body(_blob(*CENTRE, r - rim, r - rim), glaze, -depth, 16, 84, 0.05, shadow=0)
    canvas.radius = r - rim - 4


def bowl(canvas: Canvas, glaze: str) -> None:
    """Set a deep bowl."""
    _round(canvas, glaze, 196, 14, 30)


def plate(canvas: Canvas, glaze: str) -> None:
    """Set a plate with a broad rim."""
    canvas.body(_blob(*CENTRE, 212, 212), glaze, 14, 6, 62, shadow=10)
    canvas.body(_blob(*CENTRE, 160, 160), glaze, 10, 8, 56, 0.06, shadow=0)
    canvas.radius = 176


def dessert(canvas: Canvas, glaze: str) -> None:
    """Set a small plate with a coloured line round its rim."""
    canvas.body(_blob(*CENTRE, 206, 206), glaze, 14, 6, 62, shadow=10)
    canvas.body(_blob(*CENTRE, 192, 192), "c0843c" if glaze > "d" else "e8dcc4", 2, 4, 64, shadow=0)
    canvas.body(_blob(*CENTRE, 186, 186), glaze, 10, 8, 60, 0.03, shadow=0)
    canvas.radius = 172


def small(canvas: Canvas, glaze: str) -> None:
    """Set a small bowl on a saucer."""
    canvas.body(_blob(*CENTRE, 206, 206), glaze, 14, 6, 58, shadow=10)
    _round(canvas, glaze, 158, 14, 34)


def pan(canvas: Canvas, iron: str) -> None:
    """Set a frying pan, its handle to the lower right."""
    handle = [CENTRE, (CENTRE[0] + 262, CENTRE[1] + 222), (CENTRE[0] + 238, CENTRE[1] + 250)]
    canvas.body([(x + 18, y - 18) for x, y in handle[:2]] + handle[1:] + [handle[0]], iron, 22, 5, 80)
    _round(canvas, iron, 190, 12, 20)


def pot(canvas: Canvas, enamel: str) -> None:
    """Set a casserole with two handles."""
    for side in (-1, 1):
        canvas.body(_blob(CENTRE[0] + side * 196, CENTRE[1], 34, 46, 0, 4), enamel, 24, 5, 80)
        ImageDraw.Draw(canvas.rgb).ellipse(
            (CENTRE[0] + side * 208 - 12, CENTRE[1] - 26, CENTRE[0] + side * 208 + 12, CENTRE[1] + 26),
            fill="#3a2c24",
        )
    canvas.body(_blob(*CENTRE, 194, 194), enamel, 30, 7, 78, shadow=12)
    canvas.body(_blob(*CENTRE, 178, 178), "efe4d0", -30, 14, 84, 0.1, shadow=0)
    canvas.radius = 172


def board(canvas: Canvas, wood: str) -> None:
    """Lay a wooden board."""
    canvas.body(_blob(*CENTRE, 226, 178, 0, 9), wood, 12, 6, 60, shadow=10)
    draw = ImageDraw.Draw(canvas.rgb, "RGBA")
    for k in range(11):
        y, bow = CENTRE[1] - 158 + 31 * k, int(canvas.rng.integers(-7, 8))
        draw.line((CENTRE[0] - 214, y, CENTRE[0], y + bow, CENTRE[0] + 214, y), (70, 40, 20, 46), 2)
    canvas.radius = 170


def dish(canvas: Canvas, glaze: str) -> None:
    """Set a rectangular baking dish."""
    for side in (-1, 1):
        canvas.body(_blob(CENTRE[0] + side * 214, CENTRE[1], 26, 52, 0, 4), glaze, 20, 5, 76)
    canvas.body(_blob(*CENTRE, 216, 166, 0, 9), glaze, 26, 6, 76, shadow=12)
    canvas.body(_blob(*CENTRE, 200, 150, 0, 9), glaze, -30, 12, 84, 0.12, shadow=0)
    canvas.radius = 146


def tray(canvas: Canvas, metal: str) -> None:
    """Set a baking tray with paper on it."""
    canvas.body(_blob(*CENTRE, 230, 190, 0, 12), metal, 14, 5, 66, shadow=10)
    canvas.body(_blob(*CENTRE, 214, 174, 0, 14), "efe6d2", 0, 8, 64, 0.06, shadow=0)
    canvas.radius = 168


def table(canvas: Canvas, wall: str) -> None:
    """Look from the side: a wall above, the table below."""
    draw = ImageDraw.Draw(canvas.rgb, "RGBA")
    draw.rectangle((0, 0, SCENE[0], 330), fill=f"#{wall}")
    for x in range(40, SCENE[0], 74):
        draw.line((x, 0, x, 330), fill=(255, 255, 255, 34), width=26)
    draw.rectangle((0, 328, SCENE[0], 334), fill=(60, 35, 20, 90))
    canvas.radius, canvas.side_view = 170, True


def by(canvas: Canvas, name: str, n: str = "3", percent: str = "110") -> None:
    """Lay a few pieces of an ingredient in the corners beside the vessel."""
    corners = [(-1, -1), (1, -1), (-1, 1), (1, 1)]
    first = int(canvas.rng.integers(4))
    for k in range(int(n)):
        sx, sy = corners[(first + k // 2 * (1 if int(n) < 5 else k % 2 + 1)) % 4]
        x, y = 214 + 18 * canvas.rng.random() - 26 * (k % 2), 206 + 26 * canvas.rng.random()
        canvas.lay(name, (CENTRE[0] + sx * x, CENTRE[1] + sy * y), float(percent))


# ---- food --------------------------------------------------------------------------------------------


def fill(canvas: Canvas, colour: str, share: str = "1") -> None:
    """Fill the vessel with something liquid or smooth."""
    r = canvas.radius * float(share)
    canvas.body(_blob(*CENTRE, r, r), colour, -6, 10, 92, 0.12, shadow=0)
    for _ in range(9):
        canvas.disc(canvas.around(0.85 * r), 2 + 4 * canvas.rng.random(), (255, 240, 200, 46))


def layer(canvas: Canvas, colour: str, crust: str = "0.5") -> None:
    """Fill a rectangular dish to its rim."""
    canvas.body(_blob(*CENTRE, 194, 144, 0, 9), colour, 20, 16, 88, float(crust), shadow=0)


def bed(
    canvas: Canvas, what: str, share: str = "0.8", x: str = "0", y: str = "0", flat: str = "0.97"
) -> None:
    """Heap many pieces of a food, or one smooth mass given by its colour."""
    centre, r = canvas.at(float(x), float(y)), canvas.radius * float(share)
    full = float(share) > 0.9  # a bed that fills its bowl must not lap over the rim
    outline = _wobbly(canvas, centre, r, r * float(flat), 0.012 if full else 0.045)
    canvas.shadow(outline, 6)
    mass = len(what) == 6 and all(c in "0123456789abcdef" for c in what)
    colour, height = smooth(tuple(rgb(what).tolist()), 12) if mass else heaped(look_of(what))
    canvas.fill(outline, (colour, raised(height, 6)), canvas.number())


def _wobbly(canvas: Canvas, centre: Point, rx: float, ry: float, depth: float = 0.045) -> list[Point]:
    a, b = 6.28 * canvas.rng.random(), 6.28 * canvas.rng.random()
    points = []
    for angle in np.linspace(0, 2 * math.pi, 60, endpoint=False):
        r = 1 + depth * (math.cos(3 * angle + a) + 0.6 * math.cos(7 * angle + b))
        points.append((centre[0] + rx * r * math.cos(angle), centre[1] + ry * r * math.sin(angle)))
    return points


def strew(
    canvas: Canvas, name: str, n: str, percent: str = "100", share: str = "0.8", state: str = "raw"
) -> None:
    """Strew pieces over the middle, spread so that they seldom hide one another."""
    places: list[Point] = []
    for _ in range(int(n)):
        tries = [canvas.around(canvas.radius * float(share)) for _ in range(8)]
        places.append(max(tries, key=lambda p: min((math.dist(p, q) for q in places), default=0.0)))
    for place in places:
        canvas.lay(name, place, float(percent), state)


def heap(
    canvas: Canvas,
    name: str,
    n: str,
    x: str,
    y: str,
    share: str = "0.4",
    percent: str = "100",
    state: str = "raw",
) -> None:
    """Heap pieces at one place."""
    ax, ay = canvas.at(float(x), float(y))
    for _ in range(int(n)):
        px, py = canvas.around(canvas.radius * float(share))
        canvas.lay(name, (px + ax - CENTRE[0], py + ay - CENTRE[1]), float(percent), state)


def ring(
    canvas: Canvas, name: str, n: str, share: str, percent: str = "100", state: str = "raw", start: str = "0"
) -> None:
    """Lay pieces in a circle."""
    for k in range(int(n)):
        angle = math.radians(float(start)) + 2 * math.pi * k / int(n)
        at = canvas.at(float(share) * math.cos(angle), float(share) * math.sin(angle))
        canvas.lay(name, at, float(percent), state)


def put(canvas: Canvas, name: str, x: str, y: str, percent: str = "100", state: str = "raw") -> None:
    """Lay one piece at one place."""
    canvas.lay(name, canvas.at(float(x), float(y)), float(percent), state, lift=20)


def rows(
    canvas: Canvas, name: str, columns: str, lines: str, percent: str = "100", state: str = "raw"
) -> None:
    """Lay pieces in rows over a rectangular dish or tray."""
    for row in range(int(lines)):
        for column in range(int(columns)):
            x = (column + 0.5) / int(columns) * 2 - 1 + 0.03 * canvas.rng.normal()
            y = (row + 0.5) / int(lines) * 2 - 1 + 0.03 * canvas.rng.normal()
            canvas.lay(name, (CENTRE[0] + 184 * x, CENTRE[1] + 136 * y), float(percent), state)


def puff(
    canvas: Canvas, colour: str, rx: str, ry: str, x: str = "0", y: str = "0", turn: str = "0",
    crust: str = "0.3", power: str = "2",
) -> None:  # fmt: skip
    """Draw something round and risen: a bun, a patty, a ball, with `power` 5 a slab."""
    r = canvas.radius
    outline = _blob(*canvas.at(float(x), float(y)), r * float(rx), r * float(ry), float(turn), float(power))
    size = r * min(float(rx), float(ry))
    canvas.body(outline, colour, 46, max(4.0, 0.3 * size), 88, float(crust))


def moon(canvas: Canvas, colour: str, size: str, x: str, y: str, turn: str = "0", crust: str = "0.3") -> None:
    """Draw a half round: a folded tortilla, a pasty, a dumpling."""
    r, cx, cy = canvas.radius * float(size), *canvas.at(float(x), float(y))
    points = []
    for angle in (*np.linspace(0, math.pi, 40), *np.linspace(math.pi, 0, 20)[1:-1]):
        flat = 0.16 if len(points) >= 40 else 1.0
        a = math.radians(float(turn))
        u, v = (
            r * math.cos(angle),
            -r * (flat if flat < 1 else 0.92) * math.sin(angle) * (-1 if flat < 1 else 1),
        )
        points.append((cx + math.cos(a) * u - math.sin(a) * v, cy + math.sin(a) * u + math.cos(a) * v))
    canvas.body(points, colour, 44, max(4.0, 0.22 * r), 88, float(crust))


def wedge(canvas: Canvas, colour: str, x: str, y: str, size: str, turn: str, width: str = "50") -> None:
    """Draw a wedge cut from a round."""
    cx, cy = canvas.at(float(x), float(y))
    r, points = canvas.radius * float(size), [(cx, cy)]
    for angle in np.linspace(float(turn), float(turn) + float(width), 16):
        a = math.radians(angle)
        points.append((cx + r * math.cos(a), cy + r * math.sin(a)))
    canvas.body(points, colour, 40, 6, 90, 0.3)


def cut(canvas: Canvas, n: str, share: str = "0.9") -> None:
    """Cut a round into wedges."""
    draw = ImageDraw.Draw(canvas.rgb, "RGBA")
    for k in range(int(n)):
        a = math.pi * k / int(n) + 0.3
        dx, dy = (canvas.radius * float(share) * f(a) for f in (math.cos, math.sin))
        line = (CENTRE[0] - dx, CENTRE[1] - dy, CENTRE[0] + dx, CENTRE[1] + dy)
        draw.line(line, fill=(70, 40, 20, 190), width=4)
        ImageDraw.Draw(canvas.height).line(line, fill=70, width=5)


def grid(
    canvas: Canvas,
    colour: str,
    columns: str,
    lines: str,
    lean: str = "0",
    crust: str = "0.35",
    gap: str = "5",
) -> None:
    """Cut a slab in a rectangular vessel into squares or, leaning, diamonds."""
    w, h = 372 / int(columns), 276 / int(lines)
    for row in range(int(lines)):
        for column in range(int(columns)):
            shift = float(lean) * (row - (int(lines) - 1) / 2)
            x = CENTRE[0] + (column - (int(columns) - 1) / 2) * w + shift * w * 0.16
            y = CENTRE[1] + (row - (int(lines) - 1) / 2) * h
            outline = [
                (px + float(lean) * (py - y) * 0.4, py)
                for px, py in _blob(x, y, w / 2 - float(gap), h / 2 - float(gap), 0, 7)
            ]
            canvas.body(outline, colour, 26, 7, 92, float(crust), 4)


def fish(canvas: Canvas, colour: str, length: str, x: str, y: str, turn: str = "0") -> None:
    """Draw a whole fish with tail, fin, eye and slashes."""
    r, (cx, cy), a = canvas.radius * float(length), canvas.at(float(x), float(y)), math.radians(float(turn))

    def place(u: float, v: float) -> Point:
        return cx + r * (u * math.cos(a) - v * math.sin(a)), cy + r * (u * math.sin(a) + v * math.cos(a))

    tail = [place(0.62, 0), place(1.0, -0.26), place(0.92, 0), place(1.0, 0.26)]
    canvas.body(tail, colour, 20, 4, 84, 0.5)
    back = [(u, -0.27 * math.sin(math.pi * ((u + 1) / 1.75) ** 0.7)) for u in np.linspace(-1, 0.72, 24)]
    belly = [(u, -0.9 * v) for u, v in reversed(back)]
    canvas.body([place(u, v) for u, v in back + belly], colour, 50, max(5.0, 0.09 * r), 90, 0.45)
    draw = ImageDraw.Draw(canvas.rgb, "RGBA")
    for u in (-0.35, -0.1, 0.15):
        draw.line(
            (*place(u, -0.14), *place(u + 0.1, 0.12)), fill=(60, 34, 20, 170), width=max(2, int(r / 36))
        )
    gill, thin = place(-0.72, 0), max(2, int(r / 40))
    box = (gill[0] - 0.22 * r, gill[1] - 0.22 * r, gill[0] + 0.22 * r, gill[1] + 0.22 * r)
    draw.arc(box, float(turn) - 60, float(turn) + 60, fill=(60, 34, 20, 170), width=thin)
    eye = place(-0.8, -0.06)
    canvas.disc(eye, max(3.0, 0.045 * r), (245, 240, 225, 255))
    canvas.disc(eye, max(1.5, 0.024 * r), (30, 24, 20, 255))


def bird(canvas: Canvas, colour: str, size: str = "0.8", x: str = "0", y: str = "0") -> None:
    """Draw a roast chicken from above: body, legs and wings."""
    s, (cx, cy) = canvas.radius * float(size), canvas.at(float(x), float(y))
    for side in (-1, 1):
        canvas.body(
            _blob(cx + side * 0.62 * s, cy - 0.28 * s, 0.36 * s, 0.16 * s, side * 52), colour, 40, 8, 86, 0.5
        )
    canvas.body(_blob(cx, cy - 0.08 * s, 0.64 * s, 0.78 * s, 0, 2.3), colour, 80, 26, 88, 0.5, 10)
    canvas.body(_blob(cx - 0.02 * s, cy - 0.2 * s, 0.05 * s, 0.42 * s), colour, 10, 6, 166, 0.4, 0)
    for side in (-1, 1):
        bone = _blob(cx + side * 0.3 * s, cy + 0.92 * s, 0.09 * s, 0.16 * s, side * 16, 4)
        canvas.body(bone, "f0e2c8", 26, 4, 90)
        canvas.body(
            _blob(cx + side * 0.44 * s, cy + 0.5 * s, 0.24 * s, 0.44 * s, side * 14), colour, 56, 14, 110, 0.5
        )


def drumstick(canvas: Canvas, colour: str, x: str, y: str, size: str = "0.4", turn: str = "0") -> None:
    """Draw a drumstick."""
    s, (cx, cy), a = canvas.radius * float(size), canvas.at(float(x), float(y)), math.radians(float(turn))
    far = (cx + s * math.cos(a), cy + s * math.sin(a))
    canvas.body(_blob(*far, 0.4 * s, 0.12 * s, float(turn), 3), "f0e2c8", 26, 4, 90)
    canvas.body(_blob(cx, cy, 0.78 * s, 0.5 * s, float(turn)), colour, 60, 12, 92, 0.55)


def swirl(canvas: Canvas, colour: str, share: str = "0.6", width: str = "9") -> None:
    """Pour a spiral."""
    turns = np.linspace(0.4, 15, 120)
    points = [
        canvas.at(float(share) * t / 15 * math.cos(t), float(share) * t / 15 * math.sin(t)) for t in turns
    ]
    draw = ImageDraw.Draw(canvas.rgb, "RGBA")
    for k, (p, q) in enumerate(pairwise(points)):
        thick = max(2, round(float(width) * (0.6 + 0.4 * math.sin(k / 7))))
        draw.line((*p, *q), fill=f"#{colour}e0", width=thick)
        canvas.disc(q, thick / 2, (*(round(255 * c) for c in rgb(colour)), 224))


def drizzle(canvas: Canvas, colour: str, n: str = "7", share: str = "0.7", width: str = "5") -> None:
    """Drizzle a wavy line from left to right and let a few drops fall beside it."""
    s, phase = float(share), 6.28 * canvas.rng.random()
    points = []
    for u in np.linspace(-1, 1, 160):
        v = 0.62 * math.sqrt(1 - 0.9 * u * u) * math.sin(math.pi * int(n) * u + phase)
        points.append(canvas.at(s * (u + 0.05 * v), s * (v + 0.25 * math.sin(2 * u + phase))))
    draw = ImageDraw.Draw(canvas.rgb, "RGBA")
    draw.line(points, fill=f"#{colour}d8", width=int(width), joint="curve")
    for _ in range(7):
        canvas.disc(
            canvas.around(s * canvas.radius), int(width) * 0.9, (*(round(255 * c) for c in rgb(colour)), 210)
        )


def spoon(canvas: Canvas, colour: str, size: str, x: str, y: str) -> None:
    """Drop a spoonful of something thick."""
    centre, r = canvas.at(float(x), float(y)), canvas.radius * float(size)
    canvas.body(_wobbly(canvas, centre, r, 0.85 * r), colour, 40, max(4.0, 0.3 * r), 100, 0.05)


def cover(canvas: Canvas, colour: str, share: str = "0.9", y: str = "0") -> None:
    """Spread a thin, wobbly layer: icing, glaze, mash."""
    centre, r = canvas.at(0, float(y)), canvas.radius * float(share)
    canvas.body(_wobbly(canvas, centre, r, r, 0.03), colour, 16, 10, 112, 0.1, 3)


def skewer(canvas: Canvas, y: str, *names: str) -> None:
    """Thread foods on a skewer, left to right."""
    py, tilt = CENTRE[1] + canvas.radius * float(y), 22.0
    ends = [(CENTRE[0] - 212, py - tilt), (CENTRE[0] + 212, py + tilt)]
    canvas.body(
        [ends[0], ends[1], (ends[1][0], ends[1][1] + 6), (ends[0][0], ends[0][1] + 6)], "b98a58", 8, 3, 84
    )
    for k in range(8):
        x = -154 + 44 * k
        canvas.lay(names[k % len(names)], (CENTRE[0] + x, py + 3 + tilt * x / 212), 118, "grilled", 20)


def lattice(canvas: Canvas, colour: str, n: str = "6", share: str = "0.9") -> None:
    """Score a cross-hatch, as grill marks or scored filo."""
    draw, r = ImageDraw.Draw(canvas.rgb, "RGBA"), canvas.radius * float(share)
    for k in range(int(n)):
        d = (2 * (k + 0.5) / int(n) - 1) * r
        half = math.sqrt(r * r - d * d)
        for line in ((d, -half, d, half), (-half, d, half, d)):
            x0, y0, x1, y1 = line
            draw.line(
                (CENTRE[0] + x0, CENTRE[1] + y0, CENTRE[0] + x1, CENTRE[1] + y1), fill=f"#{colour}a0", width=4
            )


def slash(canvas: Canvas, colour: str, x0: str, y0: str, x1: str, y1: str, width: str = "6") -> None:
    """Draw one stroke: a cut in a crust, a stalk, a stripe of sauce."""
    a, b = canvas.at(float(x0), float(y0)), canvas.at(float(x1), float(y1))
    draw = ImageDraw.Draw(canvas.rgb, "RGBA")
    draw.line((*a, *b), fill=f"#{colour}", width=int(width))
    for end in (a, b):
        canvas.disc(end, int(width) / 2 - 0.5, (*(round(255 * c) for c in rgb(colour)), 255))


def dip(canvas: Canvas, colour: str, x: str = "0.72", y: str = "0.62") -> None:
    """Set a little bowl of sauce on the vessel."""
    centre, r = canvas.at(float(x), float(y)), 0.27 * canvas.radius
    canvas.body(_blob(*centre, r, r), "f0ebe0", 30, 5, 92)
    canvas.body(_blob(*centre, 0.8 * r, 0.8 * r), colour, -14, 6, 110, 0.15, 0)


def cob(canvas: Canvas, x: str, y: str, turn: str) -> None:
    """Draw a grilled cob of sweetcorn, kernel by kernel."""
    puff(canvas, "f0c03c", "0.82", "0.16", x, y, turn, "0.3", "3")
    a, (cx, cy) = math.radians(float(turn)), canvas.at(float(x), float(y))
    for u in np.linspace(-124, 124, 17):
        for v in (-15, 0, 15):
            at = (cx + u * math.cos(a) - v * math.sin(a), cy + u * math.sin(a) + v * math.cos(a))
            canvas.lay("kernel", at, 88, "grilled" if canvas.rng.random() < 0.4 else "raw", 60)


def pears(canvas: Canvas, colour: str = "b8485c") -> None:
    """Lay three peeled pears, their stalks outwards."""
    for turn in (20, 140, 260):
        a = math.radians(turn)
        c, s, r = math.cos(a), math.sin(a), canvas.radius
        width = [0.0, 0.12, 0.15, 0.16, 0.2, 0.27, 0.29, 0.24, 0.12, 0.0]
        along = [0.86, 0.84, 0.74, 0.64, 0.54, 0.42, 0.28, 0.14, 0.05, 0.03]
        side = [(u * r, w * r) for u, w in zip(along, width, strict=True)]
        outline = side + [(u, -w) for u, w in reversed(side)]
        canvas.body(
            [(CENTRE[0] + c * u - s * v, CENTRE[1] + s * u + c * v) for u, v in outline], colour, 70, 14, 94
        )
        slash(canvas, "5c3820", f"{0.82 * c}", f"{0.82 * s}", f"{0.97 * c}", f"{0.97 * s}", "8")


def churro(canvas: Canvas, x: str, turn: str) -> None:
    """Draw a ridged stick of fried dough standing at x."""
    cx, cy = canvas.at(float(x), -0.05)
    canvas.body(_blob(cx, cy, 118, 17, 90 + float(turn), 5), "c8883c", 46, 7, 90, 0.35)
    a = math.radians(90 + float(turn))
    draw = ImageDraw.Draw(canvas.rgb, "RGBA")
    for v in (-6, 5):
        dx, dy = 108 * math.cos(a), 108 * math.sin(a)
        ox, oy = -v * math.sin(a), v * math.cos(a)
        draw.line((cx - dx + ox, cy - dy + oy, cx + dx + ox, cy + dy + oy), fill=(100, 56, 18, 150), width=4)


# ---- seen from the side ------------------------------------------------------------------------------


def _lathe(canvas: Canvas, x: float, profile: list[tuple[float, float]], colour: str, dome: int = 60) -> None:
    """Draw a turned body from the side: (half width, y) from top to bottom, in scene units."""
    left = [(x - w, y) for w, y in profile]
    right = [(x + w, y) for w, y in reversed(profile)]
    canvas.body(left + right, colour, dome, 22, 80, 0.08, 0)


def _ground_shadow(canvas: Canvas, x: float, y: float, rx: float) -> None:
    mask = Image.new("L", SCENE)
    ImageDraw.Draw(mask).ellipse((x - rx + 14, y - 16, x + rx + 34, y + 18), fill=110)
    canvas.rgb.paste((40, 24, 12), (0, 0), mask.filter(ImageFilter.GaussianBlur(8)))


def glass(
    canvas: Canvas, colour: str, x: str = "0", top: str = "78", bottom: str = "56", tall: str = "250"
) -> None:
    """Set a glass of something, seen from the side, standing at x."""
    cx, t, b, h = CENTRE[0] + canvas.radius * float(x), float(top), float(bottom), float(tall)
    foot = 430.0
    _ground_shadow(canvas, cx, foot, b)
    _lathe(canvas, cx, [(t + 5, foot - h), (b + 5, foot)], "dfe9ea", 40)
    _lathe(canvas, cx, [(t - 2, foot - h + 34), (b - 3, foot - 14)], colour, 70)
    canvas.body(_blob(cx, foot - h + 34, t - 2, 13), colour, -10, 6, 120, 0, 0)
    draw = ImageDraw.Draw(canvas.rgb, "RGBA")
    draw.ellipse(
        (cx - t - 5, foot - h - 12, cx + t + 5, foot - h + 12), outline=(255, 255, 255, 190), width=4
    )
    draw.polygon(
        [(cx - 0.72 * t, foot - h + 44), (cx - 0.56 * t, foot - h + 44), (cx - 0.6 * b, foot - 26),
         (cx - 0.74 * b, foot - 26)],
        fill=(255, 255, 255, 84),
    )  # fmt: skip


def mug(canvas: Canvas, glaze: str, drink: str, x: str = "0", size: str = "1") -> None:
    """Set a mug, seen from the side and a little above."""
    cx, s, foot = CENTRE[0] + canvas.radius * float(x), float(size), 424.0
    _ground_shadow(canvas, cx, foot, 80 * s)
    handle = _blob(cx + 92 * s, foot - 92 * s, 44 * s, 54 * s)
    canvas.body(handle, glaze, 30, 6, 84, 0, 4)
    hole = _blob(cx + 92 * s, foot - 92 * s, 24 * s, 34 * s)
    canvas.body(hole, "8a7a68", 0, 4, 50, 0, 0)
    _lathe(canvas, cx, [(98 * s, foot - 180 * s), (96 * s, foot - 90 * s), (76 * s, foot)], glaze, 80)
    canvas.body(_blob(cx, foot - 180 * s, 98 * s, 28 * s), glaze, 16, 5, 96, 0, 0)
    canvas.body(_blob(cx, foot - 178 * s, 88 * s, 22 * s), drink, -8, 5, 90, 0.1, 0)


def jar(canvas: Canvas, colour: str, x: str = "0", lid: str = "c9a24c") -> None:
    """Set a preserving jar, seen from the side."""
    cx, foot = CENTRE[0] + canvas.radius * float(x), 436.0
    _ground_shadow(canvas, cx, foot, 108)
    _lathe(canvas, cx, [(88, 150), (114, 190), (118, 410), (108, foot)], "dfe9ea", 40)
    _lathe(canvas, cx, [(96, 186), (108, 204), (111, 408), (102, foot - 8)], colour, 70)
    _lathe(canvas, cx, [(92, 112), (94, 152)], lid, 50)


def speckle(canvas: Canvas, name: str, n: str, x: str, y: str, rx: str, ry: str, percent: str = "70") -> None:
    """Strew pieces over a rectangle given in shares, as through the wall of a jar."""
    for _ in range(int(n)):
        dx, dy = 2 * canvas.rng.random(2) - 1
        canvas.lay(name, canvas.at(float(x) + dx * float(rx), float(y) + dy * float(ry)), float(percent))


def cake(canvas: Canvas, *layers: str) -> None:
    """Stand a round cake on a stand, seen from the side: layers `colour:height` from below to above."""
    foot = 440.0
    _ground_shadow(canvas, CENTRE[0], foot, 120)
    _lathe(canvas, CENTRE[0], [(26, 372), (20, 400), (96, foot)], "e8e2d8", 50)
    canvas.body(_blob(CENTRE[0], 372, 222, 26), "f2ede4", 20, 6, 80, 0, 6)
    y, colour = 366.0, "f2ede4"
    for entry in layers:
        colour, height = entry.split(":")
        _lathe(canvas, CENTRE[0], [(172, y - float(height)), (172, y)], colour, 70)
        canvas.body(_blob(CENTRE[0], y, 172, 20)[:37], colour, 30, 8, 82, 0.1, 0)
        y -= float(height)
    canvas.body(_blob(CENTRE[0], y, 172, 34), colour, 24, 8, 110, 0.05, 0)


def loaf(canvas: Canvas, crust: str, crumb: str, top: str = "") -> None:
    """Stand a tin loaf on a board, seen from the side, two slices cut from it."""
    canvas.body(_blob(CENTRE[0], 408, 250, 34, 0, 4), "b98a58", 12, 6, 70, 0, 8)
    body = [(110, 396), (104, 290), (112, 236), (150, 206), (320, 196), (450, 208), (484, 240), (486, 396)]
    canvas.body(body, crust, 70, 26, 84, 0.4, 8)
    if top:
        canvas.body([(110, 250), (150, 204), (320, 192), (450, 206), (486, 250), (420, 232), (300, 244),
                     (200, 230)], top, 30, 8, 150, 0, 0)  # fmt: skip
    for dx, dy in ((0, 0), (-62, 12)):
        sides = ((180, 398), (176, 300), (164, 270), (176, 238), (222, 222), (270, 236), (284, 268))
        face = [*sides, (274, 300), (270, 398)]
        moved = [(x + dx - 30, y + dy) for x, y in face]
        canvas.body(moved, crust, 20, 6, 96, 0.3, 6)
        mid = (195 + dx, 318 + dy)
        inner = [(mid[0] + 0.88 * (x - mid[0]), mid[1] + 0.9 * (y - mid[1])) for x, y in moved]
        canvas.body(inner, crumb, 10, 8, 100, 0.04, 0)


def stack(
    canvas: Canvas, colour: str, n: str, width: str = "150", thick: str = "30", rim: str = "f2ede4"
) -> None:
    """Pile flat rounds on a plate, seen from the side."""
    _ground_shadow(canvas, CENTRE[0], 424, 190)
    canvas.body(_blob(CENTRE[0], 412, 226, 28), rim, 20, 6, 76, 0, 6)
    w, t, y, shift = float(width), float(thick), 404.0, 0.0
    for k in range(int(n)):
        shift = 8 * math.sin(2.4 * k + 1)
        canvas.body(_blob(CENTRE[0] + shift, y - t / 2, w, t * 0.72, 0, 3.2), colour, 50, 9, 84, 0.45, 3)
        y -= t
    if int(n):
        canvas.body(_blob(CENTRE[0] + shift, y + t / 2 - 4, w - 8, t * 0.55), colour, 16, 8, 112, 0.35, 0)


def slab(
    canvas: Canvas, colour: str, y0: str, y1: str, width: str, wavy: str = "0", power: str = "5"
) -> None:
    """Draw one layer of something built up, seen from the side: a bun, a leaf, a patty."""
    top, bottom, w = float(y0), float(y1), float(width)
    outline = _blob(CENTRE[0], (top + bottom) / 2, w, (bottom - top) / 2, 0, float(power))
    waves = [(x, y + float(wavy) * math.sin(x / 9)) for x, y in outline]
    canvas.body(waves, colour, 56, 10, 84, 0.25, 4)


# ---- light and ink -----------------------------------------------------------------------------------


def _lit(canvas: Canvas) -> Image.Image:
    """Light the scene from the upper left, ink the outlines and return the picture."""
    colour = np.asarray(canvas.rgb, np.float32)
    height = np.asarray(canvas.height.filter(ImageFilter.GaussianBlur(1.5)), np.float32)
    labels = np.asarray(canvas.labels)
    slope = np.zeros_like(height)
    slope[1:-1, 1:-1] = 0.7 * (height[1:-1, 2:] - height[1:-1, :-2]) + height[2:, 1:-1] - height[:-2, 1:-1]
    shade = 1 + np.clip(0.011 * slope, -0.28, 0.28)
    edge = np.zeros(labels.shape, bool)
    edge[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    edge[1:] |= labels[1:] != labels[:-1]
    ink = Image.fromarray(np.where(edge, 255, 0).astype(np.uint8)).filter(ImageFilter.MaxFilter(3))
    line = np.asarray(ink.filter(ImageFilter.GaussianBlur(0.9)), np.float32)[..., None] / 255
    lit = colour * shade[..., None] * _mottle()[..., None]
    lit += (np.clip(shade - 1.12, 0, 0.2) * 160)[..., None]
    lit += (lit * 0.38 + np.array((14, 6, 2), np.float32) - lit) * 0.62 * line
    pixels = Image.fromarray(np.clip(lit, 0, 255).astype(np.uint8))
    half = SCENE[1] / 2
    box = (CENTRE[0] - half, 0, CENTRE[0] + half, SCENE[1])
    return pixels.resize((SIDE, SIDE), Image.Resampling.LANCZOS, box=box)


_COMMANDS: dict[str, Callable[..., None]] = {
    f.__name__: f
    for f in (
        bowl, plate, dessert, small, pan, pot, board, dish, tray, table, by, fill, layer, bed, strew,
        heap, ring, put, rows, puff, moon, wedge, cut, grid, fish, bird, drumstick, swirl, drizzle,
        spoon, cover, skewer, lattice, slash, dip, cob, pears, churro, glass, mug, jar, speckle, cake,
        loaf, stack, slab,
    )
}  # fmt: skip


def draw(recipe_id: str) -> Image.Image:
    """Draw the illustration of a recipe, (320, 320)."""
    canvas = Canvas(np.random.default_rng(zlib.crc32(recipe_id.encode())))
    _cloth(canvas)
    for command in PICTURES[recipe_id].split(";"):
        name, *arguments = command.split()
        _COMMANDS[name](canvas, *arguments)
    return _lit(canvas)


def main() -> None:
    """Read the command line and write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ids", nargs="*", help="recipes to draw; all if none is named")
    parser.add_argument("--out", type=Path, default=folder() / "photos")
    arguments = parser.parse_args()
    lines = (folder() / "recipes.jsonl").read_text(encoding="utf-8").splitlines()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for recipe_id in arguments.ids or [json.loads(line)["id"] for line in lines]:
        draw(recipe_id).save(arguments.out / f"{recipe_id}.webp", quality=QUALITY, method=6)


if __name__ == "__main__":
    main()
