"""What a run publishes."""

import json

import torch

import odvae_core
from train.config import Config
from train.export import export
from train.journal import describe


def test_an_exported_file_loads_and_says_how_it_was_made(tmp_path):
    vae = odvae_core.build("odvae-tiny")
    odvae_core.save(vae, tmp_path / "ema.safetensors")
    events = [
        {"event": "start", "step": 0, **describe(Config(), vae)},
        {"event": "evaluation", "step": 7, "psnr": 21.456},
    ]
    (tmp_path / "log.jsonl").write_text("\n".join(map(json.dumps, events)))
    export(tmp_path, tmp_path / "model.safetensors", title="A test.")
    loaded = odvae_core.load(tmp_path / "model.safetensors")
    facts = loaded.provenance.metadata
    assert facts["training_steps"] == "7"
    assert facts["held_out_psnr"] == "21.46"
    assert facts["title"] == "A test."
    assert json.loads(facts["training"])["data"]["rendered"] == 0.5
    for name, weight in vae.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], weight.half().float())
