"""What this process holds and uses, and how busy the machine is besides. Knows the process; does not know streams."""

from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True)
class Resources:
    """Resident memory in MB (10^6 bytes), processor seconds of this process and of all (since some start), threads, open file descriptors."""

    rss_mb: float
    cpu_s: float
    all_cpu_s: float
    num_threads: int
    num_descriptors: int


class ResourceMeter:
    """Reads the resources of this process."""

    def __init__(self) -> None:
        self._process = psutil.Process()

    def read(self) -> Resources:
        """Read them now; takes well under a millisecond."""
        process, machine = self._process, psutil.cpu_times()
        idle_s = machine.idle + getattr(machine, "iowait", 0.0)
        counted_twice_s = getattr(machine, "guest", 0.0) + getattr(machine, "guest_nice", 0.0)
        busy_s = sum(machine) - idle_s - counted_twice_s
        with process.oneshot():
            times = process.cpu_times()
            return Resources(process.memory_info().rss / 1e6, times.user + times.system, busy_s, process.num_threads(), process.num_fds())
