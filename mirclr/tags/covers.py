"""A cover into a file that was just written, such as a converted copy; a person's own files are spliced instead."""

import base64
from pathlib import Path
from typing import Any

from mirclr.tags.pictures import FRONT, Picture

COVERED = ("flac", "m4a", "mp3", "opus")
"""Kinds of files that can hold a cover, by the end of a file's name."""
_IN_MP4 = {"image/jpeg": 13, "image/png": 14}


def add_cover(path: Path, kind: str, picture: Picture) -> None:
    """Put a picture into a file as its front cover; of a kind that holds none, or not this image, it stays as it is.

    Parameters
    ----------
    path : Path
        Its name may end in anything.
    kind : str
        What it is: of `COVERED`, or another.
    picture : Picture
        An image.

    Raises
    ------
    mutagen.MutagenError
        It could not be written; the file may be damaged.
    """
    if kind == "mp3":
        from mutagen.id3 import APIC, ID3

        tag = ID3(path)
        tag.add(APIC(encoding=0, mime=picture.media_type, type=FRONT, desc="", data=picture.data))
        tag.save(path)
    elif kind == "m4a" and picture.media_type in _IN_MP4:
        from mutagen.mp4 import MP4, MP4Cover

        movie = MP4(path)
        movie["covr"] = [MP4Cover(picture.data, _IN_MP4[picture.media_type])]
        movie.save()
    elif kind == "flac":
        from mutagen.flac import FLAC

        stream = FLAC(path)
        stream.add_picture(_block(picture))
        stream.save()
    elif kind == "opus":
        from mutagen.oggopus import OggOpus

        comments = OggOpus(path)
        comments["metadata_block_picture"] = [base64.b64encode(_block(picture).write()).decode("ascii")]
        comments.save()


def _block(picture: Picture) -> Any:
    """A picture as FLAC has it."""
    from mutagen.flac import Picture as Block

    block = Block()
    block.type, block.mime, block.data = FRONT, picture.media_type, picture.data
    return block
