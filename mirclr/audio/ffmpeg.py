"""Sources by FFmpeg's libraries, through PyAV: what libsndfile does not know, and what it gives up.

FFmpeg opens one file, as the container that its content shows, and nothing that the file may name.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import soxr

from mirclr.audio.content import DEMUXERS, Content, Part, parts
from mirclr.audio.source import Damage
from mirclr.errors import UnreadableAudio

_PREROLL_S = 0.3  # decoded before what is wanted: Opus, AAC and MP3 carry state from packet to packet
_FAR_S = 10.0  # what is nearer is reached by decoding what is before it
_APART_S = 0.5  # time stamps of neighbours further apart than they last are not to be trusted
_LOST_S = 0.06  # a gap of this size is a loss, where a container states times
_PATIENCE = 100  # errors of a demuxer without a packet between them
_PLANES = 8  # channels that PyAV reaches in a frame; of damage that claims more it reads beyond the memory
# bits of the second and third byte that all frames of one stream have in common
_ALIKE = {"mp3": (0xFE, 0x0C), "aac": (0xFE, 0xFC)}
# of music, by the beginnings of their names; a damaged header may name any other
_CODECS = (
    *("aac", "ac3", "adpcm_", "alac", "als", "amr", "ape", "atrac", "cook", "dca", "dsd_", "eac3", "flac", "gsm"),
    *("mlp", "mp1", "mp2", "mp3", "mpc", "opus", "libopus", "pcm_", "qdm", "ra_", "shorten", "sipr", "speex", "tak"),
    *("truehd", "tta", "vorbis", "wavpack", "wma"),
)
# containers that state how long they are as a fact
_CLAIMING = {"mov", "matroska", "asf", "flac", "ape", "tta", "wv", "mpc8", "dsf", "tak"}


@contextmanager
def open_by_ffmpeg(path: Path, f: BinaryIO, content: Content) -> Iterator["AvSource | Chain"]:
    """Open what `mirclr.audio.content` recognised.

    Raises
    ------
    UnreadableAudio
        It cannot be opened, or none of it decoded.
    """
    import av

    with ExitStack() as stack:
        try:
            links = []
            for part in parts(f, content):
                try:
                    links.append(AvSource(part, content))
                except (av.FFmpegError, NothingDecoded):
                    if len(content.links) == 1:
                        raise
                else:
                    stack.callback(links[-1].close)
            if not links:
                raise NothingDecoded("none of its audio can be decoded")
            yield links[0] if len(links) == 1 else Chain(links)
        except MemoryError:
            raise
        except av.FFmpegError as error:
            raise UnreadableAudio(f"{path}: cannot be decoded ({reason(error)})") from error
        except NothingDecoded as error:
            raise UnreadableAudio(f"{path}: {error}") from error


class NothingDecoded(Exception):
    """There is no audio in a container, or none that can be decoded."""


def reason(error: BaseException) -> str:
    """What a library or the system said."""
    text = str(getattr(error, "error_string", "") or getattr(error, "strerror", "") or error)
    if text.startswith("Error number"):  # one for which FFmpeg has no words
        return "its content is not understood"
    return text.strip().rstrip(".") or type(error).__name__


def open_container(file: Any, demuxer: str, options: dict[str, str]) -> Any:
    """Open a file object as one container of FFmpeg's, which can open nothing else."""
    import av

    if demuxer not in DEMUXERS:
        raise ValueError(f"{demuxer}: not a container that is read")
    return av.open(
        file,
        format=demuxer,
        metadata_errors="replace",
        buffer_size=1 << 16,
        container_options={"protocol_whitelist": "file", **options},
        io_open=_nothing_else,
    )


def _nothing_else(url: str, *_: Any) -> Any:
    raise PermissionError(f"{url}: a file may not open another")


