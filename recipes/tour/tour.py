# ruff: noqa: D100, E402  (cells, each with what it imports)
# %% [markdown]
# # mirclr in Python, in seven cells
#
# Run it whole (`python recipes/tour/tour.py ~/Music`), or cell by cell in an editor that knows `# %%` (VS Code, Spyder,
# Jupyter by jupytext). Without a folder it takes the four songs of `tests/audio`. It writes into `tour-output`.

# %% What is there
import importlib.util
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

import mirclr
from mirclr.audio import LogMel, Noise, PitchShift, read_excerpts
from mirclr.objectives import NTXentLoss

HERE = Path(__file__).resolve().parent if "__file__" in globals() else Path("recipes/tour").resolve()
MUSIC = next(
    (Path(a).expanduser() for a in sys.argv[1:] if Path(a).expanduser().is_dir()), HERE.parents[1] / "tests/audio"
)
OUTPUT = Path("tour-output")
OUTPUT.mkdir(exist_ok=True)
torch.manual_seed(0)


def is_there(package: str, what: str, pip_name: str = "") -> bool:
    """Whether an optional package is installed; else a line says what is left out."""
    found = importlib.util.find_spec(package) is not None
    if not found:
        print(f"{what}: left out, as {package} is not installed (pip install {pip_name or package})")
    return found


# %% Embed a folder, and ask what is alike
with mirclr.Library.open(OUTPUT / "library.db", create=True) as library:
    print("embedding:", library.embed(MUSIC))
    tracks = library.tracks()
    if len(tracks) < 2:
        sys.exit(f"{MUSIC}: holds {len(tracks)} songs that can be read; the tour needs two or more")
    ids, vectors = library.vectors()
    seed = tracks[0]
    for found in library.recommend(seed.file, n=min(3, len(tracks) - 1), artist_cap=0, same_album=True):
        print(f"like {seed.label}: {found.track.label} ({found.similarity:.2f})")

# %% A table of the library, with pandas
if is_there("pandas", "table"):
    import pandas as pd

    table = pd.DataFrame([vars(track) for track in tracks], index=ids)
    print(f"table: {len(table)} rows; minutes by artist:")
    print((table.groupby(table["artist"].fillna("unknown"))["duration_s"].sum() / 60).round(1).to_string())

# %% A map of it, with UMAP
if len(tracks) < 3:
    print("map: left out, as it needs three songs")
elif is_there("umap", "map", "umap-learn"):
    from umap import UMAP

    near = min(15, len(tracks) - 1)
    places = UMAP(n_neighbors=near, metric="cosine", init="random", random_state=0).fit_transform(vectors)
    print(f"map: {len(places)} songs in {places.shape[1]} dimensions")
    if is_there("matplotlib", "picture of the map", "'mirclr[plot]'"):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6, 6), layout="constrained")
        axes = figure.add_subplot()
        axes.scatter(*places.T)
        for track, place in zip(tracks, places, strict=True):
            axes.annotate(track.title or track.path, place, fontsize=7)
        figure.savefig(OUTPUT / "map.png", dpi=120)

# %% A classifier, with scikit-learn: which song is a piece of two seconds of?
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from mirclr.sklearn import MirclrEmbedder

files = [track.file for track in tracks if track.span is None][:20]
excerpts = [read_excerpts(file, count=6, seconds=2.0, rate=16000).waveforms for file in files]
songs = np.repeat(np.arange(len(files)), [len(e) for e in excerpts])
pieces = np.concatenate(excerpts)
odd = np.concatenate([np.arange(len(e)) % 2 == 1 for e in excerpts])
model = make_pipeline(MirclrEmbedder(), LogisticRegression(max_iter=1000))
model.fit(list(pieces[~odd]), songs[~odd])
right = model.score(list(pieces[odd]), songs[odd])
print(f"classifier: {right:.0%} of {odd.sum()} pieces are given their song; by chance {1 / len(files):.0%}")

# %% A loop of one's own, with mirclr's front end, augmentations and loss
waveforms = torch.from_numpy(
    np.concatenate([read_excerpts(f, count=4, seconds=1.0, rate=16000).waveforms for f in files])
)
log_mel, change = (
    LogMel(sample_rate=16000, n_mels=48),
    nn.Sequential(PitchShift(semitones=(-2, 2)), Noise(snr_db=(10, 40))),
)
network = nn.Sequential(
    nn.Conv1d(48, 32, 5, stride=2),
    nn.BatchNorm1d(32),
    nn.ReLU(),
    nn.AdaptiveAvgPool1d(1),
    nn.Flatten(),
    nn.Linear(32, 16),
)
objective, optimizer = NTXentLoss(temperature=0.2), torch.optim.AdamW(network.parameters(), lr=3e-3)
losses = []
for _step in range(20):
    rows = torch.randperm(len(waveforms))[:16]
    views = log_mel(change(waveforms[rows].repeat(2, 1)))  # two views of each
    loss = objective(network(views), torch.arange(len(rows)).repeat(2))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(float(loss.detach()))
print(f"own loop: loss {np.mean(losses[:5]):.2f}, after {len(losses)} steps {np.mean(losses[-5:]):.2f}")

# %% The same by a recipe, with a loss of one's own, and an encoder that embeds the library anew
whole = [read_excerpts(file, count=1, seconds=8.0, rate=16000).waveforms[0] for file in files]
result = mirclr.train(
    HERE / "recipe.yaml", OUTPUT / "run", data=[(y, None) for y in whole], resume=(OUTPUT / "run").exists()
)
encoder = mirclr.load_encoder(result.checkpoint)
rows, starts = encoder.embed_segments(files[0], hop=2.0)
last = result.history[-1]["loss"]
print(f"recipe: {result.steps} steps, loss {last:.2f}; {len(rows)} segments of {rows.shape[1]} numbers")
