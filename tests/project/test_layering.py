"""Every import of the project against the tables in docs/architecture.md."""

import ast
import sys
from dataclasses import dataclass
from fnmatch import fnmatch
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


@dataclass(frozen=True)
class Rule:
    """What the files of one folder may import besides the standard library.

    `project`: folders of the checkout. `packages`: names, `*` allowed, imported anywhere.
    `inside_functions`: names behind an extra, so never at a module's top level.
    """

    project: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    inside_functions: tuple[str, ...] = ()


RELATIVE = ("__init__.py", "nodes", "odvae_core")
"""Folders that ComfyUI loads under another name, so their imports of the project are relative."""

GROUND_ONLY = ("metrics", "video")
"""Modules of odvae_core that import the lowest level only."""


def read_table(head: str) -> list[list[str]]:
    """The rows of the table in docs/architecture.md whose first column has this head, as words."""
    lines = (ROOT / "docs/architecture.md").read_text(encoding="utf-8").splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {head} |")) + 2
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip().replace("`", "") for cell in line.split("|")[1:-1]])
    return rows


def split_names(cell: str) -> tuple[str, ...]:
    """The names in a cell, separated by commas."""
    return tuple(name.strip() for name in cell.split(",") if name.strip())


RULES = {folder: Rule(*map(split_names, cells)) for folder, *cells in read_table("folder")}
LEVELS = [split_names(names) for _, names in read_table("level")]


@dataclass(frozen=True)
class Import:
    """One imported name: its line, its dotted target from the root, and how it is written."""

    line: int
    target: str
    is_relative: bool
    inside_function: bool


def list_sources(folder: str, root: Path = ROOT) -> list[Path]:
    """The Python files of a folder of the checkout, or the one file of that name."""
    path = root / folder
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


def name_module(path: Path, root: Path = ROOT) -> str:
    """`odvae_core/layers/conv.py` -> `odvae_core.layers.conv`; packages end in `.__init__`."""
    return ".".join(path.relative_to(root).with_suffix("").parts)


def find_imports(path: Path, root: Path = ROOT) -> list[Import]:
    """Every import of a file, those inside functions included."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, FUNCTIONS)]
    inside = {child for function in functions for child in ast.walk(function)}
    found = []
    for node in ast.walk(tree):
        for target, is_relative in name_targets(node, path, root):
            found.append(Import(node.lineno, target, is_relative, node in inside))
    return found


def name_targets(node: ast.AST, path: Path, root: Path) -> list[tuple[str, bool]]:
    """The dotted targets of an import statement, and whether it is a relative one."""
    if isinstance(node, ast.Import):
        return [(alias.name, False) for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    if not node.level:
        return [(str(node.module), False)]
    package = path.parent.relative_to(root).parts
    if node.level > len(package) + 1:
        return [("outside the checkout", True)]
    base = package[: len(package) - node.level + 1] + tuple((node.module or "").split("."))
    prefix = ".".join(part for part in base if part)
    return [(f"{prefix}.{alias.name}".lstrip("."), True) for alias in node.names]


def breaks_rule(found: Import, folder: str) -> bool:
    """Tell whether the table forbids this import in a file of this folder."""
    rule, top = RULES[folder], found.target.split(".")[0]
    if found.is_relative:
        return top not in rule.project
    if top in sys.stdlib_module_names:
        return False
    project = () if folder in RELATIVE else rule.project
    inside = rule.inside_functions if found.inside_function else ()
    return not any(fnmatch(top, pattern) for pattern in project + rule.packages + inside)


def find_core_edges(root: Path = ROOT) -> dict[str, set[str]]:
    """Module of odvae_core -> the modules of odvae_core that it imports, anywhere in the file."""
    paths = {name_module(path, root): path for path in list_sources("odvae_core", root)}
    edges = {}
    for module, path in paths.items():
        targets = {resolve(found.target, paths) for found in find_imports(path, root)}
        edges[module] = {target for target in targets if target} - {module}
    return edges


def resolve(target: str, modules: dict[str, Path]) -> str | None:
    """The module that a dotted target names or lives in: a module, else the package around it."""
    for name in (target, target.rpartition(".")[0]):
        for module in (name, f"{name}.__init__"):
            if module in modules:
                return module
    return None


def level_of(module: str) -> int:
    """The level of a module of odvae_core, by its file or folder there."""
    part = module.split(".")[1]
    levels = [number for number, names in enumerate(LEVELS) if part in names]
    assert levels, f"{module} has no level: add `{part}` to the table in docs/architecture.md"
    return levels[0]


def find_upward_edges(edges: dict[str, set[str]]) -> list[str]:
    """The imports of a higher level, or of any above the lowest where only that is allowed."""
    wrong = []
    for module, targets in edges.items():
        part = module.split(".")[1]
        limit = 0 if part in GROUND_ONLY else level_of(module)
        others = [target for target in targets if target.split(".")[1] != part]
        wrong += [f"{module} -> {target}" for target in others if level_of(target) > limit]
    return sorted(wrong)


@pytest.mark.parametrize("folder", RULES)
def test_each_folder_imports_only_what_the_table_allows(folder):
    wrong = [
        f"{name_module(path)}:{found.line} imports {found.target}"
        for path in list_sources(folder)
        for found in find_imports(path)
        if breaks_rule(found, folder)
    ]
    assert wrong == []


def test_no_import_of_the_core_runs_upwards():
    assert find_upward_edges(find_core_edges()) == []


def test_the_modules_of_the_core_import_each_other_without_a_circle():
    try:
        TopologicalSorter(find_core_edges()).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_every_module_has_a_docstring():
    folders = (*RULES, "assets", "tests")
    silent = [
        name_module(path)
        for folder in folders
        for path in list_sources(folder)
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert silent == []


@pytest.fixture
def project(tmp_path):
    """A small project: `project(path, source)` adds a file."""

    def add(name: str, source: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
        return path

    return add


@pytest.mark.parametrize(
    ("source", "is_wrong"),
    [
        ("import torch.nn.functional as F", False),
        ("from ..config import Config", False),
        ("def plot():\n    import matplotlib.pyplot", False),
        ("import matplotlib.pyplot", True),
        ("import odvae_core.config", True),
        ("from ...nodes import vae", True),
        ("from .....nodes import vae", True),
        ("def go():\n    import requests", True),
    ],
)
def test_a_forbidden_import_of_the_core_is_found(project, tmp_path, source, is_wrong):
    path = project("odvae_core/layers/conv.py", source)
    (found,) = find_imports(path, tmp_path)
    assert breaks_rule(found, "odvae_core") is is_wrong


def test_an_upward_import_and_a_circle_are_found(project, tmp_path):
    project("odvae_core/__init__.py", "")
    project("odvae_core/config.py", "def late():\n    from .video.reader import read")
    project("odvae_core/video/__init__.py", "")
    project("odvae_core/video/reader.py", "from ..config import Config\nfrom ..vae import VideoVAE")
    project("odvae_core/vae.py", "from . import config")
    edges = find_core_edges(tmp_path)
    assert find_upward_edges(edges) == [
        "odvae_core.config -> odvae_core.video.reader",
        "odvae_core.video.reader -> odvae_core.vae",
    ]
    with pytest.raises(CycleError):
        TopologicalSorter(edges).prepare()
