"""What the claims about images of unseen categories ask for, one by one (claims 1 to 7 of US 11379722)."""

import copy
import inspect

import pytest
import torch
from shapes_world import PAIRS, SEEN, UNSEEN, UNSEEN_PAIRS, discs, pictures, shapes_knowledge, share_right, tiny
from torch import nn

from lowshotgan.api import train
from lowshotgan.data.base import Source
from lowshotgan.draws import Draws
from lowshotgan.errors import ConfigError
from lowshotgan.systems.kggan.config import KGGANTraining
from lowshotgan.systems.kggan.stages import KGGANLosses
from lowshotgan.systems.kggan.system import KGGAN
from lowshotgan.train.loop import LoopSettings, fit
from lowshotgan.train.machine import Machine
from lowshotgan.train.phases import only_trainable, weighted_loss
from lowshotgan.types import Batch

QUICK = KGGANTraining(steps=2, batch_size=6, embedding_steps=2, folds=0, discriminator_steps=1)


def adversarial(model, data, training=QUICK):
    """The last stage, its losses and one batch; E is at its start."""
    *_, stage = model.stages(model.read_data(data), training)
    losses = stage.phases[0].terms.__self__
    assert isinstance(losses, KGGANLosses)
    return stage, losses, Batch(next(stage.batches), Draws(0), 0, 0.0)


