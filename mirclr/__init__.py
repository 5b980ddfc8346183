"""mirclr learns which music sounds similar, from music without labels, and makes that useful.

    import mirclr

    encoder = mirclr.load_encoder()
    v = encoder.embed_file("song.mp3")                   # (768,) float32, unit length
    mirclr.classify("song.mp3").genre                    # label -> probability

    with mirclr.Library.open("lib.db", create=True) as library:
        library.embed(["~/Music"])
        for r in library.recommend("Nils Frahm", n=20, year=(1990, 2020)):
            print(r.track.label, r.match, r.reason)

The packages, in pipeline order, are described in ARCHITECTURE.md. Importing this one imports neither torch nor numpy:
each name is loaded when it is first asked for.
"""

from importlib import import_module

from mirclr.version import __version__

TYPE_CHECKING = False  # as of typing, whose import would take longer than all of this; checkers know the name

if TYPE_CHECKING:
    from mirclr import audio, errors, objectives, sklearn
    from mirclr.api import EmbedReport, Library
    from mirclr.classify import Prediction, classify
    from mirclr.extensions import allow_code
    from mirclr.models.encoding import Encoder, load_encoder
    from mirclr.recommend import Answer, Query, Recommendation
    from mirclr.training.train import TrainingResult, train
    from mirclr.transcription import Notes, transcribe

__all__ = [
    "Answer",
    "EmbedReport",
    "Encoder",
    "Library",
    "Notes",
    "Prediction",
    "Query",
    "Recommendation",
    "TrainingResult",
    "__version__",
    "allow_code",
    "audio",
    "classify",
    "errors",
    "load_encoder",
    "objectives",
    "sklearn",
    "train",
    "transcribe",
]

_FROM = {
    "Answer": "mirclr.recommend",
    "EmbedReport": "mirclr.api",
    "Encoder": "mirclr.models.encoding",
    "Library": "mirclr.api",
    "Notes": "mirclr.transcription",
    "Prediction": "mirclr.classify",
    "Query": "mirclr.recommend",
    "Recommendation": "mirclr.recommend",
    "TrainingResult": "mirclr.training.train",
    "allow_code": "mirclr.extensions",
    "load_encoder": "mirclr.models.encoding",
    "train": "mirclr.training.train",
    "transcribe": "mirclr.transcription",
}
_MODULES = ("audio", "classify", "errors", "objectives", "sklearn")  # of which classify can be called too


if not TYPE_CHECKING:  # a checker sees the names above, and that there are no others

    def __getattr__(name: str) -> object:
        if name in _MODULES:
            return import_module(f"mirclr.{name}")
        if name not in _FROM:
            raise AttributeError(f"module 'mirclr' has no attribute {name!r}")
        globals()[name] = value = getattr(import_module(_FROM[name]), name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
