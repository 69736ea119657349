"""A run over files: one process leads and keeps the records, any number follow."""

import time
from collections.abc import Callable, Iterator

from tqdm import tqdm

from upocr.job import Job
from upocr.journal import Journal
from upocr.launch import Launch
from upocr.ledger import Ledger, clean
from upocr.plan import Plan
from upocr.records import Records

INTERVAL = 0.2  # seconds between two looks at the other processes


def follow(job: Job, plan: Plan, records: Records, launch: Launch) -> None:
    """Do a share of the work that process 0 hands out, and leave the records to it."""
    with Journal(plan.journal(launch.rank)) as journal:
        job.run(plan, records, journal, plan.claim, progress=lambda: None)


def lead(job: Job, plan: Plan, records: Records, launch: Launch) -> list[str]:
    """Do the work of process 0; one error message per input that failed."""
    ledger = Ledger([plan.journal(rank) for rank in range(launch.size)])
    claim = plan.claim if launch.size > 1 else lambda unit: True
    lost: set[int] = set()
    with tqdm(total=len(plan.inputs), desc="images", unit="image") as bar:

        def progress() -> None:
            ledger.update()
            bar.update(len(ledger.records) + len(job.finished) - bar.n)

        try:
            with Journal(plan.journal(0)) as journal:
                job.run(plan, records, journal, claim, progress)
            lost = _wait(ledger, launch, progress)
        finally:  # an interrupted run keeps the records of finished files
            ledger.update()
            ledger.enter(records)
            records.arrange([str(each.path) for each in plan.inputs])
            records.write()
            if len(ledger.ended | lost) == launch.size:
                clean(job.folder)
    return list(_errors(job, plan, ledger))


def _wait(ledger: Ledger, launch: Launch, progress: Callable[[], None]) -> set[int]:
    """Wait for the other processes; returns those that are lost."""
    late = time.monotonic() + launch.timeout
    while True:
        progress()
        lost = ledger.lost(time.monotonic() > late)
        if len(ledger.ended | lost) == launch.size:
            return lost
        time.sleep(INTERVAL)


def _errors(job: Job, plan: Plan, ledger: Ledger) -> Iterator[str]:
    """One message per input that failed, or whose process was lost."""
    for number, found in enumerate(plan.inputs):
        record = ledger.records.get(number)
        if record is None and number not in job.finished:
            yield f"{found.path}: not done, its process was lost; run again with --overwrite false"
        elif record and "error" in record:
            yield record["error"]
