"""What goes beyond the paper: cells of pixels, the warm-up, several embedding networks, realism of unseen categories."""

import pytest
import torch
from shapes_world import SEEN, UNSEEN, shapes_knowledge, tiny

from lowshotgan.data.knowledge import Knowledge
from lowshotgan.draws import Draws
from lowshotgan.errors import ConfigError
from lowshotgan.losses.knowledge_guided import embedding_distance
from lowshotgan.systems.kggan.config import KGGANTraining
from lowshotgan.systems.kggan.nuisance import erase_square
from lowshotgan.systems.kggan.warm_up import OutlineCodes, outlines
from lowshotgan.train.loop import LoopSettings, fit
from lowshotgan.train.machine import Machine
from lowshotgan.train.phases import weighted_loss
from lowshotgan.types import Batch

QUICK = {"steps": 2, "batch_size": 6, "embedding_steps": 2, "folds": 0, "discriminator_steps": 1}


def stages(model, data, **options):
    found = list(model.stages(model.read_data(data), KGGANTraining(**{**QUICK, **options})))
    return {stage.name: stage for stage in found}


@pytest.mark.parametrize("arch", ["kggan_32", "kggan_64"])
def test_networks_on_cells_are_those_of_half_the_size(arch):
    small, large = tiny(arch), tiny(arch, resolution=32, cell=2)
    latents, rows = torch.randn(2, 8), torch.tensor([0, 3])
    images = large.generator.seen(latents, rows)
    assert images.shape == (2, 3, 32, 32)
    assert not torch.equal(images[:, :, ::2, ::2], images[:, :, 1::2, 1::2])
    assert large.discriminator(images, large.generator.table.vectors[rows]).shape == (2, 1)
    for name in ("generator", "discriminator"):
        before, after = (dict(getattr(model, name).named_parameters()) for model in (small, large))
        changed = {key for key, value in before.items() if value.shape != after[key].shape}
        assert set(before) == set(after) and len(changed) <= 5  # the layers next to pixels


def test_outlines_tell_shapes_and_hardly_colours():
    grey = torch.full((1, 3, 32, 32), -0.4)
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., 8:24, 8:24] = 1.0
    light, dark = (outlines(grey.lerp(torch.full_like(grey, value), mask)) for value in (0.9, 0.2))
    moved = outlines(grey.lerp(torch.full_like(grey, 0.9), mask.roll(4, dims=3)))
    assert (light - dark).abs().mean() < 0.2 * (light - moved).abs().mean()


def test_codes_of_outlines_are_white(data):
    model = tiny()
    codes = OutlineCodes(model.read_data(data), 8)
    images = next(stages(model, data)["embedding"].batches)["images"]
    assert codes(images).shape == (6, 8)
    everything = torch.cat([torch.as_tensor(one) for one in data.values()]) / 127.5 - 1
    found = codes(everything)
    torch.testing.assert_close(found.mean(0), torch.zeros(8), atol=1e-3, rtol=0)
    torch.testing.assert_close(found.std(0), torch.ones(8), atol=0.05, rtol=0)


def test_the_warm_up_learns_to_redraw_seen_images(data, tmp_path):
    model = tiny(width=16)
    stage = stages(model, data, warm_up_steps=60, warm_up_lr=5e-3)["warm_up"]
    terms = stage.phases[0].terms
    batch = Batch(next(stage.batches), Draws(0), 0, 0.0)
    with torch.no_grad():
        before = float(terms(batch)["redrawing"].mean())
    fit([stage], output_dir=tmp_path, machine=Machine("cpu"), settings=LoopSettings(precision="fp32"))
    with torch.no_grad():
        after = float(terms(batch)["redrawing"].mean())
    assert after < 0.6 * before
    assert "warm_up" not in stages(model, data)


def test_an_anchor_keeps_redrawing_in_the_adversarial_stage(data):
    for weight in (0.0, 3.0):
        stage = stages(tiny(), data, warm_up_steps=1, anchor_weight=weight)["adversarial"]
        losses, batch = stage.phases[0].terms.__self__, Batch(next(stage.batches), Draws(0), 0, 0.0)
        terms = losses.generator_terms(batch)
        assert ("redrawing" in terms) == bool(weight)
        assert stage.phases[1].weights.get("redrawing", 0.0) == weight
    with pytest.raises(ConfigError, match="warm_up_steps"):
        KGGANTraining(anchor_weight=1.0)
    slow = stages(tiny(), data, lr=2e-3, generator_lr=1e-4)["adversarial"].groups
    assert slow["generator"].lr == 1e-4 and slow["discriminator"].lr == 2e-3


