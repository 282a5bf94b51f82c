"""Speed of the synthesizer on one sentence of 5 s, beside a loop that does each step as RTVC does; knows no quality.

``python -m benchmarks.synthesizer [--threads N] [--runs N]``. Both loops run the same weights at RTVC's size, and in
turn, so that another job on the machine slows down both.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks.machine import describe, load
from models.environment import prepare_environment

SYMBOLS = 60
SECONDS = 5.0


def rtvc_loop(network: Any, ids: Any, embed: Any, max_frames: int) -> tuple[Any, Any]:
    """RTVC's inference of one line, every operation at every step -> mel (1, n_mels, T), attention (1, T / r, L).

    ids (1, L), embed (1, 256). The encoder and the post-net are the network's own.
    """
    import torch
    from torch.nn import functional as F

    decoder, cfg = network.decoder, network.cfg
    attention = decoder.attn_net
    hidden = network.encoder(ids, torch.tensor([ids.shape[1]]))
    symbols = torch.cat([hidden, embed.unsqueeze(1).expand(-1, ids.shape[1], -1)], dim=-1)
    keys = network.encoder_proj(symbols)
    frame, context = torch.zeros(1, cfg.n_mels), torch.zeros(1, symbols.shape[-1])
    query, cumulative = torch.zeros(1, cfg.decoder_dims), torch.zeros(1, ids.shape[1])
    states = [(torch.zeros(1, cfg.lstm_dims), torch.zeros(1, cfg.lstm_dims)) for _ in range(2)]
    frames, weights = [], []
    for step in range(0, max_frames, decoder.r.item()):
        query = decoder.attn_rnn(torch.cat([context, decoder.prenet(frame)], dim=-1), query)
        location = attention.L(attention.conv(cumulative.unsqueeze(1)).transpose(1, 2))
        energy = attention.v(torch.tanh(attention.W(query).unsqueeze(1) + keys + location)).squeeze(-1)
        scores = F.softmax(energy * (ids != 0).float(), dim=1)
        cumulative = cumulative + scores
        context = (scores.unsqueeze(1) @ symbols).squeeze(1)
        x = decoder.rnn_input(torch.cat([context, query], dim=1))
        for number, cell in enumerate((decoder.res_rnn1, decoder.res_rnn2)):
            states[number] = cell(x, states[number])
            x = x + states[number][0]
        made = decoder.mel_proj(x).view(1, cfg.n_mels, cfg.max_r)[:, :, : decoder.r]
        stop = torch.sigmoid(decoder.stop_proj(torch.cat([x, context], dim=1)))
        frame = made[:, :, -1]
        frames.append(made)
        weights.append(scores)
        if (stop > 0.5).all() and step > 10:
            break
    mel = network.post_proj(network.postnet(torch.cat(frames, dim=2))).transpose(1, 2)
    return mel.numpy(), torch.stack(weights, dim=1).numpy()


def best_seconds(runs: int, *works: Callable[[], Any]) -> list[float]:
    """The shortest of ``runs`` times of each work, in turn, after one that is not counted."""
    times: list[list[float]] = [[] for _ in works]
    for run in range(runs + 1):
        for work, taken in zip(works, times, strict=True):
            started = time.perf_counter()
            work()
            if run:
                taken.append(time.perf_counter() - started)
    return [min(taken) for taken in times]


def main() -> int:
    """Print the figures; returns the exit code."""
    prepare_environment()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.synthesizer", description=__doc__)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()

    import torch
    from torch.nn import functional as F

    from models.device import configure_threads
    from models.registry import ModelRegistry
    from synthesizer.config import TacotronConfig
    from synthesizer.generation import DecoderWeights, generate
    from synthesizer.network import Tacotron

    threads = configure_threads(args.threads)
    print(describe(threads))
    torch.manual_seed(0)
    embed = F.normalize(torch.rand(1, 256), dim=1)
    ids = torch.randint(2, TacotronConfig().n_symbols, (1, SYMBOLS))
    shipped = ModelRegistry().load("default", "synthesizer", torch.device("cpu"))
    full = Tacotron(TacotronConfig()).eval()
    for network in (full, shipped):
        # The length is given, whatever the weights say.
        torch.nn.init.constant_(network.decoder.stop_proj.bias, -50.0)
    mel = full.cfg.mel
    frames = round(SECONDS * mel.sample_rate / mel.hop_length)

    weights = {network: DecoderWeights(network) for network in (full, shipped)}

    def ours(network: Tacotron) -> Any:
        return generate(network, ids.tolist(), embed, seeds=[0], max_frames=[frames], weights=weights[network])

    def post_net(network: Tacotron) -> Any:
        return network.refine(torch.zeros(1, 80, frames), torch.tensor([frames]))

    def encoder(network: Tacotron) -> Any:
        return network.encode(ids, torch.tensor([SYMBOLS]), embed)

    with torch.inference_mode():
        baseline, *rest = best_seconds(
            args.runs,
            lambda: rtvc_loop(full, ids, embed, frames),
            *(partial(work, network) for network in (full, shipped) for work in (ours, encoder, post_net)),
        )
    print(f"{'':24s} {'work s':>8s} {'x real time':>12s} {'encoder s':>10s} {'post-net s':>10s}")
    print(f"{'RTVC’s loop, its size':24s} {baseline:8.3f} {SECONDS / baseline:12.1f} {rest[1]:10.3f} {rest[2]:10.3f}")
    for name, (whole, enc, post) in (("ours, RTVC's size", rest[:3]), ("ours, shipped model", rest[3:])):
        print(f"{name:24s} {whole:8.3f} {SECONDS / whole:12.1f} {enc:10.3f} {post:10.3f}")
    print(f"ours is {baseline / rest[0]:.2f} times as fast as RTVC's loop; load at the end {load()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
