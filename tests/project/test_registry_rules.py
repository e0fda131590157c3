"""The registry's rules: the pack runs no text as code, starts no program, names no place."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [
    ROOT / "__init__.py",
    *(ROOT / "nodes").rglob("*.py"),
    *(ROOT / "odvae_core").rglob("*.py"),
]
CALLS = {"eval", "exec", "compile", "__import__", "system", "popen"}
MODULES = {"subprocess", "pty", "code", "runpy"}
PLACE = re.compile(r"(/[a-z]+/|[A-Za-z]:\\|~/)")
KERNEL = ("/proc/", "/sys/")  # where Linux says how much memory a container has


def find_breaches(source: str) -> list[str]:
    """What breaks a rule in a source, in its order."""
    breaches = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", "")
            if isinstance(node.func, ast.Attribute) and getattr(node.func.value, "id", "") == "os":
                name = node.func.attr
            breaches += {name} & CALLS
        elif isinstance(node, ast.Import):
            breaches += {alias.name for alias in node.names} & MODULES
        elif isinstance(node, ast.ImportFrom):
            breaches += {str(node.module)} & MODULES
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
            if PLACE.match(text) and not text.startswith(KERNEL):
                breaches.append(text)
    return breaches


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_of_the_pack_breaks_no_rule(path):
    assert find_breaches(path.read_text()) == []


@pytest.mark.parametrize(
    ("source", "breach"),
    [
        ("eval('1')", "eval"),
        ("import os\nos.system('ls')", "system"),
        ("import subprocess", "subprocess"),
        ("from subprocess import run", "subprocess"),
        ("open('/home/me/model.pt')", "/home/me/model.pt"),
        ("path = 'C:\\\\models'", "C:\\models"),
    ],
)
def test_a_breach_is_found(source, breach):
    assert find_breaches(source) == [breach]
