"""The scenarios of CAMARA's own test definitions, played against the sandbox and held against the OpenAPI files.

`SCENARIOS` names for each scenario's tag the test that plays it; a test checks that none was forgotten.
"""

import hashlib
import secrets
from datetime import timedelta
from typing import Any, Final

import pytest

from airback.sandbox.camara import CODE_VALID_S, MOST_CODES, MOST_TRIES
from tests.sandbox import specifications
from tests.sandbox.running import RunningSandbox

SEND: Final = "/one-time-password-sms/v1/send-code"
VALIDATE: Final = "/one-time-password-sms/v1/validate-code"
VERIFY: Final = "/number-verification/v2/verify"
SHARE: Final = "/number-verification/v2/device-phone-number"
CHECK: Final = "/sim-swap/v2/check"
DATE: Final = "/sim-swap/v2/retrieve-date"
TEXT: Final = "{{code}} is your code for Airback"

ADDRESSES: Final = {
    SEND: ("one-time-password-sms", "v1"),
    VALIDATE: ("one-time-password-sms", "v1"),
    VERIFY: ("number-verification", "v2"),
    SHARE: ("number-verification", "v2"),
    CHECK: ("sim-swap", "v2"),
    DATE: ("sim-swap", "v2"),
}


class Wire:
    """Calls that carry a correlator, check that it comes back, and judge the answer by the specification."""

    def __init__(self, sandbox: RunningSandbox) -> None:
        self.sandbox = sandbox

    def call(
        self,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        correlator: str | None = "abc-1:2.3/<4>{5}_;",
    ) -> tuple[int, Any]:
        headers = {"authorization": f"Bearer {self.sandbox.token if token is None else token}"}
        if token == "":
            headers = {}
        if correlator is not None:
            headers["x-correlator"] = correlator
        method = "GET" if path == SHARE else "POST"
        status, told, answered = self.sandbox.call(method, path, body, headers)
        specifications.camara(*ADDRESSES[path]).check_answer(method, path, status, told)
        if correlator is not None:
            assert answered["x-correlator"] == correlator
        if status >= 400:
            assert told["status"] == status
            assert len(told["message"]) > 8
        return status, told

    def refused(self, path: str, body: Any = None, **more: Any) -> tuple[int, str]:
        """(status, code) of a refusal."""
        status, told = self.call(path, body, **more)
        return status, told["code"]

    def line(self, **more: Any) -> str:
        """A new line's number in E.164."""
        number = f"136{secrets.randbelow(10**8):08d}"
        one = {"number": number, "carrier": "cmcc", "principal_fen": 100, **more}
        assert self.sandbox.call("POST", "/sandbox/subscribers", {"subscribers": [one]})[1] == {"added": 1}
        return f"+86{number}"

    def token(self, **claims: Any) -> str:
        """A token of the sandbox's authorisation server."""
        status, told, _ = self.sandbox.call("POST", "/sandbox/tokens", claims)
        assert status == 201
        return str(told["access_token"])

    def sent(self, phone: str) -> tuple[str, str]:
        """(authentication id, code in the SMS) of a code that was asked for."""
        status, told = self.call(SEND, {"phoneNumber": phone, "message": TEXT})
        assert status == 200
        _, heard, _ = self.sandbox.call("GET", f"/sandbox/sms?number={phone.removeprefix('+86')}")
        newest = heard["messages"][0]
        assert newest["text"] == TEXT.replace("{{code}}", newest["code"])
        return told["authenticationId"], newest["code"]

    def tried(self, identifier: str, code: str) -> tuple[int, str | None]:
        """(status, error code) of an attempt at a code."""
        status, told = self.call(VALIDATE, {"authenticationId": identifier, "code": code})
        return status, None if told is None else told["code"]


@pytest.fixture
def wire(sandbox: RunningSandbox) -> Wire:
    return Wire(sandbox)


def another(code: str) -> str:
    """A code that is not this one."""
    return f"{(int(code) + 1) % 1_000_000:06d}"


