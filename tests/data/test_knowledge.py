"""Tables of knowledge: how they are made, what is said about them before training, and what is refused."""

import numpy as np
import pytest
import torch

from lowshotgan.data.knowledge import Knowledge, attribute_vector
from lowshotgan.data.knowledge_report import knowledge_report
from lowshotgan.errors import ConfigError

TABLE = {
    f"{colour} {shape}": {"colour": colour, "shape": shape} for colour in ("blue", "red") for shape in ("disc", "ring")
}


def test_attributes_become_groups_of_ones():
    known = Knowledge.from_attributes(TABLE, nuisance={"shape": "scramble_colour"})
    assert known.dimensions == ("colour=blue", "colour=red", "shape=disc", "shape=ring")
    assert known.vector("red ring").tolist() == [0, 1, 0, 1]
    several = {"colour": ["red", "blue"], "shape": "disc"}
    assert attribute_vector(several, known.dimensions).tolist() == [1, 1, 1, 0]
    assert known.select(["red ring", "blue disc"]).names == ("red ring", "blue disc")


def test_text_embeddings_are_averaged_over_the_texts_of_a_category():
    known = Knowledge.from_text_embeddings(
        ["a", "b"], [torch.tensor([[1.0, 3.0], [3.0, 5.0]]), torch.tensor([7.0, 9.0])]
    )
    assert known.vectors.tolist() == [[2, 4], [7, 9]] and known.source == "text embeddings"


def test_tables_come_from_files(tmp_path):
    (tmp_path / "numbers.csv").write_text("name,x,y\na,1,2.5\nb,3,4\n")
    known = Knowledge.from_file(tmp_path / "numbers.csv")
    assert known.vectors.tolist() == [[1, 2.5], [3, 4]] and known.dimensions == ("x", "y")
    (tmp_path / "words.csv").write_text("name,colour\na,red\nb,blue\n")
    assert Knowledge.from_file(tmp_path / "words.csv").dimensions == ("colour=blue", "colour=red")
    np.save(tmp_path / "v.npy", np.eye(2, dtype=np.float32))
    assert Knowledge.from_file(tmp_path / "v.npy", names=["a", "b"]).vectors.tolist() == [[1, 0], [0, 1]]
    with pytest.raises(ConfigError, match="names="):
        Knowledge.from_file(tmp_path / "v.npy")
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ConfigError, match="cannot be read"):
        Knowledge.from_file(tmp_path / "objects.npy", names=["a"])


def test_tables_as_spreadsheets_write_them(tmp_path):
    path = tmp_path / "words.csv"
    path.write_bytes("\ufeffname, colour , shape\r\n\r\na, red,ring\r\nb,blue , ring\r\n,,\r\n\r\n".encode())
    found = Knowledge.from_file(path)
    assert (found.names, found.dimensions) == (("a", "b"), ("colour=blue", "colour=red", "shape=ring"))
    assert found.vectors.tolist() == [[0, 1, 1], [1, 0, 1]]


@pytest.mark.parametrize(
    ("text", "message"),
    [("name,x,y\na,1,2\nb,,3\n", "has no x for b"), ("name;x\na;1\nb;2\n", "split by ';'"),
     ("name,x,x\na,red,blue\nb,blue,red\n", "names a column twice"), ("name,x\na,1\nb\n", "as many values"), ("", "header")],
)  # fmt: skip
def test_tables_with_holes_are_refused(tmp_path, text, message):
    (tmp_path / "k.csv").write_text(text)
    with pytest.raises(ConfigError, match=message):
        Knowledge.from_file(tmp_path / "k.csv")


def test_arrays_that_hold_no_numbers_are_refused(tmp_path):
    (tmp_path / "empty.npy").write_bytes(b"")
    (tmp_path / "zip.npy").write_bytes(b"PK\x03\x04and no more")
    np.save(tmp_path / "words.npy", np.array([["a"], ["b"]]))
    with (tmp_path / "several.npy").open("wb") as file:
        np.savez(file, first=np.eye(2))
    for name in ("empty", "zip", "words", "several"):
        with pytest.raises(ConfigError):
            Knowledge.from_file(tmp_path / f"{name}.npy", names=["a", "b"])


