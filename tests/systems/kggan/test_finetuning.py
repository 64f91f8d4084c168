"""Fine-tuning of KG-GAN to a few images of new and of unseen categories, and constraints of the user."""

import copy

import pytest
import torch
from resuming import same_tensors, whole_and_cut
from shapes_world import SEEN, UNSEEN, pictures, tiny

from lowshotgan.api import finetune, load, train
from lowshotgan.data.knowledge import Knowledge
from lowshotgan.data.shapes import coloured_shapes
from lowshotgan.errors import CheckpointError, ConfigError
from lowshotgan.losses.knowledge_guided import area
from lowshotgan.systems.kggan.config import KGGANFineTuning
from lowshotgan.train.loop import LoopSettings, fit
from lowshotgan.train.machine import Machine

RUN = {"precision": "fp32", "device": "cpu", "progress": False}
QUICK = {"batch_size": 6, "shift": 1}


def rings(n=6, seed=0):
    return coloured_shapes("ring", "green", n, resolution=16, seed=seed)


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """A model that has seen three categories for a moment."""
    model = tiny(embedding_width=12, width=16)
    model.statistics_samples = 100
    settings = {"steps": 60, "batch_size": 12, "embedding_steps": 80, "folds": 0, "discriminator_steps": 1}
    settings |= {"lr": 2e-3, "embedding_lr": 5e-3, "ema_half_life": 5.0, "noise": 0.05, "shift": 1}
    return train(model, data, output_dir=tmp_path_factory.mktemp("run"), **RUN, **settings).model


def error(model, name, real):
    """Distance of the mean drawn image from the mean real one, in [-1, 1]."""
    return float((model.generate(32, category=name).tensor.mean(0) - (real.float() / 127.5 - 1).mean(0)).abs().mean())


def drift(before, after, names=(*SEEN, *UNSEEN)):
    pairs = [(before.generate(8, category=n).tensor, after.generate(8, category=n).tensor) for n in names]
    return sum(float((a - b).abs().mean()) for a, b in pairs) / len(pairs)


def test_a_few_images_teach_a_new_category_and_others_are_held(trained, tmp_path):
    base = copy.deepcopy(trained)
    base.add_categories(Knowledge.from_exemplars(base.embed, {"green ring": rings()}))
    before = trained.digest
    settings = {"steps": 60, "lr": 2e-3, "ema_half_life": 5.0, "noise": 0.05, "shift": 1}
    held, free = (
        finetune(trained, {"green ring": rings()}, output_dir=tmp_path / str(hold), hold=hold, **RUN, **settings).model
        for hold in (10.0, 0.0)
    )
    real = rings(48, seed=5)
    assert error(held, "green ring", real) < 0.75 * error(base, "green ring", real)
    assert drift(trained, held) < 0.7 * drift(trained, free)
    assert trained.digest == before and "green ring" not in trained.categories
    again = load(tmp_path / "10.0")
    assert again.config.seen == (*SEEN, "green ring") and again.config.unseen == tuple(UNSEEN)
    assert torch.equal(again.generate(2, category="green ring").tensor, held.generate(2, category="green ring").tensor)
    assert again.details["finetuning"]["images"] == 6


def test_only_generator_and_discriminator_move(trained, tmp_path):
    model = copy.deepcopy(trained)
    shots = model.read_shots({UNSEEN[0]: pictures(UNSEEN[0], 4), SEEN[0]: pictures(SEEN[0], 2)})
    stage = next(model.finetune_stages(shots, KGGANFineTuning(steps=2, **QUICK)))
    losses = stage.phases[0].terms.__self__
    assert losses.unseen.numel() == 0 and model.config.unseen == ()
    parts = {"embedding": model.generator.embedding, "table": model.generator.table, "before": losses.before}
    weights = {name: [p.clone() for p in (*part.parameters(),)] for name, part in parts.items()}
    vectors, live = model.generator.table.vectors.clone(), copy.deepcopy(losses.live)
    judge = copy.deepcopy(model.discriminator)
    fit([stage], output_dir=tmp_path, machine=Machine("cpu"), settings=LoopSettings(precision="fp32"))
    assert all(
        torch.equal(a, b)
        for name, part in parts.items()
        for a, b in zip(part.parameters(), weights[name], strict=True)
    )
    assert torch.equal(model.generator.table.vectors, vectors)
    for now, then in ((losses.live, live), (model.discriminator, judge)):
        assert any(not torch.equal(a, b) for a, b in zip(now.parameters(), then.parameters(), strict=True))
    assert {int(row) for row in losses.held} == {1, 2}  # the categories without images here
    assert model.generator.table.is_seen.tolist() == [True] * 4