# -- one-time password


def test_a_code_is_sent_and_stands(wire: Wire) -> None:
    identifier, code = wire.sent(wire.line())
    assert wire.tried(identifier, code) == (204, None)


def test_a_correlator_is_not_required(wire: Wire) -> None:
    status, told = wire.call(SEND, {"phoneNumber": wire.line(), "message": TEXT}, correlator=None)
    assert status == 200
    body = {"authenticationId": told["authenticationId"], "code": "nope"}
    assert wire.call(VALIDATE, body, correlator=None)[0] == 400


def test_a_malformed_correlator_is_refused(wire: Wire) -> None:
    headers = {"authorization": f"Bearer {wire.sandbox.token}", "x-correlator": "with space"}
    status, told, answered = wire.sandbox.call("POST", CHECK, {}, headers)
    assert (status, told["code"]) == (400, "INVALID_ARGUMENT")
    assert "x-correlator" not in answered


def test_malformed_requests_for_a_code_are_refused(wire: Wire) -> None:
    phone = wire.line()
    bodies: tuple[Any, ...] = (
        None,
        b"",
        b"{",
        {},
        [],
        {"phoneNumber": "3301", "message": TEXT},
        {"phoneNumber": phone},
        {"phoneNumber": phone, "message": None},
        {"message": TEXT},
        {"phoneNumber": phone, "message": "message without code"},
        {"phoneNumber": phone, "message": "{{code}}" + "a" * 153},
        {"phoneNumber": phone, "message": 7},
    )
    for body in bodies:
        assert wire.refused(SEND, body) == (400, "INVALID_ARGUMENT"), body


def test_too_many_codes_are_refused(wire: Wire) -> None:
    phone = wire.line()
    for _ in range(MOST_CODES):
        wire.sent(phone)
    answer = wire.refused(SEND, {"phoneNumber": phone, "message": TEXT})
    assert answer == (403, "ONE_TIME_PASSWORD_SMS.MAX_OTP_CODES_EXCEEDED")


def test_numbers_that_cannot_or_may_not_receive_are_refused(wire: Wire) -> None:
    cases = {
        wire.line(messages="impossible"): "ONE_TIME_PASSWORD_SMS.PHONE_NUMBER_NOT_ALLOWED",
        "+861012345678": "ONE_TIME_PASSWORD_SMS.PHONE_NUMBER_NOT_ALLOWED",  # a landline
        wire.line(messages="barred"): "ONE_TIME_PASSWORD_SMS.PHONE_NUMBER_BLOCKED",
    }
    for phone, code in cases.items():
        assert wire.refused(SEND, {"phoneNumber": phone, "message": TEXT}) == (403, code)


def test_numbers_of_others_are_not_found(wire: Wire) -> None:
    for phone in ("+346661113334", "+8613799999998", wire.line(status="dead")):
        assert wire.refused(SEND, {"phoneNumber": phone, "message": TEXT}) == (404, "NOT_FOUND")


def test_malformed_attempts_are_refused(wire: Wire) -> None:
    identifier, code = wire.sent(wire.line())
    bodies: tuple[Any, ...] = (
        None,
        {},
        {"code": code},
        {"authenticationId": None, "code": code},
        {"authenticationId": identifier},
        {"authenticationId": identifier, "code": None},
        {"authenticationId": identifier, "code": "thisCodeExceedsTenCharacters"},
        {"authenticationId": "a" * 37, "code": code},
    )
    for body in bodies:
        assert wire.refused(VALIDATE, body) == (400, "INVALID_ARGUMENT"), body
    assert wire.tried(identifier, code) == (204, None)


def test_a_wrong_code_may_be_tried_again_but_not_too_often(wire: Wire) -> None:
    identifier, code = wire.sent(wire.line())
    for _ in range(MOST_TRIES - 1):
        assert wire.tried(identifier, another(code)) == (400, "ONE_TIME_PASSWORD_SMS.INVALID_OTP")
    assert wire.tried(identifier, another(code)) == (400, "ONE_TIME_PASSWORD_SMS.VERIFICATION_FAILED")
    assert wire.tried(identifier, code) == (400, "ONE_TIME_PASSWORD_SMS.VERIFICATION_FAILED")


