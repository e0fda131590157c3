"""Evaluation of reconstructions as in the papers: all candidates on the same crops.

protocol = Protocol(frames=17, size=128, stride=2)
candidates = [make_vae_candidate("ours", vae, Whole(), None, protocol.crop_size)]
journal = Journal(make_header(protocol, candidates, networks, clips))
evaluate(clips.items(), candidates, protocol, journal, networks)
summary = summarise(journal)
"""

from .candidates import BASELINES, Candidate, make_baseline_candidate, make_vae_candidate
from .crops import cut_crops, list_videos
from .diffusers_vaes import make_diffusers_candidate
from .engine import evaluate, make_header, select_shard
from .generated import compare_folders, describe_comparison
from .journal import Journal, JournalError, Line, merge_journals
from .metric_networks import MetricNetworks, load_metric_networks
from .protocol import Protocol
from .published_protocols import (
    PublishedProtocol,
    list_protocols,
    read_protocol,
    select_listed,
)
from .report import check_plot, describe_evaluation, draw_plot, write_csv
from .scores import CropScores, evaluate_crops, score_crops
from .summary import summarise
from .table_1 import Row, find_rows, list_missing, order_rows
from .tats import is_tats, make_tats_candidate
from .vqgan import is_vqgan, make_vqgan_candidate

__all__ = [
    "BASELINES",
    "Candidate",
    "CropScores",
    "Journal",
    "JournalError",
    "Line",
    "MetricNetworks",
    "Protocol",
    "PublishedProtocol",
    "Row",
    "check_plot",
    "compare_folders",
    "cut_crops",
    "describe_comparison",
    "describe_evaluation",
    "draw_plot",
    "evaluate",
    "evaluate_crops",
    "find_rows",
    "is_tats",
    "is_vqgan",
    "list_missing",
    "list_protocols",
    "list_videos",
    "load_metric_networks",
    "make_baseline_candidate",
    "make_diffusers_candidate",
    "make_header",
    "make_tats_candidate",
    "make_vae_candidate",
    "make_vqgan_candidate",
    "merge_journals",
    "order_rows",
    "read_protocol",
    "score_crops",
    "select_listed",
    "select_shard",
    "summarise",
    "write_csv",
]
