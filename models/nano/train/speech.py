"""Spoken sentences: eSpeak NG in many voices, called through its C library, and log-mel features with PyTorch.

`pip install espeakng-loader` brings the library and its data. Synthesis is GPL software used as a tool; what it says
is not a work of it.
"""

import ctypes
import random
import zlib
from dataclasses import dataclass

import numpy as np
import torch
from scipy.signal import resample_poly

SAMPLE_RATE = 16_000
CLIP_SAMPLES = 64_000
HOP = 160
FRAMES = (CLIP_SAMPLES - 513) // HOP + 1
# Four frames of 10 ms become one in the convolutions, four of those one soft token.
TOKENS = -(-(-(-FRAMES // 4)) // 4)
BINS = 8
BIN_MS = 160 * 4 / 3 / BINS
PHONEMES = 256

ENGLISH_VOICES = ["en-us", "en-gb-x-rp", "en-gb-scotland", "en-gb-x-gbcwmd", "en-us"]
VARIANTS = (
    "m1 m2 m3 m4 m5 m7 m8 f1 f2 f3 f5 Alex Alicia Andrea Andy Annie Denis Diogo Gene Gene2 Henrique Hugo Jacky Lee Marco Michael Mike "
    "Nguyen Reed Storm adam anika antonio aunty belinda benjamin boris caleb david ed edward2 gustave ian iven iven2 john "
    "kaukovalta klatt klatt2 klatt3 marcelo max michel miguel norbert pablo paul pedro quincy rob robert sandro shelby steph steph2 "
    "travis victor zac"
).split()
HELD_OUT_VARIANTS = "m6 f4 linda edward mike2 Mario iven3 klatt4 steph3 grandma".split()

EVENT_LIST_TERMINATED, EVENT_PHONEME, EVENT_END = 0, 7, 5
AUDIO_OUTPUT_SYNCHRONOUS = 2
PHONEME_EVENTS = 1
RATE, VOLUME, PITCH, RANGE = 1, 2, 3, 4
UTF8 = 1


class Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int), ("unique_identifier", ctypes.c_uint), ("text_position", ctypes.c_int), ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int), ("sample", ctypes.c_int), ("user_data", ctypes.c_void_p), ("id", ctypes.c_char * 8),
    ]


CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(Event))


@dataclass(frozen=True)
class Spoken:
    """Samples [n] int16 at 16 kHz, and (milliseconds, phoneme) in order."""

    samples: np.ndarray
    phonemes: list[tuple[float, str]]


class Speaker:
    """eSpeak NG; one to a process."""

    def __init__(self) -> None:
        import espeakng_loader

        self.library = ctypes.CDLL(espeakng_loader.get_library_path())
        rate = self.library.espeak_Initialize(
            AUDIO_OUTPUT_SYNCHRONOUS, 0, str(espeakng_loader.get_data_path()).encode(), PHONEME_EVENTS,
        )
        if rate <= 0:
            raise RuntimeError(f"eSpeak NG did not start: {rate}")
        self.rate = rate
        self.chunks: list[np.ndarray] = []
        self.events: list[tuple[float, str]] = []
        self.callback = CALLBACK(self.receive)
        self.library.espeak_SetSynthCallback(self.callback)

    def receive(self, samples: ctypes.POINTER(ctypes.c_short), count: int, events: ctypes.POINTER(Event)) -> int:
        i = 0
        while events[i].type != EVENT_LIST_TERMINATED:
            if events[i].type == EVENT_PHONEME:
                self.events.append((float(events[i].audio_position), bytes(events[i].id).decode("utf-8", "replace")))
            i += 1
        if samples and count > 0:
            self.chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    def say(self, text: str, voice: str, speed: int, pitch: int, pitch_range: int) -> Spoken:
        if self.library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise ValueError(f"eSpeak NG has no voice {voice!r}")
        for parameter, value in ((RATE, speed), (PITCH, pitch), (RANGE, pitch_range), (VOLUME, 90)):
            self.library.espeak_SetParameter(parameter, value, 0)
        self.chunks, self.events = [], []
        data = text.encode() + b"\0"
        self.library.espeak_Synth(data, len(data), 0, 1, 0, UTF8, None, None)
        samples = np.concatenate(self.chunks) if self.chunks else np.zeros(0, np.int16)
        resampled = resample_poly(samples.astype(np.float32), 320, 441) if self.rate == 22_050 else samples.astype(np.float32)
        return Spoken(np.clip(np.round(resampled), -32768, 32767).astype(np.int16), self.events)


