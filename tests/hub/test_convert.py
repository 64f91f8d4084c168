"""Foreign checkpoints: exact round trips by the documented names, configurations from tensors, unsafe and strange files."""

import json
import pickle

import pytest
import torch

from lowshotgan.api import convert_checkpoint, create_model, load
from lowshotgan.cli import run
from lowshotgan.errors import ConfigError, WeightsFormatError

SMALL = {
    "funit": ("funit_128", {
        "width": 4, "content_downs": 2, "class_downs": 3, "res_blocks": 1, "code_dim": 6, "mlp_width": 8, "mlp_layers": 2,
        "resolution": 32, "num_classes": 5, "discriminator_width": 4, "discriminator_blocks": 6, "discriminator_cap": 8,
    }),
    "coco_funit": ("coco_funit_256", {
        "width": 4, "content_downs": 2, "class_downs": 3, "res_blocks": 1, "code_dim": 6, "mlp_width": 8, "bias_dim": 7,
        "resolution": 32, "num_classes": 5, "discriminator_width": 4, "discriminator_stages": 3, "discriminator_cap": 8,
    }),
}  # fmt: skip
SHIFTED = {"class_encoder": "enc_class_model", "content_encoder": "enc_content"}


def make(name):
    arch, config = SMALL[name]
    torch.manual_seed(0)
    return create_model(arch, **config)


# ---- names as the releases write them, spelled out one by one ----


def official_funit(model):
    """A generator's tensors by the names of the release, with its unused buffers."""
    ours, theirs = model.generator.state_dict(), {}
    for kind in ("weight", "bias"):
        for part, foreign in SHIFTED.items():
            middle = "" if part == "class_encoder" else ".conv"
            downs = 3 if part == "class_encoder" else 2
            theirs[f"{foreign}.model.0.conv.{kind}"] = ours[f"{part}.stem{middle}.{kind}"]
            for i in range(downs):
                theirs[f"{foreign}.model.{i + 1}.conv.{kind}"] = ours[f"{part}.down.{i}{middle}.{kind}"]
        theirs[f"enc_class_model.model.5.{kind}"] = ours[f"class_encoder.head.{kind}"]
        for k in range(2):
            theirs[f"enc_content.model.3.model.0.model.{k}.conv.{kind}"] = ours[
                f"content_encoder.res.0.conv{k + 1}.conv.{kind}"
            ]
            theirs[f"dec.model.0.model.0.model.{k}.conv.{kind}"] = ours[f"decoder.res.0.conv{k + 1}.{kind}"]
            theirs[f"dec.model.{2 + 2 * k}.conv.{kind}"] = ours[f"decoder.up.{k}.{kind}"]
            theirs[f"mlp.model.{k}.fc.{kind}"] = ours[f"mlp.{k}.{kind}"]
        theirs[f"dec.model.5.conv.{kind}"] = ours[f"decoder.to_rgb.{kind}"]
    assert len(theirs) == len(ours)
    for k in range(2):
        theirs[f"dec.model.0.model.0.model.{k}.norm.running_mean"] = torch.zeros(16)
        theirs[f"dec.model.0.model.0.model.{k}.norm.running_var"] = torch.ones(16)
    return {name: tensor.clone() for name, tensor in theirs.items()}


def official_funit_judge(model):
    ours, theirs = model.discriminator.state_dict(), {}
    for kind in ("weight", "bias"):
        theirs[f"cnn_f.0.conv.{kind}"] = ours[f"trunk.stem.{kind}"]
        theirs[f"cnn_c.0.conv.{kind}"] = ours[f"head.{kind}"]
        for s in range(3):
            for second in range(2):
                for k in range(2):
                    name = f"cnn_f.{1 + second + 4 * s}.conv_{k}.conv.{kind}"
                    theirs[name] = ours[f"trunk.stage.{s}.{second}.conv{k}.{kind}"]
    theirs["cnn_f.2.conv_s.conv.weight"] = ours["trunk.stage.0.1.shortcut.weight"]
    assert len(theirs) == len(ours)
    return {name: tensor.clone() for name, tensor in theirs.items()}


