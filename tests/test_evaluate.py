"""``evaluate``: which images it compares, and where."""

import pytest
import torch
from PIL import Image

from lowshotgan import api
from lowshotgan.cli import run
from lowshotgan.data.dataset import load_images
from lowshotgan.errors import ConfigError

TINY = {"channel_base": 128, "channel_max": 8, "z_dim": 16, "w_dim": 16, "mapping_layers": 2}
NAVY = (14, 9, 44)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """``photos/``: three wide, half transparent images; ``tuned/``: a model that was fine-tuned with padded ones."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for number in range(3):
        picture = Image.new("RGBA", (48, 32), (200, 60 * number, 10, 255))
        picture.paste((0, 0, 0, 0), (0, 0, 10, 32))
        picture.save(tmp_path / "photos" / f"{number}.png")
    torch.manual_seed(0)
    model = api.create_model("stylegan2_32", **TINY)
    model.details["finetuning"] = {"preprocessing": {"fit": "pad", "background": list(NAVY), "enlarge": True}}
    model.save_pretrained("tuned")
    return tmp_path


@pytest.fixture
def compared(monkeypatch):
    """What was handed to ``measure``."""
    found = {}

    def measure(fake, reference, **options):
        found.update(options, fake=fake, reference=reference)

    monkeypatch.setattr(api, "measure", measure)
    return found


def prepared(**options):
    return load_images("photos", resolution=32, **options).uint8()


def test_reference_and_training_images_are_prepared_as_for_the_fine_tuning(place, compared):
    api.evaluate("tuned", "photos", train="photos", n=2)
    assert torch.equal(compared["train"], prepared(fit="pad", background=NAVY))
    assert torch.equal(compared["reference"], compared["train"])
    assert not torch.equal(compared["train"], prepared())


def test_what_is_asked_for_wins(place, compared):
    api.evaluate("tuned", "photos", train="photos", n=2, fit="crop", background=(255, 0, 0))
    assert torch.equal(compared["train"], prepared(fit="crop", background=(255, 0, 0)))
    assert torch.equal(compared["reference"], compared["train"])


def test_further_options_of_reading_may_be_given_too(place, compared):
    api.evaluate("tuned", "photos", train="photos", n=2, enlarge=False, include="0.png")
    expected = prepared(fit="pad", background=NAVY, enlarge=False)
    assert torch.equal(compared["train"], expected) and torch.equal(compared["reference"], expected[:1])


def test_images_have_no_memory_of_a_fine_tuning(place, compared):
    api.evaluate("photos", "photos", train="photos", resolution=32)
    assert torch.equal(compared["train"], prepared()) and compared["device"] == "cpu"


def test_the_device_is_checked_and_handed_on(place, compared):
    api.evaluate("tuned", "photos", n=2, device="cpu")
    assert compared["device"] == torch.device("cpu")
    with pytest.raises(ConfigError, match="device must be auto or one of"):
        api.evaluate("tuned", "photos", n=2, device="cuda:99")


def test_the_command_line_takes_the_same(place, monkeypatch):
    asked = {}
    monkeypatch.setattr(api, "evaluate", lambda *images, **options: asked.update(options) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(["evaluate", "tuned", "photos", "--fit", "pad", "--background", "14,9,44", "--device", "cpu"])
    assert asked == {"fit": "pad", "background": NAVY, "device": "cpu"}
