"""The layout's rules: who may import whom, and that the engine knows neither Django nor a clock."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LAYERS = {
    "accounts": {"accounts"},
    "events": {"accounts", "events"},
    "messaging": {"accounts", "messaging"},
    "lifecycle": {"accounts", "events", "messaging", "lifecycle"},
}
ENGINE_MAY_IMPORT = {
    "__future__", "bisect", "collections", "dataclasses", "datetime", "decimal", "enum",
    "functools", "hashlib", "heapq", "itertools", "json", "math", "operator", "re",
    "typing", "zoneinfo",
}  # fmt: skip
CLOCKS = {"now", "utcnow", "today", "time", "monotonic", "perf_counter"}
TOP_LEVEL = {
    "manage.py", "lifecycle", "accounts", "events", "messaging", "templates", "static", "tests",
    "requirements.txt", "requirements.in", "requirements-dev.txt", "requirements-dev.in",
    "README.md", "DECISIONS.md", "Makefile", "pyproject.toml", ".ci", ".gitignore", "LICENSE",
}  # fmt: skip


def imported(tree: ast.AST) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module)
    return names


def upward_imports(layer: str, source: str) -> set[str]:
    tops = {name.split(".")[0] for name in imported(ast.parse(source))}
    return (tops & set(LAYERS)) - LAYERS[layer]


def engine_faults(source: str) -> set[str]:
    tree = ast.parse(source)
    faults = {
        name
        for name in imported(tree)
        if name.split(".")[0] not in ENGINE_MAY_IMPORT and not name.startswith("lifecycle.engine")
    }
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Attribute)
            and node.attr in CLOCKS
            and isinstance(node.ctx, ast.Load)
        ):
            owner = ast.unparse(node.value)
            if owner in {
                "datetime",
                "date",
                "time",
                "datetime.datetime",
                "datetime.date",
                "timezone",
            }:
                faults.add(f"{owner}.{node.attr}")
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"open", "print", "input"}:
            faults.add(ast.unparse(node.func))
    return faults


def python_files(folder: str) -> list[Path]:
    return [path for path in (ROOT / folder).rglob("*.py") if "migrations" not in path.parts]


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_only_point_downwards(layer):
    faults = {
        str(path.relative_to(ROOT)): upward
        for path in python_files(layer)
        if (upward := upward_imports(layer, path.read_text()))
    }
    assert not faults


def test_the_engine_is_pure():
    faults = {
        str(path.relative_to(ROOT)): found
        for path in python_files("lifecycle/engine")
        if (found := engine_faults(path.read_text()))
    }
    assert not faults


def test_an_upward_import_and_a_clock_would_be_found():
    assert upward_imports("events", "from messaging.models import Message") == {"messaging"}
    assert upward_imports("messaging", "def f():\n    import lifecycle.runner") == {"lifecycle"}
    assert engine_faults("from datetime import datetime\nx = datetime.now()") == {"datetime.now"}
    assert engine_faults("import django.db") == {"django.db"}
    assert engine_faults("import time") == {"time"}
    assert engine_faults("import random") == {"random"}


def test_the_engine_imports_without_django():
    code = "import sys; import lifecycle.engine.decide; sys.exit('django' in sys.modules)"
    assert subprocess.run([sys.executable, "-S", "-c", code], cwd=ROOT, check=False).returncode == 0


def test_no_receivers_but_anymails():
    allowed = {"messaging/webhooks.py"}
    found = {
        str(path.relative_to(ROOT))
        for folder in LAYERS
        for path in python_files(folder)
        if "@receiver(" in path.read_text() or ".connect(" in path.read_text().replace("dns", "")
    }
    assert found <= allowed


def test_the_top_of_the_tree_holds_nothing_else():
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert {path.split("/")[0] for path in tracked} - TOP_LEVEL == set()
