"""Pairs: what may be given, what is refused with which words, and streams in step."""

import pytest
import torch

from lowshotgan.data.batches import Together
from lowshotgan.data.images import to_pil
from lowshotgan.data.pairs import edge_map, load_pairs, structural_similarity
from lowshotgan.data.streams import DrawnBatches, RowBatches
from lowshotgan.data.synthetic import faces
from lowshotgan.errors import ConfigError, ImageInputError

SIDE = 16
FLAT, LINE = (faces(6, resolution=SIDE, style=style, seed=0) for style in ("flat", "line"))


def write(folder, images, names=None, ending="png"):
    folder.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(to_pil(images)):
        image.save(folder / f"{names[number] if names else f'face{number}'}.{ending}")
    return folder


def check(found, rows=range(6)):
    assert len(found) == len(rows)
    assert torch.equal(found.rows["source"], FLAT[list(rows)])
    assert torch.equal(found.rows["target"], LINE[list(rows)])


def test_two_folders_are_matched_by_name_whatever_the_ending(tmp_path):
    source = write(tmp_path / "a", FLAT, ending="bmp")
    target = write(tmp_path / "b", LINE.flip(0), names=[f"face{n}" for n in reversed(range(6))])
    check(load_pairs((source, target), resolution=SIDE))
    check(load_pairs({"source": source, "target": target}, resolution=SIDE))


def test_one_folder_with_source_and_target(tmp_path):
    write(tmp_path / "source", FLAT), write(tmp_path / "target", LINE)
    check(load_pairs(tmp_path, resolution=SIDE))


def test_side_by_side(tmp_path):
    folder = write(tmp_path / "both", torch.cat([FLAT, LINE], dim=3))
    check(load_pairs(folder, resolution=SIDE))
    check(load_pairs(to_pil(torch.cat([FLAT, LINE], dim=3)), resolution=SIDE))


def test_explicit_list_and_two_lists(tmp_path):
    source, target = to_pil(FLAT), to_pil(LINE)
    check(load_pairs(list(zip(source, target, strict=True)), resolution=SIDE))
    check(load_pairs((source, target), resolution=SIDE))


def test_a_draw_of_k_keeps_partners_together_and_nests():
    pairs = (to_pil(FLAT), to_pil(LINE))
    two, three = (load_pairs(pairs, resolution=SIDE, k=k, seed=3) for k in (2, 3))
    kept = [int((row == FLAT).flatten(1).all(1).nonzero()) for row in three.rows["source"]]
    check(three, kept)
    assert {row.numpy().tobytes() for row in two.rows["target"]} <= {r.numpy().tobytes() for r in three.rows["target"]}


def test_other_images_are_targets_without_partners():
    found = load_pairs(to_pil(LINE), resolution=SIDE)
    assert found.source is None and set(found.rows) == {"target"}
    assert found.describe()["source"] is None


def test_further_source_images():
    found = load_pairs({"source": to_pil(FLAT), "target": to_pil(LINE), "images": to_pil(FLAT[:4])}, resolution=SIDE)
    assert len(found.images) == 4


def test_missing_partners_are_named(tmp_path):
    source, target = write(tmp_path / "a", FLAT[:5]), write(tmp_path / "b", LINE)
    with pytest.raises(ImageInputError, match="no source partner in .*a for face5"):
        load_pairs((source, target), resolution=SIDE)
    with pytest.raises(ImageInputError, match="no target partner in .*a for face5"):
        load_pairs((target, source), resolution=SIDE)


def test_stems_that_occur_twice_are_refused(tmp_path):
    source, target = write(tmp_path / "a", FLAT), write(tmp_path / "b", LINE)
    write(target, LINE[:1], ending="bmp")
    with pytest.raises(ImageInputError, match="face0 more than once"):
        load_pairs((source, target), resolution=SIDE)


def test_lists_of_different_length_are_refused():
    with pytest.raises(ImageInputError, match="5 source images but 6"):
        load_pairs((to_pil(FLAT[:5]), to_pil(LINE)), resolution=SIDE)


def test_partners_of_different_sizes_are_refused():
    small = to_pil(faces(6, resolution=8, style="flat", seed=0))
    with pytest.raises(ImageInputError, match="8 x 8 and .* 16 x 16"):
        load_pairs((small, to_pil(LINE)), resolution=SIDE)


def test_the_same_pair_twice_is_refused():
    twice = [0, 1, 2, 1]
    with pytest.raises(ImageInputError, match="image 1 and image 3 are the same pair"):
        load_pairs((to_pil(FLAT[twice]), to_pil(LINE[twice])), resolution=SIDE)


def test_a_mix_of_single_and_double_images_is_refused():
    double = to_pil(torch.cat([FLAT, LINE], dim=3))
    with pytest.raises(ImageInputError, match="6 of 7 images are twice as wide"):
        load_pairs(double + to_pil(FLAT[:1]), resolution=SIDE)


@pytest.mark.parametrize(
    ("pairs", "message"),
    [({"source": []}, "target"), ((1, 2, 3), "3 entries"), ([(1, 2), (1, 2, 3)], "entry 1 of pairs has 3")],
)
def test_unusable_pairs_say_what_is_expected(pairs, message):
    with pytest.raises(ConfigError, match=message):
        load_pairs(pairs, resolution=SIDE)


