"""RSA2: what is signed, to the byte, and what a signature proves."""

import base64
import hashlib
import json
import random
from urllib.parse import parse_qsl, urlencode

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.adapters.rail.sandbox_alipay import with_keys

from airback.adapters.rail import rsa2
from airback.adapters.rail.alipay_keys import ensure_merchant_keys
from airback.sandbox import alipay_keys as theirs

NODE = "alipay_fund_trans_uni_transfer_response"


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> RSAPrivateKey:
    return ensure_merchant_keys(with_keys(tmp_path_factory.mktemp("keys"))).private


def body(raw: str, *, key: RSAPrivateKey, signed: str | None = None, order: str = "node first") -> bytes:
    """An answer whose node is `raw`, signed over `signed` (by default over itself)."""
    sign = rsa2.sign((raw if signed is None else signed).encode(), key=key)
    parts = [f'"{NODE}":{raw}', f'"sign":"{sign}"']
    if order != "node first":
        parts.reverse()
    return ("{" + ",".join(parts) + "}").encode()


def read(raw: bytes, *, key: RSAPublicKey) -> rsa2.Answer | None:
    return rsa2.read_answer(raw, node=NODE, key=key)


class TestSignedText:
    def test_fields_are_sorted_by_name_and_joined_as_they_are(self) -> None:
        fields = {"b": "2", "a": "1", "C": "3", "a1": "4"}
        assert rsa2.signed_text(fields, outside=rsa2.OUTSIDE_REQUEST) == b"C=3&a=1&a1=4&b=2"

    def test_values_are_signed_before_they_are_encoded(self) -> None:
        fields = {"v": "a&b=c+d %2B/?", "名": "王小明"}
        assert rsa2.signed_text(fields, outside=rsa2.OUTSIDE_REQUEST) == "v=a&b=c+d %2B/?&名=王小明".encode()

    def test_empty_values_are_left_out_but_zero_and_spaces_stay(self) -> None:
        fields = {"a": "", "b": "0", "c": " "}
        assert rsa2.signed_text(fields, outside=rsa2.OUTSIDE_REQUEST) == b"b=0&c= "

    def test_a_request_covers_its_sign_type_and_a_notification_does_not(self) -> None:
        fields = {"a": "1", "sign": "x", "sign_type": "RSA2"}
        assert rsa2.signed_text(fields, outside=rsa2.OUTSIDE_REQUEST) == b"a=1&sign_type=RSA2"
        assert rsa2.signed_text(fields, outside=rsa2.OUTSIDE_NOTIFICATION) == b"a=1"

    def test_no_fields_are_no_text(self) -> None:
        assert rsa2.signed_text({}, outside=rsa2.OUTSIDE_REQUEST) == b""

    @settings(deadline=None, max_examples=60)
    @given(st.dictionaries(st.text(min_size=1), st.text()))
    def test_two_people_who_wrote_it_down_agree(self, fields: dict[str, str]) -> None:
        ours = rsa2.signed_text(fields, outside=rsa2.OUTSIDE_NOTIFICATION)
        assert ours.decode() == theirs.joined(fields.items(), but=("sign", "sign_type"))

    @settings(deadline=None, max_examples=60)
    @given(st.dictionaries(st.text(min_size=1), st.text()))
    def test_the_text_survives_form_encoding(self, fields: dict[str, str]) -> None:
        back = dict(parse_qsl(urlencode(fields), keep_blank_values=True))
        outside = rsa2.OUTSIDE_REQUEST
        assert rsa2.signed_text(back, outside=outside) == rsa2.signed_text(fields, outside=outside)


