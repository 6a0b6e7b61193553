"""The sentences of the toy kitchen: {x} stands for foods, {m} for long and {q} for short cooking times in minutes.

Everything here is data; `wording` fills it in.
"""
# ruff: noqa: E501  one sentence pattern is easier to compare with the next on one line

from __future__ import annotations

COOK: dict[str, tuple[str, ...]] = {
    "grilled": (
        "Grill the {x} over a high heat for {q} minutes, until charred in stripes.",
        "Brush the {x} with oil and griddle until marked on both sides.",
        "Get a griddle pan smoking hot and grill the {x} for {q} minutes.",
    ),
    "fried": (
        "Fry the {x} in a little oil for {q} minutes until golden.",
        "Heat the oil and fry the {x} until brown at the edges.",
        "Brown the {x} in a hot pan, turning now and then.",
    ),
    "roasted": (
        "Roast the {x} at 200°C for about {m} minutes, until caramelised.",
        "Toss the {x} with oil, spread on a tray and roast until tender and browned.",
        "Bake the {x} in a hot oven until golden at the edges.",
    ),
}

# Steps by kind and role; "" stands for the first thing done with the whole dish, "end" for the last.
STEPS: dict[str, dict[str, tuple[str, ...]]] = {
    "soup": {
        "": ("Soften the onion in the oil, pour in the stock and simmer for {m} minutes.", "Bring the stock to the boil with the garlic."),
        "sauce": ("Add the {x}, cook until soft and blend until smooth.", "Simmer the {x} until very tender, then purée."),
        "piece": ("Stir in the {x} and warm through.", "Ladle into bowls and add the {x}.", "Drop the {x} into the hot soup."),
        "dollop": ("Swirl in the {x}.", "Finish each bowl with a spoonful of {x}."),
    },
    "ramen": {
        "": ("Heat the chicken stock with the ginger.", "Warm the sesame oil and fry the ginger for a minute."),
        "sauce": ("Whisk the {x} into the broth.", "Stir in the {x} and keep hot."),
        "bed": ("Cook the {x} as the packet says and divide between bowls.", "Boil the {x}, drain and rinse."),
        "piece": ("Arrange the {x} on top and pour over the broth.", "Top with the {x}."),
    },
    "salad": {
        "": ("Whisk the oil, vinegar and mustard into a dressing.", "Shake the dressing together in a jar."),
        "bed": ("Spread the {x} over a large dish.", "Put the {x} into a wide bowl and dress lightly."),
        "piece": ("Toss with the {x}.", "Scatter over the {x}.", "Add the {x} and turn everything gently."),
    },
    "pizza": {
        "": ("Heat the oven as hot as it will go with a baking stone inside.", "Heat the oven to 240°C."),
        "crust": ("Stretch the {x} into a round.", "Roll out the {x} thinly on a floured board."),
        "sauce": ("Spread with the {x}, leaving a border.", "Smear the {x} over the base."),
        "piece": ("Top with the {x}.", "Dot the {x} over the pizza.", "Arrange the {x} on top and bake for {m} minutes."),
    },
    "pie": {
        "": ("Heat the oven to 190°C.", "Butter a deep pie dish."),
        "crust": ("Line the dish with two thirds of the {x} and cut the rest into strips.", "Roll out the {x}, line the tin and keep the trimmings for a lattice."),
        "piece": ("Toss the {x} with the sugar and cornflour and pile into the case.", "Cook the {x} with the sugar for {m} minutes and spoon into the pie."),
        "end": ("Weave the lattice on top, glaze and bake until golden.", "Lay the pastry strips across, brush with egg and bake for 40 minutes."),
    },
    "tart": {
        "": ("Heat the oven to 180°C.", "Grease a loose-bottomed tin."),
        "crust": ("Line the tin with the {x} and bake blind until crisp.", "Roll out the {x}, press into the tin and bake blind."),
        "sauce": ("Fill with the {x} and chill until set.", "Spread the {x} in the cooled case."),
        "piece": ("Arrange the {x} in circles on top.", "Lay the {x} over the filling, overlapping slightly."),
    },
    "savoury tart": {
        "": ("Heat the oven to 180°C.", "Beat the eggs with the milk and season."),
        "crust": ("Line a tin with the {x} and bake blind.", "Roll out the {x} and press into a fluted tin."),
        "sauce": ("Pour in the {x}.", "Spread the {x} over the base."),
        "piece": ("Arrange the {x} in the filling and bake for {m} minutes.", "Scatter in the {x} and bake until just set."),
    },
    "curry": {
        "": ("Fry the onion in the ghee with the ginger and cumin.", "Toast the cumin, then soften the onion."),
        "sauce": ("Stir in the {x} and simmer to a thick sauce.", "Add the {x} and cook for {m} minutes."),
        "bed": ("Serve with the {x}.", "Bring to the table with the {x} alongside."),
        "piece": ("Add the {x} and cook gently until done.", "Fold the {x} into the sauce."),
    },
    "stew": {
        "": ("Soften the onion and garlic in a heavy pot.", "Heat the oven to 150°C and warm a casserole."),
        "sauce": ("Pour in the {x} and let it bubble.", "Add the {x} with the stock, scraping the bottom of the pot."),
        "piece": ("Add the {x}, cover and cook until tender.", "Tip in the {x} and simmer for {m} minutes."),
        "bed": ("Serve with the {x}.", "Spoon over the {x}."),
    },
    "pancakes": {
        "": ("Whisk the eggs with the milk.", "Melt the butter in a frying pan."),
        "crust": ("Beat in the {x} until smooth and fry ladlefuls of batter on both sides.", "Make a batter with the {x}, rest it and cook small rounds until golden."),
        "sauce": ("Stack them up and pour over the {x}.", "Drizzle with the {x}."),
        "piece": ("Pile the {x} on top.", "Serve with the {x}."),
    },
    "sushi": {
        "": ("Warm the vinegar with the sugar and salt.", "Have a bowl of water and a bamboo mat ready."),
        "bed": ("Season the cooked {x} and leave to cool.", "Fold the vinegar into the warm {x}."),
        "crust": ("Lay out the {x} and cover with rice.", "Spread the rice over the {x}."),
        "main": ("Put the {x} in a line along the middle and roll up tightly.", "Lay the {x} on the rice, roll and cut into rounds."),
    },
    "bowl": {
        "": ("Stir the sesame oil, vinegar and ginger together for the dressing.", "Mix a quick dressing."),
        "bed": ("Cook the {x} and divide between bowls.", "Fill the bowls with the {x}."),
        "piece": ("Arrange the {x} in sections on top.", "Add the {x} in neat piles."),
    },
    "pasta": {
        "": ("Bring a large pan of salted water to the boil.", "Warm the garlic in the oil until fragrant."),
        "bed": ("Boil the {x} until al dente.", "Cook the {x} for {q} minutes and drain."),
        "sauce": ("Toss with the {x}.", "Loosen the {x} with pasta water and stir through."),
        "piece": ("Fold in the {x}.", "Add the {x} to the pan and toss well."),
    },
    "plate": {
        "": ("Season well and warm the plates.", "Heat the oven to 200°C."),
        "main": ("Rest the {x} for five minutes before serving.", "Keep the {x} warm under foil."),
        "bed": ("Cook the {x} and season.", "Heap the {x} on one side of the plate."),
        "piece": ("Serve with the {x}.", "Add the {x} and the pan juices."),
        "dollop": ("Spoon the {x} alongside.", "Serve with a spoonful of {x}."),
    },
    "toast": {
        "": ("Heat a griddle pan.", "Rub a little oil over the pan."),
        "crust": ("Toast slices of the {x} and rub with garlic.", "Cut the {x} thickly and toast."),
        "sauce": ("Spread with the {x}.", "Mash or stir the {x} and spread generously."),
        "piece": ("Top with the {x}.", "Lay the {x} on the toast."),
    },
}  # fmt: skip
ANY: dict[str, tuple[str, ...]] = {
    "crumble": ("Scatter with the {x}.", "Sprinkle the {x} over.", "Finish with the {x}."),
    "herb": ("Garnish with the {x}.", "Strew with {x} and serve.", "Add the {x} at the last moment."),
    "dollop": ("Serve with the {x}.", "Add a spoonful of {x}."),
    "end": ("Serve at once.", "Taste for salt and serve.", "Bring to the table straight away.", "Good hot or at room temperature."),
}  # fmt: skip