def state(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(before, module):
    return all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def run(stage, phases, folder, steps=1):
    stage.phases = [phase for phase in stage.phases if phase.name in phases]
    stage.steps = steps
    fit([stage], output_dir=folder, machine=Machine("cpu"), settings=LoopSettings(precision="fp32"))


def gradient(terms, weights, parameters):
    total = sum(weights[name] * value.mean() for name, value in terms.items() if name in weights)
    found = torch.autograd.grad(total, parameters, allow_unused=True)
    return torch.cat(
        [(torch.zeros_like(p) if g is None else g).flatten() for p, g in zip(parameters, found, strict=True)]
    )


class Spy(nn.Module):
    """A discriminator that remembers the images it was given."""

    def __init__(self, inner):
        super().__init__()
        self.inner, self.given = inner, []

    def forward(self, images, told):
        self.given.append((images.detach().clone(), told.detach().clone()))
        return self.inner(images, told)


def test_1_both_generators_are_one_network(model, data):
    stage, losses, batch = adversarial(model, data)
    used = []
    hook = losses.live.register_forward_hook(lambda module, *_: used.append(module))
    losses.draw_seen(4, batch.draws), losses.draw_unseen(4, batch.draws)
    hook.remove()
    assert used == [losses.live, losses.live]
    ours = {id(p) for p in stage.groups["generator"].params}
    assert ours == {id(p) for p in losses.live.parameters()}


def test_1_the_discriminator_sees_real_images_and_those_of_the_first_generator_only(model, data):
    model.discriminator = Spy(model.discriminator)
    _, losses, batch = adversarial(model, data)
    made = {"draw_seen": [], "draw_unseen": []}

    def recording(name):
        draw = getattr(losses, name)

        def record(*args):
            made[name].append(draw(*args))
            return made[name][-1]

        return record

    losses.draw_seen, losses.draw_unseen = recording("draw_seen"), recording("draw_unseen")
    losses.discriminator_terms(batch), losses.generator_terms(batch)
    given = [images for images, _ in model.discriminator.given]
    allowed = [batch.images["images"]] + [images for images, _ in made["draw_seen"]]
    assert len(given) == 3 and len(made["draw_unseen"]) == 1
    assert all(any(torch.equal(images, other) for other in allowed) for images in given)
    (unseen, rows), seen_rows = made["draw_unseen"][0], set(losses.seen.tolist())
    assert not any(torch.equal(images, unseen) for images in given)
    assert not seen_rows & set(rows.tolist())
    known = model.generator.table.vectors[losses.seen]
    assert all((torch.cdist(told, known).amin(dim=1) < 1e-6).all() for _, told in model.discriminator.given)


def test_1_and_3_the_gradient_is_that_of_the_three_terms(model, data):
    weight = 0.7
    training = KGGANTraining(**{**QUICK.__dict__, "knowledge_weight": weight})
    stage, losses, batch = adversarial(model, data, training)
    model.discriminator.eval()  # spectral norms stay as they are
    phase = stage.phases[1]
    parameters = list(losses.live.parameters())
    for parameter in parameters:
        parameter.requires_grad_(True)

    def terms():
        return losses.generator_terms(Batch(batch.images, Draws(3), 0, 0.0))

    whole = gradient(terms(), phase.weights, parameters)
    alone = [gradient(terms(), {name: 1.0}, parameters) for name in phase.weights]
    assert all(part.abs().sum() > 0 for part in alone)
    torch.testing.assert_close(whole, alone[0] + weight * (alone[1] + alone[2]), atol=1e-6, rtol=1e-4)
    total, logged = weighted_loss(phase, terms(), 0.0)
    expected = sum(phase.weights[name.split("/")[1]] * value for name, value in logged.items())
    torch.testing.assert_close(total, expected)


@pytest.mark.parametrize("phase", ["discriminator", "generator"])
def test_1_a_phase_changes_its_own_network_and_never_the_embedding(model, data, tmp_path, phase):
    stage, losses, _ = adversarial(model, data)
    before = {"discriminator": state(model.discriminator), "generator": state(losses.live)}
    embedding, table = state(model.generator.embedding), state(model.generator.table)
    run(stage, [phase], tmp_path)
    assert same(embedding, model.generator.embedding) and same(table, model.generator.table)
    changed = {
        "discriminator": any(
            not torch.equal(p, before["discriminator"][n]) for n, p in model.discriminator.named_parameters()
        ),
        "generator": any(not torch.equal(p, before["generator"][n]) for n, p in losses.live.named_parameters()),
    }
    assert changed == {name: name == phase for name in changed}


def test_2_the_discriminator_lowers_its_loss_on_a_frozen_batch(model, data):
    stage, losses, batch = adversarial(model, data)
    optimizer = torch.optim.Adam(model.discriminator.parameters(), lr=2e-3)

    def value():
        return losses.discriminator_terms(Batch(batch.images, Draws(1), 0, 0.0))["adversarial"].mean()

    first = value()
    with only_trainable(stage, "discriminator"):
        for _ in range(20):
            optimizer.zero_grad()
            value().backward()
            optimizer.step()
    assert value() < first
    fakes, rows = losses.draw_seen(6, Draws(1))
    reals, labels = batch.images["images"], losses.seen[batch.images["labels"]]
    real, fake = losses.judge(reals, labels, Draws(1)), losses.judge(fakes, rows, Draws(1))
    assert torch.isfinite(real).all() and torch.isfinite(fake).all()


def test_2_and_3_the_terms_by_hand(model, data):
    _, losses, batch = adversarial(model, data)
    losses.live.eval(), model.discriminator.eval()
    found = losses.generator_terms(Batch(batch.images, Draws(5), 0, 0.0))
    draws, table = Draws(5), model.generator.table.vectors
    seen, rows = losses.draw_seen(6, draws)
    expected = -losses.discriminator(seen, table[rows])[:, 0]
    torch.testing.assert_close(found["adversarial"], expected)
    read = model.generator.embedding(losses.view(seen, draws))
    torch.testing.assert_close(found["knowledge_seen"], ((read - table[rows]) ** 2).sum(1))
    unseen, rows = losses.draw_unseen(6, draws)
    read = model.generator.embedding(losses.view(unseen, draws))
    torch.testing.assert_close(found["knowledge_unseen"], ((read - table[rows]) ** 2).sum(1))


def test_3_without_its_weight_the_second_generator_has_no_gradient(model, data):
    training = KGGANTraining(**{**QUICK.__dict__, "knowledge_weight": 0.0})
    stage, losses, batch = adversarial(model, data, training)
    parameters = list(losses.live.parameters())
    for parameter in parameters:
        parameter.requires_grad_(True)
    images = []
    draw = losses.draw_unseen
    losses.draw_unseen = lambda *args: images.append(draw(*args)) or images[-1]
    total, _ = weighted_loss(stage.phases[1], losses.generator_terms(batch), 0.0)
    (found,) = torch.autograd.grad(total, images[0][0], allow_unused=True, retain_graph=True)
    assert found is None or not found.any()


@pytest.mark.parametrize("seen", ["one_hot", "embedding"])
@pytest.mark.parametrize("unseen", ["one_hot", "embedding"])
def test_4_and_5_categories_are_told_one_hot_or_as_vectors(data, tmp_path, seen, unseen):
    model = tiny(seen_indication=seen, unseen_indication=unseen)
    stages = model.stages(model.read_data(data), QUICK)
    fit(stages, output_dir=tmp_path, machine=Machine("cpu"), settings=LoopSettings(precision="fp32"))
    model.statistics_samples = 100
    drawn = model.generate(category=[*SEEN, *UNSEEN])
    assert drawn.tensor.shape == (4, 3, 16, 16) and torch.isfinite(drawn.tensor).all()
    told = model.generator.indication(torch.arange(4), "seen")
    sides = {"one_hot": 4 * ("one_hot" in (seen, unseen)), "embedding": 4 * ("embedding" in (seen, unseen))}
    assert told.shape == (4, sum(sides.values()))
    vector = model.knowledge.vector(SEEN[0])
    if unseen == "embedding":
        assert torch.isfinite(model.generate(2, category=vector * 0.5).tensor).all()
    else:
        with pytest.raises(ConfigError, match="one-hot"):
            model.generate(2, category=vector)
        with pytest.raises(ConfigError, match="unseen_indication"):
            model.add_categories({"new": vector})


def test_4_and_5_a_vector_of_another_length_is_refused(model):
    with pytest.raises(ConfigError, match="length 3; this model needs 4"):
        model.generate(2, category=torch.zeros(3))


class SeenOnly(Source):
    """Images of all categories that fails when one of an unseen category is opened."""

    description = "spied images"
    parallel = False

    def __init__(self, inner):
        self.inner, self.opened = inner, []

    def __len__(self):
        return len(self.inner)

    def name(self, index):
        return self.inner.name(index)

    def decode(self, index):
        assert not self.name(index).startswith(tuple(UNSEEN)), "an image of an unseen category was opened"
        self.opened.append(index)
        return self.inner.decode(index)


def test_6_the_embedding_network_learns_from_seen_images_only(data, tmp_path):
    from lowshotgan.data.categories import _Joined
    from lowshotgan.data.items import ListSource

    everything = {**data, UNSEEN[0]: pictures(UNSEEN[0], 8)}
    parts = {name: ListSource(list(images)) for name, images in everything.items()}
    spied = SeenOnly(_Joined(parts))
    labels = [name for name, part in parts.items() for _ in range(len(part))]
    model = tiny(embedding_width=16, knowledge=shapes_knowledge(nuisance={}))
    found = model.read_data(spied, labels=labels)
    assert len(found) == 24 and spied.opened
    training = KGGANTraining(
        steps=1, batch_size=12, embedding_steps=60, folds=0, embedding_lr=5e-3, noise=0.0, shift=1
    )
    stages = model.stages(found, training)
    first = next(stages)
    start = copy.deepcopy(first.modules["embedding"])
    fit([first], output_dir=tmp_path, machine=Machine("cpu"), settings=LoopSettings(precision="fp32"))
    next(stages)
    net = model.generator.embedding
    assert not net.training and not any(p.requires_grad for p in net.parameters())
    batch = next(first.batches)
    wanted = model.generator.table.vectors[batch["labels"]]
    with torch.no_grad():
        error = [((net_(batch["images"]) - wanted) ** 2).sum(1).mean() for net_ in (start.eval(), net)]
    assert error[0] > 5 * error[1]
    assert model.details["embedding"]["seen_accuracy"] == 1.0


def test_7_no_image_of_an_unseen_category_can_be_given(model, data):
    for method in (KGGAN.read_data, KGGAN.stages, KGGAN.build):
        assert not any("unseen_images" in name for name in inspect.signature(method).parameters)
    assert UNSEEN[0] not in data
    assert set(model.read_data(data).counts) == set(SEEN)
    assert set(model.read_data({**data, UNSEEN[0]: pictures(UNSEEN[0], 4)}).counts) == set(SEEN)


def test_7_unseen_categories_are_drawn_better_than_without_knowledge(tmp_path):
    """Pairs of colours never shown together; the judge is exact, and reads 100% of real images."""
    assert all(share_right(discs(name, 16).float() / 127.5 - 1, name) == 1 for name in PAIRS)
    seen = [name for name in PAIRS if name not in UNSEEN_PAIRS]
    table = {name: dict(zip(("ground", "disc"), name.split(), strict=True)) for name in PAIRS}
    images = {name: discs(name, 16) for name in seen}
    settings = {"steps": 120, "batch_size": 12, "folds": 0, "discriminator_steps": 1, "lr": 1e-3, "embedding_lr": 5e-3}
    settings |= {"ema_half_life": 10.0, "noise": 0.05, "shift": 1}
    one_hot = {"seen_indication": "one_hot", "unseen_indication": "one_hot"}

    def accuracy(name, told, **more):
        model = tiny(knowledge=table, seen=seen, width=16, embedding_width=12, **told)
        model.statistics_samples = 200
        run = {"output_dir": tmp_path / name, "precision": "fp32", "device": "cpu", "progress": False}
        model = train(model, images, **run, **settings, **more).model
        drawn = {name: model.generate(32, category=name).tensor for name in PAIRS}
        return [sum(share_right(drawn[name], name) for name in group) / len(group) for group in (seen, UNSEEN_PAIRS)]

    with_knowledge = accuracy("full", {}, embedding_steps=120)
    without = accuracy("none", one_hot, embedding_steps=1, knowledge_weight=0.0)
    assert min(with_knowledge[0], without[0]) > 0.8  # both draw what they have seen
    assert with_knowledge[1] > 0.8 and with_knowledge[1] - without[1] > 0.4