def test_a_code_expires_with_time(wire: Wire) -> None:
    identifier, code = wire.sent(wire.line())
    wire.sandbox.clock.push(CODE_VALID_S + 1)
    assert wire.tried(identifier, code) == (400, "ONE_TIME_PASSWORD_SMS.VERIFICATION_EXPIRED")


def test_a_code_expires_when_a_newer_one_is_sent(wire: Wire) -> None:
    phone = wire.line()
    identifier, code = wire.sent(phone)
    wire.sent(phone)
    assert wire.tried(identifier, code) == (400, "ONE_TIME_PASSWORD_SMS.VERIFICATION_EXPIRED")


def test_a_code_stands_once(wire: Wire) -> None:
    identifier, code = wire.sent(wire.line())
    assert wire.tried(identifier, code) == (204, None)
    assert wire.tried(identifier, code) == (400, "ONE_TIME_PASSWORD_SMS.VERIFICATION_EXPIRED")


def test_an_unknown_authentication_is_not_found(wire: Wire) -> None:
    assert wire.tried("unknown", "123456") == (404, "NOT_FOUND")


# -- tokens, for all three


@pytest.mark.parametrize("path", list(ADDRESSES))
def test_missing_expired_and_invalid_tokens_are_refused(wire: Wire, path: str) -> None:
    body: Any = None if path == SHARE else {}
    for token in ("", wire.token(expires_in_s=-1), "invalid", "a.b", "é".encode().decode("latin-1")):
        assert wire.refused(path, body, token=token) == (401, "UNAUTHENTICATED")


@pytest.mark.parametrize("path", list(ADDRESSES))
def test_a_token_without_the_scope_is_refused(wire: Wire, path: str) -> None:
    token = wire.token(scopes=["something:else"], number="13800138000")
    assert wire.refused(path, None if path == SHARE else {}, token=token) == (403, "PERMISSION_DENIED")


# -- number verification


def test_a_device_is_told_by_its_number_and_by_the_numbers_hash(wire: Wire) -> None:
    phone, other = wire.line(), wire.line()
    token = wire.token(number=phone.removeprefix("+86"), scopes=["number-verification:verify"])
    for claimed, right in ((phone, True), (other, False)):
        hashed = hashlib.sha256(claimed.encode()).hexdigest()
        for body in (
            {"phoneNumber": claimed},
            {"hashedPhoneNumber": hashed},
            {"hashedPhoneNumber": hashed.upper()},
        ):
            assert wire.call(VERIFY, body, token=token) == (200, {"devicePhoneNumberVerified": right})


def test_the_devices_number_is_shared(wire: Wire) -> None:
    phone = wire.line()
    token = wire.token(
        number=phone.removeprefix("+86"), scopes=["number-verification:device-phone-number:read"]
    )
    assert wire.call(SHARE, token=token) == (200, {"devicePhoneNumber": phone})


def test_malformed_verifications_are_refused(wire: Wire) -> None:
    phone = wire.line()
    token = wire.token(number=phone.removeprefix("+86"))
    hashed = hashlib.sha256(phone.encode()).hexdigest()
    bodies: tuple[Any, ...] = (
        None,
        {},
        {"additional_property": "foo_value"},
        {"phoneNumber": phone, "hashedPhoneNumber": hashed},
        {"phoneNumber": phone, "x": 1},
        {"phoneNumber": "13800138000"},
        {"phoneNumber": None},
        {"hashedPhoneNumber": "abc"},
        {"hashedPhoneNumber": None},
    )
    for body in bodies:
        assert wire.refused(VERIFY, body, token=token) == (400, "INVALID_ARGUMENT"), body


