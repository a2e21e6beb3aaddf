"""How far a long computation is, on standard error."""

import sys
import time
from dataclasses import dataclass, field
from typing import TextIO

_REFRESH_SECONDS = 0.5


@dataclass
class Progress:
    """Counts finished parts of a known total and prints the share and the time left, at most twice a second."""

    total: int
    unit: str
    enabled: bool = True
    stream: TextIO = field(default_factory=lambda: sys.stderr)
    done: int = 0
    started: float = field(default_factory=time.monotonic)
    printed: float = 0.0

    def advance(self, parts: int = 1) -> None:
        """Count `parts` more as finished."""
        self.done += parts
        now = time.monotonic()
        if self.enabled and (now - self.printed > _REFRESH_SECONDS or self.done >= self.total):
            self.printed = now
            self.stream.write(f"\r{self.line(now)}\x1b[K")
            self.stream.flush()

    def line(self, now: float) -> str:
        """`40 of 100 networks, 12 s left`."""
        elapsed = now - self.started
        left = elapsed / self.done * (self.total - self.done) if self.done else float("nan")
        return f"{self.done} of {self.total} {self.unit}, {left:.0f} s left"

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self.enabled and self.printed:
            self.stream.write("\n")
