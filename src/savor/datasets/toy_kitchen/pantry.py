"""What the toy kitchen cooks with: foods with their names, measures and looks, and the dishes they go into.

Everything here is data. A food is drawn from its `Look` by `pictures` and spoken of by `wording`.
"""
# ruff: noqa: E501  one food, one line: the table is read down its columns

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

Role = Literal["crust", "sauce", "bed", "main", "piece", "dollop", "crumble", "herb"]


@dataclass(frozen=True, slots=True)
class Look:
    """How one piece is drawn: a bent superellipse |u|^power + |v / aspect|^power <= 1 with a wobbly outline.

    `size` is half the piece's length in scene units (a dinner plate has radius 150); `colours` are `rrggbb`,
    the first the one seen most; `height` is the piece's thickness, 0 to 100.
    """

    colours: tuple[str, ...]
    size: int
    aspect: float = 1.0
    pattern: str = "plain"
    power: float = 2.0
    wobble: float = 0.04
    bend: float = 0.0
    height: int = 50


@dataclass(frozen=True)
class Food:
    """A food: the names it goes by, how it is measured and prepared, in which states it comes to table."""

    names: str
    look: Look
    each: int = 0
    grams: int = 0
    prep: tuple[str, ...] = ()
    states: tuple[str, ...] = ("raw",)

    @cached_property
    def forms(self) -> tuple[tuple[str, str], ...]:
        """The synonyms as (singular, plural); a mass noun has one form for both."""
        pairs = [name.split("|") for name in self.names.split(", ")]
        return tuple((pair[0], pair[-1]) for pair in pairs)

    @property
    def name(self) -> str:
        """The name this food is known by in `regions.jsonl`: its first plural."""
        return self.forms[0][1]


def _look(colours: str, size: int, **options: float | str) -> Look:
    return Look(tuple(colours.split()), size, **options)  # type: ignore[arg-type]


_HOT = ("grilled", "fried", "roasted")
_VEG = ("raw", "roasted", "grilled")

