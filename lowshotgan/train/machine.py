"""The device a training runs on and, through accelerate, its processes."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from lowshotgan.errors import ConfigError
from lowshotgan.processes import mean_over_processes
from lowshotgan.types import Stage


def check_device(device: str | torch.device) -> torch.device:
    """The device of that name, "auto" for the best there is.

    Raises:
        ConfigError: if this machine, or this build of torch, has no such device; the message lists what there is.
    """
    present = _devices()
    if device == "auto":
        return torch.device(present[0])
    try:
        wanted = torch.device(device)
        known = f"{wanted.type}:{wanted.index or 0}" in {*present, "cpu:0"}
    except RuntimeError:  # no name torch knows
        known = False
    if not known:
        raise ConfigError(
            f"device must be auto or one of {', '.join(present)}, which this machine has; got {str(device)!r}. A GPU "
            "that is missing here needs its driver and a build of torch for it."
        )
    return wanted


def _devices() -> list[str]:
    """Names of the devices torch can use here, accelerators first."""
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    if accelerator is None:
        return ["cpu"]
    return [*(f"{accelerator.type}:{number}" for number in range(torch.accelerator.device_count())), "cpu"]


def _one_of_several() -> bool:
    """Whether torchrun, accelerate or MPI started this process beside others."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return True
    sizes = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
    return any(int(os.environ.get(name) or 1) > 1 for name in sizes)


def _join_processes(wish: torch.device | None) -> Any:
    """Accelerate is not used in a single process: it would keep the device of its first use for good."""
    from accelerate import Accelerator

    return Accelerator(cpu=wish is not None and wish.type == "cpu")


class Machine:
    """Device, rank and collective operations; one process needs nothing, ``torchrun`` gives several.

    Args:
        device: "auto" (CUDA, then MPS, then CPU) or a torch device name.

    Raises:
        ConfigError: if there is no such device here.
    """

    def __init__(self, device: str | torch.device | None = None) -> None:
        wish = None if device is None or device == "auto" else check_device(device)
        self._accelerator: Any = _join_processes(wish) if _one_of_several() else None
        if self._accelerator is None:
            self.device = wish or torch.device(check_device("auto").type)
            self.rank, self.world_size = 0, 1
        else:
            own: torch.device = self._accelerator.device
            self.device = own if wish is None or str(wish) == own.type else wish  # "cuda": this process's own
            self.rank, self.world_size = self._accelerator.process_index, self._accelerator.num_processes
        self.is_main = self.rank == 0
        self.image_format = torch.contiguous_format if self.device.type == "mps" else torch.channels_last

    def laid_out(self, images: Any) -> Any:
        """A batch, or a mapping of batches, with its images in the memory layout convolutions are fastest in."""
        if isinstance(images, Mapping):
            return {name: self.laid_out(value) for name, value in images.items()}
        is_images = isinstance(images, Tensor) and images.ndim == 4
        return images.contiguous(memory_format=self.image_format) if is_images else images

    @contextmanager
    def laid_out_networks(self, stage: Stage) -> Iterator[None]:
        """For the time of a training, keep the networks of ``stage`` and their averages in the layout of the images.

        Afterwards they are as a loaded model is, because the layout changes the last bits of a result.
        """
        networks = [*stage.modules.values(), *(averaged for _, averaged in stage.averages.values())]
        for network in networks:
            network.to(memory_format=self.image_format)
        try:
            yield
        finally:
            for network in networks:
                network.to(memory_format=torch.contiguous_format)

    def backward(self, loss: Tensor) -> None:
        """Accumulate gradients of ``loss``; nothing happens if it reaches no parameter."""
        if loss.requires_grad and self._accelerator is None:
            torch.autograd.backward(loss)
        elif loss.requires_grad:
            self._accelerator.backward(loss)

    def average(self, tensors: list[Tensor]) -> None:
        """Replace tensors, in place, by their mean over all processes."""
        if self.world_size == 1 or not tensors:
            return
        flat = mean_over_processes(torch.cat([tensor.flatten() for tensor in tensors]))
        for tensor, part in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))

    def any_of(self, flags: list[bool]) -> list[bool]:
        """For each flag, whether it is set in any process."""
        if self.world_size == 1:
            return flags
        total = self._accelerator.reduce(torch.tensor(flags, dtype=torch.float32, device=self.device), reduction="sum")
        return [value > 0 for value in total.tolist()]

    def from_main(self, value: float) -> float:
        """The main process's value, in every process."""
        if self.world_size == 1:
            return value
        mine = torch.tensor(value if self.is_main else 0.0, device=self.device)
        return float(self._accelerator.reduce(mine, reduction="sum"))

    def wait(self) -> None:
        """Wait until every process is here."""
        if self.world_size > 1:
            self._accelerator.wait_for_everyone()
