"""Find the columns of texts and labels by their names."""

from collections.abc import Sequence
from difflib import get_close_matches

from zhixing.data.table import ROLES, Columns
from zhixing.data.wording import counted, quoted
from zhixing.errors import DataError

# The first name of each role is its own name and wins over the others. Of these, exactly one may
# be there: which of two plausible columns is meant is not for us to guess.
TEXT_NAMES = (
    *("text", "sentence", "review", "message", "content", "question", "source", "texts", "body"),
    *("comment", "document", "tweet", "utterance", "input", "query", "text1", "text_a"),
    *("sentence1", "sentence_a", "premise", "question1", "文本", "内容", "句子", "评论"),
)
PAIR_NAMES = (
    *("pair", "text2", "text_b", "text_pair", "sentence2", "sentence_b", "hypothesis"),
    *("question2", "second"),
)
TARGET_NAMES = (
    *("target", "targets", "translation", "summary", "output", "reference", "response", "answer"),
    *("headline", "title", "译文", "目标", "摘要"),
)
LABEL_NAMES = (
    *("label", "labels", "class", "category", "intent", "sentiment", "target", "topic", "tag"),
    *("tags", "emotion", "classes", "categories", "标签", "类别", "情感", "意图"),
)


def find_columns(
    names: Sequence[str],
    columns: Columns,
    *,
    source: str,
    needs_labels: bool,
    needs_targets: bool = False,
    multi_label: bool = False,
) -> dict[str, str]:
    """Decide which column plays which role.

    A column asked for has to exist under exactly that name. The others are found by their names,
    whatever their case.

    Returns:
        The column of each role that was found: "text" always, "label" where it is needed or
        unmistakable, "pair" where there is one, "weight" where it was asked for. Where targets are
        needed, "target" takes the place of "label" and "pair".

    Raises:
        DataError: A column is missing or not unmistakable; everything wrong is told at once, with
            the columns there are.
    """
    asked = {role: name for role in ROLES if (name := getattr(columns, role)) is not None}
    faults = [_absent(name, role, names) for role, name in asked.items() if name not in names]
    found = dict(asked)
    label_names = ("labels", *LABEL_NAMES) if multi_label else LABEL_NAMES
    looked_for: list[tuple[str, Sequence[str]]] = [("target", TARGET_NAMES), ("text", TEXT_NAMES)]
    if not needs_targets:
        looked_for = [("pair", PAIR_NAMES), ("text", TEXT_NAMES), ("label", label_names)]
    for role, known in looked_for:
        if role in asked:
            continue
        candidates = _known(names, known, taken=list(found.values()))
        if len(candidates) == 1:
            found[role] = candidates[0]
        elif role in ("text", "target") or (role == "label" and needs_labels):
            faults.append(_unclear(role, candidates))
    if faults:
        raise DataError(f"{source} {' and '.join(faults)}; its columns are {quoted(names)}")
    return found


def is_known(name: str) -> bool:
    """Tell whether a column of this name would be found without being asked for."""
    return _plain(name) in {*TEXT_NAMES, *PAIR_NAMES, *TARGET_NAMES, *LABEL_NAMES}


def speaks_of_pairs(found: dict[str, str]) -> bool:
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
