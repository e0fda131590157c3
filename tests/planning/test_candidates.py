"""odvae_core/planning/candidates.py: what each word stands for."""

import pytest
import torch

import odvae_core as odvae
from odvae_core.constants import STRATEGIES
from odvae_core.planning import Request
from odvae_core.planning.candidates import LISTS, PIECES, list_cuts
from odvae_core.registry import build
from tests.planning.networks import make_vae


def list_schedules(vae, request, coding="decode"):
    coder = vae.encoder_pass() if coding == "encode" else vae.decoder_pass()
    return [schedule for schedule, _ in list_cuts(vae, coder, request)]


def test_every_strategy_has_its_list():
    assert tuple(LISTS) == STRATEGIES


@pytest.mark.parametrize("coding", ["encode", "decode"])
@pytest.mark.parametrize("preset", ["odvae-v1.1", "odvae-v1.2", "cvvae", "ivvae-z4"])
def test_paper_is_one_window_length_both_ways(preset, coding):
    vae = make_published(preset)
    assert list_schedules(vae, Request("paper"), coding) == [odvae.Windows(33)]
    assert list_schedules(vae, Request("paper", 17), coding) == [odvae.Windows(17)]


def make_published(preset):
    """A network as it is loaded from its published file, without weights."""
    with torch.device("meta"):
        vae = build(preset)
    vae.provenance = type("Provenance", (), {"preset": preset})()
    return vae


@pytest.mark.parametrize(
    ("preset", "schedule", "tiles"),
    [
        ("odvae-v1.0", odvae.Whole(), odvae.Tiles(256, 64)),
        ("odvae-v1.1", odvae.Windows(65), odvae.Tiles(256, 64)),
        ("odvae-v1.2", odvae.Windows(33, 61), odvae.Tiles(256, 32)),
        ("cvvae", odvae.Windows(17), odvae.Tiles(576, 128, True)),
    ],
)
def test_published_is_what_the_authors_code_does(preset, schedule, tiles):
    vae = make_published(preset)
    assert list_cuts(vae, vae.decoder_pass(), Request("published")) == [(schedule, tiles)]


def test_published_is_refused_where_nothing_was_published():
    vae = make_vae("odvae-tiny")
    with pytest.raises(ValueError, match=r"published no sizes.*choose paper"):
        list_schedules(vae, Request("published"))


@pytest.mark.parametrize(
    ("preset", "kind"),
    [("odvae-stream", odvae.Stream), ("ivvae-z4", odvae.Stream), ("odvae-v1.2", odvae.Sweep)],
)
def test_exact_is_stream_where_that_is_exact_else_sweep(preset, kind):
    vae = make_vae(preset)
    assert list_schedules(vae, Request("exact")) == [kind(frames) for frames in PIECES]
    assert list_schedules(vae, Request("exact", 13)) == [kind(13)]


def test_an_approximate_stream_has_one_size_since_its_result_depends_on_it():
    assert list_schedules(make_vae("odvae-v1.2"), Request("stream")) == [odvae.Stream(17)]


def test_a_model_that_cannot_be_cut_gets_its_authors_windows():
    listed = list_schedules(make_vae("odvae-v1.0"), Request())
    assert listed == [odvae.Whole(), *(odvae.Windows(frames) for frames in PIECES)]


def test_a_decoder_that_attends_over_all_frames_is_swept_or_windowed_but_never_streamed():
    listed = list_schedules(make_published("cvvae"), Request())
    assert {type(schedule) for schedule in listed} == {odvae.Whole, odvae.Sweep, odvae.Windows}


def test_frames_that_are_asked_for_are_the_only_ones():
    listed = list_schedules(make_vae("odvae-v1.2"), Request("auto", 9))
    assert listed == [odvae.Sweep(9), odvae.Stream(9)]


def test_tiles_overlap_by_an_eighth_unless_told():
    vae = make_vae("odvae-v1.2")
    for overlap, expected in ((None, 32), (0, 0), (64, 64)):
        ((_, tiles),) = list_cuts(vae, vae.decoder_pass(), Request("whole", None, 256, overlap))
        assert tiles == odvae.Tiles(256, expected)


@pytest.mark.parametrize("strategy", ["exact", "stream"])
def test_a_network_that_cannot_be_cut_refuses_pieces_in_words(strategy):
    with pytest.raises(
        ValueError, match=rf"got schedule '{strategy}' .*choose auto, whole or paper"
    ):
        list_schedules(make_vae("odvae-v1.0"), Request(strategy))
