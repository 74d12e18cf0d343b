"""Load and save pretrained checkpoints: configuration + weight names + files = model."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from zhixing.checkpoints.card import Card, check_probe, probe_of, read_card, write_card
from zhixing.checkpoints.files import (
    WEIGHTS_FILE,
    read_json,
    read_weights_of,
    whole_folder,
    write_json,
    write_tensors,
)
from zhixing.errors import CheckpointError, ConfigError
from zhixing.models.config import HeadKind, ModelConfig
from zhixing.models.families import own
from zhixing.models.families.family import Family, architecture_named
from zhixing.models.families.known import FAMILIES, expresses, family_named, written_config
from zhixing.models.initialization import initialize
from zhixing.models.quantization import has_released, is_quantized, prepare_int8, tied_modules
from zhixing.models.stack import HEAD_PREFIXES
from zhixing.models.transformer import Transformer
from zhixing.models.weight_names import Plain, Reading, WeightNames, read_weights, write_weights
from zhixing.tokenization.files import load_target_tokenizer, load_tokenizer, save_tokenizer
from zhixing.tokenization.tokenizer import Tokenizer

CONFIG = "config.json"
GENERATION_FILE = "generation_config.json"
POOLER_WEIGHTS = ("pooler.weight", "pooler.bias")


@dataclass(frozen=True)
class Pretrained:
    """Hold a loaded checkpoint: model, tokenizer, model card, configuration.

    Attributes:
        model: The model, on the CPU, in float32 or int8.
        tokenizer: The one its ids belong to.
        card: What the folder says of itself.
        model_type: The family's name in `config.json`.
        values: The `config.json`, with keys we do not read.
        generation: The `generation_config.json`: how to decode.
        target_tokenizer: Of what is written, where that is another one.
        fresh: Our names of weights that were drawn, because the folder had none.
        left_out: Names of the folder's weights that belong to heads not asked for.
    """

    model: Transformer
    tokenizer: Tokenizer
    card: Card
    model_type: str
    values: Mapping[str, Any]
    generation: Mapping[str, Any] = field(default_factory=dict)
    target_tokenizer: Tokenizer | None = None
    fresh: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def config(self) -> ModelConfig:
        """Give the model's configuration."""
        return self.model.config


def load_pretrained(
    folder: Path, *, head: HeadKind | None = None, num_classes: int = 0, seed: int = 0
) -> Pretrained:
    """Load a pretrained checkpoint from a model folder.

    Loading is total: every weight of the body is found on both sides with its shape, or all that
    is wrong is named in one error.

    Args:
        folder: A Hugging Face folder, with or without our card.
        head: The head to load or to start fresh; None for the one that the folder has, which then
            has to be complete.
        num_classes: Of a fresh classification head.
        seed: Of a fresh head's weights.

    Raises:
        CheckpointError: If anything is missing, left over, of another shape, or not a number.
    """
    values = read_json(folder / CONFIG)
    family, config = _checked_config(values, folder)
    keeps_head = True
    if head is not None and (head, num_classes) != (config.head, config.num_classes):
        config = with_head(family, values, config, head=head, num_classes=num_classes)
        keeps_head = False
    theirs: Mapping[str, Tensor] = read_weights_of(folder)
    generation = read_json(folder / GENERATION_FILE) if (folder / GENERATION_FILE).exists() else {}
    tokenizer = load_tokenizer(folder)
    if tokenizer.vocab_size > config.vocab_size:
        raise CheckpointError(
            f"{folder}: the tokenizer has {tokenizer.vocab_size} entries, but the model only "
            f"{config.vocab_size}; the files do not belong together"
        )
    card = read_card(folder) or Card(labels=_labels_of(values, config))
    check_probe(card, tokenizer, folder)
    if keeps_head and card.labels and len(card.labels) != config.num_classes:
        raise CheckpointError(
            f"{folder}: zhixing.json names {len(card.labels)} labels, but the model has "
            f"{config.num_classes} classes; the files do not belong together"
        )
    if values.get("quantization") == "int8":
        model = _load_int8(config, theirs, folder)
        target = load_target_tokenizer(folder)
        return Pretrained(model, tokenizer, card, values["model_type"], values, generation, target)
    config = _tied_as_found(family, config, theirs)
    names = _names_of(family, config)
    if not keeps_head:
        theirs = _without_other_head(theirs, names, config)
    reading = _with_output_bias(read_weights(names, theirs), config)
    if config.head == "none" and config.has_pooler and set(POOLER_WEIGHTS) <= set(reading.missing):
        config = replace(config, has_pooler=False)
        rest = tuple(name for name in reading.missing if name not in POOLER_WEIGHTS)
        reading = replace(reading, missing=rest)
    with torch.device("meta"):
        model = Transformer(config)
    fresh = _check(reading, model, folder, may_start_head=head is not None)
    model = _filled(model, reading.weights, fresh, seed)
    return Pretrained(
        model,
        tokenizer,
        card,
        values["model_type"],
        values,
        generation,
        load_target_tokenizer(folder),
        fresh=fresh,
        left_out=reading.left_out,
    )


