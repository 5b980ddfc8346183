"""One contract for every encoder, and what the whole model adds."""

import copy
import functools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from mirclr import config
from mirclr.errors import CheckpointError
from mirclr.models.encoder import EncoderModule, Model, PooledSampleCNN, Projector, ResNet, SampleCNN, TrackPooling

RATE, BANDS = 16000, 96
LEAST = {"name": "test", "data": {"train": "t.jsonl"}}

ENCODERS: dict[str, tuple[type[EncoderModule], config.Encoder]] = {
    "resnet": (ResNet, config.ResNet()),
    "resnet-deep": (ResNet, config.ResNet(widths=(8, 8, 12), blocks=(2, 1, 3), dim=10)),
    "resnet-pooled": (ResNet, config.ResNet(widths=(6, 8), blocks=(1, 1))),
    "resnet-collapsed": (ResNet, config.ResNet(widths=(4, 6, 8), blocks=(1, 1, 1), freq_collapse=5)),
    "resnet-one-stage": (ResNet, config.ResNet(widths=(6,), blocks=(1,), dim=7)),
    "sample_cnn": (PooledSampleCNN, config.PooledSampleCNN(widths=(8, 8, 8, 12, 12, 12, 12, 16, 16))),
    "sample_cnn-small": (PooledSampleCNN, config.PooledSampleCNN(widths=(4, 8, 12, 12), dropout=0.1)),
}
every_encoder = pytest.mark.parametrize("name", ENCODERS)


def built(name: str, seed: int = 0) -> EncoderModule:
    return copy.deepcopy(_built(name, seed))


