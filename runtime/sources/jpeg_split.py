"""Cuts a stream of JPEGs, one behind the other, into single ones."""

from __future__ import annotations

import re

#: A picture with more bytes than this is none: 20 megapixels at the best quality take half of it.
MAX_JPEG_BYTES = 32 * 1024 * 1024

# Markers of ITU-T T.81, table B.1.
_START = b"\xff\xd8"
_END, _SCAN = 0xD9, 0xDA
# Without a length behind them: TEM, RST0 to RST7.
_ALONE = frozenset((0x01, *range(0xD0, 0xD8)))
# What ends a scan's coded data: FF, and anything but a stuffed zero, a restart, or a fill byte.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


class JpegSplitter:
    """Takes the bytes of a stream as they come, and gives each picture when it is whole.

    What stands between the pictures, the headers of a multipart stream say, is passed over. A picture that breaks off
    where the next one begins is given as it is: its decoder will say what is wrong.
    """

    def __init__(self) -> None:
        self._data = bytearray()
        # Where the next look begins, and whether that is within coded data.
        self._at = 0
        self._coded = False

    def feed(self, data: bytes) -> list[bytes]:
        """Pictures that these bytes complete, in order."""
        self._data += data
        found = []
        while (end := self._find_end()) is not None:
            found.append(bytes(self._data[:end]))
            self._forget(end)
        return found

    @property
    def rest(self) -> bytes:
        """The beginning of a picture that has not ended."""
        return bytes(self._data)

    def _forget(self, count: int) -> None:
        del self._data[:count]
        self._at, self._coded = 0, False

    def _find_end(self) -> int | None:
        """Behind the last byte of the first picture; None where it is not all there."""
        if not self._at and not self._find_start():
            return None
        while self._at is not None:
            while len(self._data) > MAX_JPEG_BYTES:
                self._forget(2)  # no picture: look for another beginning
                if not self._find_start():
                    return None
            marker = self._next_marker()
            if marker is None:
                return None
            if marker == _END:
                return self._at
            if marker == _START[1]:  # the next picture, within this one
                return self._at - 2
        return None

    def _find_start(self) -> bool:
        start = self._data.find(_START)
        if start < 0:
            del self._data[: max(0, len(self._data) - 1)]  # the last byte may be half of it
            return False
        del self._data[:start]
        self._at = 2
        return True

    def _next_marker(self) -> int | None:
        """Step behind the next marker, and behind what belongs to it; None where more bytes are needed."""
        data = self._data
        if self._coded:
            match = _MARKER.search(data, self._at)
            if match is None:
                self._at = max(self._at, len(data) - 1)
                return None
            place = match.start()
        else:
            place = self._at
            if len(data) < place + 2:
                return None
            if data[place] != 0xFF:  # broken off within its headers: all up to the next beginning is of no use
                following = data.find(_START, 2)
                self._at = following + 2 if following > 0 else len(data)
                if following < 0:
                    self._coded = True  # what ends coded data shows where to go on
                return _START[1] if following > 0 else None
            if data[place + 1] == 0xFF:  # a fill byte
                self._at += 1
                return 0xFF
        marker = data[place + 1]
        if marker in (_END, _START[1]) or marker in _ALONE:
            self._at, self._coded = place + 2, False
            return marker
        if len(data) < place + 4:
            self._at = place
            self._coded = False
            return None
        length = int.from_bytes(data[place + 2 : place + 4], "big")
        if len(data) < place + 2 + length:
            self._at, self._coded = place, False
            return None
        self._at, self._coded = place + 2 + max(length, 2), marker == _SCAN
        return marker
