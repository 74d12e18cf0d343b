"""A loaded sequence-to-sequence model that writes: what translators and summarizers share."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from zhixing.checkpoints.pretrained import Pretrained
from zhixing.data.batch import Example
from zhixing.errors import ConfigError
from zhixing.generation.selection import Hypothesis
from zhixing.generation.settings import SearchSettings
from zhixing.generation.shortlist import Shortlist
from zhixing.tasks.inference import inference_model, resolved, usable_device
from zhixing.tasks.sequence_to_sequence import (
    Constraints,
    SequenceToSequenceTask,
    generate,
    text_format_of,
)


class TextWriter:
    """A tokenizer and an encoder-decoder model, ready for a device and a precision.

    The object never changes after it is built, so that threads may share it.

    Args:
        pretrained: A loaded folder.
        device: cpu, cuda, cuda:N or mps.
        precision: Of the matrix products; "int8" quantizes.
        shortlist: Which tokens may be written about which; None for all about all.

    Raises:
        ConfigError: If the model does not write, or the device or precision is not there.
    """

    def __init__(
        self,
        pretrained: Pretrained,
        *,
        device: str = "cpu",
        precision: str = "float32",
        shortlist: Shortlist | None = None,
    ) -> None:
        if pretrained.model.next_token is None:
            raise ConfigError(
                f"the model does not write (its head is {pretrained.config.head!r}); name one that "
                f"translates or summarizes"
            )
        self.device = usable_device(device)
        self.precision = resolved(precision, self.device)
        self.model, self.products = inference_model(pretrained.model, self.device, self.precision)
        self.pretrained = replace(pretrained, model=self.model)
        self.card = pretrained.card
        self.shortlist = shortlist
        self.text_format = text_format_of(pretrained)
        self.task = SequenceToSequenceTask(
            self.text_format, max_positions=pretrained.config.max_positions
        )

    def generate(
        self,
        task: SequenceToSequenceTask,
        examples: Sequence[Example],
        settings: SearchSettings,
        *,
        prefixes: Sequence[Sequence[int]] = (),
        max_target_tokens: Callable[[int], int] | None = None,
    ) -> list[list[Hypothesis]]:
        """Write about encoded texts; see `sequence_to_sequence.generate`."""
        return generate(
            self.model,
            task,
            examples,
            settings,
            device=self.device,
            precision=self.products,
            constraints=Constraints(prefixes, max_target_tokens, self.shortlist),
        )
