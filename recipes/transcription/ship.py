"""Make the ONNX file of a network of notes or of songs: ``ship.py RUN OUT.onnx``."""

import argparse
import json
from pathlib import Path

from safetensors import safe_open

from mirclr.models.transcriber import NoteNetwork, SongNetwork
from mirclr.models.transcriber_export import export_transcriber
from mirclr.provenance import sha256_of


def averaged(run: Path) -> NoteNetwork | SongNetwork:
    """The network of a run, by the average of its weights; its settings show which kind it is."""
    with safe_open(run / "average.safetensors", framework="pt") as file:
        settings = json.loads(file.metadata()["settings"])
        network: NoteNetwork | SongNetwork = (
            SongNetwork(**settings) if "layers" in settings else NoteNetwork(**settings)
        )
        network.load_state_dict({key: file.get_tensor(key) for key in file.keys()})  # noqa: SIM118
    return network.eval()


def main() -> None:
    """Write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    asked = parser.parse_args()
    facts = {"weights": sha256_of(asked.run / "average.safetensors")}
    export_transcriber(averaged(asked.run), asked.out, facts)
    print(asked.out, f"{asked.out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
