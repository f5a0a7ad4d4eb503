"""Keys: made once, kept to their owner, read in the forms that Alipay hands out."""

import base64
import logging
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from tests.adapters.rail.sandbox_alipay import with_keys

from airback.adapters.rail.alipay_keys import (
    KeyUnusable,
    ensure_merchant_keys,
    load_private_key,
    load_public_key,
)

_MAKE = """
import sys
from pathlib import Path
from airback.adapters.rail.alipay_keys import ensure_merchant_keys
from airback.sandbox.alipay_keys import ensure_alipay_keys
ensure_merchant_keys(Path(sys.argv[1]))
print(ensure_alipay_keys(Path(sys.argv[1])).public_pem.decode())
print(ensure_merchant_keys(Path(sys.argv[1])).public_file.read_text())
"""


def test_two_processes_that_begin_at_once_end_with_the_same_keys(tmp_path: Path) -> None:
    both = [
        subprocess.Popen([sys.executable, "-c", _MAKE, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert said[0] == said[1]
    assert "BEGIN PUBLIC KEY" in said[0]
    for private in ("keys/alipay-merchant-private.pem", "sandbox/alipay-private.pem"):
        assert stat.S_IMODE((tmp_path / private).stat().st_mode) == 0o600
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".")]


def test_keys_are_not_made_again(tmp_path: Path) -> None:
    with_keys(tmp_path)
    before = (tmp_path / "keys" / "alipay-merchant-private.pem").read_bytes()
    assert ensure_merchant_keys(tmp_path).private_file.read_bytes() == before


def test_a_public_half_that_does_not_fit_is_written_again(tmp_path: Path) -> None:
    with_keys(tmp_path)
    public_file = tmp_path / "keys" / "alipay-merchant-public.pem"
    right = public_file.read_bytes()
    public_file.write_bytes(b"something else")
    assert ensure_merchant_keys(tmp_path).public_file.read_bytes() == right


def test_keys_are_read_as_pem_and_as_the_bare_base64_of_alipays_console(tmp_path: Path) -> None:
    private = ensure_merchant_keys(with_keys(tmp_path)).private
    public_der = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    numbers = private.public_key().public_numbers()
    bare = base64.b64encode(public_der)
    for text in (bare, bare[:64] + b"\n" + bare[64:], bare + b"\n"):
        assert load_public_key(text).public_numbers() == numbers
    for form in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL):
        der = private.private_bytes(Encoding.DER, form, NoEncryption())
        assert load_private_key(base64.b64encode(der)).public_key().public_numbers() == numbers
        pem = private.private_bytes(Encoding.PEM, form, NoEncryption())
        assert load_private_key(pem).public_key().public_numbers() == numbers


@pytest.mark.parametrize(
    "text", [b"", b"no key", b"AAAA", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"]
)
def test_what_is_no_key_is_refused(text: bytes) -> None:
    with pytest.raises(KeyUnusable):
        load_public_key(text)
    with pytest.raises(KeyUnusable):
        load_private_key(text)


def test_short_keys_and_keys_of_another_kind_are_refused() -> None:
    short = generate_private_key(public_exponent=65537, key_size=1024)
    other = ed25519.Ed25519PrivateKey.generate()
    for private in (short, other):
        with pytest.raises(KeyUnusable):
            load_private_key(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        with pytest.raises(KeyUnusable):
            load_public_key(
                private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            )


def test_no_key_is_ever_shown(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    keys = ensure_merchant_keys(with_keys(tmp_path))
    secret = keys.private_file.read_text().splitlines()[1]
    assert secret not in repr(keys) + caplog.text
    with pytest.raises(KeyUnusable) as refused:
        load_private_key(keys.private_file.read_bytes()[:-80])
    assert secret not in str(refused.value)
