"""The door: who gets in, what a wrong guess learns, how long a session stands."""

import asyncio

import pytest

from airback.engine import sign_in
from airback.staff import passwords
from airback.store.staff import token_hash
from tests.web.console.world import BOOK, PASSWORD, World, csrf, try_sign_in


async def test_the_right_password_opens_the_console(world: World) -> None:
    person = await world.person("li.na", "operations")
    answer = await person.get("/console")
    assert answer.status_code == 200
    assert "li.na" in answer.text


async def test_a_name_is_read_without_case_or_space(world: World) -> None:
    await world.appoint("li.na", "operations")
    assert (await try_sign_in(world.browser(), " Li.Na ", PASSWORD)).status_code == 303


async def test_whoever_is_not_signed_in_is_led_to_the_door_and_back(world: World) -> None:
    await world.appoint("li.na", "operations")
    client = world.browser()
    answer = await client.get("/console/orders?state=held")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/console/sign-in?next=%2Fconsole%2Forders%3Fstate%3Dheld"
    door = await client.get(answer.headers["location"])
    assert 'value="/console/orders?state=held"' in door.text
    entered = await try_sign_in(client, "li.na", PASSWORD, to="/console/orders?state=held")
    assert entered.headers["location"] == "/console/orders?state=held"


@pytest.mark.parametrize(
    "to",
    [
        "https://evil.test/",
        "//evil.test",
        "/\\evil.test",
        "/other",
        "javascript:alert(1)",
        "/console\\@evil.test",
        "/consolation",
    ],
)
async def test_signing_in_never_leads_away(world: World, to: str) -> None:
    await world.appoint("li.na", "operations")
    answer = await try_sign_in(world.browser(), "li.na", PASSWORD, to=to)
    assert answer.headers["location"] == "/console"


async def test_unknown_wrong_paused_and_disabled_look_the_same(world: World) -> None:
    for name in ("real", "paused", "gone"):
        await world.appoint(name, "operations")
    async with world.pool.acquire() as conn:
        await conn.execute("UPDATE staff SET locked_until = now() + interval '1 year' WHERE name = 'paused'")
        await conn.execute("UPDATE staff SET disabled_at = now() WHERE name = 'gone'")
    answers = []
    for name, password in (
        ("nobody", PASSWORD),
        ("real", "wrong wrong wrong"),
        ("paused", PASSWORD),
        ("gone", PASSWORD),
        ("Not a name!", PASSWORD),
    ):
        answer = await try_sign_in(world.browser(), name, password)
        text = answer.text.replace(csrf(answer), "").replace(name, "")
        answers.append((answer.status_code, [line for line in text.splitlines() if "alert" in line]))
    assert answers[0][0] == 401
    assert all(answer == answers[0] for answer in answers)


