"""Sixteen float32 in the processor's registers, as a type of numba's.

Belongs here: what numba cannot say by itself, that a sum stays in registers over a whole loop. LLVM makes one AVX-512,
two AVX or four NEON instructions of each operation. `load` and `store` take a C-contiguous array and a flat index, and
do not check that it is in range.
"""

import operator
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.core.datamodel import models
from numba.extending import intrinsic, overload, register_model
from numba.np.arrayobj import make_array

VECTOR = ir.VectorType(ir.FloatType(), 16)


class Lanes(types.Type):
    """The type of sixteen float32."""


lanes = Lanes(name="lanes")


@register_model(Lanes)
class _Model(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any):
        super().__init__(manager, kind, VECTOR)  # type: ignore[no-untyped-call]


def _place(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    data = make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), VECTOR.as_pointer())


def _load(_typing: Any, array: Any, index: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(_place(context, builder, signature.args[0], *args), align=4)

    return lanes(array, types.intp), code


def _store(_typing: Any, array: Any, index: Any, values: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array, index, values = args
        builder.store(values, _place(context, builder, signature.args[0], array, index), align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, lanes), code


def _plus(_typing: Any, one: Any, other: Any) -> Any:
    def code(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.fadd(*args)

    return lanes(lanes, lanes), code


load: Any = intrinsic(_load)
store: Any = intrinsic(_store)
plus: Any = intrinsic(_plus)


@overload(operator.iadd)
@overload(operator.add)
def _add(one: Any, other: Any) -> Any:
    def code(one: Any, other: Any) -> Any:
        return plus(one, other)

    return code if one is lanes and other is lanes else None
