"""`odvae evaluate`: one table of checkpoints, baselines and diffusers VAEs on the same crops."""

from argparse import Namespace
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

from tqdm import tqdm

from ..checkpoint import load, read_tensors
from ..evaluation import (
    Candidate,
    Journal,
    Protocol,
    check_plot,
    compare_folders,
    describe_comparison,
    describe_evaluation,
    draw_plot,
    evaluate,
    find_rows,
    is_tats,
    is_vqgan,
    list_missing,
    make_baseline_candidate,
    make_diffusers_candidate,
    make_header,
    make_tats_candidate,
    make_vae_candidate,
    make_vqgan_candidate,
    merge_journals,
    order_rows,
    read_protocol,
    select_shard,
    summarise,
    write_csv,
)
from ..evaluation.table_1 import SVD_CLASS
from ..files.atomic import holding
from ..layers.coder_pass import Coding
from ..video import VideoError
from .clip_io import check_output
from .evaluate_crops import count_clips, load_networks, make_protocol, select_clips
from .model import choose_device, choose_dtype, make_request, plan_model
from .output import Result
from .shared_options import DEFAULT

CANDIDATE_OPTIONS = ("checkpoint", "baseline", "diffusers", "table_1")
MEASURING = ("inputs", "journal", "generated", *CANDIDATE_OPTIONS)
NOT_GENERATED = ("inputs", "journal", "csv", "plot", *CANDIDATE_OPTIONS)

GENERATED_FRAMES = 16
"""Frames of a generated clip by default: those of I3D's and C3D's published evaluations."""


def run_evaluate(options: Namespace) -> Result:
    """Measure the candidates, merge journals, or compare generated clips; write the results."""
    check_evaluate_options(options)
    if options.generated:
        return compare_generated(options)
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
    return Result(summary, [*describe_evaluation(summary), *describe_papers(options)])


def compare_generated(options: Namespace) -> Result:
    """FVD, KVD and Inception Score between two folders of clips."""
    protocol, published = make_protocol(options, frames=GENERATED_FRAMES)
    real, generated = (select_clips(options, [folder], None) for folder in options.generated)
    most = count_clips(options, published)
    result = compare_folders(real, generated, protocol, load_networks(options), most)
    return Result(result, [*describe_comparison(result), *describe_papers(options)])


def describe_papers(options: Namespace) -> list[str]:
    """What the named protocol says, and which rows of Table 1 are missing."""
    lines = read_protocol(options.protocol).describe() if options.protocol else []
    return lines + (list_missing(find_rows(options.table_1)) if options.table_1 else [])


def check_evaluate_options(options: Namespace) -> None:
    """Raise before any work if options contradict each other or an output can't be written."""
    if options.merge:
        named = [name for name in MEASURING if getattr(options, name)]
        if named:
            raise ValueError(
                f"got --merge and {named[0]}; merging measures nothing: give only journals"
            )
    elif options.generated:
        named = [name for name in NOT_GENERATED if getattr(options, name)]
        if named:
            raise ValueError(
                f"got --generated and {named[0]}; it compares its two folders: leave the rest out"
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
    protocol, published = make_protocol(options)
    clips = select_clips(options, options.inputs, published)
    shard = select_shard(clips, options.shard)
    networks = load_networks(options)
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
    for row, path in order_rows(find_rows(options.table_1)) if options.table_1 else ():
        if row.kind == "svd":
            yield make_diffusers_candidate(row.name, SVD_CLASS, path, dtype, device, size)
        else:
            yield open_candidate(row.name, str(path), options, protocol)
    for text in options.checkpoint or ([] if named else [DEFAULT]):
        yield open_candidate(*split_name(text), options, protocol)
    for name in options.baseline or ():
        yield make_baseline_candidate(name, size)
    for text in options.diffusers or ():
        yield make_diffusers_candidate(*split_diffusers(text), dtype, device, size)


def open_candidate(name: str, path: str, options: Namespace, protocol: Protocol) -> Candidate:
    """A file or a folder as a candidate: TATS, taming's VQGAN, or a VAE of this package."""
    size, device = protocol.crop_size, choose_device(options.device)
    dtype = choose_dtype(options.dtype, device)
    tensors = read_tensors(path)[0] if Path(path).is_file() else {}
    if is_tats(tensors):
        return make_tats_candidate(name, Path(path), dtype, device, size)
    if is_vqgan(tensors):
        return make_vqgan_candidate(name, Path(path), dtype, device, size)
    model = plan_model(load(path, dtype, device, images=True), make_request(options), size)
    encode, decode = model.plans[Coding.ENCODE], model.plans[Coding.DECODE]
    return make_vae_candidate(name, model.vae, encode.schedule, encode.tiles, size, decode.schedule)


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
