"""Whether two files hold the same audio: by their packets, in a process of its own where many files are compared."""

from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from mirclr.audio.packets import packets_digest
from mirclr.errors import MirclrError, TagsError, is_fault_of_machine
from mirclr.processes import Pool, begin_worker

Compare = Callable[[Path, Path, str], None]


def compare(file: Path, copy: Path, demuxer: str) -> None:
    """Check that a copy has the packets of a file.

    Raises
    ------
    TagsError
        It has others, or none can be read.
    """
    try:
        before = packets_digest(file, demuxer)
    except MirclrError as error:
        raise TagsError("its sound cannot be read, so nothing shows that it would stay") from error
    if packets_digest(copy, demuxer) != before:
        raise TagsError("its sound would not be what it was")


class PacketComparer:
    """`compare` in a process of its own, as a damaged file may crash a demuxer."""

    def __init__(self) -> None:
        self._pool: Pool | None = None

    def __call__(self, file: Path, copy: Path, demuxer: str) -> None:
        """As `compare`."""
        self._pool = self._pool or Pool(1, begin_worker)
        try:
            self._pool.submit(compare, file, copy, demuxer).result()
        except Exception as error:
            if isinstance(error, MirclrError) or is_fault_of_machine(error):
                raise
            self.close()
            raise TagsError("its sound cannot be read, so nothing shows that it would stay") from error

    def close(self) -> None:
        """End the process."""
        if self._pool:
            self._pool.close()
            self._pool = None

    def __enter__(self) -> "PacketComparer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
