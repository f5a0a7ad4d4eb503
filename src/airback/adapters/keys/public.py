"""Public keys alone, as an operator publishes them: enough to check a signature, and for nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


@dataclass(frozen=True, slots=True)
class PublicKeys:
    """`domain.ports.keys.Verifier` on raw Ed25519 keys by key id, all of one purpose."""

    keys: Mapping[str, bytes]

    def verify(self, *, purpose: str, key_id: str, message: bytes, signature: bytes) -> bool:
        """Whether the signature stands under that key; False for an unknown one."""
        raw = self.keys.get(key_id)
        if raw is None:
            return False
        try:
            Ed25519PublicKey.from_public_bytes(raw).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True
