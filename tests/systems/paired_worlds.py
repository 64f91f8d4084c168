"""Tiny models of the three systems that learn from pairs, and settings under which each fine-tunes in a second."""

import torch

from lowshotgan.api import create_model

SMALL = {
    "lado": ("lado_32", {"content_dim": 6, "appearance_dim": 4, "width": 4}),
    "genho": ("genho_32", {"z_dim": 6, "width_base": 64, "width_max": 8}),
    "pfsgan": (
        "pfsgan_32",
        {"content_dim": 6, "appearance_dim": 4, "width": 4, "encoder": "conv", "encoder_width": 4},
    ),
}
SHORT = {
    "lado": {"steps": 2, "align_steps": 1, "batch_size": 8, "perceptual": "pixels"},
    "genho": {"steps": 2, "appearance_steps": 1, "encoder_steps": 1, "refine_steps": 1, "batch_size": 8, "bank": 200}
    | {"perceptual": "pixels"},
    "pfsgan": {"steps": 2, "batch_size": 8, "source_batch_size": 4, "discriminator_updates": 1, "features": "random"},
}
FP32 = {"precision": "fp32", "device": "cpu", "progress": False}


def small(system, **config):
    """An untrained model of 16 pixels."""
    arch, arguments = SMALL[system]
    torch.manual_seed(0)
    return create_model(arch, resolution=16, **(arguments | config)).eval()
