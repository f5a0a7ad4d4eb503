"""Chance from one seed, in streams of their own names: drawing more in one place changes nothing in another."""

import hashlib
import random


class Chance:
    """Named streams of one seed."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def stream(self, name: str) -> random.Random:
        """The stream of that name, from its beginning."""
        digest = hashlib.sha256(f"{self._seed}|{name}".encode()).digest()
        return random.Random(int.from_bytes(digest, "big"))
