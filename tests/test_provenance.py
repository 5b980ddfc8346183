import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mirclr
from mirclr import provenance
from mirclr.errors import UnreadableAudio
from mirclr.provenance import (
    cache_dir,
    data_dir,
    digest_bytes,
    digest_json,
    file_digest,
    sha256_of,
    shipped_dir,
    stamp,
    writing,
)

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.binary(), max_size=4), st.lists(st.binary(), max_size=4))
def test_parts_are_told_apart(a, b):
    assert (digest_bytes(*a) == digest_bytes(*b)) == (a == b)
    assert len(digest_bytes(*a)) == 32


@given(st.dictionaries(st.text(), values, max_size=5))
def test_the_order_of_keys_is_no_difference(tree):
    assert digest_json(tree) == digest_json(dict(reversed(tree.items())))
    assert digest_json(tree) != digest_json({**tree, "one more": 1, "and": 2})


def test_digests_stay_what_they_were():
    """Caches and libraries are named by them: a change would lose all of them."""
    assert digest_bytes(b"abc", b"") == "8553b3d37f2d28d727639de9a0e7dae6"
    assert digest_json({"b": [1, 2.5, None], "a": "ü"}) == "97c53353bfaf3c1b57f5e138de9284a4"


def test_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_of(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize("size", [0, 1, 1 << 16, 200_000, 1 << 20])
def test_a_file_is_known_by_its_start_middle_end_and_size(tmp_path, size):
    content = bytearray(os.urandom(size))
    file = tmp_path / "a"
    file.write_bytes(content)
    digest = file_digest(file)
    assert file_digest(file) == digest
    for place in {0, size // 2, size - 1} if size else ():
        changed = content.copy()
        changed[place] ^= 1
        file.write_bytes(changed)
        assert file_digest(file) != digest
    file.write_bytes(content + b"\0")
    assert file_digest(file) != digest


def test_little_of_a_large_file_is_read(tmp_path):
    file = tmp_path / "sparse"
    with file.open("wb") as f:
        f.truncate(1 << 36)  # 64 GB of nothing: reading it all would not end
    assert file_digest(file)


def test_a_stamp_is_json_and_tells_no_one_who_or_where():
    told = stamp(manifest="d" * 32, seed=7)
    text = json.dumps(told)
    assert told["seed"] == 7
    assert told["manifest"] == "d" * 32
    assert told["versions"]["mirclr"] == mirclr.__version__
    assert set(told["versions"]) >= {"python", "torch", "numpy"}
    assert set(told["machine"]) == {"system", "arch", "cores"}
    assert str(Path.home()) not in text
    assert str(Path(mirclr.__file__).parent) not in text


def test_without_git_there_is_no_commit(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert stamp()["commit"] is None


def test_shipped_folders():
    assert (shipped_dir("recipes") / "smoke" / "recipe.yaml").is_file()
    with pytest.raises(FileNotFoundError, match="install mirclr again"):
        shipped_dir("nothing")


def test_home_moves_data_and_cache(home, monkeypatch):
    assert data_dir() == home
    assert cache_dir().parent == home
    monkeypatch.delenv("MIRCLR_HOME")
    assert data_dir().name == cache_dir().name == "mirclr"


@pytest.mark.parametrize("sync", [True, False])
def test_writing_replaces_at_once(tmp_path, sync):
    file = tmp_path / "new" / "a.txt"
    with writing(file, "w") as f:
        f.write("é\n")
        assert not file.exists()
    assert file.read_bytes() == "é\n".encode()
    with writing(file, sync=sync) as f:
        f.write(b"two")
        assert file.read_bytes() == "é\n".encode()
    assert file.read_bytes() == b"two"


def test_a_failed_writing_leaves_the_old_file_and_no_other(tmp_path):
    file = tmp_path / "a"
    file.write_text("old")

    def interrupted():
        with writing(file) as f:
            f.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert file.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


@pytest.mark.skipif(os.name == "nt", reason="no modes")
def test_a_name_may_be_as_long_as_the_disk_allows(tmp_path):
    file = tmp_path / f"{'é' * 125}.txt"  # 254 bytes
    with writing(file) as f:
        f.write(b"new")
    assert [f.name for f in tmp_path.iterdir()] == [file.name]


def test_a_failed_writing_names_the_file(tmp_path):
    """Of an error that names none, as that of a full disk; what names its file, or is ours, stays as it is."""
    for error, named in (
        (OSError(28, "No space left on device"), str(tmp_path / "a")),
        (PermissionError(13, "Permission denied", "b"), "b"),
        (UnreadableAudio("c: empty"), None),
    ):
        with pytest.raises(type(error)) as raised, writing(tmp_path / "a"):
            raise error
        assert raised.value.filename == named
    assert not list(tmp_path.iterdir())


def test_written_files_have_ordinary_modes(tmp_path):
    (tmp_path / "plain").touch()
    with writing(tmp_path / "a"):
        pass
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "a")}
    assert len(modes) == 1


def test_importing_the_package_is_light():
    code = "import sys, mirclr.provenance; print(sum(m.split('.')[0] in ('torch', 'numpy') for m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "0\n"


def test_the_commit_of_this_checkout():
    root = Path(mirclr.__file__).parents[1]
    if not (root / ".git").exists():
        assert provenance.stamp()["commit"] is None
        return
    head = subprocess.run(["git", "-C", root, "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout
    assert head.startswith((provenance.stamp()["commit"] or "").removesuffix("+"))
