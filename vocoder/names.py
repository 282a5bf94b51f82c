"""The name of the vocoder that needs no model; imports nothing, so that asking costs nothing."""

GRIFFIN_LIM = "griffin-lim"


def is_griffin_lim(name: str) -> bool:
    """Whether a vocoder's name means Griffin-Lim, which has no model file."""
    return name.lower().replace("_", "-").replace(" ", "-") in (GRIFFIN_LIM, "griffinlim")
