"""What a run tells while it goes on, and what it leaves when it ends. None of it reaches a result."""

from __future__ import annotations

from dataclasses import dataclass, field

from islands.evolution.island import Answer


@dataclass(frozen=True)
class Step:
    """One computed epoch of one island: by which worker, in which process, in how many seconds."""

    island: int
    epoch: int
    worker: str
    pid: int
    seconds: float


@dataclass(frozen=True)
class IslandProgress:
    """How an island stood after its newest epoch: values of the first objective, diversity of the scaled genes."""

    epoch: int
    best: float
    median: float
    diversity: float


@dataclass(frozen=True)
class Progress:
    """A moment of a run.

    committed, target: epochs. started_at: the epoch from which this run went on. islands: those that have an epoch.
    trials: scored by this run. running: the (island, epoch) that each busy worker's process computes, by its pid.
    lost: steps that died with a worker. coordinator_pid: the process that keeps the journal. ahead: steps that are done
    and not committed yet.
    """

    committed: int
    target: int
    started_at: int
    seconds: float
    islands: dict[int, IslandProgress]
    trials: int
    running: dict[int, tuple[int, int]]
    lost: int
    coordinator_pid: int
    ahead: tuple[Step, ...] = ()

    @property
    def trials_per_second(self) -> float:
        return self.trials / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """By the pace so far; None before the first commit."""
        done = self.committed - self.started_at
        return self.seconds / done * (self.target - self.committed) if done else None


MOST_STEPS, MOST_NOTES = 10_000, 100


@dataclass
class RunReport:
    """What a run did.

    started_at, committed: the epochs between which it worked. target: the epoch it was to stop after. steps: every epoch of an
    island that it computed, in the order of completion, also those that a loss made it compute again; of a long run the
    last `MOST_STEPS` at least. lost: steps that died with their worker, as (island, epoch, pid). coordinators: processes
    that kept the journal, in order. notes: what was survived and should be known. finished: every epoch that the campaign
    was asked for is committed.
    signal: the number of the signal that stopped it (Ctrl-C is 2), or None.
    """

    started_at: int
    committed: int
    target: int
    seconds: float = 0.0
    trials: int = 0
    steps: list[Step] = field(default_factory=list)
    lost: list[tuple[int, int, int]] = field(default_factory=list)
    coordinators: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    finished: bool = False
    signal: int | None = None

    def add(self, step: Step) -> None:
        """Takes in a step that is done."""
        self.steps.append(step)
        if len(self.steps) > 2 * MOST_STEPS:
            del self.steps[:-MOST_STEPS]

    def note(self, words: str) -> None:
        """Takes in what should be known, the first `MOST_NOTES` of it."""
        if len(self.notes) < MOST_NOTES:
            self.notes.append(words)

    def extend(self, later: RunReport) -> None:
        """Takes in the report of the coordinator that went on after a loss."""
        self.committed = later.committed
        self.trials += later.trials
        self.steps += later.steps
        self.lost += later.lost
        self.coordinators += later.coordinators
        self.notes += later.notes
        self.finished = later.finished


def island_progress(answer: Answer) -> IslandProgress:
    last = answer.generations[-1]
    return IslandProgress(answer.epoch, last.best[0], last.median[0], last.diversity)
