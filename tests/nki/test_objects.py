"""Classes of kernels: the semantics of the NKI front end (nki-language-guide.rst, "Class Support")."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass, field
from enum import Enum
from typing import Any, NamedTuple

import numpy as np
import pytest

from opentrn import nki
from opentrn.nki import isa as nisa
from opentrn.nki import language as nl

X = np.arange(12, dtype=np.float32).reshape(3, 4)


@dataclass
class Decorated(nl.NKIObject):
    x: int
    y: bool = False
    z: list[int] = field(default_factory=list)


class Plain(nl.NKIObject):
    x: int
    y: int = 3


@dataclass(frozen=True)
class Frozen(nl.NKIObject):
    x: int
    y: int = 2


@dataclass
class Unannotated(nl.NKIObject):
    section = None
    last: int = 1


class Own(nl.NKIObject):
    x: int = 1

    def __init__(self, x: int) -> None:
        self.x = x + 1


class After(nl.NKIObject):
    n: int
    twice: int

    def __post_init__(self) -> None:
        self.twice = 2 * self.n


class Child(Plain):
    w: int = 9


def test_a_field_without_value_is_none() -> None:
    assert (Decorated().x, Decorated().y, Decorated(5).x) == (None, False, 5)
    assert (Plain().x, Plain().y) == (None, 3)
    assert (Frozen().x, Frozen().y) == (None, 2)


def test_fields_by_position_and_keyword() -> None:
    assert vars(Plain(4, y=5)) == {"x": 4, "y": 5}
    assert vars(Decorated(1, y=True)) == {"x": 1, "y": True, "z": []}
    with pytest.raises(TypeError, match="at most 2 positional"):
        Plain(1, 2, 3)


def test_default_factories_are_not_shared() -> None:
    first, second = Decorated(), Decorated()
    first.z.append(1)
    assert second.z == []


def test_fields_without_annotation() -> None:
    made = Unannotated(section=4, last=2)
    assert (made.section, made.last) == (4, 2)
    assert Unannotated().section is None


def test_a_wrong_field_of_a_dataclass_is_refused() -> None:
    with pytest.raises(TypeError, match="wrong"):
        Decorated(wrong=1)


def test_own_constructors_are_kept() -> None:
    assert Own(4).x == 5


def test_post_init_runs() -> None:
    assert After(n=4).twice == 8


def test_inherited_fields_come_first() -> None:
    assert vars(Child(1, 2)) == {"x": 1, "y": 2, "w": 9}


def test_frozen_objects_stay_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        Frozen(1).x = 2  # type: ignore[misc]
    assert Frozen(1) == Frozen(1)
    assert hash(Frozen(1)) == hash(Frozen(1))


def test_equality_is_structural() -> None:
    assert Plain(1) == Plain(1)
    assert Plain(1) != Plain(2)
    assert Plain(1) != Own(0)
    assert len({Plain(1), Plain(1)}) == 2


def test_the_root_takes_any_keyword() -> None:
    assert vars(nl.NKIObject(a=1, b=2)) == {"a": 1, "b": 2}


def test_who_is_one() -> None:
    def kernel(x: Any) -> Any:
        assert isinstance(x, nl.NKIObject)
        assert isinstance(nisa.register_alloc(1), nl.NKIObject)
        assert not isinstance(x, Plain)
        return x

    kernel_input = X.copy()
    nki.simulate(lambda x: (kernel(x), nl.store(x, nl.load(x)))[0])(kernel_input)
    assert isinstance(Plain(), nl.NKIObject)
    assert not isinstance(3, nl.NKIObject)


# ------------------------------------------------------------- as arguments
class Colour(Enum):
    red = 1


class Pair(NamedTuple):
    first: Any
    second: Any


def doubled(tensor: Any, out: Any) -> None:
    nl.store(out, nl.multiply(nl.load(tensor), 2.0))


@pytest.mark.parametrize("wrap", [
    lambda x: Decorated(x), lambda x: Plain(x=x), lambda x: Frozen(x), lambda x: Unannotated(section=x),
    lambda x: Plain(x=Plain(x=x)), lambda x: Plain(x=[x, {"k": (x,)}]), lambda x: [x], lambda x: {"k": (x, 3)},
    lambda x: Pair(x, Colour.red),
])  # fmt: skip
def test_arrays_inside_arguments_arrive_as_tensors(wrap: Any) -> None:
    def inner(value: Any) -> Any:
        while not isinstance(value, nl.ndarray):
            if isinstance(value, dict):
                value = value["k"]
            elif isinstance(value, (list, tuple)):
                value = value[0]
            else:
                value = value.section if isinstance(value, Unannotated) else value.x
        return value

    def kernel(config: Any) -> Any:
        assert type(config) is type(wrap(0))
        tensor = inner(config)
        out = nl.ndarray(tensor.shape, tensor.dtype, nl.shared_hbm)
        doubled(tensor, out)
        return out

    given = wrap(X)
    np.testing.assert_array_equal(nki.simulate(kernel)(given), 2 * X)
    assert inner_is_untouched(given)


def inner_is_untouched(value: Any) -> bool:
    """The caller's object still holds its array, not a tensor of the kernel."""
    values = (
        value
        if isinstance(value, (list, tuple))
        else value.values()
        if isinstance(value, dict)
        else vars(value).values()
    )
    return not any(isinstance(v, nl.NkiTensor) for v in values)


def test_other_arguments_pass_as_they_are() -> None:
    config = Plain(1, y=2)

    def kernel(x: Any, *rest: Any) -> Any:
        assert rest[0] is config
        assert rest[1:] == (None, 3, 2.5, True, "text", Colour.red, nl.psum, "bfloat16", "float32")
        nl.store(x, nl.load(x))

    nki.simulate(kernel)(X.copy(), config, None, 3, 2.5, True, "text", Colour.red, nl.psum, nl.bfloat16, np.float32)


def test_numpy_numbers_become_python_numbers() -> None:
    def kernel(x: Any, n: Any) -> Any:
        assert type(n) is int
        nl.store(x, nl.load(x))

    nki.simulate(kernel)(X.copy(), np.int64(3))
