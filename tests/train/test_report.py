import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lowshotgan.data.images import to_pil
from lowshotgan.data.synthetic import faces
from lowshotgan.errors import ConfigError
from lowshotgan.finetune.selector import Limits
from lowshotgan.train.report import FORMAT_VERSION, CopyPair, CurvePoint, FinetuneReport, write_report
from lowshotgan.train.report_chart import curve_chart, ticks
from lowshotgan.train.report_facts import plain
from lowshotgan.train.report_html import flat, page
from lowshotgan.train.report_pictures import encode
from lowshotgan.train.report_sheet import GUTTER, MARGIN, TILE, best_columns, contact_sheet
from lowshotgan.train.report_words import duration, headline, notes, number, percent, readings, size

LIMITS = Limits(min_diversity=0.6, max_memorization=0.05)
HOSTILE = "<script>alert('\"&')</script> \udcff .png"
VOID = {"meta", "img", "br"}


class Outline(HTMLParser):
    """Collects tags, attributes and visible text; fails on a tag that is not closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data

    def values(self, name):
        return [value for _, key, value in self.attributes if key == name]


def summary(**changes):
    known = {
        "base": "stylegan2_64.avatars_v1",
        "images": "examples/ten-shots",
        "k": 3,
        "input_summary": "3 images, 64 x 64.\n1 was cropped.",
        "recipe": "cdc",
        "recipe_explained": "cdc: trains full",
        "settings": {"lr": 0.002, "trainable": [{"kind": "full"}], "head": {"kind": "image_patch", "divisor": 8}},
        "proximity": 0.71,
        "distance": "near",
        "steps": 1200,
        "seconds": 252.4,
        "seconds_predicted": 270.0,
        "peak_memory_mb": 812.3,
        "delta_bytes": 183_400,
        "memorization": 0.003,
        "memorization_samples": 1000,
        "warnings": ["a.png and b.png are near duplicates."],
        "protocol": "KD-lsg1:9f31ab02",
        "versions": {"python": "3.11.9", "torch": "2.15.0"},
        "device": "cpu",
        "precision": "bf16",
        "seed": 0,
        "command": "lowshotgan finetune examples/ten-shots --output runs/mine",
    }
    return {**known, **changes}


def curve():
    points = [(100, 0.3, 1.0, 0.0), (200, 0.1, 0.8, 0.01), (300, 0.05, 0.65, 0.04), (400, 0.04, 0.4, 0.3)]
    return [CurvePoint(*point, kept=point[0] in (200, 300), chosen=point[0] == 300) for point in points]


def make(k=3, n=4, resolution=32, **changes):
    inputs = faces(min(k, 10), resolution=resolution, style="line").repeat(math.ceil(k / 10), 1, 1, 1)[:k]
    base = faces(n, resolution=resolution)
    copies = [
        CopyPair(7, base[0], inputs[0], "a.png", 0.21, True),
        CopyPair(9, base[-1], inputs[-1], "b.png", 0.7, False),
    ]
    known = {
        "inputs": inputs,
        "names": [f"{index}.png" for index in range(k)],
        "seeds": list(range(n)),
        "base": base,
        "adapted": 255 - base,
        "curve": curve(),
        "copies": copies,
        "summary": summary(k=k),
    }
    return FinetuneReport(**{**known, **changes})


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "new"
    return write_report(make(), folder)


def test_three_files_are_written_and_nothing_else(written):
    assert written.name == "report.html"
    assert sorted(path.name for path in written.parent.iterdir()) == [
        "contact_sheet.png",
        "report.html",
        "report.json",
    ]


def test_the_page_is_well_formed_and_fetches_nothing(written):
    outline = Outline(written.read_text(encoding="utf-8"))
    assert all(source.startswith("data:image/png;base64,") for source in outline.values("src"))
    assert all(target.startswith("#") for target in outline.values("href"))
    assert not {"script", "link", "iframe", "object"} & set(outline.tags)
    assert not re.search(r"url\(|@import|https?:", written.read_text(encoding="utf-8"))
    assert len(outline.values("id")) == len(set(outline.values("id")))


def test_the_page_has_every_section_and_says_what_the_summary_holds(written):
    outline = Outline(written.read_text(encoding="utf-8"))
    assert outline.values("id") == ["images", "samples", "moment", "copies", "settings", "use", "notes"]
    assert outline.tags.count("img") == 3 + 2 * 4 + 2 * 2
    for text in (
        "cdc: trains full",
        "image_patch(divisor=8)",
        "near (0.71)",
        "4 min 12 s",
        "183 kB",
        "3.11.9",
        "KD-lsg1:9f31ab02",
    ):
        assert text in outline.text
    assert "near duplicates" in outline.text
    assert f"lowshotgan generate {written.parent}" in outline.text


def test_every_picture_has_an_alternative_text(written):
    outline = Outline(written.read_text(encoding="utf-8"))
    assert all(outline.values("alt"))
    assert len(outline.values("alt")) == outline.tags.count("img")


def test_text_from_outside_is_escaped_wherever_it_is_shown(tmp_path):
    known = make()
    one = (
        "base",
        "images",
        "input_summary",
        "recipe",
        "recipe_explained",
        "distance",
        "protocol",
        "device",
        "command",
        "no_command",
    )
    told = dict.fromkeys((*one, "output_dir", HOSTILE), HOSTILE)
    told |= {"warnings": [HOSTILE], "versions": {HOSTILE: HOSTILE}, "settings": {"head": {"kind": HOSTILE}}}
    pairs = [replace(known.copies[0], nearest_name=HOSTILE)]
    path = write_report(replace(known, names=[HOSTILE] * 3, copies=pairs, summary=summary(**told)), tmp_path)
    outline = Outline(path.read_text(encoding="utf-8"))
    assert "script" not in outline.tags
    assert outline.text.count("<script>") >= 15
    json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))


def test_the_json_holds_everything_but_pixels(written):
    facts = json.loads((written.parent / "report.json").read_text(encoding="utf-8"))
    assert facts["format_version"] == FORMAT_VERSION
    assert facts["protocol"] == facts["summary"]["protocol"] == "KD-lsg1:9f31ab02"
    assert facts["curve"][2] == {
        "step": 300, "fidelity": 0.05, "diversity": 0.65, "memorization": 0.04, "kept": True, "chosen": True,
    }  # fmt: skip
    assert facts["copies"][0] == {"seed": 7, "nearest": "a.png", "ratio": 0.21, "copied": True}
    assert facts["summary"]["settings"]["trainable"] == [{"kind": "full"}]
    assert "3 of 1,000" in facts["headline"]


def test_numbers_that_are_not_finite_are_null_and_never_shown(tmp_path):
    nan = float("nan")
    points = [CurvePoint(1, nan, nan, nan, kept=True, chosen=True), CurvePoint(2, float("inf"), 0.5, 0.0)]
    pairs = [replace(make().copies[0], ratio=nan)]
    told = summary(seconds=nan, memorization=nan, extra=torch.tensor([1.0, nan]))
    path = write_report(make(curve=points, copies=pairs, summary=told), tmp_path)
    facts = json.loads((tmp_path / "report.json").read_text(), parse_constant=pytest.fail)
    assert facts["curve"][0]["fidelity"] is facts["copies"][0]["ratio"] is facts["summary"]["seconds"] is None
    assert facts["summary"]["extra"] == [1.0, None]
    assert not re.search(r"\b(nan|inf)\b", Outline(path.read_text(encoding="utf-8")).text)


def test_a_report_with_nothing_optional_still_reads(tmp_path):
    path = write_report(make(k=1, n=1, curve=[], copies=[], summary={}), tmp_path)
    outline = Outline(path.read_text(encoding="utf-8"))
    assert "Adapted from the base model to your one image. Copying cannot be measured with one image." in outline.text
    assert "svg" not in outline.tags


def test_the_same_report_gives_the_same_files(written, tmp_path):
    write_report(make(), tmp_path)
    for name in ("report.json", "contact_sheet.png"):
        assert (tmp_path / name).read_bytes() == (written.parent / name).read_bytes()


@pytest.mark.parametrize("resolution", [64, 128])
def test_a_hundred_images_and_many_seeds_stay_small(tmp_path, resolution):
    write_report(make(k=100, n=32, resolution=resolution), tmp_path)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 2_000_000


def test_pictures_that_compress_badly_are_reduced_and_the_page_says_so():
    noise = torch.randint(0, 256, (100, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    text = page(make(k=100, n=4, resolution=64, inputs=noise, copies=[]), "runs/mine")
    assert len(text) < 1_300_000
    assert "64 pixels wide with 256 colours each, so that it stays small" in text


@pytest.mark.parametrize(("limit", "side", "palette"), [(10**6, 256, False), (150_000, 128, False), (1, 32, True)])
def test_pictures_take_the_largest_size_that_fits(limit, side, palette):
    noise = torch.randint(0, 256, (2, 3, 256, 256), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    encoded = encode([noise], limit=limit)
    assert (encoded.side, encoded.palette) == (side, palette)


def test_pictures_survive_encoding_when_they_fit():
    pictures = faces(2, resolution=32)
    encoded = encode([pictures, pictures[:0]])
    assert (encoded.side, encoded.palette, [len(group) for group in encoded.groups]) == (32, False, [2, 0])


@pytest.mark.parametrize(
    "changes",
    [
        {"base": faces(3, resolution=32)},
        {"adapted": faces(4, resolution=64)},
        {"inputs": faces(3, resolution=32).float()},
        {"names": ["only one"]},
        {"inputs": faces(1, resolution=32)[:0], "names": []},
        {"inputs": faces(3, resolution=32)[:, :1]},
        {"copies": [CopyPair(0, faces(1, resolution=64)[0], faces(1, resolution=64)[0], "a.png", 0.5, False)]},
    ],
)
def test_pictures_that_do_not_fit_together_are_refused(changes):
    with pytest.raises(ConfigError, match=r"must be uint8 of shape \(count, 3, R, R\)"):
        make(**changes)


@pytest.mark.parametrize(
    ("rate", "samples", "sentence"),
    [
        (0.003, 1000, "3 of 1,000 samples copy a training image."),
        (0.001, 1000, "1 of 1,000 samples copies a training image."),
        (0.0, 500, "None of 500 samples copies a training image."),
        (0.25, None, "25 % of samples copy a training image."),
        (math.nan, 500, "Copying was not measured."),
    ],
)
def test_the_headline_counts_copies_in_plain_words(rate, samples, sentence):
    text = headline(make(summary=summary(memorization=rate, memorization_samples=samples)))
    assert text == f"Adapted from stylegan2_64.avatars_v1 to your 3 images in 4 min 12 s. {sentence}"


def test_without_a_rate_that_of_the_chosen_snapshot_counts():
    assert make(summary={}).memorization == 0.04


def test_a_run_in_trouble_gets_advice():
    bad = [replace(point, chosen=point.step == 400) for point in curve()]
    report = make(curve=bad, summary=summary(memorization=0.3, warnings=[]))
    assert [reading.level for reading in readings(report)] == ["", "trouble", "trouble"]
    assert len(notes(report)) == 2
    assert all("model.blend(0.7)" in note for note in notes(report))
    assert not notes(make(summary=summary(warnings=[])))


def test_a_model_without_a_base_is_not_told_to_blend():
    bad = [replace(point, chosen=point.step == 400) for point in curve()]
    assert "blend" not in page(make(curve=bad, summary=summary(memorization=0.3, delta_bytes=None)), "runs/mine")


def test_the_chart_marks_chosen_kept_and_copying_snapshots():
    root = ElementTree.fromstring(curve_chart(curve(), LIMITS))
    kinds = [element.get("class") for element in root.iter()]
    assert [kinds.count(kind) for kind in ("chosen", "ring", "kept", "seen", "over")] == [1, 1, 1, 2, 1]
    assert any(element.text == "step 300, chosen" for element in root.iter())


@given(
    st.lists(
        st.builds(
            CurvePoint,
            st.integers(0, 10**6),
            st.floats(-1e6, 1e6) | st.just(math.nan),
            st.floats(0, 1e6) | st.just(math.inf),
            st.floats(0, 1),
            kept=st.booleans(),
        ),
        max_size=12,
    )
)
def test_any_curve_can_be_drawn(points):
    chart = curve_chart(points, LIMITS)
    if chart:
        for mark in ElementTree.fromstring(chart).iter("circle"):
            assert 0 <= float(mark.get("cx")) <= 480
            assert 0 <= float(mark.get("cy")) <= 320


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_are_few_and_inside(low, width):
    found = ticks(low, low + width) if low + width > low else [low]
    assert len(found) <= 7
    assert all(low - 0.01 * width <= tick <= low + 1.01 * width for tick in found)


def test_the_contact_sheet_shows_each_seed_before_and_after():
    report = make(k=3, n=4, resolution=64)
    sheet = contact_sheet(report)
    left, below = MARGIN + GUTTER, sheet.height - MARGIN - TILE
    for pictures, top in ((report.adapted, below), (report.base, below - TILE - 2)):
        shown = sheet.crop((left, top, left + TILE, top + TILE)).resize((64, 64), Image.Resampling.NEAREST)
        assert shown == to_pil(pictures)[0]


@pytest.mark.parametrize(("k", "n", "resolution"), [(1, 1, 8), (100, 9, 32), (3, 5, 256)])
def test_the_contact_sheet_fits_any_number_of_pictures(k, n, resolution):
    sheet = contact_sheet(make(k=k, n=n, resolution=resolution, copies=[], summary=summary(base="long" * 200)))
    assert isinstance(sheet, Image.Image)
    assert sheet.width < 1800


@pytest.mark.parametrize(
    ("inputs", "seeds", "columns"), [(10, 20, 10), (10, 16, 10), (8, 32, 8), (1, 1, 4), (5, 7, 7)]
)
def test_the_columns_leave_few_gaps(inputs, seeds, columns):
    assert best_columns(inputs, seeds) == columns


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.54, "0.5 s"),
        (9.99, "10.0 s"),
        (59.4, "59 s"),
        (59.9, "1 min 0 s"),
        (252.4, "4 min 12 s"),
        (7290, "2 h 1 min"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_numbers_in_words():
    assert [percent(share) for share in (0.003, 0.05, 0.634, 1.0, math.nan)] == ["0.3 %", "5 %", "63 %", "100 %", "–"]
    assert [number(value) for value in (0.06553, -0.0012, math.inf)] == ["0.0655", "−0.0012", "–"]
    assert [size(count) for count in (12, 183_400, 4_200_000, 3e9)] == ["12 bytes", "183 kB", "4.2 MB", "3.0 GB"]


def test_nested_settings_become_rows():
    part = {"kind": "relation", "weight": 333.0, "fresh": True, "end": None}
    rows = dict(
        flat({"a_b": {"c": 1}, "parts": ["x", {"y": 2}], "held": [part], "augment": {"kind": "none"}, "none": None})
    )
    assert rows == {
        "a b · c": 1,
        "parts": "x, (y=2)",
        "held": "relation(weight=333, fresh=yes)",
        "augment": "none",
        "none": None,
    }


def test_the_limits_of_the_run_are_those_on_the_page():
    text = page(make(summary=summary(limits={"min_diversity": 0.7, "max_memorization": 0.01})), "runs/mine")
    assert "keeps 70 % of" in text
    assert "too alike" in text
    assert "1 % or fewer is wanted" in text


def test_plain_keeps_json_and_turns_the_rest_into_text(tmp_path):
    value = {"a": (1, True, None), "b": tmp_path, "c": torch.tensor(2), "d": {1: float("inf")}}
    assert plain(value) == {"a": [1, True, None], "b": str(tmp_path), "c": 2, "d": {"1": None}}
