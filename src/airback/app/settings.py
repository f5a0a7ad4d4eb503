"""Settings of one installation: the command line first, then the environment, then what suits a laptop."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

#: Where everything of an installation lives unless it is told otherwise: below the working directory.
DEFAULT_DATA: Final = ".airback"
DEFAULT_PORT: Final = 8420


@dataclass(frozen=True, slots=True)
class Settings:
    """`database_url` None means the embedded PostgreSQL in `data_dir`. `sandbox` True: far sides are the sandbox's."""

    data_dir: Path
    database_url: str | None
    operator: str = "Airback"
    book: int = 1
    sandbox: bool = True
    secure_cookies: bool = False

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
    """Settings from `--data` and the environment: `AIRBACK_DATA`, `AIRBACK_DATABASE_URL`, `AIRBACK_OPERATOR`."""
    data_dir = Path(data or environment.get("AIRBACK_DATA") or DEFAULT_DATA).expanduser().absolute()
    settings = Settings(data_dir=data_dir, database_url=environment.get("AIRBACK_DATABASE_URL") or None)
    if operator := environment.get("AIRBACK_OPERATOR"):
        settings = replace(settings, operator=operator[:80])
    return settings
