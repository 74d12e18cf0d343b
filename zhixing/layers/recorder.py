"""Taps: named points at which tensors are read while a model computes, leaving nothing behind."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import get_ident

from torch import Tensor, nn

from zhixing.errors import ConfigError


class Tap(nn.Identity):
    """Hand on the input unchanged; an observer hangs a forward hook on it.

    A tap costs one call while nobody watches. Code that would have to leave a faster path in order
    to have something to show asks first whether a hook is there.
    """


@contextmanager
def recording(model: nn.Module, ending: str) -> Iterator[dict[str, list[Tensor]]]:
    """Keep what passes in this thread through every tap whose name ends so.

    Attention leaves its fused kernels only while its weights are watched, and only here; what other
    threads compute with the model meanwhile is the same within rounding, and is not kept.

    An ending is for instance "attention.weights".

    Yields:
        By tap name, the tensors in the order in which they passed.

    Raises:
        ConfigError: If no tap has such a name.
    """
    taps = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, Tap) and name.endswith(ending)
    }
    if not taps:
        named = sorted(
            {n.rpartition(".")[2] for n, m in model.named_modules() if isinstance(m, Tap)}
        )
        raise ConfigError(f"no tap is named {ending!r}; there are {', '.join(named)}")
    recorded: dict[str, list[Tensor]] = {name: [] for name in taps}

    thread = get_ident()

    def keep(name: str) -> object:
        def look(_module: nn.Module, _args: object, result: Tensor) -> None:
            if get_ident() == thread:
                recorded[name].append(result.detach().cpu())

        return taps[name].register_forward_hook(look)

    handles = [keep(name) for name in taps]
    try:
        yield recorded
    finally:
        for handle in handles:
            handle.remove()  # type: ignore[attr-defined]
