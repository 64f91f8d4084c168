"""KG-GAN as a system: networks, table of categories, what it draws, and what it refuses."""

import itertools
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from resuming import same_tensors, whole_and_cut
from shapes_world import SEEN, UNSEEN, attributes, pictures, shapes_knowledge, tiny

from lowshotgan.api import create_model, load, train
from lowshotgan.data.categories import load_categories
from lowshotgan.data.dataset import load_images
from lowshotgan.data.images import from_uint8, to_pil
from lowshotgan.data.knowledge import Knowledge
from lowshotgan.data.knowledge_report import knowledge_report
from lowshotgan.draws import Draws
from lowshotgan.errors import ConfigError, ImageInputError
from lowshotgan.systems.kggan.config import KGGANTraining
from lowshotgan.systems.kggan.networks import (
    ConditionalBatchNorm,
    EmbeddingNet,
    PlainGenerator,
    ProjectionHead,
    ResidualDiscriminator,
    ResidualGenerator,
)
from lowshotgan.systems.kggan.nuisance import TRANSFORMS, Nuisance
from lowshotgan.train.source import read_recipe

TRAINING = {"steps": 4, "batch_size": 6, "embedding_steps": 3, "folds": 2, "discriminator_steps": 2}


def count(module):
    return sum(p.numel() for p in module.parameters())


def conv(a, b, k):
    return a * b * k * k + b


# ---- networks ----


def test_residual_networks_have_the_published_sizes():
    d = 10
    generator, discriminator = ResidualGenerator(64, d), ResidualDiscriminator(64, d)
    widths = [1024, 512, 256, 128, 64]
    blocks = sum(
        conv(a, b, 3) + conv(b, b, 3) + conv(a, b, 1) + 2 * (d + 1) * (a + b) for a, b in itertools.pairwise(widths)
    )
    assert count(generator) == 128 * 16384 + 16384 + blocks + 2 * 64 + conv(64, 3, 3)
    widths = [3, 64, 128, 256, 512, 1024]
    blocks = sum(conv(a, b, 3) + conv(b, b, 3) + conv(a, b, 1) for a, b in itertools.pairwise(widths))
    assert count(discriminator) == blocks + 1025 + 1024 * d
    assert generator.project.out_features == 4 * 4 * 1024


def test_plain_generator_has_the_widths_of_the_prototype():
    generator = PlainGenerator(32, 10)
    assert [(c.in_channels, c.out_channels) for c in generator.convs] == [(56, 56), (56, 28), (28, 14)]
    norms = sum(2 * 33 * c for c in (56, 28, 14))
    expected = 11 * 32 + 97 * 56 * 16 + conv(56, 56, 3) + conv(56, 28, 3) + conv(28, 14, 3) + norms + conv(14, 3, 3)
    assert count(generator) == expected
    assert generator(torch.zeros(2, 64), torch.zeros(2, 10)).shape == (2, 3, 32, 32)


def test_conditional_norm_is_a_table_for_one_hot_categories():
    torch.manual_seed(0)
    layer = ConditionalBatchNorm(3, 4)
    torch.nn.init.normal_(layer.gain.weight)
    torch.nn.init.normal_(layer.offset.weight)
    x, y = torch.randn(5, 3, 2, 2), torch.tensor([0, 1, 2, 3, 1])
    found = layer(x, F.one_hot(y, 4).float())
    normal = (x - x.mean((0, 2, 3), keepdim=True)) / (x.var((0, 2, 3), unbiased=False, keepdim=True) + 1e-5).sqrt()
    gain, offset = (layer.gain.weight.T + layer.gain.bias)[y], (layer.offset.weight.T + layer.offset.bias)[y]
    torch.testing.assert_close(found, normal * gain[..., None, None] + offset[..., None, None])


def test_projection_head_against_a_slow_reference():
    torch.manual_seed(0)
    head = ProjectionHead(4, 3).eval()
    features, told = torch.randn(2, 4, 2, 2), torch.randn(2, 3)
    weight, bias, table = head.linear.weight, head.linear.bias, head.category.weight
    for found, f, v in zip(head(features, told), features.sum((2, 3)), told, strict=True):
        torch.testing.assert_close(found, (weight[0] * f).sum()[None] + bias + f @ (table @ v))


def test_the_embedding_net_reads_any_size():
    net = EmbeddingNet(5, width=4)
    assert net(torch.zeros(2, 3, 16, 16)).shape == net(torch.zeros(2, 3, 64, 64)).shape == (2, 5)


# ---- nuisance ----


