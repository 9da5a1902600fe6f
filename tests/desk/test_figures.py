"""How figures are written for a person."""

import pytest

from islands.desk.figures import genes_line, short_genes


@pytest.mark.parametrize(
    ("digits", "text"),
    [(6, "period=55 width=2.8 band=0.00123457 direction=long"), (4, "period=55 width=2.8 band=0.001235 direction=long")],
)
def test_genes_are_written_without_the_noise_of_their_last_bits(digits: int, text: str) -> None:
    assert short_genes("period=55 width=2.8000000000000003 band=0.00123456789 direction=long", digits) == text


def test_genes_are_written_alike_from_values_and_from_text() -> None:
    genes = {"period": 123456789, "width": 1.9000000000000004, "stop_loss": "off", "band": 1e-12}
    line = genes_line(genes)
    assert line == "period=123456789 width=1.9 stop_loss=off band=1e-12"
    assert short_genes(" ".join(f"{name}={value}" for name, value in genes.items())) == line