def test_a_device_the_network_did_not_authenticate_is_refused(wire: Wire) -> None:
    code = "NUMBER_VERIFICATION.USER_NOT_AUTHENTICATED_BY_MOBILE_NETWORK"
    phone = wire.line()
    by_password = wire.token(number=phone.removeprefix("+86"), by_network=False)
    for token in (by_password, wire.sandbox.token):
        assert wire.refused(VERIFY, {"phoneNumber": phone}, token=token) == (403, code)
        assert wire.refused(SHARE, token=token) == (403, code)


# -- SIM swap


def swapped_line(wire: Wire, hours: float | None, *, active_hours: float = 10_000) -> str:
    now = wire.sandbox.clock()
    more = {} if hours is None else {"sim_changed_at": (now - timedelta(hours=hours)).isoformat()}
    return wire.line(activated_at=(now - timedelta(hours=active_hours)).isoformat(), **more)


def test_a_swap_within_the_default_period_is_told(wire: Wire) -> None:
    for hours, swapped in ((100, True), (239, True), (241, False)):
        assert wire.call(CHECK, {"phoneNumber": swapped_line(wire, hours)}) == (200, {"swapped": swapped})


@pytest.mark.parametrize("hours", [260, 120, 24, 12])
def test_a_swap_within_the_period_asked_for_is_told(wire: Wire, hours: int) -> None:
    phone = swapped_line(wire, hours - 0.1)
    assert wire.call(CHECK, {"phoneNumber": phone, "maxAge": hours}) == (200, {"swapped": True})
    assert wire.call(CHECK, {"phoneNumber": phone, "maxAge": hours - 1}) == (200, {"swapped": False})


@pytest.mark.parametrize("hours", [260, 120, 24, 12])
def test_a_line_that_was_never_swapped_is_not_swapped(wire: Wire, hours: int) -> None:
    phone = swapped_line(wire, None, active_hours=hours + 1)
    assert wire.call(CHECK, {"phoneNumber": phone, "maxAge": hours}) == (200, {"swapped": False})


def test_a_malformed_period_is_refused(wire: Wire) -> None:
    phone = wire.line()
    for age in ("240", 1.5, None, True, [240]):
        assert wire.refused(CHECK, {"phoneNumber": phone, "maxAge": age}) == (400, "INVALID_ARGUMENT"), age


def test_a_period_out_of_range_is_refused(wire: Wire) -> None:
    phone = wire.line()
    for age in (100_000, 2_401, 0, -1):
        assert wire.refused(CHECK, {"phoneNumber": phone, "maxAge": age}) == (400, "OUT_OF_RANGE"), age


@pytest.mark.parametrize("path", [CHECK, DATE])
def test_the_number_is_named_once(wire: Wire, path: str) -> None:
    phone = wire.line()
    token = wire.token(number=phone.removeprefix("+86"))
    assert wire.call(path, {}, token=token)[0] == 200
    assert wire.call(path, {"phoneNumber": phone})[0] == 200
    assert wire.refused(path, {"phoneNumber": phone}, token=token) == (422, "UNNECESSARY_IDENTIFIER")
    assert wire.refused(path, {}) == (422, "MISSING_IDENTIFIER")
    for bad in ("13800138000", "+", "", 5, None):
        assert wire.refused(path, {"phoneNumber": bad}) == (400, "INVALID_ARGUMENT"), bad
    for unknown in ("+8613799999997", "+346661113334"):
        assert wire.refused(path, {"phoneNumber": unknown}) == (404, "IDENTIFIER_NOT_FOUND")
    assert wire.refused(path, {"phoneNumber": wire.line(sim_swap_served=False)}) == (
        422,
        "SERVICE_NOT_APPLICABLE",
    )


def test_the_date_of_the_last_swap_is_told(wire: Wire) -> None:
    now = wire.sandbox.clock()
    status, told = wire.call(DATE, {"phoneNumber": swapped_line(wire, 5)})
    assert status == 200
    assert told["latestSimChange"][:13] == (now - timedelta(hours=5)).isoformat()[:13]