async def test_every_refused_sign_in_costs_one_password_check(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.appoint("real", "operations")
    checked: list[str] = []
    real = passwords.matches

    def count(*, password: str, stored: str) -> bool:
        checked.append(stored)
        return real(password=password, stored=stored)

    monkeypatch.setattr(passwords, "matches", count)
    for name in ("real", "nobody", "Not a name!", ""):
        await try_sign_in(world.browser(), name, "wrong wrong wrong")
    assert len(checked) == 4
    parameters = {stored.rsplit("$", 2)[0] for stored in checked}
    assert len(parameters) == 1  # the same memory, passes and lanes, so the same time


async def test_guesses_pause_longer_and_longer_and_a_pause_ends(world: World) -> None:
    await world.appoint("li.na", "operations")
    client = world.browser()
    pauses = []
    for _ in range(7):
        async with world.pool.acquire() as conn:
            locked = await conn.fetchval("SELECT locked_until FROM staff")
        if locked is not None and locked > world.platform.clock:
            pauses.append((locked - world.platform.clock).total_seconds())
            assert (
                await try_sign_in(client, "li.na", PASSWORD)
            ).status_code == 401  # even with the right one
            world.platform.clock = locked
        await try_sign_in(client, "li.na", "wrong wrong wrong")
    assert pauses == [30, 60]
    world.pass_by(minutes=10)
    assert (await try_sign_in(client, "li.na", PASSWORD)).status_code == 303
    async with world.pool.acquire() as conn:
        assert await conn.fetchval("SELECT failures FROM staff") == 0


async def test_guesses_sent_at_once_are_counted_each(world: World) -> None:
    await world.appoint("li.na", "operations")
    browsers = [world.browser() for _ in range(8)]
    answers = await asyncio.gather(*(try_sign_in(each, "li.na", "wrong wrong wrong") for each in browsers))
    assert {answer.status_code for answer in answers} == {401}
    async with world.pool.acquire() as conn:
        assert await conn.fetchval("SELECT failures FROM staff") == 5  # the fifth began the pause


async def test_signing_in_replaces_a_session_that_was_planted(world: World) -> None:
    await world.appoint("li.na", "operations")
    await world.appoint("mallory", "support")
    planted = await world.sign_in("mallory")
    token = planted.client.cookies["airback_console"]
    victim = world.browser()
    victim.cookies.set("airback_console", token, domain="console.test", path="/console")
    # the door is shown again after signing out of it; here the form is sent straight away
    door = await world.browser().get("/console/sign-in")
    victim.cookies.set("airback_console_form", csrf(door), domain="console.test", path="/console/sign-in")
    answer = await victim.post(
        "/console/sign-in",
        data={"csrf": csrf(door), "next": "/console", "name": "li.na", "password": PASSWORD},
    )
    assert answer.status_code == 303
    assert answer.cookies["airback_console"] != token
    assert (await planted.get("/console")).status_code == 303  # the planted session is gone


async def test_a_token_somebody_made_up_is_nobody(world: World) -> None:
    client = world.browser()
    for token in ("", "x", "0" * 43, "a" * 5000):
        client.cookies.set("airback_console", token, domain="console.test", path="/console")
        assert (await client.get("/console")).status_code == 303


async def test_only_the_tokens_hash_is_stored(world: World) -> None:
    person = await world.person("li.na", "operations")
    token = person.client.cookies["airback_console"]
    async with world.pool.acquire() as conn:
        row = await conn.fetchrow("SELECT * FROM sessions")
    assert row["token_hash"] == token_hash(token)
    assert token not in str(dict(row))


async def test_the_cookie_is_out_of_reach(world: World) -> None:
    await world.appoint("li.na", "operations")
    answer = await try_sign_in(world.browser(), "li.na", PASSWORD)
    cookie = next(
        line for line in answer.headers.get_list("set-cookie") if line.startswith("airback_console=")
    )
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert "Path=/console" in cookie
    assert "Secure" not in cookie


async def test_the_cookie_is_secure_behind_https(world: World) -> None:
    await world.appoint("li.na", "operations")
    client = world.browser()
    client.headers["x-forwarded-proto"] = "https"
    door = await client.get("/console/sign-in")
    token = csrf(door)
    answer = await client.post(
        "/console/sign-in",
        data={"csrf": token, "next": "/console", "name": "li.na", "password": PASSWORD},
        headers={"cookie": f"airback_console_form={token}"},
    )
    assert answer.status_code == 303
    assert all(
        "Secure" in line for line in answer.headers.get_list("set-cookie") if "airback_console=" in line
    )


async def test_half_an_hour_idle_ends_a_session(world: World) -> None:
    person = await world.person("li.na", "operations")
    world.pass_by(minutes=29)
    assert (await person.get("/console")).status_code == 200
    world.pass_by(minutes=29)
    assert (await person.get("/console")).status_code == 200
    world.pass_by(minutes=31)
    assert (await person.get("/console")).status_code == 303


async def test_a_page_that_asks_for_news_keeps_nobody_signed_in(world: World) -> None:
    person = await world.person("li.na", "operations")
    for _ in range(4):
        world.pass_by(minutes=9)
        answer = await person.get("/console", **{"HX-Request": "true"})
    assert answer.status_code == 200
    assert "会话已结束" in answer.text
    assert 'id="live"' in answer.text


async def test_twelve_hours_end_a_session_whatever_happens(world: World) -> None:
    person = await world.person("li.na", "operations")
    for _ in range(28):
        world.pass_by(minutes=25)
        assert (await person.get("/console")).status_code == 200
    world.pass_by(minutes=25)
    assert (await person.get("/console")).status_code == 303


async def test_signing_out_ends_the_session_in_the_database(world: World) -> None:
    person = await world.person("li.na", "operations")
    token = person.client.cookies["airback_console"]
    answer = await person.post("/console/sign-out")
    assert answer.headers["location"] == "/console/sign-in"
    assert "airback_console" not in person.client.cookies
    stolen = world.browser()
    stolen.cookies.set("airback_console", token, domain="console.test", path="/console")
    assert (await stolen.get("/console")).status_code == 303


async def test_a_disabled_person_is_out_at_once(world: World) -> None:
    person = await world.person("li.na", "operations")
    async with world.pool.acquire() as conn:
        await conn.execute("UPDATE staff SET disabled_at = $1 WHERE name = 'li.na'", world.platform.clock)
    assert (await person.get("/console")).status_code == 303


async def test_roles_count_as_they_are_now(world: World) -> None:
    person = await world.person("li.na", "operations")
    assert (await person.get("/console/money")).status_code == 200
    async with world.pool.acquire() as conn:
        await conn.execute("UPDATE staff SET roles = '{support}' WHERE name = 'li.na'")
    assert (await person.get("/console/money")).status_code == 403


async def test_the_sign_in_form_needs_its_own_token(world: World) -> None:
    await world.appoint("li.na", "operations")
    client = world.browser()
    await client.get("/console/sign-in")
    answer = await client.post(
        "/console/sign-in", data={"csrf": "guess", "name": "li.na", "password": PASSWORD}
    )
    assert answer.status_code == 403
    assert "airback_console" not in client.cookies


async def test_a_password_sealed_the_old_way_is_sealed_anew(world: World) -> None:
    from argon2 import PasswordHasher

    await world.appoint("li.na", "operations")
    old = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORD)
    async with world.pool.acquire() as conn:
        await conn.execute("UPDATE staff SET password = $1", old)
    await world.sign_in("li.na")
    async with world.pool.acquire() as conn:
        stored = await conn.fetchval("SELECT password FROM staff")
    assert not passwords.outdated(stored)
    assert passwords.matches(password=PASSWORD, stored=stored)