def imaginaire_generator(model):
    ours, theirs = model.generator.state_dict(), {"usb": model.generator.style_bias.detach()}
    for kind in ("weight", "bias"):
        for i in range(4):
            name = "style_encoder.stem" if i == 0 else f"style_encoder.down.{i - 1}"
            theirs[f"style_encoder.model.{i}.layers.conv.{kind}"] = ours[f"{name}.{kind}"]
        theirs[f"style_encoder.model.5.{kind}"] = ours[f"style_encoder.head.{kind}"]
        for part in ("conv", "norm"):
            for i in range(3):
                name = "content_encoder.stem" if i == 0 else f"content_encoder.down.{i - 1}"
                theirs[f"content_encoder.model.{i}.layers.{part}.{kind}"] = ours[f"{name}.{part}.{kind}"]
            for k in range(2):
                name = f"content_encoder.model.3.conv_block_{k}.layers.{part}.{kind}"
                theirs[name] = ours[f"content_encoder.res.0.conv{k + 1}.{part}.{kind}"]
        for foreign, mine in {"conv": "conv", "norm.fc.layers.conv": "affine"}.items():
            for k in range(2):
                name = f"decoder.decoder.0.conv_block_{k}.layers.{foreign}.{kind}"
                theirs[name] = ours[f"decoder.res.0.conv{k}.{mine}.{kind}"]
            for u in range(2):
                for block, layer in {"0": "conv0", "1": "conv1", "s": "shortcut"}.items():
                    name = f"decoder.decoder.{1 + u}.conv_block_{block}.layers.{foreign}.{kind}"
                    theirs[name] = ours[f"decoder.up.{u}.{layer}.{mine}.{kind}"]
        theirs[f"decoder.decoder.3.layers.conv.{kind}"] = ours[f"decoder.to_rgb.{kind}"]
        for net in ("mlp", "mlp_content", "mlp_style"):
            for i in range(2):
                theirs[f"{net}.model.{i}.layers.conv.{kind}"] = ours[f"{net}.layers.{i}.{kind}"]
    assert len(theirs) == len(ours)
    return {name: tensor.clone() for name, tensor in theirs.items()}


def imaginaire_judge(model):
    ours, theirs = model.discriminator.state_dict(), {"embedder.weight": model.discriminator.embedding.weight.detach()}
    layers = {"model.0.layers.conv": "trunk.stem", "classifier.layers.conv": "head"}
    layers["model.2.conv_block_s.layers.conv"] = "trunk.stage.0.1.shortcut"
    for s in range(3):
        for second in range(2):
            for k in range(2):
                name = f"model.{1 + second + 4 * s}.conv_block_{k}.layers.conv"
                layers[name] = f"trunk.stage.{s}.{second}.conv{k}"
    kinds = {"weight_orig": "weight.original", "weight_u": "weight.0._u", "weight_v": "weight.0._v"}
    for foreign, mine in layers.items():
        theirs[f"{foreign}.bias"] = ours[f"{mine}.bias"]
        for a, b in kinds.items():
            theirs[f"{foreign}.{a}"] = ours[f"{mine}.parametrizations.{b}"]
    assert len(theirs) == len(ours)
    return {name: tensor.clone() for name, tensor in theirs.items()}


def same(a, b) -> bool:
    mine, other = a.state_dict(), b.state_dict()
    return mine.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in mine.items())


@pytest.fixture(scope="module")
def funit():
    return make("funit")


@pytest.fixture(scope="module")
def coco():
    return make("coco_funit")


# ---- round trips ----


