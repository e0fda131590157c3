"""Layers that give the same clip however it is cut into chunks; one idea a file."""
