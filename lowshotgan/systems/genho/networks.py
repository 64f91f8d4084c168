"""GenHo's generating networks as one module, which is what a model folder holds."""

import torch
from torch import Tensor, nn

from lowshotgan.nets.domains import Domains
from lowshotgan.nets.genho import AppearanceGenerator, ContentEncoder, ContentGenerator
from lowshotgan.systems.genho.config import GenHoConfig


class GenHoNetworks(nn.Module):
    """Everything that generates, the encoder of content maps, and the latents found for the shots."""

    codes: Tensor

    def __init__(self, config: GenHoConfig) -> None:
        super().__init__()
        widths = {"width_base": config.width_base, "width_max": config.width_max}
        content = ContentGenerator(config.side, z_dim=config.z_dim, **widths)
        self.content = Domains(content, adapted=config.own_content)
        image = AppearanceGenerator(config.resolution, config.side, **widths, channels=config.channels)
        self.image = Domains(image, adapted=config.adapted)
        self.encoder = ContentEncoder(config.resolution, config.side, **widths)
        self.register_buffer("codes", torch.zeros(config.shots, config.z_dim))
