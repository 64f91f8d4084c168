"""Parts of a recipe as data: how one is named, checked, written as JSON, read back and typed by hand.

A part is a frozen dataclass with a class attribute ``kind``. Typed by hand it looks like a call:
``"ada(target=0.6)"``, ``"affine_lora(8)"``; several are joined by ``+``: ``"w_offset + style_offset"``.
"""

import ast
import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

from lowshotgan.checks import check_types, did_you_mean
from lowshotgan.errors import RecipeError


@dataclasses.dataclass(frozen=True)
class Part:
    """Base of everything that fills a slot of a recipe."""

    kind: ClassVar[str]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON: the kind and every field."""
        return {"kind": self.kind, **dataclasses.asdict(self)}

    def __str__(self) -> str:
        changed = [
            f"{f.name}={getattr(self, f.name)!r}"
            for f in dataclasses.fields(self)
            if getattr(self, f.name) != f.default
        ]
        return f"{self.kind}({', '.join(changed)})" if changed else self.kind


P = TypeVar("P", bound=Part)
Table = Mapping[str, type[P]]


def need(condition: bool, message: str) -> None:
    """Raise ``RecipeError`` with ``message`` unless ``condition`` holds."""
    if not condition:
        raise RecipeError(message)


def need_number(name: str, value: object, low: float, high: float = float("inf")) -> None:
    """Raise ``RecipeError`` unless ``value`` is a number in [low, high]."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
    upper = "" if high == float("inf") else f" and at most {high:g}"
    need(good, f"{name} must be a number of at least {low:g}{upper}, got {value!r}.")


def make(slot: str, table: Table[P], kind: str, values: Mapping[str, Any]) -> P:
    """Build the part ``kind`` with the fields ``values``.

    Raises:
        RecipeError: for an unknown kind or field, naming the closest known one.
    """
    known = table.get(kind)
    if known is None:
        raise RecipeError(
            f"{slot} must be one of {', '.join(sorted(table))}; got {kind!r}.{did_you_mean(kind, table)}"
        )
    fields = {field.name for field in dataclasses.fields(known)}
    for name in values:
        if name not in fields:
            takes = ", ".join(sorted(fields)) or "no settings"
            raise RecipeError(f"{slot} {kind} takes {takes}; got {name!r}.{did_you_mean(name, fields)}")
    check_types(known, values, error=RecipeError)
    return known(**values)


def from_dict(slot: str, table: Table[P], data: Mapping[str, Any]) -> P:
    """Read back what ``Part.to_dict`` wrote."""
    if not isinstance(data, Mapping) or "kind" not in data:
        raise RecipeError(f"{slot} must be a mapping with the key 'kind', got {data!r}.")
    return make(slot, table, str(data["kind"]), {key: value for key, value in data.items() if key != "kind"})


def parse(slot: str, table: Table[P], text: str) -> list[P]:
    """Read parts typed by hand, such as ``"w_offset(shared=True) + style_offset"``.

    Raises:
        RecipeError: if the text is no such expression or names something unknown.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except SyntaxError as error:
        raise RecipeError(f"{slot} must look like ada(target=0.6); cannot read {text!r}.") from error
    return [_from_node(slot, table, node, text) for node in _terms(tree)]


def changed(slot: str, part: P, values: Mapping[str, Any]) -> P:
    """A copy of ``part`` with some fields changed, with the checks of ``make``."""
    table: Table[P] = {part.kind: type(part)}
    current = {field.name: getattr(part, field.name) for field in dataclasses.fields(part)}
    return make(slot, table, part.kind, {**current, **values})


def has_field(part: Part, name: str) -> bool:
    return any(field.name == name for field in dataclasses.fields(part))


def _terms(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _terms(node.left) + _terms(node.right)
    return [node]


def _from_node(slot: str, table: Table[P], node: ast.expr, text: str) -> P:
    if isinstance(node, ast.Name):
        return make(slot, table, node.id, {})
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        raise RecipeError(f"{slot} must look like ada(target=0.6); cannot read {text!r}.")
    known = table.get(node.func.id)
    names = [field.name for field in dataclasses.fields(known)] if known else []
    if len(node.args) > len(names) and known:
        raise RecipeError(f"{slot} {node.func.id} takes at most {len(names)} settings; cannot read {text!r}.")
    try:
        values = {name: ast.literal_eval(arg) for name, arg in zip(names, node.args, strict=False)}
        values |= {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in node.keywords}
    except ValueError as error:
        raise RecipeError(f"{slot}: only plain numbers, texts and True/False are allowed in {text!r}.") from error
    return make(slot, table, node.func.id, values)
