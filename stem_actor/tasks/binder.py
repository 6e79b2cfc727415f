"""
Binder: from the arguments of a call to the map that crosses the wire, and back.

``inspect.Signature.bind`` takes 4 µs; the hot path has five for a whole enqueue. So
each handler gets a function of its own, with the handler's signature, written as
source once: the interpreter itself then binds, and words the errors.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import Parameter
from typing import Any, Final, cast

from stem_actor.errors import PayloadError, SettingsError
from stem_actor.payload.lowering import check_annotation, is_record, lower, raise_
from stem_actor.tasks.annotation import accepted_types, is_context, is_wire, resolve
from stem_actor.tasks.task_version import TaskVersion

__all__ = ["Binder", "build_binder"]

_RESERVED: Final = "_stem_"
_MISSING: Final = object()


@dataclass(frozen=True, slots=True)
class Binder:
    """
    How one handler is called.

    Attributes:
        name: The task's name.
        bind: Takes the arguments of a call, without the context, and returns them
            as a string-keyed map: richer types lowered, defaults left out. Raises
            TypeError as the handler itself would, and PayloadError for a part that
            has no wire form.
        takes_context: Whether the handler's first parameter is the context.
        annotations: The annotation of each parameter that is to be raised.
        record: The single record parameter whose own map is the whole map.
        returns: Annotation to raise the result with; None: it is plain.
        version: The version that its argument maps are marked with; None: none.
    """

    name: str
    bind: Callable[..., dict[str, object]]
    takes_context: bool
    annotations: Mapping[str, Any]
    record: str | None
    returns: Any
    version: TaskVersion | None = None

    @property
    def is_plain(self) -> bool:
        """Whether a bound map is the handler's keyword arguments as it is."""
        return self.record is None and not self.annotations and self.version is None

    @property
    def decode_result(self) -> Callable[[Any], Any] | None:
        """Returns the value of a stored result; None: results are plain."""
        return self.raiser()

    def raiser(self) -> Callable[[Any], Any] | None:
        """Return what raises a stored result by ``returns``; None: it is plain."""
        if self.returns is None:
            return None
        return lambda stored: raise_(stored, self.returns, path="result")

    @property
    def encodes_result(self) -> bool:
        """Whether a result has to be encoded before it is packed."""
        return self.returns is not None

    def encode_result(self, value: object) -> object:
        """
        Return *value*, what the handler returned, as it is stored.

        Raises:
            PayloadError: If a part of it has no wire form.
        """
        return value if self.returns is None else lower(value, path="result")

    def checked(self, args: Mapping[str, object]) -> dict[str, object]:
        """
        Return *args* as a call of ``bind`` with them would have returned them.

        They may be objects or already lowered: a prepared call holds the wire form.

        Raises:
            TypeError: If they are not those of the handler.
            PayloadError: If one does not fit its annotation, or has no wire form.
        """
        if not self.annotations and self.record is None and self.version is None:
            return self.bind(**args)
        plain = cast("Mapping[str, object]", lower(dict(args), path="args"))
        return self.bind(**self.raise_args(self.current(plain)))

    def current(self, args: Mapping[str, object]) -> Mapping[str, object]:
        """
        Return *args*, a bound map, as one of the task's own version.

        Raises:
            PayloadVersionError: If no upgrades lead there from its version.
        """
        return args if self.version is None else self.version.upgraded(args)

    def raise_args(self, args: Mapping[str, object]) -> Mapping[str, object]:
        """
        Return the keyword arguments for the handler that *args*, a bound map, means.

        Raises:
            PayloadError: If an argument does not fit its annotation.
        """
        if self.record is not None:
            annotation = self.annotations[self.record]
            return {self.record: raise_(args, annotation, path="args")}
        if not self.annotations:
            return args
        raised = dict(args)
        for name, annotation in self.annotations.items():
            if name in raised:
                raised[name] = raise_(raised[name], annotation, path=f"args.{name}")
        return raised


def build_binder(
    function: Callable[..., object],
    *,
    name: str,
    context: bool | None = None,
    version: TaskVersion | None = None,
) -> Binder:
    """
    Return the binder of *function*.

    Args:
        function: The handler.
        name: The task's name; it stands in errors.
        context: Whether the first parameter is the context; None: if its annotation
            says so.
        version: The version that argument maps are marked with; None: none.

    Raises:
        SettingsError: If no enqueue could ever be run with this signature; names
            each problem with the handler's file and line.
    """
    signature = inspect.signature(function)
    parameters = [
        parameter.replace(annotation=resolve(parameter.annotation, function))
        for parameter in signature.parameters.values()
    ]
    if context is None:
        context = bool(parameters) and is_context(parameters[0].annotation)
    problems = [] if parameters or not context else ["there is no parameter for it"]
    if context:
        parameters = parameters[1:]
    for parameter in parameters:
        problems += _problems(parameter)
    returns = resolve(signature.return_annotation, function)
    returns = None if isinstance(returns, str) or is_wire(returns) else returns
    if returns is not None:
        problems += _annotation_problem(returns, "the result")
    record = _record_of(parameters)
    if problems:
        place = _place_of(function)
        raise SettingsError(f"{place}: task {name}: {line}" for line in problems)
    rich = {p.name: p.annotation for p in parameters if _is_rich(p)}
    bind = _compile(name, parameters, frozenset(rich), record)
    if version is not None:
        bind = version.marking(bind)
    return Binder(name, bind, context, rich, record, returns, version)


