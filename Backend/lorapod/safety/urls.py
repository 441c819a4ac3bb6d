"""URLs that callers give: which of them this worker may fetch, and how they are shown."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from lorapod.errors import UnsafeUrl, UpstreamError

URL_MAX_CHARACTERS = 8192

#: Not public, though not all versions of `ipaddress` say so: shared address space, protocol assignments, relays,
#: and the clouds' own metadata services at public-looking addresses (Oracle, Azure).
_NOT_PUBLIC = tuple(
    ipaddress.ip_network(network)
    for network in (
        "100.64.0.0/10",
        "168.63.129.16/32",
        "192.0.0.0/24",
        "192.88.99.0/24",
        "198.18.0.0/15",
        "64:ff9b:1::/48",
        "2001::/23",
        "fec0::/10",
    )
)
#: IPv6 addresses of networks without IPv4; the last 32 bits are the IPv4 address that is really contacted.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

#: A host whose last label is a number is an IPv4 address to every resolver, in any form (2130706433, 0x7f.1).
_NUMBER = re.compile(r"(?:.*\.)?(?:\d+|0x[0-9a-f]*)\.?", re.IGNORECASE)

#: What the parser raises; `LookupError` at brackets in strange places.
MALFORMED = (ValueError, LookupError)

_FORBIDDEN = re.compile(r"[\x00-\x20\x7f\\]")

#: Return the socket addresses of a host and port, as `socket.getaddrinfo` does.
Lookup = Callable[[str, int], Awaitable[Sequence[tuple[int, str]]]]


def is_public(address: str) -> bool:
    """Return whether an IP address is public; an IPv4 address that is written as IPv6 is judged as IPv4."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.scope_id is not None:
            return False
        inner = ip.ipv4_mapped or ip.sixtofour
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
        if inner is not None:
            return is_public(str(inner))
    if any(ip in network for network in _NOT_PUBLIC if network.version == ip.version):
        return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


def check_url(text: str, *, allow_private: bool = False) -> URL:
    """Parse and check a caller's URL; the host's IP address is checked when the connection is made.

    Args:
        text: an absolute http or https URL.
        allow_private: whether servers in private networks may be contacted.

    Raises:
        UnsafeUrl: it is not http or https, malformed, or its host is an IP address that is not public.
    """
    if len(text) > URL_MAX_CHARACTERS or _FORBIDDEN.search(text):
        raise UnsafeUrl("The URL is too long, or contains spaces, backslashes or control characters.")
    try:
        # Plain ASCII stays as it is, byte by byte: signatures depend on it.
        url = URL(text, encoded=text.isascii())
        host, port = url.raw_host, url.port
    except MALFORMED as error:
        raise UnsafeUrl("The URL is malformed.", hint="Give it as https://host/path.") from error
    if url.scheme not in {"http", "https"}:
        raise UnsafeUrl(
            f"The URL has the scheme {url.scheme[:20]!r}; only https and http are fetched.",
            hint="Give it as https://host/path.",
        )
    if not host or not host.isascii() or not port:
        raise UnsafeUrl("The URL has no host.", hint="Give it as https://host/path.")
    _check_host(host, allow_private=allow_private)
    return url


def shown_url(url: URL | str) -> str:
    """Return a URL for logs and answers: without credentials, query and fragment, which may contain secrets."""
    try:
        parsed = URL(str(url), encoded=True)
        bare = parsed.with_user(None).with_query(None).with_fragment(None)
    except MALFORMED:
        return "(malformed URL)"
    text = str(bare)
    return text if len(text) <= 160 else f"{text[:157]}..."


async def system_lookup(host: str, port: int) -> Sequence[tuple[int, str]]:
    """Ask the system's resolver."""
    loop = asyncio.get_running_loop()
    infos = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(int(family), str(address[0])) for family, _, _, _, address in infos]


class CheckedResolver(AbstractResolver):
    """Looks a host up once for each connection, and refuses IP addresses that may not be contacted.

    The connection is made to one of the addresses that were checked, so a name that changes a moment later does no harm.
    A host with both public and private addresses is refused.
    """

    def __init__(self, lookup: Lookup = system_lookup, *, allow_private: bool) -> None:
        """Check what `lookup` finds."""
        self._lookup = lookup
        self._allow_private = allow_private

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the IP addresses of a host.

        Raises:
            UnsafeUrl: one of them is not public.
            OSError: it has no address at present.
        """
        found = await self._lookup(host, port)
        for _, address in found:
            if not self._allow_private and not is_public(address):
                raise refused(host)
        results = [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=found_family,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for found_family, address in dict.fromkeys(found)
            if family in (socket.AF_UNSPEC, found_family)
        ]
        if not results:
            raise OSError(None, f"{host} has no address")
        return results

    async def close(self) -> None:
        """Do nothing: nothing is open."""


def checked_socket(
    info: tuple[int, int, int, str, tuple[object, ...]], *, allow_private: bool
) -> socket.socket:
    """Return a socket for an IP address; the last check before a connection.

    Raises:
        UnsafeUrl: it is not public.
    """
    family, kind, protocol, _, address = info
    if not allow_private and not is_public(str(address[0])):
        raise refused(str(address[0]))
    return socket.socket(family, kind, protocol)


def checked_connector(*, allow_private: bool, lookup: Lookup = system_lookup) -> aiohttp.TCPConnector:
    """Return a connector that opens sockets only to IP addresses that may be contacted."""
    return aiohttp.TCPConnector(
        resolver=CheckedResolver(lookup, allow_private=allow_private),
        use_dns_cache=False,
        socket_factory=partial(checked_socket, allow_private=allow_private),
    )


def refused(host: str) -> UnsafeUrl:
    """Return the error for a host that is not on the public internet; it does not say what was found there."""
    return UnsafeUrl(
        f"The host {host[:80]!r} is not on the public internet.",
        hint="Give a public URL. The operator of the worker may set ALLOW_PRIVATE_URLS=true.",
    )


def unreachable(url: URL, reason: str) -> UpstreamError:
    """Return the error for a server that failed."""
    return UpstreamError(f"{shown_url(url)} could not be fetched: {reason}.", hint="Try again later.")


def _check_host(host: str, *, allow_private: bool) -> None:
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        if _NUMBER.fullmatch(host):
            raise UnsafeUrl(
                f"The host {host[:80]!r} is an IP address in an unusual form.",
                hint="Write it as four decimal numbers, or give a host name.",
            ) from None
        return
    if not allow_private and not is_public(str(ip)):
        raise refused(host)
