import importlib
import re
import subprocess
import sys
import tomllib
import zipfile
from email.parser import Parser
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import mirclr

ROOT = Path(mirclr.__file__).parents[1]
pytestmark = pytest.mark.skipif(not (ROOT / "pyproject.toml").is_file(), reason="not a checkout")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=True)
    (file,) = folder.iterdir()
    with zipfile.ZipFile(file) as opened:
        yield opened


def test_the_wheel_holds_the_package_and_what_it_ships(wheel):
    names = set(wheel.namelist())
    modules = {f"mirclr/{f.relative_to(ROOT / 'mirclr').as_posix()}" for f in (ROOT / "mirclr").rglob("*.py")}
    plugins = {name for name in modules if name.startswith("mirclr/plugins/")}  # these lie beside the package
    assert modules - plugins <= names
    assert {name.removeprefix("mirclr/plugins/") for name in plugins} <= names
    shipped = {
        f"mirclr/_{top}/{file.relative_to(ROOT / top).as_posix()}"
        for top in ("data_manifests", "recipes")
        for file in (ROOT / top).rglob("*")
        if file.suffix in (".jsonl", ".md", ".yaml", ".json") and "runs" not in file.parts
    }
    assert len(shipped) > 10
    assert shipped <= names
    page = ROOT / "mirclr" / "serve" / "page"
    files = {f"mirclr/serve/page/{file.relative_to(page).as_posix()}" for file in page.rglob("*") if file.is_file()}
    assert "mirclr/serve/page/index.html" in files
    assert files <= names


def test_the_wheel_holds_nothing_else(wheel):
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert tops == {"mirclr", "beetsplug", f"mirclr-{mirclr.__version__}.dist-info"}
    assert [name for name in wheel.namelist() if name.startswith("beetsplug/")] == ["beetsplug/mirclr.py"]
    unwanted = {n for n in wheel.namelist() if n.endswith((".ogg", ".wav", ".pyc", ".safetensors", ".onnx", ".db"))}
    kinds = ("safetensors", "onnx", "heads.safetensors")
    transcribers = {f"mirclr/models/pretrained/{kind}.onnx" for kind in ("notes", "song")}
    assert unwanted == {f"mirclr/models/pretrained/builtin.{kind}" for kind in kinds} | transcribers
    assert sum(i.file_size for i in wheel.infolist() if i.filename in transcribers) < 4e6
    encoder = [
        i.file_size for i in wheel.infolist() if i.filename in (f"mirclr/models/pretrained/builtin.{k}" for k in kinds)
    ]
    assert sum(encoder) < 12.5e6
    assert sum(info.file_size for info in wheel.infolist()) < 23e6


def test_the_wheel_names_its_command_licence_and_version(wheel):
    info = f"mirclr-{mirclr.__version__}.dist-info"
    assert "mirclr = mirclr.__main__:start" in wheel.read(f"{info}/entry_points.txt").decode()
    facts = Parser().parsestr(wheel.read(f"{info}/METADATA").decode())
    assert (facts["Name"], facts["Version"], facts["License-Expression"]) == ("mirclr", mirclr.__version__, "MIT")
    assert f"{info}/licenses/LICENSE" in wheel.namelist()


def test_the_package_runs_from_the_wheel_alone(wheel, tmp_path):
    """What it ships is found inside it, where no checkout lies beside it."""
    wheel.extractall(tmp_path)
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "import mirclr; from mirclr.provenance import shipped_dir\n"
        "print(mirclr.__file__)\nprint(shipped_dir('recipes'))\nprint(shipped_dir('data_manifests'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert all(line.startswith(str(tmp_path)) for line in done.stdout.splitlines())
    assert done.stdout.count("\n") == 3


def test_the_changelog_tops_with_this_version():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    releases = [name for name in re.findall(r"^## \[([^\]]+)\]", text, re.MULTILINE) if name != "Unreleased"]
    assert releases[0] == mirclr.__version__
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'version = "{mirclr.__version__}"' in pyproject


def test_the_architecture_names_the_rooms_on_a_few_pages():
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    assert text.count("\n") < 250  # one of them on how it grows
    rooms = {p.stem for p in (ROOT / "mirclr").glob("*.py") if not p.stem.startswith("__")}
    rooms |= {p.parent.name for p in (ROOT / "mirclr").glob("*/__init__.py")}
    assert {room for room in rooms if not re.search(rf"\b{room}\b", text)} == set()


@pytest.mark.parametrize("name", ["audio", "classify", "data", "evaluation", "index", "ingest", "library", "models",
                                  "names", "objectives", "recommend", "tags", "training"])  # fmt: skip
def test_a_package_exports_the_names_that_it_lists(name):
    package = importlib.import_module(f"mirclr.{name}")
    assert all(getattr(package, each) is not None for each in package.__all__)
    assert set(package.__all__) <= set(dir(package))
    with pytest.raises(AttributeError, match="nonsense"):
        package.nonsense  # noqa: B018
    assert re.search(r"^In: .+ Out: ", package.__doc__, flags=re.MULTILINE | re.DOTALL)


def test_every_recipe_has_its_files_and_reads():
    from mirclr.config import read_recipe

    folders = [p for p in (ROOT / "recipes").iterdir() if p.is_dir()]
    assert {"smoke", "builtin", "debian_ntxent"} <= {p.name for p in folders}
    for folder in folders:
        if folder.name != "transcription":  # whose networks are no encoders: it has a loop of its own
            assert read_recipe(folder / "recipe.yaml").name == folder.name
        assert (folder / "README.md").is_file(), folder


def test_the_constraints_bind_what_is_needed_and_name_no_place():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [line for name, lines in project["optional-dependencies"].items() if name != "all" for line in lines]
    comment, *lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert comment == "# The versions that were tested; made by: make constraints"
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9a-z.]*", line)] == []
    bound = {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}
    for needed in map(Requirement, (*project["dependencies"], *extras)):
        assert needed.specifier.contains(bound[canonicalize_name(needed.name)]), needed


def test_the_tested_versions_go_together():
    """What `make install` asks of pip can be had: no package needs another version of one than constraints.txt says."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    tested = {canonicalize_name(name): version for name, at, version in (line.partition("==") for line in lines) if at}
    for name in tested:
        try:
            needs = metadata.requires(name) or ()
        except metadata.PackageNotFoundError:
            continue
        for need in map(Requirement, needs):
            version = tested.get(canonicalize_name(need.name))
            if version and (need.marker is None or need.marker.evaluate({"extra": ""})):
                assert need.specifier.contains(version, prereleases=True), f"{name} needs {need}, not {version}"
