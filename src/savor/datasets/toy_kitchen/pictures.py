"""Drawing a dish: a table with clutter, a vessel, the food in it, and one light over all.

A scene is kept in three layers of equal size: colour, height and the number of the item seen at each
place. Pieces are pasted into all three, so what is visible of each item after occlusion is known exactly.
The camera looks at part of the scene; the light is worked out from the height layer afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from savor.datasets.toy_kitchen.pantry import FOODS, Food
from savor.datasets.toy_kitchen.sprites import (
    N_VARIANTS,
    TILE,
    Sprite,
    Texture,
    heaped,
    mixed,
    raised,
    rgb,
    smooth,
    sprite,
)
from savor.datasets.toy_kitchen.wording import Item, Plan, pick

Point = tuple[float, float]
Colour = tuple[int, int, int]
SCENE = (640, 512)
CENTRE = (320, 256)
_TABLES = "c8b090 8c6844 e8e4dc 5c6470 a8b8b4 343434 d8c8b0 b46450 7c8c6c f0ece4 4c5c7c c89c9c"
_CROCKERY = "f4f2ec f0e8d8 e4ecf0 4c6484 2c2c30 b87450 98a890 d8d4cc f8f8f8 c8b8a8"
_SHADOW = (0, 0, 0, 60)


def _colour(values: Iterable[float]) -> Colour:
    red, green, blue = (max(0, min(255, round(255 * value))) for value in values)
    return red, green, blue


def _ellipse(
    centre: Point, rx: float, ry: float, wobble: float, rng: np.random.Generator, n: int = 40
) -> list[Point]:
    a, b = rng.random() * 6.28, rng.random() * 6.28
    points = []
    for k in range(n):
        angle = 2 * math.pi * k / n
        r = 1 + wobble * (math.cos(3 * angle + a) + 0.6 * math.cos(5 * angle + b))
        points.append((centre[0] + rx * r * math.cos(angle), centre[1] + ry * r * math.sin(angle)))
    return points


class Scene:
    """The three layers of a picture in the making and the random numbers that shape it."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.rgb = Image.new("RGB", SCENE)
        self.height = Image.new("L", SCENE, 40)
        self.labels = Image.new("L", SCENE, 0)
        self.radius = 150.0

    def paste(self, piece: Sprite, at: Point, label: int, lift: int = 0) -> None:
        """Lay a piece down, centred on a point, over everything there."""
        width, height = piece.rgb.size
        corner = (round(at[0] - width / 2), round(at[1] - height / 2))
        self.rgb.paste(piece.rgb, corner, piece.alpha)
        self.height.paste(raised(piece.height, lift), corner, piece.alpha)
        self.labels.paste(label, (*corner, corner[0] + width, corner[1] + height), piece.solid)

    def piece(self, item: Item, at: Point, label: int, percent: int = 100, lift: int = 0) -> None:
        """Lay down one piece of an item, one of its variants."""
        variant = int(self.rng.integers(N_VARIANTS))
        self.paste(sprite(item.food.look, item.state, variant, percent), at, label, lift)

    def fill(self, outline: list[Point], texture: Texture, label: int) -> None:
        """Fill an outline with a texture tile."""
        xs, ys = [p[0] for p in outline], [p[1] for p in outline]
        corner = (int(min(xs)), int(min(ys)))
        size = (min(TILE, int(max(xs)) - corner[0] + 1), min(TILE, int(max(ys)) - corner[1] + 1))
        mask = Image.new("L", size)
        ImageDraw.Draw(mask).polygon([(x - corner[0], y - corner[1]) for x, y in outline], fill=255)
        dx, dy = (int(self.rng.integers(TILE - side + 1)) for side in size)
        window = (dx, dy, dx + size[0], dy + size[1])
        self.rgb.paste(texture[0].crop(window), corner, mask)
        self.height.paste(texture[1].crop(window), corner, mask)
        self.labels.paste(label, (*corner, corner[0] + size[0], corner[1] + size[1]), mask)

    def shape(
        self, outline: list[Point], colour: Colour | tuple[int, int, int, int], height: int | None = None
    ) -> None:
        """Fill an outline with one colour, translucent if it has an alpha; it belongs to no item."""
        ImageDraw.Draw(self.rgb, "RGBA").polygon(outline, fill=colour)
        if height is not None:
            ImageDraw.Draw(self.height).polygon(outline, fill=height)
            ImageDraw.Draw(self.labels).polygon(outline, fill=0)

    def disc(
        self, centre: Point, r: float, colour: Colour | tuple[int, int, int, int], height: int | None = None
    ) -> None:
        """Fill a circle with one colour; as `shape`."""
        box = [centre[0] - r, centre[1] - r, centre[0] + r, centre[1] + r]
        ImageDraw.Draw(self.rgb, "RGBA").ellipse(box, fill=colour)
        if height is not None:
            ImageDraw.Draw(self.height).ellipse(box, fill=height)

    def around(self, r: float) -> Point:
        """Choose a point in the circle of radius r about the middle, all places being equally likely."""
        angle, distance = 2 * math.pi * self.rng.random(), r * math.sqrt(self.rng.random())
        return CENTRE[0] + distance * math.cos(angle), CENTRE[1] + distance * math.sin(angle)


