"""Artists, albums, songs and genres, by tags; and the same for players that browse by folders."""

from pathlib import PurePath

from mirclr.library.discography import Artist
from mirclr.serve.subsonic import items
from mirclr.serve.subsonic.asked import Asked
from mirclr.serve.subsonic.protocol import NOT_FOUND, Failure, Values
from mirclr.terminal import shown

ARTICLES = "The Die Der Das Les Le La Los Las El Il Gli Het"


def shown_artists(asked: Asked, root: str | None = None) -> list[Artist]:
    """All artists, of a folder or of the one that is asked about."""
    artists, root = asked.discography.artists.values(), root or asked.root
    if root is None:
        return list(artists)
    albums = {album.key for album in asked.discography.albums.values() if album.root == root}
    return [artist for artist in artists if not albums.isdisjoint(artist.albums)]


def get_artists(asked: Asked) -> Values:
    """All artists, by letters."""
    return {"artists": {"ignoredArticles": ARTICLES, "index": items.indexes(asked, shown_artists(asked))}}


def get_indexes(asked: Asked) -> Values:
    """The same for players that browse by folders; nothing where no album came since a time that is given."""
    newest = max((album.since_s for album in asked.discography.albums.values()), default=0.0)
    modified = int(1000 * newest) + asked.library.tracks_version[1] % 1000
    found = [] if modified <= asked.given.number("ifModifiedSince", -1, least=-1) else shown_artists(asked)
    index = items.indexes(asked, found)
    return {"indexes": {"lastModified": modified, "ignoredArticles": ARTICLES, "index": index}}


def get_artist(asked: Asked) -> Values:
    """An artist with the albums."""
    artist = asked.artist()
    albums = [items.album(asked, asked.discography.album(key)) for key in artist.albums]
    return {"artist": items.artist(asked, artist) | {"album": albums}}


def get_album(asked: Asked) -> Values:
    """An album with its songs."""
    album = asked.album()
    songs = items.songs(asked, asked.library.tracks(album.tracks))
    return {"album": items.album(asked, album) | {"song": songs}}


def get_song(asked: Asked) -> Values:
    """A song."""
    return {"song": items.songs(asked, [asked.track()])[0]}


def get_music_directory(asked: Asked) -> Values:
    """What is in an artist, or in an album, as if these were folders."""
    text = asked.given.needed("id")
    if text.startswith("ar-"):
        artist = asked.artist()
        albums = [items.album_as_folder(asked, asked.discography.album(key)) for key in artist.albums]
        values = items.artist(asked, artist)
        return {"directory": {"id": values["id"], "name": values["name"], "child": albums}}
    if text.startswith("al-"):
        album = asked.album()
        songs = items.songs(asked, asked.library.tracks(album.tracks))
        values = items.album(asked, album)
        return {"directory": {"id": values["id"], "name": values["name"], "parent": values["artistId"], "child": songs}}
    if text.isdecimal() and int(text) in asked.folders:  # as players that begin at the folders ask
        artists = [items.artist_as_folder(asked, artist) for artist in shown_artists(asked, asked.folders[int(text)])]
        name = shown(PurePath(asked.folders[int(text)]).name)
        return {"directory": {"id": text, "name": name, "child": artists}}
    raise Failure(NOT_FOUND, "no folder has this id")


def get_genres(asked: Asked) -> Values:
    """The genres of tags, each with how many songs and albums are of it."""
    found = [
        {"value": shown(name), "songCount": songs, "albumCount": albums}
        for name, (songs, albums) in asked.discography.genres.items()
    ]
    return {"genres": {"genre": found}}
