"""From a loaded model folder to how its model reads and writes."""

from zhixing.checkpoints.pretrained import Pretrained
from zhixing.generation.settings import read_settings
from zhixing.tasks.text_to_text import Voice


def voice_of(pretrained: Pretrained) -> Voice:
    """Tell how a model reads and writes, by what its folder says.

    Raises:
        ConfigError: If the folder does not say how to start and end.
    """
    settings = read_settings(pretrained.values, pretrained.generation)
    first = () if settings.forced_first_id is None else (settings.forced_first_id,)
    target = pretrained.target_tokenizer or pretrained.tokenizer
    return Voice(pretrained.tokenizer, target, settings, first=first)
