"""What training starts from: weights, compiled blocks, an optimizer."""

from pathlib import Path

import torch
from transformers import Gemma3nForConditionalGeneration

from configuration import nano_config
from forward import Trainee, prepare_for_training

PEAK_RATE = 2e-3
VISION_RATE = 1e-3
# Of the vision tower's rate, for its attention and layer scales: the output projections of its attention sum up to 1536
# channels and no norm follows them, so that at the full rate the residual stream soon grows tenfold.
TAMED = 0.15
WEIGHT_DECAY = 0.03
LAYER_SCALE = 0.2
ATTENTION_SCALE = 0.01
# What the stem's filters keep of their mean
STEM_MEAN = 0.2
# Of the norms of the filters of attention, at most
GROWTH = 2.0


@torch.no_grad()
def start_vision(model: Gemma3nForConditionalGeneration) -> None:
    """Initial weights of the vision tower under which pictures differ.

    Its norms do not subtract a mean, so what all pictures have in common (0 to 1 is far from centred, and so is GELU)
    swamps the rest within a few layers: a third of the features' energy tells pictures apart with these weights, a
    hundredth with Transformers' own.
    """
    tower = model.model.vision_tower.timm_model
    projection = model.model.embed_vision.embedding_projection
    for name, weight in [*tower.named_parameters(), ("embedding_projection", projection.weight)]:
        if weight.dim() < 2:
            continue
        torch.nn.init.normal_(weight, std=weight[0].numel() ** -0.5)
        if weight.dim() == 4 and weight.shape[1] == 1:
            # Depthwise: the middle, and a little noise.
            weight.mul_(0.5)
            weight[:, :, weight.shape[2] // 2, weight.shape[3] // 2] += 1
        else:
            kept = STEM_MEAN if "stem" in name else 0.0
            weight.sub_((1 - kept) * weight.mean(dim=tuple(range(1, weight.dim())), keepdim=True))
    for block in vision_blocks(model):
        if hasattr(block, "layer_scale") and hasattr(block.layer_scale, "gamma"):
            block.layer_scale.gamma.fill_(ATTENTION_SCALE if hasattr(block, "attn") else LAYER_SCALE)


class Steadier:
    """Keeps the vision tower's convolutions, after each step, where pictures go on to differ.

    Each filter but those of the stem and of single channels has a mean of zero: what all channels have in common, GELU's
    positive mean above all, then passes no convolution. The filters of attention, which no norm follows, grow at most
    to GROWTH times the norm they start with.
    """

    def __init__(self, model: Gemma3nForConditionalGeneration) -> None:
        tower = model.model.vision_tower.timm_model
        filters = [(name, weight) for name, weight in tower.named_parameters() if weight.dim() == 4 and weight.shape[1] > 1 and "stem" not in name]
        self.filters = [weight for _, weight in filters]
        self.bounded = [(weight, GROWTH * filter_norms(weight).mean()) for name, weight in filters if ".attn." in name]

    @torch.no_grad()
    def __call__(self) -> None:
        torch._foreach_sub_(self.filters, [weight.mean(dim=(1, 2, 3), keepdim=True) for weight in self.filters])
        for weight, bound in self.bounded:
            weight.mul_((bound / filter_norms(weight).clamp(min=1e-9)).clamp(max=1))


def filter_norms(weight: torch.Tensor) -> torch.Tensor:
    """[O, 1, 1, 1]"""
    return weight.detach().flatten(1).norm(dim=1)[:, None, None, None]


def vision_blocks(model: Gemma3nForConditionalGeneration) -> list[torch.nn.Module]:
    return [block for stage in model.model.vision_tower.timm_model.blocks for block in stage]


def build(seed: int, start: Path | None, classes: int, *, fresh_vision: bool = False) -> Trainee:
    """The model with new weights, or those of a checkpoint; a new vision tower beside them where asked for."""
    torch.manual_seed(seed)
    if start:
        model = Gemma3nForConditionalGeneration.from_pretrained(start, dtype=torch.float32)
    else:
        model = Gemma3nForConditionalGeneration(nano_config())
    if fresh_vision or not start:
        start_vision(model)
    prepare_for_training(model)
    # eval(): there is no dropout, and AltUp's clamp of weights in training mode is far outside what they reach.
    return Trainee(model, classes).eval()


def blocks_of(trainee: Trainee) -> list[torch.nn.Module]:
    model = trainee.model.model
    vision = model.vision_tower.timm_model
    return [vision.conv_stem, *vision_blocks(trainee.model), vision.msfa, *model.language_model.layers, *model.audio_tower.conformer]


def compile_blocks(blocks: list[torch.nn.Module]) -> None:
    """Block by block: blocks of one kind share their code, 22 graphs for the whole model."""
    torch._dynamo.config.recompile_limit = 256
    torch._dynamo.config.accumulated_recompile_limit = 1024
    for block in blocks:
        block.compile(dynamic=False)


def optimizer_of(trainee: Trainee, device: torch.device) -> torch.optim.Optimizer:
    """AdamW; each group has its peak rate in "peak"."""
    groups: dict[tuple[float, bool], list] = {}
    for name, parameter in trainee.named_parameters():
        if not parameter.requires_grad:
            continue
        rate = PEAK_RATE
        if "vision" in name:
            tamed = ".attn." in name or name.endswith("layer_scale.gamma")
            rate = VISION_RATE * (TAMED if tamed else 1.0)
        decayed = parameter.dim() >= 2 and "embed_tokens" not in name and ".embedding." not in name
        groups.setdefault((rate, decayed), []).append(parameter)
    return torch.optim.AdamW([
        {"params": parameters, "weight_decay": WEIGHT_DECAY if decayed else 0.0, "peak": rate}
        for (rate, decayed), parameters in groups.items()
    ], lr=PEAK_RATE, betas=(0.9, 0.98), eps=1e-8, fused=device.type == "cuda")
