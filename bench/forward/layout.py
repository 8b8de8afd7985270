"""Where the tokens of a batch stand when they are packed into one row: every shared beginning once, no padding."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from bench.forward.batch import Batch


@dataclass(frozen=True)
class Layout:
    """A batch as one row: a trunk that all examples share, then the groups of examples, each with its branches.

    The trunk is the virtual tokens and the tokens with which all examples begin (a template's first
    words). Examples of which more than half is the same (a question before each of its possible
    answers) form a group: their common stem stands once, and their ends are branches that do not see
    each other. Any other example is a group of its own.

    Depth is a token's position in its own sequence. G is the number of groups, L the length of the longest.
    """

    outside: int
    """Positions before the row whose keys and values are given from outside."""
    virtual: int
    """Virtual tokens at the row's beginning."""
    tokens: Tensor
    """[T - virtual] ids of the row's real tokens, those of the trunk first."""
    trunk: int
    """Tokens of the row that all groups see, virtual ones included."""
    depths: Tensor
    """[T] depth of each token of the row."""
    slots: Tensor
    """[G * L] index behind the trunk of each group's tokens; padding repeats the group's first."""
    places: Tensor
    """[T - trunk] index in G * L of each token behind the trunk."""
    group_depths: Tensor
    """[G, L] depth of each group's tokens."""
    branches: Tensor | None
    """[G, L] the branch of each token, 0 for a stem; None if no group has branches."""
    answers: Tensor
    """[N] index in the row of each position whose next token is asked for, in the batch's order."""
    _masks: dict[tuple[int | None, int, torch.dtype], tuple[Tensor | None, Tensor]] = field(default_factory=dict)

    @property
    def parts(self) -> list[int]:
        """Tokens of the trunk and behind it."""
        return [self.trunk, len(self.places)]

    @property
    def groups(self) -> int:
        """G."""
        return self.group_depths.shape[0]

    @classmethod
    def of(cls, batch: Batch, virtual: int = 0, outside: int = 0) -> Layout:
        """Lay out a batch whose examples all follow ``virtual`` tokens in the row and ``outside`` before it."""
        device = batch.input_ids.device
        ids, wanted = batch.input_ids.cpu(), batch.positions.cpu()
        lengths = batch.attention_mask.sum(1).cpu()
        width = ids.shape[1]
        column = torch.arange(width)
        real = column[None] < lengths[:, None]
        common, alike = _common(ids, real, lengths)

        # Each example's group, the tokens that it takes from the group's stem, and its branch.
        leads = torch.cat([torch.tensor([True]), alike[1:] * 2 <= lengths[1:]])
        group = leads.cumsum(0) - 1
        stem = torch.full((int(group[-1]) + 1,), width).scatter_reduce_(
            0, group[~leads], alike[~leads], "amin", include_self=True
        )[group]
        branch = torch.arange(len(lengths)) - torch.arange(len(lengths))[leads][group] + 1
        # A token is packed if it is neither in the trunk nor in a stem that the group's first example has brought.
        packed = real & (column >= common) & (leads[:, None] | (column[None] >= stem[:, None]))
        number = packed.flatten().cumsum(0).reshape(packed.shape) - 1
        owner = torch.where(
            column[None] < stem[:, None],
            torch.nonzero(leads)[:, 0][group][:, None],
            torch.arange(len(lengths))[:, None],
        )
        trunk = virtual + common
        index = torch.where(column < common, virtual + column, trunk + number[owner, column])

        row, depth = torch.nonzero(packed, as_tuple=True)
        slots, places = _slots(group[row])
        branched = branch.new_zeros(0) if bool(leads.all()) else torch.where(depth < stem[row], 0, branch[row])
        before = outside + virtual
        row_depths = torch.cat([torch.arange(outside, before + common), before + depth])
        tokens = torch.cat([ids[0, :common], ids[packed]])

        def grouped(values: Tensor) -> Tensor:
            return values[slots].reshape(int(group[-1]) + 1, -1).to(device)

        return cls(
            outside=outside,
            virtual=virtual,
            tokens=tokens.to(device),
            trunk=trunk,
            depths=row_depths.to(device),
            slots=slots.to(device),
            places=places.to(device),
            group_depths=grouped(before + depth),
            branches=grouped(branched) if len(branched) else None,
            answers=index[wanted].to(device),
        )

    def masks(self, window: int | None, queries: int, dtype: torch.dtype) -> tuple[Tensor | None, Tensor]:
        """Return who sees whom, as what is added to the attention's scores: in the trunk, and in the groups.

        The trunk's is [queries * trunk, outside + trunk], or None where it is plainly causal. The groups' is
        [1 or G, 1, queries * L, outside + trunk + L]. Padding sees what its place would see, so that no row of the
        softmax is empty; nobody sees it.

        Args:
            window: positions that a layer with a sliding window looks back, itself included; None for all.
            queries: query heads that share a key head; their rows stand behind each other.
            dtype: of the scores.
        """
        key = (window, queries, dtype)
        if key not in self._masks:
            trunk, groups = self._trunk_mask(window), self._group_mask(window)
            if trunk is None and queries > 1:
                trunk = groups.new_ones(self.trunk, self.trunk).tril()
            self._masks[key] = (
                None if trunk is None else _added(trunk.repeat(queries, 1), dtype),
                _added(groups.repeat(1, 1, queries, 1), dtype),
            )
        return self._masks[key]

    def _trunk_mask(self, window: int | None) -> Tensor | None:
        if not self.outside and (window is None or self.trunk <= window):
            return None
        keys = torch.arange(self.outside + self.trunk, device=self.depths.device)
        return sees_back(keys[self.outside :, None], keys[None], window)

    def _group_mask(self, window: int | None) -> Tensor:
        before = torch.arange(self.outside + self.trunk, device=self.depths.device)
        if self.branches is None and (window is None or int(self.group_depths.max()) < window):
            # All groups alike: causal, behind a trunk that all see.
            length = self.group_depths.shape[1]
            own = torch.ones(length, length, dtype=torch.bool, device=before.device).tril()
            return torch.cat([own.new_ones(length, len(before)), own], 1)[None, None]
        depths = self.group_depths
        # Order in the group and not depth alone: padding repeats its group's first token, and stands behind.
        place = torch.arange(depths.shape[1], device=before.device)
        own = sees_back(depths[:, :, None], depths[:, None], window) & (place[:, None] >= place[None])
        if self.branches is not None:
            own &= (self.branches[:, None] == 0) | (self.branches[:, :, None] == self.branches[:, None])
        trunk = sees_back(depths[:, :, None], before[None, None], window)
        return torch.cat([trunk, own], 2)[:, None]


