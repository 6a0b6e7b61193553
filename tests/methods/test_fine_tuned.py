"""Model 3 with tiny random encoders on the toy kitchen: what is trained, what is read, what is kept."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from savor.cli import main
from savor.datasets import open_dataset
from savor.encoders import open_image_encoder, open_text_encoder
from savor.errors import FeaturesError, MethodError, OptionError
from savor.extraction import extract
from savor.features import Dims, Features
from savor.index.embedding import Embedder
from savor.methods.fine_tuned import FineTuned
from savor.networks import stages
from savor.photos import open_photo
from savor.runs import describe, open_run, save_run
from savor.training import TrainingOptions, train

transformers = pytest.importorskip("transformers")

OPTIONS = TrainingOptions(epochs=2, batch_size=16, learning_rate=1e-3, clip=1.0)
SMALL = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 48}


def save_encoders(folder: Path) -> dict[str, str]:
    """Write a ViT of 32 x 32 pixels and a BERT that reads letters by pairs, both with random weights."""
    torch.manual_seed(0)
    vit, bert = folder / "vit", folder / "bert"
    transformers.ViTModel(transformers.ViTConfig(**SMALL, image_size=32, patch_size=8)).save_pretrained(vit)
    transformers.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(vit)
    config = transformers.BertConfig(**SMALL, vocab_size=1500, max_position_embeddings=400)
    transformers.BertModel(config).save_pretrained(bert)
    letters = "abcdefghijklmnopqrstuvwxyz"
    pieces = [*letters, *(one + two for one in letters for two in letters)]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *pieces, *(f"##{one}" for one in pieces)]
    vocabulary = {word: number for number, word in enumerate(words)}
    transformers.BertTokenizer(vocab=vocabulary, model_max_length=400).save_pretrained(bert)
    return {"image_encoder": str(vit), "text_encoder": str(bert)}


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return save_encoders(tmp_path_factory.mktemp("encoders"))


@pytest.fixture(scope="module")
def folder(encoders: dict[str, str], toy_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("fine") / "features"
    image, text = (
        open_image_encoder(encoders["image_encoder"]),
        open_text_encoder(encoders["text_encoder"]),
    )
    extract(open_dataset(toy_folder), out, image, text, grid=(2, 2), tokens=True)
    return out


@pytest.fixture(scope="module")
def features(folder: Path) -> Features:
    return Features.open(folder)


@pytest.fixture
def make(encoders: dict[str, str], features: Features):
    def build(**options):
        torch.manual_seed(0)
        small = {"dim": 16, "head_epochs": 1, "grid": 2, "lines": 2, "dtype": "fp32"}
        return FineTuned.build(features.dims, {**encoders, **small, **options})

    return build


@pytest.fixture(scope="module")
def fitted(encoders: dict[str, str], features: Features) -> FineTuned:
    torch.manual_seed(0)
    small = {"dim": 16, "head_epochs": 1, "grid": 2, "lines": 2, "dtype": "fp32", "ingredients": 8}
    return FineTuned.build(features.dims, {**encoders, **small}).fit(features, options=OPTIONS)


def batch_of(method: FineTuned, features: Features, count: int = 12, **options):
    return features.batch(features.rows()[:count], method.uses, raw=method.raw, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"head": "cca"}, "head='cca': choose one of two_stream, triplet_mlp"),
        ({"lines": 0}, "lines=0: must be at least 1"),
        ({"pieces": 2}, "pieces=2: must be at least 3"),
        ({"class_weight": float("nan")}, "class_weight=nan"),
        ({"frozen_text": 1.5}, "frozen_text=1.5: is a share"),
        ({"height": -32}, "height=-32: must be at least 0"),
        ({"mining": "hard"}, "mining='hard'"),
    ],
)
def test_options_out_of_range(make, options: dict, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        make(**options)


def test_encoders_of_another_width_than_the_features_are_refused(encoders: dict[str, str]) -> None:
    with pytest.raises(OptionError, match=r"image_encoder=.*gives 32 numbers, the features have 31"):
        FineTuned.build(Dims(31, 32), encoders)


def test_features_of_other_encoders_are_refused(make, features: Features, tmp_path: Path) -> None:
    torch.manual_seed(1)
    config = transformers.ViTConfig(**SMALL, image_size=32, patch_size=8)
    transformers.ViTModel(config).save_pretrained(tmp_path)
    transformers.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    with pytest.raises(OptionError, match=r"the features come from .*vit; set image_encoder to it"):
        make(image_encoder=str(tmp_path)).fit(features, options=OPTIONS)


def test_upper_stages_are_trained_and_lower_ones_stay(make, fitted: FineTuned) -> None:
    fresh = dict(make(ingredients=8).named_parameters())
    for name, parameter in fitted.named_parameters():
        # No recipe of the toy kitchen lacks a part; the linear map is solved, not trained.
        if name.endswith("missing") or ".start." in name:
            continue
        assert torch.equal(parameter, fresh[name]) != parameter.requires_grad, name
    for tower in (fitted.image_tower, fitted.recipe_tower):
        trained = [[p.requires_grad for p in stage] for stage in stages(tower.network)]
        assert not any(map(any, trained[: tower.frozen]))
        assert all(map(all, trained[tower.frozen :]))
        assert 0 < tower.frozen < len(trained)


def test_every_trained_parameter_is_in_one_group_and_deeper_ones_move_less(make) -> None:
    method = make(encoder_rate=0.5, decay=0.8, frozen_image=0.0)
    groups = method.players()["towers"]
    owned = [id(parameter) for group in groups for parameter in group["params"]]
    assert len(owned) == len(set(owned))
    assert set(owned) == {id(p) for p in method.parameters() if p.requires_grad}
    factors = {id(p): group["factor"] for group in groups for p in group["params"]}
    rates = [factors[id(stage[0])] for stage in stages(method.image_tower.network)]
    assert rates == pytest.approx([0.5 * 0.8**k for k in reversed(range(len(rates)))])
    assert factors[id(method.classifier.weight)] == 1


def test_the_learning_rates_reach_the_optimiser(make, features: Features) -> None:
    still = make(encoder_rate=0.0, head_epochs=0)
    before = {name: value.clone() for name, value in still.state_dict().items()}
    still.fit(features, options=replace(OPTIONS, epochs=1))
    changed = {name for name, value in still.state_dict().items() if not torch.equal(value, before[name])}
    assert changed
    assert not {name for name in changed if "tower.network" in name and not name.startswith("head")}


def test_encoders_alone_learn_to_fit_a_batch_under_a_still_head(make, features: Features) -> None:
    method = make(head="triplet_mlp", mining="mean", encoder_rate=1.0, frozen_image=0.0, frozen_text=0.0)
    method.prepare(features, features.rows("train"))
    method.head.eval()
    batch = batch_of(method, features, 16)
    _, *encoders = method.players()["towers"]
    optimiser = torch.optim.AdamW(encoders)
    losses = []
    for _ in range(20):
        optimiser.zero_grad()
        (_, loss), *_ = method.losses(batch)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert min(losses[-5:]) < 0.6 * losses[0]


def test_the_head_is_trained_on_the_features_first(make, features: Features) -> None:
    rows = features.rows("train")
    cold, warm = make(head_epochs=0), make(head_epochs=2)
    fresh = {name: value.clone() for name, value in warm.named_parameters()}
    for method in (cold, warm):
        method.prepare(features, rows)
        assert method.head.image_tower.standardise.mean.any()
    same = {name for name, value in warm.named_parameters() if torch.equal(value, fresh[name])}
    assert {name for name in fresh if name.startswith("head.")} - same
    assert {name for name in fresh if not name.startswith("head.")} <= same
    solved = {name for name in fresh if ".start." in name}
    assert all(name in solved or torch.equal(fresh[name], value) for name, value in cold.named_parameters())


def test_untrained_networks_read_what_the_features_hold(make, features: Features) -> None:
    """Lines and words, where they stand included, are those of the extraction, rounded to float16 there."""
    method = make(pieces=400).eval()
    rows = features.rows()[:20]
    stored = features.batch(rows, ("lines", "tokens"), words=method.head.words)
    with torch.no_grad():
        read = method.read(features.batch(rows, method.uses, raw=method.raw))
    for part in ("title", "ingredients", "instructions"):
        assert torch.equal(getattr(read, f"{part}_mask"), getattr(stored, f"{part}_mask"))
        torch.testing.assert_close(getattr(read, part), getattr(stored, part), atol=5e-3, rtol=1e-2)
    assert torch.equal(read.words_mask, stored.words_mask)
    assert torch.equal(read.words_spans[..., :2], stored.words_spans[..., :2])
    torch.testing.assert_close(read.words, stored.words, atol=5e-3, rtol=1e-2)


def test_untrained_networks_see_what_the_encoder_sees(make, features: Features) -> None:
    method = make()
    square = [open_photo(features.photos(row)[0]).resize((32, 32)) for row in range(3)]
    encoder = open_image_encoder(method.options["image_encoder"])
    expected = encoder.encode(square, patches=(2, 2))
    with torch.no_grad():
        batch = replace(batch_of(method, features, 3), pixels=method.raw.images(square)["pixels"])
        seen = method.see(batch)
    torch.testing.assert_close(seen.image, expected.pooled, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(seen.patches, expected.patches, atol=1e-4, rtol=1e-4)


def test_training_reads_a_few_lines_and_evaluation_all(make, features: Features) -> None:
    method = make(lines=2)
    batch = batch_of(method, features)
    every = method.eval().read(batch)
    some, others = method.train().read(batch), method.read(batch)
    assert torch.equal(every.ingredients_mask, batch.ingredients_mask)
    wanted = batch.ingredients_mask.sum(1).clamp(max=2)
    assert torch.equal(some.ingredients_mask.sum(1), wanted)
    assert (some.ingredients_mask <= batch.ingredients_mask).all()
    assert not torch.equal(some.ingredients_mask, others.ingredients_mask)
    assert torch.equal(some.title_mask, batch.title_mask)


def test_rows_are_unit_and_the_same_alone_and_in_company(fitted: FineTuned, features: Features) -> None:
    rows = features.rows("train")[:9]
    together = fitted.embed(features, rows)
    alone = [fitted.embed(features, rows[k : k + 1]) for k in range(4)]
    for side in (0, 1):
        assert np.allclose(np.linalg.norm(together[side], axis=1), 1, atol=1e-5)
        assert np.allclose(together[side][:4], np.concatenate([one[side] for one in alone]), atol=1e-5)
    assert [side.shape for side in fitted.embed(features, [])] == [(0, fitted.classifier.in_features)] * 2


@torch.no_grad()
@pytest.mark.parametrize("head", ["two_stream", "triplet_mlp"])
def test_neither_side_reads_the_other_and_parts_may_lack(make, features: Features, head: str) -> None:
    method = make(head=head).eval()
    batch = batch_of(method, features, 4)
    parts = ("title", "ingredients", "instructions")
    no_text = replace(batch, **{f"{part}_{kind}": None for part in parts for kind in ("ids", "mask")})
    no_photo = replace(batch, pixels=None)
    assert torch.equal(method.embed_image(no_text), method.embed_image(batch))
    assert torch.equal(method.embed_recipe(no_photo), method.embed_recipe(batch))
    with pytest.raises(MethodError, match="this batch holds no pixels"):
        method.embed_image(no_photo)
    with pytest.raises(MethodError, match="this batch holds no word ids"):
        method.embed_recipe(no_text)
    hidden = {f"{part}_mask": getattr(batch, f"{part}_mask") & False for part in parts[1:]}
    only = replace(batch, **hidden)
    changed = {f"{part}_ids": torch.full_like(getattr(batch, f"{part}_ids"), 9) for part in parts[1:]}
    assert torch.isfinite(method.embed_recipe(only)).all()
    assert torch.equal(method.embed_recipe(only), method.embed_recipe(replace(only, **changed)))


def saved_bytes(method: FineTuned, batch) -> int:
    """Return how many bytes of states the backward pass keeps, each tensor counted once."""
    kept: dict[int, int] = {}

    def pack(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        (_, loss), *_ = method.losses(batch)
    del loss
    return sum(kept.values())


def gradients(method: FineTuned, batch) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    method.train()
    for _, loss in method.losses(batch):
        loss.backward()
    return {name: p.grad for name, p in method.named_parameters() if p.requires_grad}


def test_checkpointing_keeps_the_gradients_and_saves_memory(make, features: Features) -> None:
    plain, sparing = make(frozen_text=0.0), make(frozen_text=0.0, checkpointing=True)
    batch = batch_of(plain, features, 24)
    one, two = gradients(plain, batch), gradients(sparing, batch)
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert all(gradient.any() for name, gradient in one.items() if "network" in name and "bias" not in name)
    assert saved_bytes(sparing, batch) < 0.8 * saved_bytes(plain, batch)


def test_resumed_equals_uninterrupted_to_the_bit(
    make, features: Features, tmp_path: Path, monkeypatch
) -> None:
    def stop(entry: dict) -> None:
        raise KeyboardInterrupt

    whole = make(head="triplet_mlp", ingredients=4)
    train(whole, features, options=OPTIONS)
    first = make(head="triplet_mlp", ingredients=4)
    with pytest.raises(KeyboardInterrupt):
        train(first, features, options=OPTIONS, folder=tmp_path, on_epoch=stop)
    resumed = make(head="triplet_mlp", ingredients=4)
    monkeypatch.setattr(resumed, "prepare", None)  # the head is not trained again
    train(resumed, features, options=OPTIONS, folder=tmp_path)
    assert resumed._words_of
    expected = whole.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in resumed.state_dict().items())


def test_classes_and_ingredients_add_to_the_loss(make, features: Features) -> None:
    method = make(class_weight=0.5, ingredients=4, ingredient_weight=0.5)
    method.look_at(features, features.rows("train"))
    batch = batch_of(method, features, 6)
    dim = method.classifier.in_features
    image, recipe = torch.nn.functional.normalize(torch.randn(2, 6, dim), dim=-1)
    plain = method.head.pair_loss(image, recipe, batch)
    background = replace(batch, category=torch.zeros(6, dtype=torch.long))
    unknown = replace(background, ids=tuple("abcdef"))
    assert torch.equal(method.pair_loss(image, recipe, unknown), plain)
    assert method.pair_loss(image, recipe, background) > plain
    method.ingredient_weight = 0.0
    method.classifier = torch.nn.Linear(dim, 3)
    named = replace(batch, category=torch.tensor([0, 2, 0, 0, 1, 0]))
    logits = [method.classifier(side[[1, 4]]) / method.head.temperature for side in (image, recipe)]
    expected = sum(torch.nn.functional.cross_entropy(one, torch.tensor([2, 1])) for one in logits)
    assert method.pair_loss(image, recipe, named).item() == pytest.approx(
        (plain + 0.5 * expected).item(), rel=1e-5
    )


def test_a_saved_run_embeds_photos_and_recipes_as_it_did(
    fitted: FineTuned, features: Features, tmp_path: Path
) -> None:
    save_run(tmp_path, fitted, describe("fine_tuned", fitted, features))
    embedder = Embedder(open_run(tmp_path), (2, 2))
    rows = features.rows("train", photo=True, text=True)[:5]
    image, recipe = fitted.embed(features, rows)
    assert embedder.dim == image.shape[1]
    photos = [features.photos(int(row))[0] for row in rows]
    assert np.allclose(embedder.photos([open_photo(photo) for photo in photos]), image, atol=1e-5)
    assert np.allclose(embedder.recipes([features.recipe(int(row)) for row in rows]), recipe, atol=1e-5)
    assert np.allclose(embedder.stored_recipes(features, rows).vectors, recipe, atol=1e-5)
    every = embedder.stored_photos(features, rows).vectors
    assert len(every) == sum(len(features.photos(int(row))) for row in rows)
    assert np.allclose(every[0], image[0], atol=1e-5)


def test_pixels_need_the_data_set_behind_the_features(
    fitted: FineTuned, folder: Path, tmp_path: Path
) -> None:
    opened = Features.open(folder)
    with pytest.raises(MethodError, match="pass it on"):
        opened.batch(np.arange(2), fitted.uses)
    opened.manifest["dataset"]["path"] = str(tmp_path / "gone")
    with pytest.raises(FeaturesError, match="gone does not exist; name the data set with --data PATH"):
        opened.batch(np.arange(2), fitted.uses, raw=fitted.raw)


def test_another_data_set_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "recipes.jsonl").write_text(json.dumps({"id": "1", "title": "Soup"}) + "\n")
    with pytest.raises(FeaturesError, match=r"not the data that .*features was made of"):
        Features.open(folder).attach(open_dataset(tmp_path))


def test_train_evaluate_index_and_search(
    encoders: dict[str, str], folder: Path, toy_folder: Path, tmp_path: Path, capsys
) -> None:
    run, index = tmp_path / "run", tmp_path / "index"
    chosen = {**encoders, "head": "triplet_mlp", "dim": 8, "head_epochs": 1, "epochs": 1, "batch_size": 16}
    settings = [word for key, value in chosen.items() for word in ("--set", f"{key}={value}")]
    named = ["--features", str(folder), "--data", str(toy_folder)]
    assert main(["train", "fine_tuned", *named, "--out", str(run), *settings]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(run), *named, "--json", "-"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["encoders"]["image"].endswith("vit (fine-tuned)")
    assert main(["embed", str(run), *named, "--split", "val", "--out", str(tmp_path / "e.npz")]) == 0
    for source in (["--data", str(toy_folder)], ["--features", str(folder)]):
        out = index.with_name(source[0].strip("-"))
        assert main(["index", str(run), *source, "--out", str(out)]) == 0
        photo = next(toy_folder.rglob("*.jpg"))
        capsys.readouterr()
        assert main(["search", str(out), "--photo", str(photo), "--json", "-", "-k", "3"]) == 0
        assert len(json.loads(capsys.readouterr().out)) == 3


def test_data_that_a_method_does_not_read_is_refused(folder: Path, toy_folder: Path, capsys) -> None:
    arguments = ["--features", str(folder), "--data", str(toy_folder), "--out", str(folder.parent / "run")]
    assert main(["train", "cca", *arguments]) == 2
    assert "reads features only" in capsys.readouterr().err
