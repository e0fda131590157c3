"""Say whether this checkout can be published as a node pack.

    python -m release.check        (in the repository's root; standard library only)

Prints what is missing, a line each, and ends with 1; or says that nothing is, and ends with 0.
"""

import json
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PLACEHOLDER = "FILL-IN"


def find_missing_steps(root: Path) -> Iterator[str]:
    """Every reason not to publish the checkout at `root`, each with its remedy."""
    content = (root / "pyproject.toml").read_text()
    for number, line in enumerate(content.splitlines(), start=1):
        if PLACEHOLDER in line and not line.startswith("#"):
            yield f"pyproject.toml:{number}: {line.strip()}: fill in the publisher's"
    version = tomllib.loads(content)["project"]["version"]
    if f"## [{version}]" not in (root / "CHANGELOG.md").read_text():
        yield f"CHANGELOG.md: no heading ## [{version}]: say what this version changes"
    for path in sorted((root / "workflows").glob("*.json")):
        found = {node["properties"].get("ver") for node in read_our_nodes(path)}
        if found != {version}:
            yield f"{path.name}: its nodes say version {found}: draw the workflows again"
    if not (root / "odvae_core/weights/default.safetensors").is_file():
        yield "odvae_core/weights: no default.safetensors: train it, or fetch it with git"


def read_our_nodes(path: Path) -> list[dict]:
    """The nodes of this pack in a graph."""
    nodes = json.loads(path.read_text())["nodes"]
    return [node for node in nodes if node["type"].startswith("ODVAE")]


def main() -> int:
    """Print the missing steps and return the exit status."""
    missing = list(find_missing_steps(ROOT))
    for step in missing or ["nothing is missing"]:
        print(step)
    return int(bool(missing))


if __name__ == "__main__":
    sys.exit(main())
