"""Cards: front matter the hub understands, and no empty sections."""

import pytest
import yaml

from lowshotgan.hub.card import Card, card_of_entry, render_card
from lowshotgan.hub.manifest import Licenses, WeightsEntry, WeightsFile


def front_matter(text: str) -> dict:
    _, matter, _ = text.split("---\n", 2)
    return yaml.safe_load(matter)


def test_a_full_card():
    metric = {
        "name": "KD-lsg1",
        "value": 0.0123,
        "std": 0.001,
        "n": 500,
        "reference": "faces",
        "protocol": "ab12",
    }
    text = render_card(
        Card(
            name="sketches",
            arch="stylegan2_64",
            load="me/sketches",
            summary="Ink faces.",
            license="CC-BY-4.0",
            base="lab/stylegan2_64.faces_v1",
            shots=10,
            data=({"name": "Ten drawings", "author": "me", "images": 10, "license": "CC-BY-4.0"},),
            data_licenses=("CC-BY-4.0",),
            metrics=(metric,),
            preview="preview.png",
            notes="## Limits\n\nFaces only.",
        )
    )
    matter = front_matter(text)
    assert matter["library_name"] == "lowshotgan"
    assert matter["pipeline_tag"] == "unconditional-image-generation"
    assert matter["license"] == "cc-by-4.0"
    assert {"gan", "few-shot", "low-shot", "stylegan2_64", "k-shot:10"} <= set(matter["tags"])
    assert (matter["base_model"], matter["base_model_relation"]) == ("lab/stylegan2_64.faces_v1", "finetune")
    measured = matter["model-index"][0]["results"][0]["metrics"][0]
    assert measured["name"] == "KD-lsg1 (N = 500, protocol ab12)"
    assert "| KD-lsg1 | 0.0123 ± 0.001 | 500 | faces | `ab12` |" in text
    assert "![Samples from fixed seeds, not selected](preview.png)" in text
    assert 'load("me/sketches")' in text
    assert text.endswith("Faces only.\n")


def test_a_bare_card_says_only_what_is_known():
    text = render_card(Card(name="x", arch="toy_8", load="me/x"))
    assert not {"license", "base_model", "model-index", "metrics"} & set(front_matter(text))
    assert "## Measured" not in text
    assert "## Training" not in text
    assert "None" not in text


def test_published_weights_and_deltas():
    licenses = Licenses("Apache-2.0", "CC-BY-4.0", ("MIT",))
    entry = WeightsEntry("toy_8.one_v1", "toy", {"model.safetensors": WeightsFile(1, "a" * 64)}, licenses)
    text = render_card(card_of_entry(entry))
    assert 'create_model("toy_8.one_v1", pretrained=True)' in text
    assert "Weights: CC-BY-4.0. Training data: MIT." in text
    delta = render_card(Card(name="x", arch="delta", load="me/x", base="lab/toy", adapter=True))
    assert front_matter(delta)["base_model_relation"] == "adapter"
    assert "refuses any other" in delta
    features = render_card(Card(name="features_64.lsg1", arch="features_64", load="features_64.lsg1"))
    assert "pipeline_tag" not in front_matter(features)


@pytest.mark.parametrize(
    ("arch", "task"),
    [
        ("funit_64", "image-to-image"),
        ("egscit_256x512", "image-to-image"),
        ("kggan_recolour_128", "image-to-image"),
        ("kggan_64", "unconditional-image-generation"),
    ],
)
def test_the_task_follows_from_what_the_architecture_does(arch, task):
    card = Card(name=f"{arch}.trial", arch=arch, load=arch)
    assert front_matter(render_card(card))["pipeline_tag"] == task
