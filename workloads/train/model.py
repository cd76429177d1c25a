"""SnapGen++ at nano's size, written from the paper's description and apart from the Rust graphs: the two check each other.

Token ids [B, T] -> text [B, T, 128]; (latent [B, 16, h, w], time features [B, 256], text) -> prediction [B, 16, h, w].

Parameters are a dict by name, in the names of the Rust graphs. One dict holds the elastic super-network: a narrower net
is `cut(params, width)`, views of the leading channels of every shared tensor, and its own copies (stored as
`w128.<name>`) of all that the paper does not share: norms and modulation. Text encoder, text projection and the keys and
values of the cross-attention are the same at every width.
"""

import math

import torch
from torch.nn import functional as F

from common import Params

WIDTH, HEAD = 256, 16
WIDTHS = (256, 128, 96)  # 1, 0.5, 0.375
CROSS_KV_HEADS = 2
DOWN, MIDDLE, UP = 2, 4, 2
RATIO_OUTER, RATIO_MIDDLE = 4, 3
BLOCK_ROWS, RADIUS = 2, 1
LATENT = 16
TIME_FEATURES = 256
TEXT_TOKENS, TEXT_WIDTH, TEXT_PROJECTED = 16, 128, 256
VOCABULARY, TEXT_LAYERS, TEXT_HEADS = 2048, 2, 4
EPS, TEXT_EPS, THETA = 1e-6, 1e-5, 1e4


# --- parameters -------------------------------------------------------------------------------------------------


def own_at_each_width(name: str) -> bool:
    """Norms and modulation: the tensors of which each width has its own copy."""
    parts = name.split(".")
    return parts[0] == "time" or parts[-1] == "table" or parts[-2] in ("q_norm", "k_norm", "v_norm")


def pieces(name: str, axis: int) -> int:
    """How many equal parts lie along an axis, of each of which a narrower net takes the leading channels: 1 but where
    two streams or four tokens lie side by side."""
    if name.endswith(".skip.weight") and axis == 1:
        return 2
    if name == "merge.project.weight" and axis == 1:
        return 4
    if name in ("split.project.weight", "split.project.bias") and axis == 0:
        return 4
    return 1


def shapes(width: int) -> dict[str, tuple[int, ...]]:
    """Name to shape of the denoiser's tensors at a width."""
    found: dict[str, tuple[int, ...]] = {}
    heads, kv = width // HEAD, width // HEAD // 2

    def linear(name: str, outputs: int, inputs: int) -> None:
        found[f"{name}.weight"], found[f"{name}.bias"] = (outputs, inputs), (outputs,)

    def norm(name: str, channels: int) -> None:
        found[f"{name}.weight"], found[f"{name}.bias"] = (channels,), (channels,)

    linear("text_in.clip", TEXT_PROJECTED, TEXT_WIDTH)
    norm("text_in.clip_norm", TEXT_PROJECTED)
    linear("time.up", width, TIME_FEATURES)
    linear("time.down", width, width)
    linear("time.adaln", 6 * width, width)
    found["time.final_table"] = (1, 2, width)
    linear("patch.embed", width, LATENT)
    linear("merge.project", width, 4 * width)
    linear("split.project", 4 * width, width)
    found["split.lerp"] = (1,)
    linear("final.out", LATENT, width)
    for stage, blocks, ratio in (("down", DOWN, RATIO_OUTER), ("middle", MIDDLE, RATIO_MIDDLE), ("up", UP, RATIO_OUTER)):
        for i in range(blocks):
            block = f"{stage}.{i}"
            if stage == "middle" and 2 * i >= blocks:
                linear(f"{block}.skip", width, 2 * width)
            found[f"{block}.modulation.table"] = (1, 6, width)
            linear(f"{block}.attn.q", width, width)
            linear(f"{block}.attn.k", kv * HEAD, width)
            linear(f"{block}.attn.v", kv * HEAD, width)
            for leaf in ("q", "k", "v"):
                norm(f"{block}.attn.{leaf}_norm", HEAD)
            if stage != "middle":
                found[f"{block}.attn.assa.global.k.weight"] = (kv * HEAD, HEAD, 2, 2)
                found[f"{block}.attn.assa.global.v.weight"] = (kv * HEAD, HEAD, 2, 2)
                linear(f"{block}.attn.assa.gate.project", heads, width)
            linear(f"{block}.attn.out", width, width)
            linear(f"{block}.cross.q", width, width)
            linear(f"{block}.cross.k", CROSS_KV_HEADS * HEAD, TEXT_PROJECTED)
            linear(f"{block}.cross.v", CROSS_KV_HEADS * HEAD, TEXT_PROJECTED)
            linear(f"{block}.cross.out", width, width)
            linear(f"{block}.ffn.up", ratio * width, width)
            linear(f"{block}.ffn.down", width, ratio * width)
    return found


