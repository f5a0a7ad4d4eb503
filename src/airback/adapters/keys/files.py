"""Keys in files: one file per purpose, mode 0600, in a directory of mode 0700; made at first use.

A file is JSON: `{"v":1,"purpose":…,"algorithm":…,"current":{"id","secret"},"retired":[…]}`, secrets in base64. A
retired Ed25519 key keeps its public half only; a retired AES key is kept whole, to open what it sealed; a retired
HMAC key is kept until `finish_rotation`, while what it indexed is indexed anew.

A key's id derives from the key, so a damaged file is noticed instead of signing with noise. Several processes may
share the directory: a new file appears whole (written aside, then linked) and never replaces another, rotations
take a lock, and every signing, sealing and indexing looks whether the file changed, so that a rotation counts in
all processes at once.

Keys and nonces come from the operating system only. A nonce drawn from a seed would repeat with the seed, and one
repeated AES-GCM nonce gives the key away.
"""

import base64
import binascii
import contextlib
import fcntl
import hashlib
import hmac
import json
import math
import os
import secrets
import stat
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from airback.domain.ports.keys import Unsealable


class Algorithm(StrEnum):
    """What a purpose's key does."""

    ED25519 = "Ed25519"
    AES_256_GCM = "AES-256-GCM"
    HMAC_SHA_256 = "HMAC-SHA-256"


PURPOSES: Final[dict[str, Algorithm]] = {
    "quote": Algorithm.ED25519,
    "receipt": Algorithm.ED25519,
    "proof": Algorithm.ED25519,
    "card_code": Algorithm.AES_256_GCM,
    "payee": Algorithm.AES_256_GCM,
    "effect": Algorithm.AES_256_GCM,
    "webhook": Algorithm.AES_256_GCM,
    "card_index": Algorithm.HMAC_SHA_256,
    "seller_index": Algorithm.HMAC_SHA_256,
    "client_key": Algorithm.HMAC_SHA_256,
    "session": Algorithm.HMAC_SHA_256,
    "cookie": Algorithm.AES_256_GCM,
}

_KEY_BYTES: Final = 32
_ID_BYTES: Final = 8
_NONCE_BYTES: Final = 12
_SEAL_VERSION: Final = b"\x01"
_HEADER_BYTES: Final = 1 + _ID_BYTES + _NONCE_BYTES
_MOST_FILE_BYTES: Final = 1 << 20
_OTHERS: Final = 0o077


class KeysUnusable(Exception):
    """The keys cannot be used as they lie on disk. The text says why and what to do, and holds nothing secret."""


@dataclass(frozen=True, slots=True)
class _Signer:
    key_id: str
    private: Ed25519PrivateKey = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Ring:
    """The keys of one purpose, ready to use, with the file's identity when they were read."""

    identity: tuple[int, int, int]
    signer: _Signer | None
    publics: dict[str, Ed25519PublicKey]
    sealers: dict[bytes, AESGCM] = field(repr=False)
    sealer_id: bytes
    indexers: tuple[bytes, ...] = field(repr=False)


