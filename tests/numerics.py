"""Float32 results are held against a peer's by the norm of a whole tensor, not element by element.

Another processor, another number of threads, another way to batch: each adds up the same numbers in another order, and
each sum then differs by some 1e-7 of what was *added*, however near to zero it has come out. An element that is nearly
zero is all rounding, so a bound on every element (1e-6, say) holds on the processor that it was chosen on and breaks on
the next; a step of Adam even divides by such an element. The norm of the difference stays a small multiple of 1e-7 of
the norm of the tensor everywhere, and a mistake, which moves many elements or one by much, does not.

`FORWARD` is for losses, logits, scores and trained weights, `GRADIENT` for gradients, whose terms cancel more.
"""

from __future__ import annotations

import numpy as np
import torch

FORWARD = 1e-5
GRADIENT = 1e-4


def assert_close(ours, theirs, rel: float = FORWARD, rounding: float = 0.0, what: object = "") -> None:
    """Assert that two tensors of one shape differ by at most ``rel`` of the norm of ``theirs``.

    Args:
        ours: a tensor, an array, a number or lists of numbers.
        theirs: what it has to be; if all zeros, exactly that.
        rel: the share of the norm.
        rounding: a norm that is allowed beside; for the gradient of one parameter among others, which may be zero by
            mathematics (the bias of keys: softmax does not see it) and is then the rounding of what passed through it.
        what: named in the message.
    """
    ours, theirs = _array(ours), _array(theirs)
    assert ours.shape == theirs.shape, what
    assert np.isfinite(ours).all() and np.isfinite(theirs).all(), what
    gap, norm = np.linalg.norm(ours - theirs), np.linalg.norm(theirs)
    assert gap <= rel * norm + rounding, f"{what}: the difference's norm is {gap:.2e}, the expected one's {norm:.3g}"


def assert_gradients_close(ours: dict, theirs: dict, rel: float = GRADIENT) -> None:
    """Assert that each gradient is the peer's; a millionth of the norm of all is the rounding of one."""
    assert ours.keys() == theirs.keys()
    norm = np.linalg.norm([np.linalg.norm(_array(gradient)) for gradient in theirs.values()])
    for name, gradient in theirs.items():
        assert_close(ours[name], gradient, rel, 1e-6 * norm, name)


def _array(values) -> np.ndarray:
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu().double().numpy()
    return np.asarray(values, dtype=np.float64)


def log_likelihoods(base, ids, target):
    """Return the log-probability of every token of ``target`` after ``ids``, by one plain forward pass."""
    with torch.no_grad():
        if base.kind == "seq2seq":
            logits = base.network(input_ids=torch.tensor([ids]), labels=torch.tensor([target])).logits[0]
        else:
            logits = base.network(torch.tensor([[*ids, *target]])).logits[0, len(ids) - 1 : -1]
    return logits.log_softmax(-1)[range(len(target)), target].tolist()
