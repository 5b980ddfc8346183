"""Pictures of covers made smaller, by FFmpeg's decoders of images; a part of the one door to PyAV."""

from typing import Any

import numpy as np

_CODECS = {
    "image/jpeg": "mjpeg",
    "image/png": "png",
    "image/gif": "gif",
    "image/webp": "webp",
    "image/bmp": "bmp",
}
_MOST_PIXELS = 64 << 20
_QUALITY = "4"  # of mjpeg, 2 to 31: 20 kB at 300 pixels


def shrink(data: bytes, media_type: str, side: int) -> bytes | None:
    """A picture as JPEG whose longer side is `side` pixels.

    Returns
    -------
    bytes or None
        None where it is no larger than that, or cannot be decoded: it is to be taken as it is.
    """
    import av

    if media_type not in _CODECS:
        return None
    try:
        decoder: Any = av.CodecContext.create(_CODECS[media_type], "r")
        decoder.options = {"max_pixels": str(_MOST_PIXELS)}
        frames = decoder.decode(av.Packet(data)) or decoder.decode(None)
        return _jpeg(frames[0], side) if frames and max(frames[0].width, frames[0].height) > side else None
    except (av.FFmpegError, ValueError):
        return None


def _jpeg(frame: Any, side: int) -> bytes:
    import av

    scale = side / max(frame.width, frame.height)
    width, height = (max(1, round(n * scale)) for n in (frame.width, frame.height))
    if "a" in frame.format.name or frame.format.name.startswith("pal"):  # what is transparent is white
        rgba = frame.to_ndarray(format="rgba").astype(np.float32)
        opaque = rgba[:, :, 3:] / 255
        rgb = np.round(rgba[:, :, :3] * opaque + 255 * (1 - opaque)).astype(np.uint8)
        frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
    small = frame.reformat(width, height, "yuvj420p", interpolation="AREA")
    encoder: Any = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.framerate = width, height, "yuvj420p", 1
    encoder.options = {"qmin": _QUALITY, "qmax": _QUALITY}
    small.pts = 0
    packets = [*encoder.encode(small), *encoder.encode(None)]
    return b"".join(bytes(packet) for packet in packets)
