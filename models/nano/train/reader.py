"""The model while only its decoder learns, from soft tokens that are there already."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from transformers import Gemma3nForConditionalGeneration

from configuration import VOCABULARY
from forward import Trainee

FROZEN = ("model.vision_tower.", "model.audio_tower.", "model.embed_vision.embedding_projection.", "model.embed_vision.soft_embedding_norm.")


class Reader(Trainee):
    """The model with two heads on what its layer READ finds at the end of a picture: which thing it shows, and whether it
    is the first picture or the second.

    Later layers read keys and values that are made there and one layer above; what those lack no later layer knows.
    """

    LOSSES = ("answers", "picture", "order", "apart")

    def __init__(self, model: Gemma3nForConditionalGeneration, classes: int) -> None:
        super().__init__(model, classes)
        del self.phoneme_head
        self.order_head = nn.Linear(model.config.text_config.hidden_size, 2)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(not name.startswith(FROZEN))
        # Set once the towers have run: see album.py.
        self.seen = self.heard = self.ended = torch.empty(0)

    def sounds_of(self, clips: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """As sounds(), of clips by their number."""
        embedder = self.model.model.embed_audio
        padding = embedder(input_ids=torch.full((1, 1), VOCABULARY - 1, device=clips.device))
        soft = embedder(inputs_embeds=self.heard[clips])
        return torch.where(self.ended[clips][..., None], padding.to(soft.dtype), soft), padding[0].to(soft.dtype)

    def losses(self, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """[4]: the losses of the answers, of the two heads, and the share of the soft tokens' energy that tells pictures
        apart; and which answer tokens are right."""
        images = self.seen[batch["pictures"]].float()
        sounds, padding = self.sounds_of(batch["clips"])
        width = images.shape[-1]
        features = torch.cat([images.reshape(-1, width), sounds.reshape(-1, width).to(images.dtype), padding.to(images.dtype)])
        embeds, per_layer = self.embed(batch["ids"], batch["media"], features)
        hidden, read = self.decode(embeds, per_layer, batch)
        chosen = hidden.reshape(-1, width)[batch["places"]]
        logits = self.logits(chosen)
        token_loss = F.cross_entropy(logits, batch["targets"], reduction="none")
        answers = (token_loss * batch["weights"]).sum() / batch["weights"].sum()
        ends = read.reshape(-1, width)[batch["ends"]].float()
        ends = F.rms_norm(ends, (width,))
        known = batch["classes"] >= 0
        picture = F.cross_entropy(self.picture_head(ends).float(), batch["classes"].clamp(min=0), reduction="none")
        picture = (picture * known).sum() / known.sum().clamp(min=1)
        order = F.cross_entropy(self.order_head(ends).float(), batch["orders"])
        apart = images.mean(1).var(0).mean() / images.pow(2).mean()
        return torch.stack([answers, picture, order, apart]).float(), logits.argmax(-1) == batch["targets"]
