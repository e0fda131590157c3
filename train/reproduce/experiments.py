"""All experiments by name."""

from __future__ import annotations

from .cvvae import compare_mappings
from .experiment import ExperimentFunction
from .figure_4 import compare_inflations
from .ivvae import compare_causality, compare_parents
from .table_3 import compare_operations
from .table_4 import compare_schedules
from .variants import compare_variants

EXPERIMENTS: dict[str, ExperimentFunction] = {
    "figure-4": compare_inflations,
    "table-4": compare_schedules,
    "table-3": compare_operations,
    "variants": compare_variants,
}
"""OD-VAE's own."""

FAMILIES: dict[str, ExperimentFunction] = {
    "ivvae-positions": compare_causality,
    "ivvae-parents": compare_parents,
    "cvvae-mappings": compare_mappings,
}
"""Those of IV-VAE and CV-VAE: `--families`."""
