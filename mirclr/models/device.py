"""The device and the precision that a network runs in, by name or as the machine is best at, and how exactly."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from mirclr.errors import TrainingError


def pick_device(name: str) -> torch.device:
    """A device of torch by name; "auto" takes CUDA, then Apple's GPU, then the CPU.

    Raises
    ------
    TrainingError
        There is no such device here.
    """
    if name != "auto":
        try:
            device = torch.device(name)
            torch.empty(1, device=device)
        except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
            raise TrainingError(f"device {name!r}: not to be had here; {_instead(name, error)}") from error
        if device.type == "meta":
            raise TrainingError(f"device {name!r}: holds no numbers; expected one that computes")
        return device
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def _instead(name: str, error: Exception) -> str:
    """What is wrong with the name of a device, or with the device."""
    kind = str(name).partition(":")[0].lower()
    if kind in ("gpu", "nvidia", "rocm", "amd"):
        return "did you mean cuda?"
    if kind in ("metal", "apple", "mac"):
        return "did you mean mps?"
    if kind not in ("cpu", "cuda", "mps", "xpu"):
        return "expected auto, cpu, cuda, cuda:1, mps, or another that torch has"
    return str(error).splitlines()[0]


def pick_precision(name: str, device: torch.device) -> torch.dtype:
    """The type for autocast; "auto" takes bfloat16 where the hardware multiplies in it.

    "tf32" is float32 here; `arithmetic` has convolutions computed with less.
    """
    if name != "auto":
        return torch.bfloat16 if name == "bfloat16" else torch.float32
    if device.type == "cuda":
        try:  # on older cards torch computes it by way of float32, which is slower than float32 itself
            native = torch.cuda.is_bf16_supported(including_emulation=False)
        except TypeError:  # a torch that does not know of that
            native = torch.cuda.get_device_capability(device)[0] >= 8 or torch.version.hip is not None
    else:
        # an older torch cannot say; then float32 is the safe choice
        ask = getattr(torch.cpu, "get_capabilities", None) if device.type == "cpu" else None
        capabilities: dict[str, Any] = ask() if ask else {}
        native = bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    return torch.bfloat16 if native else torch.float32


@contextmanager
def arithmetic(precision: str, device: torch.device, *, deterministic: bool = False) -> Iterator[None]:
    """Set how exactly a device computes, and set it back at the end.

    Parameters
    ----------
    precision : {"auto", "float32", "tf32", "bfloat16"}
        On CUDA "float32" is just that; with the others convolutions take inputs of 19 bits (TF32), where nearly all of
        the work of an encoder is. Products of matrices, and so objectives and log-mel, are float32 always.
    device : torch.device
        What is computed on.
    deterministic : bool
        Use operations alone that give the same bits each time. On one CPU all do.

    Raises
    ------
    TrainingError
        What is computed in this context needs an operation that `deterministic` excludes.
    """
    cudnn = torch.backends.cudnn
    before = cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic, torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    cudnn.allow_tf32 = precision != "float32"
    # clips have one length, so that the fastest algorithm is looked for once
    cudnn.benchmark = device.type == "cuda" and not deterministic
    cudnn.deterministic = deterministic
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # asked for where CUDA multiplies first
    torch.use_deterministic_algorithms(deterministic or before[3], warn_only=warn_only and not deterministic)
    try:
        yield
    except RuntimeError as error:
        if deterministic and "does not have a deterministic implementation" in str(error):
            operation = str(error).split()[0]
            raise TrainingError(
                f"training.deterministic: {operation} gives other bits each time on {device.type}; set it to false, or "
                "name another encoder"
            ) from error
        raise
    finally:
        cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic = before[:3]
        torch.use_deterministic_algorithms(before[3], warn_only=warn_only)


class Compiled:
    """A network run through `torch.compile`; as it is, with a note, where that cannot be done here.

    Parameters
    ----------
    network : nn.Module
        On its device.
    note : callable
        Called once with a line that says why, where it could not be compiled.

    Attributes
    ----------
    works : bool or None
        Whether it is compiled; None before it was called first.
    """

    def __init__(self, network: nn.Module, note: Callable[[str], None]) -> None:
        self._network, self._note = network, note
        self._compiled: Callable[..., Any] | None = None
        self.works: bool | None = None

    def __call__(self, *inputs: Any) -> Any:
        """The network's outputs."""
        if self.works is False:
            return self._network(*inputs)
        compiled = self._compiled
        try:
            if compiled is None:  # torch refuses at once where it does not know this Python
                compiled = self._compiled = torch.compile(self._network)
            outputs = compiled(*inputs)
        except Exception as error:
            if self.works or not (compiled is None or _is_of_compiler(error)):
                raise
            self.works = False
            reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
            self._note(f"training.compile: not to be had here ({reason.strip()[:200]}); the network runs as it is")
            return self._network(*inputs)
        self.works = True
        return outputs


def _is_of_compiler(error: Exception) -> bool:
    """Whether an error is the compiler's, which needs a C++ compiler or Triton, and not the network's own."""
    return type(error).__module__.startswith(("torch._dynamo", "torch._inductor", "triton")) or isinstance(
        error, ImportError
    )
