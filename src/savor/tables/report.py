"""The tables of the student report, made again: CCA, Deep CCA, MLP + triplet, Models 1 to 3."""

from __future__ import annotations

from collections.abc import Mapping

from savor.tables.base import Comparison, Published, Row, Section, Setting, Table, both_ways

_PARTS = ("title", "ingredients", "instructions")
_OF_PARTS = "Ingredients alone and instructions alone are learned from the recipes that have all parts."


def _by_part(name: str, label: str, method: str, version: int = 1, **published: Published) -> tuple[Row, ...]:
    """Return a method's rows for each part of the recipe alone.

    A recipe of which only the title is known would teach a method that reads the ingredients nothing but
    that all such recipes are alike.
    """
    return tuple(
        Row(
            f"{name}_{part}",
            f"{label}, {part}",
            method,
            {"text": part},
            complete=part != "title",
            published=published.get(part),
            version=version,
        )
        for part in _PARTS
    )


_HEAD_OF_MODEL_3: Mapping[str, Setting] = {
    "perceptrons": "added",
    "hubs": 0,
    "recipe_dropout": 0.3,
    "epochs": 10,
    "batch_size": 1024,
}

_CCA = Section(
    "Table 1: CCA",
    (
        Row(
            "cca_average",
            "CCA, mean of the parts",
            "cca",
            {"text": "average"},
            published=both_ways((1.0, 0.521, 0.732, 0.810), (1.0, 0.56, 0.756, 0.81)),
        ),
        Row(
            "cca_ingredients",
            "CCA, ingredients",
            "cca",
            {"text": "ingredients"},
            published=both_ways((22.55, 0.1089, 0.2882, 0.3893), (28.0, 0.1089, 0.2697, 0.3474)),
        ),
        Row(
            "cca_instructions",
            "CCA, instructions",
            "cca",
            {"text": "instructions"},
            published=both_ways((4.0, 0.2512, 0.5668, 0.6997), (4.0, 0.2616, 0.5697, 0.7058)),
        ),
        Row("cca_title", "CCA, title", "cca", {"text": "title"}),
        Row("cca", "CCA, parts side by side", "cca"),
    ),
    note="The title alone and the parts side by side, the default of `savor train cca`, are not"
    " in the report.",
)

_BASELINES = Section(
    "Table 2: Deep CCA, and MLP with the triplet loss",
    (
        Row(
            "deep_cca",
            "Deep CCA",
            "deep_cca",
            published=both_ways((2.29, 0.427, 0.745, 0.837), (2.393, 0.429, 0.744, 0.836)),
        ),
        *_by_part("deep_cca", "Deep CCA", "deep_cca"),
        Row(
            "triplet_mlp",
            "MLP + triplet",
            "triplet_mlp",
            published=both_ways((1.4, 0.504, 0.787, 0.860), (1.55, 0.499, 0.772, 0.846)),
            version=2,
        ),
        Row(
            "triplet_mlp_one",
            "MLP + triplet, one member, no correction for hubs",
            "triplet_mlp",
            {"members": 1, "hubs": 0},
        ),
        Row(
            "triplet_mlp_words",
            "MLP + triplet that learns words, too",
            "triplet_mlp",
            {"word_width": 256},
        ),
        *_by_part("triplet_mlp", "MLP + triplet", "triplet_mlp", version=2),
    ),
    note="Members, the correction for hubs, learned words and the rows by part are not in the report."
    f" {_OF_PARTS}",
)

_MODEL_1 = Section(
    "Table 3: Model 1 and what each part of the recipe brings",
    (
        Row(
            "model_1",
            "Model 1, all text",
            "two_stream",
            {"text": "all"},
            published=both_ways((1, 0.611, 0.8498, 0.909), (1, 0.6081, 0.8489, 0.9079)),
            version=4,
        ),
        Row(
            "model_1_streams",
            "Model 1, streams alone, no correction for hubs",
            "two_stream",
            {"perceptrons": "none", "hubs": 0},
            version=2,
        ),
        Row(
            "model_1_one",
            "Model 1, streams added to the perceptrons, no correction for hubs",
            "two_stream",
            _HEAD_OF_MODEL_3,
            version=2,
        ),
        *_by_part(
            "model_1",
            "Model 1",
            "two_stream",
            version=4,
            title=both_ways((8.2, 0.1891, 0.4317, 0.5384), (8.6, 0.1771, 0.4197, 0.5223)),
            ingredients=both_ways((2.61, 0.3674, 0.6217, 0.7623), (2.75, 0.3545, 0.6199, 0.7618)),
            instructions=both_ways((2.7, 0.3592, 0.6678, 0.7781), (2.63, 0.3672, 0.6711, 0.7883)),
        ),
    ),
    note="The report's Model 1 is the streams alone, without learned words; ours has a pair of perceptrons"
    f" beside them. The streams added to these are what Model 3 trains on. {_OF_PARTS}",
)

_MODEL_2 = Section(
    "Table 4: Model 2",
    (
        Row(
            "model_2_faithful",
            "Model 2, as the report wires it",
            "patch_decoder",
            {"faithful": True},
            rerank=100_000,  # the report has no first stage: its score alone ranks the pool
            published=Published(
                {"image_to_recipe": {"medR": 50, "R@1": 0.0803, "R@5": 0.1107, "R@10": 0.1638}},
                "the report does not state the direction; its photo queries imply this one",
            ),
        ),
        Row("model_2", "Model 2, repaired", "patch_decoder", {"faithful": False}, version=4),
    ),
)

_MODEL_3 = Section(
    "Model 3",
    (Row("model_3", "Model 3, encoders fine-tuned", "fine_tuned"),),
    note="The report proposes it and has no figures.",
)

_ATTENTION = ("model_1", "model_2_faithful", "model_2", "model_3")
_PLAIN = ("cca_average", "cca", "deep_cca", "triplet_mlp")

TABLE = Table(
    "The report's tables",
    (_CCA, _BASELINES, _MODEL_1, _MODEL_2, _MODEL_3),
    source="student report (other data)",
    note="They come from other data, features and candidates, and cannot be compared with ours.",
    comparisons=(
        Comparison(
            "The models with attention over the methods without",
            tuple((model, plain) for model in _ATTENTION for plain in _PLAIN),
        ),
        Comparison(
            "The methods without attention among themselves",
            (
                *(("deep_cca", cca) for cca in ("cca_average", "cca")),
                *(("triplet_mlp", other) for other in ("cca_average", "cca", "deep_cca")),
            ),
        ),
        Comparison(
            "All text over each part of it",
            tuple(
                (name, f"{name}_{part}")
                for name in ("cca", "deep_cca", "triplet_mlp", "model_1")
                for part in _PARTS
            ),
        ),
        Comparison(
            "What was added, over what it was added to",
            (
                *(
                    ("triplet_mlp", "triplet_mlp_one"),
                    ("triplet_mlp_words", "triplet_mlp"),
                    ("model_1", "triplet_mlp_words"),
                    ("model_1", "model_1_streams"),
                    ("model_1", "model_1_one"),
                ),
                *(("model_1_one", "triplet_mlp_one"), ("model_3", "model_1_one"), ("model_3", "model_1")),
                ("model_3", "triplet_mlp_one"),
                *(("model_2", "model_2_faithful"), ("model_2", "model_1")),
            ),
        ),
    ),
)
