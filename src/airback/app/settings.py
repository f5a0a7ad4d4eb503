"""Settings of one installation: the command line first, then the environment, then what suits a laptop."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from airback.domain.money import PPM
from airback.domain.refusals import Refused
from airback.ledger.margin import BAD_DEBT_PPM
from airback.market.rate_index import Privacy
from airback.pricing.exposure import Limits

#: Where everything of an installation lives unless it is told otherwise: below the working directory.
DEFAULT_DATA: Final = ".airback"
DEFAULT_PORT: Final = 8420

_MOST_YUAN: Final = 100_000_000_000
#: Limits of live quotes: (field, least, most, how many of it one is).
_EXPOSURE: Final = {
    "AIRBACK_SELLER_EXPOSURE_YUAN": ("seller_fen", 1, _MOST_YUAN, 100),
    "AIRBACK_PERSON_EXPOSURE_YUAN": ("person_fen", 1, _MOST_YUAN, 100),
    "AIRBACK_CARRIER_EXPOSURE_YUAN": ("carrier_least_fen", 1, _MOST_YUAN, 100),
    "AIRBACK_EXPOSURE_TIMES": ("times", 1, 1_000, 1),
    "AIRBACK_CLIENT_EXPOSURE_PPM": ("client_ppm", 1, PPM, 1),
}


@dataclass(frozen=True, slots=True)
class Settings:
    """`bad_debt_ppm`: the bad debt to be reckoned with, of the face delivered. `index_privacy`: what of the
    rate index may be published. `exposure`: the most in live quotes. `database_url` None means the embedded PostgreSQL in `data_dir`. `sandbox` True: far sides are the sandbox's."""

    data_dir: Path
    database_url: str | None
    operator: str = "Airback"
    book: int = 1
    sandbox: bool = True
    secure_cookies: bool = False
    bad_debt_ppm: int = BAD_DEBT_PPM
    index_privacy: Privacy = field(default_factory=Privacy)
    exposure: Limits = field(default_factory=Limits)

    @property
    def keys_dir(self) -> Path:
        """Where the installation's keys are."""
        return self.data_dir / "keys"

    @property
    def run_dir(self) -> Path:
        """Where running processes say who and where they are."""
        return self.data_dir / "run"

    @property
    def fonts_dir(self) -> Path:
        """The fonts that came with the setup."""
        return Path(__file__).parent.parent / "web" / "static" / "vendor" / "fonts"


def read(*, data: str | None = None, environment: Mapping[str, str] = os.environ) -> Settings:
    """Settings from `--data` and the environment: `AIRBACK_DATA`, `AIRBACK_DATABASE_URL`, `AIRBACK_OPERATOR`,
    `AIRBACK_BAD_DEBT_PPM`, `AIRBACK_INDEX_SELLERS`, and the limits of live quotes (docs/pricing.md). Raises `Refused` `field_invalid` for a figure out of its range."""
    data_dir = Path(data or environment.get("AIRBACK_DATA") or DEFAULT_DATA).expanduser().absolute()
    settings = Settings(data_dir=data_dir, database_url=environment.get("AIRBACK_DATABASE_URL") or None)
    if operator := environment.get("AIRBACK_OPERATOR"):
        settings = replace(settings, operator=operator[:80])
    if rate := environment.get("AIRBACK_BAD_DEBT_PPM"):
        if not (rate.isascii() and rate.isdecimal()) or int(rate) > PPM:
            raise Refused("field_invalid", field="AIRBACK_BAD_DEBT_PPM")
        settings = replace(settings, bad_debt_ppm=int(rate))
    if sellers := environment.get("AIRBACK_INDEX_SELLERS"):
        if not (sellers.isascii() and sellers.isdecimal()) or not 3 <= int(sellers) <= 1_000_000:
            raise Refused("field_invalid", field="AIRBACK_INDEX_SELLERS")
        settings = replace(settings, index_privacy=Privacy(least_sellers=int(sellers)))
    return replace(settings, exposure=_exposure(environment))


def _exposure(environment: Mapping[str, str]) -> Limits:
    found: dict[str, int] = {}
    for name, (field_name, least, most, unit) in _EXPOSURE.items():
        if text := environment.get(name):
            if not (text.isascii() and text.isdecimal()) or len(text) > 12 or not least <= int(text) <= most:
                raise Refused("field_invalid", field=name)
            found[field_name] = int(text) * unit
    return Limits(**found)
