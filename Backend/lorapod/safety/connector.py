"""Connections to addresses that callers give, each judged at the last moment."""

from __future__ import annotations

from functools import partial

import aiohttp

from lorapod.safety.urls import CheckedResolver, Lookup, checked_socket, system_lookup


def checked_connector(*, allow_private: bool, lookup: Lookup = system_lookup) -> aiohttp.TCPConnector:
    """A connector that opens a socket only to an address that may be asked, whatever its name meant before."""
    return aiohttp.TCPConnector(
        resolver=CheckedResolver(lookup, allow_private=allow_private),
        use_dns_cache=False,
        socket_factory=partial(checked_socket, allow_private=allow_private),
    )
