"""Push, pull, offline and tampered files against a hub on loopback that is reached through HF_ENDPOINT."""

import torch

from lowshotgan.hub.store import read_tensors

NOWHERE = "http://127.0.0.1:9"  # the discard port: refuses at once

TRY = """
from lowshotgan.hub.remote import *
def attempt(call):
    started = time.perf_counter()
    try:
        found = call()
        return {"found": str(found), "seconds": time.perf_counter() - started}
    except Exception as error:
        return {"error": type(error).__name__, "text": str(error), "seconds": time.perf_counter() - started}
"""


PUSH = """
from lowshotgan.hub.push import push_folder
first = push_folder(folder, 'me/toy', private=True)
Path(folder, 'README.md').write_text('my own words')
Path(folder, 'optimizer.bin').write_text('not part of a model')
Path(folder, 'metrics.json').write_text('{}')
second = push_folder(folder, 'me/toy', commit_message='again')
pull_request = push_folder(folder, 'them/toy', create_pr=True)
push_folder(folder, 'them/toy', revision='v2')
try:
    push_folder(folder, 'me/new', token='hf_wrong')
except Exception as error:
    answer([first, second, pull_request, type(error).__name__, str(error)])
"""


def test_push_then_pull_at_a_revision_then_offline(hub, process, model, tensors):
    hub.publish("them/toy", {"config.json": b"{}"})
    urls = process(f"folder = {str(model)!r}\n{PUSH}", endpoint=hub.endpoint)
    first = urls[0].rpartition("/")[2]
    check_what_was_pushed(hub, first, urls[2])
    assert urls[3] == "WeightsError"
    assert "was not uploaded to me/new" in urls[4]
    assert "HF_TOKEN" in urls[4]

    pull = TRY + (
        f"files = resolve_model('me/toy', revision={first!r}, discriminator=True, bare=True)\n"
        "answer([str(files.config), str(files.model), str(files.discriminator), files.revision])\n"
    )
    hub.requests.clear()
    config, weights, discriminator, revision = process(pull, endpoint=hub.endpoint, home="empty")
    assert revision == first
    assert config.endswith("config.json")
    assert discriminator.endswith("discriminator.safetensors")
    assert all(torch.equal(value, tensors[name]) for name, value in read_tensors(weights).items())
    assert hub.requests

    hub.requests.clear()
    again = process(pull, endpoint=hub.endpoint, home="empty", HF_HUB_OFFLINE="1")
    assert again == [config, weights, discriminator, revision]
    assert again == process(pull, endpoint=NOWHERE, home="empty")
    assert hub.requests == []


def check_what_was_pushed(hub, first, pull_request):
    repository = hub.repositories["me/toy"]
    model_files = ["README.md", "config.json", "discriminator.safetensors", "model.safetensors"]
    assert hub.private["me/toy"] == "private"
    assert repository.messages[0].startswith("Upload toy_8 with lowshotgan ")
    assert repository.messages[1:] == ["again"], "one commit for each push"
    assert sorted(hub.files("me/toy", first)) == model_files
    assert sorted(hub.files("me/toy")) == sorted([*model_files, "metrics.json"])
    assert b"library_name: lowshotgan" in hub.files("me/toy")["README.md"], "an existing card is kept"
    assert any("lowshotgan/" in agent for agent in hub.agents)
    assert pull_request.endswith("/them/toy/discussions/1")
    assert hub.files("them/toy") == {"config.json": b"{}"}, "the main branch is untouched"
    assert "model.safetensors" in hub.files("them/toy", "refs/pr/1")
    assert "model.safetensors" in hub.files("them/toy", "v2")


