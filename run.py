"""Run the demo or the tests on a machine that has nothing but Python 3.11, 3.12 or 3.13.

    python run.py demo [CLIP]               reconstruct the sample clip, or a clip of your own
    python run.py test [PYTEST ARGUMENTS]   run the tests; -m slow and -m comfyui select the others

The first call makes .venv beside this file: for the demo from requirements-lock.txt, which holds
what the package itself needs, for the tests from requirements-dev-lock.txt, which holds their tools
too. Later calls use it again and need no network; after a demo, the first `test` adds the tools. It
is made anew when a lock or the Python version changes, or when making it was interrupted. What the
command returns is the exit status.

Standard library only, and no syntax newer than Python 3.6, so that an old Python can read this file
and say no.
"""

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
LOCK = ROOT / "requirements-lock.txt"
DEV_LOCK = ROOT / "requirements-dev-lock.txt"
ENVIRONMENT = ROOT / ".venv"
DISCARDED = ROOT / ".venv-discarded"
OUTPUT = ROOT / "output"
SAMPLE = ROOT / "assets" / "sample.mp4"
STAMP = "made-by-run.txt"
UNFINISHED = "unfinished"
OLDEST, NEWEST = (3, 11), (3, 13)


class SetupError(Exception):
    """Something outside the project keeps the command from running; the text says what to do."""


def check_python(version):
    """Refuse a Python that the lock was not made for; `version` is (major, minor, ...)."""
    if not OLDEST <= tuple(version[:2]) <= NEWEST:
        raise SetupError(
            "this is Python {}.{}; Python 3.11, 3.12 or 3.13 is needed: install one and start "
            "run.py with it, as in `python3.11 run.py demo`".format(*version[:2])
        )


def compute_stamp(lock, version):
    """Return what a finished environment carries: its Python's version and its lock's sha256."""
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    return "python {}.{} lock {}".format(*version[:2], digest)


def find_python(environment, windows=os.name == "nt"):
    """Return the path of an environment's interpreter, whether or not it is there."""
    return environment / ("Scripts/python.exe" if windows else "bin/python")


def is_current(environment, stamp):
    """Tell whether the environment was finished from this lock by this version of Python."""
    mark = environment / STAMP
    return mark.is_file() and mark.read_text() == stamp and find_python(environment).exists()


def prepare(environment, discarded, version, development):
    """Make the environment anew unless it is current; that of the tests serves the demo too."""
    stamps = {lock: compute_stamp(lock, version) for lock in (LOCK, DEV_LOCK)}
    if is_current(environment, stamps[DEV_LOCK]):
        return
    if is_current(environment, stamps[LOCK]):
        if development:
            fill(environment, DEV_LOCK, stamps[DEV_LOCK])
        return
    shutil.rmtree(str(discarded), ignore_errors=True)
    if environment.exists():
        set_aside(environment, discarded)
        print(f"Removing {environment}, which is out of date or unfinished.", flush=True)
        shutil.rmtree(str(discarded), ignore_errors=True)
    lock = DEV_LOCK if development else LOCK
    build(environment, lock, stamps[lock])


def set_aside(environment, discarded):
    """Rename an environment that run.py made; refuse any other, and the one that runs this.

    Renaming goes whole or not at all, so no half-removed environment without a stamp can be left.
    """
    if not (environment / STAMP).is_file():
        raise SetupError(
            f"{environment} was not made by run.py, which would have to replace it: "
            "rename or remove it, then run again"
        )
    if Path(sys.prefix).resolve() == environment.resolve():
        raise SetupError(
            f"{environment} is out of date and runs this very command: "
            "leave it (`deactivate`) and start run.py with the Python that made it"
        )
    try:
        environment.rename(discarded)
    except OSError as error:
        raise SetupError(
            f"{environment} can't be replaced ({error}): "
            "end the programs that use it, then run again"
        ) from error


def build(environment, lock, stamp):
    """Make the environment and fill it from the lock."""
    environment.mkdir()
    (environment / STAMP).write_text(UNFINISHED)
    print(
        f"Making {environment} from {lock.name}, once. PyTorch comes along: on Linux that is",
        flush=True,
    )
    print("its CUDA build of several GB unless pip is offered a CPU build.", flush=True)
    run_step(
        [sys.executable, "-m", "venv", str(environment)],
        "no virtual environment could be made: on Debian and Ubuntu `apt install python3-venv`",
    )
    fill(environment, lock, stamp)


def fill(environment, lock, stamp):
    """Install what the lock lists into the environment; the stamp is written last."""
    mark = environment / STAMP
    mark.write_text(UNFINISHED)
    run_step(
        [str(find_python(environment)), "-m", "pip", "install", "-r", str(lock)],
        "pip could not install the packages; its message is above. Check the network, the proxy "
        "and the free disk space (2 GB, with CUDA builds about 8), then run again",
    )
    mark.write_text(stamp)


def run_step(command, remedy):
    """Run one step of the installation; its failure is a SetupError that says what to do."""
    status = run_inside(command)
    if status:
        raise SetupError(f"{remedy} (exit status {status} of `{shlex.join(command)}`)")


def run_inside(command):
    """Run a command in the checkout, free of the caller's Python settings; return its status."""
    inherited = ("PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH")
    settings = {name: value for name, value in os.environ.items() if name not in inherited}
    status = subprocess.run(command, cwd=str(ROOT), env=settings).returncode
    return status if status >= 0 else 128 - status  # ended by a signal: as a shell reports it


def demo_arguments(arguments):
    """Turn `[CLIP]`, seen from the caller's folder, into the arguments of `odvae reconstruct`."""
    if len(arguments) > 1:
        raise SetupError(f"demo takes one clip, got {len(arguments)}: quote a name that has spaces")
    clip = Path(arguments[0]).resolve() if arguments else SAMPLE
    if not clip.is_file():
        raise SetupError(f"there is no file {clip}: give the path of a video")
    OUTPUT.mkdir(exist_ok=True)
    result = OUTPUT / f"{clip.stem}-reconstructed.mp4"
    beside = OUTPUT / f"{clip.stem}-side-by-side.mp4"
    call = ["odvae_core", "reconstruct", str(clip), str(result), "--side-by-side", str(beside)]
    return [*call, "--overwrite"]


def main(arguments):
    """Run one command and return its exit status: 2 for a wrong call, 1 where nothing could run."""
    if not arguments or arguments[0] not in ("demo", "test"):
        print(__doc__)
        return 0 if arguments in (["-h"], ["--help"]) else 2
    try:
        check_python(sys.version_info)
        command, rest = arguments[0], arguments[1:]
        module = demo_arguments(rest) if command == "demo" else ["pytest", *rest]
        prepare(ENVIRONMENT, DISCARDED, sys.version_info, command == "test")
        return run_inside([str(find_python(ENVIRONMENT)), "-m", *module])
    except SetupError as error:
        print(f"run.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
