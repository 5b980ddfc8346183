"""The device and the precision that a network runs in, by name or as the machine is best at."""

from typing import Any

import torch

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
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            raise TrainingError(f"device {name!r}: not to be had here ({str(error).splitlines()[0]})") from error
        return device
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def pick_precision(name: str, device: torch.device) -> torch.dtype:
    """The type for autocast; "auto" takes bfloat16 where the hardware multiplies in it."""
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
