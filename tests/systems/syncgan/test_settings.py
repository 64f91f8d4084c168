"""Settings of the released trainings: rates of their own, private codes by modality, a uniform prior."""

import ast
import re
from pathlib import Path

import pytest
import torch

from lowshotgan.api import create_model, load
from lowshotgan.systems.syncgan.config import SyncGANTraining
from lowshotgan.systems.syncgan.modalities import VectorModality


def vectors(**options):
    torch.manual_seed(0)
    sizes = {"concept_dim": 4, "private_dim": 2, **options}
    return create_model("syncgan_32", modalities={"a": VectorModality(2), "b": VectorModality(3)}, **sizes)


def adversarial(model, **settings):
    data = {"a": torch.zeros(4, 2), "b": torch.zeros(4, 3), "pairs": "aligned"}
    training = SyncGANTraining(steps=1, batch_size=2, synchronizer_steps=0, **settings)
    (stage,) = model.stages(model.read_data(data), training)
    return stage


def test_discriminators_may_learn_at_a_rate_of_their_own():
    rates = {name: group.lr for name, group in adversarial(vectors(), lr=1e-3, discriminator_lr=2e-4).groups.items()}
    assert rates == {"generator": 1e-3, "discriminator": 2e-4, "synchronizer": 1e-3}
    assert adversarial(vectors(), lr=5e-3).groups["discriminator"].lr == 5e-3


def test_private_codes_may_differ_in_length(tmp_path):
    model = vectors(private_dim=(1, 3), encoders=True)
    assert model.config.z_dim == 8 and model.config.privates == {"a": 1, "b": 3}
    assert model.generator.private("a") == slice(4, 5) and model.generator.private("b") == slice(5, 8)
    ends = {name: encoder[-1].out_features for name, encoder in model.discriminator.encoders.items()}
    assert ends == {"a": 5, "b": 7}
    made = model.transfer(model.generate(2).decoded("a"), to="b", steps=2, n=2)
    assert made.latents.shape == (4, 8) and torch.equal(made.latents[0, :5], made.latents[1, :5])
    assert not torch.equal(made.latents[0, 5:], made.latents[1, 5:])
    model.save_pretrained(tmp_path)
    assert load(tmp_path).config == model.config


def test_a_uniform_prior_is_what_the_generators_see():
    model = vectors(prior="uniform")
    seen = []
    model.generator.parts["a"].register_forward_pre_hook(lambda net, args: seen.append(args[0]))
    latents = torch.randn(4000, model.config.z_dim, generator=torch.Generator().manual_seed(0))
    model.generate(latents=latents, modality="a", batch_size=4000)
    codes = seen[0]
    assert codes.abs().max() <= 1 and codes.mean().abs() < 0.02
    assert float(codes.var()) == pytest.approx(1 / 3, abs=0.01)
    spread = torch.histc(codes, bins=4, min=-1, max=1) / codes.numel()
    assert (spread - 0.25).abs().max() < 0.01
    torch.testing.assert_close(
        codes.clamp(-0.999, 0.999).erfinv() * 2**0.5, latents[:, :6].clamp(-3.29, 3.29), atol=1e-2, rtol=0
    )


def test_the_released_training_of_the_page_has_known_settings():
    page = (Path(__file__).parents[3] / "docs" / "syncgan.md").read_text(encoding="utf-8")
    (example,) = [block for block in re.findall(r"```python\n(.*?)```", page, re.S) if "synchronizer_every" in block]
    (made, trained) = (node.value for node in ast.parse(example).body)
    config, settings = (
        {word.arg: ast.literal_eval(word.value) for word in call.keywords if word.arg != "output_dir"}
        for call in (made, trained)
    )
    model = create_model("syncgan_28", **config)
    data = {name: torch.zeros(4, 3, 28, 28).byte() for name in ("first", "second")} | {"pairs": "aligned"}
    (stage,) = model.stages(model.read_data(data), SyncGANTraining(**settings))
    rates = {name: group.lr for name, group in stage.groups.items()}
    assert rates == {"generator": 1e-3, "discriminator": 2e-4, "synchronizer": 1e-3}
    assert stage.steps == 20_000 and {phase.every for phase in stage.phases} == {1}
