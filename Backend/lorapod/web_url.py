"""Whether a text of the environment is the URL of a web server."""

from __future__ import annotations

from urllib.parse import urlsplit

from yarl import URL


def is_web_url(text: str) -> bool:
    """Return whether `text` is an http or https URL with a host and, if it has one, a possible port."""
    try:
        port = urlsplit(text).port
        url = URL(text)
    except ValueError:
        return False
    return url.scheme in {"http", "https"} and bool(url.host) and port != 0


def web_url(text: str) -> str:
    """Return `text` if it is such a URL; for the fields of settings.

    Raises:
        ValueError: it is not.
    """
    if not is_web_url(text):
        raise ValueError("is not an http or https URL: write it as http://host:port")
    return text