# ---- the table and what stands on it -----------------------------------------------------------------


def _table(scene: Scene) -> None:
    rng = scene.rng
    base, other = rgb(pick(rng, _TABLES.split())), rgb(pick(rng, _TABLES.split()))
    scene.rgb.paste(_colour(base), (0, 0, *SCENE))
    draw = ImageDraw.Draw(scene.rgb, "RGBA")
    step, faint = int(rng.integers(14, 60)), (*_colour(other), int(rng.integers(40, 200)))
    pattern = pick(rng, ("bare", "boards", "stripes", "checks", "dots", "bare"))
    if pattern in ("stripes", "checks"):
        for x in range(0, SCENE[0], step):
            draw.rectangle((x, 0, x + step // 2, SCENE[1]), fill=faint)
    if pattern == "checks":
        for y in range(0, SCENE[1], step):
            draw.rectangle((0, y, SCENE[0], y + step // 2), fill=faint)
    if pattern == "boards":
        for y in range(0, SCENE[1], 2 * step):
            draw.rectangle((0, y, SCENE[0], y + 2 * step), fill=(0, 0, 0, int(rng.integers(40))))
            draw.line((0, y, SCENE[0], y), fill=(20, 10, 5, 150), width=3)
    if pattern == "dots":
        step = max(step, 32)
        for y in range(0, SCENE[1], step):
            for x in range((y // step % 2) * step // 2, SCENE[0], step):
                draw.ellipse((x, y, x + step // 3, y + step // 3), fill=faint)


def _clutter(scene: Scene) -> None:
    rng = scene.rng
    for thing in (_napkin, _side_dish, _cutlery):
        if rng.random() < 0.5:
            thing(scene)
    draw = ImageDraw.Draw(scene.rgb)
    crumb = _colour(rgb(pick(rng, ("c89858", "6c4c30", "f0e4d0", "4c8434"))))
    for x, y in rng.integers(0, SCENE[0], size=(int(rng.integers(40)), 2)).tolist():
        draw.ellipse((x, y, x + 3, y + 2), fill=crumb)
    if rng.random() < 0.4:
        stray = FOODS[pick(rng, ("basil", "coriander", "cherry tomatoes", "lemons", "rocket", "walnuts"))]
        for _ in range(int(rng.integers(1, 7))):
            scene.paste(sprite(stray.look, "raw", int(rng.integers(N_VARIANTS))), _beside(scene), 0)


def _beside(scene: Scene) -> Point:
    angle, r = 2 * math.pi * scene.rng.random(), 165 + 60 * scene.rng.random()
    return CENTRE[0] + 1.25 * r * math.cos(angle), CENTRE[1] + r * math.sin(angle)


def _napkin(scene: Scene) -> None:
    rng = scene.rng
    x, y = _beside(scene)
    turn, size = rng.random() * 6.28, 90 + 60 * rng.random()
    corners = [(x + size * math.cos(turn + k * 1.57), y + size * math.sin(turn + k * 1.57)) for k in range(4)]
    scene.shape([(a + 5, b + 5) for a, b in corners], _SHADOW)
    scene.shape(corners, _colour(rgb(pick(rng, _CROCKERY.split()))), 44)
    for share in (0.12, 0.2):
        inner = [(a + (x - a) * share, b + (y - b) * share) for a, b in corners]
        ImageDraw.Draw(scene.rgb).polygon(inner, outline=_colour(rgb(pick(rng, _TABLES.split()))))


def _side_dish(scene: Scene) -> None:
    centre, r = _beside(scene), 34 + 20 * scene.rng.random()
    glaze = rgb(pick(scene.rng, _CROCKERY.split()))
    scene.disc((centre[0] + 4, centre[1] + 5), r, _SHADOW)
    scene.disc(centre, r, _colour(glaze), 80)
    scene.disc(centre, r - 6, _colour(glaze * 0.8), 60)
    filling = pick(scene.rng, ("f4f4f0", "52301c", "c43c20", "64903c", "e8c860", "cfd8dc"))
    scene.disc(centre, r - 9, _colour(rgb(filling)), 64)


def _cutlery(scene: Scene) -> None:
    rng = scene.rng
    metal = _colour(rgb(pick(rng, ("b8bcc0", "d0d0cc", "a88848", "6c5038"))))
    side, tilt = pick(rng, (-1, 1)), (rng.random() - 0.5) * 0.5
    for k in range(int(rng.integers(1, 3))):
        x, y = CENTRE[0] + side * (186 + 24 * k), CENTRE[1] + 30 * (rng.random() - 0.5)
        ax, ay = math.sin(tilt), math.cos(tilt)

        def bar(
            start: float, stop: float, w: float, x: float = x, y: float = y, ax: float = ax, ay: float = ay
        ) -> list[Point]:
            return [
                (x + ax * s + ay * t, y + ay * s - ax * t)
                for s, t in ((start, -w), (stop, -w), (stop, w), (start, w))
            ]

        scene.shape([(a + 3, b + 4) for a, b in bar(-95, 95, 5)], _SHADOW)
        scene.shape(bar(-40, 95, 4), metal, 70)
        head = pick(rng, ("fork", "knife", "spoon"))
        if head == "spoon":
            scene.disc((x - ax * 65, y - ay * 65), 17, metal, 66)
        elif head == "knife":
            scene.shape(bar(-110, -38, 8), metal, 66)
        else:
            for t in (-9, -3, 3, 9):
                scene.shape([(a + ay * t, b - ax * t) for a, b in bar(-98, -45, 1.6)], metal, 66)
            scene.shape(bar(-58, -38, 10), metal, 66)


def _board(scene: Scene, r: float) -> None:
    rng = scene.rng
    wood = rgb(pick(rng, ("a87444", "c89c68", "6c4828", "8c8c8c", "e0d4c4")))
    w, h = 1.2 * r, 0.98 * r
    box = [CENTRE[0] - w, CENTRE[1] - h, CENTRE[0] + w, CENTRE[1] + h]
    draw = ImageDraw.Draw(scene.rgb, "RGBA")
    draw.rounded_rectangle([box[0] + 8, box[1] + 9, box[2] + 8, box[3] + 9], 26, fill=_SHADOW)
    draw.rounded_rectangle(box, 26, fill=_colour(wood))
    ImageDraw.Draw(scene.height).rounded_rectangle(box, 26, fill=64)
    for y in rng.integers(int(box[1]) + 8, int(box[3]) - 8, size=14).tolist():
        draw.line((box[0] + 6, y, box[2] - 6, y + int(rng.integers(-6, 7))), fill=(60, 30, 10, 50), width=2)


def _pan(scene: Scene, r: float) -> None:
    rng = scene.rng
    iron = rgb(pick(rng, ("2c2c2e", "3c3836", "a86848", "44505c")))
    turn = rng.random() * 6.28
    dx, dy = math.cos(turn), math.sin(turn)
    handle = [
        (CENTRE[0] + dx * s - dy * t, CENTRE[1] + dy * s + dx * t)
        for s, t in ((r - 5, -14), (r + 150, -9), (r + 150, 9), (r - 5, 14))
    ]
    scene.shape(handle, _colour(iron * 0.9), 84)
    scene.disc(CENTRE, r, _colour(iron * 1.15), 92)
    scene.disc(CENTRE, r - 9, _colour(iron * 0.85), 70)


def _vessel(scene: Scene, vessel: str) -> None:
    """Draw what the food is served in; `scene.radius` becomes the room inside."""
    rng = scene.rng
    r = 150 + 18 * rng.random()
    if vessel == "board":
        _board(scene, r)
        scene.radius = r * 0.93
        return
    scene.disc((CENTRE[0] + 9, CENTRE[1] + 11), r + 3, _SHADOW)
    if vessel == "pan":
        _pan(scene, r)
        scene.radius = r - 13
        return
    glaze = rgb(pick(rng, _CROCKERY.split()))
    rim = 10 if vessel == "bowl" else 12 + 18 * rng.random()
    scene.disc(CENTRE, r, _colour(glaze), 104 if vessel == "bowl" else 76)
    if rng.random() < 0.4:
        scene.disc(CENTRE, r - 3, _colour(rgb(pick(rng, _TABLES.split()))))
        scene.disc(CENTRE, r - 6 - 3 * rng.random(), _colour(glaze))
    scene.disc(CENTRE, r - rim, _colour(glaze * 0.93), 66)
    scene.disc(CENTRE, r - rim - 5, _colour(glaze * 0.98), 62)
    scene.radius = r - rim - (2 if vessel == "bowl" else 8)


# ---- the food ----------------------------------------------------------------------------------------

Numbered = tuple[int, Item]
_MANY = (0.55, 1.0, 1.7)


def _role(items: list[Numbered], *roles: str) -> list[Numbered]:
    return [numbered for numbered in items if numbered[1].role in roles]


def _count(item: Item, area: float) -> int:
    """How many pieces cover about a quarter of an area (scene units squared) if the amount is "some"."""
    look = item.food.look
    room = 3.1 * look.size**2 * max(0.2, look.aspect)
    return max(2, min(42, round(0.26 * area / room * _MANY[item.amount])))


def _strew(scene: Scene, items: list[Numbered], r: float, share: float = 1.0) -> None:
    """Strew the pieces of several items over a circle, in mixed order so that they hide one another."""
    area = math.pi * r * r * share
    pieces = [(n, item) for n, item in items for _ in range(_count(item, area))]
    for k in scene.rng.permutation(len(pieces)):
        n, item = pieces[k]
        scene.piece(item, scene.around(r - 0.4 * item.food.look.size), n)


def _heap(scene: Scene, numbered: Numbered, centre: Point, rx: float, ry: float) -> None:
    """Heap a bed, or pieces of something, in an ellipse."""
    n, item = numbered
    outline = _ellipse(centre, rx, ry, 0.05, scene.rng)
    if item.role == "bed" and item.food.look.size != 66:
        scene.shape([(x + 4, y + 5) for x, y in outline], _SHADOW)
        scene.fill(outline, _texture(item), n)
        return
    room = 2.2 * item.food.look.size**2 * max(0.2, item.food.look.aspect)
    for _ in range(max(2, min(40, round(rx * ry * math.pi / room * (0.6, 0.9, 1.3)[item.amount])))):
        angle, d = 2 * math.pi * scene.rng.random(), 0.85 * math.sqrt(scene.rng.random())
        scene.piece(item, (centre[0] + rx * d * math.cos(angle), centre[1] + ry * d * math.sin(angle)), n)


def _texture(item: Item, lift: int = 0) -> Texture:
    if item.food.name == "mashed potato":
        return smooth(_paint(item.food), lift + 12)
    colour, height = heaped(item.food.look)
    return colour, raised(height, lift)


def _paint(food: Food, part: int = 0, share: float = 1.0) -> tuple[float, ...]:
    """One of a food's colours, lighter or darker."""
    return tuple((share * rgb(food.look.colours[part])).tolist())


def _sauce(items: list[Numbered]) -> tuple[int, tuple[float, ...]]:
    """Return the number of the leading item of a sauce, and the colour all of them mix to."""
    sauces = _role(items, "sauce")
    return sauces[0][0], mixed([item.food for _, item in sauces])


def _toppings(scene: Scene, items: list[Numbered], r: float) -> None:
    """Add what goes on last: spoonfuls, crumbs, herbs."""
    for n, item in _role(items, "dollop"):
        for _ in range((1, 1, 2)[item.amount]):
            at = scene.around(r * 0.6)
            size = 22 + 8 * item.amount + 8 * scene.rng.random()
            scene.fill(_ellipse(at, size, size * 0.8, 0.07, scene.rng), smooth(_paint(item.food), 16), n)
    for n, item in _role(items, "crumble", "herb"):
        look = item.food.look
        many = max(2, min(26, round(2600 / look.size**1.7 * _MANY[item.amount])))
        middle, spread = scene.around(0.3 * r), 0.35 * r + 0.4 * r * scene.rng.random()
        for _ in range(many):
            x, y = scene.around(spread)
            scene.piece(item, (x + middle[0] - CENTRE[0], y + middle[1] - CENTRE[1]), n)


def _liquid(scene: Scene, items: list[Numbered], share: float) -> None:
    """Soup, stew, curry: a lake of sauce, pieces half under it, a bed at one side."""
    r, rng = scene.radius, scene.rng
    n, colour = _sauce(items)
    texture = smooth(colour)
    scene.fill(_ellipse(CENTRE, r, r, 0.004, rng), texture, n)
    for numbered in _role(items, "bed"):
        angle = rng.random() * 6.28
        at = (CENTRE[0] + 0.5 * r * math.cos(angle), CENTRE[1] + 0.5 * r * math.sin(angle))
        _heap(scene, numbered, at, 0.48 * r, 0.46 * r)
    _strew(scene, _role(items, "piece"), r * 0.86, share)
    for _ in range(int(rng.integers(6, 16))):
        size = 6 + 14 * rng.random()
        scene.fill(_ellipse(scene.around(r * 0.85), size * 1.5, size, 0.12, rng, 16), texture, n)
    for _ in range(10):
        x, y = scene.around(r * 0.9)
        scene.disc((x, y), 2 + 4 * rng.random(), (255, 235, 180, 50))
    _toppings(scene, items, r * 0.8)


def _soup(scene: Scene, items: list[Numbered]) -> None:
    _liquid(scene, items, 0.45)


def _stew(scene: Scene, items: list[Numbered]) -> None:
    _liquid(scene, items, 1.0)


def _ramen(scene: Scene, items: list[Numbered]) -> None:
    r, rng = scene.radius, scene.rng
    n, colour = _sauce(items)
    scene.fill(_ellipse(CENTRE, r, r, 0.004, rng), smooth(colour), n)
    for number, item in _role(items, "bed"):
        scene.fill(_ellipse(scene.around(0.15 * r), 0.8 * r, 0.75 * r, 0.06, rng), _texture(item), number)
    _sectors(scene, _role(items, "piece"), 0.55 * r, 0.33 * r)
    _toppings(scene, items, r * 0.7)


def _sectors(scene: Scene, items: list[Numbered], distance: float, size: float) -> None:
    start = scene.rng.random() * 6.28
    for k, numbered in enumerate(items):
        angle = start + 2 * math.pi * k / len(items)
        at = (CENTRE[0] + distance * math.cos(angle), CENTRE[1] + distance * math.sin(angle))
        _heap(scene, numbered, at, size, size)


def _scatter(scene: Scene, items: list[Numbered]) -> None:
    """Salad and pasta: a bed with everything tossed over it."""
    r, rng = scene.radius, scene.rng
    for n, item in _role(items, "bed"):
        look = item.food.look
        if look.pattern == "leaf":
            for _ in range(round((30, 42, 56)[item.amount] * 26 / look.size)):
                scene.piece(item, scene.around(r * 0.82), n)
        else:
            size = r * (0.72, 0.8, 0.88)[item.amount]
            scene.fill(_ellipse(CENTRE, size, size * 0.94, 0.04, rng), _texture(item), n)
    if _role(items, "sauce"):
        n, colour = _sauce(items)
        for _ in range(int(rng.integers(5, 10))):
            size = 14 + 30 * rng.random()
            scene.fill(_ellipse(scene.around(r * 0.55), size, size * 0.7, 0.16, rng, 24), smooth(colour), n)
    _strew(scene, _role(items, "piece"), r * 0.78, 0.8)
    _toppings(scene, items, r * 0.7)


def _crust(scene: Scene, items: list[Numbered], rim: float, flutes: float) -> float:
    """Lay a round of dough with a raised, browned edge; return the radius inside it."""
    (n, item), r = _role(items, "crust")[0], scene.radius * 0.97
    base = _paint(item.food, 0, 0.85 + 0.25 * scene.rng.random())
    points = []
    for k in range(96):
        angle = 2 * math.pi * k / 96
        d = r * (1 + flutes * math.cos(24 * angle) + 0.008 * math.cos(5 * angle))
        points.append((CENTRE[0] + d * math.cos(angle), CENTRE[1] + d * math.sin(angle)))
    scene.shape([(x + 5, y + 6) for x, y in points], _SHADOW)
    scene.fill(points, smooth(base), n)
    draw = ImageDraw.Draw(scene.height)
    for k in range(6):
        d = r - rim * k / 6
        draw.ellipse(
            (CENTRE[0] - d, CENTRE[1] - d, CENTRE[0] + d, CENTRE[1] + d),
            fill=(96, 112, 122, 124, 116, 104)[k],
        )
    for _ in range(26):
        angle, d = 2 * math.pi * scene.rng.random(), r - rim * scene.rng.random()
        at = (CENTRE[0] + d * math.cos(angle), CENTRE[1] + d * math.sin(angle))
        scene.disc(at, 3 + 6 * scene.rng.random(), (110, 50, 10, 55))
    return r - rim


def _pizza(scene: Scene, items: list[Numbered]) -> None:
    r = _crust(scene, items, 20, 0.0)
    n, colour = _sauce(items)
    scene.fill(_ellipse(CENTRE, r, r, 0.015, scene.rng), smooth(colour), n)
    pieces = _role(items, "piece")
    _strew(scene, pieces[:1], r * 0.92, 1.3)
    _strew(scene, pieces[1:], r * 0.92, 0.8)
    _toppings(scene, items, r * 0.8)
    if scene.rng.random() < 0.6:
        turn = scene.rng.random() * 3.14
        for k in range(3):
            dx, dy = scene.radius * math.cos(turn + k * 1.05), scene.radius * math.sin(turn + k * 1.05)
            line = (CENTRE[0] - dx, CENTRE[1] - dy, CENTRE[0] + dx, CENTRE[1] + dy)
            ImageDraw.Draw(scene.rgb, "RGBA").line(line, fill=(70, 40, 20, 170), width=3)
            ImageDraw.Draw(scene.height).line(line, fill=84, width=3)


def _pie(scene: Scene, items: list[Numbered]) -> None:
    r = _crust(scene, items, 24, 0.02)
    pieces = _role(items, "piece")
    juice = tuple(0.75 * c for c in mixed([item.food for _, item in pieces]))
    scene.fill(_ellipse(CENTRE, r, r, 0.004, scene.rng), smooth(juice), pieces[0][0])
    _strew(scene, pieces, r * 0.93, 2.2)
    n, crust = _role(items, "crust")[0]
    golden = _paint(crust.food, 0, 0.85 + 0.25 * scene.rng.random())
    turn, width = scene.rng.random() * 3.14, 9 + 6 * scene.rng.random()
    for way in (0.0, 1.571):
        c, s = math.cos(turn + way), math.sin(turn + way)
        for offset in np.arange(-0.75, 0.8, 0.375 + 0.05 * scene.rng.random()) * r:
            half = math.sqrt(r * r - offset * offset)
            corners = [
                (a, offset + b) for a, b in ((-half, -width), (half, -width), (half, width), (-half, width))
            ]
            strip = [(CENTRE[0] + c * a - s * b, CENTRE[1] + s * a + c * b) for a, b in corners]
            scene.shape([(x + 3, y + 4) for x, y in strip], _SHADOW)
            scene.fill(strip, smooth(golden, 34), n)
    _toppings(scene, items, r * 0.8)


def _tart(scene: Scene, items: list[Numbered]) -> None:
    r = _crust(scene, items, 17, 0.025)
    n, colour = _sauce(items)
    scene.fill(_ellipse(CENTRE, r, r, 0.004, scene.rng), smooth(colour), n)
    pieces = _role(items, "piece")
    if scene.rng.random() < 0.65:
        _rings(scene, pieces, r)
    else:
        _strew(scene, pieces, r * 0.85, 1.2)
    _toppings(scene, items, r * 0.8)


def _rings(scene: Scene, pieces: list[Numbered], r: float) -> None:
    """Lay pieces in circles from the edge inwards, a food to each circle in turn."""
    k = int(scene.rng.integers(len(pieces)))
    while r > 20:
        n, item = pieces[k % len(pieces)]
        size = item.food.look.size * (0.8 if item.food.look.aspect < 0.6 else 1.0)
        d = max(0.0, r - size - 2)
        for angle in np.linspace(0, 2 * math.pi, max(1, int(2 * math.pi * d / (2.0 * size))), endpoint=False):
            scene.piece(item, (CENTRE[0] + d * math.cos(angle), CENTRE[1] + d * math.sin(angle)), n)
        r -= 2 * size + 12 * (2 - item.amount)
        k += 1


def _pancakes(scene: Scene, items: list[Numbered]) -> None:
    (n, crust), rng = _role(items, "crust")[0], scene.rng
    share = 0.8 + 0.3 * rng.random()
    r, at = scene.radius * (0.62 + 0.12 * rng.random()), CENTRE
    for k in range(3 + crust.amount):
        x, y = scene.around(16)
        centre = (x, y - 3 * k)
        scene.shape(_ellipse((x + 5, centre[1] + 6), r, r, 0.01, rng), _SHADOW)
        scene.fill(_ellipse(centre, r, r, 0.012, rng), smooth(_paint(crust.food, 0, 1.18 * share), 6 * k), n)
        scene.fill(
            _ellipse(centre, r - 6, r - 6, 0.02, rng),
            smooth(_paint(crust.food, 0, 0.88 * share), 6 * k + 3),
            n,
        )
    if _role(items, "sauce"):
        number, colour = _sauce(items)
        scene.fill(_ellipse(at, 0.6 * r, 0.55 * r, 0.14, rng), smooth(colour, 30), number)
    _strew(scene, _role(items, "piece"), r * 0.75, 1.3)
    _toppings(scene, items, r)


def _sushi(scene: Scene, items: list[Numbered]) -> None:
    rng, fillings = scene.rng, _role(items, "main")
    (rice_n, rice), (nori_n, nori) = _role(items, "bed")[0], _role(items, "crust")[0]
    r, spacing = 25 + 5 * rng.random(), 64 + 6 * rng.random()
    rows, columns = int(rng.integers(2, 5)), 2 + nori.amount + int(rng.integers(2))
    for row in range(rows):
        n, filling = fillings[row % len(fillings)]
        for column in range(columns):
            x = CENTRE[0] + (column - (columns - 1) / 2) * spacing + 5 * rng.random()
            y = CENTRE[1] - 20 + (row - (rows - 1) / 2) * spacing + 5 * rng.random()
            if math.hypot(x - CENTRE[0], y - CENTRE[1]) > scene.radius:
                continue
            scene.shape(_ellipse((x + 5, y + 6), r, r, 0.01, rng, 24), _SHADOW)
            scene.fill(_ellipse((x, y), r, r, 0.02, rng, 24), smooth(_paint(nori.food), 50), nori_n)
            scene.fill(_ellipse((x, y), r - 5, r - 5, 0.02, rng, 24), _texture(rice, 46), rice_n)
            scene.piece(filling, (x, y), n, percent=round(100 * 13 / filling.food.look.size), lift=40)
    _toppings(scene, items, scene.radius)


def _bowl(scene: Scene, items: list[Numbered]) -> None:
    r = scene.radius
    for n, item in _role(items, "bed"):
        scene.fill(_ellipse(CENTRE, r * 0.97, r * 0.97, 0.01, scene.rng), _texture(item), n)
    _sectors(scene, _role(items, "piece"), 0.56 * r, 0.34 * r)
    _toppings(scene, items, r * 0.8)


def _plate(scene: Scene, items: list[Numbered]) -> None:
    r, rng = scene.radius, scene.rng
    turn = rng.random() * 6.28
    sides = _role(items, "bed", "piece")
    for k, numbered in enumerate(sides):
        angle = turn + 3.9 * (k + 0.5) / len(sides)
        at = (CENTRE[0] + 0.56 * r * math.cos(angle), CENTRE[1] + 0.56 * r * math.sin(angle))
        _heap(scene, numbered, at, 0.36 * r, 0.36 * r)
    for n, item in _role(items, "main"):
        count = 1 + item.amount if item.food.look.size > 50 else 3 + 2 * item.amount
        for k in range(min(count, 6)):
            x, y = scene.around(8 if count == 1 else 26)
            away = 0.32 * r
            at = (
                x - away * math.cos(turn + 1.95) + 18 * k * math.sin(turn),
                y - away * math.sin(turn + 1.95) - 18 * k * math.cos(turn),
            )
            scene.piece(item, at, n, percent=120, lift=10)
    _toppings(scene, items, r * 0.75)


def _toast(scene: Scene, items: list[Numbered]) -> None:
    rng, (n, bread) = scene.rng, _role(items, "crust")[0]
    slices = 2 + (bread.amount == 2)
    sauce_n, colour = _sauce(items)
    for k in range(slices):
        at = (CENTRE[0] + (k - (slices - 1) / 2) * 250 / slices, CENTRE[1] + 30 * (rng.random() - 0.5))
        rx, ry = 112 / slices**0.45, 84 + 14 * rng.random()
        turn = rng.random() * 1.2
        lean = [
            (at[0] + (x - at[0]) * math.cos(turn) * 0.4 + (x - at[0]) * 0.6, y + (x - at[0]) * 0.2 * turn)
            for x, y in _ellipse(at, rx, ry, 0.04, rng)
        ]
        inner = [(at[0] + 0.9 * (x - at[0]), at[1] + 0.92 * (y - at[1])) for x, y in lean]
        top = [(at[0] + 0.78 * (x - at[0]), at[1] + 0.8 * (y - at[1])) for x, y in lean]
        scene.shape([(x + 6, y + 7) for x, y in lean], _SHADOW)
        scene.fill(lean, smooth(_paint(bread.food, 1), 16), n)
        scene.fill(inner, smooth(_paint(bread.food), 18), n)
        scene.fill(top, smooth(colour, 26), sauce_n)
        for number, item in _role(items, "piece"):
            for _ in range(max(1, min(14, _count(item, 3.1 * rx * ry * 0.9)))):
                x, y = scene.around(1.0)
                scene.piece(
                    item,
                    (at[0] + 0.6 * rx * (x - CENTRE[0]), at[1] + 0.6 * ry * (y - CENTRE[1])),
                    number,
                    lift=16,
                )
    _toppings(scene, items, 100)


_DISHES: dict[str, Callable[[Scene, list[Numbered]], None]] = {
    "soup": _soup, "ramen": _ramen, "salad": _scatter, "pizza": _pizza, "pie": _pie, "tart": _tart,
    "savoury tart": _tart, "curry": _stew, "stew": _stew, "pancakes": _pancakes, "sushi": _sushi,
    "bowl": _bowl, "pasta": _scatter, "plate": _plate, "toast": _toast,
}  # fmt: skip


# ---- camera and light --------------------------------------------------------------------------------


def photograph(
    plan: Plan, rng: np.random.Generator, size: tuple[int, int]
) -> tuple[Image.Image, NDArray[np.uint8]]:
    """Draw a dish and take its photo.

    Returns:
        The photo, and an array (height, width) with the number of the item seen at each pixel: k + 1 for
        item k of the plan, 0 for everything that is not food.
    """
    scene = Scene(rng)
    _table(scene)
    _clutter(scene)
    _vessel(scene, plan.vessel)
    _DISHES[plan.kind](scene, list(enumerate(plan.items, start=1)))
    box = _frame(rng, size)
    rgb_layer = np.asarray(scene.rgb.resize(size, Image.Resampling.BILINEAR, box=box), np.float32)
    height = np.asarray(scene.height.resize(size, Image.Resampling.BILINEAR, box=box), np.float32)
    labels = np.asarray(scene.labels.resize(size, Image.Resampling.NEAREST, box=box))
    return Image.fromarray(_light(rgb_layer, height, rng)), labels


def _frame(rng: np.random.Generator, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Choose the part of the scene the camera sees; a low camera sees it foreshortened."""
    squash = 0.74 + 0.26 * rng.random()
    width = 350 + 190 * rng.random()
    height = width * size[1] / size[0] / squash
    scale = min(1.0, SCENE[0] / width, SCENE[1] / height)
    width, height = width * scale, height * scale
    x = CENTRE[0] - width / 2 + 80 * (rng.random() - 0.5)
    y = CENTRE[1] - height / 2 + 60 * (rng.random() - 0.5)
    x, y = min(max(0.0, x), SCENE[0] - width), min(max(0.0, y), SCENE[1] - height)
    return x, y, x + width, y + height


def _light(
    colour: NDArray[np.float32], height: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Light the scene: slopes towards the lamp are bright, what stands higher throws a shadow.

    Args:
        colour: what the scene reflects, (h, w, 3), 0 to 255
        height: how high it stands, (h, w)
        rng: where the lamp's direction, strength and colour temperature come from
    """
    angle = 2 * math.pi * rng.random()
    dx, dy = math.cos(angle), math.sin(angle)
    hard = 0.6 + 0.8 * rng.random()
    slope = np.zeros_like(height)
    slope[:, 1:-1] += dx * (height[:, 2:] - height[:, :-2])
    slope[1:-1] += dy * (height[2:] - height[:-2])
    shade = 1 + np.clip(-0.007 * hard * slope, -0.5, 0.5)
    for reach in (2, 5):
        towards = np.roll(height, (round(dy * reach), round(dx * reach)), axis=(0, 1))
        shade -= 0.16 * hard * np.clip((towards - height) / 40, 0, 1)
    rows, columns = height.shape
    shade *= 1 + 0.3 * (rng.random() - 0.2) * np.linspace(-1, 1, columns, dtype=np.float32) * -dx
    shade *= (1 + 0.3 * (rng.random() - 0.2) * np.linspace(-1, 1, rows, dtype=np.float32) * -dy)[:, None]
    warmth, tint = 0.36 * (rng.random() - 0.5), 0.08 * (rng.random() - 0.5)
    gains = (0.82 + 0.34 * rng.random()) * np.array((1 + warmth / 2, 1 + tint, 1 - warmth), np.float32)
    grain = rng.integers(-3, 4, size=height.shape, dtype=np.int8)
    lit = colour * shade[..., None] * gains + grain[..., None]
    lit += (np.clip(shade - 1.22, 0, 0.3) * 260)[..., None]
    pixels: NDArray[np.uint8] = np.clip(lit, 0, 255).astype(np.uint8)
    return pixels