@pytest.mark.parametrize("layout", ["both", "gen", "bare", "module"])
def test_a_funit_file_comes_back_exactly(funit, tmp_path, layout):
    state = official_funit(funit)
    other = {name: torch.zeros_like(tensor) for name, tensor in state.items()}
    content = {
        "both": {"gen": other, "gen_test": state}, "gen": {"gen": state}, "bare": state,
        "module": {"gen_test": {f"module.{name}": tensor for name, tensor in state.items()}},
    }[layout]  # fmt: skip
    torch.save(content, tmp_path / "gen.pt")
    made = convert_checkpoint(tmp_path / "gen.pt", tmp_path / "model", resolution=32)
    assert same(made.generator, funit.generator) and made.discriminator is None
    again, images = load(tmp_path / "model"), torch.rand(2, 3, 32, 32) * 2 - 1
    assert torch.equal(again.translate(images, images).tensor, funit.translate(images, images).tensor)
    assert again.details["source"] == "NVlabs/FUNIT" and len(again.details["source_sha256"]) == 64
    assert "NC" in again.details["license"]


def test_the_command_converts_and_tells_the_licence(funit, tmp_path, capsys):
    torch.save({"gen_test": official_funit(funit)}, tmp_path / "gen.pt")
    words = ["convert", str(tmp_path / "gen.pt"), str(tmp_path / "model"), "--resolution", "32"]
    assert run([*words, "--dry-run"]) == 0 and not (tmp_path / "model").exists()
    capsys.readouterr()
    assert run([*words, "--json"]) == 0
    assert "NC" in json.loads(capsys.readouterr().out)["details"]["license"]
    assert same(load(tmp_path / "model").generator, funit.generator)
    (tmp_path / "bad.pt").write_bytes(b"no checkpoint")
    assert run(["convert", str(tmp_path / "bad.pt"), str(tmp_path / "other")]) == 1
    assert not (tmp_path / "other").exists()


def test_a_funit_discriminator_comes_along(funit, tmp_path):
    torch.save({"gen_test": official_funit(funit)}, tmp_path / "gen.pt")
    torch.save({"dis": official_funit_judge(funit)}, tmp_path / "dis.pt")
    made = convert_checkpoint(tmp_path / "gen.pt", tmp_path / "m", discriminator=tmp_path / "dis.pt", resolution=32)
    assert same(made.discriminator, funit.discriminator) and made.config == funit.config
    assert made.config.dialect == "official"
    with pytest.raises(WeightsFormatError, match="discriminator only"):
        convert_checkpoint(tmp_path / "dis.pt", tmp_path / "x", which="gen")
    with pytest.raises(WeightsFormatError, match="discriminator only"):
        convert_checkpoint(tmp_path / "dis.pt", tmp_path / "x")


def test_the_live_weights_can_be_asked_for(funit, tmp_path):
    state = official_funit(funit)
    torch.save(
        {"gen": state, "gen_test": {name: torch.zeros_like(t) for name, t in state.items()}}, tmp_path / "gen.pt"
    )
    made = convert_checkpoint(tmp_path / "gen.pt", tmp_path / "model", which="gen", resolution=32)
    assert same(made.generator, funit.generator)
    with pytest.raises(ConfigError, match="gen_test"):
        convert_checkpoint(tmp_path / "gen.pt", tmp_path / "other", which="average")
    torch.save(state, tmp_path / "bare.pt")
    with pytest.raises(ConfigError, match="leave out which='gen'"):
        convert_checkpoint(tmp_path / "bare.pt", tmp_path / "other", which="gen", resolution=32)
    assert not (tmp_path / "other").exists()


def test_a_folder_that_holds_something_is_replaced_only_on_request(funit, coco, tmp_path):
    torch.save({"gen_test": official_funit(funit)}, tmp_path / "gen.pt")
    (tmp_path / "model").mkdir()
    convert_checkpoint(tmp_path / "gen.pt", tmp_path / "model", resolution=32)
    coco.save_pretrained(tmp_path / "coco")
    with pytest.raises(ConfigError, match=r"coco exists already.*overwrite"):
        convert_checkpoint(tmp_path / "gen.pt", tmp_path / "coco", resolution=32)
    assert load(tmp_path / "coco").system == "coco_funit"
    words = ["convert", str(tmp_path / "gen.pt"), str(tmp_path / "coco"), "--resolution", "32"]
    assert run(words) == 1 and run([*words, "--overwrite"]) == 0
    assert load(tmp_path / "coco").system == "funit"


