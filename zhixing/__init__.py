"""zhixing · 知行: small and medium language models, from theory to practice.

The public names below are resolved when they are first asked for; importing the package imports
nothing but the standard library.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zhixing.data.roles import Columns
    from zhixing.inspection.alignment import align_pairs
    from zhixing.jobs.classify.use import Classifier, ClassifyOptions
    from zhixing.jobs.report import Report
    from zhixing.tasks.scoring import score_pairs
    from zhixing.tasks.summarization import SummarizeOptions, Summarizer
    from zhixing.tasks.translation.alternatives import alternatives, variants
    from zhixing.tasks.translation.result import TranslateOptions
    from zhixing.tasks.translation.translator import Translator
    from zhixing.version import __version__
    from zhixing.workflows.check import check
    from zhixing.workflows.evaluate import evaluate
    from zhixing.workflows.load import load
    from zhixing.workflows.quantize import quantize_model as quantize
    from zhixing.workflows.train import resume, train


_MODULES = {
    "__version__": ("zhixing.version", "__version__"),
    "Columns": ("zhixing.data.roles", "Columns"),
    "ClassifyOptions": ("zhixing.jobs.classify.use", "ClassifyOptions"),
    "Classifier": ("zhixing.jobs.classify.use", "Classifier"),
    "Report": ("zhixing.jobs.report", "Report"),
    "SummarizeOptions": ("zhixing.tasks.summarization", "SummarizeOptions"),
    "Summarizer": ("zhixing.tasks.summarization", "Summarizer"),
    "TranslateOptions": ("zhixing.tasks.translation.result", "TranslateOptions"),
    "Translator": ("zhixing.tasks.translation.translator", "Translator"),
    "align_pairs": ("zhixing.inspection.alignment", "align_pairs"),
    "alternatives": ("zhixing.tasks.translation.alternatives", "alternatives"),
    "check": ("zhixing.workflows.check", "check"),
    "evaluate": ("zhixing.workflows.evaluate", "evaluate"),
    "load": ("zhixing.workflows.load", "load"),
    "quantize": ("zhixing.workflows.quantize", "quantize_model"),
    "resume": ("zhixing.workflows.train", "resume"),
    "score_pairs": ("zhixing.tasks.scoring", "score_pairs"),
    "train": ("zhixing.workflows.train", "train"),
    "variants": ("zhixing.tasks.translation.alternatives", "variants"),
}

__all__ = [
    "Columns",
    "ClassifyOptions",
    "Classifier",
    "Report",
    "SummarizeOptions",
    "Summarizer",
    "TranslateOptions",
    "Translator",
    "__version__",
    "align_pairs",
    "alternatives",
    "check",
    "evaluate",
    "load",
    "quantize",
    "resume",
    "score_pairs",
    "train",
    "variants",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    if name not in _MODULES:
        raise AttributeError(f"module 'zhixing' has no attribute {name!r}")
    module, attribute = _MODULES[name]
    value = getattr(importlib.import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
