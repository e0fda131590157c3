"""`odvae evaluate`: one table of checkpoints, baselines and diffusers VAEs on the same crops."""

from argparse import Namespace
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

from tqdm import tqdm

from ..checkpoint import load
from ..evaluation import (
    Candidate,
    Journal,
    Protocol,
    check_plot,
    describe_evaluation,
    draw_plot,
    evaluate,
    list_videos,
    load_metric_networks,
    make_baseline_candidate,
    make_diffusers_candidate,
    make_header,
    make_vae_candidate,
    merge_journals,
    select_shard,
    summarise,
    write_csv,
)
from ..evaluation.metric_networks import METRICS_OF_NETWORKS
from ..files.atomic import holding
from ..layers.coder_pass import Coding
from ..video import VideoError
from .clip_io import check_output
from .model import choose_device, choose_dtype, make_request, plan_model
from .output import Result
from .shared_options import DEFAULT

CANDIDATE_OPTIONS = ("checkpoint", "baseline", "diffusers")


def run_evaluate(options: Namespace) -> Result:
    """Measure the candidates, or merge journals; write the results."""
    check_evaluate_options(options)
    journal = merge_journals(options.merge) if options.merge else measure_clips(options)
    summary = summarise(journal)
    if not summary["contenders"]:
        reasons = "; ".join(entry["reason"] for entry in summary["left_out"])
        raise VideoError(
            f"not one of {len(journal.header['clips'])} clips could be evaluated: {reasons}"
        )
    if options.csv:
        write_csv(summary, options.csv)
    if options.plot:
        draw_plot(summary, options.plot)
    return Result(summary, describe_evaluation(summary))


def check_evaluate_options(options: Namespace) -> None:
    """Raise before any work if options contradict each other or an output can't be written."""
    if options.merge:
        named = [
            name for name in ("inputs", "journal", *CANDIDATE_OPTIONS) if getattr(options, name)
        ]
        if named:
            raise ValueError(
                f"got --merge and {named[0]}; merging measures nothing: give only journals"
            )
    elif not options.inputs:
        raise ValueError("got no clip; name videos or folders of videos, or journals to --merge")
    for path in filter(None, (options.csv, options.plot)):
        check_output(path, options.overwrite)
    if options.journal:
        check_output(options.journal, overwrite=True)  # an existing one is continued
    if options.plot:
        check_plot(options.plot)


def measure_clips(options: Namespace) -> Journal:
    """Measure the clips and candidates that the journal doesn't contain."""
    protocol = Protocol(
        options.frames_per_clip,
        options.size,
        tuple(options.short_side or ()),
        options.stride,
        options.crops,
        options.pieces,
    )
    clips = list_videos(options.inputs)
    shard = select_shard(clips, options.shard)
    files = {name: getattr(options, name) for name in METRICS_OF_NETWORKS if getattr(options, name)}
    networks = load_metric_networks(files, choose_device(options.device))
    with holding(options.journal) if options.journal else nullcontext():
        candidates = list(make_candidates(options, protocol))
        journal = Journal(make_header(protocol, candidates, networks, clips), options.journal)
        bar = tqdm(shard, desc="evaluate", unit=" clips", disable=None)
        evaluate(bar, candidates, protocol, journal, networks)
    return journal


def make_candidates(options: Namespace, protocol: Protocol) -> Iterator[Candidate]:
    """All models given on the command line, or the embedded model if there are none."""
    size = protocol.crop_size
    named = any(getattr(options, kind) for kind in CANDIDATE_OPTIONS)
    device = choose_device(options.device)
    dtype = choose_dtype(options.dtype, device)
    for text in options.checkpoint or ([] if named else [DEFAULT]):
        name, path = split_name(text)
        vae = load(path, dtype, device, images=True)
        model = plan_model(vae, make_request(options), size)
        yield make_vae_candidate(
            name,
            model.vae,
            model.plans[Coding.ENCODE].schedule,
            model.plans[Coding.ENCODE].tiles,
            size,
            model.plans[Coding.DECODE].schedule,
        )
    for name in options.baseline or ():
        yield make_baseline_candidate(name, size)
    for text in options.diffusers or ():
        yield make_diffusers_candidate(*split_diffusers(text), dtype, device, size)


def split_diffusers(text: str) -> tuple[str, str, Path]:
    """`VQModel=folder` or `ours=VQModel=folder` -> name, class and folder."""
    *name, class_name, folder = ("", *text.split("=", 2))[-3:]
    if not class_name:
        raise ValueError(f"got --diffusers {text}; give CLASS=FOLDER, as in VQModel=vqgan")
    return name[0] or class_name, class_name, Path(folder)


def split_name(text: str) -> tuple[str, str]:
    """`ours=run/ema.safetensors` -> name and path; a path alone is named by its last part."""
    name, found, path = text.partition("=")
    if found and not Path(text).exists():
        return name, path
    return Path(text).name, text
