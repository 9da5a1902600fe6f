"""Measurements of this project. Never installed: `python -m benchmarks STUDY --out DIR` from the checkout.

A study verifies what it times in the same run, and writes its figures as JSON; the tables of the README come from that.
"""
