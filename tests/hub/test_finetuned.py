"""What a model tells of its training, on cards and in files."""

import json

from lowshotgan.hub.card import Card, render_card
from lowshotgan.hub.finetuned import base_facts, card_fields, fact_files, public_name
from lowshotgan.hub.manifest import load_manifest

FACTS = {"recipe": "auto", "settings": {"lr": 0.02}, "images": 1, "steps": 40, "chosen_step": 30, "seed": 3}
BASE = {"name": "hf-hub:me/base@v1", "revision": "v1", "sha256": "ab12"}


def card(details):
    return render_card(Card(name="mine", arch="toy_8", load="hf-hub:me/mine", **card_fields(details)))


def test_a_model_without_facts_says_nothing():
    assert fact_files({}) == {} and card_fields({}) == {}


def test_a_card_tells_the_fine_tuning():
    text = card({"finetuning": FACTS | {"base": BASE, "preprocessing": {"fit": "pad", "width": None}}})
    assert "- k-shot:1\n" in text and "base_model: me/base\n" in text
    assert "Fine-tuned on 1 image from `me/base`." in text
    assert "Fine-tuned for 40 steps, the model of step 30 was kept, seed 3." in text
    assert "revision `v1`, SHA-256 of the generator's tensors `ab12`" in text
    assert "Preprocessing: fit pad." in text and "None" not in text


def test_a_card_tells_a_training_from_scratch_and_a_blend():
    text = card({"training": {"steps": 9, "batch_size": 4, "images": 50}, "blend": 0.7})
    assert "Trained for 9 steps, batch size 4." in text and "Blended: 0.7 of the way" in text
    assert "k-shot" not in text


def test_only_what_a_recipe_measured_goes_into_files():
    measured = [{"name": "KD-lsg1", "value": 0.02}]
    files = fact_files({"finetuning": FACTS | {"measured": measured}})
    assert json.loads(files["metrics.json"]) == measured
    assert json.loads(files["training_args.json"]) == FACTS
    assert fact_files({"finetuning": {"steps": 3, "images": 10}}) == {}


def test_a_base_is_named_as_others_find_it():
    published = next(name for name, entry in load_manifest().items() if entry.system == "stylegan2")
    assert public_name(published) == published
    assert public_name("hf-hub:me/base@v1") == "me/base"
    assert public_name("runs/mine") is None and public_name(None) is None
    assert base_facts("hf-hub:me/base@v1", "ab12") == BASE
    assert base_facts("runs/mine", "ab12")["revision"] is None
    assert base_facts(published, "ab12")["revision"] == load_manifest()[published].revision
