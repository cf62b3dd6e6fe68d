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


class Closed(WireError):  # noqa: N818  # a state of the connection
    """The other end has closed the connection."""


class Late(WireError):  # noqa: N818  # a state of the connection
    """The other end did not respond in time."""


def packed(record: dict[str, Any]) -> bytes:
    """The encoding of a record: JSON values and float64 arrays, nested in dicts and lists to any depth."""
    arrays: list[Array] = []

    def plain(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            arrays.append(np.ascontiguousarray(value, dtype="<f8"))
            return {"array": list(value.shape)}
        if isinstance(value, dict):
            return {"dict": [[str(key), plain(one)] for key, one in value.items()]}
        if isinstance(value, (list, tuple)):
            return [plain(one) for one in value]
        return value

    header = json.dumps(plain(record)).encode()
    return b"".join([_SIZE.pack(len(header)), header, *(array.tobytes() for array in arrays)])


def unpacked(data: bytes) -> dict[str, Any]:
    """The inverse of `packed`, with lists for tuples. Raises `WireError` for bytes that do not encode a record."""
    try:
        (size,) = _SIZE.unpack_from(data)
        at = _SIZE.size + size
        header = json.loads(data[_SIZE.size : at].decode())

        def value(plain: Any) -> Any:
            nonlocal at
            if isinstance(plain, list):
                return [value(one) for one in plain]
            if not isinstance(plain, dict):
                return plain
            if "array" not in plain:
                return {key: value(one) for key, one in plain["dict"]}
            count = int(np.prod(plain["array"], dtype=np.int64)) if plain["array"] else 1
            found = np.frombuffer(data, "<f8", count, at).reshape(plain["array"]).astype(np.float64)
            at += 8 * count
            return found

        record = value(header)
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError, struct.error) as error:
        raise WireError(f"what it sent is no answer ({type(error).__name__})") from None
    if not isinstance(record, dict) or at != len(data):
        raise WireError("what it sent is no answer")
    return record


def send(connection: socket.socket, data: bytes) -> None:
    """Send a message, preceded by its length. Raises `Closed`, or `Late` after the time limit of the connection."""
    try:
        connection.sendall(_SIZE.pack(len(data)) + data)
    except TimeoutError:
        raise Late("it does not read what it is asked") from None
    except OSError:
        raise Closed("the connection is closed") from None


def receive(connection: socket.socket, seconds: float | None = None) -> bytes:
    """The next message. Raises `Closed`, `Late` after the given seconds, or `WireError` if the message is too large."""
    end = None if seconds is None else time.monotonic() + seconds
    (size,) = _SIZE.unpack(_exactly(connection, _SIZE.size, end))
    if size > LARGEST:
        raise WireError("what it sent is larger than any answer")
    return _exactly(connection, size, end)


def _exactly(connection: socket.socket, size: int, end: float | None) -> bytes:
    out = bytearray()
    while len(out) < size:
        left = None if end is None else end - time.monotonic()
        if left is not None and left <= 0.0:
            raise Late("it does not answer")
        try:
            connection.settimeout(left)
            part = connection.recv(min(size - len(out), 1 << 20))
        except TimeoutError:
            raise Late("it does not answer") from None
        except OSError:
            raise Closed("the connection is closed") from None
        if not part:
            raise Closed("the connection is closed")
        out += part
    return bytes(out)
