"""ComfyUI's events over a websocket, with the standard library alone."""

from __future__ import annotations

import base64
import json
import os
import socket
import struct
import threading
from collections.abc import Callable
from typing import Any

TEXT, BINARY, CLOSE = 1, 2, 8
TEXT_ON_NODE = 3  # ComfyUI's BinaryEventTypes.TEXT


class Listener:
    """Collects the events of one client in `events`: JSON ones as they are, texts on nodes as
    {"type": "text", "node", "text"}. `on_progress` is called with each progress event."""

    def __init__(self, port: int, client: str, on_progress: Callable[[dict], None] | None):
        self.events: list[dict[str, Any]] = []
        self.on_progress = on_progress
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [
            f"GET /ws?clientId={client} HTTP/1.1",
            f"Host: 127.0.0.1:{port}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Version: 13",
        ]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())
        self.stream = self.socket.makefile("rb")
        while self.stream.readline().strip():
            pass
        self.socket.settimeout(None)
        self.thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Listener:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join(10)
        self.stream.close()
        self.socket.close()

    def _listen(self) -> None:
        while (message := self._read_message()) is not None:
            kind, content = message
            if kind == TEXT:
                self._keep(json.loads(content))
            elif kind == BINARY and struct.unpack(">I", content[:4])[0] == TEXT_ON_NODE:
                length = struct.unpack(">I", content[4:8])[0]
                node, text = content[8 : 8 + length], content[8 + length :]
                self._keep({"type": "text", "node": node.decode(), "text": text.decode()})

    def _keep(self, event: dict[str, Any]) -> None:
        self.events.append(event)
        if event["type"] == "progress" and self.on_progress:
            self.on_progress(event)

    def _read_message(self) -> tuple[int, bytes] | None:
        """The next whole message and its kind, or None at the end."""
        kind, content, final = 0, b"", False
        while not final:
            head = self.stream.read(2)
            if len(head) < 2 or head[0] & 15 == CLOSE:
                return None
            final, kind = bool(head[0] & 128), head[0] & 15 or kind
            length = head[1] & 127
            if length > 125:
                size = 2 if length == 126 else 8
                length = int.from_bytes(self.stream.read(size), "big")
            content += self.stream.read(length)
        return kind, content


def assert_moves_by_layer(bar: list[tuple[int, int]]) -> None:
    """A node's progress counts layers and reaches its end; ComfyUI 0.33 limits the updates per
    second."""
    (first, _), (last, total) = bar[0], bar[-1]
    assert bar == sorted(bar)
    assert 0 < first < last == total
    assert total > 20
