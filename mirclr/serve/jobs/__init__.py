"""Long work on the library, each in a process of its own, one after the other.

In: a kind of work and its options. Out: a `Job`, which is kept up to date, and reported to who listens.

Contents: job.py, the state of a job; queue.py, the one that runs and those that wait; process.py, what runs in the
process; kinds.py, a function for each kind.
"""

from mirclr.serve.jobs.job import Job
from mirclr.serve.jobs.kinds import Kind
from mirclr.serve.jobs.queue import Jobs

__all__ = ["Job", "Jobs", "Kind"]
