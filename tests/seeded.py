"""Weights made from a seed and the entries' names, as the reference values were computed with."""

import math
import zlib
from typing import Any

import numpy as np
import torch


def seeded_state(layout_name: str, reference_json: dict[str, Any]) -> dict[str, torch.Tensor]:
    """State-dict entries of ``layouts.json`` (parsed) for "encoder", "synthesizer" or "vocoder".

    Entries that keep their construction value (integers, ``stop_threshold``) are left out, so the result is
    loaded with ``strict=False`` or merged over ``network.state_dict()``.
    """
    state = {}
    for name, shape, dtype in reference_json["layouts"][layout_name]:
        if dtype != "float32" or name.endswith("stop_threshold"):
            continue
        rng = np.random.default_rng([reference_json["seed"], zlib.crc32(name.encode())])
        if name == "similarity_weight":
            values = np.full(shape, 10.0)
        elif name == "similarity_bias":
            values = np.full(shape, -5.0)
        elif name.endswith("running_var"):
            values = rng.uniform(0.5, 1.5, size=shape)
        elif len(shape) >= 2:
            values = rng.standard_normal(shape) / math.sqrt(math.prod(shape[1:]))
        else:
            values = rng.standard_normal(shape) * 0.1
        state[name] = torch.from_numpy(np.asarray(values, dtype=np.float32).reshape(shape))
    return state