def text_shapes() -> dict[str, tuple[int, ...]]:
    """Name to shape of the text encoder's tensors."""
    d = TEXT_WIDTH
    found = {"text.token_embedding": (VOCABULARY, d), "text.position_embedding": (1, TEXT_TOKENS, d)}
    for i in range(TEXT_LAYERS):
        for part, linears in (
            ("attn", {"q": (d, d), "k": (d, d), "v": (d, d), "out": (d, d)}),
            ("ffn", {"up": (4 * d, d), "down": (d, 4 * d)}),
        ):
            found[f"text.{i}.{part}.norm.weight"], found[f"text.{i}.{part}.norm.bias"] = (d,), (d,)
            for leaf, shape in linears.items():
                found[f"text.{i}.{part}.{leaf}.weight"] = shape
                found[f"text.{i}.{part}.{leaf}.bias"] = shape[:1]
    found["text.final_norm.weight"], found["text.final_norm.bias"] = (d,), (d,)
    return found


def init(generator: torch.Generator) -> Params:
    """All parameters of the super-network and the text encoder, as training starts."""
    params: Params = {}

    def fill(stored: str, name: str, shape: tuple[int, ...]) -> None:
        leaf, parent = name.split(".")[-1], name.split(".")[-2]
        if name == "text.token_embedding":
            value = 0.5 * torch.randn(shape, generator=generator)
        elif name == "text.position_embedding":
            value = 0.1 * torch.randn(shape, generator=generator)
        elif name == "split.lerp":
            value = torch.full(shape, 0.5)
        elif "norm" in parent:
            value = torch.ones(shape) if leaf == "weight" else torch.zeros(shape)
        elif leaf == "table":
            # Shift, scale, gate; shift, scale, gate: blocks start as small additions.
            value = torch.tensor([0, 0, 0.4, 0, 0, 0.4]).view(1, 6, 1).expand(shape).clone()
        elif leaf in ("final_table", "bias"):
            value = torch.zeros(shape)
        elif name.startswith("time.adaln"):
            value = torch.zeros(shape)
        elif ".global." in name:
            # The mean of the four tokens of a 2 x 2.
            value = (torch.eye(HEAD) / 4).view(1, HEAD, HEAD, 1, 1).expand(shape[0] // HEAD, -1, -1, 2, 2).reshape(shape)
            value = value.clone()
        else:
            gain = {"final.out": 0.1}.get(f"{name.split('.')[0]}.{parent}", 0.5 if parent in ("out", "down") else 1.0)
            value = gain / math.sqrt(shape[1]) * torch.randn(shape, generator=generator)
        params[stored] = value

    for name, shape in (text_shapes() | shapes(WIDTH)).items():
        fill(name, name, shape)
    for width in WIDTHS[1:]:
        for name, shape in shapes(width).items():
            if own_at_each_width(name):
                fill(f"w{width}.{name}", name, shape)
    return params


def cut(params: Params, width: int) -> Params:
    """The net of a width out of the super-network: views, so that gradients reach the one set of weights."""
    if width == WIDTH:
        return params
    found = {name: params[name] for name in text_shapes()}
    for name, shape in shapes(width).items():
        if own_at_each_width(name):
            found[name] = params[f"w{width}.{name}"]
            continue
        value = params[name]
        for axis, extent in enumerate(shape):
            parts = pieces(name, axis)
            if value.shape[axis] != extent:
                split = value.unflatten(axis, (parts, value.shape[axis] // parts))
                value = split.narrow(axis + 1, 0, extent // parts).flatten(axis, axis + 1)
        found[name] = value
    return found


# --- the nets ---------------------------------------------------------------------------------------------------


def time_features(sigma: torch.Tensor) -> torch.Tensor:
    """[B] noise levels to [B, 256]: cosines, then sines, of the timestep 1000 sigma; computed in f64."""
    half = TIME_FEATURES // 2
    frequencies = torch.exp(-math.log(1e4) * torch.arange(half, dtype=torch.float64, device=sigma.device) / half)
    angles = 1000 * sigma.double()[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], 1).to(sigma.dtype)


def rotary(rows: int, cols: int, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines [1, 1, rows*cols, HEAD/2]: the first half of the pairs turns by the row, the second by the column."""
    frequencies = THETA ** (-torch.arange(HEAD // 4, dtype=torch.float64) / (HEAD // 4))
    row = torch.arange(rows, dtype=torch.float64).repeat_interleave(cols)
    col = torch.arange(cols, dtype=torch.float64).repeat(rows)
    angles = torch.cat([row[:, None] * frequencies, col[:, None] * frequencies], 1)[None, None]
    return angles.cos().to(like), angles.sin().to(like)


class Net:
    """One forward pass with one set of parameters (a cut of the super-network, or all of it).

    With `bf16` the linear layers of the bulk multiply in bfloat16; everything between them stays as it is.
    """

    def __init__(self, params: Params, bf16: bool = False):
        self.params = params
        self.bf16 = bf16
        self.width = params["patch.embed.weight"].shape[0]
        self.heads = self.width // HEAD
        self.kv_heads = self.heads // 2

    def linear(self, name: str, x: torch.Tensor) -> torch.Tensor:
        weight, bias = self.params[f"{name}.weight"], self.params[f"{name}.bias"]
        if self.bf16 and not name.startswith(("time.", "patch.", "final.")):
            return F.linear(x.bfloat16(), weight.bfloat16(), bias.bfloat16()).float()
        return F.linear(x, weight, bias)

    def norm(self, name: str, x: torch.Tensor, eps: float = EPS) -> torch.Tensor:
        weight = self.params[f"{name}.weight"]
        return F.layer_norm(x, weight.shape, weight, self.params[f"{name}.bias"], eps)

    def encode_text(self, tokens: torch.Tensor) -> torch.Tensor:
        batch, count = tokens.shape
        x = F.embedding(tokens, self.params["text.token_embedding"]) + self.params["text.position_embedding"]
        for i in range(TEXT_LAYERS):
            h = self.norm(f"text.{i}.attn.norm", x, TEXT_EPS)
            q, k, v = (
                self.linear(f"text.{i}.attn.{leaf}", h).view(batch, count, TEXT_HEADS, -1).transpose(1, 2) for leaf in "qkv"
            )
            h = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.linear(f"text.{i}.attn.out", h.transpose(1, 2).reshape(batch, count, TEXT_WIDTH))
            h = self.linear(f"text.{i}.ffn.up", self.norm(f"text.{i}.ffn.norm", x, TEXT_EPS))
            x = x + self.linear(f"text.{i}.ffn.down", F.gelu(h))
        return self.norm("text.final_norm", x, TEXT_EPS)

    def denoise(self, latent: torch.Tensor, features: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        return self.prediction(self.hidden(latent, features, text), latent.shape)

    def hidden(self, latent: torch.Tensor, features: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        """The last layer's features, modulated: what the output projection reads. [B, tokens, width]."""
        batch, _, rows, cols = latent.shape
        text = self.norm("text_in.clip_norm", self.linear("text_in.clip", text))
        embedding = self.linear("time.down", F.silu(self.linear("time.up", features)))
        modulation = self.linear("time.adaln", F.silu(embedding)).view(batch, 6, self.width)
        x = self.linear("patch.embed", latent.flatten(2).transpose(1, 2))
        for i in range(DOWN):
            x = self.block(f"down.{i}", x, text, modulation, rows, cols, True)
        down = x
        # 2 x 2 tokens side by side, row by row.
        quads = x.view(batch, rows // 2, 2, cols // 2, 2, self.width).transpose(2, 3)
        x = self.linear("merge.project", quads.reshape(batch, rows * cols // 4, 4 * self.width))
        skips = []
        for i in range(MIDDLE):
            if 2 * i >= MIDDLE:
                x = self.linear(f"middle.{i}.skip", torch.cat([x, skips.pop()], 2))
            x = self.block(f"middle.{i}", x, text, modulation, rows // 2, cols // 2, False)
            if 2 * (i + 1) <= MIDDLE:
                skips.append(x)
        quads = self.linear("split.project", x).view(batch, rows // 2, cols // 2, 2, 2, self.width)
        x = quads.transpose(2, 3).reshape(batch, rows * cols, self.width)
        x = x + self.params["split.lerp"] * (down - x)
        for i in range(UP):
            x = self.block(f"up.{i}", x, text, modulation, rows, cols, True)
        shift, scale = (embedding[:, None] + self.params["time.final_table"]).split(1, 1)
        return F.layer_norm(x, (self.width,), eps=EPS) * (1 + scale) + shift

    def prediction(self, hidden: torch.Tensor, shape: torch.Size) -> torch.Tensor:
        return self.linear("final.out", hidden).transpose(1, 2).reshape(shape)

    def block(self, name, x, text, modulation, rows: int, cols: int, outer: bool) -> torch.Tensor:
        table = modulation + self.params[f"{name}.modulation.table"]
        shift, scale, gate, ffn_shift, ffn_scale, ffn_gate = table.split(1, 1)
        h = F.layer_norm(x, (self.width,), eps=EPS) * (1 + scale) + shift
        x = x + gate * self.self_attention(f"{name}.attn", h, rows, cols, outer)
        x = x + self.cross_attention(f"{name}.cross", x, text)
        h = F.layer_norm(x, (self.width,), eps=EPS) * (1 + ffn_scale) + ffn_shift
        h = F.gelu(self.linear(f"{name}.ffn.up", h), approximate="tanh")
        return x + ffn_gate * self.linear(f"{name}.ffn.down", h)

    def self_attention(self, name, h, rows: int, cols: int, outer: bool) -> torch.Tensor:
        batch, tokens, _ = h.shape

        def heads(leaf: str, count: int) -> torch.Tensor:
            y = self.norm(f"{name}.{leaf}_norm", self.linear(f"{name}.{leaf}", h).view(batch, tokens, count, HEAD))
            return y.transpose(1, 2)

        cos, sin = rotary(rows, cols, h)

        def turn(y: torch.Tensor) -> torch.Tensor:
            a, b = y.chunk(2, -1)
            return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)

        q, k, v = turn(heads("q", self.heads)), turn(heads("k", self.kv_heads)), heads("v", self.kv_heads)
        if outer:
            y = self.sparse(name, h, q, k, v, rows, cols)
        else:
            y = F.scaled_dot_product_attention(q, self.spread(k), self.spread(v))
        return self.linear(f"{name}.out", y.transpose(1, 2).reshape(batch, tokens, self.width))

    def spread(self, y: torch.Tensor) -> torch.Tensor:
        """Each key/value head for the query heads in a row that read it."""
        return y.repeat_interleave(self.heads // y.shape[1], 1)

    def sparse(self, name, h, q, k, v, rows: int, cols: int) -> torch.Tensor:
        """ASSA: gate * local + (1 - gate) * global."""
        batch = len(h)

        def compress(leaf: str, y: torch.Tensor) -> torch.Tensor:
            image = y.transpose(2, 3).reshape(batch, self.kv_heads * HEAD, rows, cols)
            weight = self.params[f"{name}.assa.global.{leaf}.weight"]
            small = F.conv2d(image, weight, stride=2, groups=self.kv_heads)
            return small.view(batch, self.kv_heads, HEAD, -1).transpose(2, 3)

        wide = F.scaled_dot_product_attention(q, self.spread(compress("k", k)), self.spread(compress("v", v)))
        near = F.scaled_dot_product_attention(q, self.spread(k), self.spread(v), attn_mask=local_mask(rows, cols, h.device))
        gate = torch.sigmoid(self.linear(f"{name}.assa.gate.project", h)).transpose(1, 2)[..., None]
        return wide + gate * (near - wide)

    def cross_attention(self, name, x, text) -> torch.Tensor:
        batch, tokens, _ = x.shape
        q = self.linear(f"{name}.q", x).view(batch, tokens, self.heads, HEAD).transpose(1, 2)
        k, v = (
            self.linear(f"{name}.{leaf}", text).view(batch, -1, CROSS_KV_HEADS, HEAD).transpose(1, 2) for leaf in ("k", "v")
        )
        y = F.scaled_dot_product_attention(q, self.spread(k), self.spread(v))
        return self.linear(f"{name}.out", y.transpose(1, 2).reshape(batch, tokens, self.width))


def local_mask(rows: int, cols: int, where: torch.device) -> torch.Tensor:
    """[tokens, tokens], true where a token's block of rows is at most RADIUS blocks from the other's."""
    block = torch.arange(rows * cols, device=where) // (BLOCK_ROWS * cols)
    return (block[:, None] - block[None, :]).abs() <= RADIUS


# --- sampling ---------------------------------------------------------------------------------------------------


def sigmas(steps: int, shift: float = 1.0) -> list[float]:
    """steps + 1 noise levels from 1 to 0."""
    return [shift * t / (1 + (shift - 1) * t) for t in ((steps - i) / steps for i in range(steps + 1))]


@torch.no_grad()
def sample(params: Params, tokens: torch.Tensor, noise: torch.Tensor, steps: int) -> torch.Tensor:
    """Latents by Euler's rule from noise, for a net that predicts the clean latent."""
    net = Net(params)
    text = net.encode_text(tokens)
    levels, x = sigmas(steps), noise
    for sigma, following in zip(levels, levels[1:]):
        features = time_features(torch.full((len(x),), sigma, dtype=x.dtype, device=x.device))
        clean = net.denoise(x, features, text)
        x = x + (following - sigma) * (x - clean) / sigma
    return x
