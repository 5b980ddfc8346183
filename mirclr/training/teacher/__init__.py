"""Teachers: networks whose label distributions and embeddings a student learns from.

Two kinds: a checkpoint of mirclr with heads, and musicnn, published, whose weights are not shipped:
``mirclr teacher import`` obtains them once, and everything after works offline. A teacher is asked about a corpus once
(`label_tracks`), or about the very clips of each batch (`online_teacher`).
"""

from mirclr.training.teacher.encoder import EncoderTeacher, load_encoder_teacher
from mirclr.training.teacher.labelling import OnlineTeacher, Told, label_tracks, load_teacher, online_teacher
from mirclr.training.teacher.musicnn import import_musicnn, load_musicnn
from mirclr.training.teacher.protocol import Teacher

__all__ = [
    "EncoderTeacher",
    "OnlineTeacher",
    "Teacher",
    "Told",
    "import_musicnn",
    "label_tracks",
    "load_encoder_teacher",
    "load_musicnn",
    "load_teacher",
    "online_teacher",
]
