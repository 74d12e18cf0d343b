"""A tap hands on what it is given, to whoever watches too."""

import torch
from torch import Tensor

from zhixing.layers.recorder import Tap


def test_a_tap_hands_on_the_tensor_itself() -> None:
    x = torch.ones(2, 3)
    assert Tap()(x) is x


def test_a_hook_on_a_tap_sees_what_passes() -> None:
    tap = Tap()
    seen: list[Tensor] = []
    handle = tap.register_forward_hook(lambda _module, _inputs, result: seen.append(result))
    x = torch.ones(2, 3)
    assert tap(x) is x
    assert seen[0] is x
    handle.remove()
    tap(x)
    assert len(seen) == 1


def test_a_tap_holds_no_weights() -> None:
    assert list(Tap().state_dict()) == []
