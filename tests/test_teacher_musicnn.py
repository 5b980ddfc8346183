import itertools
import json
import math
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mirclr.audio import read_excerpts
from mirclr.audio.mel import LogMel
from mirclr.errors import CheckpointError, CorpusError, DigestMismatch
from mirclr.provenance import cache_dir, sha256_of
from mirclr.training.teacher import Teacher, import_musicnn, load_musicnn, musicnn
from mirclr.training.teacher.bundle import read_bundle
from tests.commands import invoke

TESTS = Path(__file__).parent
GOLDEN = json.loads((TESTS / "golden" / "musicnn.json").read_text(encoding="utf-8"))
NAMES = ("musicnn-msd", "musicnn-mtt")
FOLDERS = {"musicnn-msd": "MSD_musicnn", "musicnn-mtt": "MTT_musicnn"}


# a writer of bundles, and a wheel of random weights


def varint(n: int) -> bytes:
    out = b""
    while n >= 0x80:
        out, n = out + bytes([n & 0x7F | 0x80]), n >> 7
    return out + bytes([n])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    return varint(number << 3) + varint(value)


def block(entries: list[tuple[bytes, bytes]]) -> bytes:
    out, last = b"", b""
    for key, value in entries:
        shared = len([1 for a, b in itertools.takewhile(lambda ab: ab[0] == ab[1], zip(key, last, strict=False))])
        out += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        last = key
    return out + bytes(4) + (1).to_bytes(4, "little")  # one restart, at 0


def bundle(tensors: dict[str, np.ndarray], header: bytes = field(1, 1), **changes: bytes) -> tuple[bytes, bytes]:
    """`tensors` as a bundle, four entries a block; `changes` are added to the entries of those names."""
    data, entries = b"", [(b"", header)]
    for name in sorted(tensors):
        array = tensors[name]
        kind = {"float32": 1, "float64": 2, "int32": 3, "int64": 9}[str(array.dtype)]
        shape = b"".join(field(2, field(1, size)) for size in array.shape)
        entry = field(1, kind) + field(2, shape) + field(4, len(data)) + field(5, array.nbytes)
        entry += varint(6 << 3 | 5) + b"\1\2\3\4"  # a checksum, which is not looked at
        entries.append((name.encode(), entry + changes.get(name, b"")))
        data += array.tobytes()
    table, index = b"", []
    for i in range(0, len(entries), 4):
        part = block(entries[i : i + 4])
        index.append((entries[min(i + 4, len(entries)) - 1][0] + b"~", varint(len(table)) + varint(len(part))))
        table += part + bytes(5)
    handles = b""
    for part in (block([]), block(index)):
        handles += varint(len(table)) + varint(len(part))
        table += part + bytes(5)
    return table + handles.ljust(40, b"\0") + (0xDB4775248B80FB57).to_bytes(8, "little"), data


def published(seed: int) -> dict[str, np.ndarray]:
    """Random weights under the names and in the layout of the published checkpoints, optimizer included."""
    rng = np.random.default_rng(seed)
    kernels = [(7, 38, 1, 204), (7, 67, 1, 204), (128, 1, 1, 51), (64, 1, 1, 51), (32, 1, 1, 51)]
    kernels += [(7, 561, 1, 64), (7, 64, 1, 64), (7, 64, 1, 64)]
    shapes = {f"conv2d_{i}".removesuffix("_0"): shape for i, shape in enumerate(kernels)}
    shapes |= {"dense": (1506, 200), "dense_1": (200, 50)}
    found = {"beta1_power": np.array(0.5, np.float32)}
    for name, shape in shapes.items():
        found[f"{name}/kernel"] = rng.normal(0, 1 / math.sqrt(math.prod(shape[:-1])), shape)
        found[f"{name}/bias"] = rng.normal(0, 0.1, shape[-1])
    found["dense/bias/Adam"] = np.zeros(200)
    for i, size in enumerate((1, 204, 204, 51, 51, 51, 64, 64, 64, 1506, 200)):
        name = f"batch_normalization_{i}".removesuffix("_0")
        found[f"{name}/gamma"] = rng.normal(0, 1, size)  # of both signs
        found[f"{name}/beta"] = rng.normal(0, 0.1, size)
        found[f"{name}/moving_mean"] = rng.normal(0, 0.1, size)
        found[f"{name}/moving_variance"] = rng.uniform(0, 0.01, size)  # near the epsilon, so that it matters
    return {name: array.astype(np.float32) for name, array in found.items()}