def test_the_date_of_activation_stands_for_a_swap_that_never_was(wire: Wire) -> None:
    activated = (wire.sandbox.clock() - timedelta(days=300)).replace(microsecond=0)
    phone = wire.line(activated_at=activated.isoformat())
    assert wire.call(DATE, {"phoneNumber": phone}) == (
        200,
        {"latestSimChange": activated.isoformat().replace("+00:00", "Z")},
    )


def test_a_number_without_a_sim_has_no_date(wire: Wire) -> None:
    assert wire.call(DATE, {"phoneNumber": wire.line()}) == (200, {"latestSimChange": None})


# -- without authentication


def test_without_authentication_everybody_may_ask(open_sandbox: RunningSandbox) -> None:
    wire = Wire(open_sandbox)
    for token in ("", "whatever"):
        assert wire.call(SEND, {"phoneNumber": "+8613800138000", "message": TEXT}, token=token)[0] == 200
        assert wire.call(VERIFY, {"phoneNumber": "+8613800138000"}, token=token) == (
            200,
            {"devicePhoneNumberVerified": True},
        )
        assert wire.call(VERIFY, {"phoneNumber": "+8613900139000"}, token=token) == (
            200,
            {"devicePhoneNumberVerified": False},
        )
        assert wire.call(SHARE, token=token) == (200, {"devicePhoneNumber": "+8613800138000"})
        assert wire.call(CHECK, {"phoneNumber": "+8613500000003", "maxAge": 24}, token=token) == (
            200,
            {"swapped": True},
        )


# -- none is forgotten

#: Scenarios that say when they apply, and do not apply here.
NOT_HERE: Final = {
    "check_sim_swap_400.3_max_age_out_of_monitored_period": "no local rule restricts the monitored period",
    "retrieve_sim_swap_date_5_no_sim_swap_or_activation_date_due_to_legal_constrain": "no local rule restricts it",
}

