"""Teachers: networks whose tags, embeddings and features a student learns from.

In: log-mel or samples (B, ...) of clips. Out: logits (B, C), embeddings (B, D) and features, which distillation makes
soft targets and regression targets of. Two kinds: a checkpoint of mirclr with heads, such as the built-in one, and
musicnn, published, whose weights are not shipped: ``mirclr teacher import`` obtains them once, and everything after
works offline. A teacher labels a corpus once (`label_tracks`), or the very clips of each batch (`online_teacher`).
"""

from mirclr.training.teacher.encoder import EncoderTeacher, load_encoder_teacher
from mirclr.training.teacher.labelling import LabelledTrack, OnlineTeacher, label_tracks, load_teacher, online_teacher
from mirclr.training.teacher.musicnn import import_musicnn, load_musicnn
from mirclr.training.teacher.protocol import Teacher

__all__ = [
    "EncoderTeacher",
    "LabelledTrack",
    "OnlineTeacher",
    "Teacher",
    "import_musicnn",
    "label_tracks",
    "load_encoder_teacher",
    "load_musicnn",
    "load_teacher",
    "online_teacher",
]
