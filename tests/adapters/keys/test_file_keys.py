"""Keys in files: what they sign, seal and index, and what happens when the files are not as they should be."""

import base64
import json
import multiprocessing
import os
import stat
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airback.adapters.keys.files import PURPOSES, Algorithm, FileKeys, KeysUnusable
from airback.domain.ports.keys import KeyProvider, Unsealable

SIGNING = [name for name, algorithm in PURPOSES.items() if algorithm is Algorithm.ED25519]
SEALING = [name for name, algorithm in PURPOSES.items() if algorithm is Algorithm.AES_256_GCM]
INDEXING = [name for name, algorithm in PURPOSES.items() if algorithm is Algorithm.HMAC_SHA_256]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "keys"


@pytest.fixture
def keys(directory: Path) -> FileKeys:
    return FileKeys(directory)


def use(keys: FileKeys, purpose: str) -> None:
    algorithm = PURPOSES[purpose]
    if algorithm is Algorithm.ED25519:
        keys.sign(purpose=purpose, message=b"m")
    elif algorithm is Algorithm.AES_256_GCM:
        keys.seal(purpose=purpose, plain=b"p", where=b"w")
    else:
        keys.blind_index(purpose=purpose, value=b"v")


def test_it_is_a_key_provider(keys: FileKeys) -> None:
    provider: KeyProvider = keys
    assert provider.public_keys(purpose="quote")


# -- signing


@pytest.mark.parametrize("purpose", SIGNING)
def test_a_signature_stands_for_its_message_key_and_purpose_only(keys: FileKeys, purpose: str) -> None:
    key_id, signature = keys.sign(purpose=purpose, message=b"100 yuan")
    assert keys.verify(purpose=purpose, key_id=key_id, message=b"100 yuan", signature=signature)
    assert not keys.verify(purpose=purpose, key_id=key_id, message=b"101 yuan", signature=signature)
    assert not keys.verify(purpose=purpose, key_id="0" * 16, message=b"100 yuan", signature=signature)
    for other in SIGNING:
        if other != purpose:
            assert not keys.verify(purpose=other, key_id=key_id, message=b"100 yuan", signature=signature)


@pytest.mark.parametrize("signature", [b"", b"x", bytes(63), bytes(64), bytes(65)])
def test_bytes_that_are_no_signature_are_not_believed(keys: FileKeys, signature: bytes) -> None:
    key_id, _ = keys.sign(purpose="quote", message=b"m")
    assert not keys.verify(purpose="quote", key_id=key_id, message=b"m", signature=signature)


def test_anybody_can_verify_with_the_public_key_alone(keys: FileKeys) -> None:
    key_id, signature = keys.sign(purpose="receipt", message=b"m")
    Ed25519PublicKey.from_public_bytes(keys.public_keys(purpose="receipt")[key_id]).verify(signature, b"m")


def test_a_retired_signing_key_still_verifies_and_can_no_longer_sign(keys: FileKeys, directory: Path) -> None:
    old, signature = keys.sign(purpose="quote", message=b"m")
    new = keys.rotate(purpose="quote")
    assert new != old
    assert keys.sign(purpose="quote", message=b"m")[0] == new
    for provider in (keys, FileKeys(directory)):
        assert provider.verify(purpose="quote", key_id=old, message=b"m", signature=signature)
        assert list(provider.public_keys(purpose="quote")) == [new, old]
    document = json.loads((directory / "quote.key.json").read_text())
    assert [set(key) for key in document["retired"]] == [{"id", "public"}]


# -- sealing


@pytest.mark.parametrize("purpose", SEALING)
def test_what_is_sealed_opens_in_its_own_place_only(keys: FileKeys, purpose: str) -> None:
    sealed = keys.seal(purpose=purpose, plain=b"1234567890123456", where=b"orders/card_code/7")
    assert b"1234567890123456" not in sealed
    assert keys.unseal(purpose=purpose, sealed=sealed, where=b"orders/card_code/7") == b"1234567890123456"
    with pytest.raises(Unsealable):
        keys.unseal(purpose=purpose, sealed=sealed, where=b"orders/card_code/8")
    for other in SEALING:
        if other != purpose:
            with pytest.raises(Unsealable):
                keys.unseal(purpose=other, sealed=sealed, where=b"orders/card_code/7")


