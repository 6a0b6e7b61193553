"""Networks for training: stages from the input on, lines in any order, the number formats."""

from __future__ import annotations

import pytest
import torch
from PIL import Image
from torch import nn

from savor.errors import UsageError
from savor.networks import WORDS, LineNetwork, PhotoNetwork, _by_words, stages
from savor.pixels import NO_WORD, RawInput

transformers = pytest.importorskip("transformers")

PLAIN = {"frozen": 0.0, "dtype": "fp32", "checkpointing": False}
SMALL = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 48}


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("bert")
    config = transformers.BertConfig(**SMALL, vocab_size=40, max_position_embeddings=32)
    transformers.BertModel(config).save_pretrained(folder)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "salt", "oil", "whisk", "eggs"]
    vocabulary = {word: number for number, word in enumerate(words)}
    transformers.BertTokenizer(vocab=vocabulary, model_max_length=32).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def resnet(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("resnet")
    config = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1])
    transformers.ResNetModel(config).save_pretrained(folder)
    transformers.ConvNextImageProcessor(size={"shortest_edge": 32}, crop_pct=1.0).save_pretrained(folder)
    return str(folder)


def padded(ids: list[list[int]]) -> torch.Tensor:
    longest = max(map(len, ids))
    return torch.tensor([one + [NO_WORD] * (longest - len(one)) for one in ids])


def test_stages_are_what_stands_before_the_blocks_the_blocks_and_what_stands_behind() -> None:
    network = nn.Module()
    network.stem = nn.Linear(1, 2)
    network.few = nn.ModuleList([nn.Linear(7, 1)])
    network.blocks = nn.ModuleList(nn.Linear(k, 1) for k in (3, 4, 5))
    network.top = nn.Linear(6, 1)
    found = [[p.shape[-1] for p in stage if p.ndim == 2] for stage in stages(network)]
    assert found == [[1, 7], [3], [4], [5], [6]]
    assert stages(nn.Linear(2, 2))[0][0].shape == (2, 2)


def test_a_line_is_the_same_alone_and_in_company_and_as_the_encoder_has_it(bert: str) -> None:
    network = LineNetwork(bert, limit=32, **PLAIN)
    lines = ["whisk eggs salt", "salt", "oil oil oil oil oil", "eggs"]
    ids = network.tokenize(lines)
    with torch.no_grad():
        pooled, states = network(padded(ids))
        expected = network.encoder.encode(lines, tokens=True)
        alone = [network(padded([one])) for one in ids]
    torch.testing.assert_close(pooled, expected.pooled, atol=1e-5, rtol=1e-4)
    own = network.own(padded(ids))
    for k, (vector, state) in enumerate(alone):
        torch.testing.assert_close(vector[0], pooled[k], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(state[0], states[k, : len(ids[k])], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(states[k][own[k]], expected.tokens[k], atol=1e-5, rtol=1e-4)
    assert own.sum(1).tolist() == [3, 1, 5, 1]
    assert network(padded([[5]])[:0])[0].shape == (0, 32)


def test_a_long_line_is_cut_at_the_limit_with_its_end_mark(bert: str) -> None:
    network = LineNetwork(bert, limit=6, **PLAIN)
    assert network.tokenize(["salt oil whisk eggs salt oil salt"]) == [[2, 5, 6, 7, 8, 3]]


def test_lines_of_like_length_share_a_batch_of_bounded_size() -> None:
    lengths = sorted([1, 3, 60, 60, 500, 5000, 2, 2] * 30)
    runs = list(_by_words(lengths))
    assert [k for run in runs for k in range(run.start, run.stop)] == list(range(len(lengths)))
    assert all((run.stop - run.start) * lengths[run.stop - 1] <= max(WORDS, 5000) for run in runs)
    assert len(runs) < 50


def test_photos_on_the_canvas_are_seen_as_the_encoder_sees_them(resnet: str) -> None:
    network = PhotoNetwork(resnet, **PLAIN)
    assert network.canvas(0, 0, training=False) == network.canvas(0, 0, training=True) == (32, 32)
    assert network.canvas(64, 0, training=True) == (64, 32)
    photos = [Image.linear_gradient("L").resize((32, 32)).convert("RGB"), Image.new("RGB", (32, 32), "khaki")]
    pixels = RawInput((32, 32), lambda lines: []).images(photos)["pixels"]
    with torch.no_grad():
        pooled, maps = network(pixels)
    expected = network.encoder.encode(photos)
    torch.testing.assert_close(pooled, expected.pooled, atol=1e-5, rtol=1e-4)
    assert maps.shape[:2] == (2, 16)
    assert network(pixels[:0])[0].shape == (0, 16)


def test_bf16_is_near_fp32_and_its_gradients_are_fp32(resnet: str) -> None:
    pixels = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8)
    vectors = []
    for dtype in ("fp32", "bf16"):
        network = PhotoNetwork(resnet, **{**PLAIN, "dtype": dtype})
        pooled, _ = network(pixels)
        assert pooled.dtype == torch.float32
        pooled.sum().backward()
        gradients = [p.grad for p in network.parameters()]
        assert all(one is not None and one.dtype == torch.float32 for one in gradients)
        vectors.append(pooled.detach())
    assert not torch.equal(*vectors)
    assert torch.cosine_similarity(*vectors).min() > 0.99


def test_an_unknown_number_format_is_refused(bert: str) -> None:
    with pytest.raises(UsageError, match="dtype 'fp8' is not known"):
        LineNetwork(bert, limit=8, **{**PLAIN, "dtype": "fp8"})


def test_batch_statistics_and_dropout_stay_as_in_evaluation(resnet: str, bert: str) -> None:
    photos, lines = PhotoNetwork(resnet, **PLAIN).train(), LineNetwork(bert, limit=8, **PLAIN).train()
    assert not any(module.training for network in (photos, lines) for module in network.modules())
    before = {name: value.clone() for name, value in photos.named_buffers()}
    photos(torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8))
    assert before
    assert all(torch.equal(value, before[name]) for name, value in photos.named_buffers())
