"""The networks, built from layers; one module per family."""
