"""Recording keeps what passes through the taps that are named, while it lasts, in one thread."""

from threading import Thread

import pytest
import torch
from torch import Tensor, nn

from zhixing.errors import ConfigError
from zhixing.layers.recorder import Tap, recording


class Layer(nn.Module):
    """Doubles, and lets both what it is given and its result be seen."""

    def __init__(self) -> None:
        super().__init__()
        self.given = Tap()
        self.result = Tap()

    def forward(self, x: Tensor) -> Tensor:
        doubled: Tensor = self.result(2 * self.given(x))
        return doubled


@pytest.fixture
def model() -> nn.Sequential:
    return nn.Sequential(Layer(), Layer())


def test_every_tap_of_the_name_gives_what_passed_in_order(model: nn.Sequential) -> None:
    with recording(model, "result") as found:
        model(torch.tensor([1.0]))
        model(torch.tensor([5.0]))
    assert {name: [float(x) for x in seen] for name, seen in found.items()} == {
        "0.result": [2.0, 10.0],
        "1.result": [4.0, 20.0],
    }


def test_a_longer_ending_names_fewer_taps(model: nn.Sequential) -> None:
    with recording(model, "1.given") as found:
        model(torch.tensor([1.0]))
    assert [(name, float(seen[0])) for name, seen in found.items()] == [("1.given", 2.0)]


def test_only_taps_are_watched(model: nn.Sequential) -> None:
    model.add_module("result", nn.Identity())
    with recording(model, "result") as found:
        model(torch.tensor([1.0]))
    assert list(found) == ["0.result", "1.result"]


def test_nothing_is_watched_afterwards(model: nn.Sequential) -> None:
    with recording(model, "result") as found:
        assert model[0].result._forward_hooks and not model[0].given._forward_hooks
    assert not model[0].result._forward_hooks
    model(torch.tensor([1.0]))
    assert all(seen == [] for seen in found.values())


def test_nothing_is_watched_after_an_error_either(model: nn.Sequential) -> None:
    with pytest.raises(ZeroDivisionError), recording(model, "result"):
        raise ZeroDivisionError
    assert not model[0].result._forward_hooks


def test_what_another_thread_computes_is_not_kept(model: nn.Sequential) -> None:
    with recording(model, "0.result") as found:
        other = Thread(target=model, args=(torch.tensor([7.0]),))
        other.start()
        other.join()
        model(torch.tensor([1.0]))
    assert [float(x) for x in found["0.result"]] == [2.0]


def test_two_recordings_at_once_see_the_same(model: nn.Sequential) -> None:
    with recording(model, "result") as outer:
        with recording(model, "0.result") as inner:
            model(torch.tensor([1.0]))
        model(torch.tensor([2.0]))
    assert [float(x) for x in inner["0.result"]] == [2.0]
    assert [float(x) for x in outer["0.result"]] == [2.0, 4.0]


def test_what_is_kept_holds_no_graph(model: nn.Sequential) -> None:
    x = torch.tensor([1.0], requires_grad=True)
    with recording(model, "result") as found:
        result = model(x)
    assert result.requires_grad
    assert not any(seen[0].requires_grad for seen in found.values())
    result.backward()
    assert float(x.grad) == 4.0


def test_a_name_that_no_tap_has_is_refused_with_those_there_are(model: nn.Sequential) -> None:
    message = "no tap is named 'weights'; there are given, result"
    with pytest.raises(ConfigError, match=message), recording(model, "weights"):
        pass
