"""Settings that may be None, and configs as flat dictionaries and as JSON."""

import json
import math
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict, config_dict

FORMAT = 2  # of config.json; an older one is refused
OPTIONAL = "may_be_none"  # in config.json: the types of the settings that may be None


class Optional(config_dict.FieldReference):
    """A setting that may be None; the others may not."""


def optional(kind: type) -> Optional:
    """A setting of type `kind` that starts as None."""
    return Optional(None, field_type=kind)


def optional_settings(section: ConfigDict) -> dict[str, Optional]:
    """The settings of a section that may be None; not those of the sections in it."""
    fields = section.items(preserve_field_references=True)
    return {name: field for name, field in fields if isinstance(field, Optional)}


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{dotted key: value} of a nested config; lists and tuples are the same thing."""
    rows = {}
    for key, value in config.items():
        if isinstance(value, Mapping | ConfigDict):
            rows |= flat(value, f"{prefix}{key}.")
        else:
            rows[prefix + key] = list(value) if isinstance(value, tuple) else value
    return rows


def to_json(config: ConfigDict) -> str:
    """The config as JSON text, which `from_json` reads back; JSON has no infinity, so that is the text "inf".

    Under OPTIONAL stands the type of each setting that may be None, by dotted key.
    """

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [plain(inner) for inner in value]
        return str(value) if isinstance(value, float) and math.isinf(value) else value

    content = {"format": FORMAT, **plain(config.to_dict()), OPTIONAL: _optional_types(config)}
    return json.dumps(content, indent=2, sort_keys=True, allow_nan=False)


def _optional_types(config: ConfigDict, prefix: str = "") -> dict[str, str]:
    found = {prefix + name: field.get_type().__name__ for name, field in optional_settings(config).items()}
    for key, value in config.items():
        if isinstance(value, ConfigDict):
            found |= _optional_types(value, f"{prefix}{key}.")
    return found


def from_json(text: str) -> ConfigDict:
    """A locked config out of a run directory's config.json; the same settings may be None as in what was written.

    Raises:
        ValueError: no JSON, or of another format.
    """
    content = json.loads(text)
    if not isinstance(content, dict) or content.pop("format", 1) != FORMAT:
        raise ValueError(f"is of a format that this version does not read; it reads format {FORMAT}")
    optional = content.pop(OPTIONAL)
    kinds = {kind.__name__: kind for kind in (bool, int, float, str, tuple)}

    def read(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {name: read(inner, f"{key}.{name}" if key else name) for name, inner in value.items()}
        if key in optional:
            kind = kinds[optional[key]]
            return Optional(None if value is None else kind(value), field_type=kind)
        if isinstance(value, list):
            return tuple(read(inner) for inner in value)
        return float(value) if value in ("inf", "-inf") else value

    return ConfigDict(read(content)).lock()