class AvSource:
    """One audio stream of a container.

    All packets are looked at once, which costs no more than reading the file: so its length is known, and whether its
    time stamps can be used for seeking. Where they cannot, all reads decode from the beginning on.
    """

    def __init__(self, part: Part, content: Content) -> None:
        import av

        self._error: type[Exception] = av.FFmpegError
        self._part, self._content = part, content
        self.damage = Damage()
        self._begin = 0.0  # the time of the first frame
        self._position: tuple[int, Iterator[Any]] | None = None  # where reading in order has come
        self._open()
        if (codec := self._stream.codec_context) is None or not codec.name.startswith(_CODECS):
            raise NothingDecoded("its audio has a codec that is not known; convert it to flac")
        if self._stream.codec_context.name == "flac":
            self._stream.codec_context.options = {"err_detect": "crccheck+explode"}
        self._walk()

    def close(self) -> None:
        """Close the container; the file stays open."""
        self._container.close()

    def _open(self) -> None:
        import av.stream

        self._part.seek(0)
        sized = self._content.demuxer == "wav" and not self._content.sure
        options = {"ignore_length": "1"} if sized else {}
        self._container = open_container(self._part, str(self._content.demuxer), options)
        if not self._container.streams.audio:
            raise NothingDecoded("holds no audio stream")
        self._stream = self._container.streams.best("audio") or self._container.streams.audio[0]
        discard = getattr(av.stream, "Discard", None)  # PyAV 18 and later: pictures need not be read
        for stream in self._container.streams:
            if stream is not self._stream and discard:
                stream.discard = discard.all

    def _walk(self) -> None:
        """Find the length by the packets, rate and channels by the first frame."""
        base = float(self._stream.time_base)
        apart, lost = _APART_S / base, _LOST_S / base
        first = next(self._frames(), None)
        if first is None:
            raise NothingDecoded("none of its audio can be decoded")
        self.damage.places.clear()  # what could not be decoded before the first frame is met again
        time, frame = first
        self.rate, self.channels = frame.sample_rate, len(frame.layout.channels)
        self._begin = time or 0.0
        claimed = self._claimed()
        self._open_again()
        count, ticks, steady = 0, 0, time is not None
        end: int | None = None
        for packet in self._packets():
            if packet.size == 0:
                continue
            count, ticks = count + 1, ticks + (packet.duration or 0)
            if packet.pts is None:
                steady = False
                continue
            gap = 0 if end is None else packet.pts - end
            if end is not None and gap > max(lost, 2 * (packet.duration or 0)) and self._content.demuxer in _CLAIMING:
                self.damage.places.append(end * base - self._begin)
            steady = steady and abs(gap) <= apart
            end = packet.pts + (packet.duration or 0)
        self._steady = steady and (ticks > 0 or count < 2)
        if self._steady and end is not None:
            self.seconds = end * base - self._begin
        elif ticks:
            self.seconds = ticks * base
        else:
            self.seconds = sum(len(block) for block in self.blocks(10.0)) / self.rate
        if claimed and self.seconds < claimed - max(1.0, 0.01 * claimed):
            self.damage.claimed_s = claimed

    def _claimed(self) -> float | None:
        if self._content.demuxer == "mp3":
            return self._content.claimed_s
        if self._content.demuxer not in _CLAIMING or not self._content.sure:
            return None
        if self._stream.duration:
            return float(self._stream.duration * self._stream.time_base)
        alone = len(self._container.streams) == 1
        return self._container.duration / 1e6 if alone and self._container.duration else None

    def read_at(self, start_s: float, seconds: float) -> np.ndarray:
        """As `Source.read_at`; a gap is filled with zeros."""
        if self._steady:
            try:
                return self._read_seeking(start_s, seconds)
            except _Astray:
                self._steady = False
        return self._read_in_order(round(start_s * self.rate), round(seconds * self.rate))

    def blocks(self, seconds: float, start_s: float = 0.0) -> Iterator[np.ndarray]:
        """As `Source.blocks`."""
        self._open_again()
        frames, skip = self._frames_from(start_s)
        held: list[np.ndarray] = []
        count = 0
        for _, frame in frames:
            samples = self._samples(frame)[skip:] if skip else self._samples(frame)
            skip = max(0, skip - frame.samples) if skip else 0
            held.append(samples)
            count += len(samples)
            if count >= seconds * self.rate:
                yield np.concatenate(held)
                held, count = [], 0
        if count:
            yield np.concatenate(held)

    def _frames_from(self, start_s: float) -> tuple[Iterator[tuple[float | None, Any]], int]:
        """The frames from a place on, by seeking where that is far, and how many samples before it they begin."""
        if start_s > _FAR_S and self._steady:
            target = start_s + self._begin
            self._container.seek(int((target - _PREROLL_S) / self._stream.time_base), stream=self._stream)
            frames = self._frames(start_s)
            first = next(frames, None)
            if first and first[0] is not None and first[0] <= target:
                return chain([first], frames), round((target - first[0]) * self.rate)
            self._open_again()
        return self._frames(0.0), round(start_s * self.rate)

    def _open_again(self) -> None:
        options = self._stream.codec_context.options
        self._container.close()
        self._position = None
        self._open()
        self._stream.codec_context.options = options

    def _read_seeking(self, start_s: float, seconds: float) -> np.ndarray:
        self._position = None
        target = start_s + self._begin
        self._container.seek(int(max(self._begin, target - _PREROLL_S) / self._stream.time_base), stream=self._stream)
        wanted = round(seconds * self.rate)
        out = np.zeros((wanted, self.channels), np.float32)
        at, present, errors = None, 0, len(self.damage.places)
        for time, frame in self._frames(start_s):
            stamp = None if time is None else round((time - target) * self.rate)
            if at is None:
                if stamp is None or (stamp > _APART_S * self.rate and errors == len(self.damage.places)):
                    raise _Astray
                at = stamp
            elif stamp is not None and abs(stamp - at) > 0.02 * self.rate:
                if errors == len(self.damage.places):
                    raise _Astray
                at = stamp  # what is between could not be decoded
            samples = self._samples(frame)
            begin, end = max(0, at), min(wanted, at + len(samples))
            if begin < end:
                out[begin:end] = samples[begin - at : end - at]
                present += end - begin
            at += len(samples)
            if at >= wanted:
                break
        return out[: max(0, min(wanted, at or 0))] if present >= 0.5 * wanted else out[:present]

    def _read_in_order(self, start: int, wanted: int) -> np.ndarray:
        if self._position is None or self._position[0] > start:
            self._open_again()
            self._position = (0, (self._samples(frame) for _, frame in self._frames(0.0)))
        at, frames = self._position
        found: list[np.ndarray] = []
        count = 0
        for samples in frames:
            part = samples[max(0, start - at) : max(0, start + wanted - at)]
            at += len(samples)
            self._position = (at, frames)
            found.append(part)
            count += len(part)
            if count >= wanted:
                break
        return np.concatenate(found) if found else np.zeros((0, self.channels), np.float32)

    def _packets(self) -> Iterator[Any]:
        masks = _ALIKE.get(self._content.demuxer or "")
        if masks is None:
            yield from self._all_packets()
            return
        first = before = None
        for packet in self._all_packets():  # among what is no audio there is now and then what looks like a frame
            kind = bytes(packet)[1:3] if packet.size else b""
            now = (kind[0] & masks[0], kind[1] & masks[1]) if len(kind) == 2 else None
            first = first or now
            if now in (None, first, before):
                yield packet
            before = now

    def _all_packets(self) -> Iterator[Any]:
        failed = 0
        while failed < _PATIENCE:
            try:
                for packet in self._container.demux(self._stream):
                    failed = 0
                    yield packet
                return
            except MemoryError:
                raise
            except self._error:
                failed += 1

    def _frames(self, noted_s: float | None = None) -> Iterator[tuple[float | None, Any]]:
        """(time in seconds, frame) as they are decoded; what cannot be decoded from `noted_s` on is noted."""
        for packet in self._packets():
            try:
                frames = packet.decode()
            except MemoryError:
                raise
            except self._error:
                time = None if packet.pts is None else float(packet.pts * self._stream.time_base)
                if packet.size and noted_s is not None and time is not None:
                    place = time - self._begin
                    if place >= noted_s:
                        self.damage.places.append(place)
                continue
            for frame in frames:
                if frame.samples and frame.layout.nb_channels <= _PLANES:
                    yield frame.time, frame

    def _samples(self, frame: Any) -> np.ndarray:
        """(frames, channels) float32 at the rate of the source, which a frame need not have."""
        x = frame.to_ndarray()
        channels = len(frame.layout.channels)
        x = x.T if frame.format.is_planar else x.reshape(-1, channels)
        if x.dtype.kind == "u":
            x = (x.astype(np.float32) - 128) / 128
        elif x.dtype.kind == "i":
            x = x.astype(np.float32) / -float(np.iinfo(x.dtype).min)
        x = x.astype(np.float32, copy=False)
        if channels != self.channels:
            x = np.repeat(x.mean(axis=1, keepdims=True), self.channels, axis=1)
        if frame.sample_rate != self.rate:
            x = soxr.resample(x, frame.sample_rate, self.rate)
        return x