def with_head(
    family: Family,
    values: Mapping[str, Any],
    config: ModelConfig,
    *,
    head: HeadKind,
    num_classes: int,
) -> ModelConfig:
    """Give the configuration of the same body with another head, as its family forms it."""
    if not family.ARCHITECTURES:
        return replace(config, head=head, num_classes=num_classes)
    labels = {str(i): f"{i}" for i in range(num_classes)}
    named = [architecture_named(family.ARCHITECTURES, head)]
    return family.read_config({**values, "architectures": named, "id2label": labels})


def _names_of(family: Family, config: ModelConfig) -> WeightNames:
    return family.weight_names(config).expanded(config.encoder_layers, config.decoder_layers)


def _tied_as_found(
    family: Family, config: ModelConfig, theirs: Mapping[str, Tensor]
) -> ModelConfig:
    """Believe the weights where config.json says of the output that it is tied, or is not.

    FLAN-T5 saved by a recent version of the reference library says so and is not.
    """
    output = "lm_head.weight"
    if config.head != "next_token":
        return config
    tied = replace(config, tie_output=True)
    source = family.weight_names(tied).tied.get(output)
    tables = [name for name in theirs if source and f".{name}".endswith(f".{source}")]
    if not tables:
        return config
    if output not in theirs or torch.equal(theirs[tables[0]], theirs[output]):
        return tied
    return replace(config, tie_output=False)


def _with_output_bias(reading: Reading, config: ModelConfig) -> Reading:
    """Let nothing be added to the logits where a checkpoint does not say what."""
    bias = "next_token.output.bias"
    if bias not in reading.missing:
        return reading
    zeros = torch.zeros(config.decoder_vocab_size or config.vocab_size)
    missing = tuple(name for name in reading.missing if name != bias)
    return replace(reading, weights={**reading.weights, bias: zeros}, missing=missing)


def _checked_config(values: Mapping[str, Any], folder: Path) -> tuple[Family, ModelConfig]:
    try:
        family = family_named(values.get("model_type"))
        return family, family.read_config(values)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{folder / CONFIG}: {error}") from error


def _labels_of(values: Mapping[str, Any], config: ModelConfig) -> tuple[str, ...]:
    if config.head != "classification":
        return ()
    names = values.get("id2label")
    if not isinstance(names, Mapping):
        names = {}
    return tuple(str(names.get(str(i), f"class {i}")) for i in range(config.num_classes))


def _without_other_head(
    theirs: Mapping[str, Tensor], names: WeightNames, config: ModelConfig
) -> Mapping[str, Tensor]:
    """Leave out a head of the same names but other sizes, which will be started fresh."""
    output = names.entries.get("classification.output.weight")
    if not isinstance(output, Plain) or output.name not in theirs:
        return theirs
    if theirs[output.name].shape == (config.num_classes, config.hidden_size):
        return theirs
    heads = {
        entry.name
        for ours, entry in names.entries.items()
        if isinstance(entry, Plain) and ours.startswith("classification.")
    }
    return {name: tensor for name, tensor in theirs.items() if name not in heads}


def _check(
    reading: Reading, model: Transformer, folder: Path, *, may_start_head: bool
) -> tuple[str, ...]:
    """Refuse anything but a whole body, naming all faults; give the names of a fresh head."""
    shapes = {name: tuple(p.shape) for name, p in model.named_parameters()}
    fresh = tuple(n for n in reading.missing if may_start_head and n.startswith(HEAD_PREFIXES))
    faults = [f"{name} is missing" for name in reading.missing if name not in fresh]
    faults += [f"{name} is not a weight of this model" for name in reading.unknown]
    for name, tensor in reading.weights.items():
        if tuple(tensor.shape) != shapes[name]:
            faults.append(f"{name} has shape {tuple(tensor.shape)} instead of {shapes[name]}")
        elif not tensor.is_floating_point():
            faults.append(f"{name} holds {tensor.dtype}, not floating-point numbers")
        elif not bool(tensor.isfinite().all()):
            faults.append(f"{name} holds values that are not finite numbers")
    if faults:
        more = f"; and {len(faults) - 12} more" if len(faults) > 12 else ""
        raise CheckpointError(
            f"{folder}: {'; '.join(faults[:12])}{more}. The weights and config.json do not "
            f"belong together, or the file is damaged: fetch or save the model again"
        )
    return fresh


def _filled(
    model: Transformer, weights: Mapping[str, Tensor], fresh: tuple[str, ...], seed: int
) -> Transformer:
    _give_memory(model)
    if fresh:
        initialize(model, std=model.config.initial_std, seed=seed)
    parameters = dict(model.named_parameters())
    seen_pointers: set[int] = set()
    for name, tensor in weights.items():
        # The tensor itself, as a copy would need twice the memory while a model is loaded.
        weight = tensor.clone() if tensor.data_ptr() in seen_pointers else tensor
        parameters[name].data = weight.float().contiguous()
        seen_pointers.add(tensor.data_ptr())
    return model


