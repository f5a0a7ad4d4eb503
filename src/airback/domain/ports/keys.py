"""KeyProvider: where keys live. Separate keys for quotes, receipts, card codes, indexes and sessions; none in the database."""

from typing import Protocol


class Verifier(Protocol):
    """Knows public keys."""

    def verify(self, *, purpose: str, key_id: str, message: bytes, signature: bytes) -> bool:
        """Whether the signature stands under that key of that purpose; False for an unknown key."""


class KeyProvider(Verifier, Protocol):
    """Signs, seals and indexes without ever handing a key out."""

    def sign(self, *, purpose: str, message: bytes) -> tuple[str, bytes]:
        """(key id, Ed25519 signature) under the current key of `purpose` (`quote`, `receipt`, `proof`)."""

    def public_keys(self, *, purpose: str) -> dict[str, bytes]:
        """Raw Ed25519 public keys by key id, current and retired."""

    def seal(self, *, purpose: str, plain: bytes, where: bytes) -> bytes:
        """AES-256-GCM under the current key of `purpose`; key id and nonce in the header; `where` (table/column/row)
        is bound as associated data."""

    def unseal(self, *, purpose: str, sealed: bytes, where: bytes) -> bytes:
        """The plain bytes. Raises `Unsealable` when tampered with, moved or sealed under an unknown key."""

    def blind_index(self, *, purpose: str, value: bytes) -> list[bytes]:
        """32-byte HMAC-SHA-256 indexes under the current key and, during a rotation, the previous one."""


class Unsealable(Exception):
    """Sealed bytes that cannot be opened: altered, moved to another place, or under an unknown key."""