def random_voice(rng: random.Random, language: str, *, evaluation: bool) -> tuple[str, int, int, int]:
    """Voice, words a minute, pitch, range."""
    base = rng.choice(ENGLISH_VOICES) if language == "en" else "ko"
    variant = rng.choice(HELD_OUT_VARIANTS if evaluation else VARIANTS)
    voice = base if not evaluation and rng.random() < 0.08 else f"{base}+{variant}"
    return voice, rng.randint(120, 205), rng.randint(25, 75), rng.randint(30, 70)


def place_clip(rng: random.Random, spoken: Spoken) -> tuple[np.ndarray, int] | None:
    """The samples after a little silence, and how long that is; nothing where the clip would be too long."""
    lead = rng.randint(0, SAMPLE_RATE // 3)
    tail = rng.randint(0, SAMPLE_RATE // 4)
    if lead + len(spoken.samples) + tail > CLIP_SAMPLES or not len(spoken.samples):
        return None
    return np.concatenate([np.zeros(lead, np.int16), spoken.samples, np.zeros(tail, np.int16)]), lead


def phoneme_class(name: str) -> int:
    """A number from 1 for a phoneme without its stress, 0 for a pause; a few phonemes share one."""
    bare = name.strip("',%=")
    return 0 if not bare or bare.startswith("_") else 1 + zlib.crc32(bare.encode()) % (PHONEMES - 1)


def phoneme_labels(spoken: Spoken, lead: int) -> np.ndarray:
    """[TOKENS, BINS] int16: the phonemes that sound in the last 213 ms before each soft token, in eight steps.

    The encoder is causal, so a token can only know what came before it. 0 is silence.
    """
    start_ms = lead * 1000 / SAMPLE_RATE
    starts = np.array([start_ms + at for at, _ in spoken.phonemes] or [1e9])
    names = [name for _, name in spoken.phonemes] or [""]
    ends = np.arange(TOKENS)[:, None] * 160.0 + 20
    times = ends - BIN_MS * (BINS - np.arange(BINS) - 0.5)[None]
    index = np.searchsorted(starts, times, side="right") - 1
    ids = np.array([phoneme_class(name) for name in names], np.int16)
    return np.where(index >= 0, ids[np.clip(index, 0, None)], 0).astype(np.int16)


class LogMel:
    """The features of Gemma3nAudioFeatureExtractor, for a batch and on a device."""

    def __init__(self, device: torch.device) -> None:
        from transformers import Gemma3nAudioFeatureExtractor

        extractor = Gemma3nAudioFeatureExtractor()
        self.window = torch.from_numpy(np.asarray(extractor.window)).float().to(device)
        self.filters = torch.from_numpy(np.asarray(extractor.mel_filters)).float().to(device)
        self.fft_length, self.floor, self.emphasis = extractor.fft_length, float(extractor.mel_floor), extractor.preemphasis

    def __call__(self, samples: torch.Tensor) -> torch.Tensor:
        """[N, samples] float32 to [N, frames, 128]."""
        frames = samples.unfold(-1, 513, HOP)
        first = frames[..., :1] * (1 - self.emphasis)
        rest = frames[..., 1:-1] - self.emphasis * frames[..., :-2]
        spectrum = torch.fft.rfft(torch.cat([first, rest], -1) * self.window, self.fft_length)
        return torch.log((spectrum.abs() @ self.filters).clamp(min=self.floor))


def room(samples: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Gain, noise and a tilt of the spectrum over clips [N, samples] in -1..1; zeros past each clip's end."""
    n, device = len(samples), samples.device
    rms = samples.pow(2).mean(1, keepdim=True).sqrt().clamp(min=1e-3)
    white = torch.randn_like(samples)
    low = torch.cumsum(torch.randn_like(samples), 1)
    low = low - torch.nn.functional.avg_pool1d(low[:, None], 801, 1, 400, count_include_pad=False)[:, 0]
    low = low / low.std(1, keepdim=True)
    noise = torch.where(torch.rand(n, 1, device=device) < 0.5, white, low)
    ratio = 10 ** (-(8 + 37 * torch.rand(n, 1, device=device)) / 20)
    ratio = ratio * (torch.rand(n, 1, device=device) < 0.8)
    tilt = (torch.rand(n, 1, device=device) - 0.5) * 0.8
    tilted = torch.cat([samples[:, :1], samples[:, 1:] + tilt * samples[:, :-1]], 1)
    gain = 10 ** ((torch.rand(n, 1, device=device) * 24 - 16) / 20)
    out = (tilted + noise * rms * ratio) * gain
    inside = torch.arange(samples.shape[1], device=device)[None] < lengths[:, None]
    return (out.clamp(-1, 1) * inside * 32767).round() / 32767
