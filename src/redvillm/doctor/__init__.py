"""`redvillm doctor`: what works on this machine, and the command that repairs what does not.

The one part of the base that looks at every other part, each import inside a function, so that it also runs on a broken installation.
"""

from redvillm.doctor.check import Check, Status
from redvillm.doctor.report import examine, run_doctor

__all__ = ["Check", "Status", "examine", "run_doctor"]
