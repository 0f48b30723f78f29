"""How a training is guarded: how often it is saved, and what happens when it goes wrong."""

from __future__ import annotations

from dataclasses import dataclass

from ssl_av.errors import UserError, unknown


@dataclass(frozen=True)
class Safety:
    """The ``safety`` group. None of it changes what an undisturbed training computes.

    Attributes:
        checkpoint_every: ``steps=N`` or ``minutes=N``, besides each epoch's end and each best online probe.
        keep: how many of the newest checkpoints stay, at least one.
        on_nonfinite: a NaN or infinite loss ends the training (``stop``), or its batch is passed over and counted
            (``skip``).
        on_collapse: embeddings that hardly differ are told and recorded (``warn``), or end the training (``stop``).
            Small networks begin near there and leave it: to stop would change which of them are ever measured.
    """

    checkpoint_every: str | int = "minutes=30"
    keep: int = 2
    on_nonfinite: str = "stop"
    on_collapse: str = "warn"

    def __post_init__(self) -> None:
        _ = self.every
        if isinstance(self.keep, bool) or not isinstance(self.keep, int) or self.keep < 1:
            raise UserError(f"--safety.keep {self.keep}: give how many checkpoints stay, at least 1")
        for name, known in (("on_nonfinite", ("stop", "skip")), ("on_collapse", ("warn", "stop"))):
            if getattr(self, name) not in known:
                raise unknown(f"value of --safety.{name}", str(getattr(self, name)), known)

    @property
    def every(self) -> tuple[str, float]:
        """The unit of ``checkpoint_every`` and how many of it.

        Raises:
            UserError: if it is not written so.
        """
        unit, equals, text = str(self.checkpoint_every).partition("=")
        if not equals:
            raise UserError(
                f"--safety.checkpoint_every {self.checkpoint_every}: write it as steps=N or minutes=N"
            )
        if unit not in ("steps", "minutes"):
            raise unknown("unit of --safety.checkpoint_every", unit, ("steps", "minutes"))
        try:
            number = float(text) if unit == "minutes" else int(text.replace("_", ""))
        except ValueError:
            number = 0
        if not 0 < number < float("inf"):
            raise UserError(f"--safety.checkpoint_every {self.checkpoint_every}: '{text}' is not above 0")
        return unit, number
