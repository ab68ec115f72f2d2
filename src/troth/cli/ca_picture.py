"""The hierarchy as a picture for a terminal, and as rows for a script."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from troth.authority.overview import Overview, Standing, is_over
from troth.registry.issuers import Issuer
from troth.x509.algorithms import algorithm_of
from troth.x509.certificates import subject_text

_HEADINGS = ("", "purpose", "gen", "key", "kept", "valid until", "state", "issued", "active", "revoked")
_ELSEWHERE = "elsewhere"


def row_of(standing: Standing, home: Path, now: datetime) -> dict[str, object]:
    """Return one CA as a row."""
    issuer = standing.issuer
    certificate = issuer.certificate
    return {
        "name": issuer.name,
        "issuer_id": issuer.issuer_id,
        "line": issuer.line,
        "purpose": issuer.purpose.value,
        "generation": issuer.number,
        "subject": subject_text(certificate.subject),
        "key": str(algorithm_of(certificate.public_key())),
        "key_name": issuer.key_name or None,
        "kept": kept(issuer, home),
        "not_before": certificate.not_valid_before_utc,
        "not_after": certificate.not_valid_after_utc,
        "expired": is_over(issuer, now),
        "state": issuer.state.value,
        "parent_id": issuer.parent_id,
        "shards": issuer.shards,
        "issued": standing.issued,
        "active": standing.active,
        "revoked": standing.revoked,
    }


def kept(issuer: Issuer, home: Path) -> str:
    """Say where an issuer's key is: in which file or token, and whether that file is here now."""
    if not issuer.key_name:
        return _ELSEWHERE
    if issuer.key_name.startswith("pkcs11:"):
        return issuer.key_name
    return issuer.key_name if (home / issuer.key_name).exists() else f"{issuer.key_name} (taken away)"


def picture(site: str, found: Overview, home: Path, now: datetime) -> str:
    """Return the hierarchy as a tree with columns, and below it what stands beside the tree."""
    rows = [_HEADINGS]
    standings = found.standings
    for at, standing in enumerate(standings):
        row = row_of(standing, home, now)
        end = standing.issuer.certificate.not_valid_after_utc
        rows.append(
            (
                f"{_branches(standings, at)}{standing.issuer.name}",
                str(row["purpose"]),
                str(row["generation"]),
                str(row["key"]),
                str(row["kept"]),
                f"{end:%Y-%m-%d}{' (over)' if row['expired'] else ''}",
                str(row["state"]).lower(),
                str(standing.issued),
                str(standing.active),
                str(standing.revoked),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    lines = [site]
    lines += ["  ".join(part.ljust(width) for part, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    names = {standing.issuer.issuer_id: standing.issuer.name for standing in standings}
    for cross in found.crosses:
        end = cross.certificate.not_valid_after_utc
        lines.append(f"cross    {names[cross.subject_id]} by {names[cross.issuer_id]}, until {end:%Y-%m-%d}")
    lines += [f"request  {each.name}, asked for {each.created_at:%Y-%m-%d}" for each in found.requests]
    return "\n".join(lines)


def _branches(standings: Sequence[Standing], at: int) -> str:
    """Return the lines that lead to a row of the tree from the left."""
    depth = standings[at].depth
    if depth == 0:
        return ""
    drawn = ["   " if _is_last(standings, at, level) else "│  " for level in range(1, depth)]
    return "".join(drawn) + ("└─ " if _is_last(standings, at, depth) else "├─ ")


def _is_last(standings: Sequence[Standing], at: int, level: int) -> bool:
    """Say whether nothing more stands at `level` of the branch that the row belongs to."""
    for following in standings[at + 1 :]:
        if following.depth < level:
            return True
        if following.depth == level:
            return False
    return True
