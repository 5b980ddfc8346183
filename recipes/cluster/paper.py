"""Scaling to 64 processes and the cost of 10^8 tracks, on paper: from measured unit costs to the tables of README.md.

    python recipes/cluster/paper.py

Reads measured-cpu.json and, where it is there, measured-cuda.json (both by measure.py), and tests/benchmarks/results.
What was not measured is stated and not guessed: a row without its measurement has no number. Writes the tables between
their marks in README.md, and scaling.png.
"""

import json
import math
import re
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS = HERE.parents[1] / "tests" / "benchmarks" / "results"
WORLDS = (1, 2, 4, 8, 16, 32, 64)
BATCHES = (1024, 4096, 16384)
TRACKS = 10**8
RELEASES = 10**5  # a day, taken as given
SECONDS = 240  # of a track, taken as given
NETWORKS = {  # bytes a second and seconds an exchange: what their names say, not measured here
    "10 Gbit/s": (1.25e9, 50e-6),
    "100 Gbit/s": (12.5e9, 20e-6),
    "400 Gbit/s": (50e9, 10e-6),
}


def read(file: Path) -> dict[str, Any] | None:
    """What was measured; None where it was not."""
    if not file.exists():
        return None
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


@dataclass(frozen=True)
class Unit:
    """What a step is made of.

    Attributes
    ----------
    clip_s : float
        Seconds that a process takes for a clip: read, changed, forward, backward.
    loss_s, loss_rows : float, int
        Seconds of the loss of so many rows, which each process computes whole.
    parameters, dim : int
        Of the network; numbers of a projection.
    statistics : tuple of int
        Numbers that each batch normalisation gives of a process's rows: mean and variance of its channels, and a count.
    """

    device: str
    clip_s: float
    loss_s: float
    loss_rows: int
    parameters: int
    statistics: tuple[int, ...]
    dim: int

    @classmethod
    def of(cls, measured: dict[str, Any]) -> "Unit":
        """From one process's step."""
        one = measured["step"]
        rows, loss = 2 * one["batch"], one["loss_s"]
        clip = (one["step_s"] - loss[str(rows)]) / rows
        most = max(map(int, loss))
        of_network = one["parameters"], tuple(one["statistics"]), one["dim"]
        return cls(measured["device"], clip, loss[str(most)], most, *of_network)


def exchanged(unit: Unit, batch: int, dim: int | None = None, world: int = WORLDS[-1]) -> dict[str, float]:
    """Bytes that a process exchanges in a step when there are many.

    Of the statistics of normalisations each process gets those of all; two sums of gradients go back, the first one's
    excepted.
    """
    rows = 4.0 * 2 * batch * (dim or unit.dim)
    return {
        "projections": rows,
        "their gradient": 2 * rows,
        "gradient of the weights": 2 * 4.0 * unit.parameters,
        "statistics": 4.0 * world * sum(unit.statistics),
        "their gradients": 2 * 4.0 * sum(of - 1 for of in unit.statistics[1:]),
    }


def step(unit: Unit, batch: int, world: int, network: tuple[float, float]) -> dict[str, float]:
    """Seconds of a step's parts in each of so many processes; nothing overlaps, which DDP does better."""
    rate, latency = network
    share = (world - 1) / world
    times = 4 + 2 * len(
        unit.statistics
    )  # projections, their gradient, a word on stopping, weights; two a normalisation
    hops = math.ceil(math.log2(world)) if world > 1 else 0
    return {
        "clips": unit.clip_s * math.ceil(2 * batch / world),
        "loss": unit.loss_s * (2 * batch / unit.loss_rows) ** 2,
        "exchange": share * sum(exchanged(unit, batch, world=world).values()) / rate + times * hops * latency,
    }


def efficiency(unit: Unit, batch: int, world: int, network: tuple[float, float]) -> float:
    """How much of so many processes' time is as well used as that of one."""
    alone, together = (sum(step(unit, batch, w, network).values()) for w in (1, world))
    return alone / (world * together)


