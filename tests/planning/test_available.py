"""odvae_core/planning/available.py: how much memory there is."""

import psutil
import torch

from odvae_core.planning import FreeMemory, Need, available, available_memory


def test_a_containers_limit_is_honoured(tmp_path):
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("300\n")
    assert available.container_limit(tmp_path) == 700
    (tmp_path / "memory.stat").write_text("anon 200\ninactive_file 100\n")
    assert available.container_limit(tmp_path) == 800
    (tmp_path / "memory.max").write_text("max\n")
    assert available.container_limit(tmp_path) > 2**60
    assert available.container_limit(tmp_path / "absent") > 2**60


def test_the_smaller_of_the_machines_memory_and_the_containers_counts(monkeypatch):
    monkeypatch.setattr(available, "container_limit", lambda: 1000)
    assert available_memory(torch.device("cpu")) == FreeMemory(1000, 1000, shared=True)
    monkeypatch.setattr(available, "container_limit", lambda: 2**63)
    free = available_memory(torch.device("cpu"))
    assert 0 < free.device == free.host <= psutil.virtual_memory().total


def test_memory_that_is_shared_holds_the_sum_and_memory_that_is_apart_each_its_own():
    assert FreeMemory(100, 100, shared=True).holds(40, 60)
    assert not FreeMemory(100, 100, shared=True).holds(41, 60)
    assert FreeMemory(100, 100, shared=False).holds(100, 70)
    assert not FreeMemory(100, 100, shared=False).holds(101, 0)
    assert not FreeMemory(100, 100, shared=False).holds(0, 71)


def test_a_pass_that_runs_at_the_same_time_leaves_the_rest():
    need = Need(device=30, host=20)
    assert FreeMemory(100, 100, shared=True).without(need) == FreeMemory(50, 50, shared=True)
    assert FreeMemory(100, 100, shared=False).without(need) == FreeMemory(70, 80, shared=False)
