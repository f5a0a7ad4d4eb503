"""Keys for Alipay: the merchant's own pair, made at first use, and Alipay's public key, read from a file.

The merchant's private key never leaves its file (mode 0600); the public half is what one uploads to the open
platform. Alipay's console hands out keys as bare base64 without PEM lines, so both forms are read.
"""

import base64
import binascii
import contextlib
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
    load_pem_private_key,
    load_pem_public_key,
)

PRIVATE_FILE: Final = "alipay-merchant-private.pem"
PUBLIC_FILE: Final = "alipay-merchant-public.pem"

#: RSA2 asks for 2048 bits; a shorter key is refused wherever it comes from.
LEAST_BITS: Final = 2048


class KeyUnusable(Exception):
    """A key that cannot be read, is no RSA key or is too short. The text holds no key material."""


@dataclass(frozen=True, slots=True)
class MerchantKeys:
    """The merchant's pair. `public_file` is what Alipay is told."""

    private: RSAPrivateKey = field(repr=False)
    private_file: Path
    public_file: Path


def ensure_merchant_keys(data_dir: Path) -> MerchantKeys:
    """The pair in `data_dir/keys`, made when it is missing.

    Two processes may ask at once: each prepares a file of its own, the first to link it into place wins and both
    return the winner's. Raises KeyUnusable for a file that holds no usable key, OSError as the file system does.
    """
    directory = data_dir / "keys"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    private_file = directory / PRIVATE_FILE
    if not private_file.exists():
        fresh = generate_private_key(public_exponent=65537, key_size=LEAST_BITS)
        pem = fresh.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        _place(private_file, pem, mode=0o600, replace=False)
    private = load_private_key(private_file.read_bytes())
    public_file = directory / PUBLIC_FILE
    pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    if not public_file.exists() or public_file.read_bytes() != pem:
        _place(public_file, pem, mode=0o644, replace=True)
    return MerchantKeys(private=private, private_file=private_file, public_file=public_file)


def load_private_key(text: bytes) -> RSAPrivateKey:
    """An RSA private key in PEM, or in base64 of PKCS #1 or PKCS #8. Raises KeyUnusable."""
    try:
        if b"-----BEGIN" in text:
            key = load_pem_private_key(text, password=None)
        else:
            key = load_der_private_key(_bare(text), password=None)
    except (ValueError, TypeError) as error:
        raise KeyUnusable("the private key cannot be read") from error
    if not isinstance(key, RSAPrivateKey) or key.key_size < LEAST_BITS:
        raise KeyUnusable(f"RSA2 needs an RSA key of at least {LEAST_BITS} bits")
    return key


def load_public_key(text: bytes) -> RSAPublicKey:
    """An RSA public key in PEM, or in bare base64 as Alipay's console shows it. Raises KeyUnusable."""
    try:
        key = load_pem_public_key(text) if b"-----BEGIN" in text else load_der_public_key(_bare(text))
    except (ValueError, TypeError) as error:
        raise KeyUnusable("the public key cannot be read") from error
    if not isinstance(key, RSAPublicKey) or key.key_size < LEAST_BITS:
        raise KeyUnusable(f"RSA2 needs an RSA key of at least {LEAST_BITS} bits")
    return key


def _bare(text: bytes) -> bytes:
    try:
        return base64.b64decode(b"".join(text.split()), validate=True)
    except binascii.Error as error:
        raise ValueError("no base64") from error


def _place(path: Path, content: bytes, *, mode: int, replace: bool) -> None:
    """Put a whole file at `path`, never a part of one; an existing one stays unless `replace`."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            draft.replace(path)
            return
        with contextlib.suppress(FileExistsError):  # another process was first; its key is the key
            path.hardlink_to(draft)
    finally:
        draft.unlink(missing_ok=True)
