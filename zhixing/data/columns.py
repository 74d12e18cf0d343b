"""Find the columns of texts and labels by their names."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from zhixing.data.roles import LABEL_NAMES, PAIR_NAMES, TARGET_NAMES, TEXT_NAMES, Role
from zhixing.data.wording import counted, joined, quoted
from zhixing.errors import DataError


def find_columns(
    names: Sequence[str],
    columns: Mapping[str, str],
    *,
    source: str,
    roles: Sequence[Role],
    multi_label: bool = False,
) -> dict[str, str]:
    """Decide which column plays which role.

    A column asked for has to exist under exactly that name. The others are found by their names,
    whatever their case.

    Returns:
        The column of each role that was found: of a required one always, of another where it is
        unmistakable.

    Raises:
        DataError: A column is missing or not unmistakable, or is asked for in a role that is not
            read; everything wrong is told at once, with the columns there are.
    """
    known_roles = [role.name for role in roles]
    faults = [
        _unread(role, columns[role], known_roles) for role in columns if role not in known_roles
    ]
    asked = {role: name for role, name in columns.items() if role in known_roles}
    faults += [_absent(name, role, names) for role, name in asked.items() if name not in names]
    chosen = dict(asked)
    for role in roles:
        if role.name in asked or not role.names:
            continue
        preferred = ("labels", *role.names) if multi_label and role.kind == "label" else role.names
        candidates = _known(names, preferred, taken=list(chosen.values()))
        if len(candidates) == 1:
            chosen[role.name] = candidates[0]
        elif role.is_required:
            faults.append(_unclear(role.name, candidates))
    if faults:
        raise DataError(f"{source} {' and '.join(faults)}; its columns are {quoted(names)}")
    return chosen


def is_known(name: str) -> bool:
    """Tell whether a column of this name would be found without being asked for."""
    return _plain(name) in {*TEXT_NAMES, *PAIR_NAMES, *TARGET_NAMES, *LABEL_NAMES}


def speaks_of_pairs(found: Mapping[str, str]) -> bool:
    """Tell whether columns that were found are named as texts and what is written about them.

    "target" alone may be a label too; beside "source" it is not.
    """
    text, target = _plain(found.get("text", "")), _plain(found.get("target", ""))
    return bool(target) and (text == "source" or target not in LABEL_NAMES)


def _known(names: Sequence[str], known: Sequence[str], *, taken: Sequence[str]) -> list[str]:
    free = [name for name in names if name not in taken]
    own = [name for name in free if name == known[0]]
    own = own or [name for name in free if _plain(name) == known[0]]
    return own or [name for name in free if _plain(name) in known]


def _plain(name: str) -> str:
    return name.strip().casefold()


def _unread(role: str, name: str, known: Sequence[str]) -> str:
    return f"is not read for {role}={name} (this task reads {joined(known)}; leave it out)"


def _absent(name: str, role: str, names: Sequence[str]) -> str:
    near = get_close_matches(name, names, n=1)
    hint = f' (did you mean "{near[0]}"?)' if near else ""
    return f'has no column "{name}" to take as {role}={name}{hint}'


def _unclear(role: str, candidates: Sequence[str]) -> str:
    option = f"name it with --{role} COLUMN, in Python {role}=COLUMN or zx.Columns({role}=COLUMN)"
    if not candidates:
        return f"has no column whose name says that it is the {role} ({option})"
    columns = counted(len(candidates), "column")
    return f"has {columns} that may be the {role}, {quoted(candidates)} ({option})"