class TestSignature:
    def test_it_is_pkcs1_v15_over_sha256_by_the_arithmetic_of_rfc_8017(self, key: RSAPrivateKey) -> None:
        text = "app_id=1&remark=王小明".encode()
        numbers = key.public_key().public_numbers()
        size = key.key_size // 8
        raw = base64.b64decode(rsa2.sign(text, key=key))
        opened = pow(int.from_bytes(raw, "big"), numbers.e, numbers.n).to_bytes(size, "big")
        info = bytes.fromhex("3031300d060960864801650304020105000420") + hashlib.sha256(text).digest()
        assert opened == b"\x00\x01" + b"\xff" * (size - len(info) - 3) + b"\x00" + info

    def test_it_is_base64_without_line_breaks(self, key: RSAPrivateKey) -> None:
        sign = rsa2.sign(b"x", key=key)
        assert len(sign) == 344
        assert sign.isascii()
        assert not set(sign) & set(" \r\n")

    def test_both_sides_read_each_other(self, key: RSAPrivateKey) -> None:
        text = "a=b&c=王"
        assert theirs.stands(text, rsa2.sign(text.encode(), key=key), key.public_key())
        assert rsa2.verifies(text.encode(), signature=theirs.signature(text, key), key=key.public_key())

    @pytest.mark.parametrize("signature", ["", "AAAA", "no base64!", "=", "é", "A" * 344, " "])
    def test_what_is_no_signature_proves_nothing(self, key: RSAPrivateKey, signature: str) -> None:
        assert not rsa2.verifies(b"x", signature=signature, key=key.public_key())

    def test_any_other_text_is_not_proven(self, key: RSAPrivateKey) -> None:
        sign = rsa2.sign(b"a=1", key=key)
        assert rsa2.verifies(b"a=1", signature=sign, key=key.public_key())
        for other in (b"a=2", b"a=1 ", b"A=1", b""):
            assert not rsa2.verifies(other, signature=sign, key=key.public_key())