def test_every_altered_byte_is_noticed(keys: FileKeys) -> None:
    sealed = keys.seal(purpose="payee", plain=b"secret", where=b"w")
    for place in range(len(sealed)):
        altered = bytearray(sealed)
        altered[place] ^= 1
        with pytest.raises(Unsealable):
            keys.unseal(purpose="payee", sealed=bytes(altered), where=b"w")
    for length in range(len(sealed)):
        with pytest.raises(Unsealable):
            keys.unseal(purpose="payee", sealed=sealed[:length], where=b"w")


def test_the_same_text_is_sealed_differently_each_time(keys: FileKeys) -> None:
    assert len({keys.seal(purpose="effect", plain=b"same", where=b"w") for _ in range(50)}) == 50


def test_a_retired_sealing_key_still_opens(keys: FileKeys, directory: Path) -> None:
    sealed = [keys.seal(purpose="card_code", plain=b"first", where=b"w")]
    for _ in range(3):
        keys.rotate(purpose="card_code")
        sealed.append(keys.seal(purpose="card_code", plain=b"first", where=b"w"))
    assert len({item[1:9] for item in sealed}) == 4
    for provider in (keys, FileKeys(directory)):
        for item in sealed:
            assert provider.unseal(purpose="card_code", sealed=item, where=b"w") == b"first"


def test_another_installations_seal_is_not_opened(keys: FileKeys, tmp_path: Path) -> None:
    stranger = FileKeys(tmp_path / "other")
    sealed = stranger.seal(purpose="payee", plain=b"x", where=b"w")
    with pytest.raises(Unsealable, match="unknown key"):
        keys.unseal(purpose="payee", sealed=sealed, where=b"w")


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(plain=st.binary(max_size=300), where=st.binary(max_size=40))
def test_any_bytes_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, plain: bytes, where: bytes
) -> None:
    keys = FileKeys(tmp_path_factory.getbasetemp() / "shared-keys")
    sealed = keys.seal(purpose="effect", plain=plain, where=where)
    assert keys.unseal(purpose="effect", sealed=sealed, where=where) == plain


# -- indexing


@pytest.mark.parametrize("purpose", INDEXING)
def test_an_index_is_the_same_for_the_same_value_and_purpose_only(keys: FileKeys, purpose: str) -> None:
    (index,) = keys.blind_index(purpose=purpose, value=b"v")
    assert len(index) == 32
    assert keys.blind_index(purpose=purpose, value=b"v") == [index]
    assert keys.blind_index(purpose=purpose, value=b"w") != [index]
    for other in INDEXING:
        if other != purpose:
            assert keys.blind_index(purpose=other, value=b"v") != [index]


def test_during_a_rotation_a_value_has_two_indexes_and_afterwards_one(
    keys: FileKeys, directory: Path
) -> None:
    (old,) = keys.blind_index(purpose="card_index", value=b"v")
    keys.rotate(purpose="card_index")
    new, previous = keys.blind_index(purpose="card_index", value=b"v")
    assert previous == old != new
    assert FileKeys(directory).blind_index(purpose="card_index", value=b"v") == [new, old]
    with pytest.raises(KeysUnusable, match="not finished"):
        keys.rotate(purpose="card_index")
    keys.finish_rotation(purpose="card_index")
    assert keys.blind_index(purpose="card_index", value=b"v") == [new]
    keys.rotate(purpose="card_index")
    assert keys.blind_index(purpose="card_index", value=b"v")[1] == new


# -- files


def test_files_are_for_their_owner_only_whatever_the_umask(keys: FileKeys, directory: Path) -> None:
    before = os.umask(0)
    try:
        for purpose in PURPOSES:
            use(keys, purpose)
        keys.rotate(purpose="quote")
    finally:
        os.umask(before)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    for path in directory.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {path.name for path in directory.iterdir()} == {f"{name}.key.json" for name in PURPOSES} | {
        ".lock"
    }


