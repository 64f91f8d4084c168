import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lowshotgan.errors import ConfigError, WeightsFormatError, WeightsHashError, WeightsNotFoundError
from lowshotgan.hub import manifest
from lowshotgan.hub.store import write_model_folder
from lowshotgan.hub.tensors import write_tensors
from lowshotgan.metrics import extractors, inception
from lowshotgan.metrics.extractors import Extractor, extractor_from_module, load_extractor, register_extractor
from lowshotgan.metrics.inception import InceptionV3
from lowshotgan.metrics.resize import bicubic_antialias, bilinear_antialias, tf_bilinear
from lowshotgan.nets.features import FeatureNet


class Means(nn.Module):
    """Channel means, as an embedding whose value is known."""

    def forward(self, images):
        return images.mean(dim=(2, 3))


@pytest.fixture(autouse=True)
def nothing_registered(monkeypatch):
    monkeypatch.setattr(extractors, "_REGISTERED", [])
    monkeypatch.delenv("LOWSHOTGAN_WEIGHTS_DIR", raising=False)


def test_embeddings_are_those_of_scaled_and_resized_images():
    found = extractor_from_module(Means(), name="means", size=8)
    images = torch.tensor([0, 255, 51], dtype=torch.uint8).view(1, 3, 1, 1).expand(5, 3, 20, 20)
    embeddings = found(images, batch_size=2)
    assert embeddings.dtype == torch.float32
    torch.testing.assert_close(embeddings, torch.tensor([[-1.0, 1.0, -0.6]]).expand(5, 3))


def test_only_the_reference_may_use_the_reserved_names():
    ours = extractor_from_module(Means(), name="means", size=8)
    assert (ours.frechet_name, ours.kernel_name, ours.perceptual_name) == ("FD-means", "KD-means", "PD-means")
    reference = Extractor("inception", "6726825d", Means(), 3, 299, "tf-bilinear", 128.0, reference=True)
    assert (reference.frechet_name, reference.kernel_name) == ("FID (tf-bilinear)", "KID (tf-bilinear)")


@pytest.mark.parametrize("name", ["FID", "my-inception", "lpips", "lsg1", "a b", ""])
def test_misleading_names_are_refused(name):
    with pytest.raises(ConfigError, match="name must be"):
        extractor_from_module(Means(), name=name, size=8)


def test_the_fingerprint_follows_the_weights():
    torch.manual_seed(0)
    a, b = (FeatureNet(widths=(4, 4, 4, 4)) for _ in range(2))
    prints = [extractor_from_module(net, name="net", size=16).fingerprint for net in (a, a, b)]
    assert prints[0] == prints[1] != prints[2]
    assert len(prints[0]) == 8


def test_random_networks_follow_their_seed():
    first, again, other = (load_extractor(name) for name in ("rand-vgg11-s0", "rand-vgg11-s0", "rand-vgg11-s1"))
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert first.kernel_name == "KD-rand-vgg11-s0"
    images = torch.randint(256, (2, 3, 32, 32), dtype=torch.uint8)
    assert first(images).shape == (2, 512)
    assert [m.shape[1] for m in first.maps(images)] == [64, 128, 256, 512, 512]


def test_modules_are_taken_as_they_are_and_named_after_their_class():
    assert load_extractor(Means()).name == "Means"
    ready = extractor_from_module(Means(), name="mine", size=8)
    assert load_extractor(ready) is ready


def test_a_module_must_return_embeddings():
    with pytest.raises(ConfigError, match="pool its output"):
        extractor_from_module(nn.Identity(), name="identity", size=8)


def test_perceptual_distances_need_maps():
    plain = extractor_from_module(Means(), name="means", size=8)
    assert not plain.has_maps
    with pytest.raises(ConfigError, match="no method maps"):
        plain.maps(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))


def test_floats_are_refused():
    with pytest.raises(ConfigError, match="to_uint8"):
        extractor_from_module(Means(), name="means", size=8)(torch.zeros(1, 3, 8, 8))


def test_an_unknown_name_suggests_the_closest():
    with pytest.raises(ConfigError, match="Did you mean 'lsg1'"):
        load_extractor("lsg2")


# ---- auto -----------------------------------------------------------------------------------------------------


def test_auto_takes_the_registered_extractor_before_the_shipped_one():
    mine = extractor_from_module(Means(), name="mine", size=8)
    register_extractor(mine)
    assert load_extractor("auto") is mine
    assert load_extractor("mine") is mine


def test_auto_takes_a_configured_reference_file_first_and_checks_it(tmp_path, monkeypatch):
    register_extractor(extractor_from_module(Means(), name="mine", size=8))
    (tmp_path / inception.REFERENCE_FILE).write_bytes(b"not the reference")
    monkeypatch.setenv("LOWSHOTGAN_WEIGHTS_DIR", str(tmp_path))
    with pytest.raises(WeightsHashError, match="6726825d"):
        load_extractor("auto")


