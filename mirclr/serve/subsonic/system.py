"""The service itself: what it can, who asks, its folders; and empty answers of what mirclr has nothing of."""

from pathlib import PurePath

from mirclr.serve.subsonic.asked import Asked
from mirclr.serve.subsonic.protocol import NOT_ALLOWED, Failure, Values
from mirclr.terminal import shown

EXTENSIONS = {"apiKeyAuthentication": [1], "formPost": [1], "sonicSimilarity": [1], "transcodeOffset": [1]}


def ping(asked: Asked) -> Values:
    """Nothing but that it is there."""
    return {}


def get_license(asked: Asked) -> Values:
    """It is free."""
    return {"license": {"valid": True}}


def get_extensions() -> Values:
    """The extensions of OpenSubsonic that are there; asked without a password too."""
    found = [{"name": name, "versions": versions} for name, versions in EXTENSIONS.items()]
    return {"openSubsonicExtensions": found}


def token_info(asked: Asked) -> Values:
    """Whose the key is."""
    return {"tokenInfo": {"username": shown(asked.listener)}}


def get_music_folders(asked: Asked) -> Values:
    """The folders that were embedded."""
    found = [{"id": i, "name": shown(PurePath(root).name or root)} for i, root in asked.folders.items()]
    return {"musicFolders": {"musicFolder": found}}


def get_user(asked: Asked) -> Values:
    """Who asks; of others nothing is shown."""
    if asked.given.text("username", asked.listener) != asked.listener:
        raise Failure(NOT_ALLOWED, "of other users nothing is said")
    return {"user": _user(asked)}


def get_users(asked: Asked) -> Values:
    """Who asks."""
    return {"users": {"user": [_user(asked)]}}


def _user(asked: Asked) -> Values:
    writes = not asked.service.settings.read_only
    roles = {
        "streamRole": True,
        "downloadRole": True,
        "coverArtRole": False,
        "playlistRole": writes,
        **dict.fromkeys(("adminRole", "settingsRole", "uploadRole", "commentRole", "podcastRole"), False),
        **dict.fromkeys(("jukeboxRole", "shareRole", "videoConversionRole"), False),
    }
    return {"username": shown(asked.listener), "scrobblingEnabled": writes, **roles, "folder": list(asked.folders)}


def get_scan_status(asked: Asked) -> Values:
    """How many songs there are; what embeds them is no matter of players."""
    return {"scanStatus": {"scanning": False, "count": len(asked.discography.album_of)}}


NOTHING: dict[str, Values] = {
    "getBookmarks": {"bookmarks": {}},
    "getChatMessages": {"chatMessages": {}},
    "getInternetRadioStations": {"internetRadioStations": {}},
    "getLyrics": {"lyrics": {}},
    "getNewestPodcasts": {"newestPodcasts": {}},
    "getPlayQueue": {},
    "getPodcasts": {"podcasts": {}},
    "getShares": {"shares": {}},
    "getVideos": {"videos": {}},
}
"""What players ask for as they begin, and mirclr has nothing of."""