def test_nuisance_masks_the_groups_a_transform_destroys():
    dimensions = ("colour=red", "colour=blue", "shape=ring", "shape=disc")
    nuisance = Nuisance(dimensions, ["shape:scramble_colour", "colour:erase_patches"])
    images = torch.rand(64, 3, 16, 16) * 2 - 1
    changed, mask = nuisance(images, Draws(0))
    moved = (changed != images).flatten(1).any(dim=1)
    assert 16 < int(moved.sum()) < 48
    assert (mask[~moved] == 1).all() and (mask[moved].sum(1) == 2).all()
    assert {tuple(row) for row in mask[moved].tolist()} == {(0.0, 0.0, 1.0, 1.0), (1.0, 1.0, 0.0, 0.0)}
    assert Nuisance(dimensions, [])(images, Draws(0))[1] is None


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms_keep_shape_and_range(name):
    images = torch.rand(4, 3, 16, 16) * 2 - 1
    changed = TRANSFORMS[name](images, Draws(1))
    assert changed.shape == images.shape and changed.abs().max() <= 1.0
    assert not torch.equal(changed, images)
    if name == "shuffle_patches":
        torch.testing.assert_close(changed.flatten(2).sort()[0], images.flatten(2).sort()[0])


# ---- the table ----


def test_vectors_are_normalised_by_the_seen_ones():
    raw = torch.tensor([[1.0, 10.0, 5.0], [3.0, 30.0, 5.0], [2.0, 50.0, 5.0], [9.0, 90.0, 5.0]])
    model = tiny(knowledge=Knowledge.from_table(["a", "b", "c", "d"], raw), seen=["a", "b", "c"])
    table = model.generator.table.vectors
    torch.testing.assert_close(table[:3].mean(0), torch.zeros(3), atol=1e-6, rtol=0)
    torch.testing.assert_close(table[:3].norm(dim=1).mean(), torch.tensor(1.0))
    torch.testing.assert_close(table[:3, 0].std() / table[:3, 1].std(), torch.tensor(1.0))
    torch.testing.assert_close(model.knowledge.vectors, raw, atol=1e-4, rtol=1e-4)


def test_components_are_fitted_on_the_seen_vectors():
    raw = torch.randn(6, 12, generator=torch.Generator().manual_seed(0))
    model = tiny(knowledge=Knowledge.from_table("abcdef", raw), seen=list("abcde"), components=4)
    seen = (raw[:5] - raw[:5].mean(0)) / raw[:5].std(0, unbiased=False)
    torch.testing.assert_close(model.generator.table.vectors[:5] @ model.generator.table.vectors[:5].T,
                               seen @ seen.T / model.generator.table.length**2, atol=1e-4, rtol=1e-3)  # fmt: skip
    with pytest.raises(ConfigError, match="components"):
        tiny(knowledge=Knowledge.from_table("abcdef", raw), seen=list("abcde"), components=5)


# ---- drawing ----


def test_a_category_is_a_name_attributes_or_a_vector(model):
    by_name = model.generate(2, category="blue cross").tensor
    assert torch.equal(model.generate(2, category=attributes("blue cross")).tensor, by_name)
    vector = shapes_knowledge().vector("blue cross")
    torch.testing.assert_close(model.generate(2, category=vector).tensor, by_name, atol=1e-5, rtol=0)
    torch.testing.assert_close(model.generate(2, category=vector.expand(2, -1)).tensor, by_name, atol=1e-5, rtol=0)
    assert not torch.allclose(model.generate(2, category="red cross").tensor, by_name)


def test_new_categories_are_drawn_at_once_and_saved(model, tmp_path, caplog):
    new = torch.tensor([0.5, 0.5, 0.5, 0.5])
    model.add_categories({"between": new})
    drawn = model.generate(2, category="between").tensor
    torch.testing.assert_close(drawn, model.generate(2, category=new).tensor)
    model.save_pretrained(tmp_path)
    again = load(tmp_path)
    assert again.categories[-1] == "between" and again.config == model.config
    assert torch.equal(again.generate(2, category="between").tensor, drawn)
    with pytest.raises(ConfigError, match="exists already"):
        model.add_categories({"between": new})


def test_categories_are_arrays_and_lists_too(model):
    vector = shapes_knowledge().vector("blue cross")
    one = model.generate(2, category=vector).tensor
    for given in (vector.numpy(), vector.tolist(), [vector.tolist()] * 2, vector.expand(2, -1).numpy(), [vector] * 2):
        assert torch.equal(model.generate(2, category=given).tensor, one)
    assert len(model.generate(category=[vector.tolist()] * 3)) == 3
    both = model.generate(category=[attributes("blue cross"), attributes("red cross")]).tensor
    torch.testing.assert_close(both[0], one[0], atol=1e-5, rtol=0)
    assert torch.equal(
        model.generate(category=np.array(["red cross"])).tensor, model.generate(1, category="red cross").tensor
    )
    for stops in ([vector.numpy(), "red cross"], vector.expand(2, -1), vector.expand(2, -1).numpy()):
        walk = model.interpolate(0, categories=stops, frames=2, loop=False).tensor
        torch.testing.assert_close(walk[0], one[0], atol=1e-5, rtol=0)