def _added(seen: Tensor, dtype: torch.dtype) -> Tensor:
    """Return 0 for True and minus infinity for False."""
    return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(~seen, float("-inf"))


def sees_back(query: Tensor, key: Tensor, window: int | None) -> Tensor:
    """Whether a token at depth ``query`` sees one at depth ``key``."""
    seen = key <= query
    return seen if window is None else seen & (query - key < window)


def _common(ids: Tensor, real: Tensor, lengths: Tensor) -> tuple[int, Tensor]:
    """Return with how many tokens all rows begin alike, and with how many each row and the one before it do.

    At least one token of every row is left over, so that every example has a place of its own.
    """
    rows = len(lengths)
    if rows == 1:
        return 0, lengths.new_zeros(1)
    same = (ids[1:] == ids[:-1]) & real[1:] & real[:-1]
    alike = torch.cat([lengths.new_zeros(1), same.long().cumprod(1).sum(1)])
    alike = torch.minimum(alike, torch.minimum(lengths, lengths.roll(1)) - 1)
    return int(alike[1:].min()), alike


def _slots(group: Tensor) -> tuple[Tensor, Tensor]:
    """Return which token behind the trunk is in each of the G * L slots, and the slot of each of these tokens.

    Args:
        group: the group of each token behind the trunk, ascending.
    """
    sizes = torch.bincount(group)
    starts = sizes.cumsum(0) - sizes
    length = int(sizes.max())
    inside = torch.arange(length)[None]
    slots = starts[:, None] + torch.where(inside < sizes[:, None], inside, 0)
    places = group * length + torch.arange(len(group)) - starts[group]
    return slots.flatten(), places
