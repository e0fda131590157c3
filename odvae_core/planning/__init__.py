"""From a request to a plan: how a clip is cut in time and space, and what that needs."""

from .available import FreeMemory, available_memory
from .need import Clip, Need, count_need
from .plan import Plan, find_plans
from .request import Request

__all__ = [
    "Clip",
    "FreeMemory",
    "Need",
    "Plan",
    "Request",
    "available_memory",
    "count_need",
    "find_plans",
]