def test_new_knowledge_is_put_in_the_order_of_the_model(model, tmp_path):
    asked, order = shapes_knowledge(), [2, 0, 3, 1]
    wanted = asked.vector("blue cross")
    swapped = Knowledge(("swapped",), wanted[order][None], tuple(asked.dimensions[i] for i in order))
    model.add_categories(swapped)
    torch.testing.assert_close(model.knowledge.vector("swapped"), wanted, atol=1e-5, rtol=0)
    (tmp_path / "new.csv").write_text("name,shape,colour\nanother,cross,blue\n")
    model.add_categories(tmp_path / "new.csv")
    torch.testing.assert_close(model.knowledge.vector("another"), wanted, atol=1e-5, rtol=0)
    model.add_categories({"by position": wanted.numpy()})
    other = Knowledge(("odd",), wanted[None], ("a", "b", "c", "d"))
    for knowledge in (other, Knowledge.from_attributes({"odd": {"colour": "blue"}}), tmp_path / "none.csv"):
        with pytest.raises(ConfigError, match=r"model needs colour=|cannot be read"):
            model.add_categories(knowledge)
    assert model.categories[-3:] == ("swapped", "another", "by position")


@pytest.mark.parametrize(
    ("table", "message"),
    [({"two": torch.zeros(2, 4), "one": torch.ones(4)}, "two has 2 vectors"), ({}, "no categories"),
     ({"word": "red"}, "word needs attributes or a vector"), ({"none": None}, "none needs attributes or a vector"),
     ({"short": [1.0]}, "length 1"), ({"amount": {"colour": 3, "shape": "cross"}}, "a text such as 'red'")],
)  # fmt: skip
def test_what_is_no_new_category_leaves_the_table_as_it_was(model, table, message):
    with pytest.raises(ConfigError, match=message):
        model.add_categories(table)
    rows = model.generator.table
    assert len(model.categories) == len(rows.vectors) == len(rows.is_seen) == 4


def test_new_categories_beside_seen_ones_told_one_hot_are_drawn():
    model = tiny(seen_indication="one_hot")
    model.add_categories({"between": torch.full((4,), 0.5)})
    assert torch.isfinite(model.generate(2, category="between").tensor).all()


def test_exemplars_are_images_of_any_kind_and_size(model, data, tmp_path):
    images = data["red circle"][:3]
    expected = Knowledge.from_exemplars(model.embed, {"a": images}).vectors
    files = to_pil(from_uint8(images))
    for index, image in enumerate(files):
        image.save(tmp_path / f"{index}.png")
    for given in (files, tmp_path, images.float() / 127.5 - 1):
        torch.testing.assert_close(
            Knowledge.from_exemplars(model.embed, {"a": given}).vectors, expected, atol=1e-4, rtol=0
        )
    large = pictures("red circle", 3, resolution=32)
    found = Knowledge.from_exemplars(model.embed, {"a": large}).vectors
    small = model.embed(load_images(large, resolution=16).uint8())
    torch.testing.assert_close(found[0], small.mean(0), atol=1e-5, rtol=0)


def test_a_vector_far_from_all_seen_ones_is_told(model, caplog):
    logging.getLogger("lowshotgan").propagate = True
    vector = shapes_knowledge().vector("blue cross")
    model.generate(1, category=vector)
    assert "far" not in caplog.text
    model.generate(1, category=vector * 20)
    assert "lies far from every category" in caplog.text


def test_a_few_images_can_stand_for_knowledge(model, data):
    images = {"like red": data["red circle"][:3], "like blue": data["blue circle"][:3]}
    knowledge = Knowledge.from_exemplars(model.embed, images)
    assert knowledge.source == "exemplars" and knowledge.vectors.shape == (2, 4)
    model.add_categories(knowledge)
    assert len(model.generate(1, category="like red")) == 1


