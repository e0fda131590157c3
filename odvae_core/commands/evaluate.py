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
    describe,
    draw_plot,
    enter_baseline,
    enter_diffusers,
    enter_vae,
    evaluate,
    list_videos,
    load_metric_networks,
    make_header,
    merge,
    summarise,
    take_shard,
    write_csv,
)
from ..evaluation.metric_networks import WITHOUT
from ..files.atomic import holding
from ..layers.coder_pass import Coding
from ..video import VideoError
from .clips import check_output
from .model import choose_device, choose_dtype, make_request, plan_model
from .option_groups import DEFAULT
from .result import Result

CONTENDERS = ("checkpoint", "baseline", "diffusers")


def run(options: Namespace) -> Result:
    """Measure, or read what was measured; write the results."""
    check(options)
    journal = merge(options.merge) if options.merge else measure(options)
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
    return Result(summary, describe(summary))


def check(options: Namespace) -> None:
    """Raise before any work where the options contradict each other or no result can be written."""
    if options.merge:
        named = [name for name in ("inputs", "journal", *CONTENDERS) if getattr(options, name)]
        if named:
            raise ValueError(
                f"got --merge and {named[0]}; merging measures nothing: give journals alone"
            )
    elif not options.inputs:
        raise ValueError("got no clip; name videos or folders of videos, or journals to --merge")
    for path in filter(None, (options.csv, options.plot)):
        check_output(path, options.overwrite)
    if options.journal:
        check_output(options.journal, overwrite=True)  # an existing one is continued
    if options.plot:
        check_plot(options.plot)


def measure(options: Namespace) -> Journal:
    """Measure what the journal lacks."""
    protocol = Protocol(
        options.frames_per_clip,
        options.size,
        tuple(options.short_side or ()),
        options.stride,
        options.crops,
        options.pieces,
    )
    clips = list_videos(options.inputs)
    share = take_shard(clips, options.shard)
    files = {name: getattr(options, name) for name in WITHOUT if getattr(options, name)}
    networks = load_metric_networks(files, choose_device(options.device))
    with holding(options.journal) if options.journal else nullcontext():
        candidates = list(enter_all(options, protocol))
        journal = Journal(make_header(protocol, candidates, networks, clips), options.journal)
        shown = tqdm(share, desc="evaluate", unit=" clips", disable=None)
        evaluate(shown, candidates, protocol, journal, networks)
    return journal


def enter_all(options: Namespace, protocol: Protocol) -> Iterator[Candidate]:
    """Everyone whom the options name."""
    size = protocol.crop_size
    named = any(getattr(options, kind) for kind in CONTENDERS)
    device = choose_device(options.device)
    dtype = choose_dtype(options.dtype, device)
    for text in options.checkpoint or ([] if named else [DEFAULT]):
        name, path = split_name(text)
        vae = load(path, dtype, device, images=True)
        model = plan_model(vae, make_request(options), size)
        yield enter_vae(
            name,
            model.vae,
            model.plans[Coding.ENCODE].schedule,
            model.plans[Coding.ENCODE].tiles,
            size,
            model.plans[Coding.DECODE].schedule,
        )
    for name in options.baseline or ():
        yield enter_baseline(name, size)
    for text in options.diffusers or ():
        yield enter_diffusers(*split_diffusers(text), dtype, device, size)


def split_diffusers(text: str) -> tuple[str, str, Path]:
    """`VQModel=folder` or `ours=VQModel=folder` -> name, class and folder."""
    *name, class_name, folder = ("", *text.split("=", 2))[-3:]
    if not class_name:
        raise ValueError(f"got --diffusers {text}; give CLASS=FOLDER, as in VQModel=vqgan")
    return name[0] or class_name, class_name, Path(folder)


def split_name(text: str) -> tuple[str, str]:
    """`ours=run/ema.safetensors` -> its two halves; a path alone is named by its last part."""
    name, found, path = text.partition("=")
    if found and not Path(text).exists():
        return name, path
    return Path(text).name, text