def test_a_purpose_nobody_used_has_no_file(keys: FileKeys, directory: Path) -> None:
    use(keys, "quote")
    assert [path.name for path in directory.iterdir()] == ["quote.key.json"]


def test_keys_outlive_the_process(keys: FileKeys, directory: Path) -> None:
    key_id, signature = keys.sign(purpose="quote", message=b"m")
    again = FileKeys(directory)
    assert again.verify(purpose="quote", key_id=key_id, message=b"m", signature=signature)
    assert again.sign(purpose="quote", message=b"m") == (key_id, signature)


def test_a_rotation_counts_in_other_providers_at_once(keys: FileKeys, directory: Path) -> None:
    other = FileKeys(directory)
    use(other, "quote")
    new = keys.rotate(purpose="quote")
    assert other.sign(purpose="quote", message=b"m")[0] == new


@pytest.mark.parametrize("purpose", ["quote", "payee", "session"])
def test_a_file_that_others_may_read_is_refused_with_the_remedy(directory: Path, purpose: str) -> None:
    use(FileKeys(directory), purpose)
    (directory / f"{purpose}.key.json").chmod(0o640)
    with pytest.raises(KeysUnusable, match="chmod 600"):
        use(FileKeys(directory), purpose)


def test_a_directory_that_others_may_read_is_refused_with_the_remedy(directory: Path) -> None:
    directory.mkdir(parents=True, mode=0o755)
    directory.chmod(0o755)
    with pytest.raises(KeysUnusable, match="chmod 700"):
        use(FileKeys(directory), "quote")
    assert list(directory.iterdir()) == []


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(KeysUnusable, match="cannot be made"):
        use(FileKeys(tmp_path / "file" / "keys"), "quote")


def test_a_key_file_that_went_missing_is_not_replaced_behind_our_back(
    keys: FileKeys, directory: Path
) -> None:
    use(keys, "payee")
    (directory / "payee.key.json").unlink()
    with pytest.raises(KeysUnusable, match="gone"):
        use(keys, "payee")
    assert not (directory / "payee.key.json").exists()


@pytest.mark.parametrize("purpose", ["quote", "payee", "session"])
@pytest.mark.parametrize("damage", ["", "{", "[]", "null", '{"v":1}', "[" * 100_000, "\x00" * 40, '{"v":2}'])
def test_a_damaged_file_is_refused_without_showing_it(directory: Path, purpose: str, damage: str) -> None:
    use(FileKeys(directory), purpose)
    path = directory / f"{purpose}.key.json"
    path.write_text(damage)
    with pytest.raises(KeysUnusable, match="damaged") as caught:
        use(FileKeys(directory), purpose)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("purpose", list(PURPOSES))
def test_a_key_that_changed_by_one_bit_is_noticed(directory: Path, purpose: str) -> None:
    use(FileKeys(directory), purpose)
    path = directory / f"{purpose}.key.json"
    document = json.loads(path.read_text())
    secret = bytearray(base64.b64decode(document["current"]["secret"]))
    secret[5] ^= 1
    document["current"]["secret"] = base64.b64encode(secret).decode()
    path.write_text(json.dumps(document))
    with pytest.raises(KeysUnusable, match="damaged") as caught:
        use(FileKeys(directory), purpose)
    assert document["current"]["secret"] not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"purpose": "receipt"},
        {"algorithm": "AES-256-GCM"},
        {"current": None},
        {"current": {"id": "00"}},
        {"current": {"id": 5, "secret": "AAAA"}},
        {"current": {"id": "zz", "secret": "!"}},
        {"retired": None},
        {"retired": [5]},
        {"retired": [{"id": "00", "public": "AAAA"}]},
    ],
)
def test_a_file_of_another_shape_is_refused(directory: Path, change: dict[str, object]) -> None:
    use(FileKeys(directory), "quote")
    path = directory / "quote.key.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(KeysUnusable, match="damaged"):
        use(FileKeys(directory), "quote")