def as_published(weights: dict[str, np.ndarray], x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, F, T) -> logits, embedding: the network as its paper draws it, in float64."""
    w = {name: torch.from_numpy(array).double() for name, array in weights.items()}

    def norm(i: int, x: torch.Tensor) -> torch.Tensor:
        g, b, m, v = (
            w[f"batch_normalization_{i}/{part}".replace("_0/", "/")].view(-1, *(1,) * (x.ndim - 2))
            for part in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        return (x - m) / torch.sqrt(v + 1e-3) * g + b

    def conv(i: int, x: torch.Tensor) -> torch.Tensor:
        name = f"conv2d_{i}".removesuffix("_0")
        kernel = w[f"{name}/kernel"].permute(3, 2, 0, 1)  # (out, in, time, bands)
        return norm(i + 1, F.conv2d(x, kernel, w[f"{name}/bias"]).relu())

    x = norm(0, x.double().transpose(1, 2)[:, None, :187])  # (B, 1, T, F)
    front = [conv(i, F.pad(x, (0, 0, 3, 3))).amax(3) for i in (0, 1)]
    for i, frames in enumerate((128, 64, 32), start=2):
        left = (frames - 1) // 2
        front.append(conv(i, F.pad(x, (0, 0, left, frames - 1 - left))).amax(3))
    found = [torch.cat(front, dim=1)]  # (B, C, T)
    for i in (5, 6, 7):
        y = conv(i, F.pad(found[-1].transpose(1, 2)[:, None], (0, 0, 3, 3)))[..., 0]
        found.append(y if i == 5 else y + found[-1])
    features = torch.cat(found, dim=1)
    pooled = torch.empty(len(x), 2 * features.shape[1], dtype=torch.float64)
    pooled[:, 0::2], pooled[:, 1::2] = features.amax(2), features.mean(2)
    embedding = norm(10, (norm(9, pooled) @ w["dense/kernel"] + w["dense/bias"]).relu())
    return embedding @ w["dense_1/kernel"] + w["dense_1/bias"], embedding


@pytest.fixture(scope="session")
def random_weights():
    return {name: published(seed) for seed, name in enumerate(NAMES)}


@pytest.fixture(scope="session")
def random_wheel(tmp_path_factory, random_weights):
    path = tmp_path_factory.mktemp("wheel") / "random.whl"
    with zipfile.ZipFile(path, "w") as opened:
        for name, weights in random_weights.items():
            index, data = bundle(weights)
            opened.writestr(f"musicnn/{FOLDERS[name]}/.index", index)
            opened.writestr(f"musicnn/{FOLDERS[name]}/.data-00000-of-00001", data)
    return path


@pytest.fixture
def wheel(random_wheel, monkeypatch):
    """A wheel of random weights that counts as the published one."""
    monkeypatch.setattr(musicnn, "SHA256", sha256_of(random_wheel))
    return random_wheel


@pytest.fixture(scope="session")
def teachers(tmp_path_factory):
    """Both real teachers, where pip can obtain them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIRCLR_HOME", str(tmp_path_factory.mktemp("teachers")))
        try:
            import_musicnn()
        except DigestMismatch:
            raise
        except CorpusError as error:
            pytest.skip(f"the weights of musicnn cannot be obtained here: {error}")
        return {name: load_musicnn(name) for name in NAMES}


def segments(mel: LogMel) -> torch.Tensor:
    """The golden inputs as log-mel of our own."""
    found = []
    for item in GOLDEN["inputs"]:
        (whole,) = read_excerpts(TESTS / "audio" / item["file"], count=1, seconds=8, rate=mel.sample_rate).waveforms
        start = round(item["start_s"] * mel.sample_rate)
        found.append(torch.from_numpy(whole[start : start + 3 * mel.sample_rate] * np.float32(item["gain"])))
    return mel(torch.stack(found))


# the published network


