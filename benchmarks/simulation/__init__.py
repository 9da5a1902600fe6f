"""Campaigns under every failure, by the thousand: the real machine, journal, ledger and conductor on a simulated disk, with
simulated workers, processes and clock, where a scheduler driven by a seed delays, reorders, repeats, drops, kills, cuts the
power, lies and tears. Whatever it does, a campaign ends in the digest of the undisturbed run, or is refused in words.

    barrier.py    the islands' stand-in, and the undisturbed run, written as plainly as can be
    disk.py       a file system that keeps what was synced, and says what a power cut took
    crew.py       workers, and the calls and answers on their way
    schedule.py   one campaign: its processes, what happens to them, and what must hold
    mutants.py    one changed line each, which the simulation must find
"""