_FOODS = (
    # vegetables in pieces
    Food("tomato|tomatoes", _look("d8402c e9694d f0c080", 24, pattern="seeded", height=30), each=2, prep=("sliced", "cut into rounds"), states=("raw", "grilled")),
    Food("cherry tomato|cherry tomatoes", _look("dc3a2a f2a090", 14, height=70), each=10, prep=("halved", "left whole")),
    Food("pea|peas, garden pea|garden peas", _look("78b43c", 7, height=60), grams=150, prep=("thawed", "")),
    Food("edamame bean|edamame beans, edamame", _look("8cbc50", 10, aspect=0.7, height=60), grams=150, prep=("podded", "shelled")),
    Food("caper|capers", _look("66702e", 7, height=55, wobble=0.1), grams=30, prep=("drained", "rinsed")),
    Food("green olive|green olives", _look("8c9440 c05030", 11, aspect=0.8, pattern="yolk", height=65), grams=60, prep=("pitted", "drained")),
    Food("black olive|black olives", _look("2c2430", 11, pattern="ring", height=50), grams=60, prep=("pitted and sliced", "sliced into rings")),
    Food("carrot|carrots", _look("ee7d22 f6a04c", 14, pattern="rim", height=35), each=2, prep=("sliced into coins", "peeled and sliced"), states=("raw", "roasted")),
    Food("sweet potato|sweet potatoes, kumara", _look("e8762e", 16, power=5, height=75), each=1, prep=("peeled and cubed", "diced"), states=("roasted", "fried")),
    Food("pumpkin, butternut squash", _look("f0942c e07a20", 18, power=4, aspect=0.8, height=75, wobble=0.07), grams=300, prep=("peeled and cut into chunks", "diced"), states=("roasted", "grilled")),
    Food("potato|potatoes", _look("ecd48c", 17, power=4, height=75, wobble=0.07), each=3, prep=("peeled and cubed", "cut into chunks"), states=("raw", "roasted", "fried")),
    Food("courgette|courgettes, zucchini", _look("d8dc98 4c7a30", 20, pattern="rim", height=30), each=1, prep=("sliced into rounds", "thinly sliced"), states=_VEG),
    Food("cucumber", _look("d4e8b4 3c7034 e4f0cc", 19, pattern="seeded", height=25), each=1, prep=("sliced", "thinly sliced")),
    Food("aubergine|aubergines, eggplant|eggplants", _look("d8c494 46204a", 25, pattern="rim", height=32), each=1, prep=("cut into rounds", "sliced"), states=("grilled", "roasted", "fried")),
    Food("radish|radishes", _look("f8eeee d8305c", 14, pattern="rim", height=22), each=5, prep=("finely sliced", "sliced")),
    Food("beetroot|beetroots, beet|beets", _look("7a1840 942a54", 19, power=3, aspect=0.75, pattern="layers", height=70), each=2, prep=("cooked and cut into wedges", "peeled and diced"), states=("roasted", "raw")),
    Food("red onion|red onions", _look("a04878 ecd4e4", 18, pattern="ring", height=25), each=1, prep=("sliced into rings", "finely sliced")),
    Food("red pepper|red peppers, red bell pepper|red bell peppers", _look("cc2c20", 23, aspect=0.28, bend=0.5, height=50), each=1, prep=("deseeded and cut into strips", "sliced"), states=_VEG),
    Food("yellow pepper|yellow peppers, yellow bell pepper|yellow bell peppers", _look("f0b81c", 23, aspect=0.28, bend=0.5, height=50), each=1, prep=("deseeded and cut into strips", "sliced"), states=_VEG),
    Food("broccoli", _look("3c7830 8cb058", 22, pattern="floret", wobble=0.16, height=95), each=0, grams=200, prep=("broken into florets", "cut into small florets"), states=("raw", "roasted")),
    Food("cauliflower", _look("ece4c8 d4d49c", 22, pattern="floret", wobble=0.16, height=95), grams=250, prep=("broken into florets", "cut into small florets"), states=("raw", "roasted")),
    Food("mushroom|mushrooms, chestnut mushroom|chestnut mushrooms", _look("dcc4a0 7a5c40", 19, pattern="mushroom", height=40), grams=200, prep=("sliced", "thickly sliced"), states=("fried", "roasted", "raw")),
    Food("green bean|green beans, French bean|French beans", _look("5c9238", 30, aspect=0.13, bend=0.25, height=50), grams=150, prep=("trimmed", "topped and tailed")),
    Food("asparagus", _look("7a9c44 5c6438", 36, aspect=0.12, pattern="tip", bend=0.1, height=50), grams=200, prep=("trimmed", "woody ends snapped off"), states=("raw", "grilled")),
    Food("sweetcorn, corn", _look("f4cc38", 7, aspect=0.85, power=3, height=50), grams=120, prep=("drained", "cut from the cob")),
    Food("avocado|avocados", _look("c8d468 7c9a38", 26, aspect=0.36, bend=0.55, pattern="rim", height=40), each=1, prep=("stoned and sliced", "sliced")),
    Food("chickpea|chickpeas, garbanzo bean|garbanzo beans", _look("d8b478", 9, wobble=0.08, height=65), grams=240, prep=("drained", "cooked"), states=("raw", "roasted")),
    Food("black bean|black beans", _look("2e2228", 9, aspect=0.65, bend=0.2, height=60), grams=240, prep=("drained and rinsed", "cooked")),
    Food("kidney bean|kidney beans", _look("7c2424", 11, aspect=0.58, bend=0.3, height=60), grams=240, prep=("drained and rinsed", "cooked")),
    Food("pickled ginger", _look("f4b8a4 fad8c8", 16, aspect=0.6, pattern="layers", wobble=0.14, height=30), grams=30),
    # protein
    Food("fried egg|fried eggs", _look("f8f4ea f4ac20", 38, pattern="yolk", wobble=0.12, height=40), each=1, states=("fried",)),
    Food("boiled egg|boiled eggs", _look("f8f4ea f4b030", 22, aspect=0.78, pattern="yolk", height=65), each=2, prep=("peeled and halved", "halved")),
    Food("salmon fillet|salmon fillets", _look("f08c64 f8c0a4", 62, aspect=0.46, power=3, pattern="marbled", height=90), each=1, prep=("skin on", "pin-boned"), states=_HOT),
    Food("raw salmon, sushi-grade salmon", _look("f47c50 fcc0a0", 25, aspect=0.5, power=4, pattern="marbled", height=50), grams=150, prep=("thinly sliced", "cut into neat slices")),
    Food("chicken breast|chicken breasts", _look("e4bc84 ecd0a4", 58, aspect=0.5, power=2.4, wobble=0.08, height=95), each=1, prep=("trimmed", "butterflied"), states=_HOT),
    Food("chicken thigh|chicken thighs", _look("d8a870", 20, aspect=0.75, wobble=0.16, height=85), each=4, prep=("boned and cut into bite-sized pieces", "diced"), states=_HOT),
    Food("steak, sirloin steak", _look("84483c a86858", 60, aspect=0.56, power=2.6, wobble=0.1, height=75), each=1, prep=("at room temperature", "trimmed"), states=("grilled", "fried")),
    Food("beef, stewing beef", _look("6c4030", 19, aspect=0.8, power=3, wobble=0.13, height=85), grams=400, prep=("cut into chunks", "diced"), states=("fried",)),
    Food("prawn|prawns, shrimp", _look("f49474 fcd0bc", 23, aspect=0.36, bend=1.0, pattern="bands", height=65), each=8, prep=("peeled", "peeled, tails left on"), states=("raw", "grilled", "fried")),
    Food("bacon, streaky bacon", _look("b04c3c ecc0a0", 34, aspect=0.22, pattern="streaky", bend=0.2, height=30), grams=100, prep=("cut into strips", "rind removed"), states=("fried", "grilled")),
    Food("pepperoni, sliced chorizo", _look("b83820 d06850", 18, pattern="speckle", height=22), grams=80, prep=("thinly sliced", "")),
    Food("tofu, firm tofu", _look("f2e8cc", 17, power=7, height=80), grams=250, prep=("pressed and cubed", "drained and cubed"), states=("raw", "fried", "grilled")),
    Food("sausage|sausages", _look("b0683c", 42, aspect=0.3, power=2.6, bend=0.2, height=85), each=4, prep=("separated", ""), states=_HOT),
    Food("paneer, halloumi", _look("f6ecd4", 19, aspect=0.75, power=6, height=70), grams=200, prep=("cubed", "cut into small slabs"), states=("grilled", "fried")),
    # cheese, nuts and small things
    Food("feta, feta cheese", _look("faf6ec", 11, power=4, wobble=0.2, height=60), grams=80, prep=("crumbled", "broken into pieces")),
    Food("mozzarella, mozzarella cheese", _look("faf2dc", 23, wobble=0.16, height=25), grams=125, prep=("torn", "sliced")),
    Food("goat's cheese", _look("fcf8f0 f0e4c8", 20, pattern="rim", height=35), grams=100, prep=("sliced", "cut into rounds")),
    Food("parmesan, parmesan cheese", _look("f0dca0", 18, aspect=0.35, power=3, wobble=0.2, height=20), grams=40, prep=("shaved", "cut into shavings")),
    Food("walnut|walnuts", _look("a87848 805428", 12, wobble=0.22, pattern="layers", height=60), grams=50, prep=("roughly chopped", "toasted")),
    Food("flaked almonds, almonds", _look("f0dcb4 c89860", 9, aspect=0.55, pattern="rim", height=20), grams=40, prep=("toasted", "")),
    Food("sesame seeds", _look("f4e4bc", 4, aspect=0.6, height=25), grams=15, prep=("toasted", "")),
    Food("crouton|croutons", _look("d8a458 b87830", 13, power=6, pattern="speckle", height=75), grams=60, states=("fried",)),
    Food("pomegranate seeds", _look("b01838", 6, wobble=0.1, height=60), grams=60),
    # beds and leaves
    Food("rice, basmati rice, jasmine rice", _look("f6f0e2", 7, aspect=0.35, height=45), grams=200, prep=("rinsed", "cooked and cooled")),
    Food("quinoa", _look("dcc090 b88c50", 5, pattern="ring", height=40), grams=150, prep=("rinsed",)),
    Food("couscous", _look("eccc80", 4, height=40), grams=150),
    Food("lentils, brown lentils", _look("8c6840", 7, aspect=0.85, height=40), grams=200, prep=("rinsed",)),
    Food("noodles, egg noodles", _look("ecc870", 56, aspect=0.075, bend=1.2, height=55), grams=200),
    Food("spaghetti, linguine", _look("f0d494", 60, aspect=0.055, bend=0.8, height=50), grams=250),
    Food("penne, rigatoni", _look("ecc87c c89c50", 21, aspect=0.3, power=6, pattern="tip", height=70), grams=250),
    Food("rocket, arugula", _look("4c8434 6ca04c", 26, aspect=0.36, pattern="leaf", wobble=0.24, bend=0.3, height=35), grams=60, prep=("washed", "")),
    Food("lettuce, romaine lettuce", _look("8cc050 c8dc90", 40, aspect=0.62, pattern="leaf", wobble=0.15, height=45), each=1, prep=("torn", "shredded")),
    Food("spinach, baby spinach", _look("2f6c30 48843c", 25, aspect=0.66, pattern="leaf", wobble=0.07, height=35), grams=100, prep=("washed", "")),
    Food("red cabbage", _look("7c3478 dcb4d8", 24, aspect=0.11, pattern="tip", bend=0.5, height=40), grams=150, prep=("finely shredded", "shredded")),
    Food("mashed potato, potato mash", _look("f4e4ac", 30, height=60), grams=300),
    # fruit
    Food("strawberry|strawberries", _look("d42838 f4a0a0 f4d4a0", 18, aspect=0.85, pattern="seeded", height=60), grams=200, prep=("hulled and halved", "sliced")),
    Food("blueberry|blueberries", _look("3c4478 5c68a0", 9, pattern="yolk", height=65), grams=150),
    Food("blackberry|blackberries", _look("2c1c3c 54345c", 12, pattern="floret", wobble=0.08, height=70), grams=150),
    Food("raspberry|raspberries", _look("cc3054 e0607c", 12, pattern="floret", wobble=0.08, height=70), grams=150),
    Food("cherry|cherries", _look("8c1428", 13, height=70), grams=250, prep=("stoned", "pitted")),
    Food("banana|bananas", _look("f6e8b8 e0c470", 16, pattern="rim", height=30), each=2, prep=("sliced",)),
    Food("apple|apples", _look("f2e4b0 b83c2c", 27, aspect=0.34, bend=0.6, pattern="rim", height=40), each=3, prep=("cored and sliced", "thinly sliced"), states=("raw", "roasted")),
    Food("peach|peaches, nectarine|nectarines", _look("f6b04c d85c3c", 25, aspect=0.42, bend=0.55, pattern="rim", height=55), each=3, prep=("stoned and sliced", "cut into wedges"), states=("raw", "grilled")),
    Food("kiwi|kiwis, kiwi fruit|kiwi fruit", _look("8cb838 6c7c34 f0ecc8", 18, pattern="citrus", height=25), each=2, prep=("peeled and sliced",)),
    Food("orange|oranges", _look("f49c28 e87c10 f8c468", 22, pattern="citrus", height=25), each=2, prep=("peeled and sliced", "sliced")),
    Food("lemon|lemons", _look("f8e468 f0c820 fcf4c0", 19, pattern="citrus", height=25), each=1, prep=("sliced",)),
    Food("lime|limes", _look("b8d468 5c9430 e4f0b8", 17, pattern="citrus", height=25), each=1, prep=("sliced", "cut into rounds")),
    # herbs
    Food("basil, basil leaves", _look("3c8430 5ca044", 16, aspect=0.62, pattern="leaf", height=35), grams=15, prep=("leaves picked", "torn")),
    Food("coriander, cilantro", _look("4c9438 6cac50", 11, aspect=0.85, pattern="leaf", wobble=0.25, height=30), grams=15, prep=("chopped", "leaves picked")),
    Food("chives", _look("4c8c34", 8, aspect=0.25, power=4, height=30), grams=10, prep=("snipped",)),
    Food("red chilli|red chillies, red chili|red chilis", _look("d42418", 9, pattern="ring", height=30), each=1, prep=("sliced", "finely sliced")),
    Food("spring onion|spring onions, scallion|scallions", _look("a0c864 5c9838", 8, pattern="ring", height=30), each=3, prep=("sliced", "finely sliced")),
    # sauces, spreads, doughs
    Food("chopped tomatoes, passata", _look("c43c20", 30, height=20), grams=400),
    Food("coconut milk", _look("f6eed8", 30, height=20), grams=400),
    Food("double cream, heavy cream", _look("fbf4e2", 30, height=20), grams=150),
    Food("red curry paste", _look("c8501c", 30, height=20), grams=50),
    Food("turmeric, ground turmeric", _look("e0a010", 30, height=20), grams=10),
    Food("soy sauce", _look("52301c", 30, height=20), grams=40),
    Food("red wine", _look("5c1c28", 30, height=20), grams=250),
    Food("gravy, beef gravy", _look("68401f", 30, height=20), grams=300),
    Food("miso, white miso", _look("d4a868", 30, height=20), grams=50),
    Food("pesto, basil pesto", _look("64903c", 30, height=20), grams=90),
    Food("yoghurt, Greek yoghurt, plain yogurt", _look("fcfaf4", 24, wobble=0.1, height=50), grams=120),
    Food("ricotta", _look("faf4e8", 24, wobble=0.14, height=50), grams=150),
    Food("hummus, houmous", _look("e0c490", 26, wobble=0.12, height=50), grams=150),
    Food("custard, vanilla custard", _look("f6dc7c", 30, height=20), grams=300),
    Food("dark chocolate, plain chocolate", _look("482818", 26, wobble=0.12, height=30), grams=150, prep=("melted",)),
    Food("maple syrup", _look("b06414", 26, wobble=0.2, height=20), grams=40),
    Food("pizza dough", _look("e4b46c", 30, height=60), grams=250),
    Food("shortcrust pastry, pie pastry", _look("dca858", 30, height=60), grams=320),
    Food("plain flour, all-purpose flour", _look("d89c4c", 30, height=60), grams=150),
    Food("sourdough bread, crusty bread", _look("e8cc98 a86c34", 30, height=60), grams=200),
    Food("naan, flatbread", _look("ecd09c b08040", 66, aspect=0.6, pattern="speckle", wobble=0.07, height=45), each=2, prep=("warmed",)),
    Food("nori, nori sheets", _look("24342c", 24, height=60), each=4),
    Food("wasabi", _look("a4c860", 14, wobble=0.12, height=60), grams=10),
)  # fmt: skip

