"""``make demo-cluster``: `mirclr demo` with its music embedded by Ray, its neighbours found by a server of Milvus Lite.

All of it is on this machine, in processes of its own: what is typed on a cluster is the same, but for the addresses.
"""

import argparse
import shlex
import subprocess
import sys
from pathlib import Path

from tests.servers import MilvusServer, missing, running


def mirclr(*arguments: object) -> None:
    """Run a command, and show it before what it prints."""
    words = list(map(str, arguments))
    print(f"$ mirclr {shlex.join(words)}", flush=True)
    done = subprocess.run([sys.executable, "-m", "mirclr", *words])
    if done.returncode:
        sys.exit(done.returncode)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.demo_cluster", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the vectors and the library are written")
    folder = parser.parse_args().folder
    if lacks := missing("ray", "pymilvus", "milvus_lite"):
        sys.exit(f"not installed: {', '.join(lacks)}; install them with: pip install 'mirclr[ray,milvus]'")
    from mirclr.data.corpora import fetch_corpus

    folder.mkdir(parents=True, exist_ok=True)
    vectors, library = folder / "vectors", folder / "library.db"
    manifest = fetch_corpus("debian-games/demo").manifest
    mirclr("embed", manifest, "--on", "ray", "--workers", 2, "-o", vectors)
    mirclr("library", "import", vectors, "--library", library)
    with running(MilvusServer) as server:
        index = f"{server.uri}/demo"
        mirclr("index", "push", "--library", library, "--index", index)
        mirclr("demo", "--library", library, "--index", index, "--output", folder / "playlist.m3u8")


if __name__ == "__main__":
    main()
