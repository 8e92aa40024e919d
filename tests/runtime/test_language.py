import contextlib
import dataclasses
import itertools
import time

import numpy as np
import pytest

from redvillm.errors import BackendError, BundleFileError, ContextOverflowError, OptionsError, QuestionError, StreamClosedError
from redvillm.manifest import Files
from redvillm.runtime import decoder, prefix_cache
from redvillm.runtime.language import LanguageModel
from redvillm.runtime.options import GenerationOptions

OPTIONS = GenerationOptions(max_new_tokens=12)
QUESTION = "in the end?"
WORDS = {"yes": ("Yes", "yes", " Yes", " yes"), "no": ("No", "no", " No", " no")}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The language half of a bundle of the tiny model: its module and the folder."""
    pytest.importorskip("gguf")
    pytest.importorskip("onnx")
    import tiny_llama

    folder = tmp_path_factory.mktemp("language")
    tiny_llama.export_language(tiny_llama.write_gguf(folder / "m.gguf"), folder)
    return tiny_llama, folder


@pytest.fixture
def open_model(tiny):
    """A function that opens the model; by default no token ends an answer, as random weights may give any."""

    def open_one(**options):
        manifest = tiny[0].make_manifest(stop_token_ids=options.pop("stop_token_ids", ()))
        return LanguageModel(tiny[1], manifest, threads=1, **options)

    return open_one


def visual_tokens(count=13, seed=0):
    return np.random.default_rng(seed).normal(size=(count, 64)).astype(np.float32)


@contextlib.contextmanager
def counted_passes():
    """Collect the number of positions of every pass through the decoder."""
    passes = []
    forward = decoder.Decoder.forward

    def counting(self, embeddings, rows, **more):
        passes.append(len(embeddings))
        return forward(self, embeddings, rows, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoder.Decoder, "forward", counting)
        yield passes


def ids_of(pieces):
    return [piece.token_id for piece in pieces]


def ask(model, question=QUESTION, options=OPTIONS):
    return ids_of(model.generate(question, options))


def test_questions_about_one_prefix_answer_as_from_scratch(open_model):
    model = open_model()
    model.prefill(visual_tokens())
    answers = [ask(model), ask(model, "the other?"), ask(model)]
    for question, answer in zip((QUESTION, "the other?", QUESTION), answers, strict=True):
        fresh = open_model()
        fresh.prefill(visual_tokens())
        assert ask(fresh, question) == answer
    assert answers[0] != answers[1]


def test_a_new_prefix_replaces_the_old_one(open_model):
    model, fresh = open_model(), open_model()
    model.prefill(visual_tokens(seed=1))
    before = ask(model)
    for count in (20, 5, 13):  # longer and shorter than what lies in the cache
        model.prefill(visual_tokens(count))
        system_length = model.prefix_length_tokens - count
    fresh.prefill(visual_tokens(13))
    assert ask(model) == ask(fresh) != before
    assert system_length == fresh.prefix_length_tokens - 13 > 0


def test_greedy_tokens_are_those_of_transformers(tiny, open_model):
    """Teacher-forced: 8-bit activations may turn a near tie, so the reference must rank every token among its likeliest."""
    torch = pytest.importorskip("torch")
    from redvillm.export.llama import load_llama
    from redvillm.prompt import Prompt

    tiny_llama, folder = tiny
    llama = load_llama(folder / "m.gguf")
    prompt = Prompt.from_file(folder / Files.TOKENIZER, tiny_llama.make_manifest().prompt)
    model = open_model()
    model.prefill(visual_tokens())
    answer = ask(model)
    table = llama.get_input_embeddings()
    before, after = (table(torch.tensor(ids)) for ids in (prompt.prefix_ids, (*prompt.suffix_ids(QUESTION), *answer[:-1])))
    with torch.inference_mode():
        logits = llama(inputs_embeds=torch.cat((before, torch.from_numpy(visual_tokens()), after))[None]).logits[0, -len(answer) :].numpy()
    gaps = logits.max(-1) - logits[np.arange(len(answer)), answer]
    assert (gaps == 0).mean() >= 0.75
    assert gaps.max() <= 0.05 * np.abs(logits).max()


@pytest.mark.parametrize("stop_token_ids", [(), (3, 5)])
def test_the_likelihood_of_an_answer_is_that_of_transformers(tiny, open_model, stop_token_ids):
    """8-bit activations leave a few percent of a nat."""
    torch = pytest.importorskip("torch")
    from redvillm.export.llama import load_llama

    _, folder = tiny
    llama = load_llama(folder / "m.gguf")
    model = open_model(stop_token_ids=stop_token_ids)
    model.prefill(visual_tokens())
    ask(model)
    prompt = model._prompt
    answer = prompt.tokenizer.encode("a dog runs", add_special_tokens=False).ids
    table = llama.get_input_embeddings()
    before, after = (table(torch.tensor(ids)) for ids in (prompt.prefix_ids, (*prompt.suffix_ids(QUESTION), *answer)))
    with torch.inference_mode():
        logits = llama(inputs_embeds=torch.cat((before, torch.from_numpy(visual_tokens()), after))[None]).logits[0, -len(answer) - 1 :]
    log_shares = torch.log_softmax(logits.double(), -1)
    wanted = [float(log_shares[row, token]) for row, token in enumerate(answer)]
    if stop_token_ids:
        wanted.append(float(torch.logsumexp(log_shares[-1, list(stop_token_ids)], 0)))
    assert model.likelihood(QUESTION, "a dog runs") == pytest.approx(-np.mean(wanted), abs=0.05)


def test_an_empty_answer_has_no_likelihood(open_model):
    model = open_model()
    model.prefill(visual_tokens())
    with pytest.raises(QuestionError, match="empty"):
        model.likelihood(QUESTION, "")


def test_slices_change_nothing(open_model, monkeypatch):
    whole = open_model()
    whole.prefill(visual_tokens(29))
    monkeypatch.setattr(prefix_cache, "PREFILL_SLICE_TOKENS", 8)
    sliced = open_model()
    sliced.prefill(visual_tokens(29))
    assert ask(sliced) == ask(whole)


def test_a_cancelled_prefill_leaves_the_prefix_before(open_model, monkeypatch):
    monkeypatch.setattr(prefix_cache, "PREFILL_SLICE_TOKENS", 8)
    model, fresh = open_model(), open_model()
    with pytest.raises(OptionsError, match="call prefill first"):
        model.generate(QUESTION, OPTIONS)
    model.prefill(visual_tokens(seed=1))
    before = ask(model)
    answers = itertools.chain([False, False], itertools.repeat(True))
    assert not model.try_prefill([visual_tokens(29)], lambda: next(answers))
    assert ask(model) == before
    assert model.try_prefill([visual_tokens(29)], lambda: False)
    fresh.prefill(visual_tokens(29))
    assert ask(model) == ask(fresh) != before


def test_pieces_add_up_and_carry_times(open_model):
    model = open_model()
    model.prefill(visual_tokens())
    start_s = time.perf_counter()
    pieces = list(model.generate(QUESTION, OPTIONS))
    times = [start_s, *(piece.time_s for piece in pieces), time.perf_counter()]
    assert times == sorted(times)
    assert [piece.finish for piece in pieces] == [None] * 11 + ["length"]
    assert "".join(piece.text for piece in pieces) == model._prompt.tokenizer.decode(ids_of(pieces), skip_special_tokens=True)


def test_a_stop_token_ends_the_answer(open_model):
    model = open_model()
    model.prefill(visual_tokens())
    answer = ask(model)
    stop_id = answer[5]
    stopping = open_model(stop_token_ids=(stop_id,))
    stopping.prefill(visual_tokens())
    pieces = list(stopping.generate(QUESTION, OPTIONS))
    assert ids_of(pieces) == answer[: answer.index(stop_id) + 1]
    assert [piece.finish for piece in pieces] == [None] * (len(pieces) - 1) + ["stop"]


def test_sampling_obeys_its_seed(open_model):
    model = open_model()
    model.prefill(visual_tokens())
    first, again, other = (ask(model, options=GenerationOptions(max_new_tokens=12, temperature=2.0, seed=seed)) for seed in (1, 1, 2))
    assert first == again != other


def test_an_answer_may_be_left_halfway(open_model):
    model = open_model()
    model.prefill(visual_tokens())
    expected = ask(model)
    half = list(itertools.islice(model.generate("the other?", OPTIONS), 3))
    assert len(half) == 3
    assert ask(model) == expected


def test_a_stale_answer_cannot_disturb_a_newer_one(open_model):
    model = open_model()
    model.prefill(visual_tokens())
    expected = ask(model)
    stale = model.generate("the other?", OPTIONS)
    next(stale)
    newer = model.generate(QUESTION, OPTIONS)
    pieces = [next(newer)]
    with pytest.raises(StreamClosedError, match="has taken the decoder"):
        next(stale)
    assert ids_of([*pieces, *newer]) == expected
    waiting = model.generate(QUESTION, OPTIONS)
    model.prefill(visual_tokens(seed=3))
    with pytest.raises(StreamClosedError):
        next(waiting)


def test_nothing_runs_when_it_does_not_fit(open_model, tiny):
    model = open_model()
    num_context = tiny[0].MAX_CONTEXT_TOKENS
    model.prefill(visual_tokens())
    expected = ask(model)
    too_many = GenerationOptions(max_new_tokens=num_context)
    with pytest.raises(
        ContextOverflowError, match=rf"13 visual, \d+ question and {num_context} answer tokens are \d+; the context holds {num_context}"
    ):
        model.generate(QUESTION, too_many)
    with pytest.raises(ContextOverflowError):
        model.check_fits(QUESTION, num_context, OPTIONS)
    with pytest.raises(ContextOverflowError, match=f"{num_context} visual tokens do not fit"):
        model.prefill(visual_tokens(num_context))
    assert ask(model) == expected


def test_the_whole_context_can_be_used(open_model, tiny):
    model = open_model()
    model.prefill(visual_tokens())
    num_free = tiny[0].MAX_CONTEXT_TOKENS - model.prefix_length_tokens - len(model._prompt.suffix_ids(QUESTION))
    model.check_fits(QUESTION, 13, GenerationOptions(max_new_tokens=num_free))
    assert len(ask(model, options=GenerationOptions(max_new_tokens=num_free))) == num_free
    with pytest.raises(ContextOverflowError):
        model.check_fits(QUESTION, 13, GenerationOptions(max_new_tokens=num_free + 1))


def test_bad_questions_and_bad_calls(open_model):
    model = open_model()
    with pytest.raises(OptionsError, match="call prefill first"):
        model.generate(QUESTION, OPTIONS)
    with pytest.raises(QuestionError):
        model.check_fits("  ", 13, OPTIONS)
    model.prefill(visual_tokens())
    with pytest.raises(QuestionError):
        model.generate("\ud800", OPTIONS)
    with pytest.raises(OptionsError, match="is wanted"):
        model.prefill(visual_tokens()[:, :10])
    assert model.prefix_length_tokens == 0


def test_no_visual_tokens_is_a_prompt_without_video(open_model):
    model = open_model()
    model.prefill(np.zeros((0, 64), np.float32))
    assert len(ask(model)) == 12


def test_provider_threads_and_context_are_told_and_checked(open_model, tiny):
    model = open_model(max_context_tokens=50)
    assert (model.provider, model.threads, model.prefix_length_tokens) == ("CPUExecutionProvider", 1, 0)
    with pytest.raises(ContextOverflowError, match="the context holds 50"):
        model.check_fits(QUESTION, 40, OPTIONS)
    for illegal in (0, tiny[0].MAX_CONTEXT_TOKENS + 1, 10.0):
        with pytest.raises(OptionsError, match=f"allows 1 to {tiny[0].MAX_CONTEXT_TOKENS}"):
            open_model(max_context_tokens=illegal)


@pytest.mark.parametrize("target", ["cuda", "tensorrt"])
def test_a_target_that_cannot_run_here_is_refused(tiny, target):
    onnxruntime = pytest.importorskip("onnxruntime")
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime may run it")
    with pytest.raises(BackendError, match="no CUDAExecutionProvider"):
        LanguageModel(tiny[1], tiny[0].make_manifest(target=target))


def test_a_manifest_of_another_model_is_refused(tiny):
    manifest = tiny[0].make_manifest()
    other = dataclasses.replace(manifest, dimensions=dataclasses.replace(manifest.dimensions, vocabulary_size=100))
    with pytest.raises(BundleFileError, match="manifest says 100 tokens"):
        LanguageModel(tiny[1], other)


def test_a_right_draft_takes_one_pass_and_changes_nothing(open_model):
    model = open_model()
    model.prefill(visual_tokens())
    answer = ask(model)
    with counted_passes() as passes:
        pieces = list(model.generate(QUESTION, OPTIONS, answer))
    assert ids_of(pieces) == answer
    assert all(piece.drafted for piece in pieces)
    assert [piece.finish for piece in pieces] == [None] * 11 + ["length"]
    assert passes == [len(model._prompt.suffix_ids(QUESTION)) + 12]


@pytest.mark.parametrize("num_right", [0, 1, 5, 11])
def test_a_draft_that_goes_wrong_costs_passes_but_no_token(open_model, num_right):
    model = open_model()
    model.prefill(visual_tokens())
    answer = ask(model)
    wrong = [*answer[:num_right], *((token + 1) % 50 for token in answer[num_right:])]
    pieces = list(model.generate(QUESTION, OPTIONS, wrong))
    assert ids_of(pieces) == answer
    assert [piece.drafted for piece in pieces] == [True] * num_right + [False] * (12 - num_right)


def test_a_short_draft_goes_on_by_itself(open_model):
    model = open_model()
    model.prefill(visual_tokens())
    answer = ask(model)
    assert ids_of(model.generate(QUESTION, OPTIONS, answer[:4])) == answer
    assert ids_of(model.generate(QUESTION, GenerationOptions(max_new_tokens=3), answer)) == answer[:3]


def test_the_end_token_can_be_drafted(open_model):
    model = open_model()
    model.prefill(visual_tokens())
    answer = ask(model)
    stopping = open_model(stop_token_ids=(answer[5],))
    stopping.prefill(visual_tokens())
    end = answer.index(answer[5]) + 1
    pieces = list(stopping.generate(QUESTION, OPTIONS, answer[:end]))
    assert ids_of(pieces) == answer[:end]
    assert pieces[-1].finish == "stop"
    assert pieces[-1].drafted


def test_drawn_answers_do_not_look_at_the_draft(open_model):
    drawn = GenerationOptions(max_new_tokens=12, temperature=1.5, seed=3)
    model = open_model()
    model.prefill(visual_tokens())
    answer = ask(model, options=drawn)
    pieces = list(model.generate(QUESTION, drawn, ask(model)))
    assert ids_of(pieces) == answer
    assert not any(piece.drafted for piece in pieces)


def test_segments_that_stay_are_not_computed_again(open_model):
    first, second, third = visual_tokens(20, seed=1), visual_tokens(9, seed=2), visual_tokens(9, seed=3)
    model, fresh = open_model(), open_model()
    model.prefill(first, second)
    before = ask(model)
    with counted_passes() as passes:
        model.prefill(first, third)  # into the other cache, which takes system prompt and first segment over
    assert passes == [9]
    fresh.prefill(first, third)
    assert ask(model) == ask(fresh)
    with counted_passes() as passes:
        model.prefill(first, second)
        model.prefill(first, second)
    assert passes == []
    assert ask(model) == before
    with counted_passes() as passes:
        model.prefill(first)
    assert passes == []


def test_judging_gives_the_share_of_yes(open_model):
    model = open_model()
    model.prefill(visual_tokens())
    piece, probability = model.judge(QUESTION)
    assert piece.text == ("Yes" if probability >= 0.5 else "No")
    assert 0 < probability < 1
    assert model.judge(QUESTION)[1] == probability
    logits = []
    forward = decoder.Decoder.forward
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoder.Decoder, "forward", lambda *arguments: logits.append(forward(*arguments)) or logits[-1])
        model.judge(QUESTION)
    row = logits[0][0].astype(np.float64)
    ids = {word: {model._prompt.tokenizer.encode(form).ids[0] for form in forms} for word, forms in WORDS.items()}
    weights = {word: sum(np.exp(row[index]) for index in indices) for word, indices in ids.items()}
    assert probability == pytest.approx(weights["yes"] / (weights["yes"] + weights["no"]), rel=1e-6)
