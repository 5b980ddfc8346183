"""Pictures of every kind of container, written by mutagen and FFmpeg; smaller ones; what is no image."""

import base64
import io

import mutagen
import mutagen.apev2
import mutagen.asf
import mutagen.flac
import mutagen.id3
import mutagen.mp4
import numpy as np
import pytest
from PIL import Image

from mirclr.audio.thumbnails import shrink
from mirclr.tags.pictures import media_type_of, read_pictures
from tests.tagged_files import FILES, a_file, frame, id3, mp3


def image(colour=(200, 30, 30), side=64, kind="PNG", mode="RGB"):
    data = io.BytesIO()
    Image.new("RGB", (side, side // 2), colour).convert(mode).save(data, kind)
    return data.getvalue()


FRONT, BACK = image((200, 30, 30)), image((30, 30, 200))


def flac_picture(data, kind=3):
    made = mutagen.flac.Picture()
    made.type, made.mime, made.data, made.desc = kind, "text/html", data, "a — description"
    return made


def apic(kind, data, description="D"):
    return mutagen.id3.APIC(encoding=1, mime="image/png", type=kind, desc=description, data=data)


def asf_picture(data, kind=3):
    text = "image/png".encode("utf-16-le") + bytes(2) + "D".encode("utf-16-le") + bytes(2)
    return mutagen.asf.ASFByteArrayAttribute(bytes((kind,)) + len(data).to_bytes(4, "little") + text + data)


def put(path):
    """Two pictures into a file, the back cover first, by mutagen."""
    file = mutagen.File(path)
    if isinstance(file.tags, mutagen.mp4.MP4Tags) or path.suffix == ".m4a":
        file["covr"] = [mutagen.mp4.MP4Cover(FRONT), mutagen.mp4.MP4Cover(BACK)]
    elif path.suffix == ".wma":
        file["WM/Picture"] = [asf_picture(BACK, 4), asf_picture(FRONT)]
    elif path.suffix == ".flac":
        file.add_picture(flac_picture(BACK, 4))
        file.add_picture(flac_picture(FRONT))
    elif path.suffix in (".ogg", ".opus"):
        pictures = (flac_picture(BACK, 4), flac_picture(FRONT))
        file["metadata_block_picture"] = [base64.b64encode(p.write()).decode() for p in pictures]
    elif path.suffix == ".wv":
        for name, data in (("Back", BACK), ("Front", FRONT)):
            value = mutagen.apev2.APEValue(f"{name}.png".encode() + b"\0" + data, mutagen.apev2.BINARY)
            file[f"Cover Art ({name})"] = value
    else:
        if file.tags is None:
            file.add_tags()
        file.tags.add(apic(4, BACK, "other"))
        file.tags.add(apic(3, FRONT))
    file.save()


@pytest.mark.parametrize(
    "name",
    ["mp3, no tag", "flac", "ogg vorbis", "opus", "wav", "aiff", "m4a", "alac", "wma", "wavpack", "tta", "dsf"],
)
def test_the_front_cover_comes_first_in_every_container(tmp_path, name):
    path = a_file(tmp_path, name)
    assert read_pictures(path) == []
    put(path)
    assert [p.data for p in read_pictures(path)] == [FRONT, BACK]
    assert read_pictures(path)[0].media_type == "image/png"  # whatever the tag says


def test_pictures_of_older_and_of_unsynchronised_tags(tmp_path):
    data = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 3 + b"\xff\0\xff\xf0"  # nothing but its beginning is a JPEG
    safe = data.replace(b"\xff", b"\xff\0")
    cases = {
        "2.2": id3(2, frame(b"PIC", b"\0JPG\3D\0" + data, 2)),
        "2.3": id3(3, frame(b"APIC", b"\1-->\0\3\xff\xfeD\0\0\0" + data)),
        "2.3 unsynchronised": id3(3, frame(b"APIC", b"\0image/jpeg\0\3\0" + safe), flags=128),
        "2.4 unsynchronised": id3(4, frame(b"APIC", b"\0image/jpeg\0\3\0" + safe, 4), flags=128),
    }
    for name, tag in cases.items():
        path = tmp_path / "a.mp3"
        path.write_bytes(tag + mp3(tmp_path / "made.mp3"))
        if name == "2.3 unsynchronised":  # whose sizes are those before it was unsynchronised
            body = frame(b"APIC", b"\0image/jpeg\0\3\0" + data)
            path.write_bytes(id3(3, body.replace(b"\xff", b"\xff\0"), flags=128) + mp3(tmp_path / "made.mp3"))
        assert [p.data for p in read_pictures(path)] == [data], name


def test_what_is_no_image_is_none(tmp_path):
    path = a_file(tmp_path, "flac")
    file = mutagen.File(path)
    for data in (b"<svg onload='alert(1)'/>", b"<html>", b"", b"RIFF\0\0\0\0WAVE"):
        file.add_picture(flac_picture(data))
        assert media_type_of(data) is None
    file.save()
    assert read_pictures(path) == []


@pytest.mark.parametrize("name", list(FILES))
def test_damaged_files_give_what_they_can(tmp_path, name):
    path = a_file(tmp_path, name)
    data = path.read_bytes()
    for cut in (1, 20, 100, 1000, len(data) // 2):
        path.write_bytes(data[:cut])
        read_pictures(path)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP"])
def test_pictures_are_made_smaller(kind):
    data = image((10, 200, 30), 600, kind)
    small = Image.open(io.BytesIO(shrink(data, media_type_of(data), 150)))
    assert (small.format, small.size) == ("JPEG", (150, 75))
    assert np.abs(np.asarray(small.convert("RGB"), int) - (10, 200, 30)).max() < 12
    assert shrink(data, media_type_of(data), 600) is None  # it is no larger


def test_what_is_transparent_becomes_white():
    data = io.BytesIO()
    Image.new("RGBA", (400, 400), (0, 0, 0, 0)).save(data, "PNG")
    small = Image.open(io.BytesIO(shrink(data.getvalue(), "image/png", 100)))
    assert np.asarray(small.convert("L")).min() > 245


def test_what_cannot_be_made_smaller_is_left():
    bomb = image(side=64)[:16] + (100_000).to_bytes(4, "big") * 2 + image(side=64)[24:]
    for data, kind in ((b"\xff\xd8\xff", "image/jpeg"), (bomb, "image/png"), (b"", "image/gif"), (b"x", "image/avif")):
        assert shrink(data, kind, 32) is None


def test_an_attachment_of_matroska_is_a_picture(tmp_path):
    path = tmp_path / "a.mka"

    def element(number, data):
        return number + (0x10000000 | len(data)).to_bytes(4, "big") + data

    def attached(name, data):
        parts = element(b"\x46\x6e", name) + element(b"\x46\x60", b"text/html") + element(b"\x46\x5c", data)
        return element(b"\x61\xa7", parts)

    attachments = element(b"\x19\x41\xa4\x69", attached(b"notes.txt", b"hello") + attached(b"Cover.png", FRONT))
    path.write_bytes(b"\x1a\x45\xdf\xa3\x80" + element(b"\x18\x53\x80\x67", attachments))
    assert [(p.data, p.media_type) for p in read_pictures(path)] == [(FRONT, "image/png")]
