"""The networks, built from layers: one file a family."""