def _problems(parameter: Parameter) -> list[str]:
    name = parameter.name
    if parameter.kind is Parameter.VAR_POSITIONAL:
        return [f"*{name} has no names to send its values under; take a list"]
    if parameter.kind is Parameter.POSITIONAL_ONLY:
        return [f"{name!r} is positional-only, but arguments travel by name; drop '/'"]
    if name.startswith(_RESERVED):
        return [f"{name!r}: names that start with {_RESERVED!r} are reserved"]
    if is_context(parameter.annotation):
        return [f"the context {name!r} must be the first parameter"]
    if not _is_rich(parameter):
        return []
    return _annotation_problem(parameter.annotation, repr(name))


def _annotation_problem(annotation: Any, path: str) -> list[str]:
    try:
        check_annotation(annotation, path=path)
    except PayloadError as error:
        return [str(error)]
    return []


def _is_rich(parameter: Parameter) -> bool:
    if parameter.kind is Parameter.VAR_KEYWORD or isinstance(parameter.annotation, str):
        return False
    return not is_wire(parameter.annotation)


def _record_of(parameters: list[Parameter]) -> str | None:
    """Return the name of the one parameter, if it is a required record."""
    if len(parameters) != 1 or not is_record(parameters[0].annotation):
        return None
    is_required = parameters[0].default is Parameter.empty
    is_named = parameters[0].kind is not Parameter.VAR_KEYWORD
    return parameters[0].name if is_required and is_named else None


def _place_of(function: Callable[..., object]) -> str:
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is None:
        return repr(function)
    return f"{code.co_filename}:{code.co_firstlineno}"


def _compile(
    name: str,
    parameters: list[Parameter],
    rich: frozenset[str],
    record: str | None,
) -> Callable[..., dict[str, object]]:
    """Return the function that binds; only names of parameters enter its source."""
    scope: dict[str, Any] = {
        "_stem_missing": _MISSING,
        "_stem_is": isinstance,
        "_stem_lower": lower,
        "_stem_wrong": _wrong_type(name),
    }
    for parameter in parameters:
        if parameter.kind is not Parameter.VAR_KEYWORD:
            types = accepted_types(parameter.annotation)
            if types is not None and parameter.annotation is not Parameter.empty:
                scope[f"_stem_types_{parameter.name}"] = types
    lines = [f"def _stem_bind({_head(parameters)}):"]
    lines += [f"    {line}" for line in _body(parameters, rich, record, scope)]
    exec(compile("\n".join(lines), f"<binder of {name}>", "exec"), scope)  # noqa: S102
    bind: Callable[..., dict[str, object]] = scope["_stem_bind"]
    bind.__name__ = bind.__qualname__ = name  # what TypeErrors of a call begin with
    return bind


def _head(parameters: list[Parameter]) -> str:
    """Return the parameter list as source, each default replaced by the sentinel."""
    parts: list[str] = []
    for parameter in parameters:
        if parameter.kind is Parameter.VAR_KEYWORD:
            parts.append(f"**{parameter.name}")
            continue
        if parameter.kind is Parameter.KEYWORD_ONLY and "*" not in parts:
            parts.append("*")
        is_required = parameter.default is Parameter.empty
        parts.append(parameter.name + ("" if is_required else "=_stem_missing"))
    return ", ".join(parts)


def _body(
    parameters: list[Parameter],
    rich: frozenset[str],
    record: str | None,
    scope: Mapping[str, object],
) -> list[str]:
    def check(name: str, indent: str = "") -> list[str]:
        if f"_stem_types_{name}" not in scope:
            return []
        return [
            f"{indent}if not _stem_is({name}, _stem_types_{name}):",
            f"{indent}    raise _stem_wrong('{name}', {name}, _stem_types_{name})",
        ]

    def lowered(name: str) -> str:
        return f"_stem_lower({name}, path='args.{name}')" if name in rich else name

    if record is not None:
        return [*check(record), f"return _stem_lower({record}, path='args')"]
    named = [p for p in parameters if p.kind is not Parameter.VAR_KEYWORD]
    required = [p.name for p in named if p.default is Parameter.empty]
    lines = [line for name in required for line in check(name)]
    pairs = ", ".join(f"'{name}': {lowered(name)}" for name in required)
    lines.append(f"_stem_args = {{{pairs}}}")
    for parameter in named:
        if parameter.name not in required:
            lines.append(f"if {parameter.name} is not _stem_missing:")
            lines += check(parameter.name, "    ")
            value = lowered(parameter.name)
            lines.append(f"    _stem_args['{parameter.name}'] = {value}")
    lines += [f"_stem_args.update({p.name})" for p in parameters if p not in named]
    return [*lines, "return _stem_args"]


def _wrong_type(
    task: str,
) -> Callable[[str, object, tuple[type, ...]], TypeError]:
    def wrong(name: str, value: object, types: tuple[type, ...]) -> TypeError:
        words = ["None" if cls is type(None) else cls.__name__ for cls in types]
        given = "None" if value is None else type(value).__name__
        return TypeError(
            f"{task}() argument {name!r} must be {' or '.join(words)}, not {given}"
        )

    return wrong
