"""The values that AI Toolkit knows for keys that name one of several things: optimizers, samplers, precisions and so on.

They are what its code compares the value with, what its UI offers, and what its own example configs use.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from toolkit_facts.checkout import Checkout, text_of

#: Names under which the code compares each key's value, by the place of the key: class and key.
_COMPARED: dict[tuple[str, str], tuple[str, ...]] = {
    ("TrainConfig", "content_or_style"): ("content_or_style",),
    ("TrainConfig", "guidance_loss_schedule"): ("guidance_loss_schedule",),
    ("TrainConfig", "loss_target"): ("loss_target",),
    ("TrainConfig", "loss_type"): ("loss_type",),
    ("TrainConfig", "timestep_type"): ("timestep_type",),
    ("TrainConfig", "adapter_assist_type"): ("adapter_assist_type",),
    ("NetworkConfig", "type"): ("network_type", "network_config.type"),
    ("AdapterConfig", "type"): ("adapter_type", "adapter_config.type"),
    ("DatasetConfig", "guidance_type"): ("guidance_type",),
    ("SampleConfig", "format"): ("output_ext",),
}
#: Functions that make something by its name, the argument, and the keys whose values they get.
_MADE: dict[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    "get_optimizer": ("lower_type", (("TrainConfig", "optimizer"),)),
    "get_lr_scheduler": ("name", (("TrainConfig", "lr_scheduler"),)),
    "get_sampler": ("sampler", (("TrainConfig", "noise_scheduler"), ("SampleConfig", "sampler"))),
    "get_torch_dtype": (
        "dtype_str",
        (
            ("TrainConfig", "dtype"),
            ("SaveConfig", "dtype"),
            ("ModelConfig", "dtype"),
            ("ModelConfig", "vae_dtype"),
            ("ModelConfig", "te_dtype"),
        ),
    ),
}
_QTYPES = (("ModelConfig", "qtype"), ("ModelConfig", "qtype_te"))
#: The types of optimum-quanto, to which AI Toolkit passes every other name.
_QUANTO = ("qint2", "qint4", "qint8", "qfloat8", "qfloat8_e4m3fn", "qfloat8_e4m3fnuz", "qfloat8_e5m2")

Place = tuple[str, str]

#: Keys whose values may be written in capitals.
ANY_CASE = frozenset({("NetworkConfig", "type"), ("TrainConfig", "optimizer")})


def choices(checkout: Checkout) -> dict[Place, set[str]]:
    """Return the values that the code knows, by class and key."""
    found: dict[Place, set[str]] = {place: set() for place in _COMPARED}
    compared = {name: place for place, names in _COMPARED.items() for name in names}
    for module in checkout.modules:
        for name, word in _comparisons(module):
            for known, place in compared.items():
                if name == known or name.endswith(f".{known}"):
                    found[place].add(word)
    for function, (argument, places) in _MADE.items():
        words = {
            word
            for node in checkout.functions(function)
            for name, word in (*_comparisons(node), *_beginnings(node))
            if name == argument and not word.endswith("_")
        }
        for place in places:
            found[place] = set(words)
    for place in _QTYPES:
        found[place] = {*_quantizations(checkout), *_QUANTO}
    return found


def _comparisons(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield each name with each text that it is compared with."""
    for node in ast.walk(tree):
        match node:
            case ast.Compare(left=left, ops=[ast.Eq() | ast.NotEq()], comparators=[right]):
                word = text_of(right)
                if word is not None:
                    yield _dotted(left), word
            case ast.Compare(
                left=left, ops=[ast.In() | ast.NotIn()], comparators=[ast.List() | ast.Tuple() as right]
            ):
                for member in right.elts:
                    word = text_of(member)
                    if word is not None:
                        yield _dotted(left), word


def _beginnings(function: ast.FunctionDef) -> Iterator[tuple[str, str]]:
    """Yield each name with each text that it may begin with, also with the ends that are told apart inside."""
    for node in ast.walk(function):
        match node:
            case ast.If(test=ast.Call(func=ast.Attribute(value=name, attr="startswith"), args=[word])):
                beginning = text_of(word) or ""
                yield _dotted(name), beginning
                for inner in (inner for part in node.body for inner in ast.walk(part)):
                    match inner:
                        case ast.Call(func=ast.Attribute(attr="endswith"), args=[word]):
                            yield _dotted(name), beginning + (text_of(word) or "")


def _dotted(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=name):
            return f"{_dotted(value)}.{name}"
        case ast.Call(func=ast.Attribute(value=value, attr="lower")):
            return _dotted(value)
    return ""


def _quantizations(checkout: Checkout) -> Iterator[str]:
    """Yield the keys of every table of quantizations."""
    for module in checkout.modules:
        for node in module.body:
            match node:
                case ast.Assign(targets=[ast.Name(id=name)], value=value) if name.lower().endswith("qtypes"):
                    yield from _keys_of(value)


def _keys_of(table: ast.expr) -> Iterator[str]:
    match table:
        case ast.Dict(keys=keys):
            yield from (word for key in keys if key is not None and (word := text_of(key)) is not None)
        case ast.Set(elts=members) | ast.Tuple(elts=members) | ast.List(elts=members):
            yield from (word for member in members if (word := text_of(member)) is not None)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            yield from _keys_of(left)
            yield from _keys_of(right)
        case ast.Call(func=ast.Name(id="tuple"), args=[inner]):
            yield from _keys_of(inner)
        case ast.DictComp(key=key, generators=[loop]) | ast.GeneratorExp(elt=key, generators=[loop]) if (
            isinstance(key, ast.JoinedStr) and isinstance(loop.target, ast.Name)
        ):
            name, numbers = loop.target.id, loop.iter
            for number in _range(numbers):
                yield _formatted(key, name, number)


def _range(numbers: ast.expr) -> range:
    match numbers:
        case ast.Call(func=ast.Name(id="range"), args=arguments):
            return range(*(ast.literal_eval(argument) for argument in arguments))
    return range(0)


def _formatted(text: ast.JoinedStr, name: str, number: int) -> str:
    parts = []
    for part in text.values:
        match part:
            case ast.FormattedValue(value=ast.Name(id=inner)) if inner == name:
                parts.append(str(number))
            case _:
                parts.append(text_of(part) or "")
    return "".join(parts)


def prompt_flags(checkout: Checkout) -> dict[str, str]:
    """Return the flags that a prompt may have behind `--`, with the type of their values."""
    found: dict[str, str] = {}
    for function in checkout.functions("_process_prompt_string"):
        for node in ast.walk(function):
            match node:
                case ast.If(
                    test=ast.Compare(left=ast.Name(id="flag"), comparators=[word]),
                    body=[ast.Assign(value=value), *_],
                ):
                    found[text_of(word) or ""] = _made_by(value)
    return found


def _made_by(value: ast.expr) -> str:
    match value:
        case ast.Call(func=ast.Name(id="int")):
            return "integer"
        case ast.Call(func=ast.Name(id="float")):
            return "number"
        case ast.ListComp():
            return "list"
    return "text"