def test_published_weights_come_from_the_pinned_commit_and_are_checked(hub, process, model, published):
    commit = hub.publish("lab/toy_8.one_v1", {path.name: path.read_bytes() for path in model.iterdir()})
    hub.publish("lab/toy_8.one_v1", {"model.safetensors": b"a later version"})
    published(repo_id="lab/toy_8.one_v1", revision=commit)
    code = TRY + "answer([attempt(lambda: resolve('toy_8')), attempt(lambda: download('toy_8.one_v1', 'kept'))])"
    one, all_of_it = process(code, endpoint=hub.endpoint)
    assert f"/snapshots/{commit}/" in one["found"]
    assert sorted(path.name for path in (model.parent / "kept/toy_8.one_v1").iterdir()) == [
        "config.json",
        "discriminator.safetensors",
        "model.safetensors",
    ]
    assert all_of_it["found"] == "kept/toy_8.one_v1"

    hub.requests.clear()
    again = process(code, endpoint=hub.endpoint)
    local = process(code, endpoint=NOWHERE, home="empty", LOWSHOTGAN_WEIGHTS_DIR="nowhere:kept")
    assert again[0]["found"] == one["found"]
    assert local[0]["found"] == "kept/toy_8.one_v1/model.safetensors"
    assert hub.requests == [], "neither a pinned commit in the cache nor a local folder asks the hub"


def test_a_file_that_is_not_what_was_published_is_refused(hub, process, model, published):
    files = {path.name: path.read_bytes() for path in model.iterdir()}
    good = files["model.safetensors"]
    commit = hub.publish("lab/toy", {**files, "model.safetensors": good[:-1] + bytes([good[-1] ^ 1])})
    published(repo_id="lab/toy", revision=commit)
    result = process(TRY + "answer(attempt(lambda: resolve('toy_8.one_v1')))", endpoint=hub.endpoint)
    assert result["error"] == "WeightsHashError"
    assert "lab/toy was changed" in result["text"]


def test_a_damaged_cache_is_noticed_and_download_repairs_it(hub, process, model, published):
    commit = hub.publish("lab/toy", {path.name: path.read_bytes() for path in model.iterdir()})
    entry = published(repo_id="lab/toy", revision=commit)
    code = TRY + (
        "path = resolve('toy_8.one_v1')\n"
        "path.resolve().write_bytes(b'x' + path.read_bytes()[1:])\n"
        "answer([attempt(lambda: resolve('toy_8.one_v1')), attempt(lambda: resolve('hf-hub:lab/toy')),\n"
        "        attempt(lambda: resolve('hf-hub:lab/toy', local_files_only=True)),\n"
        "        attempt(lambda: download('toy_8.one_v1', 'fixed'))])\n"
    )
    by_name, by_repository, by_cache, repaired = process(code, endpoint=hub.endpoint)
    assert by_name["error"] == by_repository["error"] == by_cache["error"] == "WeightsHashError"
    assert "lowshotgan download toy_8.one_v1 --to DIR" in by_name["text"]
    assert repaired["found"] == "fixed/toy_8.one_v1"
    fixed = (model.parent / "fixed/toy_8.one_v1/model.safetensors").read_bytes()
    assert len(fixed) == entry.files["model.safetensors"].size
    assert fixed == (model / "model.safetensors").read_bytes()


def test_missing_things_are_named_and_nothing_hangs(hub, process, published):
    hub.publish("lab/other", {"notes.txt": b"no model"})
    published(repo_id="lab/toy", revision="a" * 40)
    calls = [
        "'hf-hub:lab/none'",
        "'hf-hub:lab/other'",
        "'hf-hub:lab/other@v9'",
        "'toy_8.one_v1', local_files_only=True",
    ]
    code = TRY + f"answer([{', '.join(f'attempt(lambda: resolve({call}))' for call in calls)}])"
    repository, entry, revision, local = process(code, endpoint=hub.endpoint)
    assert "no repository lab/none" in repository["text"]
    assert "has no model.safetensors" in entry["text"]
    assert "no revision 'v9'" in revision["text"]
    assert "hub cache" in local["text"]
    unreachable = process(code, endpoint=NOWHERE, home="empty")
    assert "could not be fetched" in unreachable[0]["text"]
    offline = process(code, endpoint=hub.endpoint, home="empty", HF_HUB_OFFLINE="yes")
    assert "HF_HUB_OFFLINE" in offline[0]["text"]
    for result in [repository, entry, revision, local, *unreachable, *offline]:
        assert result["error"] == "WeightsNotFoundError"
        assert result["seconds"] < 5
