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
from .journal import Journal, JournalError, Line, merge_journals
from .metric_networks import MetricNetworks, load_metric_networks
from .protocol import Protocol
from .report import check_plot, describe_evaluation, draw_plot, write_csv
from .scores import CropScores, evaluate_crops, score_crops
from .summary import summarise

__all__ = [
    "BASELINES",
    "Candidate",
    "CropScores",
    "Journal",
    "JournalError",
    "Line",
    "MetricNetworks",
    "Protocol",
    "check_plot",
    "cut_crops",
    "describe_evaluation",
    "draw_plot",
    "evaluate",
    "evaluate_crops",
    "list_videos",
    "load_metric_networks",
    "make_baseline_candidate",
    "make_diffusers_candidate",
    "make_header",
    "make_vae_candidate",
    "merge_journals",
    "score_crops",
    "select_shard",
    "summarise",
    "write_csv",
]
