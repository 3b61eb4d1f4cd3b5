"""What is known of each setting beside its value: default, unit, possible values and meaning."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import annotated_types

from visdiv_assets.settings import Settings, Unit, variable

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo


@dataclass(frozen=True)
class SettingFacts:
    """A setting.

    Attributes:
        name: as in the file of settings.
        variable: its environment variable.
        default: the value if nothing sets it.
        unit: unit of a number; empty for others.
        values: which values are possible.
        meaning: what it does.
    """

    name: str
    variable: str
    default: Any
    unit: str
    values: str
    meaning: str


def setting_facts() -> Iterator[SettingFacts]:
    """Yield every setting, in the order of `Settings`."""
    for name, field in Settings.model_fields.items():
        unit = "".join(part.name for part in field.metadata if isinstance(part, Unit))
        yield SettingFacts(name, variable(name), field.default, unit, _values(field), str(field.description))


def _values(field: FieldInfo) -> str:
    if get_origin(field.annotation) is Literal:
        return " | ".join(f'"{value}"' for value in get_args(field.annotation))
    if field.annotation is bool:
        return "true | false"
    bounds = []
    for part in field.metadata:
        for kind, sign in ((annotated_types.Gt, ">"), (annotated_types.Ge, ">="), (annotated_types.Le, "<=")):
            if isinstance(part, kind):
                bounds.append(f"{sign} {getattr(part, kind.__name__.lower())}")
    kinds = {int: "a whole number", float: "a number", str: "text"}
    return " ".join(filter(None, [kinds[field.annotation], " and ".join(bounds)])) if field.annotation in kinds else ""
