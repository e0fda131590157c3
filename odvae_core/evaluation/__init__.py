"""How good reconstructions are, measured as the papers do: many contenders, the same crops.

protocol = Protocol(frames=17, size=128, stride=2)
contenders = [enter_vae("ours", vae, Whole(), None, protocol.crop_size)]
journal = Journal(make_header(protocol, contenders, judges, clips))
evaluate(clips.items(), contenders, protocol, journal, judges)
summary = summarise(journal)
"""

from .baselines import BASELINES
from .contenders import Contender, enter_baseline, enter_vae
from .crops import cut_crops, list_clips
from .engine import evaluate, make_header, take_shard
from .foreign import enter_diffusers
from .journal import Journal, JournalError, Line, merge
from .judges import Judges, load_judges
from .plot import check_plot, draw_plot
from .protocol import Protocol
from .scores import Scores, evaluate_crops
from .summary import summarise
from .tables import describe, write_csv

__all__ = [
    "BASELINES",
    "Contender",
    "Journal",
    "JournalError",
    "Judges",
    "Line",
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
    "list_clips",
    "load_judges",
    "make_header",
    "merge",
    "summarise",
    "take_shard",
    "write_csv",
]
