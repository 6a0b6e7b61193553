import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from PIL import Image

from savor.encoders import comparable, open_image_encoder, open_text_encoder
from savor.encoders.huggingface import HuggingFaceImageEncoder, HuggingFaceTextEncoder
from savor.errors import EncoderError, UsageError

transformers = pytest.importorskip("transformers")

WORDS = ["salt", "pepper", "olive", "oil", "whisk", "the", "eggs", "with", "##ed", "smooth", "and", ",", "."]
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
PHOTOS = [Image.new("RGB", (80, 50), "tomato"), Image.linear_gradient("L").convert("RGB").resize((40, 90))]


def save_tokenizer(folder: Path, limit: int) -> None:
    """A WordPiece tokenizer of a few words, built here."""
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = {word: i for i, word in enumerate([*specials, *WORDS])}
    transformers.BertTokenizer(vocab=vocabulary, model_max_length=limit).save_pretrained(folder)


def save_bert(folder: Path, limit: int = 16) -> Path:
    torch.manual_seed(0)
    config = transformers.BertConfig(**SMALL, vocab_size=40, max_position_embeddings=limit)
    transformers.BertModel(config).save_pretrained(folder)
    save_tokenizer(folder, limit)
    return folder


def save_two_towers(folder: Path, kind: str) -> Path:
    """CLIP or SigLIP with both towers, a PIL image processor and a tokenizer."""
    torch.manual_seed(0)
    text = {**SMALL, "vocab_size": 40, "max_position_embeddings": 12}
    vision = {**SMALL, "hidden_size": 48, "image_size": 32, "patch_size": 8}
    size = {"height": 32, "width": 32}
    if kind == "CLIP":
        text |= {"bos_token_id": 2, "eos_token_id": 3}  # the tokenizer ends a line with [SEP]
        config = transformers.CLIPConfig(text_config=text, vision_config=vision)
        model = transformers.CLIPModel(config)
        processor = transformers.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=size)
    else:
        text |= {"projection_size": 32}
        config = transformers.SiglipConfig(text_config=text, vision_config=vision)
        model = transformers.SiglipModel(config)
        processor = transformers.SiglipImageProcessor(size=size)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    save_tokenizer(folder, 12)
    return folder


def save_image_model(folder: Path, kind: str) -> Path:
    torch.manual_seed(0)
    size = {"height": 32, "width": 32}
    if kind == "ViT":
        model = transformers.ViTModel(transformers.ViTConfig(**SMALL, image_size=32, patch_size=8))
        processor = transformers.ViTImageProcessor(size=size)
    elif kind == "ResNet":
        config = transformers.ResNetConfig(
            embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="bottleneck"
        )
        model = transformers.ResNetModel(config)
        processor = transformers.ConvNextImageProcessor(size={"shortest_edge": 32}, crop_pct=1.0)
    else:
        config = transformers.Dinov2WithRegistersConfig(
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=28,
            patch_size=14,
            num_register_tokens=3,
        )
        if kind == "Dinov2":
            config = transformers.Dinov2Config(
                hidden_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=14
            )
        model = getattr(transformers, f"{kind}Model")(config)
        processor = transformers.BitImageProcessor(size={"shortest_edge": 32}, crop_size=28)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def pixels_of(folder: Path) -> torch.Tensor:
    processor = transformers.AutoImageProcessor.from_pretrained(folder)
    return processor(PHOTOS, return_tensors="pt")["pixel_values"]