def test_several_embedding_networks_each_learn_and_are_averaged(data):
    model = tiny(embedding_nets=3)
    net = model.generator.embedding
    images = torch.rand(4, 3, 16, 16) * 2 - 1
    readings = net.eval().readings(images)
    torch.testing.assert_close(net(images), sum(readings) / 3)
    stage = stages(model, data)["adversarial"]
    losses, rows = stage.phases[0].terms.__self__, torch.tensor([0, 1, 2, 3])
    losses.view.shift, losses.view.noise = 0, 0.0
    wanted = model.generator.table.vectors
    expected = sum(embedding_distance(one, wanted) for one in readings) / 3
    torch.testing.assert_close(losses.knowledge(images, rows, Draws(0)), expected)
    with pytest.raises(ConfigError, match="embedding_nets"):
        tiny(embedding_nets=0)


def test_realism_shows_unseen_images_to_the_judge_without_a_category(data):
    for weight in (0.0, 0.5):
        model = tiny()
        stage = stages(model, data, realism_on_unseen=weight, knowledge_weight=0.0)["adversarial"]
        losses, told = stage.phases[0].terms.__self__, []
        model.discriminator.register_forward_pre_hook(lambda module, args, told=told: told.append(args[1]))
        batch = Batch(next(stage.batches), Draws(0), 0, 0.0)
        losses.discriminator_terms(batch)
        terms = losses.generator_terms(batch)
        assert sum(one is None for one in told) == (3 if weight else 0)
        assert ("realism" in terms) == bool(weight)
        if weight:
            total, _ = weighted_loss(stage.phases[1], {"realism": terms["realism"]}, 0.0)
            torch.testing.assert_close(total, weight * terms["realism"].mean())
            total.backward()
            assert losses.live.to_rgb.weight.grad.abs().sum() > 0


def test_text_embeddings_are_protected_by_default(data, tmp_path):
    texts = [torch.randn(3, 20, generator=torch.Generator().manual_seed(i)) for i in range(4)]
    names = [*SEEN, *UNSEEN]
    model = tiny(knowledge=Knowledge.from_text_embeddings(names, texts))
    assert model.config.components == 2 and model.config.embedding_nets == 3 and model.config.nuisance == ()
    stage = stages(model, data)["embedding"]
    loss, group = stage.phases[0].terms.__self__, stage.groups["embedding"]
    assert group.weight_decay == 1e-4 and loss.view.erase == 0.25
    chosen = tiny(knowledge=Knowledge.from_text_embeddings(names, texts), components=0, embedding_nets=1)
    assert chosen.config.components == 0 and chosen.config.embedding_nets == 1
    stage = stages(chosen, data, erase=0.0, embedding_weight_decay=0.0)["embedding"]
    assert stage.groups["embedding"].weight_decay == 0 and stage.phases[0].terms.__self__.view.erase == 0
    table = tiny(knowledge=Knowledge.from_table(names, torch.stack([one[0] for one in texts])))
    assert table.config.components == 0 and table.config.embedding_nets == 1
    stage = stages(table, data)["embedding"]
    assert stage.groups["embedding"].weight_decay == 0 and stage.phases[0].terms.__self__.view.erase == 0


def test_attributes_get_the_usual_nuisances_unless_components_mix_them():
    assert tiny().config.nuisance == ("colour:erase_patches", "shape:scramble_colour")
    assert tiny(knowledge=shapes_knowledge(nuisance={})).config.nuisance == ()
    assert tiny(components=2).config.nuisance == ()
    with pytest.raises(ConfigError, match="components mix"):
        tiny(knowledge=shapes_knowledge(nuisance={"colour": "shuffle_patches"}), components=2)


def test_nuisances_may_be_given_as_knowledge_has_them():
    assert tiny(nuisance={"colour": "shuffle_patches"}).config.nuisance == ("colour:shuffle_patches",)
    assert tiny(nuisance={}).config.nuisance == ()
    with pytest.raises(ConfigError, match="group 'size'"):
        tiny(nuisance={"size": "shift"})


def test_an_erased_square_has_its_side_and_the_mean_colour():
    images = torch.rand(6, 3, 16, 16) * 2 - 1
    erased = erase_square(images, Draws(0), side=4)
    gone = (erased != images).any(dim=1)
    assert gone.flatten(1).sum(1).tolist() == [16] * 6
    for one, before, hole in zip(erased, images, gone, strict=True):
        rows, columns = hole.nonzero().unbind(1)
        assert int(rows.max() - rows.min()) == int(columns.max() - columns.min()) == 3
        torch.testing.assert_close(one[:, hole], before.mean(dim=(1, 2))[:, None].expand(3, 16))
    with pytest.raises(ConfigError, match="erase"):
        KGGANTraining(erase=0.9)