def table(header: list[str], rows: list[list[str]]) -> str:
    """Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def bytes_table(unit: Unit) -> str:
    """Bytes exchanged a step, by batch and dimension."""
    rows = []
    for batch in BATCHES:
        for dim in (64, 128, 512):
            parts = [of / 1e6 for of in exchanged(unit, batch, dim).values()]
            rows.append([f"{batch:,}", str(dim), *(f"{of:,.1f}" for of in (*parts, sum(parts)))])
    return table(["batch", "dim", *(f"{name}, MB" for name in exchanged(unit, 1)), "together, MB"], rows)


def curve(unit: Unit, network: str) -> str:
    """Seconds a step, and how well processes are used, by how many there are."""
    rows = []
    for world in WORLDS:
        cells = [str(world)]
        for batch in BATCHES:
            parts = step(unit, batch, world, NETWORKS[network])
            most = max(parts, key=lambda name, parts=parts: parts[name])
            total = sum(parts.values())
            cells.append(f"{_seconds(total)}, {efficiency(unit, batch, world, NETWORKS[network]):.2f} ({most})")
        rows.append(cells)
    return table(["processes", *(f"batch {batch:,}" for batch in BATCHES)], rows)


def _seconds(s: float) -> str:
    return f"{s:.3g} s" if s >= 1 else f"{1e3 * s:.3g} ms"


def two_against_one(measured: dict[str, Any]) -> str:
    """What two processes were measured to be worth, and what the model says of it."""
    if not (found := measured["two"]):
        return "Not measured: it needs a machine on which nothing else runs.\n"
    unit, batch, exchange = Unit.of(measured), found["batch"], found["exchange_s"]
    most = max(map(int, exchange))
    here = (most / max(exchange[str(most)] - exchange["4"], 1e-9), exchange["4"])
    alone = found["steps_s"]["one"]
    rows = [[f"one, batch {batch}", _seconds(statistics.median(alone)), "1", ""]]
    for name, times in (("two", 1), ("two_of_twice_the_batch", 2)):
        taken = found["steps_s"][name]
        measured_so = statistics.median(times * a / b for a, b in zip(alone, taken, strict=True))
        modelled = times * sum(step(unit, batch, 1, here).values()) / sum(step(unit, times * batch, 2, here).values())
        median = _seconds(statistics.median(taken))
        rows.append([f"two, batch {times * batch}", median, f"{measured_so:.2f}", f"{modelled:.2f}"])
    return table(["processes", "a step", "times as fast as one", "by the model"], rows)


def lost_worker(measured: dict[str, Any]) -> str:
    """What a lost worker cost."""
    if not (lost := measured["lost"]):
        return "What a lost worker costs was not measured here.\n"
    return (
        f"Of two processes here one was killed (`kill -9`). After {lost['resumed_s']} s all went on, from a state "
        f"{lost['steps_made_again']} steps old; after\n{lost['again_where_it_was_s']} s they were where they had been. "
        f"From the command to the first step it takes {lost['first_step_s']} s.\n"
    )


def costs() -> Iterator[list[str]]:
    """Rows of the table for 10^8 tracks: what, unit cost, where it is from, what it comes to."""
    embed, cpu, cuda = read(RESULTS / "embed.json"), read(HERE / "measured-cpu.json"), read(HERE / "measured-cuda.json")
    assert embed
    a_track = embed["cpu_s_a_track"]
    hours = TRACKS / 3600
    yield [
        "embedding on CPUs",
        f"{a_track['embed']} core-s a song",
        "embed.json",
        f"{a_track['embed'] * hours:,.0f} core-hours; {a_track['embed'] * hours / 64 / 24:.1f} days of 64 cores",
    ]
    if on_ray := read(RESULTS / "on_ray.json"):
        rate = f"{on_ray['ratio']} times the songs a second of `mirclr embed`, warm"
        yield [
            "embedding on Ray",
            rate,
            f"on_ray.json, {on_ray['workers']} workers here",
            "not measured past one machine",
        ]
    decode = f"{a_track['decode excerpts'] * hours:,.0f} core-hours"
    yield [
        "of that decoding, on CPUs too where GPUs embed",
        f"{a_track['decode excerpts']} core-s a song",
        "embed.json",
        decode,
    ]
    if cuda:
        network = cuda["embedding"]["network_s_a_track"]
        per_gpu = a_track["decode excerpts"] / network
        yield [
            f"the network on a GPU ({cuda['device']})",
            f"{1e3 * network:.3f} ms a song",
            "measured-cuda.json",
            f"{network * hours:,.1f} GPU-hours; {per_gpu:,.0f} cores decode for one GPU",
        ]
    else:
        yield ["the network on a GPU", "not measured", "`measure.py --device cuda`", "not known"]
    from_library = cpu["library"] if cpu else None
    if from_library:
        each = from_library["bytes"] / from_library["tracks"]
        size = f"{each:,.0f} bytes a track"
        yield ["libraries, described and classified", size, "measured-cpu.json", f"{each * TRACKS / 1e12:.2f} TB"]
    yield ["vectors alone, float32", "768 x 4 bytes", "arithmetic", f"{768 * 4 * TRACKS / 1e9:,.0f} GB"]
    a_second = 96 * 2 * 16000 / 256
    yield [
        "shards of clips to train on, whole songs",
        f"{a_second / 1e3:.0f} kB a second of {SECONDS} s",
        "arithmetic",
        f"{a_second * SECONDS * TRACKS / 1e12:,.0f} TB; with `--seconds 30` {a_second * 30 * TRACKS / 1e12:,.0f} TB",
    ]
    yield from indexes()
    yield [
        f"a day's releases, {RELEASES:,} tracks",
        f"{a_track['embed']} core-s a song",
        "embed.json",
        f"{a_track['embed'] * RELEASES / 3600:.1f} core-hours of embedding",
    ]
    yield [
        "a new encoder (renew)",
        "every song is decoded and embedded again",
        "embed.json",
        f"{a_track['embed'] * hours:,.0f} core-hours, and the index is built again",
    ]


def indexes() -> Iterator[list[str]]:
    """Rows for the memory and the time of indexes."""
    yield ["index: FAISS, exact", "768 x 4 bytes a vector in memory", "arithmetic", f"{768 * 4 * TRACKS / 1e9:,.0f} GB"]
    scale, latency = read(RESULTS / "scale.json"), read(RESULTS / "latency.json")
    if scale:
        most = max(scale["rows"], key=lambda row: row["vectors"])
        n, by = most["vectors"], TRACKS / most["vectors"]
        of = f"scale.json, {n:,} vectors of {scale['dim']}"
        grow = f"{by:g} times that, if it grows as the vectors do"
        yield ["index: IVF-PQ, on disk", f"{most['index_gb']} GB", of, f"{most['index_gb'] * by:,.0f} GB: {grow}"]
        codes = most["of_that_codes_gb"]
        yield ["index: IVF-PQ, of that in memory (codes)", f"{codes} GB", of, f"{codes * by:,.1f} GB: {grow}"]
        built = most["build_s"]
        yield ["index: IVF-PQ, built on two cores", f"{built:,.0f} s", of, f"{built * by / 3600:.1f} hours: {grow}"]
        query = f"{most['p50_ms']} ms, p99 {most['p99_ms']} ms; recall@20 {most['recall']}"
        yield ["a query, IVF-PQ", query, of, f"not measured at {TRACKS:,}"]
    else:
        yield ["index: IVF-PQ", "not measured", "`make bench-scale`", "not known"]
    if engines := read(RESULTS / "engines.json"):
        for name in ("Milvus Lite", "PostgreSQL"):
            one = engines["engines"][name]
            query = f"{one['p50_ms']} ms, p99 {one['p99_ms']} ms; recall@{engines['k']} {one['recall']}"
            of = f"engines.json, {engines['tracks']:,} vectors of {engines['dim']}"
            yield [f"a query, {name}", query, of, f"not measured at {TRACKS:,}"]
            a_second = engines["tracks"] / one["written_s"]
            yield [f"a push, {name}", f"{a_second:,.0f} vectors a second", of, f"not measured at {TRACKS:,}"]
    if latency:
        most = max(latency["sizes"], key=lambda size: size["tracks"])
        query = f"{most['ms']['plain']['p50']} ms, p99 {most['ms']['plain']['p99']} ms"
        of = f"latency.json, {most['tracks']:,} tracks"
        yield ["a query, the index of a library", query, of, "a library of 10^8 in one file was not tried"]


def cost_table() -> str:
    """The table for 10^8 tracks."""
    return table(["what", "measured", "where", "for 10^8 tracks"], list(costs()))


def parts() -> dict[str, str]:
    """By the name of its mark what README.md says."""
    cpu, cuda = read(HERE / "measured-cpu.json"), read(HERE / "measured-cuda.json")
    without = "Not measured: `python recipes/cluster/measure.py{}` and then `paper.py` write it.\n"
    found = dict.fromkeys(("two", "bytes", "cores", "lost"), without.format(""))
    if cpu:
        unit = Unit.of(cpu)
        tables = (two_against_one(cpu), bytes_table(unit), curve(unit, "10 Gbit/s"), lost_worker(cpu))
        found = dict(zip(found, tables, strict=True))
    found["gpus"] = without.format(" --device cuda")
    if cuda:
        found["gpus"] = f"{cuda['device']}, 400 Gbit/s between them:\n\n{curve(Unit.of(cuda), '400 Gbit/s')}"
    return found | {"costs": cost_table()}


def written(card: str, found: dict[str, str]) -> str:
    """A text with what stands between its marks made new."""
    for name, text in found.items():
        mark = re.compile(rf"(<!-- {name}: paper\.py -->\n).*?(<!-- end -->)", re.DOTALL)
        assert mark.search(card), name
        card = mark.sub(lambda m, text=text: f"{m[1]}{text}{m[2]}", card)
    return card


def plot(to: Path) -> None:
    """Times as fast as one process, by processes: one line a batch."""
    from matplotlib.figure import Figure

    measured = [m for name in ("cpu", "cuda") if (m := read(HERE / f"measured-{name}.json"))]
    figure = Figure(figsize=(5 * len(measured), 4), layout="constrained")
    for panel, of in enumerate(measured):
        unit, network = Unit.of(of), "10 Gbit/s" if panel == 0 else "400 Gbit/s"
        axes = figure.add_subplot(1, len(measured), panel + 1)
        axes.plot(WORLDS, WORLDS, color="0.7", linestyle=":", label="as many as processes")
        for batch in BATCHES:
            times = [w * efficiency(unit, batch, w, NETWORKS[network]) for w in WORLDS]
            axes.plot(WORLDS, times, marker="o", label=f"batch {batch:,}")
        axes.set(xscale="log", yscale="log", xlabel="processes", ylabel="times as fast as one")
        axes.set_title(f"{unit.device}, {network}, on paper")
        axes.set_xticks(WORLDS, [str(w) for w in WORLDS])
        axes.legend()
    figure.savefig(to, dpi=110, metadata={"Software": None})


def main() -> None:
    """Write README.md's tables, and the plot."""
    card = HERE / "README.md"
    card.write_text(written(card.read_text(encoding="utf-8"), parts()), encoding="utf-8")
    if any((HERE / f"measured-{name}.json").exists() for name in ("cpu", "cuda")):
        plot(HERE / "scaling.png")


if __name__ == "__main__":
    main()