def test_walks_between_categories_end_at_them(model):
    way = model.interpolate(3, categories=["red circle", "blue cross"], frames=5, loop=False).tensor
    ends = [model.generate(seeds=[3], category=name).tensor[0] for name in ("red circle", "blue cross")]
    torch.testing.assert_close(way[0], ends[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(way[-1], ends[1], atol=1e-5, rtol=0)
    with pytest.raises(ConfigError, match="two stops"):
        model.interpolate(3)


# ---- training ----


def test_training_resumes_bit_for_bit(data, tmp_path):
    def build():
        model = tiny(seen=[*SEEN, *UNSEEN])
        model.statistics_samples = 100
        images = model.read_data({**data, UNSEEN[0]: pictures(UNSEEN[0], 8)})
        return model, model.stages(images, KGGANTraining(**TRAINING))

    whole, again = whole_and_cut(build, tmp_path, ("fold-1", 2), ("embedding", 2), ("adversarial", 2))
    assert same_tensors([whole.generator], [again.generator])
    assert again.details == whole.details
    assert {"seen_accuracy", "held_out_accuracy", "chance"} == set(again.details["embedding"])


def test_training_lowers_both_semantic_losses(data, tmp_path):
    model = tiny(embedding_width=12, width=16)
    model.statistics_samples = 100
    training = {"steps": 60, "batch_size": 12, "embedding_steps": 80, "folds": 0, "discriminator_steps": 1}
    training |= {"lr": 2e-3, "embedding_lr": 5e-3, "ema_half_life": 5.0, "noise": 0.05, "shift": 1}
    result = train(
        model, data, output_dir=tmp_path / "run", precision="fp32", device="cpu", progress=False, **training
    )
    assert result.fit.stopped == "finished"
    wanted = {name: model.generator.table.vectors[i] for i, name in enumerate(model.categories)}

    def distance(system, name):
        images = system.generate(16, category=name).tensor
        with torch.no_grad():
            return float(((model.generator.embedding(images) - wanted[name]) ** 2).sum(1).mean())

    start = tiny(embedding_width=12, width=16)
    for name in (*SEEN, *UNSEEN):
        assert distance(model, name) < 0.5 * distance(start, name)
    assert (tmp_path / "run" / "previews").is_dir()


# ---- what is refused ----


def test_a_model_needs_knowledge():
    with pytest.raises(ConfigError, match="Knowledge.from_attributes"):
        create_model("kggan_64")


@pytest.mark.parametrize(
    ("options", "message"),
    [({"category": "red sqare"}, "category must be"), ({"category": ["red circle"], "n": 2}, "1 categories for 2"),
     ({"category": torch.zeros(3, 4), "n": 2}, "3 vectors for 2"), ({"category": [0.0, 1.0, 2.0], "n": 2}, "length 3"),
     ({"category": ["red circle", 1.0], "n": 2}, "a list of one of these kinds"), ({"category": []}, "a list of one"),
     ({"category": 3}, "a list of one"), ({"category": {"colour": 3, "shape": "cross"}}, "a text such as 'red'"),
     ({"category": {"colour": "red"}}, "shape"),
     ({"category": {"colour": "rid", "shape": "cross"}}, "red"), ({"latents": torch.zeros(1, 3)}, r"\(N, 8\)"),
     ({"truncation": 0.5}, "truncation")],
)  # fmt: skip
def test_unusable_options_say_what_is_expected(model, options, message):
    with pytest.raises(ConfigError, match=message):
        model.generate(**options)


def test_categories_without_vector_or_images_are_refused(model, data):
    with pytest.raises(ConfigError, match="green star"):
        tiny(seen=[*SEEN, "green star"])
    with pytest.raises(ImageInputError, match="no images of red cross"):
        model.read_data({name: images for name, images in data.items() if name != "red cross"})
    with pytest.raises(ConfigError, match="blue circle, red circle, red cross at 16 px, but red circle, red cross"):
        model.read_data(load_categories(data, sorted(data), resolution=16))
    assert len(model.read_data(model.read_data(data))) == 24
    with pytest.raises(ConfigError, match="got a int"):
        tiny(knowledge=3)
    with pytest.raises(ConfigError, match="not among the first 3"):
        tiny(unseen_indication="one_hot", listed=3)
    with pytest.raises(ConfigError, match="both seen and unseen"):
        tiny(unseen=["red circle"])
    with pytest.raises(ConfigError, match="at least two seen"):
        tiny(seen=["red circle"], unseen=[])


@pytest.mark.parametrize("options", [{"batch_size": 1}, {"folds": -1}, {"distance": "far"}, {"embedding_steps": 0}])
def test_unusable_training_settings_are_refused(options):
    with pytest.raises(ConfigError):
        KGGANTraining(**options)


def test_the_recipe_names_categories_of_its_table():
    folder = Path(__file__).parents[3] / "recipes"
    recipe = read_recipe(folder / "kggan_64.avatars_v1.toml")
    knowledge = Knowledge.from_file(folder / "kggan_64.avatars_v1.csv")
    hidden = recipe.model["unseen"]
    assert len(knowledge) == 56 and set(hidden) < set(knowledge.names) and len(set(hidden)) == 16
    seen = [name for name in knowledge.names if name not in hidden]
    assert not knowledge_report(knowledge, seen, hidden).warnings
    assert KGGANTraining(**recipe.train).warm_up_steps
