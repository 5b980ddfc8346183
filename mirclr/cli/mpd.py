"""What becomes of a list that is to be played by an MPD; an option that several commands share."""

from typing import TYPE_CHECKING, Any

import click

from mirclr.cli.show import remark
from mirclr.errors import PlayerError
from mirclr.terminal import counted

if TYPE_CHECKING:
    from mirclr.recommend import Answer
    from mirclr.recommend.mpd import MpdAddress

_NAMED = 3  # songs that are named of those that it does not hold


class _Address(click.ParamType):
    """An address as `mirclr.recommend.mpd.MpdAddress` reads it."""

    name = "host"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from mirclr.recommend.mpd import MpdAddress

        if isinstance(value, MpdAddress):
            return value
        try:
            return MpdAddress.parse(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


mpd_option = click.option(
    "--mpd",
    type=_Address(),
    metavar="HOST[:PORT]",
    help="Append the list to the queue of this MPD, by the place of each song in its music folder.",
)


def queue_answer(answer: "Answer", address: "MpdAddress") -> None:
    """Append recommendations to the queue of an MPD."""
    from mirclr.recommend.mpd import append_to_mpd

    tracks = [r.track for r in answer.recommendations]
    if not tracks:
        remark(f"nothing is sent to MPD at {address}, as nothing was found")
        return
    missing = append_to_mpd(address, tracks)
    if len(missing) == len(tracks):
        raise PlayerError(
            f"MPD at {address} holds none of these songs; its music folder must be the one that they are in, and what "
            "is new there be scanned: mpc update"
        )
    remark(f"appended {counted(len(tracks) - len(missing), 'song')} to the queue of MPD at {address}")
    if missing:
        some = "; ".join(track.label for track in missing[:_NAMED]) + ("; …" if len(missing) > _NAMED else "")
        remark(f"it does not hold {counted(len(missing), 'song')} ({some}); to let it look for what is new: mpc update")
