"""What can go wrong, one class per responsibility.

Every message names the culprit, the value, the rule and the way out. Errors hold nothing but text and plain values, so
they travel through pickle between Ray processes. The command line turns each into its `exit_code` and one paragraph.
"""

from __future__ import annotations

from typing import Any


class IslandsWarning(UserWarning):
    """Something was survived or ignored, and the user should know: a journal entry skipped, a worker not used."""


class IslandsError(Exception):
    """Base of all errors that this package raises on purpose."""

    exit_code = 1


class InputError(IslandsError):
    """The user's input is wrong: a file, a value, an argument. Mend the input; nothing was changed or lost."""

    exit_code = 2


class BarsError(InputError):
    """The bars break a rule. The message names file, row, timestamp, value and rule. Mend the file or its reading."""


class StrategyError(InputError):
    """A family, gene or constraint is unknown or broken. Mend the strategy."""


class SpecError(InputError):
    """A campaign's spec is wrong: unknown key, missing costs, impossible bounds. Mend the spec."""


class ManifestMismatch(InputError):
    """What determines a campaign has changed since it began (spec, bars, code, libraries, numeric fingerprint).

    Resume with the original, accept the named differences, or start a new campaign.
    """


class CampaignExists(InputError):
    """The folder already holds a campaign. Resume it, or choose another folder."""


class NotACampaign(InputError):
    """The folder holds no campaign. The path is wrong, or the campaign was never created."""


class CampaignLive(InputError):
    """Another process works on this campaign. Wait for it, stop it, or fence it off with a take-over."""


class CorruptCampaign(IslandsError):
    """Files of the campaign do not match their hashes, and what is left is not enough to go on."""


class NewerVersion(InputError):
    """A file of the campaign is whole, and a newer version of this package wrote it. Upgrade; nothing was changed."""


class Fenced(IslandsError):
    """A newer token exists: another process took this campaign over. This process stops writing at once."""


class ForkedJournal(IslandsError):
    """Two different entries claim the same place in the journal. Nothing was overwritten; both are named."""


class DigestConflict(IslandsError):
    """One step gave two different answers: the first law is broken. Both digests are named; report this as a bug."""


class CodeMixture(IslandsError):
    """Driver and workers run different copies of this package, or of a user's own family. The message names both."""


class RunEnded(IslandsError):
    """Base of what ends a run at its last commit and leaves the campaign to be resumed.

    report: what the run did until then, a `RunReport` with the last commit and every step; None where no run had begun.
    """

    report: Any = None


class StepFailed(RunEnded):
    """An island's epoch raised an error. The campaign stopped at its last commit and can be resumed once it is mended."""


class CampaignPaused(RunEnded):
    """An island's epoch kills or stops every worker that computes it. The campaign stands at its last commit; the message
    names the genome that does it, where one does, and the file that replays it.

    island, epoch: whose it is. file: what `Campaign.replay_failure` takes; None where no genome is to blame, or none was kept.
    """

    island: int
    epoch: int
    file: str | None = None


class RuntimeFailed(IslandsError):
    """Ray could not be started or reached, or no worker could be used."""
