"""What a refusal is; `airback.domain.refusals` has all of them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    """One named refusal. `status` is the HTTP status when an API call is refused for it."""

    code: str
    status: int
    zh: str
    en: str
    remedy_zh: str
    remedy_en: str

    def sentence(self, language: str) -> str:
        """The sentence in `zh` or `en`."""
        return self.zh if language.startswith("zh") else self.en

    def remedy(self, language: str) -> str:
        """What the person can do, in `zh` or `en`."""
        return self.remedy_zh if language.startswith("zh") else self.remedy_en
