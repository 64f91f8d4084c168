"""A file is hashed once and again only when it changes."""

import hashlib
import os

import pytest

from lowshotgan.errors import WeightsHashError
from lowshotgan.hub import digest
from lowshotgan.hub.digest import check_sha256, sha256_file


def test_hashed_once_until_it_changes(tmp_path, monkeypatch):
    reads = []
    whole = digest._hash
    monkeypatch.setattr(digest, "_hash", lambda path: reads.append(path) or whole(path))
    file = tmp_path / "file"
    file.write_bytes(b"one")
    assert sha256_file(file) == sha256_file(file) == hashlib.sha256(b"one").hexdigest()
    assert len(reads) == 1
    (tmp_path / "link").symlink_to(file)
    sha256_file(tmp_path / "link")
    assert len(reads) == 1, "a link is the same file"
    file.write_bytes(b"other")
    assert sha256_file(file) == hashlib.sha256(b"other").hexdigest()
    sha256_file(file, cached=False)
    assert len(reads) == 3


def test_a_change_that_keeps_size_and_time_is_seen(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"one")
    stat = file.stat()
    sha256_file(file)
    file.write_bytes(b"two")
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert sha256_file(file) == hashlib.sha256(b"two").hexdigest()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"state": 1}', b'{"sha256": 5}'])
def test_a_damaged_stamp_is_ignored(tmp_path, content):
    file = tmp_path / "file"
    file.write_bytes(b"one")
    right = sha256_file(file)
    (stamp,) = (tmp_path / "cache/lowshotgan/stamps").iterdir()
    stamp.write_bytes(content)
    assert sha256_file(file) == right


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(tmp_path, monkeypatch):
    (tmp_path / "taken").write_text("a file, not a folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "taken"))
    file = tmp_path / "file"
    file.write_bytes(b"one")
    check_sha256(file, hashlib.sha256(b"one").hexdigest(), repair="")
    with pytest.raises(WeightsHashError, match="Fetch it again"):
        check_sha256(file, "0" * 64, repair="Fetch it again.")
