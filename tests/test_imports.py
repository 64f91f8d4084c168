"""Imports go only to the left, the package imports nothing heavy, and every public name resolves."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import lowshotgan

PACKAGE = Path(lowshotgan.__file__).parent

LAYERS = (
    ("errors",),
    ("checks", "draws", "messages", "processes", "types"),
    ("data",),
    ("nets",),
    ("losses",),
    ("hub",),
    ("metrics",),
    ("finetune",),
    ("systems",),
    ("train",),
    ("api",),
    ("cli",),
    ("__main__",),
)
"""Left to right; a file imports from its own layer and from those to its left (see CONTRIBUTING.md)."""

RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
IMPORT_BUDGET_S = 0.020
UNIX_ONLY = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}


def layer(module):
    return module.split(".")[1]


def module_name(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(tree, module, is_package):
    """Every module of the package that a file imports, function-level and type-checking imports included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                here = module.split(".") if is_package else module.split(".")[:-1]
                base = ".".join([*here[: len(here) - node.level + 1], *filter(None, [node.module])])
            if base == "lowshotgan":
                yield from (target(alias.name) for alias in node.names)
            else:
                yield base


def target(name):
    """The module ``from lowshotgan import name`` needs."""
    if name == "__version__":
        return "lowshotgan"
    return lowshotgan._PUBLIC.get(name, f"lowshotgan.{name}")


def files():
    return sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def test_every_file_belongs_to_a_layer():
    assert {layer(module_name(path)) for path in files()} <= set(RANK)


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_left(path):
    module = module_name(path)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for name in imported(tree, module, path.name == "__init__.py"):
        if not name.startswith("lowshotgan."):
            continue
        assert RANK[layer(name)] <= RANK[layer(module)], f"{module} imports {name}, which lies to its right"


def test_systems_do_not_import_each_other():
    for path in (PACKAGE / "systems").glob("*/*.py"):
        own = path.parent.name
        for name in imported(ast.parse(path.read_text(encoding="utf-8")), module_name(path), False):
            parts = name.split(".")
            other = parts[2] if parts[:2] == ["lowshotgan", "systems"] and len(parts) > 3 else own
            assert other == own, f"{path.name} of {own} imports {name}; move what both need to systems/ or nets/"


def test_no_import_cycles():
    edges = {}
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        top = ast.Module([node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)], [])
        name = module_name(path)
        edges[name] = {n for n in imported(top, name, path.name == "__init__.py") if n != name and n != "lowshotgan"}
    done, active = set(), []

    def visit(name):
        assert name not in active, f"import cycle: {' -> '.join([*active, name])}"
        if name in done or name not in edges:
            return
        active.append(name)
        for other in edges[name]:
            visit(other)
        active.pop()
        done.add(name)

    for name in edges:
        visit(name)


def test_nothing_only_unix_has_is_imported_with_a_module():
    for path in PACKAGE.rglob("*.py"):
        top = ast.Module(ast.parse(path.read_text(encoding="utf-8")).body, [])
        top.body = [node for node in top.body if isinstance(node, ast.Import | ast.ImportFrom)]
        found = set(imported(top, module_name(path), path.name == "__init__.py")) & UNIX_ONLY
        assert not found, (
            f"{path} imports {found}, which Windows has not; import it where it is used, with another way"
        )


def test_import_is_light():
    code = "import sys, lowshotgan; print(*sorted({m.partition('.')[0] for m in sys.modules}))"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "numpy", "PIL", "click", "safetensors", "huggingface_hub"} & set(modules)


def test_import_takes_less_than_20_ms():
    """Against a bare interpreter, best of several, in processor time: a busy machine only ever makes a run slower."""
    code = "import time; t = time.process_time(); {}; print(time.process_time() - t)"

    def best(statement):
        runs = (subprocess.run([sys.executable, "-c", code.format(statement)], capture_output=True) for _ in range(7))
        return min(float(run.stdout) for run in runs)

    extra = best("import lowshotgan") - best("pass")
    assert extra < IMPORT_BUDGET_S, f"import lowshotgan took {extra * 1000:.1f} ms"


def test_public_names_resolve_and_are_listed():
    assert set(lowshotgan.__all__) == {"__version__", *lowshotgan._PUBLIC}
    for name, module in lowshotgan._PUBLIC.items():
        assert hasattr(import_module(module), name), f"{module} does not define {name}"
        assert getattr(lowshotgan, name) is not None
    assert set(lowshotgan.__all__) <= set(dir(lowshotgan))


def test_type_checkers_see_the_same_names():
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    block = [node for node in tree.body if isinstance(node, ast.If)][-1]
    seen = {alias.asname: node.module for node in block.body for alias in node.names}
    assert seen == lowshotgan._PUBLIC


def test_every_error_is_public():
    errors = import_module("lowshotgan.errors")
    raised = {name for name, value in vars(errors).items() if isinstance(value, type)}
    assert raised <= set(lowshotgan._PUBLIC)


def test_unknown_name_says_where_to_look():
    with pytest.raises(AttributeError, match="__all__"):
        lowshotgan.finetoon  # noqa: B018


def test_verbs_are_functions_and_folders():
    """``lowshotgan.train`` is called by users and holds the modules of the training layer."""
    loop = import_module("lowshotgan.train.loop")
    api = import_module("lowshotgan.api")
    for verb in lowshotgan._VERBS:
        public = getattr(lowshotgan, verb)
        assert callable(public)
        assert public.__wrapped__ is getattr(api, verb)
        assert public.__doc__ == getattr(api, verb).__doc__
    assert lowshotgan.train.loop is loop


def test_verbs_work_whatever_is_imported_first():
    for first in ("import lowshotgan.train.loop", "from lowshotgan import train", "import lowshotgan.api"):
        code = f"{first}\nimport lowshotgan, inspect\nprint(inspect.signature(lowshotgan.train))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert "output_dir" in done.stdout
