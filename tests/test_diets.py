"""Groups of food: precision and recall on lines that were labelled by hand, and what the words exclude."""

from __future__ import annotations

import pytest

from savor import Recipe
from savor.diets import DIETS, GROUPS, NAMES, TABLE, added_terms, named
from savor.index.filters import normalised, terms_of

# Ingredient lines and the groups a careful cook would give them.
LABELLED = """
2 cups whole milk: dairy
1 tin coconut milk:
200 ml almond milk: nuts
1 cup buttermilk, shaken: dairy
50 g unsalted butter, melted: dairy
2 tbsp peanut butter: peanut
1 tbsp apple butter:
400 g butter beans, drained:
1 head butter lettuce:
150 ml double cream: dairy
1/2 tsp cream of tartar:
160 ml coconut cream:
1 (8 oz) package cream cheese, softened: dairy cheese
2 scoops vanilla ice cream: dairy
100 g Parmesan, finely grated: dairy cheese
1 ball mozzarella: dairy cheese
60 g crumbled feta: dairy cheese
250 g paneer, cubed: dairy cheese
3 tbsp ghee: dairy
200 g Greek yoghurt: dairy
4 tbsp soy yoghurt: soy
1 cup dairy-free chocolate chips:
100 g vegan butter:
2 tbsp crème fraîche: dairy
40 g white chocolate: dairy
1 cup half-and-half: dairy
30 g cocoa butter:
3 large eggs, beaten: egg
2 egg yolks: egg
1 eggplant, cubed:
4 tbsp mayonnaise: egg
1 cup egg-free mayonnaise:
200 g egg noodles: egg gluten
1 tbsp ground flaxseed:
2 flax eggs:
6 ladyfingers: egg gluten
500 g minced beef: meat beef
1 rump steak, 250 g: meat beef
400 g beefsteak tomatoes:
1 tin kidney beans:
200 g lamb's liver: meat
4 lamb chops: meat
2 ribs celery:
1 kg pork spare ribs: meat pork
6 rashers smoked bacon: meat pork
4 slices turkey bacon: meat poultry
100 g chorizo, sliced: meat pork
50 g pancetta: meat pork
1 ham hock: meat pork
8 chicken thighs: meat poultry
1 litre chicken stock: meat poultry
1 litre vegetable stock:
2 duck breasts: meat poultry
3 tbsp duck sauce:
1 duck egg: egg
2 tbsp beef dripping: meat beef
1 tsp meat tenderizer:
300 g meatballs: meat
1 cup meatless crumbles:
2 tbsp lard: meat pork
150 g salami: meat pork
200 g goat cheese: dairy cheese
4 gelatine leaves: gelatine
20 marshmallows: gelatine
2 tsp agar flakes:
2 salmon fillets: fish seafood
1 tin tuna in spring water: fish seafood
6 anchovies in oil: fish seafood
1 tbsp fish sauce: fish seafood
1 tsp Worcestershire sauce: fish seafood
1 whole sea bass: fish seafood
12 raw king prawns: shellfish seafood
1 kg mussels, scrubbed: shellfish seafood
200 g oyster mushrooms:
2 tbsp oyster sauce: shellfish seafood soy
300 g crab meat: shellfish seafood
3 crab apples:
250 g squid rings: shellfish seafood
500 g strong white bread flour: gluten
200 g rice flour:
100 g almond flour: nuts
1 cup gluten-free flour:
60 g buckwheat flour:
200 g buckwheat groats:
50 g cornflour:
1 cup chickpea flour:
300 g spaghetti: gluten
1 spaghetti squash:
250 g rice noodles:
1 jar pasta sauce:
4 flour tortillas: gluten
8 corn tortillas:
60 g panko: gluten
2 slices sourdough: gluten
1 sheet puff pastry: gluten
150 g couscous: gluten
100 g pearl barley: gluten
90 g bulgur wheat: gluten
200 g quinoa:
80 g rolled oats:
1 packet digestive biscuits: gluten
4 burger buns: gluten
1 bottle root beer:
330 ml lager: gluten alcohol
2 tbsp soy sauce: soy gluten
2 tbsp tamari: soy
3 tbsp hoisin: soy gluten
400 g firm tofu: soy
1 cup edamame: soy
2 tbsp white miso: soy
60 g flaked almonds: nuts
100 g pecans, chopped: nuts
1/4 tsp freshly grated nutmeg:
1 butternut squash:
1 cup desiccated coconut:
1 tin water chestnuts:
30 g pine nuts: nuts
3 tbsp hazelnut spread: nuts
80 g roasted peanuts: peanut
6 doughnuts: gluten
2 tbsp tahini: sesame
1 tbsp toasted sesame oil: sesame
4 tbsp hummus: sesame
250 ml dry white wine: alcohol
1 tbsp white wine vinegar:
2 tbsp rice wine vinegar:
3 tbsp dark rum: alcohol
1 tsp rum extract:
60 ml ginger ale:
2 tbsp mirin: alcohol
1 Scotch bonnet chilli:
1 tbsp clear honey: honey
1/2 honeydew melon:
1 tin cream of mushroom soup: dairy gluten
1 mixed seafood bag, frozen: fish shellfish seafood
salt and pepper:
"""
LINES = [line.rsplit(":", 1) for line in LABELLED.strip().splitlines()]


