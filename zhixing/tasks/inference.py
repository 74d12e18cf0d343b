"""Inference: devices, threads, and a model made ready for a precision."""

import torch

from zhixing.data.table import Table
from zhixing.errors import ConfigError, DataError
from zhixing.models.packing import pack_linears, twin_of, unpack_linears
from zhixing.models.quantization import is_quantized, quantize, release_weights
from zhixing.models.transformer import Transformer

MAX_THREADS = 4096


def use_threads(threads: int) -> None:
    """Compute with so many threads; 0 leaves what torch chose.

    Raises:
        ConfigError: If the number is negative, or more than any machine has.
    """
    if not 0 <= threads <= MAX_THREADS:
        raise ConfigError(
            f"threads is {threads}; give a number from 1 to {MAX_THREADS}, or 0 for what torch "
            f"chooses"
        )
    if threads:
        torch.set_num_threads(threads)


def usable_device(name: str) -> torch.device:
    """Give a device that is there.

    Raises:
        ConfigError: If it is unknown or absent.
    """
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"device is {name!r}; allowed are cpu, cuda, cuda:N and mps") from error
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there.get(device.type, False):
        usable = ", ".join(kind for kind, is_there in there.items() if is_there)
        raise ConfigError(f"device {name!r} is not on this machine; usable here: {usable}")
    return device


def inference_model(
    model: Transformer, device: torch.device, precision: str
) -> tuple[Transformer, str]:
    """Give a model fit for a precision, and the precision that its products still have to be told.

    The model that was given stays as it was; the two share their weights.
    """
    model = twin_of(model)
    unpack_linears(model)
    if precision == "int8" and not is_quantized(model):
        if device.type != "cpu":
            raise ConfigError(f"int8 runs on the CPU only, and the device is {device}; drop one")
        quantize(model)
    model = model.to(device)
    if device.type == "cpu":
        release_weights(model)
    is_packed = (
        device.type == "cpu"
        and precision in ("float32", "bfloat16")
        and pack_linears(model, getattr(torch, precision))
    )
    # Packed layers round by themselves, and the others shall not.
    return model, "float32" if is_packed else precision


def unlabelled_table(texts: list[str], pairs: list[str] | None) -> Table:
    """Make an unlabelled table of texts in memory."""
    if pairs is not None and len(pairs) != len(texts):
        raise DataError(f"there are {len(texts)} texts but {len(pairs)} pairs; give one a text")
    cells = {"text": texts} if pairs is None else {"text": texts, "pair": pairs}
    return Table(cells, list(range(1, len(texts) + 1)))


def checked_text(value: object, name: str) -> str:
    """Give a text that is one.

    Raises:
        DataError: If it is not a string, or holds half of a surrogate pair.
    """
    if not isinstance(value, str):
        raise DataError(f"{name} holds a {type(value).__name__}; every text has to be a string")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{name} holds {value[error.start]!r} at character {error.start}, half of a surrogate "
            f"pair, which no UTF-8 text has; decode the text with the encoding that it was in"
        ) from error
    return value
