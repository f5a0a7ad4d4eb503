"""The sandbox Alipay's own RSA pair, made at first start, and RSA2 written a second time.

The sandbox shares no code with the adapter it is spoken to by, so that one's mistake is not the other's too.
"""

import base64
import contextlib
import functools
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

#: The one merchant application of the sandbox.
APP_ID: Final = "2026000000000001"
PRIVATE_FILE: Final = "alipay-private.pem"
PUBLIC_FILE: Final = "alipay-public.pem"


@dataclass(frozen=True, slots=True)
class AlipayKeys:
    """The sandbox's pair; `public_file` is what a merchant's rail verifies with."""

    private: RSAPrivateKey = field(repr=False)
    public_pem: bytes
    public_file: Path


def ensure_alipay_keys(data_dir: Path) -> AlipayKeys:
    """The pair in `data_dir/sandbox`, made when it is missing; safe when two processes ask at once."""
    directory = data_dir / "sandbox"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    private_file, public_file = directory / PRIVATE_FILE, directory / PUBLIC_FILE
    if not private_file.exists():
        fresh = generate_private_key(public_exponent=65537, key_size=2048)
        _put(private_file, fresh.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), mode=0o600)
    private = load_pem_private_key(private_file.read_bytes(), password=None)
    if not isinstance(private, RSAPrivateKey):
        raise ValueError("the sandbox's Alipay key is no RSA key")
    public_pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    if not public_file.exists():
        _put(public_file, public_pem, mode=0o644)
    return AlipayKeys(private=private, public_pem=public_pem, public_file=public_file)


@functools.lru_cache(maxsize=8)
def read_public_key(pem: bytes) -> RSAPublicKey:
    """An RSA public key. Raises ValueError for anything else."""
    key = load_pem_public_key(pem)
    if not isinstance(key, RSAPublicKey):
        raise ValueError("no RSA key")
    return key


def joined(pairs: Iterable[tuple[str, str]], *, but: tuple[str, ...]) -> str:
    """What a signature over fields covers: the fields that are not empty, by name, without those in `but`."""
    kept = [(name, value) for name, value in pairs if value and name not in but]
    kept.sort()
    return "&".join("=".join(pair) for pair in kept)


def signature(text: str, key: RSAPrivateKey) -> str:
    """Base64 of the RSA2 signature of `text`."""
    return base64.standard_b64encode(key.sign(text.encode("utf-8"), PKCS1v15(), SHA256())).decode()


def stands(text: str, given: str, key: RSAPublicKey) -> bool:
    """Whether the signature `given` is the key's over `text`."""
    try:
        key.verify(base64.b64decode(given, validate=True), text.encode("utf-8"), PKCS1v15(), SHA256())
    except (InvalidSignature, ValueError):
        return False
    return True


def _put(path: Path, content: bytes, *, mode: int) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(draft)
    finally:
        draft.unlink(missing_ok=True)
