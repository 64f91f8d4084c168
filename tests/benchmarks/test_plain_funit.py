"""The plain step that the library's is timed against computes the same losses and the same networks."""

import torch
from _plain_funit import PlainFUNIT
from translation_speed import LibraryStep, measure, report

from lowshotgan.api import create_model

TINY = {
    "resolution": 16, "width": 4, "content_downs": 2, "class_downs": 2, "code_dim": 4, "mlp_width": 8, "num_classes": 3,
    "discriminator_width": 4, "discriminator_blocks": 4, "discriminator_cap": 8,
}  # fmt: skip


def test_both_steps_find_the_same_losses_and_end_at_the_same_weights():
    torch.manual_seed(0)
    system = create_model("funit_32", **TINY)
    images = torch.rand(2, 3, 3, 16, 16) * 2 - 1
    labels = torch.tensor([0, 2, 1])
    plain, library = PlainFUNIT(system.generator, system.discriminator), LibraryStep(system, 3)
    ours, theirs = library.step(*images, labels, labels.roll(1)), plain.step(*images, labels, labels.roll(1))
    for name, other in [
        ("discriminator/adversarial", "discriminator"), ("discriminator/penalty", "penalty"),
        ("generator/adversarial", "generator"), ("generator/reconstruction", "reconstruction"),
        ("generator/matching", "matching"),
    ]:  # fmt: skip
        torch.testing.assert_close(ours[name], theirs[other], rtol=1e-3, atol=1e-4)
    for one, other in zip(library.stage.modules["generator"].parameters(), plain.gen.parameters(), strict=True):
        if one.ndim > 1:  # the biases before a normalisation have no gradient but rounding, which RMSprop blows up
            assert float((one - other).detach().abs().mean()) < 1e-4


def test_the_report_tells_ratios_and_targets():
    torch.manual_seed(0)
    found = measure(create_model("funit_32", **TINY), create_model("funit_32", **TINY), batch=2, turns=1, contents=2)
    machine = {"cpu": "c", "cores": 1, "threads": 1, "device": "cpu", "torch": "t", "python": "p"}
    found |= {"batch": 2, "contents": 2, "load": 1.0, "machine": machine}
    found["steps"] = [{"plain": 6.0, "library": 2.0}, {"plain": 5.0, "library": 2.0}, {"plain": 2.0, "library": 2.0}]
    assert {"K=1", "K=5", "K=20"} == set(found["codes"]) and found["codes"]["K=1"][0]["once"] > 0
    found["codes"] = {
        "K=1": [{"kept": 2.0, "encoded": 2.5, "once": 2.1}],
        "K=5": [{"kept": 2.0, "encoded": 4.0, "once": 2.2}],
    }
    text = report(found)
    assert "| 2.50 | at least 2: met |" in text
    assert "K=1, code kept, against encoding for each content | 1.25 | at least 1.5: missed |" in text
    assert "K=5, code kept, against encoding for each content | 2.00 | at least 1.5: met |" in text
    assert "K=5, code kept, against the ordinary call | 1.10 | reported |" in text
