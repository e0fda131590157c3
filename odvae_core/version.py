"""The version of this package, read from pyproject.toml or the installed distribution."""

from __future__ import annotations

import tomllib
from importlib import metadata
from pathlib import Path

NAME = "odvae"


def read_version() -> str:
    """The version of the checkout that holds this file, else of the installed distribution."""
    project = Path(__file__).parents[1] / "pyproject.toml"
    if project.is_file():
        fields = tomllib.loads(project.read_text(encoding="utf-8")).get("project", {})
        if fields.get("name") == NAME:
            return fields["version"]
    return metadata.version(NAME)