class _Astray(Exception):
    """A seek led elsewhere."""


class Chain:
    """Sources that follow each other, at the rate and with the channels of the first."""

    def __init__(self, links: list[AvSource]) -> None:
        self._links = links
        self.rate, self.channels = links[0].rate, links[0].channels
        self.seconds = sum(link.seconds for link in links)

    @property
    def damage(self) -> Damage:
        """That of the links."""
        found, begin = Damage(), 0.0
        for link in self._links:
            found.places += [begin + place for place in link.damage.places]
            begin += link.seconds
        return found

    def read_at(self, start_s: float, seconds: float) -> np.ndarray:
        """As `Source.read_at`."""
        found = [np.zeros((0, self.channels), np.float32)]
        for link in self._links:
            if start_s < link.seconds and seconds > 0:
                part = min(seconds, link.seconds - start_s)
                found.append(self._fitted(link.read_at(start_s, part), link.rate))
                start_s, seconds = 0.0, seconds - part
            else:
                start_s = max(0.0, start_s - link.seconds)
        return np.concatenate(found)

    def blocks(self, seconds: float, start_s: float = 0.0) -> Iterator[np.ndarray]:
        """As `Source.blocks`."""
        for link in self._links:
            if start_s < link.seconds:
                for block in link.blocks(seconds, start_s):
                    yield self._fitted(block, link.rate)
            start_s = max(0.0, start_s - link.seconds)

    def _fitted(self, x: np.ndarray, rate: int) -> np.ndarray:
        if x.shape[1] != self.channels:
            x = np.repeat(x.mean(axis=1, keepdims=True), self.channels, axis=1)
        return x if rate == self.rate or not len(x) else soxr.resample(x, rate, self.rate)
