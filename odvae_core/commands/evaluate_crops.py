"""The crops, clips and metric networks that the options of `odvae evaluate` select."""

from argparse import Namespace
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

from ..evaluation import (
    MetricNetworks,
    Protocol,
    PublishedProtocol,
    list_videos,
    load_metric_networks,
    read_protocol,
    select_listed,
)
from ..evaluation.metric_networks import METRICS_OF_NETWORKS
from .model import choose_device

CROP_OPTIONS = {
    "frames": "frames_per_clip",
    "size": "size",
    "short_sides": "short_side",
    "stride": "stride",
    "crops": "crops",
    "pieces": "pieces",
}
"""Field of Protocol: option."""


def make_protocol(options: Namespace, **defaults: int) -> tuple[Protocol, PublishedProtocol | None]:
    """The crops of the options, of the named protocol for those not given, and that protocol."""
    published = read_protocol(options.protocol) if options.protocol else None
    values: dict[str, Any] = defaults | dict(published.crops if published else {})
    for field, option in CROP_OPTIONS.items():
        given = getattr(options, option)
        if given:
            values[field] = tuple(given) if field == "short_sides" else given
    return Protocol(**values), published


def select_clips(
    options: Namespace, inputs: Iterable[Path], published: PublishedProtocol | None
) -> dict[str, Path]:
    """The clips of the inputs: those of the list, and the first of them where a number is given."""
    clips = list_videos(inputs)
    if options.clip_list:
        clips = select_listed(clips, options.clip_list)
    return dict(islice(clips.items(), count_clips(options, published)))


def count_clips(options: Namespace, published: PublishedProtocol | None) -> int | None:
    """The most clips to measure."""
    return options.clips or (published.clips if published else None)


def load_networks(options: Namespace) -> MetricNetworks:
    """The metric networks whose files are given."""
    files = {name: getattr(options, name) for name in METRICS_OF_NETWORKS if getattr(options, name)}
    return load_metric_networks(files, choose_device(options.device))