class FileKeys:
    """`domain.ports.keys.KeyProvider` on files below `directory`. Every method may raise `KeysUnusable`."""

    def __init__(self, directory: Path, *, trusted_s: float = 0.0) -> None:
        """`trusted_s`: a key that was looked at on disk is not looked at again for so long. A process that signs thousands
        of quotes a second need not ask the disk each time; a rotation by another process is seen so much later."""
        self._directory = Path(directory)
        self._trusted_s = trusted_s
        self._looked_at: dict[str, float] = {}
        self._rings: dict[str, _Ring] = {}
        self._files = {purpose: str(self._path(purpose)) for purpose in PURPOSES}
        self._loading = threading.Lock()

    def __repr__(self) -> str:
        return f"FileKeys({str(self._directory)!r})"

    # -- the port

    def sign(self, *, purpose: str, message: bytes) -> tuple[str, bytes]:
        """(key id, Ed25519 signature) under the current key of `purpose`."""
        signer = self._fresh(purpose, Algorithm.ED25519).signer
        if signer is None:  # pragma: no cover - a ring of this algorithm always has one
            raise KeysUnusable(f"the {purpose} key is missing")
        return signer.key_id, signer.private.sign(message)

    def verify(self, *, purpose: str, key_id: str, message: bytes, signature: bytes) -> bool:
        """Whether the signature stands under that key of that purpose; False for an unknown key."""
        _expect(purpose, Algorithm.ED25519)
        ring = self._rings.get(purpose)
        public = None if ring is None else ring.publics.get(key_id)
        if public is None:
            public = self._fresh(purpose, Algorithm.ED25519, trust=False).publics.get(key_id)
        if public is None:
            return False
        try:
            public.verify(signature, message)
        except InvalidSignature:
            return False
        return True

    def public_keys(self, *, purpose: str) -> dict[str, bytes]:
        """Raw Ed25519 public keys by key id, the current one first, then the retired."""
        publics = self._fresh(purpose, Algorithm.ED25519).publics
        return {key_id: public.public_bytes_raw() for key_id, public in publics.items()}

    def seal(self, *, purpose: str, plain: bytes, where: bytes) -> bytes:
        """`0x01 ‖ key id (8) ‖ nonce (12) ‖ ciphertext ‖ tag (16)`, with purpose and `where` bound to it."""
        ring = self._fresh(purpose, Algorithm.AES_256_GCM)
        nonce = secrets.token_bytes(_NONCE_BYTES)
        header = _SEAL_VERSION + ring.sealer_id
        sealed = ring.sealers[ring.sealer_id].encrypt(nonce, plain, _bound(header, purpose, where))
        return header + nonce + sealed

    def unseal(self, *, purpose: str, sealed: bytes, where: bytes) -> bytes:
        """The plain bytes. Raises `Unsealable` when altered, moved or sealed under an unknown key."""
        _expect(purpose, Algorithm.AES_256_GCM)
        if len(sealed) < _HEADER_BYTES or sealed[:1] != _SEAL_VERSION:
            raise Unsealable("not sealed bytes of this version")
        key_id = bytes(sealed[1 : 1 + _ID_BYTES])
        ring = self._rings.get(purpose)
        sealer = None if ring is None else ring.sealers.get(key_id)
        if sealer is None:
            sealer = self._fresh(purpose, Algorithm.AES_256_GCM, trust=False).sealers.get(key_id)
        if sealer is None:
            raise Unsealable("sealed under an unknown key")
        nonce = sealed[1 + _ID_BYTES : _HEADER_BYTES]
        try:
            return sealer.decrypt(
                nonce, sealed[_HEADER_BYTES:], _bound(_SEAL_VERSION + key_id, purpose, where)
            )
        except InvalidTag:
            raise Unsealable("altered, or moved to another place") from None

    def blind_index(self, *, purpose: str, value: bytes) -> list[bytes]:
        """32-byte indexes of `value`: under the current key first, then, during a rotation, the previous one."""
        ring = self._fresh(purpose, Algorithm.HMAC_SHA_256)
        return [hmac.digest(key, value, "sha256") for key in ring.indexers]

    # -- keeping keys

    def rotate(self, *, purpose: str) -> str:
        """Make a new current key of `purpose`, retire the old one; the new key's id.

        Raises `KeysUnusable` for an HMAC purpose whose last rotation was not finished: a third key would leave
        what stands under the first unfindable.
        """
        algorithm = _algorithm(purpose)
        self._fresh(purpose, algorithm)
        with self._locked():
            document = self._document(purpose)
            retired: list[dict[str, str]] = document["retired"]
            if algorithm is Algorithm.HMAC_SHA_256 and retired:
                raise KeysUnusable(
                    f"the last rotation of the {purpose} key is not finished; "
                    "index the stored values anew and finish it first"
                )
            old = document["current"]
            if algorithm is Algorithm.ED25519:
                public = Ed25519PrivateKey.from_private_bytes(base64.b64decode(old["secret"])).public_key()
                old = {"id": old["id"], "public": _text(public.public_bytes_raw())}
            fresh = _new_key(purpose, algorithm)
            self._write(purpose, document | {"current": fresh, "retired": [old, *retired]}, replace=True)
        self._fresh(purpose, algorithm)
        return fresh["id"]

    def finish_rotation(self, *, purpose: str) -> None:
        """Forget the previous HMAC key of `purpose`, once nothing stands under it any more."""
        _expect(purpose, Algorithm.HMAC_SHA_256)
        self._fresh(purpose, Algorithm.HMAC_SHA_256)
        with self._locked():
            self._write(purpose, self._document(purpose) | {"retired": []}, replace=True)

    # -- files

    def _path(self, purpose: str) -> Path:
        return self._directory / f"{purpose}.key.json"

    def _fresh(self, purpose: str, algorithm: Algorithm, *, trust: bool = True) -> _Ring:
        """The ring as the file holds it now, or held it within `trusted_s`; made when there is none. One `stat` at most when
        nothing changed. Whoever misses a key does not `trust` what is remembered."""
        _expect(purpose, algorithm)
        ring = self._rings.get(purpose)
        if ring is not None:
            now = time.monotonic()
            if trust and now < self._looked_at.get(purpose, -math.inf) + self._trusted_s:
                return ring
            try:
                found = os.stat(self._files[purpose])  # noqa: PTH116 - a tenth of the time of Path.stat
            except OSError:
                # Going on with what is in memory would seal under a key that no longer exists anywhere else.
                raise KeysUnusable(
                    f"{self._path(purpose)} has gone while it was in use; put it back from a backup"
                ) from None
            if ring.identity == (found.st_ino, found.st_mtime_ns, found.st_size):
                self._looked_at[purpose] = now
                return ring
        with self._loading:
            if not self._path(purpose).exists():
                self._make_directory()
                first = {
                    "v": 1,
                    "purpose": purpose,
                    "algorithm": algorithm.value,
                    "current": _new_key(purpose, algorithm),
                    "retired": [],
                }
                self._write(purpose, first, replace=False)
            ring = self._load(purpose, algorithm)
            self._rings[purpose] = ring
            return ring

    def _make_directory(self) -> None:
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            mode = self._directory.stat().st_mode
        except OSError as error:
            raise KeysUnusable(f"{self._directory} cannot be made: {error.strerror}") from None
        _refuse_open(self._directory, mode, "700")

    def _write(self, purpose: str, document: dict[str, Any], *, replace: bool) -> None:
        """Put the file in place whole: under a name of its own, then linked (never over another) or renamed."""
        self._looked_at.pop(purpose, None)
        path = self._path(purpose)
        aside = self._directory / f".{purpose}.{secrets.token_hex(8)}"
        try:
            descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(json.dumps(document, indent=1).encode())
                    file.flush()
                    os.fsync(file.fileno())
                if replace:
                    aside.replace(path)
                else:
                    with contextlib.suppress(FileExistsError):  # another process was first: its key counts
                        path.hardlink_to(aside)
            finally:
                aside.unlink(missing_ok=True)
            folder = os.open(self._directory, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise KeysUnusable(f"{path} cannot be written: {error.strerror}") from None

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """One rotation at a time, among processes too."""
        lock = os.open(self._directory / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _document(self, purpose: str) -> dict[str, Any]:
        return self._read(purpose)[1]

    def _read(self, purpose: str) -> tuple[tuple[int, int, int], dict[str, Any]]:
        path = self._path(purpose)
        try:
            _refuse_open(self._directory, self._directory.stat().st_mode, "700")
            with path.open("rb") as file:
                found = os.fstat(file.fileno())
                _refuse_open(path, found.st_mode, "600")
                content = file.read(_MOST_FILE_BYTES + 1)
        except OSError as error:
            raise KeysUnusable(f"{path} cannot be read: {error.strerror}") from None
        try:
            document = json.loads(content)
        except (ValueError, RecursionError):
            # `from None`: a JSON error carries the file's text, and that is the key.
            raise _damaged(path) from None
        if not isinstance(document, dict) or document.get("v") != 1 or document.get("purpose") != purpose:
            raise _damaged(path)
        return (found.st_ino, found.st_mtime_ns, found.st_size), document

    def _load(self, purpose: str, algorithm: Algorithm) -> _Ring:
        path = self._path(purpose)
        identity, document = self._read(purpose)
        if document.get("algorithm") != algorithm.value:
            raise _damaged(path)
        try:
            current = document["current"]
            secret = _bytes(current["secret"])
            signer: _Signer | None = None
            publics: dict[str, Ed25519PublicKey] = {}
            sealers: dict[bytes, AESGCM] = {}
            indexers: list[bytes] = []
            if algorithm is Algorithm.ED25519:
                signer = _Signer(current["id"], Ed25519PrivateKey.from_private_bytes(secret))
                known = {current["id"]: signer.private.public_key().public_bytes_raw()}
                known |= {key["id"]: _bytes(key["public"]) for key in document["retired"]}
                for key_id, raw in known.items():
                    _expect_id(key_id, purpose, raw)
                    publics[key_id] = Ed25519PublicKey.from_public_bytes(raw)
            else:
                for key in (current, *document["retired"]):
                    raw = _bytes(key["secret"])
                    _expect_id(key["id"], purpose, raw)
                    sealers[bytes.fromhex(key["id"])] = AESGCM(raw)
                    indexers.append(raw)
            sealer_id = bytes.fromhex(current["id"])
        except (KeyError, TypeError, ValueError, AttributeError):
            raise _damaged(path) from None
        return _Ring(
            identity=identity,
            signer=signer,
            publics=publics,
            sealers=sealers if algorithm is Algorithm.AES_256_GCM else {},
            sealer_id=sealer_id,
            indexers=tuple(indexers) if algorithm is Algorithm.HMAC_SHA_256 else (),
        )


def key_id(*, purpose: str, material: bytes) -> str:
    """Sixteen hexadecimal characters that name a key: of its public half (Ed25519) or of the secret's hash."""
    return hashlib.sha256(b"airback key id\x00" + purpose.encode() + b"\x00" + material).digest()[:8].hex()


def _new_key(purpose: str, algorithm: Algorithm) -> dict[str, str]:
    secret = secrets.token_bytes(_KEY_BYTES)
    material = secret
    if algorithm is Algorithm.ED25519:
        material = Ed25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()
    return {"id": key_id(purpose=purpose, material=material), "secret": _text(secret)}


def _algorithm(purpose: str) -> Algorithm:
    try:
        return PURPOSES[purpose]
    except KeyError:
        raise ValueError(f"no key has the purpose {purpose!r}") from None


def _expect(purpose: str, algorithm: Algorithm) -> None:
    if _algorithm(purpose) is not algorithm:
        raise ValueError(f"the {purpose} key is for {_algorithm(purpose)}, not {algorithm}")


def _expect_id(stated: object, purpose: str, material: bytes) -> None:
    if len(material) != _KEY_BYTES or stated != key_id(purpose=purpose, material=material):
        raise ValueError("a key is not the one its id names")


def _bound(header: bytes, purpose: str, where: bytes) -> bytes:
    return header + purpose.encode() + b"\x00" + where


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError("no base64") from None


def _damaged(path: Path) -> KeysUnusable:
    return KeysUnusable(f"{path} is damaged; put it back from a backup (a new key opens nothing that exists)")


def _refuse_open(path: Path, mode: int, wanted: str) -> None:
    if stat.S_IMODE(mode) & _OTHERS:
        raise KeysUnusable(f"{path} may be read by others; run: chmod {wanted} {path}")