def groups(line):
    return {term[1:] for term in added_terms(normalised(line).split()) if term.startswith("@")}


@pytest.mark.parametrize("group", GROUPS)
def test_precision_and_recall_of_each_group(group):
    truth = {line for line, labels in LINES if group in labels.split()}
    found = {line for line, _ in LINES if group in groups(line)}
    assert truth, f"no line of the group {group}"
    assert len(truth & found) / len(truth) == 1, f"missed: {truth - found}"
    assert len(truth & found) / len(found) == 1, f"wrongly found: {found - truth}"


def test_there_are_enough_lines_to_tell():
    assert len(LINES) >= 120
    assert len({line for line, _ in LINES}) == len(LINES)


def test_all_words_are_in_the_form_that_is_looked_up():
    assert [phrase for phrase in [*TABLE, *NAMES] if normalised(phrase) != phrase] == ["nuts"]


def test_a_food_loses_only_what_it_is_free_of():
    assert groups("chicken or veggie stock") == {"meat", "poultry"}
    assert groups("dairy butter or vegan butter") == {"dairy"}
    assert groups("gluten-free or plain flour") == {"gluten"}
    assert groups("coconut ice cream or gelato (not dairy-free)") == {"dairy"}
    assert groups("flour, gluten-free if you like") == {"gluten"}
    assert groups("dairy-free, gluten-free cookies with butter") == {"dairy"}
    assert groups("gluten-free soy sauce") == {"soy"}
    assert groups("vegan cheese with cashews") == {"nuts"}
    assert groups("vegetarian sausages with egg") == {"egg"}
    assert groups("4 vegan burger buns") == {"gluten"}


def test_other_names_are_the_same_food():
    terms = terms_of(
        Recipe("1", ingredients=("1 can garbanzo beans", "2 zucchini", "1 tsp ground coriander"))
    )
    assert {"chickpea", "garbanzo", "courgette", "zucchini", "coriander"} <= terms
    assert "cilantro" not in terms
    assert {"cilantro", "prawn"} <= terms_of(Recipe("1", ingredients=("coriander leaves", "shrimps")))


def test_a_recipe_without_ingredient_lines_says_so_and_a_title_counts():
    assert {"@unlisted", "@beef", "@meat"} <= terms_of(Recipe("1", "Beef stew"))
    assert "@unlisted" not in terms_of(Recipe("1", "Beef stew", ("salt",)))


def test_diets_are_sets_of_groups():
    assert set(DIETS["pescatarian"]) < set(DIETS["vegetarian"]) < set(DIETS["vegan"]) < set(GROUPS)
    assert named("tree nut") == ("@nuts",)
    assert named("onion") == ()
