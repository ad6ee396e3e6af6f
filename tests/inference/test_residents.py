"""Loaded models stay within a measured budget, and the least recently used one leaves first."""

import gc
import weakref

import numpy as np
import pytest

from inference.residents import MB, Residents, memory_in_use


class Loaded:
    def __init__(self, size: int) -> None:
        self.size = size


class Meter:
    """Memory in use as the sum of what is alive, which is what a GPU's allocator says."""

    def __init__(self) -> None:
        self.alive: weakref.WeakSet[Loaded] = weakref.WeakSet()

    def __call__(self, _device: str) -> int:
        return sum(one.size for one in self.alive)

    def load(self, size: int) -> Loaded:
        made = Loaded(size)
        self.alive.add(made)
        return made


@pytest.fixture
def meter() -> Meter:
    return Meter()


@pytest.fixture
def kept(meter: Meter) -> Residents:
    return Residents(100, "cpu", measure=meter)


def test_a_model_is_loaded_once(kept, meter):
    loads = []
    for _ in range(3):
        kept.get("a", lambda: loads.append(1) or meter.load(30))
    assert len(loads) == 1
    assert kept.total == 30


def test_the_least_recently_used_leaves_when_the_budget_is_full(kept, meter):
    for name in ("a", "b", "c"):
        kept.get(name, lambda: meter.load(30))
    kept.get("a", lambda: meter.load(30))
    kept.get("d", lambda: meter.load(35))
    assert kept.keys == ["c", "a", "d"]
    gc.collect()
    assert meter("cpu") == 95


def test_what_was_measured_once_makes_room_before_it_is_loaded_again(kept, meter):
    kept.get("large", lambda: meter.load(80))
    kept.get("small", lambda: meter.load(30))
    assert kept.keys == ["small"]
    seen = []
    kept.get("large", lambda: seen.append(list(kept.keys)) or meter.load(80))
    assert seen == [[]]


def test_one_that_is_larger_than_the_budget_is_loaded_alone(kept, meter):
    kept.get("a", lambda: meter.load(30))
    assert kept.get("huge", lambda: meter.load(500)).size == 500
    assert kept.keys == ["huge"]


def test_a_model_that_cannot_be_loaded_leaves_the_others(kept, meter):
    kept.get("a", lambda: meter.load(30))
    with pytest.raises(OSError, match="gone"):
        kept.get("b", lambda: (_ for _ in ()).throw(OSError("gone")))
    assert kept.keys == ["a"]


def test_memory_of_this_process_is_measured():
    before = memory_in_use("cpu")
    held = np.ones(64 * MB, np.uint8)
    assert memory_in_use("cpu") - before > 48 * MB
    assert held.nbytes == 64 * MB
