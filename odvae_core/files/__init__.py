"""File access: atomic writes, and reads whose cost is bounded by the file's size."""
