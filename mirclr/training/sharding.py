"""The tracks that a recipe trains on, put into shards: the same tracks, clips and labels, in another form."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mirclr import config, extensions
from mirclr.audio.mel import LogMel
from mirclr.audio.views import Views
from mirclr.data.clips import ClipCache, Skipped, tracks_of
from mirclr.data.sampling import TRAINED_ON, part_of
from mirclr.data.shards import Plan, ShardSet, Written, finish, write_shards
from mirclr.errors import RecipeError
from mirclr.storage import Folder
from mirclr.training.label_file import label_tracks_by_file, with_label_field


@dataclass(frozen=True)
class Sharding:
    """What is to be put into shards, and where.

    Attributes
    ----------
    plan : Plan
        Which tracks go into which shard.
    cache : ClipCache
        Where clips are kept meanwhile.
    root : Path
        Folder of the audio files.
    folder : Folder
        Where shards go.
    """

    plan: Plan
    cache: ClipCache
    root: Path
    folder: Folder

    @classmethod
    def of(
        cls,
        recipe: config.Recipe,
        folder: Path,
        output: str,
        *,
        size: int,
        seconds: float | None = None,
        on_note: Callable[[str], None] = lambda note: None,
    ) -> "Sharding":
        """Find the tracks that a recipe trains on.

        Parameters
        ----------
        recipe : config.Recipe
            Its tracks, labels and front end.
        folder : Path
            What its paths are relative to.
        output : str
            A path or URL.
        size : int
            Tracks of a shard.
        seconds : float, optional
            What is kept of each track; by default all.
        on_note : callable
            Called with a line about labels of a file.

        Raises
        ------
        RecipeError
            What it trains on are no tracks of files, or their labels have weights.
        MirclrError
            The manifest or labels cannot be read.
        """
        recipe = with_label_field(recipe, folder)
        extensions.allow_named(recipe.code, folder)
        if recipe.distillation and recipe.distillation.examples:
            raise RecipeError("distillation.examples: examples lie in shards of their own already")
        if seconds is not None and seconds < recipe.audio.clip_seconds:
            raise RecipeError(
                f"{seconds:g} s of a track are less than a clip, which has {recipe.audio.clip_seconds:g} s"
            )
        data = recipe.data
        tracks, root = tracks_of(data.train, folder, audio_root=data.audio_root, splits=TRAINED_ON)
        if data.labels_file and data.labels:
            file = (folder / data.labels_file).expanduser()
            labelled = label_tracks_by_file(tracks, root, file, data.labels, on_note=on_note)
            if labelled.weights is not None:
                raise RecipeError(
                    f"data.labels_file: {data.labels} of a file have weights, which shards do not hold; put them into "
                    "the manifest, or learn from genre, artist or album"
                )
            tracks = labelled.tracks
        plan = Plan.of(part_of(tracks, data.fraction) if data.fraction < 1 else tracks, size, seconds)
        domain = Views(recipe, LogMel.of(recipe.mel, recipe.audio.sample_rate)).takes.domain
        return cls(plan, ClipCache(recipe, domain), root, Folder(output))

    def write(self, part: tuple[int, int] = (0, 1), workers: int | None = None) -> Iterator[Written | Skipped]:
        """Write the shards of this machine; see `mirclr.data.shards.write_shards`."""
        return write_shards(self.plan, self.cache, self.root, self.folder, part=part, workers=workers)

    def finish(self) -> ShardSet | None:
        """Write the index where all shards are there; see `mirclr.data.shards.finish`."""
        return finish(self.plan, self.cache, self.folder)