def _give_memory(model: Transformer) -> None:
    """Bring parameters from the meta device to the CPU; one that is tied stays one.

    `Module.to_empty` would part tied parameters, and leave one of them unset.
    """
    before = dict(model.named_parameters(remove_duplicate=False))
    made = {
        # Not `empty_like`, for which torch would import sympy: half a second.
        id(parameter): nn.Parameter(torch.empty(parameter.shape, dtype=parameter.dtype))
        for parameter in before.values()
    }
    for name, parameter in before.items():
        module, _, last = name.rpartition(".")
        setattr(model.get_submodule(module), last, made[id(parameter)])


def _load_int8(config: ModelConfig, theirs: Mapping[str, Tensor], folder: Path) -> Transformer:
    with torch.device("meta"):
        model = Transformer(config)
        theirs = dict(theirs)
        for copy, source in tied_modules(model).items():
            for part in ("weight", "scale"):
                if f"{source}.{part}" in theirs:
                    theirs.setdefault(f"{copy}.{part}", theirs[f"{source}.{part}"])
        quantized = {name.rpartition(".")[0] for name in theirs if name.endswith(".scale")}
        prepare_int8(model, quantized)
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    shapes = {name: tuple(tensor.shape) for name, tensor in theirs.items()}
    if expected != shapes:
        wrong = sorted(set(expected.items()) ^ set(shapes.items()))[:6]
        raise CheckpointError(
            f"{folder}: the int8 weights do not fit config.json, for instance "
            f"{', '.join(name for name, _ in wrong)}; quantize the model again"
        )
    model.load_state_dict(theirs, assign=True)
    return model


def save_pretrained(
    pretrained: Pretrained,
    folder: Path,
    *,
    overwrite: bool = False,
    dtype: torch.dtype | None = None,
) -> None:
    """Save a checkpoint folder that other tools can open too, whole or not at all.

    A configuration that its family cannot express, and int8 weights, are saved in the project's
    own form, which says so in `config.json`.

    Raises:
        FileError: If the folder exists and is not empty, or cannot be written.
    """
    with whole_folder(folder, overwrite=overwrite) as temporary:
        write_model_files(pretrained, temporary, dtype=dtype)


def write_model_files(
    pretrained: Pretrained, folder: Path, *, dtype: torch.dtype | None = None
) -> None:
    """Write the files of a checkpoint into a folder that is there."""
    model, config = pretrained.model, pretrained.config
    quantized = is_quantized(model)
    if has_released(model):
        raise ConfigError(
            "an int8 model that is in use has given up the weights that a file would hold; "
            "load it again with load_pretrained, and save that"
        )
    model_type = own.TYPE if quantized else _published_type(pretrained)
    values = written_config(model_type, config)
    if model_type == pretrained.model_type and model_type != own.TYPE:
        values = {**_foreign(pretrained.values), **values, "model_type": model_type}
    if config.head == "classification":
        labels = pretrained.card.labels or tuple(f"class {i}" for i in range(config.num_classes))
        values["id2label"] = {str(i): name for i, name in enumerate(labels)}
        values["label2id"] = {name: i for i, name in enumerate(labels)}
        if pretrained.card.is_multi_label:
            values["problem_type"] = "multi_label_classification"
    if quantized:
        values["quantization"] = "int8"
        tensors: Mapping[str, Tensor] = _once(model.state_dict())
    else:
        parameters = dict(model.named_parameters())
        names = _names_of(FAMILIES[model_type], config)
        tensors = write_weights(names, parameters)
        if dtype is not None:
            tensors = {name: tensor.to(dtype) for name, tensor in tensors.items()}
    write_json(folder / CONFIG, values)
    if pretrained.generation:
        write_json(folder / GENERATION_FILE, pretrained.generation)
    write_tensors(folder / WEIGHTS_FILE, tensors, {"format": "pt"})
    save_tokenizer(pretrained.tokenizer, folder, max_length=config.max_positions)
    probe = pretrained.card.probe or probe_of(pretrained.tokenizer)
    write_card(replace(pretrained.card, probe=probe), folder)


def _published_type(pretrained: Pretrained) -> str:
    """Name the family that a model is saved as: its own, else any that expresses it, else none."""
    names = [pretrained.model_type, *FAMILIES]
    fit = (name for name in names if name != own.TYPE and expresses(name, pretrained.config))
    return next(fit, own.TYPE)


def _once(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Leave out tensors that are another one under a second name."""
    first: dict[int, str] = {}
    for name, tensor in tensors.items():
        first.setdefault(tensor.data_ptr() or id(tensor), name)
    return {name: tensors[name] for name in first.values()}


def _foreign(values: Mapping[str, Any]) -> dict[str, Any]:
    """Keep keys of a read config.json that still hold, not those that saving writes anew."""
    stale = {"id2label", "label2id", "num_labels", "problem_type", "_name_or_path", "architectures"}
    stale |= {"torch_dtype", "dtype", "gradient_checkpointing", "transformers_version"}
    return {key: value for key, value in values.items() if key not in stale}