@pytest.mark.parametrize("name", NAMES)
def test_it_says_what_the_published_tagger_says(teachers, name):
    teacher = teachers[name]
    logits, embedding = teacher(segments(LogMel.of(teacher.mel, teacher.rate)))
    expected = GOLDEN["outputs"][name]
    assert logits.dtype == embedding.dtype == torch.float32
    torch.testing.assert_close(
        teacher.probabilities(logits), torch.tensor(expected["probabilities"]), rtol=0, atol=1e-5
    )
    torch.testing.assert_close(embedding, torch.tensor(expected["penultimate"]), rtol=1e-5, atol=1e-4)


def test_bfloat16_says_much_the_same(teachers):
    teacher = teachers["musicnn-msd"]
    x = segments(LogMel.of(teacher.mel, teacher.rate))[:2]
    logits, embedding = teacher(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        fast_logits, fast = teacher(x)
    assert fast_logits.dtype == fast.dtype == torch.float32
    assert not torch.equal(fast, embedding)
    assert (teacher.probabilities(fast_logits) - teacher.probabilities(logits)).abs().max() < 0.02
    assert F.cosine_similarity(fast, embedding).min() > 0.999


def test_loud_music_stays_finite(teachers):
    """In float16, as the published extractor computes it, this overflows."""
    for teacher in teachers.values():
        mel = LogMel.of(teacher.mel, teacher.rate)
        t = torch.arange(3 * teacher.rate) / teacher.rate
        loud = torch.stack([torch.sin(2 * math.pi * 440 * t).sign(), torch.zeros_like(t)])
        power = mel.power(loud)
        assert power.max() * 10_000 > 65504
        logits, embedding = teacher(mel.compress(power))
        assert logits.isfinite().all()
        assert embedding.isfinite().all()


# the network, with random weights


def test_its_products_are_the_convolutions_of_the_paper(wheel, random_weights):
    x = torch.randn(9, 96, 190, generator=torch.Generator().manual_seed(0)).abs()  # more than one part
    import_musicnn(wheel)
    for name in NAMES:
        logits, embedding = load_musicnn(name)(x)
        some = [0, 8]
        expected_logits, expected = as_published(random_weights[name], x[some])
        scale = expected.abs().mean()
        torch.testing.assert_close(embedding[some] / scale, (expected / scale).float(), rtol=0, atol=2e-5)
        scale = expected_logits.abs().mean()
        torch.testing.assert_close(logits[some] / scale, (expected_logits / scale).float(), rtol=0, atol=2e-5)


def test_a_teacher_only_listens(wheel):
    import_musicnn(wheel)
    teacher = load_musicnn("musicnn-mtt")
    assert isinstance(teacher, Teacher)
    assert not teacher.training
    assert not any(p.requires_grad for p in teacher.parameters())
    assert (teacher.rate, teacher.seconds, teacher.dim, teacher.exclusive) == (16_000, 3.0, 200, 0)
    mel = LogMel.of(teacher.mel, teacher.rate)
    assert mel.frames(round(teacher.seconds * teacher.rate)) == 188
    x = torch.rand(1, 96, 188, requires_grad=True)
    logits, embedding = teacher(x)
    assert not logits.requires_grad
    weight = torch.ones(200, requires_grad=True)
    (embedding * weight).sum().backward()  # what it said may stand in a loss
    # the first 187 frames are heard
    torch.testing.assert_close(teacher(x[:, :, :187])[0], logits, rtol=0, atol=0)
    teacher.precision = torch.bfloat16
    asked = teacher(x)[0]
    teacher.precision = torch.float32
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(teacher(x)[0], asked)


def test_no_segments_are_no_answers():
    teacher = musicnn.Musicnn("musicnn-mtt", musicnn.TAGS["musicnn-mtt"])
    logits, embedding = teacher(torch.zeros(0, 96, 187))
    assert (logits.shape, embedding.shape) == ((0, 50), (0, 200))


@pytest.mark.parametrize("shape", [(1, 96, 186), (1, 80, 187), (96, 187)])
def test_a_wrong_input_is_told(shape):
    with pytest.raises(ValueError, match=r"takes \(B, 96, 187\) log-mel.*got \(" + str(shape[0])):
        musicnn.Musicnn("musicnn-msd", musicnn.TAGS["musicnn-msd"])(torch.zeros(shape))


def test_the_tags():
    for tags in musicnn.TAGS.values():
        assert len(tags) == len(set(tags)) == 50
    assert {"rock", "Hip-Hop", "female vocalists", "Progressive rock", "happy"} <= set(musicnn.TAGS["musicnn-msd"])
    assert {"no vocals", "new age", "choral"} <= set(musicnn.TAGS["musicnn-mtt"])


# importing and loading


def test_what_is_imported_says_where_it_is_from(wheel):
    files = import_musicnn(wheel)
    assert files == [cache_dir() / "teachers" / f"{name}.safetensors" for name in NAMES]
    size = int.from_bytes(files[0].read_bytes()[:8], "little")
    header = json.loads(json.loads(files[0].read_bytes()[8 : 8 + size])["__metadata__"]["mirclr"])
    source = {"package": "musicnn", "version": "0.1.0", "sha256": musicnn.SHA256, "licence": "ISC"}
    assert header == {
        "format": 1,
        "kind": "teacher",
        "name": "musicnn-msd",
        "tags": list(musicnn.TAGS["musicnn-msd"]),
        "source": source,
    }
    assert load_musicnn("musicnn-msd").digest != load_musicnn("musicnn-mtt").digest
    assert import_musicnn(wheel) == files


def test_the_command(wheel):
    done = invoke(["teacher", "import", "musicnn", "--wheel", str(wheel), "--json"])
    assert done.exit_code == 0, done.output
    written = json.loads(done.stdout)
    assert [item["name"] for item in written] == list(NAMES)
    assert all(Path(item["file"]).stat().st_size == item["bytes"] for item in written)
    done = invoke(["teacher", "import", "musicnn", "--wheel", str(wheel)])
    assert [line.split(": ")[0] for line in done.stdout.splitlines()] == list(NAMES)


def test_another_wheel_is_refused_and_named(tmp_path):
    other = tmp_path / "other.whl"
    other.write_bytes(b"PK not the one")
    with pytest.raises(DigestMismatch, match=rf"other\.whl: SHA-256 {sha256_of(other)}; expected {musicnn.SHA256}"):
        import_musicnn(other)
    assert not (cache_dir() / "teachers").exists()


def test_a_wheel_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    with pytest.raises(CorpusError, match=r"none\.whl: cannot be read \(No such file"):
        import_musicnn(tmp_path / "none.whl")
    path = tmp_path / "bad.whl"
    path.write_bytes(b"not a zip")
    monkeypatch.setattr(musicnn, "SHA256", sha256_of(path))
    with pytest.raises(CorpusError, match=r"bad\.whl: cannot be read"):
        import_musicnn(path)
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("musicnn/MSD_musicnn/.index", b"")
    monkeypatch.setattr(musicnn, "SHA256", sha256_of(path))
    with pytest.raises(CheckpointError, match=r"bad\.whl: musicnn/MSD_musicnn: lacks .*\.data"):
        import_musicnn(path)
    monkeypatch.setattr(musicnn, "_LARGEST", -1)
    with pytest.raises(CheckpointError, match="claims 0 bytes"):
        import_musicnn(path)


def test_a_wheel_without_a_tensor_is_named(tmp_path, monkeypatch, random_weights):
    weights = {name: array for name, array in random_weights["musicnn-msd"].items() if name != "conv2d_3/bias"}
    path = tmp_path / "bad.whl"
    with zipfile.ZipFile(path, "w") as opened:
        for member, content in zip((".index", ".data-00000-of-00001"), bundle(weights), strict=True):
            opened.writestr(f"musicnn/MSD_musicnn/{member}", content)
    monkeypatch.setattr(musicnn, "SHA256", sha256_of(path))
    with pytest.raises(CheckpointError, match=r"bad\.whl: musicnn/MSD_musicnn: lacks the tensor 'conv2d_3/bias'"):
        import_musicnn(path)


def test_without_pip_the_way_by_hand_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    with pytest.raises(CorpusError, match=r"download musicnn-0\.1\.0-py3-none-any\.whl by hand.*--wheel"):
        import_musicnn()


def test_a_missing_teacher_gives_the_command():
    with pytest.raises(CheckpointError, match="no such file; import it with: mirclr teacher import musicnn"):
        load_musicnn("musicnn-mtt")
    with pytest.raises(
        CheckpointError, match="no teacher 'vgg'; the teachers are: musicnn, musicnn-msd, musicnn-mtt, builtin"
    ):
        load_musicnn("vgg")


def test_a_damaged_teacher_is_named(wheel):
    from safetensors.torch import load, save

    good, other = (file.read_bytes() for file in import_musicnn(wheel))
    path = cache_dir() / "teachers" / "musicnn-msd.safetensors"
    tensors = load(good)
    header = {"format": 1, "kind": "teacher", "name": "musicnn-msd", "tags": list(musicnn.TAGS["musicnn-msd"])}

    def headed(tensors: dict = tensors, **changes: object) -> bytes:
        return save(tensors, {"mirclr": json.dumps(header | changes)})

    for content, reason in (
        (good[:-1], "not a file of weights"),
        (other, "not the teacher musicnn-msd"),
        (save(tensors), "not the teacher"),
        (headed(format=2), "format 2; this mirclr reads format 1"),
        (headed(tags=["rock"]), "other tags"),
        (headed({**tensors, "input.scale": torch.zeros(2)}), "its weights are not those of"),
        (headed({n: t for n, t in tensors.items() if n != "input.scale"}), "its weights are not those of"),
    ):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=rf"musicnn-msd\.safetensors: .*{reason}"):
            load_musicnn("musicnn-msd")
    path.write_bytes(headed())
    load_musicnn("musicnn-msd")


