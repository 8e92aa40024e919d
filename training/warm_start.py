"""Warm start of the alignment on the LLM's own word embeddings, without running the LLM.

The visual tokens of a photo should point to the embeddings of the words that its captions use: the best match over the patches, compared over a
list of content words. A minute of this saves most of the first epochs. Knows embeddings and captions; does not know prompts or the LLM's layers.
"""

import re
from collections import Counter
from collections.abc import Mapping

import numpy as np
import torch
from rich.progress import track
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from redvillm.export.adapter import Adapter
from redvillm.training.features import FeatureStore

_BATCH = 32
_TEMPERATURE = 0.05
_MIN_USES = 25
_STOP_WORDS = frozenset(
    re.findall(
        r"\w+",
        "a an the is are was be and or of in on at to from with for by as its his her their it he she they them him who that this there some other "
        "another one two three four while up down out off over under into through near next front has have being each very doing something s t",
    )
)


def caption_words(captions: Mapping[str, tuple[str, ...]], tokenizer: Tokenizer) -> dict[str, int]:
    """Return the content words that are frequent in the captions and a single token (with its leading space), with their token ids."""
    counts = Counter(word for texts in captions.values() for word in _words(texts))
    encoded = {word: tokenizer.encode(f" {word}", add_special_tokens=False).ids for word, uses in sorted(counts.items()) if uses >= _MIN_USES}
    return {word: ids[0] for word, ids in encoded.items() if len(ids) == 1 and word not in _STOP_WORDS}


def warm_start(adapter: Adapter, embeddings: Tensor, store: FeatureStore, targets: Mapping[int, Tensor], *, steps: int, seed: int) -> list[float]:
    """Train the alignment, copy it to the temporal alignment (as RED-VILLM does), set the scale of all streams; return the losses.

    `embeddings` float32 [W, H] of the words; `targets[i]` float32 [W], the word shares of clip i of the store.
    """
    with torch.no_grad():
        adapter.gain.fill_(float(embeddings.square().mean().sqrt()))
    directions = functional.normalize(embeddings, dim=-1)
    parameters = [*adapter.alignment.parameters(), adapter.positions]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-3, total_steps=steps)
    generator = np.random.default_rng([seed, 2])
    clips = np.array(sorted(targets))
    losses = []
    for _ in track(range(steps), description="warm start"):
        batch = generator.choice(clips, min(_BATCH, len(clips)), replace=False)
        features = torch.from_numpy(np.stack([store[index][0] for index in batch]).astype(np.float32))
        similarity = functional.normalize(adapter.alignment(features) + adapter.positions, dim=-1) @ directions.T / _TEMPERATURE
        logits = torch.logsumexp(similarity, dim=1)
        loss = functional.cross_entropy(logits, torch.stack([targets[index] for index in batch]))
        optimizer.zero_grad()
        torch.autograd.backward([loss])
        optimizer.step()
        schedule.step()
        losses.append(float(loss.detach()))
    adapter.temporal_alignment.load_state_dict(adapter.alignment.state_dict())
    return losses


def word_targets(store: FeatureStore, captions: Mapping[str, tuple[str, ...]], words: Mapping[str, int]) -> dict[int, Tensor]:
    """Return, for the training clips with captions or a class name, the shares of the words used."""
    columns = {word: column for column, word in enumerate(words)}
    targets = {}
    for index in store.select("train", "photo", "object"):
        record = store.records[index]
        row = torch.zeros(len(columns))
        for word in _words(captions.get(record.source, (record.label,))):
            if word in columns:
                row[columns[word]] += 1
        if row.sum() > 0:
            targets[index] = row / row.sum()
    return targets


def _words(texts: tuple[str, ...]) -> list[str]:
    return re.findall(r"[a-z]+", " ".join(texts).lower())
