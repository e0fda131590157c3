"""Progress bars on a stderr that can't be written."""

import io

from train.progress import SafeStream, show_progress


class Full(io.StringIO):
    """A stream on a full disk."""

    def write(self, text):
        raise OSError(28, "No space left on device")

    def flush(self):
        raise OSError(28, "No space left on device")


def test_a_full_disk_does_not_end_a_loop_with_a_bar(monkeypatch):
    monkeypatch.setattr("sys.stderr", Full())
    assert list(show_progress([1, 2, 3], mininterval=0)) == [1, 2, 3]


def test_a_stream_that_can_be_written_is():
    stream = io.StringIO()
    SafeStream(stream).write("25 %")
    assert stream.getvalue() == "25 %"
    assert not SafeStream(stream).isatty()
