"""``troth evidence``: readings that prove themselves, also years later and to strangers."""

import typer

from troth.cli.evidence_export import export
from troth.cli.evidence_verify import verify

app = typer.Typer()
app.command()(export)
app.command()(verify)
