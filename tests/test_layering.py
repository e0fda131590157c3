"""The import table of the house, held against the sources: who may import what, and the floors."""

import ast
import sys
from dataclasses import dataclass
from fnmatch import fnmatch
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


@dataclass(frozen=True)
class Rule:
    """What the files of one folder may import besides the standard library.

    `relative`: our own folders, reached by relative imports only. `absolute`: names, `*` allowed,
    imported anywhere. `inside_functions`: names behind an extra, so never at a module's top level.
    """

    relative: tuple[str, ...] = ()
    absolute: tuple[str, ...] = ()
    inside_functions: tuple[str, ...] = ()


RULES = {
    "__init__.py": Rule(relative=("nodes",)),
    "run.py": Rule(),
    "odvae_core": Rule(
        relative=("odvae_core",),
        absolute=("torch", "numpy", "einops", "safetensors", "av", "tqdm", "psutil"),
        inside_functions=("accelerate", "matplotlib", "torchmetrics", "diffusers"),
    ),
    "nodes": Rule(
        relative=("nodes", "odvae_core"),
        absolute=("comfy*", "folder_paths", "server", "torch", "numpy", "PIL"),
    ),
    "train": Rule(
        relative=("train",),
        absolute=(
            "train",
            "odvae_core",
            "torch",
            "numpy",
            "tqdm",
            "psutil",
            "accelerate",
            "torchmetrics",
            "matplotlib",
        ),
    ),
}

# The floors of odvae_core, lowest first; a floor imports itself and what lies below.
FLOORS = (
    ("constants", "limits", "config", "posterior", "version", "checks", "files", "environment"),
    ("tiling",),
    ("layers",),
    ("schedules",),
    ("vae",),
    ("families", "padding", "modules"),
    ("formats",),
    ("registry",),
    ("checkpoint", "planning"),
    ("dataset", "evaluation", "inflation", "latents", "metrics", "video"),
    ("__init__",),
    ("commands", "cli", "__main__"),
)
GROUND_FLOOR_ONLY = ("metrics", "video")  # these two stand beside the checkpoints, on the ground


@dataclass(frozen=True)
class Import:
    """One imported name: its line, its dotted target from the root, and how it is written."""

    line: int
    target: str
    is_relative: bool
    inside_function: bool


def list_sources(folder: str, root: Path = ROOT) -> list[Path]:
    """The Python files of a folder of the house, or the one file of that name."""
    place = root / folder
    return [place] if place.is_file() else sorted(place.rglob("*.py"))


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
    base = package[: len(package) - node.level + 1] + tuple((node.module or "").split("."))
    prefix = ".".join(part for part in base if part)
    return [(f"{prefix}.{alias.name}".lstrip("."), True) for alias in node.names]


def breaks_rule(found: Import, rule: Rule) -> bool:
    """Tell whether the rule forbids this import."""
    top = found.target.split(".")[0]
    if found.is_relative:
        return top not in rule.relative
    if top in sys.stdlib_module_names:
        return False
    allowed = rule.absolute + (rule.inside_functions if found.inside_function else ())
    return not any(fnmatch(top, pattern) for pattern in allowed)


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


def floor_of(module: str) -> int:
    """The floor of a module of odvae_core, by its file or folder there."""
    part = module.split(".")[1]
    floors = [number for number, names in enumerate(FLOORS) if part in names]
    assert floors, f"{module} stands on no floor: give `{part}` its place in FLOORS"
    return floors[0]


def find_upward_edges(edges: dict[str, set[str]]) -> list[str]:
    """The imports that run upwards, or off the ground floor where only that is allowed."""
    wrong = []
    for module, targets in edges.items():
        part = module.split(".")[1]
        limit = 0 if part in GROUND_FLOOR_ONLY else floor_of(module)
        strangers = [target for target in targets if target.split(".")[1] != part]
        wrong += [f"{module} -> {target}" for target in strangers if floor_of(target) > limit]
    return sorted(wrong)


@pytest.mark.parametrize("folder", RULES)
def test_each_folder_imports_only_what_the_table_allows(folder):
    wrong = [
        f"{name_module(path)}:{found.line} imports {found.target}"
        for path in list_sources(folder)
        for found in find_imports(path)
        if breaks_rule(found, RULES[folder])
    ]
    assert wrong == []


def test_no_import_of_the_core_runs_upwards():
    assert find_upward_edges(find_core_edges()) == []


def test_the_modules_of_the_core_import_each_other_without_a_circle():
    try:
        TopologicalSorter(find_core_edges()).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_every_module_of_the_house_says_what_it_is():
    folders = (*RULES, "benchmarks", "assets", "tests")
    silent = [
        name_module(path)
        for folder in folders
        for path in list_sources(folder)
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert silent == []


@pytest.fixture
def house(tmp_path):
    """A small house of its own: `house(path, source)` adds a file."""

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
        ("def go():\n    import requests", True),
    ],
)
def test_a_forbidden_import_of_the_core_is_found(house, tmp_path, source, is_wrong):
    path = house("odvae_core/layers/conv.py", source)
    (found,) = find_imports(path, tmp_path)
    assert breaks_rule(found, RULES["odvae_core"]) is is_wrong


def test_an_upward_import_and_a_circle_are_found(house, tmp_path):
    house("odvae_core/__init__.py", "")
    house("odvae_core/config.py", "def late():\n    from .video.reader import read")
    house("odvae_core/video/__init__.py", "")
    house("odvae_core/video/reader.py", "from ..config import Config\nfrom ..vae import VideoVAE")
    house("odvae_core/vae.py", "from . import config")
    edges = find_core_edges(tmp_path)
    assert find_upward_edges(edges) == [
        "odvae_core.config -> odvae_core.video.reader",
        "odvae_core.video.reader -> odvae_core.vae",
    ]
    with pytest.raises(CycleError):
        TopologicalSorter(edges).prepare()