async def test_changing_the_password_ends_other_sessions_and_is_logged(world: World) -> None:
    here = await world.person("li.na", "operations")
    there = await world.sign_in("li.na")
    wanted = "nine quiet rivers, one boat"
    answer = await here.post("/console/account/password", password=PASSWORD, wanted=wanted, again=wanted)
    assert answer.status_code == 303
    assert (await here.get("/console")).status_code == 200
    assert (await there.get("/console")).status_code == 303
    assert (await try_sign_in(world.browser(), "li.na", PASSWORD)).status_code == 401
    assert (await try_sign_in(world.browser(), "li.na", wanted)).status_code == 303
    (body,) = await world.inbox()
    assert (body["action"], body["subject"], body["decision"]) == (
        "staff:password:changed",
        "li.na",
        "recorded",
    )
    assert wanted not in str(body)


@pytest.mark.parametrize(
    ("password", "wanted", "again", "status"),
    [
        ("wrong wrong wrong", "nine quiet rivers, one boat", "nine quiet rivers, one boat", 401),
        (PASSWORD, "nine quiet rivers, one boat", "something else entirely", 422),
        (PASSWORD, "short", "short", 422),
    ],
)
async def test_a_password_is_not_changed_when(
    world: World, password: str, wanted: str, again: str, status: int
) -> None:
    person = await world.person("li.na", "operations")
    answer = await person.post("/console/account/password", password=password, wanted=wanted, again=again)
    assert answer.status_code == status
    await world.sign_in("li.na")


async def test_dead_sessions_are_swept(world: World) -> None:
    await world.person("li.na", "operations")
    world.pass_by(hours=13)
    await world.sign_in("li.na")
    async with world.pool.acquire() as conn:
        assert await conn.fetchval("SELECT count(*) FROM sessions WHERE book = $1", BOOK) == 1


def test_tokens_do_not_repeat() -> None:
    import secrets

    assert len({sign_in.new_token(secrets.token_bytes) for _ in range(1000)}) == 1000
