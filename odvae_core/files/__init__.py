"""Files in general: written whole or not at all, and read for no more than their size warrants."""