# bundles

TENSORS = {
    "a/kernel": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a/kernel/Adam": np.zeros((2, 3), np.float32),
    "a/bias": np.array([1.5], np.float32),
    "b/count": np.array(-7, np.int64),
    "b/sizes": np.array([[1, 2]], np.int32),
    "c": np.linspace(0, 1, 300, dtype=np.float32),
}


def test_a_bundle_gives_back_what_was_written():
    found = read_bundle(*bundle(TENSORS), lambda name: "Adam" not in name, "x")
    assert found.keys() == TENSORS.keys() - {"a/kernel/Adam"}
    for name, array in found.items():
        np.testing.assert_array_equal(array, TENSORS[name])
        assert array.dtype == TENSORS[name].dtype
        assert array.flags.writeable


def test_a_truncated_bundle_is_told():
    index, data = bundle(TENSORS)
    for cut in range(len(index)):
        with pytest.raises(CheckpointError, match=r"^some\.whl: not a TensorFlow checkpoint"):
            read_bundle(index[:cut], data, lambda _: True, "some.whl")
    with pytest.raises(CheckpointError, match=r"c reaches to byte \d+ of data that has"):
        read_bundle(index, data[:-1], lambda _: True, "some.whl")


def test_a_malformed_bundle_is_told_or_read():
    """Whatever byte is wrong, nothing but our own error comes out."""
    index, data = bundle(TENSORS)
    told = 0
    for at, change in itertools.product(range(len(index)), (0x01, 0x80, 0xFF)):
        wrong = bytearray(index)
        wrong[at] ^= change
        try:
            read_bundle(bytes(wrong), data, lambda _: True, "some.whl")
        except CheckpointError:
            told += 1
    assert told > len(index)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (field(1, 2), "of type 2"),
        (field(3, 1), "in shard 1"),
        (field(7, b""), "stored in slices"),
        (field(5, 1 << 63), "reaches to byte"),
        (field(4, (1 << 64) - 1), "reaches to byte"),
        (field(2, field(2, field(1, 1 << 62)) * 2), "has shape"),
        (field(2, field(2, b"") + field(2, field(1, 1 << 62))) + field(5, 0), "has shape"),
        (field(5, b"five"), "bytes where a number belongs"),
        (field(2, 3), "a number where a message belongs"),
        (b"\x80" * 11, "more than 64 bits"),
        (varint(9 << 3 | 3), "unknown kind 3"),
    ],
)
def test_what_is_wrong_with_a_tensor_is_told(change, reason):
    index, data = bundle(TENSORS, c=change)
    with pytest.raises(CheckpointError, match=reason):
        read_bundle(index, data, lambda _: True, "x")
    assert len(read_bundle(index, data, lambda name: name != "c", "x")) == len(TENSORS) - 1


@pytest.mark.parametrize(("header", "reason"), [(field(1, 2), "more than one shard"), (field(2, 1), "big-endian")])
def test_bundles_of_another_kind_are_told(header, reason):
    with pytest.raises(CheckpointError, match=reason):
        read_bundle(*bundle(TENSORS, header), lambda _: True, "x")