def test_nothing_secret_is_in_a_repr(keys: FileKeys, directory: Path) -> None:
    for purpose in PURPOSES:
        use(keys, purpose)
    shown = repr(keys) + repr(vars(keys))
    for purpose in PURPOSES:
        secret = json.loads((directory / f"{purpose}.key.json").read_text())["current"]["secret"]
        assert secret not in shown
        assert repr(base64.b64decode(secret)) not in shown


def test_an_unknown_purpose_or_another_algorithms_purpose_is_a_mistake_in_the_program(keys: FileKeys) -> None:
    with pytest.raises(ValueError, match="no key has the purpose"):
        keys.sign(purpose="quotes", message=b"")
    with pytest.raises(ValueError, match="is for AES-256-GCM"):
        keys.sign(purpose="payee", message=b"")
    with pytest.raises(ValueError, match="is for Ed25519"):
        keys.seal(purpose="quote", plain=b"", where=b"")
    with pytest.raises(ValueError, match="is for Ed25519"):
        keys.blind_index(purpose="quote", value=b"")
    with pytest.raises(ValueError, match="is for AES-256-GCM"):
        keys.finish_rotation(purpose="payee")


# -- several processes


def _race(directory: str, gate: Connection, answers: Connection) -> None:
    keys = FileKeys(Path(directory))
    gate.recv()
    key_id, signature = keys.sign(purpose="quote", message=b"m")
    sealed = keys.seal(purpose="payee", plain=b"p", where=b"w")
    answers.send((key_id, signature, sealed, keys.blind_index(purpose="session", value=b"v")))


def test_processes_that_race_for_the_first_use_agree_on_one_key(directory: Path) -> None:
    fork = multiprocessing.get_context("spawn")
    runners = []
    for _ in range(3):
        (gate, inner_gate), (answers, inner_answers) = fork.Pipe(), fork.Pipe()
        process = fork.Process(target=_race, args=(str(directory), inner_gate, inner_answers))
        process.start()
        runners.append((process, gate, answers))
    for _, gate, _ in runners:
        gate.send("go")
    found = [answers.recv() for _, _, answers in runners]
    for process, _, _ in runners:
        process.join(30)
        assert process.exitcode == 0
    assert len({(key_id, signature, index[0]) for key_id, signature, _, index in found}) == 1
    keys = FileKeys(directory)
    for _, _, sealed, _ in found:
        assert keys.unseal(purpose="payee", sealed=sealed, where=b"w") == b"p"
    assert {path.name for path in directory.iterdir()} == {
        f"{n}.key.json" for n in ("quote", "payee", "session")
    }


def test_a_provider_that_trusts_what_it_saw_sees_a_rotation_a_little_later_and_its_own_at_once(
    directory: Path,
) -> None:
    trusting, other = FileKeys(directory, trusted_s=3600), FileKeys(directory)
    first, _ = trusting.sign(purpose="quote", message=b"m")
    assert trusting.sign(purpose="quote", message=b"m")[0] == first
    new = other.rotate(purpose="quote")
    _, signature = other.sign(purpose="quote", message=b"m")
    assert trusting.sign(purpose="quote", message=b"m")[0] == first
    # A key it misses is looked for at once: what another process signed is believed.
    assert trusting.verify(purpose="quote", key_id=new, message=b"m", signature=signature)
    assert trusting.sign(purpose="quote", message=b"m")[0] == new
    assert trusting.sign(purpose="quote", message=b"m")[0] == new
    newest = trusting.rotate(purpose="quote")
    assert trusting.sign(purpose="quote", message=b"m")[0] == newest
    sealed = other.seal(purpose="payee", plain=b"p", where=b"w")
    assert trusting.unseal(purpose="payee", sealed=sealed, where=b"w") == b"p"
    other.rotate(purpose="payee")
    sealed = other.seal(purpose="payee", plain=b"q", where=b"w")
    assert trusting.unseal(purpose="payee", sealed=sealed, where=b"w") == b"q"
