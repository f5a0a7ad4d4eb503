"""Passwords: what is good enough, how they are kept, how guesses slow down."""

import pytest

from airback.domain.refusals import Refused
from airback.staff import passwords

GOOD = "copper kettle on seven hills"


@pytest.mark.parametrize("password", [GOOD, "四水归堂风起云涌山高月小", "Tz8!kQ2#vL9m", "x" * 6 + "yzw!? 57"])
def test_a_long_and_varied_password_is_taken(password: str) -> None:
    passwords.check_strength(password=password, name="li.na")


@pytest.mark.parametrize(
    "password",
    [
        "",
        "short",
        "elevenchars",
        "aaaaaaaaaaaa",
        "abababababab",
        "password123456",
        "li.na.li.na.li.na",
        "Airback123456",
        "x" * 200,
        "good and long\x00but no",
        "good and long\nbut no",
    ],
)
def test_a_weak_password_is_refused(password: str) -> None:
    with pytest.raises(Refused) as refused:
        passwords.check_strength(password=password, name="li.na")
    assert (refused.value.code, refused.value.field) == ("password_weak", "password")


def test_a_sealed_password_matches_itself_and_nothing_else() -> None:
    stored = passwords.seal(password=GOOD, salt=bytes(range(16)))
    assert stored.startswith("$argon2id$")
    assert GOOD not in stored
    assert passwords.matches(password=GOOD, stored=stored)
    assert not passwords.matches(password=GOOD + " ", stored=stored)
    assert not passwords.outdated(stored)


def test_one_character_typed_in_two_ways_is_one_password() -> None:
    stored = passwords.seal(password="café on seven hills", salt=bytes(16))
    assert passwords.matches(password="cafe\u0301 on seven hills", stored=stored)


def test_another_salt_gives_another_text() -> None:
    assert passwords.seal(password=GOOD, salt=bytes(16)) != passwords.seal(password=GOOD, salt=b"\x01" * 16)


def test_nobody_matches_nothing_and_costs_the_same() -> None:
    assert not passwords.matches(password="", stored=passwords.NOBODY)
    assert not passwords.matches(password=GOOD, stored=passwords.NOBODY)
    real = passwords.seal(password=GOOD, salt=bytes(16))
    assert real.split("$")[1:4] == passwords.NOBODY.split("$")[1:4]
    assert len(real) == len(passwords.NOBODY)


@pytest.mark.parametrize("stored", ["", "plain", "$argon2id$", "$2b$12$abcdefghijklmnopqrstuv"])
def test_a_stored_text_that_is_none_matches_nothing(stored: str) -> None:
    assert not passwords.matches(password=GOOD, stored=stored)


def test_a_megabyte_of_password_is_a_wrong_one() -> None:
    stored = passwords.seal(password=GOOD, salt=bytes(16))
    assert not passwords.matches(password="a" * 1_000_000, stored=stored)


def test_an_unpaired_surrogate_is_a_wrong_password() -> None:
    assert not passwords.matches(password="\ud800" * 12, stored=passwords.NOBODY)


def test_pauses_only_grow() -> None:
    assert list(passwords.PAUSES_S) == sorted(passwords.PAUSES_S)
    assert passwords.PAUSES_S[0] == 0
    assert passwords.PAUSES_S[-1] == 900


@pytest.mark.parametrize(("text", "name"), [("Li.Na", "li.na"), (" a ", "a"), ("x_1-2", "x_1-2")])
def test_a_name_is_read_in_its_stored_form(text: str, name: str) -> None:
    assert passwords.parse_name(text) == name


@pytest.mark.parametrize("text", ["", " ", "李娜", "a b", "a" * 41, "<b>", "a\nb", "a\x00"])
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(Refused) as refused:
        passwords.parse_name(text)
    assert refused.value.code == "field_invalid"
