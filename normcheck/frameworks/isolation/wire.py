"""The encoding of messages from an untrusted child process: a header in JSON, followed by the arrays as float64.

Nothing that such a process sends is unpickled, because unpickling can run arbitrary code.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from typing import Any

import numpy as np

from normcheck.core.floats import Array

LARGEST = 1 << 29
"""Largest number of bytes of a message; a result whose arrays have a million entries each uses a tenth of it."""

_SIZE = struct.Struct("<Q")


class WireError(Exception):
    """A message is invalid; the text is one clause."""


class Disconnected(WireError):  # noqa: N818  # a state of the connection
    """The other end has closed the connection."""


class TimedOut(WireError):  # noqa: N818  # a state of the connection
    """The other end did not respond in time."""


def encode(record: dict[str, Any]) -> bytes:
    """The encoding of a record: JSON values and float64 arrays, nested in dicts and lists to any depth."""
    arrays: list[Array] = []

    def to_json(item: Any) -> Any:
        if isinstance(item, np.ndarray):
            arrays.append(np.ascontiguousarray(item, dtype="<f8"))
            return {"array": list(item.shape)}
        if isinstance(item, dict):
            return {"dict": [[str(key), to_json(part)] for key, part in item.items()]}
        if isinstance(item, (list, tuple)):
            return [to_json(part) for part in item]
        return item

    header = json.dumps(to_json(record)).encode()
    return b"".join([_SIZE.pack(len(header)), header, *(array.tobytes() for array in arrays)])


def decode(data: bytes) -> dict[str, Any]:
    """The inverse of `encode`, with lists for tuples. Raises `WireError` for bytes that do not encode a record."""
    try:
        (size,) = _SIZE.unpack_from(data)
        position = _SIZE.size + size
        header = json.loads(data[_SIZE.size : position].decode())

        def from_json(item: Any) -> Any:
            nonlocal position
            if isinstance(item, list):
                return [from_json(part) for part in item]
            if not isinstance(item, dict):
                return item
            if "array" not in item:
                return {key: from_json(part) for key, part in item["dict"]}
            count = int(np.prod(item["array"], dtype=np.int64)) if item["array"] else 1
            array = np.frombuffer(data, "<f8", count, position).reshape(item["array"]).astype(np.float64)
            position += 8 * count
            return array

        record = from_json(header)
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError, struct.error) as error:
        raise WireError(f"it sent an invalid response ({type(error).__name__})") from None
    if not isinstance(record, dict) or position != len(data):
        raise WireError("it sent an invalid response")
    return record


def send(connection: socket.socket, data: bytes) -> None:
    """Send a message, preceded by its length. Raises `Disconnected`, or `TimedOut` after its time limit."""
    try:
        connection.sendall(_SIZE.pack(len(data)) + data)
    except TimeoutError:
        raise TimedOut("it does not read its requests") from None
    except OSError:
        raise Disconnected("the connection is closed") from None


def receive(connection: socket.socket, seconds: float | None = None) -> bytes:
    """The next message. Raises `Disconnected`, `TimedOut` after `seconds`, or `WireError` if it is too large."""
    deadline = None if seconds is None else time.monotonic() + seconds
    (size,) = _SIZE.unpack(_exactly(connection, _SIZE.size, deadline))
    if size > LARGEST:
        raise WireError("it sent a response that is too large")
    return _exactly(connection, size, deadline)


def _exactly(connection: socket.socket, size: int, deadline: float | None) -> bytes:
    out = bytearray()
    while len(out) < size:
        remaining = None if deadline is None else deadline - time.monotonic()
        if remaining is not None and remaining <= 0.0:
            raise TimedOut("it does not respond")
        try:
            connection.settimeout(remaining)
            part = connection.recv(min(size - len(out), 1 << 20))
        except TimeoutError:
            raise TimedOut("it does not respond") from None
        except OSError:
            raise Disconnected("the connection is closed") from None
        if not part:
            raise Disconnected("the connection is closed")
        out += part
    return bytes(out)
