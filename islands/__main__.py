"""`python -m islands` is the command `islands`."""

from islands.desk.cli import main

main()
