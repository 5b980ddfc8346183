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
        "id3": ("tcon", "txxx:genre"),
        "id3v1": ("genre",),
        "text": ("genre",),
        "mp4": ("©gen", "gnre", _APPLE + "genre"),
        "asf": ("wm/genre", "genre"),
        "info": ("ignr", "genr"),
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
    "track": {
        "id3": ("trck",),
        "id3v1": ("track",),
        "text": ("tracknumber", "track", "part_number"),  # the last as FFmpeg writes it into Matroska
        "mp4": ("trkn",),
        "asf": ("wm/tracknumber",),
        "info": ("iprt", "itrk"),
    },
    "disc": {
        "id3": ("tpos",),
        "text": ("discnumber", "disc", "disk"),
        "mp4": ("disk",),
        "asf": ("wm/partofset",),
    },
    "comment": {
        "id3": ("comm",),
        "id3v1": ("comment",),
        "text": ("comment", "description"),
        "info": ("icmt",),
        "aiff": ("anno",),
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
        "asf": ("wm/mood", "mood"),
    },
    "bpm": {
        "id3": ("tbpm", "txxx:bpm", "txxx:tempo"),
        "text": ("bpm", "tempo"),
        "mp4": ("tmpo", _APPLE + "bpm", _APPLE + "tempo"),
        "asf": ("wm/beatsperminute", "bpm"),
    },
    "key": {
        "id3": ("tkey", "txxx:initialkey", "txxx:initial key", "txxx:key"),
        "text": ("initialkey", "initial key", "initial_key", "key"),
        "mp4": (_APPLE + "initialkey", _APPLE + "initial key", _APPLE + "key"),
        "asf": ("wm/initialkey", "initialkey", "key"),
    },
}


CARRIED = ("title", "artist", "album", "album_artist", "year", "track", "disc", "comment", *WRITABLE)
"""Fields that a new tag takes over from those that a file has, as programs look at the best tag of a file alone."""


def names_of(field: str, family: str) -> tuple[str, ...]:
    """Where a field may stand in a family of tags; empty where that has no such field."""
    return NAMES[field].get(family, ())
