"""Fine-tuning of the mask network to a new style, and constraints of the user."""

import copy

import pytest
import torch
from resuming import same_tensors, whole_and_cut

from lowshotgan.api import create_model, finetune, load, train
from lowshotgan.data.images import to_pil
from lowshotgan.data.shapes import painted_heads
from lowshotgan.errors import ConfigError
from lowshotgan.systems.kggan_recolour.config import RecolourFineTuning

RUN = {"precision": "fp32", "device": "cpu", "progress": False}


def heads(n, seed=0, *, turned=False):
    """Heads by category; the new style stands on its head."""
    drawn = painted_heads(n, resolution=16, seed=seed)
    images = drawn.images.flip(2) if turned else drawn.images
    return {name: images[[label == name for label in drawn.labels]] for name in dict.fromkeys(drawn.labels)}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    torch.manual_seed(0)
    sizes = {"resolution": 16, "transform_width": 8, "mask_width": 8, "discriminator_width": 8}
    settings = {"steps": 60, "batch_size": 8, "lr": 2e-3, "ema_half_life": 5.0, "accuracy": 0.6}
    model = create_model("kggan_recolour_64", **sizes)
    return train(model, heads(48), output_dir=tmp_path_factory.mktemp("run"), **RUN, **settings).model


def overlap(model):
    """Mean overlap of found and true region on turned heads it never saw."""
    drawn = painted_heads(24, resolution=16, seed=9)
    found, truth = model.region(drawn.images.flip(2)) > 0.5, drawn.masks.flip(2) > 0.5
    return float(((found & truth).flatten(1).sum(1) / (found | truth).flatten(1).sum(1).clamp(min=1)).mean())


def changed(before, after):
    return any(not torch.equal(a, b) for a, b in zip(before.parameters(), after.parameters(), strict=True))


def test_six_images_of_a_new_style_teach_the_mask_and_nothing_else(trained, tmp_path):
    settings = {"steps": 80, "lr": 2e-3}
    result = finetune(trained, heads(6, 3, turned=True), output_dir=tmp_path / "run", **RUN, **settings)
    model = result.model
    assert overlap(model) > 1.5 * overlap(trained) + 0.02
    assert not changed(trained.generator.seen, model.generator.seen)
    assert not changed(trained.generator.unseen, model.generator.unseen)
    assert changed(trained.generator.mask, model.generator.mask) and changed(
        trained.discriminator, model.discriminator
    )
    assert load(tmp_path / "run").digest == model.digest
    assert model.details["finetuning"]["images"] == 6


def test_finetuning_resumes_bit_for_bit(trained, tmp_path):
    def build():
        model, training = copy.deepcopy(trained), RecolourFineTuning(steps=4, batch_size=4)
        return model, model.finetune_stages(model.read_shots(heads(6)), training)

    whole, again = whole_and_cut(build, tmp_path, ("finetuning", 2))
    assert same_tensors([whole.generator], [again.generator])


def test_shots_may_lack_categories_or_have_none(trained, tmp_path):
    brown = heads(9)["brown"]
    found = trained.read_shots({"brown": brown})
    assert found.labels.tolist() == [1, 1, 1] and found.categories == ("black", "brown", "blond")
    for index, image in enumerate(to_pil(brown.float() / 127.5 - 1)):
        for folder in ("plain", "sorted/blond"):
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
            image.save(tmp_path / folder / f"{index}.png")
    assert trained.read_shots(tmp_path / "sorted").labels.tolist() == [2, 2, 2]
    guessed = trained.read_shots(tmp_path / "plain", k=2)
    with torch.no_grad():
        read = trained.discriminator(guessed.images.uint8().float() / 127.5 - 1)[1].argmax(1)
    assert len(guessed) == 2 and torch.equal(guessed.labels, read)
    with pytest.raises(ConfigError, match="blond"):
        trained.read_shots({"blonde": brown})
    bare = copy.deepcopy(trained)
    bare.discriminator = None
    with pytest.raises(ConfigError, match="without its discriminator"):
        bare.read_shots(tmp_path / "plain")


def test_a_constraint_of_the_user_is_a_term_of_the_generators(trained):
    seen = []

    def faithful(images, targets):
        seen.append({name: tuple(value.shape) for name, value in targets.items()})
        return (images - targets["content"]).abs().flatten(1).mean(1)

    model = copy.deepcopy(trained)
    model.add_constraint("faithful", faithful, weight=3.0)
    stage = next(model.finetune_stages(model.read_shots(heads(6)), RecolourFineTuning(steps=1, batch_size=4)))
    phase = stage.phases[1]
    from lowshotgan.draws import Draws
    from lowshotgan.types import Batch

    terms = phase.terms(Batch(next(stage.batches), Draws(0), 0, 0.0))
    assert terms["constraint_faithful"].shape == (4,) and phase.weights["constraint_faithful"] == 3.0
    assert seen == [{"region": (4, 1, 16, 16), "color": (4, 3), "content": (4, 3, 16, 16)}]
