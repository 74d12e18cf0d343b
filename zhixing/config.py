"""Frozen dataclasses from TOML and key=value, and back; an unknown key is never passed over."""

import difflib
import tomllib
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from zhixing.errors import ConfigError, FileError

Settings = TypeVar("Settings")
WORDS = {"true": True, "false": False, "none": None}
# What settings were called before; an old name is refused with the new one.
RENAMED = {
    "rate": "learning_rate",
    "warmup": "warmup_ratio",
    "clip_norm": "max_grad_norm",
    "recompute": "gradient_checkpointing",
    "max_tokens": "max_new_tokens",
    "min_tokens": "min_new_tokens",
}


@dataclass(frozen=True)
class Setting:
    """One setting as it is told to a person.

    Attributes:
        name: As it is typed.
        value: Its default.
        unit: Of its value; empty where there is none.
        text: One sentence.
        allowed: The choices or the range; empty for anything of its type.
    """

    name: str
    value: Any
    unit: str
    text: str
    allowed: str


def setting(
    default: Any,
    text: str,
    *,
    unit: str = "",
    low: float | int | None = None,
    high: float | int | None = None,
) -> Any:
    """Declare a field of a settings dataclass: its default, what it does, its unit and range.

    This is the one place where a setting is told of; `settings_of` reads it for people, and
    `range_faults` for checks.
    """
    told = {"text": text, "unit": unit, "low": low, "high": high}
    return field(default=default, metadata=told)


def settings_of(settings: object, prefix: str = "") -> list[Setting]:
    """List all settings with their values as defaults, a section's as `section.name`."""
    hints = get_type_hints(type(settings))
    told: list[Setting] = []
    for each in fields(settings):  # type: ignore[arg-type]
        value = getattr(settings, each.name)
        if is_dataclass(value):
            told += settings_of(value, f"{prefix}{each.name}.")
            continue
        choices = _choices(hints[each.name])
        allowed = ", ".join(map(str, choices)) if choices else _range(each.metadata)
        unit, text = each.metadata.get("unit", ""), each.metadata.get("text", "")
        told.append(Setting(f"{prefix}{each.name}", value, unit, text, allowed))
    return told


def range_faults(settings: object, prefix: str = "") -> list[str]:
    """Name the values that are out of their range, or none of their choices."""
    hints = get_type_hints(type(settings))
    faults = []
    for each in fields(settings):  # type: ignore[arg-type]
        value, low, high = getattr(settings, each.name), *map(each.metadata.get, ("low", "high"))
        name, choices = f"{prefix}{each.name}", _choices(hints[each.name])
        if choices and value not in choices:
            faults.append(f"{name} is {value!r}; allowed are {', '.join(map(str, choices))}")
        if low is None or value is None:
            continue
        if high is None and value < low:
            faults.append(f"{name} is {value}; it has to be at least {low:g}")
        if high is not None and not low <= value <= high:
            faults.append(f"{name} is {value}; it has to lie between {low:g} and {high:g}")
    return faults


def _choices(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) is Literal else ()


def _range(metadata: Mapping[str, Any]) -> str:
    low, high = metadata.get("low"), metadata.get("high")
    if low is None:
        return ""
    return f"at least {low:g}" if high is None else f"{low:g} to {high:g}"


def override(base: Settings, values: Mapping[str, Any]) -> Settings:
    """Give a configuration with some of its settings changed.

    Args:
        base: A frozen dataclass; a field may be one too, a section.
        values: By name, `section.name` for a section's; or a mapping for a whole section. Strings
            are read as what the field wants.

    Raises:
        ConfigError: With every unknown key, and the nearest known one, or a value that is not
            what its field wants.

    Example:
        >>> from zhixing.training.config import TrainingConfig
        >>> override(TrainingConfig(), {"epochs": "2"}).epochs
        2.0
    """
    flat = flattened(values)
    known = keys_of(base)
    unknown = [_unknown(key, known) for key in flat if key not in known]
    if unknown:
        raise ConfigError("; ".join(unknown))
    return _with(base, flat)


def keys_of(settings: object) -> list[str]:
    """List the names of all settings, a section's as `section.name`."""
    keys = []
    for each in fields(settings):  # type: ignore[arg-type]
        value = getattr(settings, each.name)
        if is_dataclass(value):
            keys += [f"{each.name}.{name}" for name in keys_of(value)]
        else:
            keys.append(each.name)
    return keys


def read_recipe(path: Path) -> dict[str, Any]:
    """Read a TOML file of settings.

    Raises:
        FileError: If it cannot be read.
        ConfigError: If it is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FileError(f"{path} cannot be read ({error.strerror}); check its name") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not a TOML file ({error}); correct that line") from error


def parse_pairs(pairs: Sequence[str]) -> dict[str, str]:
    """Part `key=value` words.

    Raises:
        ConfigError: If a word has no equals sign, or a key comes twice.
    """
    values: dict[str, str] = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign or not key:
            raise ConfigError(f"{pair!r} is not a setting; write key=value, for instance epochs=4")
        if key in values:
            raise ConfigError(f"{key} is set twice, to {values[key]!r} and {value!r}; keep one")
        values[key] = value
    return values


def flattened(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Name the values of sections as `section.name`."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= flattened(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def _unknown(key: str, known: Sequence[str]) -> str:
    section, dot, name = key.rpartition(".")
    renamed = f"{section}{dot}{RENAMED.get(name, '')}"
    if renamed in known:
        return f"{key} is now called {renamed}"
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
    return f"{key} is not a setting; {hint}"


def _with(base: Settings, flat: Mapping[str, Any]) -> Settings:
    hints = get_type_hints(type(base))
    changes: dict[str, Any] = {}
    for each in fields(base):  # type: ignore[arg-type]
        current = getattr(base, each.name)
        inner = {
            key.removeprefix(f"{each.name}."): value
            for key, value in flat.items()
            if key.startswith(f"{each.name}.")
        }
        if is_dataclass(current) and inner:
            changes[each.name] = _with(current, inner)
        elif each.name in flat:
            changes[each.name] = _read(each.name, flat[each.name], hints[each.name])
    return replace(base, **changes)  # type: ignore[type-var]


def _read(name: str, value: Any, wanted: Any) -> Any:
    """Read a value as its each wants it."""
    options = get_args(wanted) if get_origin(wanted) in (Union, types.UnionType) else (wanted,)
    # A word is first taken as it stands: "none" may be one of a setting's own choices.
    readings = [value]
    if isinstance(value, str) and value.lower() in WORDS:
        readings.append(WORDS[value.lower()])
    for reading in readings:
        for option in options:
            found, fits = _as(option, reading)
            if fits:
                return found
    names = " or ".join(_spelled(option) for option in options)
    raise ConfigError(f"{name} is {value!r}; it has to be {names}")


def _as(option: Any, value: Any) -> tuple[Any, bool]:
    if get_origin(option) is Literal:
        return value, value in get_args(option)
    if option is type(None):
        return None, value is None
    if option is bool:
        return value, isinstance(value, bool)
    if option is str:
        return str(value), value is not None and not isinstance(value, Mapping | list)
    if option in (int, float) and not isinstance(value, bool) and value is not None:
        try:
            return option(value), option is float or float(value) == int(float(value))
        except (TypeError, ValueError, OverflowError):
            return None, False
    return None, False


def _spelled(option: Any) -> str:
    if get_origin(option) is Literal:
        return "one of " + ", ".join(map(str, get_args(option)))
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    return names.get(option, "none")