def test_groups_with_a_telling_name_are_protected_unless_told_otherwise(tmp_path):
    assert Knowledge.from_attributes(TABLE).protection == {"colour": "erase_patches", "shape": "scramble_colour"}
    assert Knowledge.from_attributes(TABLE, nuisance={}).protection == {}
    assert Knowledge.from_attributes({"a": {"size": "big"}, "b": {"size": "small"}}).protection == {}
    (tmp_path / "words.csv").write_text("name,colour\na,red\nb,blue\n")
    found = Knowledge.from_file(tmp_path / "words.csv", nuisance={"colour": "shuffle_patches"})
    assert found.protection == found.select(["b"]).protection == {"colour": "shuffle_patches"}
    with pytest.raises(ConfigError, match="group 'shape'"):
        Knowledge.from_file(tmp_path / "words.csv", nuisance={"shape": "shift"})
    with pytest.raises(ConfigError, match="name of its own for each of 2"):
        Knowledge(("a",), torch.zeros(1, 2), ("x", "x"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Knowledge.from_table(["a", "b"], [[1, 2], [1, 2, 3]]), r"lengths \[2, 3\]"),
        (lambda: Knowledge.from_table(["a", "b"], torch.zeros(3, 2)), "one vector for each of 2"),
        (lambda: Knowledge.from_table(["a", "a"], torch.zeros(2, 2)), "distinct"),
        (lambda: Knowledge.from_table(["a"], [[float("nan")]]), "vector of 'a' holds NaN"),
        (lambda: Knowledge.from_attributes({"a": {"x": "1"}, "b": {}}), "'b' has no attribute 'x'"),
        (lambda: Knowledge.from_attributes({"a": {"x": 3}, "b": {"x": 4}}), "a text such as 'red'"),
        (lambda: Knowledge.from_attributes({"a": [1.0], "b": [0.0]}), "'a' needs attributes by group"),
        (lambda: Knowledge.from_table(["a", "b"], [["x"], ["y"]]), "needs numbers"),
        (lambda: Knowledge.from_table(["a", "b"], None), "needs numbers"),
        (lambda: Knowledge.from_attributes(TABLE, nuisance={"size": "shift"}), "group 'size'"),
        (lambda: Knowledge.from_attributes(TABLE, nuisance={"shape": "blur"}), "nuisance transform"),
        (lambda: Knowledge.from_attributes(TABLE).vector("red rung"), "red ring"),
        (lambda: Knowledge.from_file("nowhere.csv"), "cannot be read"),
    ],
)
def test_unusable_knowledge_says_what_is_wrong(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_the_report_measures_what_seen_vectors_span():
    raw = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0], [0.5, 0.5, 2]])
    known = Knowledge.from_table(["o", "x", "y", "xy", "up"], raw)
    report = knowledge_report(known, ["o", "x", "y"], ["xy", "up"])
    assert report.rank == 2
    assert report.residual["xy"] == pytest.approx(0.0, abs=1e-6)
    away = raw[4] - raw[:3].mean(0)
    assert report.residual["up"] == pytest.approx(2 / float(away.norm()), abs=1e-5)
    assert len(report.warnings) == 1 and report.warnings[0].startswith("up")
    assert "xy: 0% outside" in str(report)


def test_the_report_tells_twins_values_never_seen_and_values_never_apart():
    twin = Knowledge.from_table(["a", "b", "c"], [[0.0, 1], [1, 0], [1.001, 0]])
    assert any("nearly the same vector" in text for text in knowledge_report(twin, ["a", "b"], ["c"]).warnings)
    known = Knowledge.from_attributes(TABLE)
    with pytest.raises(ConfigError, match="shape=ring, which no seen category has"):
        knowledge_report(known, ["red disc", "blue disc"], ["red ring"])
    more = Knowledge.from_attributes({**TABLE, "red bar": {"colour": "red", "shape": "bar"}})
    report = knowledge_report(more, ["red ring", "red bar", "blue disc"], ["blue ring"])
    assert report.counts["colour=red"] == 2
    assert report.together["colour=red, shape=ring"] == 1
    both = knowledge_report(more, ["red ring", "red bar", "blue disc", "blue ring"], []).warnings
    assert not any("colour=red has" in text for text in both)
