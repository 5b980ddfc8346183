"""``mirclr corpus``: the corpora that are known, fetched or read."""

import sys
from pathlib import Path

import click

from mirclr.cli import options
from mirclr.cli.options import as_json, path_option
from mirclr.cli.show import closing, is_terminal, print_json, print_line, print_table, progress, remark
from mirclr.terminal import counted


@click.group(epilog="Example: mirclr corpus fetch debian-games/demo")
def command() -> None:
    """List the corpora that mirclr knows, and obtain them."""


@command.command("list", epilog="Example: mirclr corpus list")
@as_json
def list_corpora(as_json: bool) -> None:
    """List the corpora with their licences and how to obtain them."""
    from dataclasses import asdict

    from mirclr.data.corpora import find_manifest, known_corpora
    from mirclr.errors import CorpusError

    def place(name: str) -> str | None:
        try:
            return str(find_manifest(name)[0])
        except CorpusError:
            return None

    corpora = known_corpora()
    if as_json:
        print_json([{**asdict(c), "manifest": place(c.name)} for c in corpora])
        return
    rows = []
    for corpus in corpora:
        use = "for measuring only" if corpus.measuring_only else "for training and measuring"
        for name in (corpus.name, *(f"{corpus.name}/{subset}" for subset in corpus.subsets)):
            fetch, read = f"mirclr corpus fetch {name}", f"mirclr corpus read {name} FOLDER -o {name}.jsonl"
            how = fetch if corpus.obtained == "apt" else read
            rows.append((name, corpus.title, corpus.licence, use, how, place(name) or ""))
    if not is_terminal(sys.stdout):
        print_table(("name", "title", "licence", "use", "obtained by", "here"), rows)
        return
    for name, title, licence, use, how, here in rows:
        print_line(f"{name}: {title}")
        print_table((), [(" ", f"{use}; licence: {licence}")])
        print_line(f"   here: {here}" if here else f"   {how}")


@options.formerly({"--to": "--output"})
@command.command(epilog="Example: mirclr corpus fetch debian-games/demo")
@click.argument("name")
@path_option("-o", "--output", folder=True, help="Folder to fetch it to; by default one in your data directory.")
def fetch(name: str, output: Path | None) -> int:
    """Obtain the corpus NAME, and check every digest. What is there already is not fetched again.

    The names are those of `mirclr corpus list`.
    """
    from mirclr.data.corpora import fetch_corpus, package_count

    with progress(f"Fetching {name}", package_count(name)) as advance:
        fetched = fetch_corpus(name, output, advance)
    for line in (*fetched.problems, *fetched.remarks):
        remark(line)
    closing(f"{counted(fetched.tracks, 'track')} in {fetched.audio_root}, listed in {fetched.manifest}")
    if fetched.tracks:
        remark(f"try: {options.command_line('embed', fetched.audio_root, '--manifest', fetched.manifest)}")
    return 1 if fetched.problems else 0


@command.command(epilog="Example: mirclr corpus read gtzan ~/data/gtzan -o gtzan.jsonl")
@click.argument("name")
@click.argument("folder", type=options.HomePath(path_type=Path, exists=True, file_okay=False))
@path_option("-o", "--output", required=True, help="The manifest to write.")
def read(name: str, folder: Path, output: Path) -> None:
    """Read the corpus NAME, as published, from FOLDER into a manifest; its official splits are kept."""
    from mirclr.data.corpora import read_corpus
    from mirclr.data.manifest import write_manifest

    reading = read_corpus(name, folder)
    write_manifest(output, reading.tracks)
    for line in reading.problems:
        remark(line)
    wrong = f"; {counted(len(reading.problems), 'problem')} (named above)" if reading.problems else ""
    closing(f"{counted(len(reading.tracks), 'track')} listed in {output}{wrong}")