def test_auto_does_not_replace_missing_weights_by_anything_else(monkeypatch):
    monkeypatch.setattr(manifest, "weights_folders", list)
    monkeypatch.setattr(extractors, "SHIPPED", "features_64.missing")
    with pytest.raises(WeightsNotFoundError):
        load_extractor("auto")


def test_weights_of_another_shape_are_refused(tmp_path, monkeypatch):
    config = {"arch": "features_64", "system": "features", "config": {"widths": [4, 4, 4, 4]}}
    write_model_folder(tmp_path, config, FeatureNet(widths=(4, 4, 4, 6)).state_dict())
    monkeypatch.setattr(extractors, "SHIPPED", tmp_path)
    with pytest.raises(WeightsFormatError):
        load_extractor("lsg1")


def test_the_shipped_network_is_read_from_a_model_folder(tmp_path, monkeypatch):
    net = FeatureNet(widths=(4, 4, 4, 4)).eval()
    config = {"arch": "features_64", "system": "features", "config": {"widths": [4, 4, 4, 4]}}
    write_model_folder(tmp_path, config, net.state_dict())
    monkeypatch.setattr(extractors, "SHIPPED", tmp_path)
    found = load_extractor("lsg1")
    images = torch.randint(256, (2, 3, 64, 64), dtype=torch.uint8)
    torch.testing.assert_close(found(images), net(images.float() / 127.5 - 1).detach())
    assert (found.name, found.dim) == ("lsg1", 4)


# ---- Inception ------------------------------------------------------------------------------------------------


def test_inception_without_a_file_says_where_it_may_be_put():
    with pytest.raises(ConfigError, match="LOWSHOTGAN_WEIGHTS_DIR"):
        load_extractor("inception")
    with pytest.raises(WeightsNotFoundError, match="is not a file"):
        load_extractor("inception", path="nowhere.pth")


def test_inception_is_torchvisions_network_with_the_poolings_of_the_reference(monkeypatch):
    from torchvision.models import inception as theirs

    torch.manual_seed(0)
    expected = theirs.Inception3(num_classes=1008, aux_logits=False, init_weights=False).eval()
    ours = inception._with_weights(expected.state_dict(), what="test")

    def avg_pool2d(x, **options):
        return F.avg_pool2d(x, **options, count_include_pad=False)

    class Functional:
        def __getattr__(self, name):
            return avg_pool2d if name == "avg_pool2d" else getattr(F, name)

    monkeypatch.setattr(theirs, "F", Functional())
    last = expected.Mixed_7c._forward

    def forward_with_maximum(x):
        monkeypatch.setattr(Functional, "__getattr__", lambda _, n: getattr(F, n.replace("avg", "max")))
        return last(x)

    expected.Mixed_7c._forward = forward_with_maximum
    expected.dropout, expected.fc = nn.Identity(), nn.Identity()
    images = torch.rand(1, 3, 96, 96) * 2 - 1
    with torch.no_grad():
        torch.testing.assert_close(ours(images), expected(images), rtol=1e-4, atol=1e-5)
        assert [m.shape[1] for m in ours.maps(images)] == [64, 192, 768, 2048]
    assert InceptionV3.dim == 2048


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_reference_file_loads_in_both_formats(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(inception, "_blocks", lambda: [("Mixed_5b", inception._block_a(32))])  # small and quick
    state = InceptionV3().state_dict() | {"fc.weight": torch.zeros(2, 2)}
    path = tmp_path / f"inception{suffix}"
    if suffix == ".pth":
        torch.save(state, path)
    else:
        write_tensors(path, state)
    monkeypatch.setattr(inception, "REFERENCE_SHA", "")
    found = load_extractor("inception", path=path, resize="antialias")
    assert (found.frechet_name, found.size, found.scale) == ("FID (antialias)", 299, 128.0)


# ---- resize ---------------------------------------------------------------------------------------------------


def test_the_tensorflow_resize_samples_at_multiples_of_the_step():
    ramp = torch.arange(4.0).view(1, 1, 1, 4).expand(1, 3, 4, 4)
    assert tf_bilinear(ramp, 8)[0, 0, 0].tolist() == [0, 0.5, 1, 1.5, 2, 2.5, 3, 3]
    assert tf_bilinear(ramp, 2)[0, 0, 0].tolist() == [0, 2]


def test_every_resize_keeps_a_flat_image_and_its_own_size():
    flat, noise = torch.full((1, 3, 10, 10), 7.0), torch.rand(1, 3, 9, 9)
    for resize in (bilinear_antialias, bicubic_antialias, tf_bilinear):
        torch.testing.assert_close(resize(flat, 23), torch.full((1, 3, 23, 23), 7.0))
        torch.testing.assert_close(resize(noise, 9), noise)
