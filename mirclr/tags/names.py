"""Under which names the fields that mirclr knows stand in each family of tags, in lower case, the first preferred."""

WRITABLE = ("genre", "mood", "bpm", "key")
"""Fields that can be written. A tempo is written as a whole number, as ID3 and MP4 want it."""

_APPLE = "----:com.apple.itunes:"

NAMES: dict[str, dict[str, tuple[str, ...]]] = {
    "title": {
        "id3": ("tit2",),
        "id3v1": ("title",),
        "text": ("title",),
        "mp4": ("©nam",),
        "asf": ("title",),
        "info": ("inam",),
        "aiff": ("name",),
    },
    "artist": {
        "id3": ("tpe1",),
        "id3v1": ("artist",),
        "text": ("artist",),
        "mp4": ("©art",),
        "asf": ("author",),
        "info": ("iart",),
        "aiff": ("auth",),
    },
    "album": {
        "id3": ("talb",),
        "id3v1": ("album",),
        "text": ("album",),
        "mp4": ("©alb",),
        "asf": ("wm/albumtitle",),
        "info": ("iprd",),
    },
    "album_artist": {
        "id3": ("tpe2", "txxx:album artist", "txxx:albumartist"),
        "text": ("albumartist", "album artist", "album_artist"),
        "mp4": ("aart",),
        "asf": ("wm/albumartist",),
    },
    "genre": {
        "id3": ("tcon",),
        "id3v1": ("genre",),
        "text": ("genre",),
        "mp4": ("©gen", "gnre"),
        "asf": ("wm/genre",),
        "info": ("ignr",),
    },
    "first_year": {
        "id3": ("tdor", "tory", "txxx:originaldate", "txxx:originalyear", "txxx:origyear"),
        "text": ("originaldate", "originalyear", "origyear"),
        "mp4": (_APPLE + "originaldate", _APPLE + "originalyear", _APPLE + "origyear"),
        "asf": ("wm/originalreleaseyear", "wm/originalreleasetime"),
    },
    "year": {
        "id3": ("tdrc", "tyer", "tdrl"),
        "id3v1": ("year",),
        "text": ("date", "year", "date_released"),
        "mp4": ("©day",),
        "asf": ("wm/year",),
        "info": ("icrd",),
    },
    "compilation": {
        "id3": ("tcmp", "txxx:compilation"),
        "text": ("compilation",),
        "mp4": ("cpil",),
        "asf": ("wm/iscompilation",),
    },
    # most programs read INITIALKEY (Mixxx, beets), Picard writes KEY
    "mood": {
        "id3": ("tmoo", "txxx:mood"),
        "text": ("mood",),
        "mp4": (_APPLE + "mood",),
        "asf": ("wm/mood",),
    },
    "bpm": {
        "id3": ("tbpm", "txxx:bpm", "txxx:tempo"),
        "text": ("bpm", "tempo"),
        "mp4": ("tmpo", _APPLE + "bpm"),
        "asf": ("wm/beatsperminute",),
    },
    "key": {
        "id3": ("tkey", "txxx:initialkey", "txxx:key"),
        "text": ("initialkey", "key"),
        "mp4": (_APPLE + "initialkey", _APPLE + "key"),
        "asf": ("wm/initialkey",),
    },
}


def names_of(field: str, family: str) -> tuple[str, ...]:
    """Where a field may stand in a family of tags; empty where that has no such field."""
    return NAMES[field].get(family, ())
