"""The forward pass of training: Transformers' own modules, called on packed rows, without what only generation needs.

`test_forward.py` compares it with Gemma3nForConditionalGeneration on unpacked conversations.
"""

import torch
import torch.nn as nn
import torch.nn.functional as F
from transformers import Gemma3nForConditionalGeneration
from transformers.models.gemma3n import modeling_gemma3n

from configuration import VOCABULARY
from speech import BINS, PHONEMES

# The first of the two layers whose keys and values the shared layers read: later layers know of earlier tokens what
# these two know.
READ = 3


def gaussian_topk(self: modeling_gemma3n.Gemma3nTextMLP, inputs: torch.Tensor) -> torch.Tensor:
    """Gemma3nTextMLP._gaussian_topk with its quantile as a number: a new tensor per call cannot be captured in a graph."""
    mean = inputs.mean(-1, keepdim=True)
    deviation = inputs.std(-1, keepdim=True, unbiased=False)
    return F.relu(inputs - (mean + deviation * self.quantile))


def prepare_for_training(model: Gemma3nForConditionalGeneration) -> None:
    normal = torch.distributions.normal.Normal(0.0, 1.0)
    for layer in model.model.language_model.layers:
        if layer.mlp.activation_sparsity > 0:
            layer.mlp.quantile = normal.icdf(torch.tensor(layer.mlp.activation_sparsity)).item()
    modeling_gemma3n.Gemma3nTextMLP._gaussian_topk = gaussian_topk


def magnitude(x: torch.Tensor) -> torch.Tensor:
    return x.pow(2).mean(-1, keepdim=True)


def like_first(first: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return other * magnitude(first).sqrt() / magnitude(other).clamp(min=1e-5).sqrt()


def spread(text: nn.Module, embeds: torch.Tensor) -> torch.Tensor:
    """[B, T, D] to AltUp's streams [A, B, T, D]."""
    return torch.stack([embeds, *(like_first(embeds, projection(embeds).to(embeds.dtype)) for projection in text.altup_projections)])


def gather_streams(text: nn.Module, streams: torch.Tensor) -> torch.Tensor:
    first = streams[0]
    others = [like_first(first, projection(stream).to(first.dtype)) for projection, stream in zip(text.altup_unembed_projections, streams[1:])]
    return text.norm(torch.stack([first, *others]).mean(0))


class Trainee(nn.Module):
    """The model, and heads on its two towers that are there while it learns and are thrown away after."""

    LOSSES = ("answers", "picture", "phoneme", "apart")

    def __init__(self, model: Gemma3nForConditionalGeneration, classes: int) -> None:
        super().__init__()
        self.model = model
        width = model.config.text_config.hidden_size
        self.picture_head = nn.Linear(width, classes)
        self.phoneme_head = nn.Linear(width, BINS * PHONEMES)

    def embed(self, ids: torch.Tensor, media: torch.Tensor, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Embeddings [B, T, D] with the media in their places, and per-layer inputs."""
        model = self.model.model
        text = model.language_model
        inside = ids < model.vocab_size_per_layer_input
        embeds = text.embed_tokens(ids)
        per_layer = text.get_per_layer_inputs(torch.where(inside, ids, 0))
        for embedder, low, high in (
            (model.embed_vision, model.embed_vision.vocab_offset, model.embed_audio.vocab_offset),
            (model.embed_audio, model.embed_audio.vocab_offset, VOCABULARY),
        ):
            # All eight hard embeddings, then a lookup: cheaper than one computation per place.
            table = embedder(input_ids=torch.arange(low, high, device=ids.device)).to(embeds.dtype)
            chosen = (ids >= low) & (ids < high)
            embeds = torch.where(chosen[..., None], F.embedding((ids - low).clamp(0, high - low - 1), table), embeds)
        soft = F.embedding(media.clamp(min=0), features.to(embeds.dtype))
        return torch.where((media >= 0)[..., None], soft, embeds), per_layer

    def decode(self, embeds: torch.Tensor, per_layer: torch.Tensor, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Hidden states [B, T, D] of the last layer, and the active stream before layer READ."""
        segments, branches, positions = (batch[name] for name in ("segments", "branches", "positions"))
        text = self.model.model.language_model
        config = text.config
        per_layer = text.project_per_layer_inputs(embeds, per_layer)
        streams = spread(text, embeds)
        near = positions[:, :, None] - positions[:, None, :]
        full = (segments[:, :, None] == segments[:, None, :]) & (near >= 0)
        # Of its conversation a token sees what all branches share, branch 0, and its own.
        full = full & ((branches[:, None, :] == 0) | (branches[:, :, None] == branches[:, None, :]))
        masks = {"full_attention": full[:, None], "sliding_attention": (full & (near < config.sliding_window))[:, None]}
        rotary = {kind: text.rotary_emb(streams, positions, kind) for kind in set(config.layer_types)}
        shared: dict = {}
        for i, layer in enumerate(text.layers):
            kind = config.layer_types[i]
            if i == READ:
                read = streams[config.altup_active_idx]
            streams = layer(streams, rotary[kind], per_layer[:, :, i], shared_kv_states=shared, attention_mask=masks[kind], position_ids=positions)
        return gather_streams(text, streams), read

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        cap = self.model.config.text_config.final_logit_softcapping
        return cap * torch.tanh(self.model.lm_head(hidden).float() / cap)

    def pictures(self, pixels: torch.Tensor) -> torch.Tensor:
        """[I, slots, D]"""
        return self.model.model.get_image_features(pixels).pooler_output

    def sounds(self, mel: torch.Tensor, padded: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Soft tokens [C, TOKENS, D] with the padding embedding where a clip has ended, and that embedding [1, D]."""
        model = self.model.model
        out = model.get_audio_features(mel, padded)
        last = torch.full((1, 1), VOCABULARY - 1, device=mel.device)
        padding = model.embed_audio(input_ids=last)
        soft = out.pooler_output
        return torch.where(out.audio_mel_mask[..., None], padding.to(soft.dtype), soft), padding[0].to(soft.dtype)

    def losses(self, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """[4]: the losses of the answers, the picture classes and the phonemes, and the share of the picture features'
        energy that tells pictures apart; and which answer tokens are right."""
        images = self.pictures(batch["pixels"])
        sounds, padding = self.sounds(batch["mel"], batch["padded"])
        width = images.shape[-1]
        features = torch.cat([images.reshape(-1, width), sounds.reshape(-1, width).to(images.dtype), padding.to(images.dtype)])
        embeds, per_layer = self.embed(batch["ids"], batch["media"], features)
        hidden, _ = self.decode(embeds, per_layer, batch)
        chosen = hidden.reshape(-1, width)[batch["places"]]
        logits = self.logits(chosen)
        token_loss = F.cross_entropy(logits, batch["targets"], reduction="none")
        answers = (token_loss * batch["weights"]).sum() / batch["weights"].sum()
        # Normalized over the batch: what all pictures have in common must earn nothing.
        pooled = images.float().mean(1)
        apart = pooled.detach().var(0).mean() / images.detach().float().pow(2).mean()
        scores = self.picture_head(F.batch_norm(pooled, None, None, training=True))
        known = batch["classes"] >= 0
        picture = F.cross_entropy(scores, batch["classes"].clamp(min=0), reduction="none")
        picture = (picture * known).sum() / known.sum().clamp(min=1)
        phonemes = self.phoneme_head(sounds.float()).reshape(-1, PHONEMES)
        phoneme = F.cross_entropy(phonemes, batch["phonemes"].reshape(-1))
        return torch.stack([answers, picture, phoneme, apart]).float(), logits.argmax(-1) == batch["targets"]


