import pytest

from redvillm.cli.program import run_program
from redvillm.errors import OptionsError


@pytest.mark.parametrize("status", [0, 1, 7])
def test_the_status_of_the_action_is_that_of_the_program(status):
    assert run_program(lambda: status) == status


def test_an_error_is_one_line(capsys):
    def fail():
        raise OptionsError("no such thing; give another")

    assert run_program(fail) == 1
    assert capsys.readouterr() == ("", "redvillm: error: no such thing; give another\n")


def test_an_interruption_is_told_and_a_defect_is_not_hidden(capsys):
    def interrupt():
        raise KeyboardInterrupt

    def defect():
        raise ZeroDivisionError

    assert run_program(interrupt) == 130
    assert "interrupted" in capsys.readouterr().err
    with pytest.raises(ZeroDivisionError):
        run_program(defect)
