"""A stack of self-attention blocks over the unpadded positions of padded windows: the body of SASRec and BERT4Rec."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .dropout import Dropout
from .sequence import spread


class Block(nn.Module):
    """Self-attention and a two-layer perceptron, each with a residual connection and layer norm of its input."""

    def __init__(self, size: int, heads: int, dropout: float, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.before_attention, self.before_feed = nn.LayerNorm(size), nn.LayerNorm(size)
        self.queries_keys_values = nn.Linear(size, 3 * size)
        self.mix = nn.Linear(size, size)
        self.feed = nn.Sequential(nn.Linear(size, size), nn.ReLU(), Dropout(dropout), nn.Linear(size, size))
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, real: Tensor) -> Tensor:
        qkv = spread(self.queries_keys_values(self.before_attention(x)), real)
        b, t, _ = qkv.shape
        q, k, v = qkv.view(b, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4)  # (batch, heads, time, size per head) each
        # Padding is on the right: with a causal mask no real position attends to it, so it needs no mask of its own.
        mask = None if self.causal else real[:, None, None, :]
        seen = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=self.causal)
        x = x + self.dropout(self.mix(seen.transpose(1, 2).reshape(b, t, -1)[real]))
        output: Tensor = x + self.dropout(self.feed(self.before_feed(x)))
        return output


class Attention(nn.Module):
    """Position embedding, `blocks` blocks and a layer norm: (positions, size) to (positions, size).

    Positions are the true entries of `real` (batch, time), in row-major order.
    """

    def __init__(self, size: int, max_length: int, blocks: int, heads: int, dropout: float, causal: bool) -> None:
        super().__init__()
        self.places = nn.Parameter(torch.randn(max_length, size) * 0.02)
        self.blocks = nn.ModuleList(Block(size, heads, dropout, causal) for _ in range(blocks))
        self.norm = nn.LayerNorm(size)

    def forward(self, x: Tensor, real: Tensor) -> Tensor:
        x = x + self.places[real.nonzero()[:, 1]]
        for block in self.blocks:
            x = block(x, real)
        output: Tensor = self.norm(x)
        return output
