"""Made-up records of live runs. Imported by tests of the benchmarks."""

from redvillm.benchmarks.live_records import AnswerRecord, LiveRecord, Sample


def answer(time_s, ttft_ms, *, variant=0, segment=0, is_warmup=False, error=None, reused=True):
    latencies = {} if error else {"ttft_ms": ttft_ms, "frame_to_first_token_ms": ttft_ms + 100.0, "age_newest_ms": 50.0}
    return AnswerRecord(
        variant=variant,
        segment=segment,
        time_s=time_s,
        is_warmup=is_warmup,
        error=error,
        latencies_ms=latencies,
        prefix_reused=reused,
        num_visual_tokens=69,
        num_new_tokens=9,
    )


def sample(time_s, *, variant=0, segment=0, is_warmup=False, rss_mb=400.0, threads=14, descriptors=13, since_s=None):
    passed_s = time_s if since_s is None else since_s
    captured = int(25 * passed_s)
    used = int(8 * passed_s)
    return Sample(
        variant=variant,
        segment=segment,
        time_s=time_s,
        is_warmup=is_warmup,
        rss_mb=rss_mb,
        cpu_s=0.5 * time_s,
        all_cpu_s=0.75 * time_s,
        num_threads=threads,
        num_descriptors=descriptors,
        captured=captured,
        used=used,
        drops={"rate": captured - used},
    )


def steady_run(length_s=1200, *, ttft_ms=lambda time_s: 30.0, **changes):
    """One segment; each of `changes` maps seconds to a figure of the samples."""
    samples = tuple(sample(float(second), **{name: value(second) for name, value in changes.items()}) for second in range(length_s))
    answers = tuple(answer(float(second), ttft_ms(second)) for second in range(0, length_s, 2))
    return LiveRecord(answers, samples)


def two_variants():
    """Two segments of each variant, ten seconds each, the first two warm-up; the second variant is three times slower."""
    answers, samples = [], []
    for segment in range(4):
        variant, start_s = segment % 2, 10.0 * segment
        for second in range(10):
            warm = second < 2
            samples.append(sample(start_s + second, variant=variant, segment=segment, is_warmup=warm, since_s=float(second)))
            slow = 1000.0 if warm else (30.0, 90.0)[variant]
            answers.append(answer(start_s + second, slow, variant=variant, segment=segment, is_warmup=warm, reused=variant == 0))
    answers.append(answer(39.0, 0.0, variant=1, segment=3, error="16 questions wait already"))
    return LiveRecord(tuple(answers), tuple(samples), ("a <note>",))
