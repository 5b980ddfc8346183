"""SoundFont 2 files of samples of our own: ``write_soundfont`` (SoundFont Technical Specification 2.04)."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mirclr.provenance import writing

_KEY_RANGE, _VELOCITY_RANGE, _INSTRUMENT, _SAMPLE, _MODES, _ROOT, _FINE = 43, 44, 41, 53, 54, 58, 52
_RELEASE, _CUTOFF = 38, 8
_SILENT = np.zeros(46, np.int16)  # after each sample, as the specification asks for


@dataclass(frozen=True)
class Zone:
    """A sample, and which keys and velocities play it.

    Attributes
    ----------
    samples : (n,) float32
        Mono, in [-1, 1].
    root : float
        The MIDI note that it is, with fractions.
    keys, velocities : (int, int)
        Lowest and highest.
    release_s : float
        From full level to silence after the key is up.
    loop : (int, int) or None
        Samples between which it goes on as long as a key is down.
    cutoff_hz : float or None
        Of a low pass at full velocity.
    """

    samples: np.ndarray
    root: float
    keys: tuple[int, int]
    velocities: tuple[int, int] = (0, 127)
    release_s: float = 0.3
    loop: tuple[int, int] | None = None
    cutoff_hz: float | None = None


@dataclass(frozen=True)
class Preset:
    """An instrument by its number: program `program` of bank 0."""

    program: int
    name: str
    zones: Sequence[Zone] = field(default_factory=list)


def write_soundfont(path: Path, presets: Sequence[Preset], rate: int) -> None:
    """Write presets as one file."""
    samples: list[np.ndarray] = []
    shdr, igen, ibag, inst, pgen, pbag, phdr = (bytearray() for _ in range(7))
    at = 0
    zones = 0
    for number, preset in enumerate(presets):
        inst += _named(preset.name) + struct.pack("<H", len(ibag) // 4)
        for zone in preset.zones:
            ibag += struct.pack("<HH", len(igen) // 4, 0)
            igen += _generators(zone, zones)
            data = np.clip(np.round(zone.samples * 32767), -32768, 32767).astype(np.int16)
            begin, end = zone.loop or (0, len(data))
            root = round(zone.root)
            shdr += _named(f"{preset.name[:12]}{zones}") + struct.pack(
                "<IIIIIBbHH", at, at + len(data), at + begin, at + end, rate, root, 0, 0, 1
            )
            samples += [data, _SILENT]
            at += len(data) + len(_SILENT)
            zones += 1
        phdr += _named(preset.name) + struct.pack("<HHHIII", preset.program, 0, len(pbag) // 4, 0, 0, 0)
        pbag += struct.pack("<HH", len(pgen) // 4, 0)
        pgen += struct.pack("<Hh", _INSTRUMENT, number)
    phdr += _named("EOP") + struct.pack("<HHHIII", 0, 0, len(pbag) // 4, 0, 0, 0)
    pbag += struct.pack("<HH", len(pgen) // 4, 0)
    inst += _named("EOI") + struct.pack("<H", len(ibag) // 4)
    ibag += struct.pack("<HH", len(igen) // 4, 0)
    pgen += bytes(4)
    igen += bytes(4)
    shdr += _named("EOS") + bytes(26)
    modulators = bytes(10)
    info = _chunk(b"ifil", struct.pack("<HH", 2, 4)) + _chunk(b"isng", b"EMU8000\0") + _chunk(b"INAM", b"own\0")
    tables = {b"phdr": phdr, b"pbag": pbag, b"pmod": modulators, b"pgen": pgen, b"inst": inst, b"ibag": ibag}
    tables |= {b"imod": modulators, b"igen": igen, b"shdr": shdr}
    body = _list(b"INFO", info) + _list(b"sdta", _chunk(b"smpl", np.concatenate(samples).tobytes()))
    body += _list(b"pdta", b"".join(_chunk(name, bytes(table)) for name, table in tables.items()))
    with writing(path, sync=False) as file:
        file.write(_chunk(b"RIFF", b"sfbk" + body))


def _generators(zone: Zone, sample: int) -> bytes:
    """Ranges first and the sample last, as the specification asks for."""
    root = round(zone.root)
    parts = [
        struct.pack("<HBB", _KEY_RANGE, *zone.keys),
        struct.pack("<HBB", _VELOCITY_RANGE, *zone.velocities),
        struct.pack("<Hh", _RELEASE, round(1200 * np.log2(max(zone.release_s, 0.001)))),
        struct.pack("<Hh", _ROOT, root),
        struct.pack("<Hh", _FINE, round(100 * (root - zone.root))),
        struct.pack("<Hh", _MODES, 1 if zone.loop else 0),
    ]
    if zone.cutoff_hz is not None:
        parts.append(struct.pack("<Hh", _CUTOFF, round(1200 * np.log2(zone.cutoff_hz / 8.176))))
    parts.append(struct.pack("<Hh", _SAMPLE, sample))
    return b"".join(parts)


def _named(name: str) -> bytes:
    return name.encode("ascii", "replace")[:19].ljust(20, b"\0")


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


def _list(name: bytes, content: bytes) -> bytes:
    return _chunk(b"LIST", name + content)