def test_the_old_file_format_is_read(funit, tmp_path):
    torch.save({"gen_test": official_funit(funit)}, tmp_path / "gen.pt", _use_new_zipfile_serialization=False)
    assert same(convert_checkpoint(tmp_path / "gen.pt", tmp_path / "m", resolution=32).generator, funit.generator)


@pytest.mark.parametrize("prefix", ["module.averaged_model.generator.", "module.module.generator.", ""])
def test_a_coco_funit_file_comes_back_exactly(coco, tmp_path, prefix):
    net = {f"{prefix}{name}": tensor for name, tensor in imaginaire_generator(coco).items()}
    if "averaged" in prefix:
        net |= {f"module.module.generator.{name}": t * 0 for name, t in imaginaire_generator(coco).items()}
        net["module.num_updates_tracked"] = torch.tensor(5)
    wrapped = "" if prefix == "" else "module.model."  # a released net_D is a wrapper's, as its net_G is
    judge = {f"{wrapped}{name}": tensor for name, tensor in imaginaire_judge(coco).items()}
    torch.save({"net_G": net, "net_D": judge, "current_epoch": 3}, tmp_path / "coco.pt")
    made = convert_checkpoint(tmp_path / "coco.pt", tmp_path / "model", resolution=32)
    assert same(made.generator, coco.generator) and same(made.discriminator, coco.discriminator)
    assert made.config == coco.config and made.system == "coco_funit"
    with pytest.raises(ConfigError, match="leave out"):
        convert_checkpoint(tmp_path / "coco.pt", tmp_path / "other", which="gen")


# ---- strange files ----


class Bomb:
    def __reduce__(self):
        return (print, ("this must never be run",))


def test_files_with_code_are_not_opened(tmp_path, capsys):
    torch.save({"gen_test": {"a": Bomb()}}, tmp_path / "bomb.pt")
    (tmp_path / "bare.pt").write_bytes(pickle.dumps(Bomb()))
    for name in ("bomb.pt", "bare.pt"):
        with pytest.raises(WeightsFormatError, match="not opened|cannot be read"):
            convert_checkpoint(tmp_path / name, tmp_path / "model")
    assert "never" not in capsys.readouterr().out
    assert not (tmp_path / "model").exists()


def test_unknown_missing_and_wrong_tensors_are_told(funit, tmp_path):
    state = official_funit(funit)

    def converted(content):
        torch.save(content, tmp_path / "gen.pt")
        return convert_checkpoint(tmp_path / "gen.pt", tmp_path / "model", resolution=32)

    with pytest.raises(WeightsFormatError, match="unknown tensors.*'dec.extra'"):
        converted({"gen_test": {**state, "dec.extra": torch.zeros(1)}})
    with pytest.raises(WeightsFormatError, match="1 missing"):
        converted({"gen_test": {name: t for name, t in state.items() if name != "dec.model.4.conv.bias"}})
    for first in ("mlp.model.0.fc.weight", "enc_content.model.0.conv.weight"):
        with pytest.raises(WeightsFormatError, match="lacks the first layers"):
            converted({"gen_test": {name: t for name, t in state.items() if name != first}})
    with pytest.raises(WeightsFormatError, match="MLP has 7 outputs"):
        converted({"gen_test": {**state, "mlp.model.1.fc.weight": torch.zeros(7, 8)}})
    with pytest.raises(WeightsFormatError, match="no state dictionary"):
        converted({"gen_test": [1, 2]})
    with pytest.raises(WeightsFormatError, match="no known format"):
        converted({"weights": torch.zeros(2)})
    (tmp_path / "short.pt").write_bytes((tmp_path / "gen.pt").read_bytes()[:100])
    with pytest.raises(WeightsFormatError, match="cannot be read|not opened"):
        convert_checkpoint(tmp_path / "short.pt", tmp_path / "model")
    with pytest.raises(WeightsFormatError, match="not a file"):
        convert_checkpoint(tmp_path / "none.pt", tmp_path / "model")
    assert not (tmp_path / "model").exists()