@pytest.mark.parametrize(
    ("kind", "grid", "extra"),
    [("ViT", (4, 4), 1), ("Dinov2", (2, 2), 1), ("Dinov2WithRegisters", (2, 2), 4)],
)
def test_a_transformer_gives_its_class_token_and_its_patches(tmp_path, kind, grid, extra):
    folder = save_image_model(tmp_path, kind)
    encoder = open_image_encoder(str(folder))
    states = encoder.encode(PHOTOS, patches=grid)
    with torch.inference_mode():
        expected = transformers.AutoModel.from_pretrained(folder).eval()(pixels_of(folder)).last_hidden_state
    assert (encoder.dim, states.grid) == (32, grid)
    torch.testing.assert_close(states.pooled, expected[:, 0], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(states.patches, expected[:, extra:], atol=1e-5, rtol=1e-4)


def test_resnet_gives_its_pooled_map_and_the_map(tmp_path):
    folder = save_image_model(tmp_path, "ResNet")
    encoder = open_image_encoder(str(folder))
    states = encoder.encode(PHOTOS, patches=(2, 2))
    with torch.inference_mode():
        outputs = transformers.AutoModel.from_pretrained(folder).eval()(pixels_of(folder))
    rows, columns = outputs.last_hidden_state.shape[-2:]
    quarter = outputs.last_hidden_state[:, :, : rows // 2, columns // 2 :].mean((2, 3))
    assert (encoder.dim, states.patches.shape) == (16, (2, 4, 16))
    torch.testing.assert_close(states.pooled, outputs.pooler_output[:, :, 0, 0], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(states.patches[:, 1], quarter, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("kind", "size", "expected"),
    [
        ("ViT", (90, 40), (0, 0, 1, 1)),  # squeezed into the square
        ("ResNet", (640, 400), (0.1875, 0, 0.8125, 1)),  # the middle square
        ("ResNet", (100, 300), (0, 1 / 3, 1, 2 / 3)),
        ("Dinov2", (320, 320), (0.0625, 0.0625, 0.9375, 0.9375)),  # 28 of 32 pixels either way
        ("Dinov2", (640, 320), (0.28125, 0.0625, 0.71875, 0.9375)),
    ],
)
def test_the_view_is_what_the_processor_leaves(tmp_path, kind, size, expected):
    encoder = open_image_encoder(str(save_image_model(tmp_path, kind)))
    assert encoder.view(*size) == pytest.approx(expected, abs=0.02)


def test_what_lies_outside_the_view_changes_nothing(tmp_path):
    encoder = open_image_encoder(str(save_image_model(tmp_path, "ResNet")))
    left, _, right, _ = encoder.view(640, 400)
    photo = PHOTOS[1].resize((640, 400))
    changed = photo.copy()
    changed.paste("blue", (0, 0, int(left * 640) - 40, 400))
    assert torch.equal(encoder.encode([photo]).pooled, encoder.encode([changed]).pooled)
    changed.paste("blue", (0, 0, int(left * 640) + 40, 400))
    assert not torch.equal(encoder.encode([photo]).pooled, encoder.encode([changed]).pooled)
    assert right == pytest.approx(1 - left, abs=0.03)  # the middle, to a pixel of 51


@pytest.mark.parametrize("kind", ["CLIP", "SigLIP"])
def test_the_vision_tower_of_a_two_tower_model_pools_as_it_was_trained_to(tmp_path, kind):
    folder = save_two_towers(tmp_path, kind)
    encoder = open_image_encoder(str(folder))
    states = encoder.encode(PHOTOS, patches=(4, 4))
    tower = transformers.AutoModel.from_pretrained(folder).eval().vision_model
    with torch.inference_mode():
        outputs = tower(pixels_of(folder))
    assert (encoder.dim, states.patches.shape) == (48, (2, 16, 48))
    torch.testing.assert_close(states.pooled, outputs.pooler_output, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(states.patches, outputs.last_hidden_state[:, -16:], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", ["CLIP", "SigLIP"])
def test_the_text_tower_of_a_two_tower_model_pools_as_it_was_trained_to(tmp_path, kind):
    folder = save_two_towers(tmp_path, kind)
    encoder = open_text_encoder(str(folder))
    line = "whisk the eggs with salt"
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    padding = {"padding": "max_length", "max_length": 12} if kind == "SigLIP" else {}
    ids = tokenizer(line, return_tensors="pt", **padding)["input_ids"]
    with torch.inference_mode():
        expected = transformers.AutoModel.from_pretrained(folder).eval().text_model(ids)
    states = encoder.encode([line, "salt"], tokens=True)
    torch.testing.assert_close(states.pooled[:1], expected.pooler_output, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(states.tokens[0], expected.last_hidden_state[0, 1:6], atol=1e-5, rtol=1e-4)
    long = encoder.encode([" ".join(["salt"] * 15)]).pooled
    assert torch.isfinite(long).all()


def test_bert_gives_the_mean_over_the_tokens_whatever_is_beside_it(tmp_path):
    folder = save_bert(tmp_path)
    encoder = open_text_encoder(str(folder))
    line = "whisk the eggs with salt"
    ids = transformers.AutoTokenizer.from_pretrained(folder)(line, return_tensors="pt")
    with torch.inference_mode():
        expected = transformers.AutoModel.from_pretrained(folder).eval()(**ids).last_hidden_state.mean(1)
    alone = encoder.encode([line]).pooled
    beside = encoder.encode(["salt", line, "salt and pepper " * 4]).pooled
    torch.testing.assert_close(alone, expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(beside[1:2], alone, atol=1e-5, rtol=1e-4)


def test_a_long_line_is_the_mean_of_its_windows_weighted_by_their_tokens(tmp_path):
    encoder = HuggingFaceTextEncoder(str(save_bert(tmp_path, limit=8)))  # six words a window
    words = ["salt", "pepper", "olive", "oil", "the", "eggs", "whisk", "smooth"]
    first, second = " ".join(words[:6]), " ".join(words[6:])
    windows = encoder.encode([first, second]).pooled
    expected = (6 * windows[0] + 2 * windows[1]) / 8
    whole = encoder.encode([f"{first} {second}"], tokens=True)
    torch.testing.assert_close(whole.pooled[0], expected, atol=1e-5, rtol=1e-4)
    assert [f"{first} {second}"[start:end] for start, end in whole.spans[0]] == words
    assert whole.tokens[0].shape == (8, 32)


def test_positions_that_count_from_behind_the_padding_are_not_overrun(tmp_path):
    config = transformers.RobertaConfig(**SMALL, vocab_size=40, max_position_embeddings=12, pad_token_id=1)
    transformers.RobertaModel(config).save_pretrained(tmp_path)
    save_tokenizer(tmp_path, 1000)
    encoder = open_text_encoder(str(tmp_path))
    assert encoder.describe()["limit"] == 10
    assert torch.isfinite(encoder.encode(["salt and pepper " * 9]).pooled).all()


def test_threads_may_encode_at_once(tmp_path):
    encoder = open_text_encoder(str(save_bert(tmp_path)))
    lines = [f"{word} and pepper" for word in ("salt", "olive", "oil", "eggs")]
    expected = encoder.encode(lines).pooled
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda line: encoder.encode([line]).pooled, lines * 10))
    torch.testing.assert_close(torch.cat(found), expected.repeat(10, 1), atol=1e-5, rtol=1e-4)


def test_spans_lead_back_to_the_characters(tmp_path):
    encoder = open_text_encoder(str(save_bert(tmp_path)))
    line = "Whisk  the eggs, salted."
    states = encoder.encode(["salt", line], tokens=True)
    pieces = [line[start:end] for start, end in states.spans[1]]
    assert pieces == ["Whisk", "the", "eggs", ",", "salt", "ed", "."]
    assert [len(tokens) for tokens in states.tokens] == [1, 7]


def test_equal_lines_are_encoded_once(tmp_path, monkeypatch):
    encoder = HuggingFaceTextEncoder(str(save_bert(tmp_path)))
    seen = []
    forward = encoder._forward
    monkeypatch.setattr(encoder, "_forward", lambda windows: seen.extend(windows) or forward(windows))
    states = encoder.encode(["salt", "pepper", "salt", "salt"])
    assert len(seen) == 2
    assert torch.equal(states.pooled[0], states.pooled[3])
    assert not torch.equal(states.pooled[0], states.pooled[1])


def test_blank_lines_are_refused_and_no_lines_give_no_rows(tmp_path):
    encoder = open_text_encoder(str(save_bert(tmp_path)))
    with pytest.raises(UsageError, match="line 1 is blank"):
        encoder.encode(["salt", " \n"])
    assert encoder.encode([]).pooled.shape == (0, 32)
    assert encoder.encode([], tokens=True).tokens == []


def test_a_line_without_a_single_token_still_has_a_vector(tmp_path):
    encoder = open_text_encoder(str(save_bert(tmp_path)))
    states = encoder.encode(["\x07\x08", "salt"], tokens=True)  # BERT drops control characters
    assert torch.isfinite(states.pooled).all()
    assert states.tokens[0].shape == (0, 32)


def test_a_slow_tokenizer_gives_vectors_but_no_token_states(tmp_path):
    config = transformers.CanineConfig(
        **SMALL, max_position_embeddings=40, downsampling_rate=2, local_transformer_stride=8
    )
    transformers.CanineModel(config).save_pretrained(tmp_path)
    transformers.CanineTokenizer(model_max_length=40).save_pretrained(tmp_path)
    encoder = HuggingFaceTextEncoder(str(tmp_path))
    assert not encoder._tokenizer.is_fast
    first, second = "a" * 38, "salt"  # 38 characters and two special tokens fill a window
    windows = encoder.encode([first, second]).pooled
    whole = encoder.encode([first + second]).pooled
    torch.testing.assert_close(whole[0], (38 * windows[0] + 4 * windows[1]) / 42, atol=1e-4, rtol=1e-3)
    with pytest.raises(EncoderError, match=r"slow tokenizer.*tokenizer\.json"):
        encoder.encode(["salt"], tokens=True)


def test_a_description_tells_models_apart_but_not_folders_or_number_formats(tmp_path):
    one = save_bert(tmp_path / "one")
    two = tmp_path / "two"
    two.mkdir()
    for file in one.iterdir():
        (two / file.name).write_bytes(file.read_bytes())
    other = save_bert(tmp_path / "other", limit=20)
    descriptions = [open_text_encoder(str(folder)).describe() for folder in (one, two, other)]
    assert json.loads(json.dumps(descriptions[0])) == descriptions[0]
    assert descriptions[0] != descriptions[1]
    assert comparable(descriptions[0]) == comparable(descriptions[1])
    assert comparable(descriptions[0]) != comparable(descriptions[2])
    bf16 = open_text_encoder(str(one), dtype="bf16").describe()
    assert bf16["runtime"]["dtype"] == "bf16"
    assert comparable(bf16) == comparable(descriptions[0])


def test_an_image_encoder_describes_its_processor(tmp_path):
    folder = save_image_model(tmp_path, "ViT")
    before = open_image_encoder(str(folder)).describe()
    assert json.loads(json.dumps(before)) == before
    transformers.ViTImageProcessor(size={"height": 32, "width": 32}, image_mean=[0, 0, 0]).save_pretrained(
        folder
    )
    assert comparable(open_image_encoder(str(folder)).describe()) != comparable(before)


def test_a_model_that_is_not_here_is_named_with_the_way_out(capfd):
    for open_encoder in (open_text_encoder, open_image_encoder):
        with pytest.raises(EncoderError, match=r"nobody/nothing.*HF_HUB_OFFLINE.*hf download nobody/nothing"):
            open_encoder("nobody/nothing")
    with pytest.raises(EncoderError, match="no such folder"):
        open_text_encoder("./nowhere")
    assert capfd.readouterr().out == ""


def test_folders_that_hold_something_else_are_refused(tmp_path):
    with pytest.raises(EncoderError, match="cannot be opened as image encoder"):
        open_image_encoder(str(tmp_path))
    bert = save_bert(tmp_path / "bert")
    with pytest.raises(EncoderError, match="cannot be opened as image encoder"):
        open_image_encoder(str(bert))
    vit = save_image_model(tmp_path / "vit", "ViT")
    with pytest.raises(EncoderError, match="text encoder"):
        open_text_encoder(str(vit))


def test_cut_off_weights_are_refused(tmp_path):
    weights = save_bert(tmp_path) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:2000])
    with pytest.raises(EncoderError, match="cannot be opened as text encoder"):
        open_text_encoder(str(tmp_path))


def test_missing_weights_are_never_made_up(tmp_path):
    from safetensors.torch import load_file, save_file

    weights = save_bert(tmp_path) / "model.safetensors"
    tensors = load_file(weights)
    del tensors["encoder.layer.1.output.dense.weight"]
    save_file(tensors, weights, {"format": "pt"})
    with pytest.raises(EncoderError, match=r"incomplete.*encoder\.layer\.1\.output\.dense\.weight"):
        open_text_encoder(str(tmp_path))


def test_a_checkpoint_without_the_unused_pooler_is_welcome(tmp_path):
    folder = save_image_model(tmp_path, "ViT")
    with_pooler = HuggingFaceImageEncoder(str(folder)).encode(PHOTOS).pooled
    config = transformers.ViTConfig.from_pretrained(folder)
    whole = transformers.ViTModel.from_pretrained(folder)
    bare = transformers.ViTModel(config, add_pooling_layer=False)
    bare.load_state_dict({k: v for k, v in whole.state_dict().items() if not k.startswith("pooler.")})
    bare.save_pretrained(folder)
    without = HuggingFaceImageEncoder(str(folder)).encode(PHOTOS).pooled
    torch.testing.assert_close(without, with_pooler)


def test_loading_is_silent(tmp_path, capfd):
    open_text_encoder(str(save_bert(tmp_path))).encode(["salt " * 40])
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "Loading weights" not in captured.err
