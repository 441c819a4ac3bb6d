"""Addresses that callers give: which of them this worker may ask, and how they are shown."""

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
#: IPv6 addresses of networks without IPv4; the last 32 bits are the IPv4 address that is really asked.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

#: A host whose last label is a number is an IPv4 address to every resolver, whatever its form (2130706433, 0x7f.1).
_NUMBER = re.compile(r"(?:.*\.)?(?:\d+|0x[0-9a-f]*)\.?", re.IGNORECASE)

#: What the parser raises; the second at brackets in strange places.
MALFORMED = (ValueError, LookupError)

_FORBIDDEN = re.compile(r"[\x00-\x20\x7f\\]")

#: From a host and port to socket addresses, as `socket.getaddrinfo` answers them.
Lookup = Callable[[str, int], Awaitable[Sequence[tuple[int, str]]]]


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet's, seen through every way to write an IPv4 one as IPv6."""
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
    """A caller's address, parsed; the host is looked up, and judged again, only when it is asked.

    Args:
        text: an absolute http or https address.
        allow_private: whether addresses of private networks may be asked.

    Raises:
        UnsafeUrl: it is not http or https, malformed, or names an address that is not public.
    """
    if len(text) > URL_MAX_CHARACTERS or _FORBIDDEN.search(text):
        raise UnsafeUrl("The address is too long, or has spaces, backslashes or control characters in it.")
    try:
        # What is plain ASCII stays byte by byte as it is: signatures count on it.
        url = URL(text, encoded=text.isascii())
        host, port = url.raw_host, url.port
    except MALFORMED as error:
        raise UnsafeUrl("The address is malformed.", hint="Give it as https://host/path.") from error
    if url.scheme not in {"http", "https"}:
        raise UnsafeUrl(
            f"The address has the scheme {url.scheme[:20]!r}; only https and http are fetched.",
            hint="Give it as https://host/path.",
        )
    if not host or not host.isascii() or not port:
        raise UnsafeUrl("The address names no host.", hint="Give it as https://host/path.")
    _check_host(host, allow_private=allow_private)
    return url


def shown_url(url: URL | str) -> str:
    """An address for logs and answers: without credentials, query and fragment, where signatures and tokens stand."""
    try:
        parsed = URL(str(url), encoded=True)
        bare = parsed.with_user(None).with_query(None).with_fragment(None)
    except MALFORMED:
        return "(malformed address)"
    text = str(bare)
    return text if len(text) <= 160 else f"{text[:157]}..."


async def system_lookup(host: str, port: int) -> Sequence[tuple[int, str]]:
    """Ask the system's resolver."""
    loop = asyncio.get_running_loop()
    infos = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(int(family), str(address[0])) for family, _, _, _, address in infos]


class CheckedResolver(AbstractResolver):
    """Looks a host up once for each connection, and lets no address pass that may not be asked.

    The connection goes to one of the very addresses that were judged: a name that means something else a moment
    later gains nothing by it. A host that has public and private addresses at once is refused altogether.
    """

    def __init__(self, lookup: Lookup = system_lookup, *, allow_private: bool) -> None:
        """Judge what `lookup` finds."""
        self._lookup = lookup
        self._allow_private = allow_private

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses of a host.

        Raises:
            UnsafeUrl: one of them is not public.
            OSError: it has none at present.
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
        """Nothing is kept open."""


def checked_socket(
    info: tuple[int, int, int, str, tuple[object, ...]], *, allow_private: bool
) -> socket.socket:
    """The last gate: a socket for an address about to be connected to, however it was come by.

    Raises:
        UnsafeUrl: it is not public.
    """
    family, kind, protocol, _, address = info
    if not allow_private and not is_public(str(address[0])):
        raise refused(str(address[0]))
    return socket.socket(family, kind, protocol)


def checked_connector(*, allow_private: bool, lookup: Lookup = system_lookup) -> aiohttp.TCPConnector:
    """A connector that opens a socket only to an address that may be asked, whatever its name meant before."""
    return aiohttp.TCPConnector(
        resolver=CheckedResolver(lookup, allow_private=allow_private),
        use_dns_cache=False,
        socket_factory=partial(checked_socket, allow_private=allow_private),
    )


def refused(host: str) -> UnsafeUrl:
    """The error for a host that is not on the public internet; it does not tell what was found there."""
    return UnsafeUrl(
        f"The host {host[:80]!r} is not on the public internet.",
        hint="Give a public address. Who runs the worker may set ALLOW_PRIVATE_URLS=true.",
    )


def unreachable(url: URL, reason: str) -> UpstreamError:
    """The error for a server that failed."""
    return UpstreamError(f"{shown_url(url)} could not be fetched: {reason}.", hint="Try again later.")


def _check_host(host: str, *, allow_private: bool) -> None:
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        if _NUMBER.fullmatch(host):
            raise UnsafeUrl(
                f"The host {host[:80]!r} is an IP address in an unusual form.",
                hint="Write it as four numbers, or give a name.",
            ) from None
        return
    if not allow_private and not is_public(str(ip)):
        raise refused(host)
