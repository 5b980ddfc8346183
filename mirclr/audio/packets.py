"""What a file's decoders are given: its packets, compared without decoding; a part of the one door to PyAV.

Two files with equal packets sound the same, bit for bit, whatever their tags and wherever the packets lie.
"""

import hashlib
from pathlib import Path

from mirclr.errors import UnreadableAudio, is_fault_of_machine

_SAFE = {"protocol_whitelist": "file", "enable_drefs": "0", "use_absolute_path": "0"}


def packets_digest(path: Path, demuxer: str) -> str:
    """Digest of all packets of all streams: their bytes, times and order, and what their decoders must know.

    Parameters
    ----------
    path : Path
        The file.
    demuxer : str
        FFmpeg's name of the container, so that nothing is guessed from the content and nothing else is opened.

    Raises
    ------
    UnreadableAudio
        No packet can be read.
    OSError
        The file cannot be opened.
    """
    import av

    h = hashlib.blake2b(digest_size=32)
    count = 0
    with path.open("rb") as f:
        try:
            with av.open(
                f, format=demuxer, options=_SAFE if demuxer == "mov" else {}, metadata_errors="replace"
            ) as container:
                for stream in container.streams:
                    context = stream.codec_context
                    facts = (stream.type, stream.time_base, context and (context.name, context.extradata))
                    sound = (context.sample_rate, context.channels) if stream.type == "audio" and context else ()
                    h.update(repr((facts, sound)).encode())
                for packet in container.demux():
                    if packet.dts is None and not packet.size:
                        continue  # the end of a stream
                    count += 1
                    h.update(repr((packet.stream_index, packet.pts, packet.dts, packet.size)).encode())
                    h.update(packet)
        except (av.FFmpegError, OSError, ValueError) as error:  # where a damaged file ends, its copy must end too
            if is_fault_of_machine(error):
                raise
            h.update(type(error).__name__.encode())
    if not count:
        raise UnreadableAudio(f"{path}: no sound is found in it")
    return h.hexdigest()
