"""The import directions of the design, read from the syntax tree of every source file, imports inside functions included.

kernels -> base; export -> kernels, base; runtime -> kernels, base; training -> export, kernels, base; benchmarks -> all.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = {"base": "src/redvillm", **{part: part for part in ("kernels", "export", "runtime", "training", "benchmarks")}}
ALLOWED = {
    "base": {"base"},
    "kernels": {"kernels", "base"},
    "export": {"export", "kernels", "base"},
    "runtime": {"runtime", "kernels", "base"},
    "training": {"training", "export", "kernels", "base"},
    "benchmarks": set(FOLDERS),
}
# the face, the command line and the doctor reach every part, but only when they are called
FACES = ("src/redvillm/__init__.py", "src/redvillm/cli/", "src/redvillm/doctor/")
EXPORT_LIBRARIES = {"torch", "torchvision", "transformers", "onnx", "onnxscript", "onnx_ir", "gguf", "safetensors"}
FORBIDDEN_LIBRARIES = {
    "base": EXPORT_LIBRARIES,
    "kernels": EXPORT_LIBRARIES | {"onnxruntime", "cv2"},
    "runtime": EXPORT_LIBRARIES | {"huggingface_hub"},
}
UNSAFE_LIBRARIES = {"pickle", "dill", "joblib", "marshal", "shelve"}
UNSAFE_ARGUMENTS = {"allow_pickle=True", "weights_only=False", "trust_remote_code=True", "shell=True"}
MAX_LINES = 400

SOURCES = sorted((part, path) for part, folder in FOLDERS.items() for path in (ROOT / folder).rglob("*.py"))


def imports_of(tree: ast.Module) -> Iterator[tuple[str, bool, int]]:
    """Yield the full dotted name of every import, whether it runs on import of the module, and its line."""

    def walk(node: ast.AST, eager: bool) -> Iterator[tuple[str, bool, int]]:
        if isinstance(node, ast.Import):
            yield from ((alias.name, eager, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            prefix = "." * node.level + (node.module or "")
            yield from ((f"{prefix}.{alias.name}", eager, node.lineno) for alias in node.names)
        lazy = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or (
            isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
        )
        for child in ast.iter_child_nodes(node):
            yield from walk(child, eager and not lazy)

    yield from walk(tree, True)


def layer_faults(part: str, relative: str, source: str) -> list[str]:
    """Return what is wrong with the imports of one file."""
    faults = []
    for name, eager, line in imports_of(ast.parse(source)):
        where = f"{relative}:{line}"
        top, *rest = name.split(".")
        if name.startswith("."):
            faults.append(f"{where}: relative import {name}")
        elif top in ALLOWED.keys() - {"base"}:
            faults.append(f"{where}: bare import of {top}; write redvillm.{top}")
        elif top in FORBIDDEN_LIBRARIES.get(part, set()) | UNSAFE_LIBRARIES:
            faults.append(f"{where}: {part} imports {top}")
        elif top == "redvillm":
            target = rest[0] if rest and rest[0] in ALLOWED else "base"
            allowed_lazily = relative.startswith(FACES) and not eager
            if target not in ALLOWED[part] and not allowed_lazily:
                faults.append(f"{where}: {part} imports {target}{' when it is itself imported' if eager else ''}")
    return faults


def state_faults(relative: str, source: str) -> list[str]:
    """Return module-level state: `global` statements, and mutable containers under names that are not constants."""
    tree = ast.parse(source)
    faults = [f"{relative}:{node.lineno}: global statement" for node in ast.walk(tree) if isinstance(node, ast.Global)]
    mutable = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        names = [target.id for target in targets if isinstance(target, ast.Name)]
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        empty_container = isinstance(value, ast.Call) and ast.unparse(value.func) in ("list", "dict", "set", "defaultdict", "deque")
        if (isinstance(value, mutable) or empty_container) and any(name != "__all__" and not name.isupper() for name in names):
            faults.append(f"{relative}:{node.lineno}: mutable module-level {', '.join(names)}")
    return faults


def habit_faults(relative: str, source: str) -> list[str]:
    """Return swallowed exceptions and unsafe loading."""
    faults = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ExceptHandler) and all(isinstance(statement, ast.Pass) for statement in node.body):
            faults.append(f"{relative}:{node.lineno}: an exception is swallowed with pass")
        if isinstance(node, ast.keyword) and ast.unparse(node) in UNSAFE_ARGUMENTS:
            faults.append(f"{relative}:{node.value.lineno}: {ast.unparse(node)}")
    return faults


def test_the_sources_are_found():
    assert {part for part, _ in SOURCES} == set(FOLDERS)


@pytest.mark.parametrize(("part", "path"), SOURCES, ids=lambda value: value.relative_to(ROOT).as_posix() if isinstance(value, Path) else value)
def test_source(part: str, path: Path):
    relative, source = path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
    faults = layer_faults(part, relative, source) + state_faults(relative, source) + habit_faults(relative, source)
    if (num_lines := source.count("\n")) > MAX_LINES:
        faults.append(f"{relative}: {num_lines} lines, at most {MAX_LINES}")
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    ("part", "relative", "source"),
    [
        ("runtime", "runtime/a.py", "import torch"),
        ("runtime", "runtime/a.py", "def f():\n    from torch.nn import functional"),
        ("runtime", "runtime/a.py", "from redvillm.export import x"),
        ("runtime", "runtime/a.py", "from redvillm import export"),
        ("export", "export/a.py", "def f():\n    import redvillm.runtime.model"),
        ("kernels", "kernels/a.py", "from redvillm.runtime import x"),
        ("training", "training/a.py", "from redvillm.runtime import x"),
        ("base", "src/redvillm/zoo.py", "def f():\n    from redvillm.export import x"),
        ("base", "src/redvillm/cli/ask.py", "from redvillm.runtime import x"),
        ("base", "src/redvillm/__init__.py", "class A:\n    from redvillm.runtime import x"),
        ("runtime", "runtime/a.py", "from .b import c"),
        ("runtime", "runtime/a.py", "from kernels import ops"),
        ("export", "export/a.py", "import pickle"),
    ],
)
def test_a_wrong_import_is_found(part: str, relative: str, source: str):
    assert len(layer_faults(part, relative, source)) == 1


@pytest.mark.parametrize(
    ("part", "relative", "source"),
    [
        ("runtime", "runtime/a.py", "import numpy\nfrom redvillm.kernels import ops\nfrom redvillm import errors"),
        ("base", "src/redvillm/cli/ask.py", "def run():\n    from redvillm.runtime import x"),
        ("base", "src/redvillm/__init__.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from redvillm.runtime import x"),
        ("benchmarks", "benchmarks/a.py", "from redvillm.runtime import x\nimport torch"),
    ],
)
def test_a_right_import_is_let_through(part: str, relative: str, source: str):
    assert layer_faults(part, relative, source) == []


@pytest.mark.parametrize("source", ["cache = {}", "seen: list[int] = []", "x = dict()", "def f():\n    global x"])
def test_module_state_is_found(source: str):
    assert len(state_faults("a.py", source)) == 1


@pytest.mark.parametrize(
    "source", ["try:\n    f()\nexcept Exception:\n    pass", "np.load(p, allow_pickle=True)", "torch.load(p, weights_only=False)"]
)
def test_bad_habits_are_found(source: str):
    assert len(habit_faults("a.py", source)) == 1
