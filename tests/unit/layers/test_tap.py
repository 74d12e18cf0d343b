"""A tap hands on what it is given, and knows whether somebody watches."""

import torch
from torch import Tensor

from zhixing.layers.tap import Tap


def test_a_tap_hands_on_the_tensor_itself() -> None:
    x = torch.ones(2, 3)
    assert Tap()(x) is x


def test_a_tap_is_watched_while_a_hook_hangs_on_it() -> None:
    tap, other = Tap(), Tap()
    seen: list[Tensor] = []
    handle = tap.register_forward_hook(lambda _module, _inputs, result: seen.append(result))
    assert tap.is_watched
    assert not other.is_watched
    x = torch.ones(2, 3)
    assert tap(x) is x
    assert seen[0] is x
    handle.remove()
    assert not tap.is_watched


def test_a_tap_holds_no_weights() -> None:
    assert list(Tap().state_dict()) == []
