"""What the documentation says of names, options and figures, against the code."""

import re
from importlib import import_module
from pathlib import Path

import pytest

import lowshotgan
from lowshotgan.cli import COMMANDS
from lowshotgan.hub.manifest import find_entries
from lowshotgan.metrics.memorization import COPY_RATIO, UNCALIBRATED_RATIO
from lowshotgan.systems.registry import VERBS

DOCS = Path(__file__).parents[1] / "docs"


def text_of(page):
    return (DOCS / page).read_text(encoding="utf-8")


def described(text):
    """``module.name`` of everything that the autodoc directives of a page describe."""
    found = set(re.findall(r"^\.\. auto(?:class|function):: (\S+)$", text, re.M))
    for name, options in re.findall(r"^\.\. automodule:: (\S+)\n((?:   :.*\n)*)", text, re.M):
        module = import_module(name)
        members = getattr(module, "__all__", [n for n, value in vars(module).items() if isinstance(value, type)])
        left_out = re.findall(r"[\w]+", "".join(re.findall(r":exclude-members:(.*)", options)))
        found |= {f"{name}.{member}" for member in members if member not in left_out}
    return found


def test_the_api_page_describes_the_public_names_and_links_to_the_rest():
    public = {f"{module}.{name}" for name, module in lowshotgan._PUBLIC.items()}
    page, _, others = text_of("api.md").partition("## Met, but not imported by name")
    here = described(page)
    assert here <= public, "describe what is not public in the last section"
    assert not described(others) & public
    elsewhere = set().union(*(described(path.read_text(encoding="utf-8")) for path in DOCS.glob("*.md")))
    for name in public - here:
        assert name in elsewhere, f"no page describes {name}"
        assert f"`{name.rpartition('.')[2]}`" in page, f"api.md does not say where {name} is described"


@pytest.mark.parametrize(("option", "flag"), [("dry_run", "`-n`, `--dry-run`"), ("as_json", "`--json`")])
def test_options_of_many_commands_are_said_to_be_where_they_are(option, flag):
    (line,) = re.findall(rf"^- {re.escape(flag)} .*(?:\n  .*)*", text_of("cli.md"), re.M)
    able = {name for name, command in COMMANDS.items() if option in {parameter.name for parameter in command.params}}
    named = {name for name in COMMANDS if f"`{name}`" in line}
    assert able == (named or set(COMMANDS))


def test_the_copy_limit_is_the_one_of_the_code():
    limits = f"({COPY_RATIO['lsg1']} with the shipped feature network, {UNCALIBRATED_RATIO} with one"
    assert limits in " ".join(text_of("report.md").split())
    assert f"For `lsg1` it is **{COPY_RATIO['lsg1']}**" in text_of("metrics.md")


@pytest.mark.parametrize("system", [name for name, verbs in VERBS.items() if "translate" in verbs])
def test_each_translator_has_a_page_with_its_weights_picture_and_limits(system):
    page = text_of(f"{system}.md")
    published = [entry.name for entry in find_entries("*") if entry.system == system]
    assert all(f"`{name}`" in page for name in published)
    assert ("No weights are published" in page) == (not published)
    pictures = re.findall(r"!\[[^]]+\]\(([^)]+)\)", page)
    assert pictures and all((DOCS / picture).is_file() for picture in pictures)
    assert all((DOCS.parent / recipe).is_file() for recipe in re.findall(r"recipes/\S+\.toml", page))
    assert {"## Official checkpoints", "## Limits", "## Source"} <= set(page.splitlines())
    assert f"\n{system}\n" in text_of("index.md")