class TestAnswers:
    """What is verified is the node's text as it stands in the body."""

    @pytest.mark.parametrize(
        "raw",
        [
            '{"code":"10000","msg":"Success"}',
            '{ "code" : "10000" ,\n "msg":"Success" }',
            '{"msg":"Success","code":"10000"}',
            '{"code":"10000","name":"王小明","odd":"\\u738b"}',
            '{"code":"10000","url":"https:\\/\\/a.example\\/b"}',
            '{"code":"10000","text":"},\\"sign\\":\\"AAAA\\"}"}',
            '{"code":"10000","sign":"AAAA","inner":{"sign":"BBBB"}}',
            f'{{"code":"10000","{NODE}":{{"code":"40004"}}}}',
            '{"code":"10000","n":1.10,"e":1e3,"big":123456789012345678901234567890}',
            '{"code":"10000","braces":"{{]][","quote":"\\"","slash":"\\\\"}',
            '{"code":"10000","list":[{"a":[]},{}]}',
            "{}",
        ],
    )
    @pytest.mark.parametrize("order", ["node first", "sign first"])
    def test_the_exact_text_is_proven_and_read(self, key: RSAPrivateKey, raw: str, order: str) -> None:
        answer = read(body(raw, key=key, order=order), key=key.public_key())
        assert answer is not None
        assert answer.proven
        assert answer.node == json.loads(raw, parse_float=str)

    @pytest.mark.parametrize(
        ("raw", "signed"),
        [
            ('{"code": "10000"}', '{"code":"10000"}'),
            ('{"a":"1","b":"2"}', '{"b":"2","a":"1"}'),
            ('{"name":"\\u738b"}', '{"name":"王"}'),
            ('{"amount":"1.0"}', '{"amount":"1.00"}'),
        ],
    )
    def test_text_that_only_means_the_same_is_not_proven(
        self, key: RSAPrivateKey, raw: str, signed: str
    ) -> None:
        answer = read(body(raw, key=key, signed=signed), key=key.public_key())
        assert answer is not None
        assert not answer.proven

    def test_a_slash_escaped_after_signing_is_read_as_it_was_signed(self, key: RSAPrivateKey) -> None:
        printed, signed = '{"url":"a\\/b"}', '{"url":"a/b"}'
        answer = read(body(printed, key=key, signed=signed), key=key.public_key())
        assert answer is not None
        assert (answer.proven, answer.node) == (True, {"url": "a/b"})

    def test_what_is_believed_is_what_was_signed_and_not_what_was_sent(self, key: RSAPrivateKey) -> None:
        # Signed: an escaped slash. Sent: an escaped backslash before a slash, which means something else.
        printed, signed = '{"url":"a\\\\/b"}', '{"url":"a\\/b"}'
        assert json.loads(printed) != json.loads(signed)
        answer = read(body(printed, key=key, signed=signed), key=key.public_key())
        assert answer is not None
        assert (answer.proven, answer.node) == (True, json.loads(signed))

    def test_an_unsigned_answer_is_not_proven(self, key: RSAPrivateKey) -> None:
        for raw in (f'{{"{NODE}":{{"code":"10000"}}}}', f'{{"{NODE}":{{"code":"10000"}},"sign":null}}'):
            answer = read(raw.encode(), key=key.public_key())
            assert answer is not None
            assert not answer.proven

    def test_the_gateways_own_error_node_is_read_like_any_other(self, key: RSAPrivateKey) -> None:
        raw = '{"code":"40002","sub_code":"isv.invalid-app-id"}'
        sign = rsa2.sign(raw.encode(), key=key)
        for text, proven in (
            (f'{{"error_response":{raw},"sign":"{sign}"}}', True),
            (f'{{"error_response":{raw}}}', False),
        ):
            answer = read(text.encode(), key=key.public_key())
            assert answer is not None
            assert (answer.proven, answer.node["code"]) == (proven, "40002")

    def test_an_answer_to_another_method_is_no_answer(self, key: RSAPrivateKey) -> None:
        raw = '{"code":"10000"}'
        sign = rsa2.sign(raw.encode(), key=key)
        assert (
            read(f'{{"alipay_trade_query_response":{raw},"sign":"{sign}"}}'.encode(), key=key.public_key())
            is None
        )

    @pytest.mark.parametrize(
        "raw",
        [
            b"",
            b"<html>502</html>",
            b"null",
            b"[]",
            b'"text"',
            b"{",
            b"{}",
            b"{}{}",
            b'{"sign":"AAAA"}',
            b"\xff\xfe",
            b'{"%b":"text","sign":"AAAA"}' % NODE.encode(),
            b'{"%b":null,"sign":"AAAA"}' % NODE.encode(),
            b'{"%b":{},"sign":"AAAA"' % NODE.encode(),
            b'{"%b":{},}' % NODE.encode(),
            b'{"%b":{"a":1,}}' % NODE.encode(),
            b'{1:{"a":1}}',
            b'{"%b":%b}' % (NODE.encode(), b'{"a":' * 100_000),
        ],
    )
    def test_what_is_no_answer_is_none(self, key: RSAPrivateKey, raw: bytes) -> None:
        assert read(raw, key=key.public_key()) is None

    def test_a_body_that_says_things_twice_has_no_reading(self, key: RSAPrivateKey) -> None:
        good = body('{"code":"10000"}', key=key).decode()
        for twice in (
            good[:-1] + f',"{NODE}":{{"code":"40004"}}}}',
            good[:-1] + ',"sign":"AAAA"}',
        ):
            assert read(twice.encode(), key=key.public_key()) is None

    def test_any_damage_ends_the_proof(self, key: RSAPrivateKey) -> None:
        good = body('{"code":"10000","out_biz_no":"A","trans_amount":"100.00"}', key=key)
        dice = random.Random(7)
        for _ in range(150):
            at, bit = dice.randrange(len(good)), 1 << dice.randrange(7)
            bad = bytearray(good)
            bad[at] ^= bit
            answer = read(bytes(bad), key=key.public_key())
            # A flip in the outer structure may be no answer at all; inside, it is never a proven one. Unused bits
            # of the last base64 character carry nothing, so the signature may read the same.
            if answer is not None and answer.proven:
                assert answer.node == json.loads(good)[NODE]
                assert at > good.rindex(b'"sign"')
