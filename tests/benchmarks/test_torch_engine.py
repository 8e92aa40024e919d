"""The torch model and the bundle that is exported from it answer alike."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("gguf")


@pytest.fixture
def engines(tmp_path, monkeypatch):
    import tiny_llama
    from tiny_encoder import TinyEncoder

    from redvillm import zoo
    from redvillm.benchmarks.evaluation import torch_engine
    from redvillm.benchmarks.evaluation.engine import Engine
    from redvillm.export import bundle, nano
    from redvillm.export.adapter import Adapter, AdapterOptions
    from redvillm.export.composition import VisionSide
    from redvillm.export.nano import NanoSources
    from redvillm.export.tuning import LanguageTuning

    torch.manual_seed(0)
    sizes = AdapterOptions(num_patches=4, vision_width=6, llm_width=tiny_llama.WIDTH, num_motion_tokens=3, hidden_width=7, motion_hidden_width=5)
    tuning = LanguageTuning(row_scales={"blk.0.attn_v.weight": np.full(32, 0.5, np.float32)})
    vision = VisionSide(TinyEncoder().eval(), Adapter(sizes).eval(), tuning, 8)
    sources = NanoSources(tmp_path / "v", tiny_llama.write_gguf(tmp_path / "tiny.gguf"), tmp_path / "a", ())
    for module in (nano, torch_engine):
        monkeypatch.setattr(module, "locate_sources", lambda model, adapter: sources)
        monkeypatch.setattr(module, "load_vision", lambda found: vision)
    monkeypatch.setattr(nano, "MAX_CONTEXT_TOKENS", tiny_llama.MAX_CONTEXT_TOKENS)
    bundle.export_bundle(zoo.DEFAULT_MODEL, tmp_path / "bundle", vision="fp32", check=False)
    return torch_engine.TorchEngine(zoo.DEFAULT_MODEL, None, threads=1, max_new_tokens=3), Engine(str(tmp_path / "bundle"), threads=1)


def test_likelihoods_agree_and_depend_on_the_video(engines):
    random = np.random.default_rng(1)
    clips = [[random.integers(0, 256, (20, 30, 3), np.uint8) for _ in range(count)] for count in (1, 5)]
    values = [[engine.likelihood(engine.watch(clip), "what is it?", "the inn") for clip in clips] for engine in engines]
    # 8-bit activations and a float16 cache in the bundle; random weights do not average that out
    np.testing.assert_allclose(values[0], values[1], rtol=0.03)
    assert abs(values[0][0] - values[0][1]) > 0.01
    assert engines[0].watch(clips[1]).num_visual_tokens == engines[1].watch(clips[1]).num_visual_tokens == 4 + 5 + 3


def test_an_answer_is_the_likeliest_tokens_one_by_one(engines, tmp_path):
    import tiny_llama

    from redvillm.export.composition import SYSTEM_PROMPT
    from redvillm.export.llama import load_llama
    from redvillm.export.tokenizer import read_prompt
    from redvillm.export.tuning import LanguageTuning
    from redvillm.prompt import Prompt

    engine = engines[0]
    prefix = engine.watch([np.full((8, 8, 3), 90, np.uint8)])
    prompt = Prompt(*read_prompt(tmp_path / "tiny.gguf", SYSTEM_PROMPT))
    llm = load_llama(tmp_path / "tiny.gguf", tuning=LanguageTuning(row_scales={"blk.0.attn_v.weight": np.full(32, 0.5, np.float32)}))
    table = llm.get_input_embeddings().weight
    rows = torch.cat((table[list(prompt.prefix_ids)], torch.tensor(prefix.visual_tokens), table[list(prompt.suffix_ids("what?"))]))
    tokens = []
    for _ in range(3):
        with torch.inference_mode():
            tokens.append(int(llm(inputs_embeds=rows[None]).logits[0, -1].argmax()))
        rows = torch.cat((rows, table[tokens[-1:]]))
    kept = [token for token in tokens if token >= len(tiny_llama.SPECIAL_TOKENS)]
    assert engine.answer(prefix, "what?") == prompt.tokenizer.decode(kept).strip()
    assert engine.about["provider"] == "torch"
