"""Diets: which groups of food (dairy, gluten, nuts, ...) the words of an ingredient line belong to.

A line is read from left to right, the longest known phrase first: "coconut milk" is one and no dairy, so
that the "milk" in it is never looked at. "Eggplant", "butternut" and "nutmeg" are words of their own; a part
of a word never counts. "Gluten-free", "vegan" and their like take what they exclude from the food that
follows, so not from "chicken or veggie stock"; behind a food ("flour, gluten-free") they change nothing.

It is a list of words: it knows no brands and does not see what is inside a bought sauce.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

NO_ADVICE = (
    "Filters read the words of a recipe and know nothing else of it: they are no advice on allergies."
    " Check every ingredient yourself."
)

_ALTERNATIVES = frozenset({"or", "and", "plus"})
UNLISTED = "@unlisted"  # the term of a recipe that lists no ingredients
_LONGEST = 4  # words of a phrase

# All words are in the form of `savor.index.filters.normalised`: lower case, singular, no hyphens.
_CHEESE = """cheese, ricotta, mozzarella, parmesan, parmigiano, pecorino, feta, cheddar, gouda,
    edam, brie, camembert, gruyere, gruyère, emmental, emmenthal, mascarpone, paneer, halloumi, queso,
    provolone, roquefort, gorgonzola, stilton, manchego, asiago, fontina, monterey jack, pepper jack,
    colby, velveeta, boursin, cotija, burrata, havarti, limburger, raclette, romano, neufchatel, chevre,
    chèvre, port salut, pesto, cheesecake, caesar dressing, goat cheese, cream cheese, buffalo mozzarella"""
_BEEF = """beef, steak, veal, oxtail, brisket, sirloin, ribeye, rib eye, short rib, prime rib,
    hamburger, corned beef, pastrami, bresaola, ground chuck, ground round, chuck roast, pot roast, rump
    roast, beefburger, beef bacon, beef sausage, beef hot dog, cheeseburger"""
_PORK = """pork, bacon, ham, prosciutto, pancetta, guanciale, lardon, lard, gammon, salami,
    pepperoni, chorizo, sausage, hot dog, hotdog, frankfurter, wiener, bratwurst, kielbasa, andouille,
    mortadella, bologna, speck, spam, nduja, spare rib, baby back rib, chipolata, salame, soppressata,
    capicola, black pudding, sausagemeat"""
_POULTRY = """chicken, turkey, duck, goose, hen, quail, pheasant, guinea fowl, poultry, giblet,
    turkey bacon, turkey sausage, chicken sausage, turkey ham, turkey pepperoni, duckling, capon, poussin,
    foie gra, cream of chicken soup, cream of chicken"""
_FISH = """fish, salmon, tuna, cod, haddock, halibut, trout, tilapia, anchovy, sardine, pilchard,
    herring, mackerel, bass, snapper, catfish, swordfish, mahi, sole, flounder, plaice, pollock, pollack,
    hake, monkfish, fish sauce, nam pla, nuoc mam, worcestershire, worcestershire sauce, worcester sauce,
    caviar, roe, eel, kipper, bonito, dashi, lox, perch, pike, turbot, sturgeon, grouper, barramundi,
    surimi, imitation crab, whitebait, sprat, caesar dressing, carp, skate, bream, branzino, whiting,
    furikake, katsuobushi, gravlax, rockfish, fish cake, orange roughy, kimchi, bloater, taramasalata,
    seafood"""
_SHELLFISH = """shellfish, shrimp, prawn, lobster, crab, crabmeat, crab meat, lobster meat, scallop,
    mussel, clam, oyster, oyster sauce, squid, calamari, octopus, cuttlefish, langoustine, scampi,
    crawfish, crayfish, cockle, whelk, abalone, conch, shrimp paste, prawn cracker, snail, escargot,
    clamato, belacan, xo sauce, crab cake, krill, seafood, winkle, crab stick, kimchi"""
_GROUPS: dict[str, str] = {
    "dairy": _CHEESE
    + """, milk, butter, cream, yogurt, yoghurt, yogourt, buttermilk, ghee, whey, casein, curd,
    kefir, crème, creme fraiche, crème fraîche, half and half, half half, custard, ice cream, gelato,
    dulce de leche, leche, butterscotch, quark, labneh, skyr, dairy, milk chocolate, white chocolate,
    ranch dressing, ranch, alfredo, bechamel, béchamel, tzatziki, nutella, toffee, caramel, cool whip,
    whipped topping, lemon curd, irish cream, bailey, eggnog, brioche, cream of mushroom soup, cream of
    chicken soup, cream of celery soup, cream of mushroom, cream of chicken, cream of celery, malted milk,
    goat milk, raita, lassi, buttercream, fudge, croissant, queso fresco, khoya, clotted cream, milkshake,
    pudding mix""",
    "cheese": _CHEESE,
    "egg": """egg, yolk, eggwhite, mayonnaise, mayo, meringue, aioli, hollandaise, bearnaise,
    eggnog, custard, egg noodle, egg roll wrapper, ladyfinger, lady finger, savoiardi, brioche, challah,
    lemon curd, tartar sauce, tartare sauce, caesar dressing, ranch dressing, quiche, omelette, omelet,
    frittata, duck egg, quail egg, goose egg, wonton, pavlova, amaretti, tamagoyaki, french toast, egg
    beater, egg substitute""",
    "meat": f"""{_BEEF}, {_PORK}, {_POULTRY}, meat, lamb, mutton, goat, venison, rabbit, hare, boar,
    bison, buffalo, meatball, meatloaf, minced meat, mincemeat, liver, kidney, tripe, sweetbread, tongue,
    suet, haggi, pate, pâté, pepperoni, jerky, bone broth, bone marrow, tenderloin, doner, dripping,
    tallow, cold cut, salt pork, merguez, demi glace, kofta, kofte, gyro""",
    "beef": _BEEF,
    "pork": _PORK,
    "poultry": _POULTRY,
    "fish": _FISH,
    "shellfish": _SHELLFISH,
    "seafood": f"{_FISH}, {_SHELLFISH}",
    "gluten": """flour, wheat, bread, breadcrumb, pasta, noodle, barley, rye, semolina, couscous,
    bulgur, bulghur, bulgar, spelt, farro, seitan, cracker, pastry, pie crust, pie shell, pie dough,
    tortilla, pita, pitta, naan, bun, bread roll, dinner roll, french roll, soft roll, crusty roll, potato
    roll, crescent roll, hoagie roll, kaiser roll, sub roll, sandwich roll, hard roll, baguette, ciabatta,
    focaccia, croissant, bagel, muffin, biscuit, cookie, cooky, cake, pretzel, panko, crouton, filo,
    phyllo, fillo, wonton, egg roll wrapper, spring roll wrapper, gyoza wrapper, dumpling, soy sauce, soya
    sauce, shoyu, teriyaki, hoisin, tonkatsu sauce, beer, ale, lager, stout, malt, malt vinegar, malted
    milk, bisquick, pancake mix, baking mix, brioche, challah, lasagne, lasagna, spaghetti, macaroni,
    penne, rigatoni, fettuccine, fettuccini, linguine, linguini, tagliatelle, pappardelle, vermicelli,
    orzo, ramen, udon, soba, ravioli, tortellini, gnocchi, matzo, matzoh, wafer, ladyfinger, lady finger,
    savoiardi, oreo, bran, stuffing, cream of mushroom soup, amaretti, cream of chicken soup, cream of
    celery soup, cream of mushroom, cream of chicken, cream of celery, sourdough, toast, crumpet, freekeh,
    kamut, durum, einkorn, orecchiette, fusilli, farfalle, cannelloni, manicotti, rotini, ziti, bucatini,
    ditalini, angel hair, pasta shell, dough, doughnut, donut, cornbread, corn bread, hamburger bun,
    burger bun, hot dog bun, shortcrust, cream cracker, grape nut, ginger nut, oyster cracker, goldfish
    cracker, brownie, browny, gingersnap, shortbread, egg noodle, crab cake, fish cake, roux, gyro,
    cheesecake, cupcake, pancake, waffle, french toast, quiche, scone, melba toast, rusk, farina, vital
    wheat gluten, gluten, chapati, roti, flatbread, lavash, pie, bulgur wheat, breadstick, imitation crab,
    surimi, crab stick, spaetzle""",
    "nuts": """nut, almond, walnut, pecan, cashew, pistachio, hazelnut, filbert, macadamia, brazil
    nut, pine nut, pinenut, pignoli, praline, marzipan, frangipane, amaretto, amaretti, nutella, gianduja,
    chestnut, nut butter, almond milk, almond butter, almond flour, almond meal, almond cream, almond
    yogurt, cashew milk, cashew butter, cashew cream, cashew cheese, hazelnut milk, hazelnut butter,
    walnut milk, macadamia milk, nut milk, nut meat, nut cheese, nut flour, dukkah, pesto, baklava,
    hazelnut spread, chestnut flour, hazelnut flour, walnut oil, hazelnut liqueur, frangelico, orgeat,
    ground almond, marcona""",
    "peanut": """peanut, groundnut, monkey nut, peanut butter, peanut butter cup, reese, satay sauce,
    satay, peanut flour, peanut brittle""",
    "soy": """soy, soya, soybean, soyabean, tofu, tempeh, edamame, miso, soy sauce, soya sauce,
    tamari, shoyu, natto, bean curd, beancurd, tvp, textured vegetable protein, hoisin, teriyaki, oyster
    sauce, soy milk, soya milk, soy cream, soya cream, soy yogurt, soya yoghurt, soy yoghurt, soy nut, soy
    cheese, soy flour, soya flour, soybean curd, okara, yuba, ponzu, doubanjiang, bean paste, tonkatsu
    sauce, doenjang, gochujang, black bean sauce""",
    "sesame": """sesame, tahini, tahina, tahin, hummus, houmous, humus, halva, halvah, halwa, zaatar,
    za atar, gomasio, furikake, benne, dukkah, everything bagel seasoning, baba ganoush, baba ghanoush""",
    "alcohol": """alcohol, wine, beer, ale, lager, stout, rum, brandy, cognac, bourbon, whiskey, whisky,
    scotch, vodka, gin, tequila, sherry, cream sherry, port wine, ruby port, tawny port, vermouth,
    liqueur, kahlua, amaretto, grand marnier, cointreau, triple sec, champagne, prosecco, cava, hard
    cider, dry cider, sake, mirin, marsala, madeira, kirsch, calvado, irish cream, bailey, schnapp,
    shaoxing, campari, aperol, limoncello, absinthe, pernod, ouzo, pasti, mead, creme de menthe, crème de
    menthe, creme de cassi, crème de cassi, creme de cacao, curacao, curaçao, sambuca, frangelico,
    hazelnut liqueur, armagnac, grappa, mezcal, guinness, burgundy, chardonnay, sauvignon, merlot,
    cabernet, riesling, chianti, advocaat""",
    "gelatine": """gelatine, gelatin, marshmallow, jello, jell o, gummy bear, gummi bear, gummy candy,
    aspic""",
    "honey": "honey, honeycomb",
}

# Phrases of no group although one of their words is of one.
_NEITHER = """coconut milk, coconut cream, coconut butter, coconut yogurt, coconut yoghurt, coconut
    ice cream, cream of coconut, coconut meat, cream of tartar, cocoa butter, cacao butter, apple butter,
    pumpkin butter, pear butter, butter bean, butter lettuce, butter flavored shortening, butter flavoured
    shortening, butter flavored cooking spray, butter extract, oat milk, oat cream, rice milk, hemp milk,
    flax milk, pea milk, plant milk, oat yogurt, milk thistle, cream soda, cream style corn, cream corn,
    sunflower butter, sunflower seed butter, seed butter, cookie butter, shea butter, flax egg, egg
    replacer, egg replacement, chia egg, egg plant, kidney bean, beefsteak tomato, beef tomato, steak
    seasoning, steak sauce, scotch bonnet, for the caramel, for the custard, meat tenderizer, meat
    substitute, duck sauce, veggie burger, vegetable burger, bean burger, plant mince, chicken of the
    wood, poultry seasoning, poultry spice, chicken seasoning, rice flour, brown rice flour, sweet rice
    flour, glutinous rice flour, white rice flour, corn flour, maize flour, coconut flour, chickpea flour,
    garbanzo flour, garbanzo bean flour, gram flour, buckwheat flour, buckwheat noodle, tapioca flour,
    potato flour, potato starch flour, oat flour, sorghum flour, millet flour, teff flour, cassava flour,
    quinoa flour, bean flour, lentil flour, fava bean flour, banana flour, arrowroot flour, amaranth
    flour, masa flour, hemp flour, mung bean flour, urad flour, plantain flour, yam flour, rice noodle,
    rice stick noodle, glass noodle, cellophane noodle, bean thread noodle, mung bean noodle, sweet potato
    noodle, shirataki noodle, kelp noodle, zucchini noodle, courgette noodle, rice vermicelli, vermicelli
    rice noodle, rice vermicelli noodle, rice pasta, lentil pasta, chickpea pasta, corn pasta, bean pasta,
    corn tortilla, tortilla chip, corn tortilla chip, rice cake, rice cracker, oat bran, rice bran, corn
    bran, pasta sauce, spaghetti sauce, pizza sauce, pasta sauce mix, spaghetti squash, bread and butter
    pickle, bread machine yeast, bread yeast, cake yeast, root beer, ginger beer, ginger ale, pie spice,
    pumpkin pie spice, pumpkin pie filling, apple pie spice, apple pie filling, cherry pie filling, pie
    filling, blueberry pie filling, muffin cup, muffin liner, cookie cutter, cupcake liner, cupcake case,
    pie plate, pie pan, pie dish, hen of the wood, pie weight, cake tin, cake pan, cake rack, bread tin,
    pancake syrup, corn nut, tiger nut, betel nut, kola nut, palm nut, water chestnut, chestnut mushroom,
    wine vinegar, red wine vinegar, white wine vinegar, rice wine vinegar, sherry vinegar, wine sherry
    vinegar, champagne vinegar, rum extract, rum flavoring, rum flavouring, rum essence, brandy extract,
    brandy essence, crab apple, crab boil, oyster mushroom, swedish fish, king oyster mushroom, coconut
    amino, honey mushroom, honey dew melon, almond bark"""

# What the words before "free", and others of the kind, take from the food that follows.
_VEGETARIAN = ("meat", "fish", "shellfish", "gelatine")
_VEGAN = (*_VEGETARIAN, "dairy", "egg", "honey")
_FREE: dict[str, tuple[str, ...]] = {
    "gluten free": ("gluten",),
    "wheat free": ("gluten",),
    "glutenfree": ("gluten",),
    "gf": ("gluten",),
    "dairy free": ("dairy",),
    "milk free": ("dairy",),
    "non dairy": ("dairy",),
    "nondairy": ("dairy",),
    "vegan": _VEGAN,
    "plant based": _VEGAN,
    "vegetarian": _VEGETARIAN,
    "veggie": _VEGETARIAN,
    "meatless": _VEGETARIAN,
    "meat free": _VEGETARIAN,
    "imitation": ("meat",),
    "mock": ("meat",),
    "egg free": ("egg",),
    "eggless": ("egg",),
    "nut free": ("nuts", "peanut"),
    "soy free": ("soy",),
    "alcohol free": ("alcohol",),
    "non alcoholic": ("alcohol",),
    "nonalcoholic": ("alcohol",),
}

# Other names of the same thing: whoever asks for one gets, or avoids, the others.
_SAME = """chickpea, garbanzo, garbanzo bean, chick pea; courgette, zucchini; aubergine,
    eggplant, brinjal; cilantro, coriander, coriander leaf, coriander leave, fresh coriander; spring
    onion, scallion, green onion; prawn, shrimp; rocket, arugula; swede, rutabaga; beetroot, beet; bell
    pepper, capsicum, sweet pepper; broad bean, fava bean; icing sugar, powdered sugar, confectioner
    sugar; caster sugar, superfine sugar; plain flour, all purpose flour; cornflour, cornstarch, corn
    starch; bicarbonate of soda, baking soda; mangetout, snow pea; yoghurt, yogurt, yogourt; chilli,
    chili, chile, chilly; beef mince, ground beef, minced beef; double cream, heavy cream, heavy whipping
    cream; treacle, molass; maize, corn, sweetcorn, sweet corn; haricot bean, navy bean; pak choi, bok
    choy, pak choy; napa cabbage, chinese leaf, chinese cabbage; stock, broth; soya sauce, soy sauce; soya
    milk, soy milk; groundnut, peanut; linseed, flaxseed, flax seed; lasagne, lasagna; omelette, omelet;
    hazelnut, filbert; doughnut, donut; pitta, pita; filo, phyllo; hummus, houmous; tomato puree, tomato
    purée; gelatine, gelatin; cookie, cooky; brownie, browny"""
# Not the same although a word is: ground coriander is no cilantro, and a corn flour no corn cob.
_NOT_SAME = (
    "ground coriander, coriander seed, coriander powder, coriander ground, corn syrup, corn oil, peppercorn"
)


def _phrases(text: str) -> list[str]:
    return [" ".join(phrase.split()) for phrase in text.replace("\n", " ").split(",") if phrase.strip()]


def _table() -> dict[str, frozenset[str]]:
    """Return the terms that each phrase brings along: groups, and other names of the same thing."""
    table: dict[str, set[str]] = {}
    for group, text in _GROUPS.items():
        for phrase in _phrases(text):
            table.setdefault(phrase, set()).add(f"@{group}")
    for phrase in _phrases(f"{_NEITHER}, {_NOT_SAME}"):
        table.setdefault(phrase, set())
    for names in map(_phrases, _SAME.split(";")):
        for name in names:
            # A name of two words brings the groups of what it is matched instead of along.
            table.setdefault(name, _groups_by_words(name, table)).update(set(names) - {name})
    return {phrase: frozenset(terms) for phrase, terms in table.items()}


def _groups_by_words(name: str, table: dict[str, set[str]]) -> set[str]:
    found: set[str] = set()
    for word in name.split():
        found |= {term for term in table.get(word, ()) if term.startswith("@")}
    return found


TABLE = _table()
_PARTS = {
    "meat": ("beef", "pork", "poultry"),
    "dairy": ("cheese",),
    "fish": ("seafood",),
    "shellfish": ("seafood",),
}
_FREE_TERMS = {
    phrase: {f"@{name}" for group in groups for name in (group, *_PARTS.get(group, ()))}
    for phrase, groups in _FREE.items()
}
GROUPS = tuple(_GROUPS)
# Groups that are asked for as a whole; of the others ("egg") the food itself is meant, not all it is in.
FAMILIES = {
    **{
        name: name
        for name in ("dairy", "cheese", "meat", "poultry", "fish", "shellfish", "seafood", "alcohol")
    },
    **{"nut": "nuts", "nuts": "nuts"},
}
DIETS: dict[str, tuple[str, ...]] = {
    "vegetarian": _VEGETARIAN,
    "vegan": _VEGAN,
    "pescatarian": ("meat", "gelatine"),
}
# What people call the groups, in the normalised form.
NAMES: dict[str, tuple[str, ...]] = {
    **{group: (group,) for group in GROUPS},
    "nut": ("nuts", "peanut"),
    "nuts": ("nuts", "peanut"),
    "tree nut": ("nuts",),
    "lactose": ("dairy",),
    "dairy product": ("dairy",),
    "milk product": ("dairy",),
    "wheat": ("gluten",),
    "crustacean": ("shellfish",),
    "soya": ("soy",),
    "soybean": ("soy",),
    "groundnut": ("peanut",),
    "sesame seed": ("sesame",),
    "gelatin": ("gelatine",),
    "booze": ("alcohol",),
    "animal product": _VEGAN,
}


def added_terms(words: Sequence[str]) -> set[str]:
    """Return what the normalised words of a line bring along: `@group` terms, and other names of a thing.

    >>> sorted(added_terms(["can", "coconut", "milk"])), sorted(added_terms(["cup", "whole", "milk"]))
    ([], ['@dairy'])
    >>> sorted(added_terms(["gluten", "free", "soy", "sauce"]))
    ['@soy', 'soya sauce']
    """
    return {term for _, terms in foods(words) for term in terms}


def foods(words: Sequence[str]) -> list[tuple[str, frozenset[str]]]:
    """Return the phrases of a line that are known, each with the terms that it brings along.

    >>> foods(["vegan", "butter", "or", "milk", "chocolate"])
    [('butter', frozenset()), ('milk chocolate', frozenset({'@dairy'}))]
    """
    found: list[tuple[str, frozenset[str]]] = []
    free: set[str] = set()  # what the next food is without
    start = 0
    while start < len(words):
        phrase = next(
            (known for known in _phrases_at(words, start) if known in TABLE or known in _FREE_TERMS), ""
        )
        if phrase in _FREE_TERMS:
            free |= _FREE_TERMS[phrase]
        elif phrase:
            found.append((phrase, TABLE[phrase] - free))
        if phrase not in _FREE_TERMS and (phrase or words[start] in _ALTERNATIVES):
            free = set()
        start += len(phrase.split()) or 1
    return found


def _phrases_at(words: Sequence[str], start: int) -> Iterator[str]:
    """Yield the phrases that begin at a word, the longest first."""
    for length in range(min(_LONGEST, len(words) - start), 0, -1):
        yield " ".join(words[start : start + length])


def named(name: str) -> tuple[str, ...]:
    """Return the `@group` terms that a normalised name stands for, none if it is no name of a group.

    >>> named("nut"), named("lactose"), named("onion")
    (('@nuts', '@peanut'), ('@dairy',), ())
    """
    return tuple(f"@{group}" for group in NAMES.get(name, ()))
