"""Class folders and the episodes drawn from them."""

from collections import Counter

import pytest
import torch
from PIL import Image

from lowshotgan.data.batches import ImageBatches, Together
from lowshotgan.data.classes import load_classes, load_one_class
from lowshotgan.data.episodes import Episodes
from lowshotgan.data.images import from_uint8
from lowshotgan.errors import ConfigError, ImageInputError

SIZES = {"apple": 3, "fig": 5, "kiwi": 1, "pear": 4}


@pytest.fixture
def folder(tmp_path):
    """Images whose red value is their class and whose green value is their number."""
    for label, (name, count) in enumerate(SIZES.items()):
        (tmp_path / name).mkdir()
        for number in range(count):
            Image.new("RGB", (12, 12), (label, number, 0)).save(tmp_path / name / f"{number}.png")
    return tmp_path


def who(batch, role="content"):
    """Class and number of each image of a batch."""
    return [tuple(((image[:2, 0, 0] + 1) * 127.5).round().int().tolist()) for image in batch[role]]


def test_labels_are_places_in_the_sorted_list_of_folders(folder):
    data = load_classes(folder, resolution=8)
    assert data.classes == tuple(SIZES) and len(data) == 13
    assert data.images.uint8()[:, 0, 0, 0].tolist() == data.labels.tolist()
    assert data.of_class("fig")[:, 1, 0, 0].tolist() == [0, 1, 2, 3, 4]
    assert load_classes(data, resolution=8) is data


def test_a_mapping_gives_the_same_as_folders(folder):
    data = load_classes({name: folder / name for name in reversed(SIZES)}, resolution=8)
    assert data.classes == tuple(SIZES)
    assert torch.equal(data.images.uint8(), load_classes(folder, resolution=8).images.uint8())


def test_class_lists_choose_and_leave_out(folder, tmp_path_factory):
    listed = tmp_path_factory.mktemp("lists") / "train.txt"
    listed.write_text("pear/0.png\npear/1.png\nfig\n\n")
    assert load_classes(folder, resolution=8, classes=listed).classes == ("fig", "pear")
    data = load_classes(folder, resolution=8, without=["kiwi"])
    assert data.classes == ("apple", "fig", "pear") and data.labels.max() == 2
    assert data.describe() != load_classes(folder, resolution=8).describe()
    listed.write_bytes("\ufefffig\npear\n".encode())  # as some editors begin a text
    assert load_classes(folder, resolution=8, classes=listed).classes == ("fig", "pear")
    listed.write_bytes("b\xe9b\xe9\n".encode("latin-1"))
    with pytest.raises(ConfigError, match="UTF-8"):
        load_classes(folder, resolution=8, classes=listed)
    with pytest.raises(ConfigError, match="chosen already"):
        load_classes(data, resolution=8, classes=["fig", "pear"])


def test_the_same_images_at_another_resolution(folder):
    data = load_classes(folder, resolution=12, without=["kiwi"])
    smaller = data.at(8)
    assert data.at(12) is data and smaller.classes == data.classes and torch.equal(smaller.labels, data.labels)
    assert torch.equal(smaller.images.uint8(), load_classes(folder, resolution=8, without=["kiwi"]).images.uint8())


def test_images_of_one_class_are_no_folder_of_classes(folder, tmp_path_factory):
    assert len(load_one_class(folder / "fig", resolution=8)) == 5
    assert len(load_one_class(folder, resolution=8, include=["fig"])) == 5
    assert len(load_one_class([folder / "fig" / "0.png", folder / "pear" / "1.png"], resolution=8)) == 2
    (folder / "fig" / "more").mkdir()
    (folder / "fig" / "0.png").rename(folder / "fig" / "more" / "0.png")
    assert len(load_one_class(folder / "fig", resolution=8)) == 5
    for options in ({}, {"k": 1}):
        with pytest.raises(ImageInputError, match=r"4 classes \(apple, fig, kiwi, pear\)"):
            load_one_class(folder.parent, resolution=8, include=[f"{folder.name}"], **options)


def test_idx_files_of_several_labels_are_no_one_class(tmp_path):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(
        bytes([0, 0, 8, 3]) + (3).to_bytes(4) + (8).to_bytes(4) * 2 + b"7" * 192
    )
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(bytes([0, 0, 8, 1]) + (3).to_bytes(4) + bytes([5, 2, 5]))
    with pytest.raises(ImageInputError, match=r"2 classes \(2, 5\)"):
        load_one_class(tmp_path, resolution=8)
    assert len(load_one_class(tmp_path, resolution=8, classes=[5])) == 2


