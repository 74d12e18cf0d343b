"""Batched inference: devices, threads, precision, and batches of like length."""

import ctypes
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache, lru_cache, partial
from typing import Literal, TypeVar, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from zhixing.data.batch import Example
from zhixing.data.loader import by_length
from zhixing.errors import ConfigError
from zhixing.layers.kernels.packed_linear import KERNEL_ROWS, has_tiles
from zhixing.models.packing import pack_linears, twin_of, unpack_linears
from zhixing.models.quantization import is_quantized, quantize, release_weights
from zhixing.models.transformer import Transformer
from zhixing.tasks.task import Scorer

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


Result = TypeVar("Result")
Precision = Literal["auto", "float32", "bfloat16", "float16", "int8"]

# On a CPU a batch should stay in its caches; on an accelerator it should fill it.
CPU_TOKENS = 2048
ACCELERATOR_TOKENS = 65536

# Freed memory at the end of the heap that is not given back to the system, in bytes.
MOST_HELD, _MOST_OLD = 256 << 20, 32 << 20
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3


def resolved(precision: str, device: torch.device) -> str:
    """Give the precision that "auto" stands for: bfloat16 where it is fast, else float32.

    Raises:
        ConfigError: If the precision is unknown.
    """
    allowed = get_args(Precision)
    if precision not in allowed:
        raise ConfigError(f"precision is {precision!r}; allowed are {', '.join(allowed)}")
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    return "bfloat16" if device.type == "cpu" and has_tiles() else "float32"


@contextmanager
def mixed_precision(device: torch.device, precision: str) -> Iterator[None]:
    """Run matrix products in a narrower type; everything else stays as it is.

    On a CPU "bfloat16" rounds the factors inside each product and keeps all tensors in float32:
    that is more exact than casting the tensors, and faster by what the casts would cost. Layers
    that were packed in bfloat16 round already, and pay no attention to this.
    """
    if precision == "bfloat16" and device.type == "cpu":
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("medium")
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(before)
    else:
        with _autocast(device, precision):
            yield


def logits_of(
    model: Transformer,
    task: Scorer,
    examples: Sequence[Example],
    *,
    device: torch.device,
    precision: str = "float32",
    tokens_per_batch: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Float[Tensor, "B C"]:
    """Predict all examples.

    Args:
        model: On `device`.
        task: Knows how to lay examples out.
        examples: In any order; those of like length are computed together.
        device: Where to compute.
        precision: Of the matrix products.
        tokens_per_batch: Budget; 0 for what suits the device.
        progress: Is told the tokens of each batch that is done.

    Returns:
        Float32 logits on the CPU, in the order of the examples.
    """
    sizes = [example.num_tokens for example in examples]
    multiple = KERNEL_ROWS if device.type == "cpu" else 1

    def compute(rows: list[int]) -> Tensor:
        chosen = [examples[row] for row in rows]
        batch = task.collate(task.filled_up(chosen, multiple)).to(device)
        logits = task.logits(model, batch)[: len(rows)].float().cpu()
        if progress is not None:
            progress(sum(example.num_tokens for example in chosen))
        return logits

    parts = each_batch(compute, sizes, device=device, precision=precision, budget=tokens_per_batch)
    if not parts:
        return torch.zeros(0, model.config.num_classes)
    joined = torch.cat([logits for _, logits in parts])
    found = torch.empty_like(joined)
    found[torch.tensor([row for rows, _ in parts for row in rows])] = joined
    return found


def each_batch(
    compute: Callable[[list[int]], Result],
    sizes: Sequence[int],
    *,
    device: torch.device,
    precision: str,
    budget: int = 0,
    side_by_side: bool = True,
) -> list[tuple[list[int], Result]]:
    """Compute something of all examples, those of like size together, without gradients.

    Args:
        compute: Is given the numbers of a batch's examples; on a CPU, by several threads.
        sizes: Tokens of each example.
        device: Where to compute.
        precision: Of the matrix products.
        budget: Tokens a batch; 0 for what suits the device.
        side_by_side: Compute a batch a core; otherwise all cores share each.

    Returns:
        The examples of each batch and what was computed of them, the longest first.
    """
    suited = CPU_TOKENS if device.type == "cpu" else ACCELERATOR_TOKENS
    batches = by_length(sizes, budget or suited)

    def within(rows: list[int]) -> Result:
        # Both contexts belong to a thread, and this one may be new.
        with torch.inference_mode(), _autocast(device, precision):
            return compute(rows)

    if device.type == "cpu" and not side_by_side:
        hold_memory()
    with mixed_precision(device, precision):
        results = _computed(within, batches, device, side_by_side)
    return list(zip(batches, results, strict=True))


@cache
def hold_memory() -> None:
    """Let freed memory stay with this process, some of it, where its library (glibc) has a call.

    A step of a decoder asks for tens of megabytes and frees them; given to the system and asked for
    again each time, every page of them is zeroed anew, which took a twelfth of the time of a beam.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    # Older ones take no more than the second; either setting alone would make things worse.
    if mallopt and any(mallopt(_MMAP_THRESHOLD, size) for size in (MOST_HELD, _MOST_OLD)):
        mallopt(_TRIM_THRESHOLD, MOST_HELD)


def in_order(
    compute: Callable[[list[int]], Sequence[Result]],
    sizes: Sequence[int],
    *,
    device: torch.device,
    precision: str,
    budget: int = 0,
    side_by_side: bool = True,
) -> list[Result]:
    """Compute something of each example, those of like size together; see `each_batch`.

    Returns:
        What `compute` gave for each example, in their order.
    """
    found: dict[int, Result] = {}
    parts = each_batch(
        compute,
        sizes,
        device=device,
        precision=precision,
        budget=budget,
        side_by_side=side_by_side,
    )
    for rows, results in parts:
        found.update(zip(rows, results, strict=True))
    return [found[row] for row in range(len(sizes))]


def give_back_memory() -> None:
    """Hand memory that was freed back to the system, where its library (glibc) has a call for it.

    Tensors of ever new sizes leave gaps, and a process that runs for long would slowly grow.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


@lru_cache(maxsize=1)
def _pool(workers: int, share: int, process: int) -> ThreadPoolExecutor:
    """Give threads that last: new ones would each begin with memory and kernels of their own.

    Args:
        workers: How many.
        share: Threads that a product may use within each.
        process: Its number; a forked process does not inherit threads.
    """
    return ThreadPoolExecutor(workers, initializer=partial(torch.set_num_threads, share))


def _computed(
    compute: Callable[[list[int]], Result],
    batches: list[list[int]],
    device: torch.device,
    side_by_side: bool,
) -> list[Result]:
    """Compute batches, on a CPU one a core: cores that share a batch wait for one another."""
    threads = torch.get_num_threads()
    workers = min(threads, len(batches)) if device.type == "cpu" and side_by_side else 1
    if workers < 2:
        return [compute(rows) for rows in batches]
    try:
        return list(_pool(workers, max(threads // workers, 1), os.getpid()).map(compute, batches))
    finally:
        # What a thread sets is also what threads begun later start with.
        torch.set_num_threads(threads)


def _autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Give the part of `mixed_precision` that belongs to a thread."""
    if precision == "float16" or (precision == "bfloat16" and device.type != "cpu"):
        return torch.autocast(device.type, dtype=getattr(torch, precision))
    return nullcontext()
