"""Keys of a simulation: from its seed, so that the same seed gives the same signatures. Worth nothing outside."""

import hashlib
import hmac

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from airback.domain.ports.keys import Unsealable


class SimulatedKeys:
    """`domain.ports.keys.KeyProvider` for one simulated operator."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._signers: dict[str, Ed25519PrivateKey] = {}
        self._sealers: dict[str, AESGCM] = {}
        self._sealed = 0

    def sign(self, *, purpose: str, message: bytes) -> tuple[str, bytes]:
        """(key id, signature)."""
        return f"simulated-{purpose}", self._signer(purpose).sign(message)

    def verify(self, *, purpose: str, key_id: str, message: bytes, signature: bytes) -> bool:
        """Whether the signature is this simulation's."""
        if key_id != f"simulated-{purpose}":
            return False
        try:
            self._signer(purpose).public_key().verify(signature, message)
        except InvalidSignature:
            return False
        return True

    def public_keys(self, *, purpose: str) -> dict[str, bytes]:
        """The one public key of that purpose."""
        return {f"simulated-{purpose}": self._signer(purpose).public_key().public_bytes_raw()}

    def seal(self, *, purpose: str, plain: bytes, where: bytes) -> bytes:
        """Nonce (a counter) ‖ ciphertext."""
        self._sealed += 1
        nonce = self._sealed.to_bytes(12, "big")
        return nonce + self._sealer(purpose).encrypt(nonce, plain, where)

    def unseal(self, *, purpose: str, sealed: bytes, where: bytes) -> bytes:
        """The plain bytes. Raises Unsealable."""
        try:
            return self._sealer(purpose).decrypt(sealed[:12], sealed[12:], where)
        except InvalidTag as error:
            raise Unsealable("altered, or moved") from error

    def blind_index(self, *, purpose: str, value: bytes) -> list[bytes]:
        """One keyed hash."""
        return [hmac.new(self._secret(purpose), value, hashlib.sha256).digest()]

    def _signer(self, purpose: str) -> Ed25519PrivateKey:
        signer = self._signers.get(purpose)
        if signer is None:
            signer = self._signers[purpose] = Ed25519PrivateKey.from_private_bytes(self._secret(purpose))
        return signer

    def _sealer(self, purpose: str) -> AESGCM:
        sealer = self._sealers.get(purpose)
        if sealer is None:
            sealer = self._sealers[purpose] = AESGCM(self._secret(purpose))
        return sealer

    def _secret(self, purpose: str) -> bytes:
        return hashlib.sha256(f"{self._seed}|key|{purpose}".encode()).digest()