def test_bad_folders_and_lists_are_told(folder):
    with pytest.raises(ImageInputError, match=r"'pare'.*'pear'"):
        load_classes(folder, resolution=8, classes=["pare", "fig"])
    with pytest.raises(ImageInputError, match="at least two"):
        load_classes(folder, resolution=8, classes=["fig"])
    with pytest.raises(ConfigError, match="cannot be read"):
        load_classes(folder, resolution=8, without=folder / "none.txt")
    with pytest.raises(ImageInputError, match="no classes"):
        load_classes({}, resolution=8)
    (folder / "quince").mkdir()
    with pytest.raises(ImageInputError, match="quince.*empty"):
        load_classes(folder, resolution=8)
    Image.new("RGB", (8, 8)).save(folder / "quince" / "a.png")
    Image.new("RGB", (8, 8)).save(folder / "loose.png")
    with pytest.raises(ImageInputError, match="loose.png"):
        load_classes(folder, resolution=8)


def test_sampling_by_images_sees_each_once_per_pass(folder):
    data = load_classes(folder, resolution=12)
    batches = Episodes(data, 13, flip=False)
    passes = [who(next(batches)) for _ in range(2)]
    assert len(set(passes[0])) == 13 and set(passes[0]) == set(passes[1]) and passes[0] != passes[1]


def test_sampling_by_classes_is_balanced_and_spreads_over_classes(folder):
    batches = Episodes(load_classes(folder, resolution=12), 4, sampling="classes", flip=False)
    seen = [next(batches) for _ in range(30)]
    for batch in seen:
        assert sorted(batch["exemplar_labels"].tolist()) == [0, 1, 2, 3]
        assert [label for label, _ in who(batch, "exemplars")] == batch["exemplar_labels"].tolist()
        assert [label for label, _ in who(batch)] == batch["content_labels"].tolist()
    drawn = Counter(image for batch in seen for image in who(batch))
    assert {drawn[1, number] for number in range(5)} == {6}  # 30 figs, five different ones
    assert any(who(batch) != who(batch, "exemplars") for batch in seen)


def test_episodes_resume_and_are_shared_between_processes(folder):
    data = load_classes(folder, resolution=12)
    whole = Episodes(data, 6, resolution=8, seed=3)
    first, second = next(whole), next(whole)
    resumed = Episodes(data, 6, resolution=8, seed=3)
    resumed.load_state_dict({"position": 6})
    assert all(torch.equal(value, second[name]) for name, value in next(resumed).items())
    halves = [next(Episodes(data, 6, resolution=8, seed=3, rank=rank, world_size=2)) for rank in range(2)]
    for name, value in first.items():
        assert torch.equal(value[0::2], halves[0][name]) and torch.equal(value[1::2], halves[1][name])


def test_siblings_are_other_images_of_the_same_class(folder):
    data = load_classes(folder, resolution=12)
    batches = Episodes(data, 8, siblings=True, flip=False)
    seen = [next(batches) for _ in range(6)]
    for batch in seen:
        assert torch.equal(batch["content_labels"], batch["exemplar_labels"])
        same = (batch["content"] == batch["exemplars"]).flatten(1).all(dim=1)
        assert torch.equal(same, batch["content_labels"] == 2)  # there is one kiwi only
    again = Episodes(data, 8, siblings=True, flip=False)
    again.load_state_dict({"position": 16})
    assert torch.equal(next(again)["exemplars"], seen[2]["exemplars"])


def test_images_are_cut_anywhere_and_mirrored(tmp_path):
    ramp = torch.arange(12).repeat(12, 1) + 20 * torch.arange(12)[:, None]
    image = Image.fromarray(ramp.byte().numpy()).convert("RGB")
    data = load_classes({"a": [image], "b": [image]}, resolution=12)
    batches = Episodes(data, 200, resolution=8)
    cut = ((next(batches)["content"] + 1) * 127.5).round().int()[:, 0]
    mirrored = cut[:, 0, 0] > cut[:, 0, -1]
    corners = {tuple(divmod(int(one.min()), 20)) for one in cut}
    assert corners == {(top, left) for top in range(5) for left in range(5)}
    assert 60 < int(mirrored.sum()) < 140
    assert not (
        (lambda one: one[:, :, 0, 0] > one[:, :, 0, -1])(next(Episodes(data, 50, flip=False))["content"])
    ).any()


def test_unusable_episodes_are_refused(folder):
    data = load_classes(folder, resolution=12)
    for options, message in [
        ({"resolution": 16}, "cannot be cut"), ({"sampling": "all"}, "classes"), ({"world_size": 4}, "multiple"),
    ]:  # fmt: skip
        with pytest.raises(ConfigError, match=message):
            Episodes(data, 6, **options)


def test_sources_of_batches_go_together_and_resume(folder):
    def make():
        data = load_classes(folder, resolution=12)
        return Together({"shots": ImageBatches(data.images, 2), "source": Episodes(data, 3)})

    both = make()
    next(both)
    state, expected = both.state_dict(), next(both)
    again = make()
    again.load_state_dict(state)
    assert set(expected) == {"shots", "content", "content_labels", "exemplars", "exemplar_labels"}
    assert all(torch.equal(value, expected[name]) for name, value in next(again).items())
    assert expected["shots"].shape == (2, 3, 12, 12) and from_uint8(torch.zeros(1).byte()) == -1
