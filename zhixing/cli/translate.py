"""zhixing translate: the common command of a task, with several translations and shortlists."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from zhixing.cli.predict import app_for, parameter
from zhixing.cli.printing import console, print_json
from zhixing.errors import ConfigError
from zhixing.jobs.translate.learn_shortlist import with_shortlist
from zhixing.tasks.translation.alternatives import variants

Best = Annotated[
    int, typer.Option(help="Print several translations of each text, unlike each other.")
]
Listed = Annotated[
    str | None, typer.Option("--shortlist", help="A file of zhixing shortlist: faster, less free.")
]


def _opened(translator: Any, typed: Mapping[str, Any]) -> None:
    chosen = typed["input"] or typed["beams"] or typed["coverage"] or typed["term"]
    if typed["best"] != 1 and chosen:
        raise ConfigError("--best belongs to texts, and chooses beams itself; drop the others")
    if typed["shortlist"] is not None:
        with_shortlist(translator, typed["shortlist"])


def _answered(translator: Any, texts: list[str], options: Any, typed: Mapping[str, Any]) -> bool:
    if typed["best"] == 1:
        return False
    several = [variants(translator, text, count=typed["best"], options=options) for text in texts]
    if typed["as_json"]:
        print_json([[variant.to_dict() for variant in each] for each in several])
        return True
    for variant in (variant for each in several for variant in each):
        console.print(f"{variant.score:6.2f}  {variant.text}")
    return True


app = app_for(
    "translate",
    more=[parameter("best", Best, 1), parameter("shortlist", Listed, None)],
    opened=_opened,
    answered=_answered,
)
