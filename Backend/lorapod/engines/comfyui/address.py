"""Where the server is."""

from __future__ import annotations

import http.client
import ipaddress

from yarl import URL


def is_local(url: str) -> bool:
    """Whether an address is this machine's own."""
    host = URL(url).host or ""
    try:
        return ipaddress.ip_address(host).is_loopback or ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return host == "localhost"


def connection_to(url: str, timeout_s: float) -> http.client.HTTPConnection:
    """A connection to the server, not opened yet."""
    address = URL(url)
    kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
    return kind(address.host or "", address.port, timeout=timeout_s)
