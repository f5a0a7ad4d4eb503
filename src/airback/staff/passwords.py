"""Passwords of staff: what is good enough, how it is kept, how wrong guesses slow down.

Argon2id with the second set of parameters of RFC 9106 §4 (64 MiB, 3 passes), one lane, since the machine's
cores have other work. The salt comes in as an argument. The cost of a check depends on the stored text alone,
so checking `NOBODY` for a name that does not exist takes as long as checking a real one.
"""

import base64
import re
import unicodedata
from typing import Final

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from airback.domain.refusals import Refused

SALT_BYTES: Final = 16
LEAST_CHARACTERS: Final = 12
MOST_CHARACTERS: Final = 128
LEAST_DISTINCT: Final = 6

_PASSES: Final = 3
_MEMORY_KIB: Final = 65_536
_LANES: Final = 1
_HASHER: Final = PasswordHasher(
    time_cost=_PASSES,
    memory_cost=_MEMORY_KIB,
    parallelism=_LANES,
    hash_len=32,
    salt_len=SALT_BYTES,
    type=Type.ID,
)

#: Seconds of pause after the n-th wrong guess in a row; the last one holds for every later guess.
PAUSES_S: Final = (0, 0, 0, 0, 30, 60, 120, 240, 480, 900)

_NAME: Final = re.compile(r"[a-z0-9._-]{1,40}", re.ASCII)

# Whole words that a guesser tries first; a password made of little else is refused.
_FIRST_GUESSES: Final = (
    "password",
    "qwerty",
    "123456",
    "111111",
    "abc123",
    "airback",
    "admin",
    "letmein",
    "woaini",
)


def _nothing(length: int) -> str:
    return base64.b64encode(bytes(length)).rstrip(b"=").decode()


#: A stored password that no input matches: checked when there is nobody of that name, so that time tells nothing.
NOBODY: Final = f"$argon2id$v=19$m={_MEMORY_KIB},t={_PASSES},p={_LANES}${_nothing(SALT_BYTES)}${_nothing(32)}"


def check_strength(*, password: str, name: str) -> None:
    """Raise `Refused("password_weak")` unless the password is long, varied and not the person's name."""
    plain = unicodedata.normalize("NFKC", password)
    folded = plain.casefold()
    rest = folded
    for word in (*_FIRST_GUESSES, name.casefold()):
        rest = rest.replace(word, "")
    if (
        not LEAST_CHARACTERS <= len(plain) <= MOST_CHARACTERS
        or len(set(folded)) < LEAST_DISTINCT
        or len(rest) < LEAST_CHARACTERS // 2
        or not all(character.isprintable() for character in plain)
    ):
        raise Refused("password_weak", field="password")


def parse_name(text: str) -> str:
    """A staff name in its stored form (lower case). Raises `Refused("field_invalid", field="name")`."""
    name = text.strip().lower()
    if _NAME.fullmatch(name) is None:
        raise Refused("field_invalid", field="name")
    return name


def seal(*, password: str, salt: bytes) -> str:
    """The text that is stored. `salt` is `SALT_BYTES` random bytes."""
    return _HASHER.hash(_bytes(password), salt=salt)


def matches(*, password: str, stored: str) -> bool:
    """Whether the password is the one behind `stored`. Slow on purpose: call it outside the event loop."""
    try:
        return _HASHER.verify(stored, _bytes(password))
    except (VerificationError, InvalidHashError):
        return False


def outdated(stored: str) -> bool:
    """Whether `stored` was made with other parameters than today's and should be sealed again."""
    return _HASHER.check_needs_rehash(stored)


def _bytes(password: str) -> bytes:
    # Different keyboards produce one visible character in different ways; a guess of a megabyte is cut short.
    return unicodedata.normalize("NFKC", password[: MOST_CHARACTERS * 4]).encode("utf-8", "surrogatepass")
