"""How good reconstructions are, measured as the papers do: many candidates, the same crops.

protocol = Protocol(frames=17, size=128, stride=2)
candidates = [enter_vae("ours", vae, Whole(), None, protocol.crop_size)]
journal = Journal(make_header(protocol, candidates, networks, clips))
evaluate(clips.items(), candidates, protocol, journal, networks)
summary = summarise(journal)
"""

from .baselines import BASELINES
from .candidates import Candidate, enter_baseline, enter_vae
from .crops import cut_crops, list_videos
from .diffusers_vaes import enter_diffusers
from .engine import evaluate, make_header, take_shard
from .journal import Journal, JournalError, Line, merge
from .metric_networks import MetricNetworks, load_metric_networks
from .plot import check_plot, draw_plot
from .protocol import Protocol
from .scores import Scores, evaluate_crops
from .summary import summarise
from .tables import describe, write_csv

__all__ = [
    "BASELINES",
    "Candidate",
    "Journal",
    "JournalError",
    "Line",
    "MetricNetworks",
    "Protocol",
    "Scores",
    "check_plot",
    "cut_crops",
    "describe",
    "draw_plot",
    "enter_baseline",
    "enter_diffusers",
    "enter_vae",
    "evaluate",
    "evaluate_crops",
    "list_videos",
    "load_metric_networks",
    "make_header",
    "merge",
    "summarise",
    "take_shard",
    "write_csv",
]
