"""R6: no expression that anyone supplies is evaluated. No eval, exec, pickle, yaml.load, shell, or template from input."""

import ast

import pytest

from tests.architecture.source import Module, belongs, broken

BUILT_IN = ("builtins.eval", "builtins.exec", "builtins.compile", "builtins.__import__", "builtins.breakpoint")
MODULES = ("pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "code", "codeop", "runpy")
NAMES = (
    "os.system",
    "os.popen",
    "importlib.import_module",
    "yaml.load",
    "yaml.load_all",
    "yaml.full_load",
    "yaml.full_load_all",
    "yaml.unsafe_load",
    "yaml.unsafe_load_all",
    "yaml.Loader",
    "yaml.FullLoader",
    "yaml.UnsafeLoader",
    "yaml.CLoader",
    "yaml.CFullLoader",
    "yaml.CUnsafeLoader",
    "jinja2.Template",
    "pandas.eval",
    "pandas.read_pickle",
    "numpy.load",
)
HANDLES = ("node.link_flower", "app.query")  # Flower's name for what handles a message
METHODS = ("eval", "query", "from_string", "read_pickle", "to_pickle")  # of a frame or a template environment


def evaluates(module: Module) -> list[str]:
    own = [
        call.func for call in module.calls() if module.package == "simulations" and loads_safely(call)
    ]  # package data of ours
    found = [
        f"{module.at(node)} uses {name}"
        for node, name in module.uses()
        if belongs(name, (*BUILT_IN, *MODULES, *NAMES)) and node not in own
    ]
    for call in module.calls():
        if isinstance(call.func, ast.Attribute) and call.func.attr in METHODS and not handles(module, call):
            found.append(f"{module.at(call)} calls .{call.func.attr}()")
        for keyword in call.keywords:
            if keyword.arg == "shell" or (keyword.arg == "allow_pickle" and ast.unparse(keyword.value) != "False"):
                found.append(f"{module.at(call)} passes {keyword.arg}")
    return found


def handles(module: Module, call: ast.Call) -> bool:
    return (module.name, ast.unparse(call.func)) == HANDLES


def loads_safely(call: ast.Call) -> bool:
    """`yaml.load(…, Loader=…)` with a loader that is SafeLoader by name, in C or in Python."""
    loaders = [
        node.attr
        for keyword in call.keywords
        if keyword.arg == "Loader"
        for node in ast.walk(keyword.value)
        if isinstance(node, ast.Attribute)
    ]
    return bool(loaders) and set(loaders) <= {"SafeLoader", "CSafeLoader"}


def test_no_expression_is_evaluated_in_any_package() -> None:
    assert broken(evaluates) == []


@pytest.mark.parametrize(
    "text",
    [
        "eval(cohort)",
        "def f(text):\n    exec(text)",
        "import pickle",
        "from pickle import loads",
        "import yaml\nyaml.load(text, Loader=yaml.SafeLoader)",
        "from yaml import unsafe_load",
        "import os\nos.system(name)",
        "frame.query(cohort)",
        "frame.eval(cohort)",
        "environment.from_string(title)",
        "import numpy as np\nnp.load(path, allow_pickle=True)",
        "run(words, shell=True)",
        "__import__(name)",
        "import importlib\nimportlib.import_module(name)",
    ],
)
def test_an_evaluated_expression_is_found(text: str) -> None:
    assert evaluates(Module("node.anywhere", text))


def test_what_only_sounds_like_it_is_left_alone() -> None:
    assert (
        evaluates(
            Module(
                "protocols.anywhere",
                "import re\nre.compile('a')\nimport yaml\nyaml.parse(text, Loader=yaml.SafeLoader)",
            )
        )
        == []
    )
