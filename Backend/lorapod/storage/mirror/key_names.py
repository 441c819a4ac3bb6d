"""Map names that a store does not accept to keys that it accepts."""

from __future__ import annotations

import hashlib
import re
import unicodedata

#: The characters that Supabase Storage accepts in a name.
_SUPABASE = re.compile(r"[\w!\-.*'() &$@=;:+,?]", re.ASCII)


def mapped_root(root: str, *, plain: bool) -> str:
    """Return the folder of a training as its store accepts it.

    A name that had to be changed ends with a digest of the old one, so two names never become one folder.

    Args:
        root: the folder, whose last part is the model's name.
        plain: whether the store accepts only plain Latin letters (Supabase).
    """
    return "/".join(_mapped_folder(part, plain=plain) for part in root.split("/"))


def mapped_name(name: str, *, plain: bool) -> str:
    """Return a file's place below that folder as the store accepts it: `b\u00fccher` becomes `bucher`, `\u732b` becomes `u732b`."""
    return "".join(_mapped(character, plain=plain) for character in name)


def _mapped_folder(part: str, *, plain: bool) -> str:
    mapped = mapped_name(part, plain=plain)
    if mapped == part:
        return part
    return f"{mapped}-{hashlib.sha256(part.encode()).hexdigest()[:8]}"


def _mapped(character: str, *, plain: bool) -> str:
    if character == "/":
        return character
    accepted = _SUPABASE.fullmatch(character) if plain else character.isprintable() and character != "\\"
    if accepted:
        return character
    base = unicodedata.normalize("NFKD", character)[:1]
    letter = plain and base.isascii() and base.isalnum()
    return base if letter else "" if unicodedata.combining(character) else f"u{ord(character):x}"
