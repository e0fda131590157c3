"""Layers whose output doesn't depend on how a clip is cut into chunks."""
