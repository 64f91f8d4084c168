"""What a measurement ran on, and the peak memory of a process; shared by the benchmarks."""

import os
import platform
import shlex
from collections.abc import Sequence
from pathlib import Path

import torch

from lowshotgan.train.estimate import peak_memory

MIB = 2**20


def machine_facts(device: str | torch.device = "cpu") -> dict[str, str | int]:
    """Processor, cores, threads in use, accelerator and versions."""
    device = torch.device(device)
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "torch": str(torch.__version__),
        "python": platform.python_version(),
    }


def describe(facts: dict[str, str | int]) -> str:
    """One line of ``machine_facts``."""
    device = "" if facts["device"] == "cpu" else f"{facts['device']}, "
    return (
        f"{device}{facts['cpu']} with {facts['cores']} cores, {facts['threads']} torch threads, "
        f"torch {facts['torch']}, Python {facts['python']}"
    )


def peak_bytes(device: str | torch.device = "cpu") -> int:
    """Highest memory use so far: of the GPU where one is used, else of this process.

    ``VmHWM`` is preferred to ``ru_maxrss``, which on Linux starts at the size of the process that started this one.
    """
    if torch.device(device).type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return peak_memory(torch.device("cpu"))


def shown_command(script: str, arguments: Sequence[str]) -> str:
    """A command as reports show it: PATH for this machine's folders."""
    folders = ("--output", "--docs", "--work", "--table")
    shown = [
        _without_folder(word, own=before in folders) for before, word in zip(["", *arguments], arguments, strict=False)
    ]
    return f"python benchmarks/{script} {shlex.join(shown)}"


def _without_folder(word: str, *, own: bool) -> str:
    name, equals, value = word.rpartition("=")
    return f"{name}{equals}PATH" if own or "/" in value else word


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
