"""Training by Ray Train: a recipe in several workers of a Ray cluster, started again where one is lost.

    python recipes/cluster/ray_train.py RECIPE.yaml RUN --workers 16 --gpu [--address auto] [--set training.steps=2000]

RECIPE.yaml and RUN lie where all workers see them.
"""

import argparse
from pathlib import Path
from typing import Any

import ray
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer


def train(settings: dict[str, Any]) -> None:
    """What each worker does: the processes that Ray has joined train as one."""
    import mirclr

    device = "cuda" if settings["gpu"] else "cpu"
    mirclr.train(settings["recipe"], settings["run"], overrides=settings["overrides"], resume=True, device=device)


def main() -> None:
    """Start the workers, and wait for them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--gpu", action="store_true", help="a GPU for each worker")
    parser.add_argument("--cpus", type=float, default=1.0, help="cores for each worker")
    parser.add_argument("--address", help="of a cluster that runs; by default one of this machine is started")
    parser.add_argument("--failures", type=int, default=10, help="workers that may be lost")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    asked = parser.parse_args()
    ray.init(address=asked.address, **({} if asked.address else {"_node_ip_address": "127.0.0.1"}))
    run = asked.run.absolute()
    settings = {"recipe": str(asked.recipe.absolute()), "run": str(run), "gpu": asked.gpu, "overrides": asked.overrides}
    each = {"CPU": asked.cpus} | ({"GPU": 1} if asked.gpu else {})
    TorchTrainer(
        train,
        train_loop_config=settings,
        torch_config=TorchConfig(backend="cpu:gloo,cuda:nccl" if asked.gpu else "gloo"),
        scaling_config=ScalingConfig(num_workers=asked.workers, use_gpu=asked.gpu, resources_per_worker=each),
        run_config=RunConfig(
            name="ray", storage_path=str(run), failure_config=FailureConfig(max_failures=asked.failures)
        ),
    ).fit()


if __name__ == "__main__":
    main()
