"""Forms: nothing is changed by a request that did not come from a page of this very session."""

import re
from collections.abc import Iterator

from litestar.routes import HTTPRoute

from airback.staff.roles import Role
from tests.web.console.world import World

EVERYBODY = [role.value for role in Role]
FILLED = {"public": "ord_0000000000001", "form": "deposit", "name": "bo", "version": "1"}


def forms(world: World) -> Iterator[str]:
    """The address of every form but the door's, which has a token of its own."""
    for route in world.app.routes:
        if isinstance(route, HTTPRoute) and "POST" in route.methods and route.path.startswith("/console"):
            address = re.sub(r"\{([a-z]+)(:[a-z]+)?\}", lambda found: FILLED[found[1]], route.path)
            if address != "/console/sign-in":
                yield address


async def nothing_changed(world: World) -> bool:
    async with world.pool.acquire() as conn:
        proposals = await conn.fetchval("SELECT count(*) FROM proposals")
        disabled = await conn.fetchval("SELECT count(*) FROM staff WHERE disabled_at IS NOT NULL")
    return (proposals, disabled, await world.inbox()) == (0, 0, [])


async def test_every_form_is_refused_without_its_token(world: World) -> None:
    person = await world.person("ada", *EVERYBODY)
    await world.appoint("bo", "support")
    found = list(forms(world))
    assert len(found) >= 8
    for address in found:
        for data in ({}, {"csrf": ""}, {"csrf": "guess"}, {"csrf": "ü"}):
            answer = await person.client.post(address, data=data)
            assert answer.status_code == 403, (address, data)
            assert "form_stale" in answer.text
    assert await nothing_changed(world)


async def test_the_token_of_another_session_does_not_do(world: World) -> None:
    person = await world.person("ada", *EVERYBODY)
    other = await world.person("bo", *EVERYBODY)
    token = await other.token()
    for address in forms(world):
        assert (await person.client.post(address, data={"csrf": token})).status_code == 403, address
    assert await nothing_changed(world)


async def test_a_form_that_another_site_sent_is_refused_even_with_the_token(world: World) -> None:
    person = await world.person("ada", *EVERYBODY)
    token = await person.token()
    for address in forms(world):
        for site in ("cross-site", "same-site"):
            answer = await person.client.post(address, data={"csrf": token}, headers={"sec-fetch-site": site})
            assert answer.status_code == 403, (address, site)
    assert await nothing_changed(world)


async def test_whoever_is_signed_out_is_led_to_the_door(world: World) -> None:
    for address in forms(world):
        answer = await world.browser().post(address, data={"csrf": "x"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/console/sign-in"), address
