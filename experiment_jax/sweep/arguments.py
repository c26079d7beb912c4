"""Numbers of a config that are arguments of a compiled program in place of constants.

Members of a sweep that differ in such a number share one program: inside it each stage is built from a config that
holds an `Argument` where the number stands. Stages need not know.
"""

import functools
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from experiment_jax.errors import UserError


@jax.tree_util.register_pytree_node_class
class Argument:
    """A number in one program for several members: arithmetic gives traced values; comparisons with numbers, which
    decide how the program is built, are answered where all members agree.

    Attributes:
        traced: the number of the member that the program computes.
        key: the setting, dotted.
        values: the numbers of all members.
    """

    def __init__(self, traced: jax.Array, key: str, values: Sequence[float]) -> None:
        self.traced, self.key, self.values = traced, key, tuple(values)

    def tree_flatten(self) -> tuple[Any, Any]:
        return (self.traced,), (self.key, self.values)

    @classmethod
    def tree_unflatten(cls, constant: Any, children: Any) -> "Argument":
        return cls(*children, *constant)

    def __jax_array__(self) -> jax.Array:
        return jnp.asarray(self.traced)

    @property
    def dtype(self) -> np.dtype:
        return self.__jax_array__().dtype

    @property
    def shape(self) -> tuple[int, ...]:
        return self.__jax_array__().shape

    def agree(self, answers: Iterable[Any]) -> bool:
        """The one answer of all members, given each member's.

        Raises:
            UserError: they differ.
        """
        answers = set(map(bool, answers))
        if len(answers) > 1:
            numbers = ", ".join(map(str, self.values))
            raise UserError(
                f"--sweep_together: {self.key} ({numbers}) decides how the program is built; leave --sweep_together out"
            )
        return answers.pop()

    def __bool__(self) -> bool:
        return self.agree(self.values)

    def __neg__(self) -> jax.Array:
        return -self.__jax_array__()

    __hash__ = None


def _comparison(compare: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def method(self: Argument, other: Any) -> Any:
        if isinstance(other, jax.Array):
            return compare(self.__jax_array__(), other)
        others = other.values if isinstance(other, Argument) else [other] * len(self.values)
        return self.agree(map(compare, self.values, others))

    return method


def _arithmetic(compute: Callable[[Any, Any], Any], *, reflected: bool) -> Callable[..., jax.Array]:
    def method(self: Argument, other: Any) -> jax.Array:
        own = self.__jax_array__()
        return compute(other, own) if reflected else compute(own, other)

    return method


for _name in ("lt", "le", "gt", "ge", "eq", "ne"):
    setattr(Argument, f"__{_name}__", _comparison(getattr(operator, _name)))
for _name in ("add", "sub", "mul", "truediv", "pow"):
    setattr(Argument, f"__{_name}__", _arithmetic(getattr(operator, _name), reflected=False))
    setattr(Argument, f"__r{_name}__", _arithmetic(getattr(operator, _name), reflected=True))


def insert(config: ConfigDict, arguments: Mapping[str, Argument]) -> ConfigDict:
    """A copy of `config` with an argument at each dotted key."""
    config = config.copy_and_resolve_references()
    with config.unlocked(), config.ignore_type():
        for key, argument in arguments.items():
            *path, name = key.split(".")
            functools.reduce(operator.getitem, path, config)[name] = argument
    return config
