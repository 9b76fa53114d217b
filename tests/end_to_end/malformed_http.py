"""Requests that break HTTP's rules, or bend them, and what a server must make of them.

The kinds are those of RFC 9112 (sections 2 to 7 and 11) and of the published work on request smuggling and parser
differences: Linhart et al. 2005, Kettle 2019 and 2022, Jabiyev et al. 2021 (T-Reqs), Kallus and Smith 2024.
The hidden request of the smuggling cases asks for /aliases: whoever answers it has taken a body for a request.
"""

from __future__ import annotations

from typing import NamedTuple

HIDDEN = b"GET /aliases HTTP/1.1\r\nHost: a\r\n\r\n"
BODY = b'{"weight_kg": 73, "height_cm": 182}'
CHUNKED = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
LENGTH = b"Content-Length: %d\r\n" % len(BODY)


class Case(NamedTuple):
    name: str
    sent: bytes


def _post(headers: bytes, body: bytes = BODY) -> bytes:
    return b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n" + headers + b"\r\n" + body


def _get(headers: bytes = b"", line: bytes = b"GET /livez HTTP/1.1") -> bytes:
    return line + b"\r\nHost: a\r\n" + headers + b"\r\n"


REFUSED = [
    # Two ways to say where a body ends
    Case(
        "a length and chunks, the length first",
        _post(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n" + HIDDEN),
    ),
    Case(
        "chunks and a length, the chunks first",
        _post(b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", b"0\r\n\r\n" + HIDDEN),
    ),
    Case("two lengths that differ", _post(b"Content-Length: 0\r\n" + LENGTH)),
    Case("two lengths that differ, in one field", _post(b"Content-Length: 0, %d\r\n" % len(BODY))),
    Case("an unknown coding", _post(b"Transfer-Encoding: xchunked\r\n", CHUNKED)),
    Case("chunks that are not the last coding", _post(b"Transfer-Encoding: chunked, identity\r\n", CHUNKED)),
    Case("a coding that is only like chunked", _post(b"Transfer-Encoding: chunkedfoo\r\n", CHUNKED)),
    Case("a vertical tab before chunked", _post(b"Transfer-Encoding: \x0bchunked\r\n", CHUNKED)),
    Case("a quoted coding", _post(b'Transfer-Encoding: "chunked"\r\n', CHUNKED)),
    Case("a space between a name and its colon", _post(b"Transfer-Encoding : chunked\r\n", CHUNKED)),
    Case("a space between Content-Length and its colon", _post(b"Content-Length : 35\r\n")),
    Case("a header folded over two lines", _post(b"Transfer-Encoding:\r\n chunked\r\n", CHUNKED)),
    # Lengths that are no numbers
    *(
        Case(f"a length of {value!r}", _post(b"Content-Length: " + value + b"\r\n"))
        for value in (b"-1", b"+35", b"0x23", b"35.0", b"3 5", b"", b"35;", b"\xb2", b"9" * 40, b"1e1", b"35,35x")
    ),
    # Chunks that are none
    *(
        Case(f"a chunk of {chunk[:20]!r}", _post(b"Transfer-Encoding: chunked\r\n", chunk))
        for chunk in (
            b"0x23\r\n" + BODY + b"\r\n0\r\n\r\n",
            b"-1\r\n" + BODY + b"\r\n0\r\n\r\n",
            b"+23\r\n" + BODY + b"\r\n0\r\n\r\n",
            b"g\r\n" + BODY + b"\r\n0\r\n\r\n",
            b"\r\n" + BODY + b"\r\n0\r\n\r\n",
            b"23\r\n" + BODY + b"XX0\r\n\r\n",
            b"23 \x00\r\n" + BODY + b"\r\n0\r\n\r\n",
        )
    ),
    # Lines
    Case("a null byte in a value", _get(b"X-A: a\x00b\r\n")),
    Case("a carriage return in a value", _get(b"X-A: a\rX-B: b\r\n")),
    Case("a null byte in a name", _get(b"X-\x00A: a\r\n")),
    Case("a space in a name", _get(b"X A: a\r\n")),
    Case("a name of no characters", _get(b": a\r\n")),
    Case("a header without a colon", _get(b"X-A\r\n")),
    Case("a bracket in a name", _get(b"X-(A): a\r\n")),
    Case("a space before the first header", b"GET /livez HTTP/1.1\r\n Host: a\r\n\r\n"),
    # Request lines
    Case("HTTP/0.9", b"GET /livez\r\n\r\n"),
    Case("no version", b"GET /livez \r\nHost: a\r\n\r\n"),
    Case("HTTP/9.9", _get(line=b"GET /livez HTTP/9.9")),
    Case("HTTP/1.10", _get(line=b"GET /livez HTTP/1.10")),
    Case("another protocol", _get(line=b"GET /livez ICE/1.1")),
    Case("a lower-case protocol", _get(line=b"GET /livez http/1.1")),
    Case("a method of other characters", _get(line=b"G<T /livez HTTP/1.1")),
    Case("a host and a port for a target", _get(line=b"CONNECT a:443 HTTP/1.1")),
    Case("no target", _get(line=b"GET  HTTP/1.1")),
    Case("a space in the target", _get(line=b"GET /li vez HTTP/1.1")),
    Case("a null byte in the target", _get(line=b"GET /livez\x00 HTTP/1.1")),
    Case("the beginning of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    Case("the beginning of TLS", bytes.fromhex("16030100a5010000a10303") + bytes(160) + b"\r\n\r\n"),
    Case("no HTTP at all", b"\x00\xff" * 100 + b"\r\n\r\n"),
    Case("no host", b"GET /livez HTTP/1.1\r\n\r\n"),
    Case("two hosts", b"GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
]
"""Must be answered with an error, or with nothing, and the connection closed; never with 200."""

ACCEPTED = [
    Case("chunks", _post(b"Transfer-Encoding: chunked\r\n", CHUNKED)),
    Case("chunks in any case", _post(b"tRANSFER-eNCODING: CHUNKED\r\n", CHUNKED)),
    Case(
        "one byte a chunk",
        _post(b"Transfer-Encoding: chunked\r\n", b"".join(b"1\r\n%c\r\n" % byte for byte in BODY) + b"0\r\n\r\n"),
    ),
    Case(
        "chunks with an extension", _post(b"Transfer-Encoding: chunked\r\n", CHUNKED.replace(b"23\r\n", b"23;a=b\r\n"))
    ),
    Case("a trailer", _post(b"Transfer-Encoding: chunked\r\n", CHUNKED[:-2] + b"X-Trailer: a\r\n\r\n")),
    Case("a length with zeros before it", _post(b"Content-Length: 000%d\r\n" % len(BODY))),
    Case("spaces around a value", _post(b"Content-Length:  \t %d \t \r\n" % len(BODY))),
    Case("a whole address as the target", b"GET http://a/livez HTTP/1.1\r\nHost: a\r\n\r\n"),
    Case("a header of bytes that are no ASCII", _get(b"X-A: \xe9\xff\r\n")),
]
"""Must be answered once, with 200; what follows on the connection is the next request."""

CUT_OFF = [
    Case("a body shorter than its length", _post(LENGTH, BODY[:-1])),
    Case(
        "a chunk shorter than its size", _post(b"Transfer-Encoding: chunked\r\n", b"ff\r\n" + BODY + b"\r\n0\r\n\r\n")
    ),
    Case("a chunk of 2^72 bytes", _post(b"Transfer-Encoding: chunked\r\n", b"f" * 18 + b"\r\n" + BODY)),
    Case("chunks without an end", _post(b"Transfer-Encoding: chunked\r\n", CHUNKED[:-5])),
    Case("half a header", b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Le"),
    Case("half a request line", b"POST /pre"),
]
"""Ends before the request does: must not be answered with 200."""
