"""Market bars: polars in, read-only arrays out.

`synthetic` and `sample` are not re-exported here: a function of the same name would hide the module it lives in.
"""

from islands.market.bars import Bars, read_bars
from islands.market.reading import Reading
from islands.market.tape import Tape

__all__ = ["Bars", "Reading", "Tape", "read_bars"]
