"""Draw docs/live.svg: the view of `redvillm live` as it stands after some seconds of a real stream.

python scripts/draw_live.py CLIP QUESTION [QUESTION ...]
"""

import sys
import time
from pathlib import Path

from rich.console import Console

import redvillm
from redvillm.runtime.live_view import finished_answer, live_panel

_WATCH_S = 6.0
_TARGET = Path(__file__).parent.parent / "docs" / "live.svg"


def main(clip: str, *questions: str) -> None:
    """Play the clip at its own speed, ask, and save what the terminal would show."""
    console = Console(record=True, width=108, force_terminal=True)
    with redvillm.load("redvillm-nano") as model, model.open(clip, options=redvillm.StreamOptions(rate_hz=8, loop=True)) as stream:
        time.sleep(_WATCH_S)
        for question in questions:
            answer = stream.ask(question)
            answer.wait()
            console.print(finished_answer(answer))
        console.print(live_panel(stream.status, [], "What is"))
    console.save_svg(str(_TARGET), title=f"redvillm live --source {Path(clip).name}")


if __name__ == "__main__":
    main(*sys.argv[1:])
