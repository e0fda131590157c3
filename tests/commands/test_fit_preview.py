"""`odvae fit-preview`."""

import shutil

import odvae_core
from odvae_core.preview import PreviewFit, read_preview
from odvae_core.video import read_video
from tests.commands.calls import call, call_json, draw_clip, write_clip


def test_the_written_factors_are_those_of_the_clips(tmp_path, checkpoint, vae, clip, capsys):
    clips = tmp_path / "clips"
    clips.mkdir()
    shutil.copy(clip, clips / "a.mp4")
    write_clip(clips / "b.mp4", draw_clip(40, 64, 96))
    (clips / "broken.mp4").write_bytes(b"no video")
    target = tmp_path / "tiny.preview.json"
    facts = call_json(capsys, "fit-preview", clips, target, "--checkpoint", checkpoint)
    assert (facts["clips"], facts["skipped"]) == (2, 1)
    fit = PreviewFit(vae)
    for name in ("a.mp4", "b.mp4"):
        video = odvae_core.padding.pad(read_video(clips / name)[:, :, :33], vae)
        fit.add(vae.encode(video).mode(), video)
    expected, written = fit.solve(), read_preview(target)
    assert written.vae_sha256 == vae.provenance.sha256
    for row, other in zip(expected.factors, written.factors, strict=True):
        assert max(abs(a - b) for a, b in zip(row, other, strict=True)) < 1e-3
    assert call("fit-preview", clips, target, "--checkpoint", checkpoint) == 2
    assert "add --overwrite" in capsys.readouterr().err
