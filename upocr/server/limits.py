"""What one server accepts."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds of memory and time.

    Args:
        max_bytes: of one request.
        max_pixels: of one picture.
        max_queue: requests that are read, wait or run at the same time.
        time_limit: seconds of work on one picture.
        upload_time: seconds until a request must have arrived.
    """

    max_bytes: int = 50_000_000
    max_pixels: int = 50_000_000
    max_queue: int = 16
    time_limit: float = 600
    upload_time: float = 60

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value <= 0:
                raise ValueError(f"{name} is {value}, expected a number above 0")