FOODS = {form[1]: food for food in _FOODS for form in food.forms[:1]}


@dataclass(frozen=True, slots=True)
class Slot:
    """A role in a dish with the foods that may fill it and how many of them do, from `least` to `most`."""

    role: Role
    foods: str
    least: int = 1
    most: int = 1

    @property
    def choices(self) -> tuple[str, ...]:
        """Names of the foods that may fill this slot."""
        return tuple(self.foods.split(", "))


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of dish: what it is called, what fills it, and what goes in without ever being seen."""

    nouns: tuple[str, ...]
    vessels: tuple[str, ...]
    slots: tuple[Slot, ...]
    unseen: tuple[str, ...]
    styles: tuple[str, ...]


_ROOTS = "carrots, sweet potatoes, pumpkin, potatoes"
_PULSES = "chickpeas, black beans, kidney beans, peas, edamame beans, sweetcorn"
_SOFT = "courgettes, aubergines, red peppers, yellow peppers, mushrooms, broccoli, cauliflower, green beans"
_BERRIES = "strawberries, blueberries, blackberries, raspberries, cherries"
_SAVOURY = (
    "1/2 teaspoon salt",
    "freshly ground black pepper",
    "2 tablespoons olive oil",
    "2 cloves garlic, crushed",
)
_SWEET = ("75 g caster sugar", "1 teaspoon vanilla extract", "a pinch of salt", "1 tablespoon butter, melted")
_STOCK = (
    "700 ml vegetable stock",
    "1 onion, finely chopped",
    "1 tablespoon sunflower oil",
    "2 cloves garlic, sliced",
    "salt and pepper",
)
_EAST = (
    "1 tablespoon sesame oil",
    "1 tablespoon rice vinegar",
    "1 teaspoon sugar",
    "a thumb of ginger, grated",
    "salt",
)

KINDS: dict[str, Kind] = {
    "soup": Kind(("soup", "soup", "potage"), ("bowl",), (
        Slot("sauce", "chopped tomatoes, pumpkin, carrots, sweet potatoes, peas, spinach, beetroots, mushrooms, lentils, cauliflower"),
        Slot("sauce", "double cream, coconut milk, turmeric, red curry paste, chopped tomatoes", 0, 1),
        Slot("piece", f"croutons, prawns, bacon, {_PULSES}, {_ROOTS}, mushrooms", 1, 3),
        Slot("dollop", "yoghurt, pesto, double cream", 0, 1),
        Slot("herb", "basil, coriander, chives, red chillies, spring onions", 0, 1)),
        _STOCK, ("Spiced", "Smooth", "Winter", "Moroccan", "Provençal", "Weeknight", "Creamy", "Rustic")),
    "ramen": Kind(("noodle soup", "ramen", "noodle broth"), ("bowl",), (
        Slot("sauce", "miso, soy sauce, red curry paste"), Slot("sauce", "coconut milk, soy sauce", 0, 1),
        Slot("bed", "noodles"),
        Slot("piece", "boiled eggs, prawns, tofu, mushrooms, spinach, sweetcorn, edamame beans, chicken thighs, carrots", 2, 4),
        Slot("herb", "spring onions, red chillies, coriander, sesame seeds", 1, 2)),
        (*_EAST, "1 litre chicken stock"), ("Japanese", "Malaysian", "Thai", "Quick", "Fragrant", "Midnight")),
    "salad": Kind(("salad", "salad", "salad platter"), ("plate", "bowl"), (
        Slot("bed", "rocket, lettuce, spinach, couscous, quinoa, red cabbage"),
        Slot("piece", f"tomatoes, cherry tomatoes, cucumber, radishes, red onions, {_PULSES}, avocados, beetroots, green beans, boiled eggs, oranges, black olives, green olives, capers, pumpkin, carrots", 2, 4),
        Slot("crumble", "feta, walnuts, parmesan, pomegranate seeds, flaked almonds, croutons", 1, 2)),
        ("3 tablespoons extra virgin olive oil", "1 tablespoon red wine vinegar", "1 teaspoon Dijon mustard", "sea salt", "black pepper"),
        ("Greek", "Summer", "Crunchy", "Warm", "Lebanese", "Garden", "Picnic", "Big")),
    "pizza": Kind(("pizza", "pizza", "pizzetta"), ("board", "plate", "pan"), (
        Slot("crust", "pizza dough"), Slot("sauce", "chopped tomatoes, chopped tomatoes, pesto, ricotta"),
        Slot("piece", "mozzarella"),
        Slot("piece", "pepperoni, mushrooms, black olives, green olives, capers, red onions, red peppers, yellow peppers, tomatoes, cherry tomatoes, sweetcorn, courgettes, aubergines, prawns, bacon, spinach", 1, 4),
        Slot("herb", "basil, rocket, red chillies", 0, 1)),
        _SAVOURY, ("Roman", "Neapolitan", "Thin-crust", "Homemade", "Friday night", "Sicilian", "Wood-fired")),
    "pie": Kind(("pie", "lattice pie"), ("pan", "plate"), (
        Slot("crust", "shortcrust pastry"), Slot("piece", f"apples, peaches, {_BERRIES}", 1, 2),
        Slot("crumble", "flaked almonds, walnuts", 0, 1)),
        (*_SWEET, "1 egg, beaten, to glaze", "2 tablespoons cornflour"), ("Old-fashioned", "Deep-dish", "Harvest", "Farmhouse", "Spiced", "Sunday")),
    "tart": Kind(("tart", "tart", "galette"), ("plate", "board"), (
        Slot("crust", "shortcrust pastry"), Slot("sauce", "custard, dark chocolate, ricotta"),
        Slot("piece", f"kiwis, peaches, bananas, apples, oranges, {_BERRIES}", 1, 3),
        Slot("crumble", "flaked almonds, walnuts", 0, 1)),
        (*_SWEET, "2 egg yolks"), ("French", "Glazed", "Bakery-style", "Summer", "Elegant", "Viennese")),
    "savoury tart": Kind(("quiche", "savoury tart"), ("plate", "board", "pan"), (
        Slot("crust", "shortcrust pastry"), Slot("sauce", "custard, ricotta"),
        Slot("piece", "tomatoes, cherry tomatoes, courgettes, asparagus, peas, spinach, goat's cheese, mushrooms, broccoli, salmon fillets, bacon, red onions, black olives", 2, 4),
        Slot("herb", "chives, basil", 0, 1)),
        ("3 eggs", "150 ml milk", "salt and white pepper", "a grating of nutmeg"), ("French", "Spring", "Rustic", "Picnic", "Puffed", "Alsatian")),
    "curry": Kind(("curry", "curry", "masala"), ("bowl", "plate"), (
        Slot("sauce", "chopped tomatoes, spinach, red curry paste, turmeric"),
        Slot("sauce", "coconut milk, yoghurt, double cream, chopped tomatoes", 1, 1),
        Slot("bed", "rice, rice, naan", 0, 1),
        Slot("piece", f"paneer, tofu, chicken thighs, prawns, {_ROOTS}, cauliflower, chickpeas, kidney beans, peas, green beans, aubergines", 1, 3),
        Slot("herb", "coriander, red chillies, flaked almonds", 0, 2)),
        ("1 onion, sliced", "2 teaspoons ground cumin", "a thumb of ginger, grated", "2 tablespoons ghee", "salt"),
        ("Goan", "Keralan", "Thai", "Sri Lankan", "Fiery", "Mild", "Punjabi", "Simple")),
    "stew": Kind(("stew", "casserole", "hotpot"), ("bowl", "pan"), (
        Slot("sauce", "gravy, red wine, chopped tomatoes"), Slot("sauce", "chopped tomatoes, gravy, double cream", 0, 1),
        Slot("piece", f"beef, sausages, chicken thighs, {_ROOTS}, kidney beans, chickpeas, mushrooms, green beans, red peppers, lentils, black olives, peas", 2, 4),
        Slot("bed", "mashed potato, rice, couscous", 0, 1), Slot("herb", "chives, basil", 0, 1)),
        (*_STOCK, "1 bay leaf"), ("Slow-cooked", "Hungarian", "Hearty", "One-pot", "Irish", "Country", "Winter")),
    "pancakes": Kind(("pancakes", "pancakes", "hotcakes"), ("plate", "plate", "board"), (
        Slot("crust", "plain flour"), Slot("sauce", "maple syrup, dark chocolate, yoghurt", 0, 1),
        Slot("piece", f"bananas, kiwis, peaches, oranges, bacon, {_BERRIES}", 1, 2),
        Slot("crumble", "walnuts, flaked almonds, pomegranate seeds", 0, 1)),
        ("2 eggs", "300 ml milk", "2 teaspoons baking powder", *_SWEET[1:]), ("American", "Fluffy", "Buttermilk", "Breakfast", "Weekend", "Scottish")),
    "sushi": Kind(("sushi", "sushi rolls", "maki"), ("board", "plate"), (
        Slot("bed", "rice"), Slot("crust", "nori"),
        Slot("main", "raw salmon, cucumber, avocados, prawns, tofu, carrots, red peppers", 1, 2),
        Slot("dollop", "wasabi", 0, 1), Slot("crumble", "pickled ginger", 0, 1), Slot("herb", "sesame seeds, edamame beans", 0, 1)),
        ("4 tablespoons rice vinegar", "1 tablespoon sugar", "1 teaspoon salt"), ("Homemade", "Japanese", "Party", "Classic", "Easy")),
    "bowl": Kind(("bowl", "rice bowl", "lunch bowl"), ("bowl", "bowl", "plate"), (
        Slot("bed", "rice, quinoa, couscous, noodles"),
        Slot("piece", f"raw salmon, tofu, chicken thighs, prawns, avocados, carrots, cucumber, radishes, red cabbage, {_PULSES}, sweet potatoes, broccoli, fried eggs, boiled eggs, mushrooms, spinach", 3, 5),
        Slot("herb", "sesame seeds, spring onions, coriander, red chillies", 0, 2)),
        _EAST, ("Hawaiian", "Korean", "Rainbow", "Buddha-style", "Mexican", "Power", "Californian")),
    "pasta": Kind(("pasta", "pasta bake", "pasta supper"), ("plate", "bowl"), (
        Slot("bed", "spaghetti, penne"), Slot("sauce", "chopped tomatoes, pesto, double cream, ricotta"),
        Slot("piece", f"prawns, bacon, sausages, chicken thighs, cherry tomatoes, peas, capers, black olives, spinach, asparagus, {_SOFT}", 1, 3),
        Slot("crumble", "parmesan, walnuts, feta", 0, 1), Slot("herb", "basil, red chillies, chives", 0, 1)),
        (*_SAVOURY, "a splash of pasta water"), ("Tuscan", "Speedy", "Family", "Ligurian", "Silky", "Store-cupboard")),
    "plate": Kind(("supper", "dinner", "plate"), ("plate", "plate", "pan"), (
        Slot("main", "salmon fillets, chicken breasts, steak, sausages, aubergines, paneer"),
        Slot("bed", "mashed potato, rice, couscous, lentils, quinoa", 0, 1),
        Slot("piece", f"asparagus, peas, tomatoes, cherry tomatoes, {_ROOTS}, {_SOFT}, beetroots", 1, 3),
        Slot("dollop", "pesto, yoghurt, hummus", 0, 1), Slot("crumble", "lemons, limes, capers", 0, 1)),
        (*_SAVOURY, "a knob of butter"), ("Mediterranean", "Pan-roasted", "Easy", "Turkish", "Bistro", "Sunday", "Herby")),
    "toast": Kind(("toast", "toasts", "bruschetta"), ("board", "plate"), (
        Slot("crust", "sourdough bread"), Slot("sauce", "hummus, ricotta, pesto, avocados"),
        Slot("piece", "tomatoes, cherry tomatoes, radishes, cucumber, fried eggs, boiled eggs, raw salmon, prawns, mushrooms, bacon, peas, strawberries, peaches, avocados", 1, 2),
        Slot("crumble", "feta, pomegranate seeds, walnuts, capers", 0, 1), Slot("herb", "basil, chives, red chillies, rocket", 0, 1)),
        ("flaky salt", "1 tablespoon olive oil", "black pepper", "1 clove garlic, halved"), ("Brunch", "Café", "Italian", "Crisp", "Loaded", "Late-night")),
}  # fmt: skip
