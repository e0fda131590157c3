"""A real ComfyUI for the tests: found, started on a folder of its own, talked to, stopped."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.comfyui.events import Listener

ROOT = Path(__file__).resolve().parents[2]
TEST_PACK = Path(__file__).parent / "pack"
FOLDERS = (
    "models/vae",
    "models/checkpoints",
    "models/diffusion_models",
    "custom_nodes",
    "input",
    "output",
    "temp",
)
START_SECONDS = 300
RUN_SECONDS = 300


def find_comfyui() -> tuple[Path | None, str]:
    """The folder of a ComfyUI, or None and where it was looked for."""
    given = os.environ.get("COMFYUI_PATH")
    places = [Path(given)] if given else [ROOT.parents[1], Path.home() / "comfy" / "ComfyUI"]
    for place in places:
        if (place / "main.py").is_file() and (place / "comfy").is_dir():
            return place, ""
    return None, f"no ComfyUI in {', '.join(map(str, places))}; set COMFYUI_PATH"


def find_python(comfyui: Path) -> Path:
    """The interpreter of a ComfyUI: COMFYUI_PYTHON, or that of its own environment."""
    given = os.environ.get("COMFYUI_PYTHON")
    candidates = [Path(given)] if given else []
    for folder in (".venv", "venv"):
        candidates += [comfyui / folder / "bin/python", comfyui / folder / "Scripts/python.exe"]
    for candidate in candidates:
        if candidate.is_file():
            return candidate.absolute()
    raise FileNotFoundError(f"{comfyui} has no .venv; set COMFYUI_PYTHON to its interpreter")


@dataclass
class Run:
    """What became of one prompt: outputs by node, events in order, the failed node's message."""

    status: str
    outputs: dict[str, Any] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    error: dict[str, Any] | None = None

    @property
    def message(self) -> str:
        return json.dumps(self.error)

    @property
    def texts(self) -> list[str]:
        """What the nodes showed on themselves."""
        return [event["text"] for event in self.events if event["type"] == "text"]

    def progress_of(self, node: str) -> list[tuple[float, float]]:
        """The values and ends of a node's bar, in order."""
        return [
            (event["data"]["value"], event["data"]["max"])
            for event in self.events
            if event["type"] == "progress" and event["data"]["node"] == node
        ]


class Server:
    """A running ComfyUI on the CPU whose models, inputs and outputs lie under `base`."""

    def __init__(self, comfyui: Path, base: Path):
        self.comfyui, self.base, self.port, self.files = comfyui, base, find_port(), 0
        for folder in FOLDERS:
            (base / folder).mkdir(parents=True, exist_ok=True)
        (base / "custom_nodes" / "odvae").symlink_to(ROOT, target_is_directory=True)
        shutil.copytree(TEST_PACK, base / "custom_nodes" / "odvae_tests")

    def start(self) -> None:
        """Start it and wait until it answers; its output goes to `log`."""
        command = [
            *(find_python(self.comfyui), "main.py", "--cpu", "--listen", "127.0.0.1"),
            *("--port", self.port, "--base-directory", self.base, "--disable-auto-launch"),
            *("--database-url", "sqlite:///:memory:", "--disable-api-nodes"),
        ]
        foreign = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
        settings = {name: value for name, value in os.environ.items() if name not in foreign}
        settings |= {"PYTHONUNBUFFERED": "1", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                list(map(str, command)),
                cwd=self.comfyui,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=settings,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"ComfyUI didn't start:\n{self.read_log()[-4000:]}")
            time.sleep(0.25)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    @property
    def log(self) -> Path:
        return self.base / "server.log"

    def read_log(self) -> str:
        return self.log.read_text(errors="replace")

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=60) as answer:
            content = answer.read()
        return json.loads(content) if "json" in answer.headers.get_content_type() else content

    def post(self, path: str, body: dict[str, Any]) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            content = answer.read()
        return json.loads(content) if content else None

    def run(
        self,
        prompt: dict[str, Any],
        on_progress: Any = None,
        seconds: float = RUN_SECONDS,
        **extra: Any,
    ) -> Run:
        """Run an API prompt to its end; `on_progress` is called at every step of a bar."""
        client = uuid.uuid4().hex
        with Listener(self.port, client, on_progress) as listener:
            try:
                body = {"prompt": prompt, "client_id": client, "extra_data": extra}
                queued = self.post("/prompt", body)
            except urllib.error.HTTPError as refusal:
                return Run("invalid", error=json.loads(refusal.read()))
            history = self._wait_for(queued["prompt_id"], seconds)
        status = history["status"]
        ends = ("execution_error", "execution_interrupted")
        error = next((data for kind, data in status["messages"] if kind in ends), None)
        return Run(status["status_str"], history["outputs"], listener.events, error)

    def put(self, tensor: Tensor) -> str:
        """Write a tensor where the test nodes find it; the name of its file."""
        self.files += 1
        name = f"tensor-{self.files}.safetensors"
        save_file({"value": tensor.contiguous()}, self.base / "input" / name)
        return name

    def take(self, name: str) -> Tensor:
        """Read what a TestDump node wrote."""
        return load_file(self.base / "output" / f"{name}.safetensors")["value"]

    def interrupt(self) -> None:
        self.post("/interrupt", {})

    def _wait_for(self, prompt: str, seconds: float) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            history = self.get(f"/history/{prompt}").get(prompt)
            if history and history["status"].get("status_str"):
                time.sleep(0.1)  # its last events may still be on their way
                return history
            if self.process.poll() is not None:
                raise RuntimeError(f"ComfyUI died:\n{self.read_log()[-4000:]}")
            time.sleep(0.05)
        raise TimeoutError(f"no end after {seconds} s:\n{self.read_log()[-4000:]}")

    def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            self.version = self.get("/system_stats")["system"]["comfyui_version"]
            return True
        return False


def find_port() -> int:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