SCENARIOS: Final = {
    "OTPvalidationAPI_01_send_code_success_scenario": test_a_code_is_sent_and_stands,
    "OTPvalidationAPI_02_send_code_success_scenario_without_x-correlator": test_a_correlator_is_not_required,
    "OTPvalidationAPI_400.1_send_code_no_request_body": test_malformed_requests_for_a_code_are_refused,
    "OTPvalidationAPI_400.2_send_code_empty_request_body": test_malformed_requests_for_a_code_are_refused,
    "OTPvalidationAPI_400.4_send_code_incorrect_phone_number_request_body": test_malformed_requests_for_a_code_are_refused,
    "OTPvalidationAPI_400.5_send_code_missing_message": test_malformed_requests_for_a_code_are_refused,
    "OTPvalidationAPI_400.6_send_code_missing_code_request_body": test_malformed_requests_for_a_code_are_refused,
    "OTPvalidationAPI_400.7_send_code_message_too_long": test_malformed_requests_for_a_code_are_refused,
    "OTPvalidationAPI_401.1_send_code_no_authorization_header": test_missing_expired_and_invalid_tokens_are_refused,
    "OTPvalidationAPI_401.2_send_code_expired_access_token": test_missing_expired_and_invalid_tokens_are_refused,
    "OTPvalidationAPI_401.3_send_code_invalid_access_token": test_missing_expired_and_invalid_tokens_are_refused,
    "OTPvalidationAPI_03_send_code_max_otp_code": test_too_many_codes_are_refused,
    "OTPvalidationAPI_04_send_code_phone_number_not_allowed": test_numbers_that_cannot_or_may_not_receive_are_refused,
    "OTPvalidationAPI_05_send_code_phone_number_not_allowed_3": test_numbers_that_cannot_or_may_not_receive_are_refused,
    "OTPvalidationAPI_06_send_code_phone_number_blocked": test_numbers_that_cannot_or_may_not_receive_are_refused,
    "OTPvalidationAPI_404.1_send_code_phone_number_not_belong_to_operator": test_numbers_of_others_are_not_found,
    "OTPvalidationAPI_01_validate_code_sucess_scenario": test_a_code_is_sent_and_stands,
    "OTPvalidationAPI_02_validate_code_sucess_scenario_without_x-correlator": test_a_correlator_is_not_required,
    "OTPvalidationAPI_400.1_validate_code_no_request_body": test_malformed_attempts_are_refused,
    "OTPvalidationAPI_400.2_validate_code_empty_request_body": test_malformed_attempts_are_refused,
    "OTPvalidationAPI_400.3_validate_code_missing_authenticationId": test_malformed_attempts_are_refused,
    "OTPvalidationAPI_400.3_validate_code_missing_code": test_malformed_attempts_are_refused,
    "OTPvalidationAPI_400.4_validate_code_exceed_code_max_length": test_malformed_attempts_are_refused,
    "OTPvalidationAPI_400.5_validate_code_invalid_otp_scenario": test_a_wrong_code_may_be_tried_again_but_not_too_often,
    "OTPvalidationAPI_400.6_validate_code_verification_expired_scenario_1": test_a_code_expires_with_time,
    "OTPvalidationAPI_400.7_validate_code_verification_expired_scenario_2": test_a_code_expires_when_a_newer_one_is_sent,
    "OTPvalidationAPI_400.8_validate_code_verification_expired_scenario_3": test_a_code_stands_once,
    "OTPvalidationAPI_400.9_validate_code_verification_failed_scenario": test_a_wrong_code_may_be_tried_again_but_not_too_often,
    "OTPvalidationAPI_401.1_validate_code_no_authorization_header": test_missing_expired_and_invalid_tokens_are_refused,
    "OTPvalidationAPI_401.2_validate_code_expired_access_token": test_missing_expired_and_invalid_tokens_are_refused,
    "OTPvalidationAPI_401.3_validate_code_invalid_access_token": test_missing_expired_and_invalid_tokens_are_refused,
    "OTPvalidationAPI_404_validate_code_resource_not_found": test_an_unknown_authentication_is_not_found,
    "phone_number_share_01_generic_success_scenario": test_the_devices_number_is_shared,
    "phone_number_share_02_success_scenario": test_the_devices_number_is_shared,
    "phone_number_verify_401.1_no_authorization_header": test_missing_expired_and_invalid_tokens_are_refused,
    "phone_number_verify_401.2_expired_access_token": test_missing_expired_and_invalid_tokens_are_refused,
    "phone_number_verify_401.3_invalid_access_token": test_missing_expired_and_invalid_tokens_are_refused,
    "phoneNumberShare_403.1_invalid_token_permissions": test_a_token_without_the_scope_is_refused,
    "phoneNumberShare_403.2_not_authenticated_using_network_or_sim_based_authentication": test_a_device_the_network_did_not_authenticate_is_refused,
    "phone_number_verify_01_generic_success_scenario": test_a_device_is_told_by_its_number_and_by_the_numbers_hash,
    "phone_number_verify.02_validate_phone_number_success_true": test_a_device_is_told_by_its_number_and_by_the_numbers_hash,
    "phone_number_verify.03_validate_phone_number_success_false": test_a_device_is_told_by_its_number_and_by_the_numbers_hash,
    "phone_number_verify.04_validate_hashed_phone_number_success_true": test_a_device_is_told_by_its_number_and_by_the_numbers_hash,
    "phone_number_verify.05_validate_hashed_phone_number_success_false": test_a_device_is_told_by_its_number_and_by_the_numbers_hash,
    "phone_number_verify_400.1_no_request_body": test_malformed_verifications_are_refused,
    "phone_number_verify_400.2_empty_request_body": test_malformed_verifications_are_refused,
    "phone_number_verify_400.3_invalid_request_non_existing_property": test_malformed_verifications_are_refused,
    "phone_number_verify_400.4_both_phone_number_and_hashed_in_request": test_malformed_verifications_are_refused,
    "phoneNumberVerify_403.1_invalid_token_permissions": test_a_token_without_the_scope_is_refused,
    "phoneNumberVerify_403.2_not_authenticated_using_network_or_sim_based_authentication": test_a_device_the_network_did_not_authenticate_is_refused,
    "phone_number_verify_C02.01_phone_number_not_schema_compliant": test_malformed_verifications_are_refused,
    "check_sim_swap_1_generic_success_scenario": test_a_swap_within_the_default_period_is_told,
    "check_sim_swap_2_valid_sim_swap_no_max_age": test_a_swap_within_the_default_period_is_told,
    "check_sim_swap_3_valid_sim_swap_max_age": test_a_swap_within_the_period_asked_for_is_told,
    "check_sim_swap_4_more_than_240_hours": test_a_swap_within_the_default_period_is_told,
    "check_sim_swap_5_out_of_max_age": test_a_swap_within_the_period_asked_for_is_told,
    "check_sim_swap_6_no_sim_swap_no_max_age": test_a_line_that_was_never_swapped_is_not_swapped,
    "check_sim_swap_7_no_sim_swap_with_max_age": test_a_line_that_was_never_swapped_is_not_swapped,
    "check_sim_swap_401.1_no_authorization_header": test_missing_expired_and_invalid_tokens_are_refused,
    "check_sim_swap_401.2_expired_access_token": test_missing_expired_and_invalid_tokens_are_refused,
    "check_sim_swap_401.3_invalid_access_token": test_missing_expired_and_invalid_tokens_are_refused,
    "check_sim_swap_400.1_invalid_max_age": test_a_malformed_period_is_refused,
    "check_sim_swap_400.2_invalid_max_age_value": test_a_period_out_of_range_is_refused,
    "check_sim_swap_C02.01_phone_number_not_schema_compliant": test_the_number_is_named_once,
    "check_sim_swap_C02.02_phone_number_not_found": test_the_number_is_named_once,
    "check_sim_swap_C02.03_unnecessary_phone_number": test_the_number_is_named_once,
    "check_sim_swap_C02.04_missing_phone_number": test_the_number_is_named_once,
    "check_sim_swap_C02.05_phone_number_not_supported": test_the_number_is_named_once,
    "retrieve_sim_swap_date_1_generic_success_scenario": test_the_date_of_the_last_swap_is_told,
    "retrieve_sim_swap_date_2_valid_sim_swap": test_the_date_of_the_last_swap_is_told,
    "retrieve_sim_swap_date_3_no_sim_swap_returns_activation_date": test_the_date_of_activation_stands_for_a_swap_that_never_was,
    "retrieve_sim_swap_date_4_sim_never_associated": test_a_number_without_a_sim_has_no_date,
    "retrieve_sim_swap_date_401.1_no_authorization_header": test_missing_expired_and_invalid_tokens_are_refused,
    "retrieve_sim_swap_date_401.2_expired_access_token": test_missing_expired_and_invalid_tokens_are_refused,
    "retrieve_sim_swap_date_401.3_invalid_access_token": test_missing_expired_and_invalid_tokens_are_refused,
    "retrieve_sim_swap_date_C02.01_phone_number_not_schema_compliant": test_the_number_is_named_once,
    "retrieve_sim_swap_date_C02.02_phone_number_not_found": test_the_number_is_named_once,
    "retrieve_sim_swap_date_C02.03_unnecessary_phone_number": test_the_number_is_named_once,
    "retrieve_sim_swap_date_C02.04_missing_phone_number": test_the_number_is_named_once,
    "retrieve_sim_swap_date_C02.05_phone_number_not_supported": test_the_number_is_named_once,
}


def test_every_scenario_is_played_or_said_not_to_apply() -> None:
    written: set[str] = set()
    for name in ("one-time-password-sms", "number-verification", "sim-swap"):
        written |= specifications.scenarios(name)
    assert written == SCENARIOS.keys() | NOT_HERE.keys()
