"""Writes goldens.json beside this file: small inputs of operations and what
PyTorch and the modules of Hugging Face Transformers compute from them.

Run with transformers 5.17 and torch: python tests/reference/ops/make_goldens.py
"""
import json
import pathlib

import torch
import torch.nn.functional as F
from transformers import Gemma3nAudioConfig, Gemma3nTextConfig
from transformers.models.gemma3n import modeling_gemma3n as gemma

torch.manual_seed(0)
torch.set_grad_enabled(False)
goldens = {}


def random(*shape, scale=1.0):
    """Values with three decimals, so that the file stays small."""
    return torch.round(torch.randn(*shape) * scale * 1000) / 1000


def add(name, expected, **inputs):
    def flat(x):
        values = x.to(torch.float32).contiguous().flatten().tolist()
        return {"shape": list(x.shape), "values": [float(f"{v:.8g}") for v in values]}

    tensors = {key: flat(value) for key, value in inputs.items()}
    goldens[name] = {**tensors, "expected": flat(expected)}


def elementwise():
    x, y = random(3, 6, scale=3), random(3, 6)
    add("gelu", F.gelu(x, approximate="tanh"), x=x)
    add("geluMul", F.gelu(x, approximate="tanh") * y, x=x, y=y)
    add("silu", F.silu(x), x=x)
    add("glu", F.glu(x, dim=-1), x=x)


def rows():
    x, target, weight = random(3, 7), random(3, 7, scale=4), random(7)
    norm = gemma.Gemma3nRMSNorm(7, eps=1e-6)
    norm.weight.copy_(weight)
    add("rmsNorm", norm(x), x=x, weight=weight)
    config = Gemma3nTextConfig(
        hidden_size=8,
        intermediate_size=[8],
        num_hidden_layers=1,
        num_kv_shared_layers=0,
        activation_sparsity_pattern=[0.8],
    )
    mlp = gemma.Gemma3nTextMLP(config, layer_idx=0)
    add("gaussianTopK", mlp._gaussian_topk(x), x=x)
    goldens["gaussianTopK"]["multiplier"] = torch.distributions.Normal(0, 1).icdf(torch.tensor(0.8)).item()
    size = lambda t: torch.mean(t**2, dim=-1, keepdim=True)
    found = torch.maximum(size(x), torch.tensor(1e-5))
    add("matchMagnitude", x * torch.sqrt(size(target)) / torch.sqrt(found), x=x, target=target)


def decoder():
    x, angle = random(4, 2, 6), random(4, 3, scale=3)
    full = torch.cat([angle, angle], dim=-1)
    y = gemma.apply_rotary_pos_emb(x, full.cos(), full.sin(), unsqueeze_dim=1)
    add("rope", y, x=x, cos=angle.cos(), sin=angle.sin())

    q, k, v = random(7, 4, 6), random(7, 2, 6), random(7, 2, 6)
    for name, window in (("attention", 99), ("attentionWindow", 3)):
        distance = torch.arange(7)[:, None] - torch.arange(7)[None, :]
        mask = (distance >= 0) & (distance < window)
        y = F.scaled_dot_product_attention(
            q.transpose(0, 1),
            k.transpose(0, 1).repeat_interleave(2, 0),
            v.transpose(0, 1).repeat_interleave(2, 0),
            attn_mask=mask,
            scale=0.7,
        )
        add(name, y.transpose(0, 1), q=q, k=k, v=v)


def pictures():
    x = random(5, 6, 3)
    nchw = x.permute(2, 0, 1)[None]
    back = lambda y: y[0].permute(1, 2, 0)
    w, depthwise = random(4, 3, 3, 2), random(3, 1, 3, 2)
    # top 0, bottom 1, left 2, right 1; stride 2 in Y, 1 in X.
    padded = F.pad(nchw, (2, 1, 0, 1))
    add("conv2d", back(F.conv2d(padded, w, stride=(2, 1))), x=x, w=w)
    y = back(F.conv2d(padded, depthwise, stride=(2, 1), groups=3))
    add("depthwiseConv2d", y, x=x, w=depthwise)
    add("avgPool2d", back(F.avg_pool2d(nchw[:, :, :4], (2, 3))), x=x[:4])
    for name, size in (("Up", (8, 11)), ("Down", (2, 4))):
        add(f"resizeNearest{name}", back(F.interpolate(nchw, size)), x=x)
        y = F.interpolate(nchw, size, mode="bilinear", align_corners=False)
        add(f"resizeBilinear{name}", back(y), x=x)
    q, k, v = random(4, 3, 5), random(6, 5), random(6, 5)
    y = F.scaled_dot_product_attention(q.transpose(0, 1), k[None], v[None], scale=5**-0.5)
    add("multiQueryAttention", y.transpose(0, 1), q=q, k=k, v=v)


def sound():
    x, w = random(6, 3), random(3, 1, 4)
    y = F.conv1d(F.pad(x.T[None], (3, 0)), w, groups=3)
    add("depthwiseConv1d", y[0].T, x=x, w=w)
    x, weight = random(5, 3, 4) + 0.5, random(4)
    norm = gemma.Gemma3nAudioCumulativeGroupNorm(4, (3,), eps=1e-3)
    norm.weight.copy_(weight)
    add("cumulativeGroupNorm", norm(x[None])[0], x=x, weight=weight)
    relative_attention()


def relative_attention():
    heads, width, rows = 2, 3, 11
    config = Gemma3nAudioConfig(
        hidden_size=heads * width,
        conf_num_attention_heads=heads,
        conf_attention_chunk_size=4,
        conf_attention_context_left=4,
        conf_attention_context_right=2,
        conf_attention_logit_cap=2.0,
    )
    attention = gemma.Gemma3nAudioAttention(config)
    for linear in (attention.q_proj, attention.k_proj, attention.v_proj):
        linear.weight.copy_(random(heads * width, heads * width))
    embedding = attention.relative_position_embedding
    embedding.pos_proj.weight.copy_(random(heads * width, heads * width))
    x = random(rows, heads * width)
    valid = torch.ones(rows)
    valid[[0, 5, 9]] = 0
    y = attention(x[None], valid[None] == 0)[0]
    split = lambda t: t.reshape(t.shape[0], heads, width)
    scale = F.softplus(attention.per_dim_scale) * attention.q_scale
    past, future = attention.max_past_horizon, attention.max_future_horizon
    distances = torch.arange(past, -future - 1, -1)[None]
    sines = embedding._get_timing_signal_1d_pos(distances, torch.float32)[0]
    add(
        "relativeAttention",
        y.reshape(rows, heads, width),
        q=split(attention.q_proj(x)) * scale,
        k=split(attention.k_proj(x)),
        v=split(attention.v_proj(x)),
        positions=split(embedding.pos_proj(sines)),
        valid=valid,
    )
    goldens["relativeAttention"].update(past=past, future=future, softcap=2.0)


elementwise()
rows()
decoder()
pictures()
sound()
lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(case)}" for name, case in goldens.items())
pathlib.Path(__file__).with_name("goldens.json").write_text("{\n" + lines + "\n}\n")