def test_few_pairs_and_doubtful_pairs_are_warned_of(caplog):
    caplog.set_level("WARNING", "lowshotgan")
    load_pairs((to_pil(FLAT), to_pil(LINE)), resolution=SIDE)
    assert not caplog.records
    load_pairs((to_pil(FLAT[:2]), to_pil(LINE[:2])), resolution=SIDE)
    assert "2 pairs cannot show the variety" in caplog.text
    caplog.clear()
    noise = torch.randint(0, 256, FLAT.shape, generator=torch.Generator().manual_seed(0)).byte()
    load_pairs((to_pil(FLAT), to_pil(noise)), resolution=SIDE)
    assert "edges of partners hardly agree" in caplog.text


def test_edges_and_similarity_by_hand():
    step = torch.full((1, 3, 16, 16), -1.0)
    step[..., 8:] = 1.0
    edges = edge_map(step)
    assert edges.shape == (1, 1, 16, 16)
    torch.testing.assert_close(edges[0, 0, 5, 7:9], torch.ones(2), atol=1e-4, rtol=0)
    assert edges[..., :7].max() < 1e-3
    torch.testing.assert_close(structural_similarity(edges, edges), torch.ones(1))
    assert structural_similarity(edges, edges.transpose(2, 3)) < 0.8


def test_rows_stay_together_and_every_row_comes_once_a_pass():
    rows = {"image": FLAT, "number": torch.arange(6.0)}
    batches = RowBatches(rows, 4, seed=1)
    seen = torch.cat([next(batches)["number"] for _ in range(3)])
    assert sorted(seen[:6].tolist()) == sorted(seen[6:].tolist()) == list(range(6))
    state = batches.state_dict()
    one = next(batches)
    torch.testing.assert_close(one["image"], FLAT[one["number"].long()] / 127.5 - 1)
    again = RowBatches(rows, 4, seed=1)
    again.load_state_dict(state)
    assert torch.equal(next(again)["number"], one["number"])


def test_several_processes_share_what_one_would_see():
    rows = {"number": torch.arange(6.0)}
    whole = next(RowBatches(rows, 4, seed=2))["number"]
    halves = [next(RowBatches(rows, 4, seed=2, rank=rank, world_size=2))["number"] for rank in (0, 1)]
    assert torch.equal(torch.stack(halves, dim=1).flatten(), whole)
    with pytest.raises(ConfigError, match="multiple"):
        RowBatches(rows, 3, world_size=2)
    drawn = [next(DrawnBatches(lambda z: z, 2, 4, rank=r, world_size=2)) for r in (0, 1)]
    assert torch.equal(torch.stack(drawn, dim=1).flatten(0, 1), next(DrawnBatches(lambda z: z, 2, 4)))


def test_mirroring_is_the_same_for_partners():
    batch = next(RowBatches({"source": FLAT, "target": FLAT}, 18, flip=True, seed=0))
    assert torch.equal(batch["source"], batch["target"])
    plain = next(RowBatches({"source": FLAT}, 18, seed=0))["source"]
    mirrored = [torch.equal(a, b.flip(2)) for a, b in zip(batch["source"], plain, strict=True)]
    assert any(mirrored) and not all(mirrored)
    kept = [torch.equal(a, b) for a, b in zip(batch["source"], plain, strict=True)]
    assert all(a or b for a, b in zip(kept, mirrored, strict=True))


def test_joined_streams_resume_together():
    def make():
        drawn = DrawnBatches(lambda z: 2 * z, 3, 4, latent_std=0.5, seed=1)
        return Together({"images": drawn, "pairs": RowBatches({"a": torch.arange(5.0)}, 2)})

    first = make()
    next(first)
    state, expected, again = first.state_dict(), next(first), make()
    again.load_state_dict(state)
    found = next(again)
    assert set(found) == {"images", "a"} and found["images"].shape == (4, 3)
    assert all(torch.equal(found[name], expected[name]) for name in found)


def test_partners_are_made_by_a_function(tmp_path):
    made = {to_pil(LINE[n])[0].tobytes(): to_pil(FLAT[n])[0] for n in range(6)}
    folder = write(tmp_path / "targets", LINE)
    check(load_pairs(folder, resolution=SIDE, partners=lambda image: made[image.tobytes()]))
    with pytest.raises(ConfigError, match="partners already"):
        load_pairs((to_pil(FLAT), to_pil(LINE)), resolution=SIDE, partners=lambda image: image)
    with pytest.raises(ConfigError, match="prepared already"):
        load_pairs(load_pairs(folder, resolution=SIDE), resolution=SIDE, partners=lambda image: image)


def test_prepared_pairs_are_taken_as_they_are_or_refused():
    found = load_pairs((to_pil(FLAT), to_pil(LINE)), resolution=SIDE)
    assert load_pairs(found, resolution=SIDE) is found
    for other in ({"resolution": 2 * SIDE}, {"resolution": SIDE, "channels": 1}):
        with pytest.raises(ConfigError, match="are needed"):
            load_pairs(found, **other)
    with pytest.raises(ConfigError, match="k to the load_pairs"):
        load_pairs(found, resolution=SIDE, k=2)