def test_finetuning_resumes_bit_for_bit(trained, tmp_path):
    def build():
        model, training = copy.deepcopy(trained), KGGANFineTuning(steps=4, **QUICK)
        return model, model.finetune_stages(model.read_shots({"green ring": rings()}), training)

    whole, again = whole_and_cut(build, tmp_path, ("finetuning", 2))
    assert same_tensors([whole.generator], [again.generator])


def test_shots_are_drawn_by_seed_and_named_by_folder(trained, tmp_path):
    found = trained.read_shots({"a": rings(5), "b": rings(4, seed=1)}, k=2, seed=3)
    assert found.counts == {"a": 2, "b": 2}
    assert torch.equal(found.of("b"), trained.read_shots({"b": rings(4, seed=1)}, k=2, seed=3).of("b"))
    with pytest.raises(Exception, match="k=5 but b has only 4 images"):
        trained.read_shots({"a": rings(5), "b": rings(4)}, k=5)
    with pytest.raises(Exception, match="no sub-folders"):
        trained.read_shots(rings(3))


def test_what_cannot_be_added_is_refused(data):
    fixed = tiny(seen_indication="one_hot", unseen_indication="one_hot")
    with pytest.raises(ConfigError, match="one-hot, so it cannot learn 'green ring'"):
        next(fixed.finetune_stages(fixed.read_shots({"green ring": rings()})))
    half = tiny(seen_indication="one_hot")
    half.add_categories({"green ring": torch.ones(4)})
    with pytest.raises(ConfigError, match="cannot learn 'green ring', which its training did not know"):
        next(half.finetune_stages(half.read_shots({"green ring": rings()})))
    bare = tiny()
    bare.discriminator = None
    with pytest.raises(ConfigError, match="without its discriminator"):
        next(bare.finetune_stages(bare.read_shots({"green ring": rings()})))
    for options in ({"hold": -1.0}, {"batch_size": 1}, {"distance": "far"}):
        with pytest.raises(ConfigError):
            KGGANFineTuning(**options)


# ---- constraints ----


def darkness(images, targets):
    """Images should be dark; the targets tell which category and vector each has."""
    assert targets["vectors"].shape == (len(images), 4) and targets["categories"].shape == (len(images),)
    return area((images.mean(1, keepdim=True) + 1) / 2)


def test_a_constraint_of_the_user_is_a_term_of_the_generator(trained, tmp_path):
    model = copy.deepcopy(trained)
    model.add_constraint("dark", darkness, weight=20.0)
    settings = {"steps": 25, "lr": 2e-3, "ema_half_life": 5.0, "batch_size": 8, "hold": 0.0}
    shots = {SEEN[0]: pictures(SEEN[0], 4)}
    plain = finetune(trained, shots, output_dir=tmp_path / "plain", **RUN, **settings).model
    found = finetune(model, shots, output_dir=tmp_path / "dark", **RUN, **settings).model
    for name in (SEEN[0], UNSEEN[0]):
        light = [float(system.generate(8, category=name).tensor.mean()) for system in (plain, found)]
        assert light[1] < light[0] - 0.2
    assert found.details["constraints"] == {"dark": 20.0}
    with pytest.raises(CheckpointError):  # the same run without the constraint
        finetune(trained, shots, output_dir=tmp_path / "dark", **RUN, **settings)
    for options in (
        ("dark", darkness, 1.0),
        ("two words", darkness, 1.0),
        ("other", 3, 1.0),
        ("other", darkness, 0.0),
    ):
        with pytest.raises(ConfigError):
            model.add_constraint(options[0], options[1], weight=options[2])
