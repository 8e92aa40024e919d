"""A stand-in of `tensorrt.plugin` for its documented use: symbolic sizes that can be evaluated, and decorators that check signatures as it does."""

import inspect
import types
import typing


class Symbol:
    """A size that is not known yet; takes a number or another symbol on its right, like TensorRT's ShapeExpr."""

    def __init__(self, evaluate):
        self.evaluate = evaluate

    def _with(self, other, operation):
        assert isinstance(other, int | Symbol), other
        return Symbol(lambda sizes: operation(self.evaluate(sizes), value_of(other, sizes)))

    def __add__(self, other):
        return self._with(other, lambda a, b: a + b)

    def __sub__(self, other):
        return self._with(other, lambda a, b: a - b)

    def __mul__(self, other):
        return self._with(other, lambda a, b: a * b)

    def __bool__(self):
        raise TypeError("a symbol has no truth value")

    __index__ = __int__ = __bool__


def value_of(value, sizes):
    return value.evaluate(sizes) if isinstance(value, Symbol) else value


def size(name):
    return Symbol(lambda sizes: sizes[name])


class TensorDesc:
    def __init__(self, shape_expr, dtype):
        self.shape_expr, self.dtype = list(shape_expr), dtype


class KernelLaunchParams:
    NAMES = ("grid_x", "grid_y", "grid_z", "block_x", "block_y", "block_z", "shared_mem")

    def __setattr__(self, name, value):
        assert name in self.NAMES
        assert isinstance(value, int | Symbol)
        self.__dict__[name] = value


class SymExprs(list):
    def __init__(self, length):
        super().__init__([None] * length)


class SymIntExprs(SymExprs):
    pass


def make_module():
    """Return a new, empty module."""
    module = types.SimpleNamespace(op=types.SimpleNamespace(), registered={}, implemented={})

    def register(plugin_id):
        def decorate(function):
            signature = inspect.signature(function)
            namespace, name = plugin_id.split("::")
            assert not hasattr(module.op, namespace)
            assert all(issubclass(parameter.annotation, TensorDesc) for parameter in signature.parameters.values())
            assert typing.get_origin(signature.return_annotation) is tuple
            assert all(issubclass(part, TensorDesc) for part in typing.get_args(signature.return_annotation))
            setattr(module.op, namespace, types.SimpleNamespace(**{name: function}))
            module.registered[plugin_id] = function
            return function

        return decorate

    def aot_impl(plugin_id):
        def decorate(function):
            signature = inspect.signature(function)
            inputs = list(inspect.signature(module.registered[plugin_id]).parameters)
            assert list(signature.parameters) == [*inputs, "outputs", "tactic"]
            kernel, compiled, launch, scalars = typing.get_args(signature.return_annotation)
            assert (kernel, compiled, launch) == (str, str, KernelLaunchParams)
            assert issubclass(scalars, SymExprs)
            module.implemented[plugin_id] = function
            return function

        return decorate

    def divide_up(a, b):
        return a._with(b, lambda a, b: -(-a // b))

    module.register, module.aot_impl = register, aot_impl
    module.TensorDesc, module.KernelLaunchParams, module.SymExprs, module.SymIntExprs = TensorDesc, KernelLaunchParams, SymExprs, SymIntExprs
    module.SymInt32 = lambda value: value
    module.from_shape_expr = TensorDesc
    module.cdiv = divide_up
    module.min = lambda a, b: a._with(b, min)
    module.max = lambda a, b: a._with(b, max)
    return module
