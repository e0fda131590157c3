"""What all processes of a run must share: the checkpoint that they resume, and the clips.

Machines without a shared folder have their own copies, which are compared by their digests.
"""

from __future__ import annotations

import platform

from accelerate.utils import broadcast_object_list, gather_object

from odvae_core import CheckpointError

from .checkpoint_files import Checkpoint
from .checkpoints import Checkpoints
from .config import ConfigError


def agree_on_checkpoint(checkpoints: Checkpoints, is_main: bool) -> Checkpoint | None:
    """The newest complete checkpoint of process 0, which every process opens in its own folder.

    None where process 0 has none. Raises CheckpointError, with the processes that lack it.
    """
    newest = checkpoints.load_newest() if is_main else None
    name, seal = broadcast_object_list([newest and (newest.path.name, newest.seal)])[0] or ("", "")
    if not seal:
        return None
    own = newest or checkpoints.find(seal)
    lacking = [where for where, has in zip_processes(own is not None) if not has]
    if lacking:
        raise CheckpointError(
            f"{checkpoints.folder / name} of process 0 is missing or different in "
            f"{', '.join(lacking)}: copy it to these machines, or use a shared run.folder"
        )
    return own


def check_same_clips(manifest_hash: str) -> None:
    """Raise ConfigError where processes have other clips than process 0."""
    hashes = zip_processes(manifest_hash)
    other = [where for where, found in hashes if found != hashes[0][1]]
    if other:
        raise ConfigError(
            f"the clips of data.path differ from those of process 0 in {', '.join(other)}: names, "
            "sizes and lists must be the same on all machines: copy them again"
        )


def zip_processes(value: object) -> list[tuple[str, object]]:
    """Every process's description and its value, in the order of processes."""
    pairs = gather_object([(platform.node(), value)])
    return [(f"process {rank} on {host}", found) for rank, (host, found) in enumerate(pairs)]
