"""Partners matter: shots with each other's partners teach a target whose twins no longer agree."""

import pytest
import torch
from paired_worlds import FP32

from lowshotgan.api import create_model, finetune, train
from lowshotgan.data.images import from_uint8, to_pil, to_uint8
from lowshotgan.metrics.pairs import consistency_ratio

SOURCE = {"warm_up_steps": 250, "steps": 10, "batch_size": 16, "lr": 2e-3, "ema_half_life": 0.0}
TARGET = {"encoder_steps": 20, "appearance_steps": 1, "refine_steps": 60, "bank": 1000, "steps": 120, "batch_size": 16}
TARGET |= {"lr": 2e-3, "target_weight": 0.9, "perceptual": "pixels", "ema_half_life": 0.0}


def spots(count, seed):
    """``(N, 3, 16, 16)`` uint8: a white spot somewhere on black."""
    places = torch.rand(count, 2, 1, 1, generator=torch.Generator().manual_seed(seed)) * 1.4 - 0.7
    line = torch.linspace(-1, 1, 16)
    distance = (line[None, :, None] - places[:, 0]) ** 2 + (line[None, None] - places[:, 1]) ** 2
    return to_uint8((2 * (-distance / 0.12).exp() - 1)[:, None].expand(-1, 3, -1, -1))


def recoloured(images):
    """The known map of the domains: dark on orange."""
    return ((255 - images.float()) * torch.tensor([1.0, 0.5, 0.2])[:, None, None]).round().to(torch.uint8)


def consistency(model):
    source, target = to_uint8(model.generate(100, domain="both").tensor).chunk(2, dim=3)
    return consistency_ratio(from_uint8(recoloured(source)), from_uint8(target))


@pytest.mark.slow
def test_wrong_partners_cost_a_tenth_of_consistency_and_more(tmp_path):
    """With wrong partners a twin is as near as any other image (1 is chance); half a minute of one core."""
    torch.manual_seed(0)
    base = create_model("genho_32", resolution=16, z_dim=4, width_base=128, width_max=16)
    base = train(base, to_pil(spots(400, 0)), output_dir=tmp_path / "base", **SOURCE, **FP32).model
    shots = spots(24, 5)
    found = {}
    for name, partners in (("true", shots), ("wrong", shots.roll(1, 0))):
        pairs = to_pil(partners), to_pil(recoloured(shots))
        found[name] = consistency(finetune(base, pairs=pairs, output_dir=tmp_path / name, **TARGET, **FP32).model)
    assert found["true"] < 0.8 and found["wrong"] == pytest.approx(1, abs=0.1)
    assert found["wrong"] - found["true"] > 0.2, found
