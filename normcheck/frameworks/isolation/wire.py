"""Values between the judge and a process that is not trusted: a header in JSON, then arrays as plain numbers.

Nothing that comes from such a process is unpickled: unpickling runs what the sender wishes.
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
"""Bytes of a message at most: a million members in every array of an answer are a tenth of it."""

_SIZE = struct.Struct("<Q")


class WireError(Exception):
    """A message is none, in one clause."""


class Closed(WireError):  # noqa: N818  # a state of the connection
    """The other end is gone."""


class Late(WireError):  # noqa: N818  # a state of the connection
    """The other end did not answer in time."""


def packed(record: dict[str, Any]) -> bytes:
    """Bytes of a record of plain values, float64 arrays among them, at any depth of dicts and lists."""
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
    """The inverse of `packed`; lists for tuples. Raises `WireError` for bytes that are none."""
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
    """Send a message, its length first. Raises `Closed`, or `Late` where the connection has a time limit."""
    try:
        connection.sendall(_SIZE.pack(len(data)) + data)
    except TimeoutError:
        raise Late("it does not read what it is asked") from None
    except OSError:
        raise Closed("the connection is closed") from None


def receive(connection: socket.socket, seconds: float | None = None) -> bytes:
    """The next message. Raises `Closed`, `Late`, or `WireError` for one that is too large."""
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