@functools.cache
def _built(name: str, seed: int) -> EncoderModule:
    """The encoder, its running statistics those of a batch."""
    kind, plan = ENCODERS[name]
    torch.manual_seed(seed)
    encoder = kind(plan, BANDS if kind is ResNet else RATE)  # type: ignore[call-arg]
    norms = [m for m in encoder.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # the mean of all batches, which is one
    with torch.no_grad():
        encoder.train()(sounds(encoder, 8, seed=seed + 1))
    for norm in norms:
        norm.momentum = 0.1
    return encoder.eval()


def sounds(encoder: EncoderModule, n: int, seconds: float | None = None, seed: int = 2) -> Tensor:
    """Noise, each row of another level."""
    generator = torch.Generator().manual_seed(seed)
    level = torch.rand(n, 1, generator=generator) + 0.1
    n_samples = round((seconds or encoder.min_seconds + 0.1) * RATE)
    if encoder.input == "waveform":
        return (torch.rand(n, n_samples, generator=generator) * 2 - 1) * level / 1.1
    return torch.rand(n, BANDS, n_samples // 256 + 1, generator=generator) * 4 * level[:, None]


@every_encoder
def test_shape_type_and_protocol(name: str) -> None:
    encoder = built(name)
    assert encoder.input in ("mel", "waveform")
    assert encoder.min_seconds >= 0.5
    for n in (1, 3):
        embedding = encoder(sounds(encoder, n))
        assert embedding.shape == (n, encoder.dim)
        assert embedding.dtype == torch.float32
        assert torch.isfinite(embedding).all()


@every_encoder
def test_float32_under_bfloat16_autocast_and_near_the_exact_result(name: str) -> None:
    encoder = built(name)
    x = sounds(encoder, 8)
    with torch.no_grad():
        exact = encoder(x)
        with torch.autocast("cpu", torch.bfloat16):
            rough = encoder(x)
    assert rough.dtype == torch.float32
    assert float(nn.functional.cosine_similarity(exact, rough).min()) > 0.9


@every_encoder
def test_eval_is_deterministic_and_leaves_input_and_state(name: str) -> None:
    encoder = built(name)
    x = sounds(encoder, 3)
    before, state = x.clone(), {k: v.clone() for k, v in encoder.state_dict().items()}
    with torch.no_grad():
        torch.testing.assert_close(encoder(x), encoder(x), rtol=0, atol=0)
    torch.testing.assert_close(x, before, rtol=0, atol=0)
    torch.testing.assert_close(dict(encoder.state_dict()), state, rtol=0, atol=0)


@every_encoder
def test_a_row_does_not_depend_on_its_batch(name: str) -> None:
    encoder = built(name)
    x = sounds(encoder, 5)
    with torch.no_grad():
        together = encoder(x)
        alone = torch.cat([encoder(row[None]) for row in x])
        turned = encoder(x.flip(0)).flip(0)
    torch.testing.assert_close(together, alone, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(together, turned, rtol=1e-3, atol=1e-3)
    assert float(torch.pdist(together).min()) > 0.05  # and rows of different sounds differ


def test_a_collapsed_encoder_knows_where_in_frequency_something_is() -> None:
    encoder = built("resnet-collapsed")
    assert encoder.dim == 2 * 5
    low, high = torch.zeros(2, 1, BANDS, 60)
    low[:, 20:24], high[:, 60:64] = 3.0, 3.0
    assert (encoder(low) - encoder(high)).abs().max() > 1e-3
    assert encoder.collapse[0].kernel_size == (12, 1)  # 96 bands, halved three times


def test_without_a_dim_the_embedding_is_the_pooled_maps() -> None:
    encoder = built("resnet-pooled")
    assert encoder.dim == 16
    assert not any("head" in name for name in encoder.state_dict())
    maps = []
    encoder.stages.register_forward_hook(lambda module, args, out: maps.append(out))  # type: ignore[union-attr]
    x = torch.rand(3, BANDS, 40)
    with torch.no_grad():
        embedding = encoder(x)
        over_bands = maps[0].mean(dim=2)
        pooled = torch.cat([over_bands.mean(dim=2), over_bands.amax(dim=2)], dim=1)
        torch.testing.assert_close(embedding, encoder.output_norm(pooled))


@every_encoder
def test_training_normalises_every_dimension(name: str) -> None:
    encoder = built(name).train()
    if isinstance(encoder, PooledSampleCNN):
        encoder.dropout.p = 0.0
    embedding = encoder(sounds(encoder, 16))
    torch.testing.assert_close(embedding.mean(dim=0), torch.zeros(encoder.dim), rtol=0, atol=1e-3)
    assert not list(encoder.output_norm.parameters())  # nothing learned can undo it
    assert float(embedding.detach().var(dim=0, unbiased=False).median()) == pytest.approx(1.0, abs=0.1)


@every_encoder
@pytest.mark.parametrize("training", [True, False])
def test_gradients_reach_every_parameter(name: str, training: bool) -> None:
    encoder = built(name).train(training)
    embedding = encoder(sounds(encoder, 4))
    (embedding * torch.randn(embedding.shape, generator=torch.Generator().manual_seed(3))).sum().backward()
    for parameter, p in encoder.named_parameters():
        assert p.grad is not None, parameter
        assert torch.isfinite(p.grad).all(), parameter
        # the last normalisation cancels the head's bias in training
        if not (training and parameter == "head.bias"):
            assert float(p.grad.abs().max()) > 0, parameter


@every_encoder
def test_state_survives_a_round_trip(name: str) -> None:
    encoder, other = built(name), built(name, seed=9)
    x = sounds(encoder, 2)
    with torch.no_grad():
        assert not torch.allclose(encoder(x), other(x), atol=1e-2)
        other.load_state_dict(encoder.state_dict())
        torch.testing.assert_close(encoder(x), other(x), rtol=0, atol=0)


@every_encoder
def test_lengths_from_the_shortest_on_are_heard(name: str) -> None:
    encoder = built(name)
    with torch.no_grad():
        for seconds in (encoder.min_seconds, encoder.min_seconds + 0.37, 4.0):
            embedding = encoder(sounds(encoder, 2, seconds))
            assert embedding.shape == (2, encoder.dim)
            assert torch.isfinite(embedding).all()


def test_sample_cnn_hears_nothing_shorter_than_it_says() -> None:
    encoder = built("sample_cnn")  # as many stages as the default
    assert encoder.min_seconds == 3**9 / RATE == PooledSampleCNN(config.PooledSampleCNN(), RATE).min_seconds
    with pytest.raises(RuntimeError):
        encoder(torch.zeros(1, 3**9 - 1))


@every_encoder
def test_silence_is_finite(name: str) -> None:
    encoder = built(name)
    for training in (True, False):
        encoder.train(training)
        assert torch.isfinite(encoder(torch.zeros_like(sounds(encoder, 3)))).all()


def test_the_default_resnet_has_about_a_million_parameters() -> None:
    assert 0.8e6 < sum(p.numel() for p in ResNet(config.ResNet(), BANDS).parameters()) < 1.6e6


@settings(max_examples=6, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(1, 2)), min_size=1, max_size=4),
    st.integers(2, 40),
    st.integers(32, 60),
    st.integers(1, 12),
)
def test_any_resnet_takes_any_shape(stages: list[tuple[int, int]], bands: int, frames: int, dim: int) -> None:
    widths, blocks = zip(*stages, strict=True)
    encoder = ResNet(config.ResNet(widths=widths, blocks=blocks, dim=dim), bands).eval()
    with torch.no_grad():
        assert encoder(torch.rand(2, bands, frames)).shape == (2, dim)


def test_a_track_is_the_mean_of_its_excerpts() -> None:
    x = torch.randn(5, 3)
    pooling = TrackPooling(3, 0.0)
    assert (pooling.dim, dict(pooling.state_dict())) == (3, {})
    torch.testing.assert_close(pooling(x), x.mean(dim=0) / x.mean(dim=0).norm())


def test_and_how_much_they_differ() -> None:
    x, usual, weight = torch.randn(6, 3), torch.tensor([0.5, 1.0, 2.0]), 0.7
    pooling = TrackPooling(3, weight)
    pooling.usual.copy_(usual)
    one_more = ((x - x.mean(dim=0)).square().sum(dim=0) + usual**2) / 6
    want = torch.cat([x.mean(dim=0), weight * (one_more.sqrt() - usual)])
    torch.testing.assert_close(pooling(x), want / want.norm())
    torch.testing.assert_close(pooling(x[torch.randperm(6)]), pooling(x))
    even, varied = pooling(x[:1].expand(9, 3)), pooling(torch.cat([x[:1] - 9, x[:1] + 9]))
    assert (even[3:] < 0).all()
    assert (varied[3:] > 0).all()


def test_a_single_excerpt_is_neither_even_nor_varied() -> None:
    pooling = TrackPooling(3, 2.0)
    pooling.usual.fill_(0.3)
    x = torch.randn(4, 3)
    alone = pooling.alone(x)
    assert alone.shape == (4, pooling.dim) == (4, 6)
    torch.testing.assert_close(alone, torch.stack([pooling(row[None]) for row in x]))
    assert (alone[:, 3:] == 0).all()


@pytest.mark.parametrize("layers", [2, 3])
def test_projector_shape_and_gradients(layers: int) -> None:
    projector = Projector(config.Projector(hidden=12, dim=5, layers=layers), 8)
    assert sum(p.ndim == 2 for p in projector.parameters()) == layers
    z = projector(torch.randn(4, 8))
    assert z.shape == (4, 5)
    (z * torch.arange(5.0)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in projector.parameters())


@pytest.mark.parametrize(
    "encoder",
    [{"name": "resnet", "widths": [4, 6], "blocks": [1, 1], "dim": 5}, {"name": "sample_cnn", "widths": [4, 6]}],
    ids=lambda e: e["name"],
)
def test_a_model_is_front_end_and_encoder(encoder: dict[str, object]) -> None:
    model = Model(config.recipe_from({**LEAST, "encoder": encoder})).eval()
    x = torch.rand(2, 2 * RATE) * 2 - 1
    with torch.no_grad():
        heard = model.front_end(x)
        assert heard.shape == ((2, 96, 126) if model.encoder.input == "mel" else x.shape)
        torch.testing.assert_close(model(x), model.encoder(heard), rtol=0, atol=0)
        assert model.projector(model(x)).shape == (2, 128)
    assert not any(key.startswith("mel.") for key in model.state_dict())


def test_the_seed_decides_the_weights() -> None:
    small = {**LEAST, "encoder": {"name": "resnet", "widths": [4], "blocks": [1]}}

    def weights(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return torch.cat([p.detach().flatten() for p in Model(config.recipe_from(small)).parameters()])

    torch.testing.assert_close(weights(1), weights(1), rtol=0, atol=0)
    assert not torch.equal(weights(1), weights(2))


# as published


CLMR_SHAPES = [(128, 1), (128, 128), (128, 128), (256, 128), *[(256, 256)] * 5, (512, 256), (512, 512)]


def published() -> dict[str, Tensor]:
    """Weights of the names and shapes in which CLMR publishes its own."""
    g = torch.Generator().manual_seed(0)
    state = {}
    for i, (out, channels) in enumerate(CLMR_SHAPES):
        name = f"encoder.sequential.{i}"
        state[f"{name}.0.weight"] = torch.randn(out, channels, 3, generator=g) / (3 * channels) ** 0.5
        state[f"{name}.0.bias"] = torch.randn(out, generator=g) * 0.1
        state[f"{name}.1.weight"] = torch.rand(out, generator=g) + 0.5
        state[f"{name}.1.bias"] = torch.randn(out, generator=g) * 0.1
        state[f"{name}.1.running_mean"] = torch.randn(out, generator=g) * 0.1
        state[f"{name}.1.running_var"] = torch.rand(out, generator=g) + 0.5
        state[f"{name}.1.num_batches_tracked"] = torch.tensor(7)
    state |= {"encoder.fc.weight": torch.zeros(50, 512), "encoder.fc.bias": torch.zeros(50)}
    return state | {"projector.0.weight": torch.zeros(512, 512), "projector.2.weight": torch.zeros(128, 512)}


def by_hand(state: dict[str, Tensor], x: Tensor) -> Tensor:
    """CLMR's forward pass, (B, N) -> (B, 512), written out."""
    x = x[:, None]
    for i in range(len(CLMR_SHAPES)):
        conv, norm = f"encoder.sequential.{i}.0", f"encoder.sequential.{i}.1"
        stride, padding = (3, 0) if i == 0 else (1, 1)
        x = F.conv1d(x, state[f"{conv}.weight"], state[f"{conv}.bias"], stride=stride, padding=padding)
        statistics = (state[f"{norm}.{name}"] for name in ("running_mean", "running_var", "weight", "bias"))
        x = F.batch_norm(x, *statistics).relu()
        if 0 < i < len(CLMR_SHAPES) - 1:
            x = F.max_pool1d(x, 3, 3)
    return x.flatten(1)


@pytest.mark.parametrize("prefix", ["encoder.", "model.encoder.", ""])
def test_sample_cnn_is_the_published_one(prefix: str) -> None:
    encoder, state = SampleCNN(22050).eval(), published()
    assert sum(p.numel() for p in encoder.parameters()) == 2_368_512
    assert encoder.min_seconds == pytest.approx(59049 / 22050)
    encoder.load_published({name.replace("encoder.", prefix, 1): t for name, t in state.items()})
    x = torch.randn(2, 59049, generator=torch.Generator().manual_seed(1)) * 0.3
    with torch.no_grad():
        got = encoder(x)
        torch.testing.assert_close(got, by_hand(state, x), rtol=1e-4, atol=1e-5)
        longer = encoder(torch.cat([x, x], dim=1)[:1])
    assert got.shape == (2, 512)
    assert longer.shape == (1, 512)


def test_other_weights_are_not_taken_for_the_published_ones() -> None:
    state = published()
    del state["encoder.sequential.3.0.weight"]
    with pytest.raises(CheckpointError, match=r"sequential\.3\.0\.weight"):
        SampleCNN(22050).load_published(state)


def test_a_recipe_trains_the_published_one() -> None:
    recipe = config.parse_recipe("{name: a, data: {train: t}, encoder: {name: sample_cnn}, projector: {dim: 4}}")
    model = Model(recipe)
    z = model.projector(model(torch.randn(2, round(recipe.audio.clip_seconds * recipe.audio.sample_rate))))
    z.sum().backward()
    assert z.shape == (2, 4)
    assert all(p.grad is not None for p in model.encoder.parameters())
